/**
 * When each broker was last heard of, and how much of the metadata it knows. Not replicated: a new controller begins with
 * no sessions, gives everyone one session time to show up, and nobody is fenced for its predecessor's silence; but for the
 * predecessor itself, whose own silence the new controller has heard.
 *
 * Invariants:
 * - Time in which this process itself stood still counts for nobody: what brokers sent meanwhile lies unread (faults.md
 *   ND-1). Whoever keeps time says so by `stoodStill`.
 * - A node vouches for the broker in its own process once it has heard of it.
 */
import type { Clock } from '../env/index.ts'

interface Session {
  heardMs: number
  /** Offset after the last metadata record that the broker has put into effect. */
  knownEndOffset: number
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

  /** The broker has put all metadata before `endOffset` into effect. */
  knows(brokerId: number, endOffset: number): void {
    const session = this.#get(brokerId)
    session.knownEndOffset = Math.max(session.knownEndOffset, endOffset)
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
      session = { heardMs: this.#nowMs, knownEndOffset: 0, leaveEndOffset: null }
      this.#sessions.set(brokerId, session)
    }
    return session
  }
}
