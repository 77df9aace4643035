/**
 * Offset index: maps an offset to a byte position in the segment's `.log`.
 *
 *   entry := relativeOffset: uint32 | position: uint32        8 bytes, big-endian, both ascending
 *
 * `relativeOffset` is the last offset of a batch, counted from the segment's base offset; `position` is where that batch
 * begins. One entry for the first batch after every `indexIntervalBytes`, so a lookup finds the last entry at or below
 * the wanted offset and the caller scans on from there. Kafka's format and rule.
 *
 * A cache: see `index-file.ts`. `Segment` compares an entry with the batch it points to before it believes it.
 */
import { setInt32At, uint32At } from '../records/integers.ts'
import type { IndexFile } from './index-file.ts'

export const OFFSET_INDEX_ENTRY_BYTES = 8

export interface OffsetIndexEntry {
  /** Last offset of the batch, relative to the segment's base offset. */
  readonly relativeOffset: number
  /** Where the batch begins. */
  readonly position: number
}

/** Adds an entry above all there are. */
export function addOffsetEntry(index: IndexFile, relativeOffset: number, position: number): void {
  const place = index.extend()
  setInt32At(place.bytes, place.position, relativeOffset)
  setInt32At(place.bytes, place.position + 4, position)
}

/** The last entry at or below `relativeOffset`, or null. */
export async function findOffsetEntry(
  index: IndexFile,
  relativeOffset: number,
): Promise<OffsetIndexEntry | null> {
  const found = await index.findLast((entries, position) => uint32At(entries, position) <= relativeOffset)
  return found === null ? null : decode(found.bytes)
}

/** Entry `at`, below `index.count`. */
export async function offsetEntryAt(index: IndexFile, at: number): Promise<OffsetIndexEntry> {
  return decode(await index.entryAt(at))
}

/** Keeps the entries of batches that begin below `position`. Only while no flush runs. */
export async function truncateOffsetIndex(index: IndexFile, position: number): Promise<void> {
  const found = await index.findLast((entries, at) => uint32At(entries, at + 4) < position)
  index.truncate(found === null ? 0 : found.index + 1)
}

function decode(bytes: Uint8Array): OffsetIndexEntry {
  return { relativeOffset: uint32At(bytes, 0), position: uint32At(bytes, 4) }
}
