/**
 * How far a follower has come, as its leader knows it in one leader epoch, and the high watermark that follows from the
 * positions of all.
 *
 * Invariants:
 * - A position says what a fetch *in this leader epoch* told: what was told to an earlier leader, or to this one in an
 *   earlier epoch, counts for nothing, since the follower may have cut its log since then (docs/faults.md R7, RP-10).
 * - `durableEndOffset <= endOffset`.
 *
 * Data plane: one object a follower, changed in place.
 */

/** No fetch in this leader epoch yet. */
export const NO_POSITION = -1

export class ReplicaPosition {
  readonly brokerId: number
  /** Epoch of the incarnation that fetched last, or -1. */
  brokerEpoch = -1
  /** Where the follower's log ends, or -1. */
  endOffset = NO_POSITION
  /** End of what is durable there, as the topic's durability means it, or -1. */
  durableEndOffset = NO_POSITION
  /** First offset that the follower has, or -1. */
  logStartOffset = NO_POSITION
  /** Monotonic ms at which it last had, durably, all that the leader had. */
  caughtUpMs: number
  #lastFetchMs = -Infinity
  /** Where the leader's log ended at the last fetch. */
  #leaderEndOffset = Infinity

  /**
   * @param caughtUpMs - For a member of the ISR the beginning of the epoch: it gets a whole lag time to show up. For any
   *   other `-Infinity`: it has shown nothing yet.
   */
  constructor(brokerId: number, caughtUpMs: number) {
    this.brokerId = brokerId
    this.caughtUpMs = caughtUpMs
  }

  /** Takes what a fetch tells. @param leaderEndOffset - Where the leader's log ends now. */
  fetched(
    brokerEpoch: number,
    endOffset: number,
    durableEndOffset: number,
    logStartOffset: number,
    leaderEndOffset: number,
    nowMs: number,
  ): void {
    this.brokerEpoch = brokerEpoch
    this.endOffset = endOffset
    this.durableEndOffset = Math.min(durableEndOffset, endOffset)
    this.logStartOffset = logStartOffset
    if (this.durableEndOffset >= leaderEndOffset) this.caughtUpMs = nowMs
    // Under a steady load it never has all; but what there was at its last fetch it has now.
    else if (this.durableEndOffset >= this.#leaderEndOffset)
      this.caughtUpMs = Math.max(this.caughtUpMs, this.#lastFetchMs)
    this.#leaderEndOffset = leaderEndOffset
    this.#lastFetchMs = nowMs
  }

  /**
   * The leader is about to append: a follower that had all until now was caught up until now. Without this an idle
   * partition would find its followers lagging at the first record.
   */
  leaderAppends(leaderEndOffset: number, nowMs: number): void {
    if (this.durableEndOffset >= leaderEndOffset) this.caughtUpMs = nowMs
  }

  /** Whether it has not had everything for longer than `lagMsMax`. */
  isLagging(leaderEndOffset: number, nowMs: number, lagMsMax: number): boolean {
    return this.durableEndOffset < leaderEndOffset && nowMs - this.caughtUpMs > lagMsMax
  }
}

/**
 * The offset below which every one of `members` has everything durably: the high watermark, if the in-sync set is large
 * enough for it to move. `NO_POSITION` while a member is silent.
 *
 * @param members - The maximal ISR, the leader included.
 */
export function commonDurableEnd(
  members: readonly number[],
  ownId: number,
  ownDurableEndOffset: number,
  positions: ReadonlyMap<number, ReplicaPosition>,
): number {
  let lowest = ownDurableEndOffset
  for (const id of members) {
    if (id === ownId) continue
    const durableEndOffset = positions.get(id)?.durableEndOffset ?? NO_POSITION
    if (durableEndOffset < lowest) lowest = durableEndOffset
  }
  return lowest
}
