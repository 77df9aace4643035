/**
 * What the client says while it works on, such as that it lost its connection and tries again, as lines for a person: each
 * thing once, however often the client tries.
 */
import type { LogFields, Logger } from '../src/index.ts'
import { printable } from './terminal.ts'
import type { Terminal } from './terminal.ts'

/** After this time in ms the same thing is news again. */
const REPEAT_MS = 30_000

export class Notices implements Logger {
  readonly #err: Terminal
  readonly #nowMs: () => number
  #lastText = ''
  #lastMs = Number.NEGATIVE_INFINITY

  constructor(err: Terminal, nowMs: () => number = () => performance.now()) {
    this.#err = err
    this.#nowMs = nowMs
  }

  debug(): void {
    // Of no use to whoever runs a command.
  }

  info(): void {
    // Likewise.
  }

  warn(message: string, fields: LogFields = {}): void {
    const { error } = fields
    const text = error instanceof Error ? `${message}: ${error.message}` : message
    const nowMs = this.#nowMs()
    if (text === this.#lastText && nowMs - this.#lastMs < REPEAT_MS) return
    this.#lastText = text
    this.#lastMs = nowMs
    this.#err.overwrite('')
    void this.#err.line(`${this.#err.style('yellow', 'note:')} ${printable(text)}`)
  }

  error(message: string, fields?: LogFields): void {
    this.warn(message, fields)
  }
}
