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
import { readBatch } from './batches.ts'
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
  let offset = startOffset
  for (const chunk of slice.chunks) {
    let position = 0
    while (position < chunk.length) {
      const size = batchSizeAt(chunk, position)
      const batch = readAt(chunk, position, size, offset)
      offset = batch.endOffset
      position += size
      yield batch
    }
  }
  if (offset === startOffset) throw corrupt(startOffset, 'the log holds no batch there')
}

function readAt(chunk: Uint8Array, position: number, size: number, offset: number): CommittedBatch {
  const baseOffset = baseOffsetAt(chunk, position)
  if (baseOffset !== offset) throw corrupt(offset, `the next batch has base offset ${baseOffset}`)
  try {
    const content = readBatch(chunk.subarray(position, position + size))
    return {
      baseOffset,
      endOffset: lastOffsetAt(chunk, position) + 1,
      epoch: leaderEpochAt(chunk, position),
      timestampMs: maxTimestampAt(chunk, position),
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
