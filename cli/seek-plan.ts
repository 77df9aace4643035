/**
 * Where a group is to go on: from what it has committed, where each log begins and ends and what was asked for, to a new offset
 * for each partition. An offset outside of the log is moved to its nearest end.
 */
import type { TopicPartition } from '../src/index.ts'

/** What `millrace group seek` is asked for; exactly one. */
export type SeekTarget =
  | { readonly kind: 'earliest' }
  | { readonly kind: 'latest' }
  /** The first record at or after this moment, in ms since 1970; the end where there is none. */
  | { readonly kind: 'time'; readonly timestampMs: number }
  | { readonly kind: 'offset'; readonly offset: number }
  /** Records further, or back where it is negative, from what is committed. */
  | { readonly kind: 'shift'; readonly by: number }

export interface SeekPartition extends TopicPartition {
  /** Null: nothing is committed. */
  readonly currentOffset: number | null
  readonly startOffset: number
  readonly endOffset: number
  /** For `time`: the offset that was found, null for none. */
  readonly foundOffset: number | null
}

export interface PlannedSeek extends SeekPartition {
  /** Null: it cannot be told, since there is nothing to shift. */
  readonly newOffset: number | null
  /** What was asked for, where the log does not have it; else null. */
  readonly wantedOffset: number | null
}

export function planSeek(target: SeekTarget, partition: SeekPartition): PlannedSeek {
  const wanted = wantedOffset(target, partition)
  if (wanted === null) return { ...partition, newOffset: null, wantedOffset: null }
  const newOffset = Math.min(Math.max(wanted, partition.startOffset), partition.endOffset)
  return { ...partition, newOffset, wantedOffset: newOffset === wanted ? null : wanted }
}

function wantedOffset(target: SeekTarget, partition: SeekPartition): number | null {
  switch (target.kind) {
    case 'earliest':
      return partition.startOffset
    case 'latest':
      return partition.endOffset
    case 'time':
      return partition.foundOffset ?? partition.endOffset
    case 'offset':
      return target.offset
    case 'shift':
      return partition.currentOffset === null ? null : partition.currentOffset + target.by
  }
}

/** Whether the plan changes what is committed. */
export function isChange({ currentOffset, newOffset }: PlannedSeek): boolean {
  return newOffset !== null && newOffset !== currentOffset
}
