/**
 * When each broker was last heard of, in this controller's own monotonic time. Not replicated: a new controller begins
 * with no sessions, gives everyone one session time to show up, and nobody is fenced for its predecessor's silence.
 */
import type { Clock } from '../env/index.ts'

/** A broker silent for this long, in ms, is taken for dead; Kafka's `broker.session.timeout.ms`. */
export const BROKER_SESSION_MS = 9000

export class BrokerSessions {
  readonly #clock: Pick<Clock, 'monotonicMs'>
  readonly #startedMs: number
  readonly #heardMs = new Map<number, number>()

  constructor(clock: Pick<Clock, 'monotonicMs'>) {
    this.#clock = clock
    this.#startedMs = clock.monotonicMs()
  }

  /** A sign of life. */
  touch(brokerId: number): void {
    this.#heardMs.set(brokerId, this.#clock.monotonicMs())
  }

  end(brokerId: number): void {
    this.#heardMs.delete(brokerId)
  }

  /** Whether the broker gave a sign of life within the session time. */
  has(brokerId: number): boolean {
    const heardMs = this.#heardMs.get(brokerId)
    return heardMs !== undefined && this.#clock.monotonicMs() - heardMs < BROKER_SESSION_MS
  }

  /** Whether the broker has had a whole session time to show up and did not. */
  isSilent(brokerId: number): boolean {
    return !this.has(brokerId) && this.#clock.monotonicMs() - this.#startedMs >= BROKER_SESSION_MS
  }
}
