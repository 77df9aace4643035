/**
 * S4 (docs/faults.md): no unhandled rejection, no broken assertion, and nothing that only a defect throws. A rejection that
 * nobody took has no node, but it comes in the turn of the event that caused it; and what a broker caught, it has logged.
 */
import { AssertionError } from '../../../src/base/assert.ts'
import type { Said } from '../support/sim-cluster.ts'
import { fail } from './violation.ts'

/** Causes of causes are looked at this deep. */
const CAUSES_MAX = 10

export class DefectRule {
  readonly #said: readonly Said[]
  readonly #rejections: unknown[] = []
  readonly #onRejection = (reason: unknown): void => {
    this.#rejections.push(reason)
  }
  #seen = 0

  constructor(said: readonly Said[]) {
    this.#said = said
    process.on('unhandledRejection', this.#onRejection)
  }

  /** Listens no more. */
  close(): void {
    process.off('unhandledRejection', this.#onRejection)
  }

  /** @throws Violation */
  check(): void {
    if (this.#rejections.length > 0)
      fail('S4', `a rejection that nobody handles: ${stackOf(this.#rejections[0])}`)
    for (; this.#seen < this.#said.length; this.#seen++) {
      const { node, level, message, fields } = this.#said[this.#seen]!
      if (level !== 'error' && level !== 'warn') continue
      for (const value of Object.values(fields)) {
        const defect = findDefect(value)
        if (defect !== null) fail('S4', `${node} says: ${message}: ${stackOf(defect)}`)
      }
    }
  }
}

/** Of an error and what caused it, the one that no environment and no input can bring about; or null. */
export function findDefect(value: unknown): Error | null {
  let error = value
  for (let depth = 0; depth < CAUSES_MAX && error instanceof Error; depth++) {
    if (error instanceof AssertionError || isLanguageError(error)) return error
    error = error.cause
  }
  return null
}

function isLanguageError(error: Error): boolean {
  return error instanceof TypeError || error instanceof RangeError || error instanceof ReferenceError
}

function stackOf(reason: unknown): string {
  return reason instanceof Error ? (reason.stack ?? reason.message) : String(reason)
}
