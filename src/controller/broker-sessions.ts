/**
 * When each broker was last heard of, and how much of the metadata it knows. Not replicated: a new controller begins with
 * no sessions, gives everyone one session time to show up, and nobody is fenced for its predecessor's silence; but for the
 * predecessor itself, whose own silence the new controller has heard.
 *
 * Invariants:
 * - Time in which this process itself stood still counts for nobody: what brokers sent meanwhile lies unread (faults.md
 *   ND-1). Whoever keeps time says so by `stoodStill`.
 * - A node vouches for the broker in its own process once it has heard of it.
 * - A broker is deaf that beats and puts no metadata into effect for a session time while there are some that it lacks: its
 *   disk is full, say (faults.md ST-8). It does not hear who leads, nor that it does itself. One that is slow is not deaf.
 */
import type { Clock } from '../env/index.ts'

interface Session {
  heardMs: number
  /** Offset after the last metadata record that the broker has put into effect. */
  knownEndOffset: number
  /** Where the metadata ended when it was last heard of. */
  presentEndOffset: number
  /** Since when it has put nothing into effect, with some to put; null: it goes on, or there is nothing. */
  stuckSinceMs: number | null
  /** Since when it wants to stop: offset after the records that moved its leaderships; null if it does not. */
  leaveEndOffset: number | null
}

export class BrokerSessions {
  readonly #clock: Pick<Clock, 'monotonicMs'>
  readonly #nodeId: number
  readonly #sessionMs: number
  readonly #sessions = new Map<number, Session>()
  readonly #startedMs: number
  #stillMs = 0

  constructor(clock: Pick<Clock, 'monotonicMs'>, nodeId: number, sessionMs: number) {
    this.#clock = clock
    this.#nodeId = nodeId
    this.#sessionMs = sessionMs
    this.#startedMs = this.#nowMs
  }

  /** A sign of life. */
  touch(brokerId: number): void {
    this.#get(brokerId).heardMs = this.#nowMs
  }

  /**
   * A broker that was heard of before this controller was active. Half a session is left to it whatever happens: it has to
   * find the new controller first.
   */
  wasHeard(brokerId: number, atMs: number): void {
    this.#get(brokerId).heardMs = Math.max(atMs, this.#nowMs - this.#sessionMs / 2)
  }

  /** A new incarnation knows nothing yet and wants to stay. */
  begin(brokerId: number): void {
    this.#sessions.delete(brokerId)
    this.touch(brokerId)
  }

  end(brokerId: number): void {
    this.#sessions.delete(brokerId)
  }

  /** The broker has put all metadata before `endOffset` into effect, of those before `presentEndOffset` that are committed. */
  knows(brokerId: number, endOffset: number, presentEndOffset: number): void {
    const session = this.#get(brokerId)
    const isStuck = endOffset <= session.knownEndOffset && endOffset < session.presentEndOffset
    session.stuckSinceMs = isStuck ? (session.stuckSinceMs ?? this.#nowMs) : null
    session.presentEndOffset = presentEndOffset
    session.knownEndOffset = Math.max(session.knownEndOffset, endOffset)
  }

  /** Whether it has put nothing into effect for a session time of what it lacks. */
  isDeaf(brokerId: number): boolean {
    const sinceMs = this.#sessions.get(brokerId)?.stuckSinceMs ?? null
    return sinceMs !== null && this.#nowMs - sinceMs >= this.#sessionMs
  }

  /** Offset before which the broker has put all into effect, as it said itself; 0 if it said nothing. */
  knownEndOffset(brokerId: number): number {
    return this.#sessions.get(brokerId)?.knownEndOffset ?? 0
  }

  /** The leaderships of the broker were moved by records before `endOffset`. */
  leaves(brokerId: number, endOffset: number): void {
    this.#get(brokerId).leaveEndOffset = endOffset
  }

  leaveEndOffset(brokerId: number): number | null {
    return this.#sessions.get(brokerId)?.leaveEndOffset ?? null
  }

  /** Whether the broker has had a whole session time to show up and did not. */
  isSilent(brokerId: number): boolean {
    const heardMs = this.#sessions.get(brokerId)?.heardMs
    if (heardMs !== undefined && brokerId === this.#nodeId) return false
    return this.#nowMs - (heardMs ?? this.#startedMs) >= this.#sessionMs
  }

  stoodStill(ms: number): void {
    this.#stillMs += ms
  }

  /** Time in which this process ran, in ms. */
  get #nowMs(): number {
    return this.#clock.monotonicMs() - this.#stillMs
  }

  #get(brokerId: number): Session {
    let session = this.#sessions.get(brokerId)
    if (session === undefined) {
      session = {
        heardMs: this.#nowMs,
        knownEndOffset: 0,
        presentEndOffset: 0,
        stuckSinceMs: null,
        leaveEndOffset: null,
      }
      this.#sessions.set(brokerId, session)
    }
    return session
  }
}
