/**
 * The first round of an empty group waits for more members, since most of them start together (KIP-134): for one delay, and
 * for another one as long as members came in the last, within the rebalance time-out.
 */
import type { RoundTimer } from './round-timer.ts'

export class InitialDelay {
  readonly #timer: RoundTimer
  #isRunning = false
  #hasNewcomer = false

  constructor(timer: RoundTimer) {
    this.#timer = timer
  }

  /** Whether the round may end by this delay alone. */
  get isRunning(): boolean {
    return this.#isRunning
  }

  /**
   * @param delayMs - One delay.
   * @param budgetMs - All of them, unless one alone is longer.
   */
  start(delayMs: number, budgetMs: number, onEnd: () => void): void {
    this.#isRunning = true
    this.#hasNewcomer = false
    this.#timer.start(delayMs, () => {
      const leftMs = budgetMs - delayMs
      if (this.#hasNewcomer && leftMs > 0) this.start(Math.min(delayMs, leftMs), leftMs, onEnd)
      else {
        this.#isRunning = false
        onEnd()
      }
    })
  }

  /** Somebody came: one more delay is worth it. */
  noteNewcomer(): void {
    this.#hasNewcomer = true
  }
}
