/**
 * What time it is, for the sake of deleting data by age.
 *
 * Wall clocks jump (faults.md F-CLK). A jump ten years ahead must not expire every segment in the next minute (ST-15,
 * S8). So this clock goes on with the monotonic one, follows the wall clock back at once, and follows it ahead by more
 * than `JUMP_MS` only when it has stayed there for `SETTLE_MS`: a machine that woke from a long sleep is believed
 * after that time, a clock that was wrong for a while never.
 *
 * What it cannot know is whether the clock was right when the process began.
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

  constructor(clock: Clock) {
    this.#clock = clock
    this.#offsetMs = clock.wallTimeMs() - clock.monotonicMs()
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
