/**
 * One output stream as the commands see it: is there a person, how wide is the screen, may there be colour, and writes
 * that wait while the reader is slow.
 *
 * What topics, brokers and files contain is written by others. Shown raw on a terminal it could move the cursor, change
 * the title or forge output, so everything that is not ours goes through `printable` first.
 */
import type { Writable } from 'node:stream'

/** Columns of a terminal that does not say. */
const WIDTH_DEFAULT = 80

export type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan'

const STYLES: Readonly<Record<Style, readonly [number, number]>> = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  cyan: [36, 39],
}

export interface TerminalStream extends Writable {
  readonly isTTY?: boolean
  readonly columns?: number
}

export class Terminal {
  /** Whether a person looks at it. */
  readonly isTty: boolean
  readonly #stream: TerminalStream
  readonly #hasColour: boolean

  constructor(stream: TerminalStream, environment: Readonly<Record<string, string | undefined>>) {
    this.#stream = stream
    this.isTty = stream.isTTY === true
    // NO_COLOR counts when it is not empty (https://no-color.org); a dumb terminal shows escapes as text.
    this.#hasColour = this.isTty && (environment['NO_COLOR'] ?? '') === '' && environment['TERM'] !== 'dumb'
  }

  /** Columns; as wide as it takes when nobody looks. */
  get width(): number {
    return this.isTty ? (this.#stream.columns ?? WIDTH_DEFAULT) : Number.POSITIVE_INFINITY
  }

  style(style: Style, text: string): string {
    if (!this.#hasColour) return text
    const [on, off] = STYLES[style]
    return `\u001b[${on}m${text}\u001b[${off}m`
  }

  /** @returns Once the stream takes more: callers that write much wait for it. */
  async write(content: string | Uint8Array): Promise<void> {
    if (this.#stream.write(content) || this.#stream.destroyed) return
    await new Promise<void>((resolve) => {
      const done = (): void => {
        this.#stream.off('drain', done)
        this.#stream.off('close', done)
        resolve()
      }
      this.#stream.on('drain', done)
      this.#stream.on('close', done)
    })
  }

  line(text = ''): Promise<void> {
    return this.write(`${text}\n`)
  }

  /** Replaces the line that the cursor is on; only for a terminal. An empty text clears it. */
  overwrite(text: string): void {
    if (this.isTty) this.#stream.write(`\r\u001b[K${fit(text, this.width - 1)}`)
  }
}

// C0, DEL, C1, direction marks, line and paragraph separators, direction overrides and isolates, the byte order mark,
// and halves of surrogate pairs. Tags and other invisible planes cannot act on a terminal.
const UNPRINTABLE =
  /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g

const SHORT_ESCAPES: ReadonlyMap<string, string> = new Map([
  ['\n', '\\n'],
  ['\r', '\\r'],
  ['\t', '\\t'],
])

/** Text that can do nothing to a terminal: control characters and marks that reorder text become escapes. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, (character) => {
    const short = SHORT_ESCAPES.get(character)
    return short ?? `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
  })
}

/** JSON that can do nothing to a terminal either: it is the same JSON, with more of its characters as escapes. */
export function printableJson(json: string): string {
  return json.replace(UNPRINTABLE, (character) =>
    character === '\n' ? character : `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

/** Columns that a text takes on a terminal: East Asian wide characters take two, marks that combine take none. */
export function displayWidth(text: string): number {
  let width = 0
  for (const character of text) {
    if (/\p{Mark}/u.test(character)) continue
    width += isWide(character.codePointAt(0)!) ? 2 : 1
  }
  return width
}

/** Cuts a text to `width` columns, with a mark where something is missing. */
export function fit(text: string, width: number): string {
  if (displayWidth(text) <= width) return text
  let fitted = ''
  let used = 1
  for (const character of text) {
    used += displayWidth(character)
    if (used > width) break
    fitted += character
  }
  return `${fitted}…`
}

/** Hangul, CJK, full-width forms and emoji: blocks, not the full table of Unicode, since this only aligns columns. */
function isWide(codePoint: number): boolean {
  return (
    (codePoint >= 0x1100 && codePoint <= 0x115f) ||
    (codePoint >= 0x2e80 && codePoint <= 0xa4cf) ||
    (codePoint >= 0xac00 && codePoint <= 0xd7a3) ||
    (codePoint >= 0xf900 && codePoint <= 0xfaff) ||
    (codePoint >= 0xfe30 && codePoint <= 0xfe6f) ||
    (codePoint >= 0xff00 && codePoint <= 0xff60) ||
    (codePoint >= 0xffe0 && codePoint <= 0xffe6) ||
    (codePoint >= 0x1f300 && codePoint <= 0x1faff) ||
    (codePoint >= 0x20000 && codePoint <= 0x3fffd)
  )
}
