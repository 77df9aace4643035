/**
 * A bound on bytes that many connections share: requests received but not answered, answers not yet taken.
 *
 * Invariants: `used` never falls below 0; a holder that was told to wait is called exactly once, in the order in
 * which they began to wait, after `used` fell to the limit or below.
 */
import { broken } from '../base/assert.ts'

export class ByteBudget {
  readonly limitBytes: number
  #usedBytes = 0
  readonly #waiting = new Set<() => void>()

  constructor(limitBytes: number) {
    this.limitBytes = limitBytes
  }

  get usedBytes(): number {
    return this.#usedBytes
  }

  get isExhausted(): boolean {
    return this.#usedBytes > this.limitBytes
  }

  take(bytes: number): void {
    this.#usedBytes += bytes
  }

  give(bytes: number): void {
    this.#usedBytes -= bytes
    if (this.#usedBytes < 0) broken(`Byte budget given back more than was taken: ${this.#usedBytes}`)
    if (this.#waiting.size > 0 && !this.isExhausted) this.#wake()
  }

  /** Calls `resume` once, when the budget is no longer exhausted. Asking again before that changes nothing. */
  whenAvailable(resume: () => void): void {
    this.#waiting.add(resume)
  }

  forget(resume: () => void): void {
    this.#waiting.delete(resume)
  }

  #wake(): void {
    for (const resume of this.#waiting) {
      if (this.isExhausted) return
      this.#waiting.delete(resume)
      resume()
    }
  }
}
