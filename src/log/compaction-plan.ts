/**
 * Which part of a log compaction may look at, and how much it is worth.
 *
 *   log start            cleaned end                    end of the plan                        log end
 *   ─────┼──── clean ─────────┼─────────── dirty ──────────────┼──── may not be touched ──────────┤
 *          judged before         its keys say what goes          the active segment; what is not committed;
 *                                of both parts                   what is younger than min.compaction.lag.ms
 *
 * The end is always one of a segment, and never above the high watermark or the first offset of an open transaction: what
 * may still be cut or aborted must not make a committed record go. Ages are those that retention goes by (ST-15).
 */
import { BATCH_HEADER_BYTES, maxTimestampAt } from '../records/batch-header.ts'
import type { LogCore } from './log-core.ts'
import { newestMs } from './retention.ts'
import type { Segment } from './segment.ts'

export interface CompactionPlan {
  /** From the first of the log on; all closed and synced. At least one holds offsets that are dirty. */
  readonly segments: readonly Segment[]
  readonly firstDirtyOffset: number
  /** Where the last of the segments ends. */
  readonly endOffset: number
  /** Dirty bytes as a share of all that may be looked at. */
  readonly dirtyRatio: number
  /** A record has waited for `max.compaction.lag.ms`. */
  readonly isOverdue: boolean
  /** `LogCore.cutCount` when it was made. */
  readonly cutCount: number
}

/**
 * @param nowMs - Wall clock ms, as trusted for retention.
 * @returns Null if nothing may be compacted.
 */
export async function planCompaction(
  core: LogCore,
  nowMs: number,
  highWatermark: number,
): Promise<CompactionPlan | null> {
  const { config, cutCount } = core
  const { files } = core.ports
  const all = [...core.segments]
  const boundOffset = Math.min(highWatermark, core.durableEndOffset, firstOpenOffset(core))
  const segments: Segment[] = []
  for (const [index, segment] of all.slice(0, -1).entries()) {
    if (segment.appendFile !== null || segment.writtenBytes < segment.sizeBytes) break
    if (all[index + 1]!.baseOffset > boundOffset) break
    const { minCompactionLagMs } = config
    const isDirty = all[index + 1]!.baseOffset > core.cleanedEndOffset
    if (
      isDirty &&
      minCompactionLagMs > 0 &&
      nowMs - (await newestMs(files, segment, nowMs)) < minCompactionLagMs
    )
      break
    segments.push(segment)
  }
  const endOffset = all[segments.length]!.baseOffset
  const firstDirtyOffset = Math.min(Math.max(core.cleanedEndOffset, core.logStartOffset), endOffset)
  const dirty = segments.filter((_, index) => all[index + 1]!.baseOffset > firstDirtyOffset)
  if (dirty.length === 0) return null
  const sum = (some: readonly Segment[]) => some.reduce((bytes, { sizeBytes }) => bytes + sizeBytes, 0)
  const { maxCompactionLagMs } = config
  const isOverdue =
    maxCompactionLagMs < Infinity && nowMs - (await oldestMs(core, dirty[0]!, nowMs)) > maxCompactionLagMs
  if (core.cutCount !== cutCount) return null
  return {
    segments,
    firstDirtyOffset,
    endOffset,
    dirtyRatio: sum(dirty) / sum(segments),
    isOverdue,
    cutCount,
  }
}

/** The first offset of a transaction that has not ended, or Infinity. */
function firstOpenOffset(core: LogCore): number {
  let firstOffset = Infinity
  for (const { transactionFirstOffset } of core.producers.entries()) {
    if (transactionFirstOffset >= 0) firstOffset = Math.min(firstOffset, transactionFirstOffset)
  }
  return firstOffset
}

/** Age of the first batch of a segment, as ms since the epoch. */
async function oldestMs(core: LogCore, segment: Segment, nowMs: number): Promise<number> {
  const header = await segment.read(0, BATCH_HEADER_BYTES)
  const timestampMs = header.length < BATCH_HEADER_BYTES ? -1 : maxTimestampAt(header, 0)
  if (timestampMs >= 0 && timestampMs <= nowMs) return timestampMs
  return (await core.ports.files.stat(segment.path))?.modifiedMs ?? nowMs
}

/**
 * Neighbours that become one segment: as many as the configured size and the range of relative offsets allow.
 *
 * @param endOffset - Where the last of them ends.
 */
export function groupSegments(
  segments: readonly Segment[],
  endOffset: number,
  bytesMax: number,
  offsetsMax: number,
): Segment[][] {
  const groups: Segment[][] = []
  let bytes = 0
  for (const [index, segment] of segments.entries()) {
    const group = groups.at(-1)
    const segmentEnd = segments[index + 1]?.baseOffset ?? endOffset
    if (
      group !== undefined &&
      bytes + segment.sizeBytes <= bytesMax &&
      segmentEnd - group[0]!.baseOffset <= offsetsMax
    ) {
      group.push(segment)
      bytes += segment.sizeBytes
    } else {
      groups.push([segment])
      bytes = segment.sizeBytes
    }
  }
  return groups
}
