/**
 * Turns a slice of the metadata log into committed batches for listeners.
 */
import type { LogSlice } from '../log/partition-log.ts'
import {
  batchSizeAt,
  baseOffsetAt,
  lastOffsetAt,
  leaderEpochAt,
  maxTimestampAt,
} from '../records/batch-header.ts'
import { findBatchFault } from '../records/batch-validator.ts'
import { joinBytes, readBatch } from './batches.ts'
import { QuorumError } from './metadata-quorum.ts'
import type { CommittedBatch } from './metadata-quorum.ts'

const noRecords: readonly Uint8Array[] = []

/**
 * The batches of `slice` in order.
 *
 * @param startOffset - Where the first batch must begin.
 * @throws {QuorumError} `QUORUM_LOG_CORRUPT` if a batch is missing, out of place or unreadable.
 */
export function* committedBatches(slice: LogSlice, startOffset: number): IterableIterator<CommittedBatch> {
  // The pieces of a slice are cut anywhere; this is the control plane, where a copy is cheaper than care.
  const bytes = joinBytes(slice.chunks)
  let offset = startOffset
  let position = 0
  while (position < bytes.length) {
    const batch = readAt(bytes, position, offset)
    offset = batch.endOffset
    position += batchSizeAt(bytes, position)
    yield batch
  }
  if (offset === startOffset) throw corrupt(startOffset, 'the log holds no batch there')
}

function readAt(bytes: Uint8Array, position: number, offset: number): CommittedBatch {
  const fault = findBatchFault(bytes, position, bytes.length - position)
  if (fault !== null) throw corrupt(offset, fault)
  const baseOffset = baseOffsetAt(bytes, position)
  if (baseOffset !== offset) throw corrupt(offset, `the next batch has base offset ${baseOffset}`)
  try {
    const content = readBatch(bytes.subarray(position, position + batchSizeAt(bytes, position)))
    return {
      baseOffset,
      endOffset: lastOffsetAt(bytes, position) + 1,
      epoch: leaderEpochAt(bytes, position),
      timestampMs: maxTimestampAt(bytes, position),
      records: content.kind === 'data' ? content.records : noRecords,
    }
  } catch (error) {
    throw corrupt(offset, 'its records are unreadable', error)
  }
}

function corrupt(offset: number, problem: string, cause?: unknown): QuorumError {
  return new QuorumError(
    'QUORUM_LOG_CORRUPT',
    `Cannot read the metadata log at offset ${offset}: ${problem}`,
    { cause },
  )
}
