/**
 * Time index: the largest timestamp up to a place in the segment.
 *
 *   entry := timestamp: int64 | relativeOffset: uint32        12 bytes, big-endian, both ascending
 *
 * `timestamp` is the largest so far in the segment, in ms; `relativeOffset` is the last offset of the batch that has it,
 * counted from the segment's base offset. Added beside each offset entry when the maximum rose, and once more when the
 * segment is closed. Everything below the batch is older than `timestamp`, so a search for a time starts there.
 *
 * A cache: see `index-file.ts`.
 *
 * @see KIP-33
 */
import { int64At, setInt32At, setInt64At, uint32At } from '../records/integers.ts'
import type { IndexFile } from './index-file.ts'

export const TIME_INDEX_ENTRY_BYTES = 12

export interface TimeIndexEntry {
  /** Ms since the epoch. */
  readonly timestampMs: number
  /** Last offset of the batch with that timestamp, relative to the segment's base offset. */
  readonly relativeOffset: number
}

/** Adds an entry; its timestamp must be above all there are. */
export function addTimeEntry(index: IndexFile, timestampMs: number, relativeOffset: number): void {
  const place = index.extend()
  setInt64At(place.bytes, place.position, timestampMs)
  setInt32At(place.bytes, place.position + 8, relativeOffset)
}

/** The last entry at or below `timestampMs`, or null. */
export async function findTimeEntry(index: IndexFile, timestampMs: number): Promise<TimeIndexEntry | null> {
  const found = await index.findLast((entries, position) => int64At(entries, position) <= timestampMs)
  return found === null ? null : decode(found.bytes)
}

/** The last entry of all, or null. */
export async function lastTimeEntry(index: IndexFile): Promise<TimeIndexEntry | null> {
  return index.count === 0 ? null : decode(await index.entryAt(index.count - 1))
}

/** Keeps the entries of batches that lie below `relativeOffset`. Only while no flush runs. */
export async function truncateTimeIndex(index: IndexFile, relativeOffset: number): Promise<void> {
  const found = await index.findLast((entries, at) => uint32At(entries, at + 8) < relativeOffset)
  index.truncate(found === null ? 0 : found.index + 1)
}

function decode(bytes: Uint8Array): TimeIndexEntry {
  return { timestampMs: int64At(bytes, 0), relativeOffset: uint32At(bytes, 8) }
}
