/**
 * What time it is, for the sake of deleting data by age.
 *
 * Wall clocks jump (faults.md F-CLK). A jump ten years ahead must not expire every segment in the next minute (ST-15,
 * S8). So this clock goes on with the monotonic one, follows the wall clock back at once, and follows it ahead by more
 * than `JUMP_MS` only when it has stayed there for `SETTLE_MS`: a machine that woke from a long sleep is believed
 * after that time, a clock that was wrong for a while never.
 *
 * A start is no other moment: the last life wrote down its checkpoints every minute, and what the wall clock is ahead of the last
 * of those is a jump like any other. So a broker that was away for days deletes by age an hour after it is back, and one whose
 * clock is years ahead deletes nothing if that is put right within the hour. What it cannot know is whether the clock was right
 * when the last life wrote them: a second start by the same wrong clock believes it.
 */
import type { Clock } from '../env/index.ts'

/** Ahead by less than this is drift or a small correction. */
const JUMP_MS = 600_000

/** How long a clock that jumped ahead must stay there to be believed. */
const SETTLE_MS = 3_600_000

export class RetentionClock {
  readonly #clock: Clock
  /** Wall time minus monotonic time, as believed. */
  #offsetMs: number
  /** When the wall clock was first seen ahead, in monotonic ms; null while it is not. */
  #aheadSinceMs: number | null = null

  /** @param lastLivedMs - When the last life is known to have been, in ms since the epoch; null: there is no trace of one. */
  constructor(clock: Clock, lastLivedMs: number | null = null) {
    this.#clock = clock
    this.#offsetMs = Math.min(clock.wallTimeMs(), lastLivedMs ?? Infinity) - clock.monotonicMs()
  }

  /** Ms since the epoch. Ask at least every few minutes: what happened in between is seen as one jump. */
  nowMs(): number {
    const monotonicMs = this.#clock.monotonicMs()
    const offsetMs = this.#clock.wallTimeMs() - monotonicMs
    const isAhead = offsetMs - this.#offsetMs > JUMP_MS
    if (!isAhead) this.#aheadSinceMs = null
    else this.#aheadSinceMs ??= monotonicMs
    if (!isAhead || monotonicMs - this.#aheadSinceMs! >= SETTLE_MS) {
      this.#offsetMs = offsetMs
      this.#aheadSinceMs = null
    }
    return monotonicMs + this.#offsetMs
  }
}
