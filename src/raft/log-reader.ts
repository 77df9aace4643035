/**
 * Turns slices of the metadata log into committed batches for listeners, and finds the changes of the voters in them.
 */
import type { LogSlice, PartitionLog } from '../log/partition-log.ts'
import {
  attributesAt,
  BATCH_HEADER_BYTES,
  batchSizeAt,
  baseOffsetAt,
  isControl,
  lastOffsetAt,
  leaderEpochAt,
  maxTimestampAt,
} from '../records/batch-header.ts'
import { findBatchFault } from '../records/batch-validator.ts'
import { findVoters, joinBytes, readBatch } from './batches.ts'
import { QuorumError } from './metadata-quorum.ts'
import type { CommittedBatch } from './metadata-quorum.ts'
import type { VotersRecord } from './voter-set.ts'

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

/** Bytes of log looked through at a time for changes of the voters. */
const SCAN_BYTES = 1024 * 1024

/**
 * The sets of voters that batches name, by offset.
 *
 * @param pieces - Whole batches, cut anywhere, with their headers' structure intact.
 * @throws {RecordError | DecodeError} if such a record breaks the format.
 */
export function readVotersRecords(pieces: readonly Uint8Array[]): VotersRecord[] {
  const bytes = joinBytes(pieces)
  const found: VotersRecord[] = []
  for (let position = 0; position + BATCH_HEADER_BYTES <= bytes.length;) {
    const size = batchSizeAt(bytes, position)
    if (size < BATCH_HEADER_BYTES || position + size > bytes.length) break // appending refuses it
    if (isControl(attributesAt(bytes, position))) {
      const set = findVoters(bytes.subarray(position, position + size))
      if (set !== null) found.push({ offset: baseOffsetAt(bytes, position), set })
    }
    position += size
  }
  return found
}

/** All changes of the voters from `startOffset` to the log's end, committed or not. */
export async function scanVotersRecords(log: PartitionLog, startOffset: number): Promise<VotersRecord[]> {
  const found: VotersRecord[] = []
  for (let offset = startOffset; offset < log.logEndOffset;) {
    const slice = await log.read(offset, log.logEndOffset, SCAN_BYTES, true)
    if (slice.endOffset === offset) break
    for (const record of readVotersRecords(slice.chunks)) found.push(record)
    offset = slice.endOffset
  }
  return found
}
