/**
 * The protocol's word for a failed read of a log. What the disk did is logged, since the client is told no more than
 * that it was the storage. What is neither the log's failure nor the disk's is a defect of ours and is thrown on, to be
 * logged and answered as one.
 */
import { FileError } from '../../env/index.ts'
import type { Logger } from '../../env/index.ts'
import { LogError } from '../../log/log-error.ts'

export function storageErrorOf(
  logger: Logger,
  error: unknown,
): 'OFFSET_OUT_OF_RANGE' | 'NOT_LEADER_OR_FOLLOWER' | 'KAFKA_STORAGE_ERROR' {
  if (error instanceof LogError) {
    if (error.code === 'LOG_OFFSET_OUT_OF_RANGE') return 'OFFSET_OUT_OF_RANGE'
    // The log was closed or deleted while the request waited: the client looks the partition up again.
    if (error.code === 'LOG_CLOSED') return 'NOT_LEADER_OR_FOLLOWER'
  } else if (!(error instanceof FileError)) throw error
  logger.warn('Read of a log failed', { error })
  return 'KAFKA_STORAGE_ERROR'
}
