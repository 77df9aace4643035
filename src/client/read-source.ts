/**
 * Where a partition is read from by a consumer that has named its rack (KIP-392): at the replica to which the leader sent it,
 * or at the leader, and there with the rack named or without.
 *
 *   leader, rack named ── sent on ──> replica ── lease over, or idle ──> leader, rack named
 *     ^                                  │ refused once             (asks again who is closest)
 *     └──────────────────────────────────┤
 *                                        └ refused again, or lost ──> leader, no rack, for a while
 *
 * Only the leader knows what is committed, where the log begins, and whether it was cut: what any broker says of that to one
 * that named its rack may come from a replica that is behind, and is asked again of the leader without a rack.
 *
 * Invariants: no partition goes back and forth between brokers without a pause; one whose replica is gone is read on from the
 * leader at once, and stays there for longer than a cluster needs to find out.
 */

/** How long a partition stays with its leader after a replica has failed it, in ms: longer than a session time-out. */
export const LEADER_STAY_MS = 30_000

/**
 * A replica that has brought nothing for this long, in ms, may be cut off from the others and not know it: the leader is asked
 * who is closest now. Where there is nothing to bring that costs one round trip.
 */
export const REPLICA_IDLE_MS = 10_000

/** So many refusals by replicas in a row, and the leader is asked without a rack: it and they do not agree. */
const REFUSALS_MAX = 2

export class ReadSource {
  #replicaId: number | null = null
  /** End of the lease, on the monotonic clock: then the leader is asked anew who is closest. */
  #leaseEndMs = 0
  /** When the replica was named or last had records, on the monotonic clock. */
  #broughtAtMs = 0
  /** No rack is named before this, on the monotonic clock. */
  #leaderOnlyUntilMs = 0
  /** By replicas, since one of them has answered. */
  #refusalCount = 0

  /** The broker to read from; null: the leader. @param nowMs - On the monotonic clock, as all times here. */
  replicaId(nowMs: number): number | null {
    const isOver = nowMs >= this.#leaseEndMs || nowMs - this.#broughtAtMs >= REPLICA_IDLE_MS
    if (this.#replicaId !== null && isOver) this.#replicaId = null
    return this.#replicaId
  }

  /** Whether the leader may say that another replica is closer. */
  mayBeSentOn(nowMs: number): boolean {
    return nowMs >= this.#leaderOnlyUntilMs
  }

  /** The leader has said who is closest. @param leaseMs - How long that counts. */
  sentOn(replicaId: number, nowMs: number, leaseMs: number): void {
    this.#replicaId = replicaId
    this.#leaseEndMs = nowMs + leaseMs
    this.#broughtAtMs = nowMs
  }

  /** A replica has answered as a leader would have. @param bytes - Of records. */
  served(bytes: number, nowMs: number): void {
    this.#refusalCount = 0
    if (bytes > 0) this.#broughtAtMs = nowMs
  }

  /** A replica cannot answer now: it has no such partition any more, or is in another epoch. */
  refused(nowMs: number): void {
    this.#replicaId = null
    if (++this.#refusalCount >= REFUSALS_MAX) this.stayWithLeader(nowMs)
  }

  /** A replica is gone, or what it says has to be heard from the leader. */
  stayWithLeader(nowMs: number): void {
    this.#replicaId = null
    this.#refusalCount = 0
    this.#leaderOnlyUntilMs = nowMs + LEADER_STAY_MS
  }

  /** The broker that was named is none any more. */
  forget(): void {
    this.#replicaId = null
  }
}
