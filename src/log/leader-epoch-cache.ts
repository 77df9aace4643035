/**
 * Which leader epoch wrote which offsets: what replicas compare to find where their logs part.
 *
 * Entries say at which offset an epoch begins. They come from batches and from leaders that took over, so an epoch in
 * which nothing was written has an entry too and survives a restart (faults.md RP-16).
 *
 * Invariant: epochs and start offsets both rise from entry to entry. A new entry that starts at or below the start of
 * older ones replaces them: those epochs hold no offset here.
 *
 * In memory; `PartitionLog` persists `entries` in `leader-epoch-checkpoint` before the first batch of a new epoch is
 * written, so that recovery can tell an epoch from a flipped bit. Control plane, but for `latestEpoch`.
 *
 * @see KIP-101 (epochs instead of the high watermark), KIP-279 (unequal histories), KIP-320 (consumers).
 */
import { assert } from '../base/assert.ts'
import type { EpochEntry } from './checkpoint-file.ts'

/** No epoch yet. */
export const NO_EPOCH = -1

export class LeaderEpochCache {
  #entries: EpochEntry[]
  #latestEpoch: number

  constructor(entries: readonly EpochEntry[] = []) {
    this.#entries = []
    this.#latestEpoch = NO_EPOCH
    for (const entry of entries) this.assign(entry.epoch, entry.startOffset)
  }

  get entries(): readonly EpochEntry[] {
    return this.#entries
  }

  /** The newest epoch that is known here, or -1. */
  get latestEpoch(): number {
    return this.#latestEpoch
  }

  /**
   * Notes that `epoch` begins at `startOffset`. An epoch that is not newer than the latest is known and changes nothing.
   *
   * @returns Whether there is something new to persist.
   */
  assign(epoch: number, startOffset: number): boolean {
    if (epoch <= this.#latestEpoch) return false
    while (this.#entries.length > 0 && this.#entries.at(-1)!.startOffset >= startOffset) this.#entries.pop()
    this.#entries.push({ epoch, startOffset })
    this.#latestEpoch = epoch
    return true
  }

  /** The epoch in which `offset` is or would be written, or -1 when it is below every entry. */
  epochAt(offset: number): number {
    for (let index = this.#entries.length - 1; index >= 0; index--) {
      if (this.#entries[index]!.startOffset <= offset) return this.#entries[index]!.epoch
    }
    return NO_EPOCH
  }

  /**
   * Where an epoch ends: the answer of a leader to OffsetForLeaderEpoch, and of a follower to itself.
   *
   * @param logEndOffset - End of the latest epoch.
   * @returns The largest epoch at or below the one asked and its end offset; null when it is newer than all that is
   *   known here, which this replica cannot answer.
   */
  endOffsetForEpoch(epoch: number, logEndOffset: number): { epoch: number; endOffset: number } | null {
    if (epoch > this.#latestEpoch || epoch < 0) return null
    for (let index = this.#entries.length - 1; index >= 0; index--) {
      const entry = this.#entries[index]!
      if (entry.epoch > epoch) continue
      return { epoch: entry.epoch, endOffset: this.#entries[index + 1]?.startOffset ?? logEndOffset }
    }
    // Older than all that is left here: its records were deleted, and what is left begins where the first entry does.
    return { epoch, endOffset: this.#entries[0]!.startOffset }
  }

  /**
   * Forgets epochs that begin at or above `endOffset`: their records were cut off.
   *
   * @param keepsEpochAt - Keep the one that begins exactly there: a leader that lost its own unwritten tail still leads.
   * @returns Whether anything changed.
   */
  truncateFromEnd(endOffset: number, keepsEpochAt: boolean): boolean {
    const kept = this.#entries.filter(
      ({ startOffset }) => startOffset < endOffset || (keepsEpochAt && startOffset === endOffset),
    )
    return this.#replace(kept)
  }

  /** Moves the beginning of history to `startOffset`; the epoch that holds that offset now begins there. */
  truncateFromStart(startOffset: number): boolean {
    const firstKept = this.#entries.findLastIndex((entry) => entry.startOffset <= startOffset)
    if (firstKept < 0 || (firstKept === 0 && this.#entries[0]!.startOffset === startOffset)) return false
    const [first, ...rest] = this.#entries.slice(firstKept)
    this.#replace([{ epoch: first!.epoch, startOffset }, ...rest])
    return true
  }

  #replace(entries: EpochEntry[]): boolean {
    const hasChanged = entries.length !== this.#entries.length
    this.#entries = entries
    this.#latestEpoch = entries.at(-1)?.epoch ?? NO_EPOCH
    assert(
      entries.every((entry, index) => index === 0 || entries[index - 1]!.epoch < entry.epoch),
      'Leader epochs rise from entry to entry',
    )
    return hasChanged
  }
}
