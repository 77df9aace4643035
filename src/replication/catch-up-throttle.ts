/**
 * Bounds what followers that are out of sync fetch, in bytes a second over all partitions of a broker, so that a replica that
 * copies a terabyte leaves the disk and the network to those that are in sync, which are never held back.
 *
 * A bucket of one second: it may be overdrawn by one answer, and nothing more is fetched until it is full to zero again.
 */
import type { Cancel, Clock } from '../env/index.ts'

const SECOND_MS = 1000

export class CatchUpThrottle {
  readonly #clock: Clock
  readonly #bytesPerSecond: number
  #bytes: number
  #filledMs: number
  #waiting: (() => void)[] = []
  #cancel: Cancel = () => undefined

  /** @param bytesPerSecond - Infinity for no bound. */
  constructor(clock: Clock, bytesPerSecond: number) {
    this.#clock = clock
    this.#bytesPerSecond = bytesPerSecond
    this.#bytes = bytesPerSecond
    this.#filledMs = clock.monotonicMs()
  }

  get isExhausted(): boolean {
    if (this.#bytesPerSecond === Infinity) return false
    this.#fill()
    return this.#bytes <= 0
  }

  take(bytes: number): void {
    if (this.#bytesPerSecond !== Infinity) this.#bytes -= bytes
  }

  /** Calls `resume` once, when there is room again. Only while it is exhausted. */
  whenAvailable(resume: () => void): void {
    this.#waiting.push(resume)
    if (this.#waiting.length > 1) return
    // One byte more than the debt, so that the timer does not find it exhausted to the last byte.
    const delayMs = ((1 - this.#bytes) / this.#bytesPerSecond) * SECOND_MS
    this.#cancel = this.#clock.after(Math.max(1, delayMs), () => {
      const waiting = this.#waiting
      this.#waiting = []
      for (const each of waiting) each()
    })
  }

  close(): void {
    this.#waiting = []
    this.#cancel()
  }

  #fill(): void {
    const nowMs = this.#clock.monotonicMs()
    const gained = ((nowMs - this.#filledMs) / SECOND_MS) * this.#bytesPerSecond
    this.#bytes = Math.min(this.#bytesPerSecond, this.#bytes + gained)
    this.#filledMs = nowMs
  }
}
