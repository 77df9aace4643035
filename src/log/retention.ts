/**
 * Which segments a log may let go: by age, by size, and never beyond the high watermark (faults.md R12).
 *
 * The age of a segment is that of its largest timestamp. Producers choose timestamps, so two kinds are not believed: none
 * at all (-1), and one that lies in the future, which would keep the segment for ever. Those go by the time the file
 * was last written (ST-15). The last segment goes too when all of it has expired; an empty one takes its place.
 *
 * Compaction is the second way for records to go: `compaction-plan.ts`.
 */
import type { FileSystem } from '../env/index.ts'
import type { LogConfig } from './log-config.ts'
import type { Segment } from './segment.ts'

/**
 * @param nowMs - Wall clock ms.
 * @returns How many of the oldest segments may go; all of them only if the last has expired by age.
 */
export async function countExpiredSegments(
  files: FileSystem,
  segments: readonly Segment[],
  config: LogConfig,
  nowMs: number,
  highWatermark: number,
): Promise<number> {
  if (!config.deletesOldSegments) return 0
  const isCommitted = (index: number) =>
    (segments[index + 1]?.baseOffset ?? segments[index]!.endOffset) <= highWatermark
  let count = 0
  if (config.retentionMs >= 0) {
    while (count < segments.length && segments[count]!.sizeBytes > 0 && isCommitted(count)) {
      const segment = segments[count]!
      if (nowMs - (await newestMs(files, segment, nowMs)) <= config.retentionMs) break
      count++
    }
  }
  if (config.retentionBytes >= 0) {
    let excess = segments.slice(count).reduce((sum, { sizeBytes }) => sum + sizeBytes, -config.retentionBytes)
    while (count < segments.length - 1 && isCommitted(count) && excess >= segments[count]!.sizeBytes) {
      excess -= segments[count]!.sizeBytes
      count++
    }
  }
  return count
}

/** Age that a segment goes by, as ms since the epoch. */
export async function newestMs(files: FileSystem, segment: Segment, nowMs: number): Promise<number> {
  await segment.load()
  if (segment.maxTimestampMs >= 0 && segment.maxTimestampMs <= nowMs) return segment.maxTimestampMs
  return (await files.stat(segment.path))?.modifiedMs ?? nowMs
}
