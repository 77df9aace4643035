/**
 * How `tail` and `dump --records` write a record.
 *
 *   %t topic   %p partition   %o offset   %T time (ISO 8601, UTC)   %k key   %v value   %h headers   %% a percent sign
 *   \n \t \r \0 \\ as in C
 *
 * In a pipe keys and values are written byte for byte, so that what was produced comes out again. On a terminal they are
 * text with everything escaped that could act on it. In JSON they are text when they are UTF-8, else base64, and
 * `keyEncoding` and `valueEncoding` say which.
 */
import { isoTime } from './human.ts'
import { unescape } from './arguments.ts'
import { InvalidArgumentError } from 'commander'
import { printable } from './terminal.ts'

/** The part of the client's record that is shown. */
export interface ShownRecord {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  /** In ms since 1970; -1 for none. */
  readonly timestamp: number
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
  readonly headers: readonly { readonly key: string; readonly value: Uint8Array | null }[]
}

/** Formats by name, as `--format` takes them. */
export const PRESETS: ReadonlyMap<string, string> = new Map([
  ['value', '%v\\n'],
  ['key-value', '%k\\t%v\\n'],
  ['offset', '%p\\t%o\\t%T\\t%k\\t%v\\n'],
  ['full', '%T  %p@%o  %k  %v  %h\\n'],
])

const utf8 = new TextEncoder()
const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

export type RecordWriter = (record: ShownRecord) => string | Uint8Array

type Piece = Uint8Array | ((record: ShownRecord) => Uint8Array)

/**
 * Compiles a format.
 *
 * @param format - A preset's name or a format; without a line end of its own, one is added.
 * @param isForTerminal - Escape keys, values and headers instead of writing their bytes.
 * @throws {InvalidArgumentError} For a placeholder that does not exist.
 */
export function compileFormat(format: string, isForTerminal: boolean): RecordWriter {
  const pieces = parseFormat(PRESETS.get(format) ?? format, isForTerminal)
  return (record) =>
    Buffer.concat(pieces.map((piece) => (typeof piece === 'function' ? piece(record) : piece)))
}

function parseFormat(format: string, isForTerminal: boolean): readonly Piece[] {
  const payload = (bytes: Uint8Array | null): Uint8Array => {
    if (isForTerminal) return utf8.encode(payloadText(bytes))
    return bytes ?? new Uint8Array(0)
  }
  const text = (shown: string | number): Uint8Array => utf8.encode(printable(String(shown)))
  const placeholders = new Map<string, Piece>([
    ['t', (record) => text(record.topic)],
    ['p', (record) => text(record.partition)],
    ['o', (record) => text(record.offset)],
    ['T', (record) => text(isoTime(record.timestamp))],
    ['k', (record) => payload(record.key)],
    ['v', (record) => payload(record.value)],
    ['h', (record) => utf8.encode(headersText(record.headers))],
    ['%', utf8.encode('%')],
  ])
  const pieces: Piece[] = []
  for (const [index, part] of format.split(/(%.?)/su).entries()) {
    const isPlaceholder = index % 2 === 1
    const piece = isPlaceholder ? placeholders.get(part.slice(1)) : utf8.encode(unescape(part))
    if (piece === undefined) {
      throw new InvalidArgumentError(
        `There is no placeholder ${part}: wanted %t, %p, %o, %T, %k, %v, %h or %%, or one of ${[...PRESETS.keys()].join(', ')}.`,
      )
    }
    if (piece instanceof Function || piece.length > 0) pieces.push(piece)
  }
  const last = pieces.at(-1)
  const endsLine = last instanceof Uint8Array && last.at(-1) === 10
  return endsLine || format.endsWith('\\0') ? pieces : [...pieces, utf8.encode('\n')]
}

/** A key or value for people: `null` for none, escapes for what is no text. */
export function payloadText(bytes: Uint8Array | null): string {
  if (bytes === null) return 'null'
  const decoded = decodeText(bytes)
  if (decoded !== null) return printable(decoded)
  return Array.from(bytes, (byte) =>
    byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, '0')}`,
  ).join('')
}

function headersText(headers: ShownRecord['headers']): string {
  return headers.map(({ key, value }) => `${printable(key)}=${payloadText(value)}`).join(' ')
}

export interface RecordObject {
  readonly offset: number
  readonly timestampMs: number
  readonly key: string | null
  readonly keyEncoding: PayloadEncoding | null
  readonly value: string | null
  readonly valueEncoding: PayloadEncoding | null
  readonly headers: readonly {
    readonly key: string
    readonly value: string | null
    readonly valueEncoding: PayloadEncoding | null
  }[]
}

export type PayloadEncoding = 'utf8' | 'base64'

/** A record as `-o json` and `-o ndjson` show it, without the place that `tail` puts before it. */
export function toRecordObject(record: Omit<ShownRecord, 'topic' | 'partition'>): RecordObject {
  const key = encodePayload(record.key)
  const value = encodePayload(record.value)
  return {
    offset: record.offset,
    timestampMs: record.timestamp,
    key: key.text,
    keyEncoding: key.encoding,
    value: value.text,
    valueEncoding: value.encoding,
    headers: record.headers.map((header) => {
      const { text, encoding } = encodePayload(header.value)
      return { key: header.key, value: text, valueEncoding: encoding }
    }),
  }
}

function encodePayload(bytes: Uint8Array | null): {
  readonly text: string | null
  readonly encoding: PayloadEncoding | null
} {
  if (bytes === null) return { text: null, encoding: null }
  const text = decodeText(bytes)
  if (text !== null) return { text, encoding: 'utf8' }
  return {
    text: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64'),
    encoding: 'base64',
  }
}

/** The text, or null when the bytes are not UTF-8 and would not come back from it. */
function decodeText(bytes: Uint8Array): string | null {
  try {
    return strictUtf8.decode(bytes)
  } catch {
    return null // Not an error: the caller shows it another way.
  }
}
