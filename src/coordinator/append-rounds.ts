/**
 * When shards append what was written to them: all together, in rounds. Every append of a shard costs a write, a sync and a
 * message to each follower, and the same there; what several append in one turn shares the messages, and what one is given by
 * several groups between two rounds is one append.
 *
 *   a write ─► at the end of its turn, while rounds are rare   ─► as soon as one more is allowed, when they come often
 *
 * Rounds are counted over all shards of a broker, so that the cost of commits is bounded however many groups make them. Kafka's
 * new coordinator has each partition wait for itself (`group.coordinator.append.linger.ms`), which gathers nothing while
 * thousands of groups are spread over them.
 *
 * Invariant: a write waits for at most `ROUND_MS`; it does not wait at all after `BURST * ROUND_MS` without one.
 */
import type { Clock } from '../env/index.ts'

/** One round in so many ms, over time. What a commit under load waits longer at most. */
export const ROUND_MS = 10
/** Rounds that may follow each other at once. */
export const BURST = 10

export class AppendRounds {
  readonly #clock: Pick<Clock, 'after' | 'endOfTurn' | 'monotonicMs'>
  #waiting: (() => void)[] = []
  /** Monotonic: when all rounds so far are paid for, one for each `ROUND_MS`. */
  #paidMs = -Infinity

  constructor(clock: Pick<Clock, 'after' | 'endOfTurn' | 'monotonicMs'>) {
    this.#clock = clock
  }

  /** @param append - Called once, in the next round. */
  join(append: () => void): void {
    this.#waiting.push(append)
    if (this.#waiting.length > 1) return
    const waitMs = this.#paidMs - (BURST - 1) * ROUND_MS - this.#clock.monotonicMs()
    const run = (): void => this.#run()
    if (waitMs <= 0) this.#clock.endOfTurn(run)
    else this.#clock.after(waitMs, run)
  }

  #run(): void {
    this.#paidMs = Math.max(this.#paidMs, this.#clock.monotonicMs()) + ROUND_MS
    const waiting = this.#waiting
    this.#waiting = []
    let index = 0
    try {
      while (index < waiting.length) waiting[index++]!()
    } finally {
      // One that throws must not take the others with it.
      for (const append of waiting.slice(index)) this.join(append)
    }
  }
}
