/**
 * The time by which committed offsets get old. Wall clocks jump (faults.md F-CLK, CG-5), and offsets that a jump has expired
 * are gone for good. So there are two clocks: the wall, and the wall as it was when the shard was loaded plus what has passed
 * since. An offset is stamped by the later of the two and judged by the earlier: a jump either way while the shard is led
 * here only ever keeps offsets longer.
 */
import type { Clock } from '../../env/index.ts'

export class RetentionClock {
  readonly #clock: Clock
  readonly #startWallMs: number
  readonly #startMonotonicMs: number

  constructor(clock: Clock) {
    this.#clock = clock
    this.#startWallMs = clock.wallTimeMs()
    this.#startMonotonicMs = clock.monotonicMs()
  }

  /** For what is written now: ms since the Unix epoch, a whole number. */
  stampMs(): number {
    return Math.max(this.#clock.wallTimeMs(), this.#steadyMs())
  }

  /** For judging what was written: ms since the Unix epoch, a whole number. */
  judgeMs(): number {
    return Math.min(this.#clock.wallTimeMs(), this.#steadyMs())
  }

  #steadyMs(): number {
    return this.#startWallMs + Math.floor(this.#clock.monotonicMs() - this.#startMonotonicMs)
  }
}
