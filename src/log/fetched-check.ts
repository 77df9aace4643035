/**
 * Do bytes that a leader sent continue a follower's log? They came over a network, so everything is checked again: CRCs
 * (docs/faults.md NW-3), offsets that join up (RP-19; compacted logs have fillers where records went), and epochs that
 * never fall (R5). Data plane: one pass.
 */
import { fillerBatch, isFiller } from '../records/batch-filter.ts'
import {
  baseOffsetAt,
  batchSizeAt,
  lastOffsetAt,
  leaderEpochAt,
  readBatchHeader,
} from '../records/batch-header.ts'
import { findBatchFault } from '../records/batch-validator.ts'

/**
 * @param logEndOffset - Where the first batch must begin.
 * @param latestEpoch - The log's latest leader epoch.
 * @returns What is wrong, or null for whole batches to the last byte.
 */
export function findFetchedFault(
  batches: Uint8Array,
  logEndOffset: number,
  latestEpoch: number,
): string | null {
  let expected = logEndOffset
  let epoch = latestEpoch
  for (let at = 0; at < batches.length; at += batchSizeAt(batches, at)) {
    const fault = findBatchFault(batches, at, batches.length - at)
    if (fault !== null) return `byte ${at}: ${fault}`
    const baseOffset = baseOffsetAt(batches, at)
    if (baseOffset !== expected) {
      return `byte ${at}: base offset is ${baseOffset}, wanted ${expected}`
    }
    if (leaderEpochAt(batches, at) < epoch) {
      return `byte ${at}: leader epoch is ${leaderEpochAt(batches, at)}, wanted ${epoch} or more`
    }
    epoch = leaderEpochAt(batches, at)
    expected = lastOffsetAt(batches, at) + 1
  }
  return null
}

/**
 * The batches as they continue a log that ends within the first of them. Only a filler may hold a log's end: the leader has
 * compacted what this replica was sent a part of, and what is left of the filler stands for the rest.
 *
 * @returns The very same bytes, if that is not so.
 */
export function continuedFrom(batches: Uint8Array, logEndOffset: number): Uint8Array {
  if (batches.length === 0 || baseOffsetAt(batches, 0) >= logEndOffset) return batches
  const endOffset = lastOffsetAt(batches, 0) + 1
  if (endOffset <= logEndOffset || findBatchFault(batches, 0, batches.length) !== null) return batches
  if (!isFiller(readBatchHeader(batches, 0))) return batches
  const rest = fillerBatch(logEndOffset, endOffset, leaderEpochAt(batches, 0))
  const continued = new Uint8Array(rest.length + batches.length - batchSizeAt(batches, 0))
  continued.set(rest)
  continued.set(batches.subarray(batchSizeAt(batches, 0)), rest.length)
  return continued
}
