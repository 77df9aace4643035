/**
 * Fetch sessions (KIP-227): what a reader wants is remembered here, so that its requests name only what changed. The cache
 * knows ids, epochs and who must go when there are too many; what a session remembers is its owner's.
 *
 *   request            epoch 0              epoch 1, 2, … (int32, then 1 again)      epoch -1
 *   means              begin a session      the next request of it                    no session; end this one
 *
 * Invariants:
 * - At most `sessionsMax` sessions, and `partitionsMax` partitions in all those of consumers; who finds no room is served
 *   without a session.
 * - A follower's session goes only when it ends, or for a newer one of the same follower: without it a follower would tell
 *   all its partitions with every fetch. A consumer's goes when a newer one needs its place and it was idle for
 *   `IDLE_MS`.
 * - An id is drawn at random, so that nobody comes upon another's session by chance.
 */
import type { Clock, Random } from '../env/index.ts'

/** Asks for a full fetch that begins a session; no session has it as its next epoch. */
export const INITIAL_EPOCH = 0
/** Asks for a full fetch without a session. */
export const FINAL_EPOCH = -1
export const NO_SESSION = 0

/** A session that was not used for this long may go, in ms; as in Kafka. */
const IDLE_MS = 120_000
const ID_MAX = 2 ** 31 - 1
const EPOCH_MAX = 2 ** 31 - 1

export type SessionFault = 'FETCH_SESSION_ID_NOT_FOUND' | 'INVALID_FETCH_SESSION_EPOCH'

/** What the cache needs of a session. */
export interface FetchSession {
  /** Partitions that it remembers. */
  readonly size: number
  /** A follower's: never put out for another's sake. */
  readonly isPrivileged: boolean
  /** It has ended. Called once, not by `end`. */
  evicted(): void
}

export interface FetchSessionsOptions {
  readonly sessionsMax: number
  readonly partitionsMax: number
}

interface Slot<S> {
  readonly session: S
  nextEpoch: number
  usedMs: number
}

export class FetchSessions<S extends FetchSession> {
  readonly #clock: Clock
  readonly #random: Random
  readonly #options: FetchSessionsOptions
  /** By id, the one that was used longest ago first. */
  readonly #slots = new Map<number, Slot<S>>()
  /** At least as many partitions as all sessions of consumers remember: counted anew only when it would be too many. */
  #partitionCountMax = 0

  constructor(ports: { readonly clock: Clock; readonly random: Random }, options: FetchSessionsOptions) {
    this.#clock = ports.clock
    this.#random = ports.random
    this.#options = options
  }

  get count(): number {
    return this.#slots.size
  }

  /** Keeps a session whose next request has epoch 1. @returns Its id, or `NO_SESSION` when there is no room. */
  begin(session: S): number {
    if (!session.isPrivileged && !this.#makeRoom(session.size)) return NO_SESSION
    let id = NO_SESSION
    do id = 1 + this.#random.below(ID_MAX)
    while (this.#slots.has(id))
    this.#slots.set(id, { session, nextEpoch: 1, usedMs: this.#clock.monotonicMs() })
    return id
  }

  /** The session of that id, which stays as it is. */
  peek(id: number): S | undefined {
    return this.#slots.get(id)?.session
  }

  /** The session whose next request this is. */
  next(id: number, epoch: number): S | SessionFault {
    const slot = this.#slots.get(id)
    if (slot === undefined) return 'FETCH_SESSION_ID_NOT_FOUND'
    if (slot.nextEpoch !== epoch) return 'INVALID_FETCH_SESSION_EPOCH'
    slot.nextEpoch = epoch === EPOCH_MAX ? 1 : epoch + 1
    slot.usedMs = this.#clock.monotonicMs()
    this.#slots.delete(id)
    this.#slots.set(id, slot)
    return slot.session
  }

  /** Whether a session may remember `count` partitions more; it is taken to do so. */
  mayGrow(count: number): boolean {
    const { partitionsMax } = this.#options
    if (this.#partitionCountMax + count > partitionsMax) {
      this.#partitionCountMax = 0
      for (const { session } of this.#slots.values())
        if (!session.isPrivileged) this.#partitionCountMax += session.size
    }
    if (this.#partitionCountMax + count > partitionsMax) return false
    this.#partitionCountMax += count
    return true
  }

  /** Forgets a session. @returns It, if it was there. */
  end(id: number): S | null {
    const slot = this.#slots.get(id)
    this.#slots.delete(id)
    return slot?.session ?? null
  }

  /** Puts out idle sessions of consumers, longest idle first, until one of `size` fits. */
  #makeRoom(size: number): boolean {
    const idleSinceMs = this.#clock.monotonicMs() - IDLE_MS
    for (const [id, { session, usedMs }] of this.#slots) {
      if (this.#hasRoom(size) || usedMs > idleSinceMs) break
      if (session.isPrivileged) continue
      this.#slots.delete(id)
      session.evicted()
    }
    return this.#hasRoom(size)
  }

  #hasRoom(size: number): boolean {
    return this.#slots.size < this.#options.sessionsMax && this.mayGrow(size)
  }
}
