/**
 * S4 (docs/faults.md): no unhandled rejection, no broken assertion, and nothing that only a defect throws. A rejection that
 * nobody took has no node, but it comes in the turn of the event that caused it; and what a broker caught, it has logged.
 * Nor does a broker end by itself, or fail to start, but for its own disk: what others lack it waits for.
 */
import { AssertionError } from '../../../src/base/assert.ts'
import type { Ended } from '../../../src/sim/sim-host.ts'
import type { Said } from '../support/sim-cluster.ts'
import { fail } from './violation.ts'

/** Causes of causes are looked at this deep. */
const CAUSES_MAX = 10

/** What a disk that fails, is damaged, or is full when the broker starts makes a broker end with. */
const DISK_REASONS: ReadonlySet<string> = new Set([
  'FILE_IO',
  'FILE_NO_SPACE',
  'LOG_CORRUPT',
  'LOG_DIRECTORY_MISMATCH',
  'LOG_WRONG_TOPIC',
  'QUORUM_STATE_CORRUPT',
])

export class DefectRule {
  readonly #said: readonly Said[]
  readonly #ended: readonly Ended[]
  readonly #rejections: unknown[] = []
  readonly #onRejection = (reason: unknown): void => {
    this.#rejections.push(reason)
  }
  #seen = 0
  #seenEnds = 0

  constructor(said: readonly Said[], ended: readonly Ended[]) {
    this.#said = said
    this.#ended = ended
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
    for (; this.#seenEnds < this.#ended.length; this.#seenEnds++) {
      const { node, error } = this.#ended[this.#seenEnds]!
      if (!isOfDisk(error)) fail('S4', `${node} ended by itself, and not for its disk: ${stackOf(error)}`)
    }
  }
}

function isOfDisk(error: Error): boolean {
  return causesOf(error).some((cause) => DISK_REASONS.has((cause as { code?: string }).code ?? ''))
}

/** Of an error and what caused it, the one that no environment and no input can bring about; or null. */
export function findDefect(value: unknown): Error | null {
  return causesOf(value).find((error) => error instanceof AssertionError || isLanguageError(error)) ?? null
}

/** An error, what caused it, and so on. */
function causesOf(value: unknown): readonly Error[] {
  const found: Error[] = []
  for (let error = value; found.length < CAUSES_MAX && error instanceof Error; error = error.cause)
    found.push(error)
  return found
}

function isLanguageError(error: Error): boolean {
  return error instanceof TypeError || error instanceof RangeError || error instanceof ReferenceError
}

function stackOf(reason: unknown): string {
  return reason instanceof Error ? (reason.stack ?? reason.message) : String(reason)
}
