/**
 * What the client says while it works on, such as that it lost its connection and tries again, as lines for a person: each
 * thing once, however often the client tries, and once more when it works again.
 */
import type { LogFields, Logger } from '../src/index.ts'
import { codeOf } from './errors.ts'
import { printable } from './terminal.ts'
import type { Terminal } from './terminal.ts'

/** After this time in ms the same thing is news again. */
const REPEAT_MS = 30_000
/** Things remembered; past it they are news again, which bounds the memory. */
const REMEMBERED_MAX = 100

/** All that is said of one broken connection counts as one thing. */
const CONNECTION_CODES: ReadonlySet<string> = new Set([
  'CLIENT_CANNOT_CONNECT',
  'CLIENT_DISCONNECTED',
  'CLIENT_TIMED_OUT',
])

export class Notices implements Logger {
  readonly #err: Terminal
  readonly #nowMs: () => number
  /** When each thing was said last. */
  readonly #saidMs = new Map<string, number>()

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
    this.#say(CONNECTION_CODES.has(codeOf(error)) ? 'connection' : text, text)
  }

  error(message: string, fields?: LogFields): void {
    this.warn(message, fields)
  }

  /** Tells that records come again, if it was told that they do not. */
  recovered(): void {
    if (this.#saidMs.delete('connection')) this.#print('The connection is back')
  }

  #say(thing: string, text: string): void {
    const nowMs = this.#nowMs()
    if (nowMs - (this.#saidMs.get(thing) ?? Number.NEGATIVE_INFINITY) < REPEAT_MS) return
    if (this.#saidMs.size >= REMEMBERED_MAX) this.#saidMs.clear()
    this.#saidMs.set(thing, nowMs)
    this.#print(text)
  }

  #print(text: string): void {
    this.#err.overwrite('')
    void this.#err.line(`${this.#err.style('yellow', 'note:')} ${printable(text)}`)
  }
}
