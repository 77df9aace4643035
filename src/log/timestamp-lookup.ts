/**
 * Finds records by time: ListOffsets with a timestamp, and with "the largest timestamp".
 *
 * Segments whose largest timestamp is too old are skipped, the time index says where to begin in the others, and
 * headers are walked from there to the first batch that qualifies. Inside an uncompressed batch the record is exact.
 * A compressed batch is not inflated: of it the answer is its base offset, with the batch's largest timestamp, so that a
 * reader who starts there misses nothing. Control plane.
 *
 * @see KIP-33, KIP-79 (lookup), KIP-734 (largest timestamp).
 */
import {
  attributesAt,
  baseOffsetAt,
  batchSizeAt,
  codecId,
  isLogAppendTime,
  lastOffsetAt,
  leaderEpochAt,
  maxTimestampAt,
} from '../records/batch-header.ts'
import { CodecSet } from '../records/compression/codec-set.ts'
import { decodeRecords } from '../records/record-reader.ts'
import type { Segment } from './segment.ts'
import type { CachedBatch } from './tail-cache.ts'

export interface TimestampedOffset {
  readonly offset: number
  /** Ms since the epoch. */
  readonly timestamp: number
  readonly leaderEpoch: number
}

/** What is asked of a log: its written segments, what waits to be written, and which offsets count. */
export interface LookupScope {
  readonly segments: readonly Segment[]
  readonly unwritten: Iterable<CachedBatch>
  /** First offset that counts. */
  readonly startOffset: number
  /** First offset that does not. */
  readonly endOffset: number
}

/** The first record of the scope with a timestamp of at least `timestampMs`, or null. */
export async function findTimestamp(
  scope: LookupScope,
  timestampMs: number,
): Promise<TimestampedOffset | null> {
  const { startOffset, endOffset } = scope
  for (const segment of scope.segments) {
    if (segment.baseOffset >= endOffset) return null
    await segment.load()
    if (segment.endOffset <= startOffset || segment.maxTimestampMs < timestampMs) continue
    let place: { position: number; size: number; baseOffset: number } | null = null
    await segment.walk(await segment.positionBefore(timestampMs), (bytes, at, position) => {
      if (lastOffsetAt(bytes, at) < startOffset || maxTimestampAt(bytes, at) < timestampMs) return true
      place = { position, size: batchSizeAt(bytes, at), baseOffset: baseOffsetAt(bytes, at) }
      return false
    })
    const found = place as { position: number; size: number; baseOffset: number } | null
    if (found === null) continue
    if (found.baseOffset >= endOffset) return null
    const batch = await segment.read(found.position, found.size)
    const record = findInBatch(
      batch,
      (timestamp, offset) => timestamp >= timestampMs && offset >= startOffset,
    )
    if (record !== null) return record.offset < endOffset ? record : null
  }
  for (const batch of scope.unwritten) {
    if (batch.baseOffset >= endOffset) return null
    if (maxTimestampAt(batch.bytes, batch.start) < timestampMs) continue
    return findInBatch(
      bytesOf(batch),
      (timestamp, offset) => timestamp >= timestampMs && offset >= startOffset,
    )
  }
  return null
}

/** The first record of the scope that has the largest timestamp of all, or null if none has one. */
export async function findMaxTimestamp(scope: LookupScope): Promise<TimestampedOffset | null> {
  let largest = -1
  const note = (lastOffset: number, timestampMs: number) => {
    if (lastOffset >= scope.startOffset && lastOffset < scope.endOffset)
      largest = Math.max(largest, timestampMs)
  }
  const unwritten = [...scope.unwritten]
  for (const segment of scope.segments) {
    await segment.load()
    const isWhole = segment.baseOffset >= scope.startOffset && segment.endOffset <= scope.endOffset
    if (isWhole && segment.writtenBytes === segment.sizeBytes)
      note(segment.endOffset - 1, segment.maxTimestampMs)
    else
      await segment.walk(0, (bytes, at) => (note(lastOffsetAt(bytes, at), maxTimestampAt(bytes, at)), true))
  }
  for (const batch of unwritten) note(batch.endOffset - 1, maxTimestampAt(batch.bytes, batch.start))
  return largest < 0 ? null : findTimestamp({ ...scope, unwritten }, largest)
}

/** The first record for which `isWanted`, or what can be said of a batch that is not to be looked into. */
function findInBatch(
  batch: Uint8Array,
  isWanted: (timestampMs: number, offset: number) => boolean,
): TimestampedOffset | null {
  const leaderEpoch = leaderEpochAt(batch, 0)
  const attributes = attributesAt(batch, 0)
  if (codecId(attributes) !== 0 || isLogAppendTime(attributes)) {
    return { offset: baseOffsetAt(batch, 0), timestamp: maxTimestampAt(batch, 0), leaderEpoch }
  }
  for (const { offset, timestamp } of decodeRecords(batch, new CodecSet(), { checksCrc: true })) {
    if (isWanted(timestamp, offset)) return { offset, timestamp, leaderEpoch }
  }
  // The header's largest timestamp was a lie of the producer's; the batch is still where a reader should begin.
  return { offset: baseOffsetAt(batch, 0), timestamp: maxTimestampAt(batch, 0), leaderEpoch }
}

function bytesOf(batch: CachedBatch): Uint8Array {
  return batch.bytes.subarray(batch.start, batch.start + batch.size)
}
