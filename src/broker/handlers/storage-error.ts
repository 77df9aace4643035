/**
 * The protocol's word for a failed read of a log. What is not a log's failure is a defect of ours and is thrown on,
 * to be logged and answered as one.
 */
import { LogError } from '../../log/log-error.ts'

export function storageErrorOf(
  error: unknown,
): 'OFFSET_OUT_OF_RANGE' | 'NOT_LEADER_OR_FOLLOWER' | 'KAFKA_STORAGE_ERROR' {
  if (!(error instanceof LogError)) throw error
  if (error.code === 'LOG_OFFSET_OUT_OF_RANGE') return 'OFFSET_OUT_OF_RANGE'
  // The log was closed or deleted while the request waited: the client looks the partition up again.
  return error.code === 'LOG_CLOSED' ? 'NOT_LEADER_OR_FOLLOWER' : 'KAFKA_STORAGE_ERROR'
}
