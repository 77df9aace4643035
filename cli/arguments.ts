/**
 * What people type, as values: times, durations, sizes, partitions, `key=value`. Each function throws commander's
 * `InvalidArgumentError`, whose message commander puts after the name of the option.
 */
import { InvalidArgumentError } from 'commander'

const DURATION_UNITS_MS: ReadonlyMap<string, number> = new Map([
  ['ms', 1],
  ['s', 1000],
  ['m', 60_000],
  ['min', 60_000],
  ['h', 3_600_000],
  ['d', 86_400_000],
  ['w', 604_800_000],
])

const SIZE_UNITS: ReadonlyMap<string, number> = new Map([
  ['b', 1],
  ...['k', 'm', 'g', 't'].flatMap((letter, index): [string, number][] => [
    [letter, 1024 ** (index + 1)],
    [`${letter}ib`, 1024 ** (index + 1)],
    [`${letter}b`, 1000 ** (index + 1)],
  ]),
])

const DURATION_FORM = /^(?:\d+(?:\.\d+)?(?:ms|s|min|m|h|d|w))+$/
const DURATION_PART = /(\d+(?:\.\d+)?)(ms|s|min|m|h|d|w)/g

/** `15m`, `1h30m`, `500ms`, `7d` in ms. */
export function parseDuration(text: string): number {
  const duration = findDuration(text)
  if (duration === null) throw new InvalidArgumentError(`Wanted a duration such as 500ms, 15m, 1h30m or 7d.`)
  return duration
}

function findDuration(text: string): number | null {
  if (!DURATION_FORM.test(text)) return null
  const parts = [...text.matchAll(DURATION_PART)]
  const ms = parts.reduce((sum, [, count, unit]) => sum + Number(count) * DURATION_UNITS_MS.get(unit!)!, 0)
  return Number.isSafeInteger(Math.round(ms)) ? Math.round(ms) : null
}

/** `512`, `64k`, `10MiB` (1024s) and `10MB` (1000s) in bytes. */
export function parseSize(text: string): number {
  const size = findSize(text)
  if (size === null) throw new InvalidArgumentError('Wanted a size such as 512, 64KiB or 10GB.')
  return size
}

function findSize(text: string): number | null {
  const [, count, unit] = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text) ?? []
  const factor = SIZE_UNITS.get(unit === '' ? 'b' : (unit ?? '').toLowerCase())
  if (count === undefined || factor === undefined) return null
  const bytes = Math.round(Number(count) * factor)
  return Number.isSafeInteger(bytes) ? bytes : null
}

/** From this many digits on a bare number is ms since 1970 (2001 and later), never a year. */
const EPOCH_MS_DIGITS_MIN = 12

/**
 * A moment, in ms since 1970: `15m` (ago), `2026-01-31`, `2026-01-31T12:00`, with `Z` or an offset, or the ms
 * themselves. A time without a zone is local time, a date alone begins at local midnight.
 */
export function parseTime(text: string, nowMs: number): number {
  const ago = findDuration(text)
  if (ago !== null) return Math.max(0, nowMs - ago)
  if (/^\d+$/.test(text) && text.length >= EPOCH_MS_DIGITS_MIN && Number.isSafeInteger(Number(text))) {
    return Number(text)
  }
  const form = /^\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:?\d{2})?)?$/
  // ECMAScript reads a date alone as UTC, but with a time as local: say it the same way for both.
  const written = text.length === '2026-01-31'.length ? `${text}T00:00` : text.replace(' ', 'T')
  const time = form.test(text) ? Date.parse(written) : Number.NaN
  if (Number.isNaN(time) || time < 0) {
    throw new InvalidArgumentError(
      'Wanted a time such as 2026-01-31T12:00, 15m (ago), or ms since 1970 with all their digits.',
    )
  }
  return time
}

export function parseCount(text: string): number {
  return parseWhole(text, 0, Number.MAX_SAFE_INTEGER)
}

/** A whole number within both bounds, both included. */
export function parseWhole(text: string, min: number, max: number): number {
  const value = /^\d{1,16}$/.test(text.replaceAll('_', '')) ? Number(text.replaceAll('_', '')) : Number.NaN
  if (value >= min && value <= max) return value
  const range = max === Number.MAX_SAFE_INTEGER ? `from ${min} on` : `from ${min} to ${max}`
  throw new InvalidArgumentError(`Wanted a whole number ${range}.`)
}

/** Highest partition number and replication factor of the protocol. */
const INT32_MAX = 2 ** 31 - 1
const INT16_MAX = 2 ** 15 - 1

export function parsePartition(text: string): number {
  return parseWhole(text, 0, INT32_MAX)
}

export function parsePartitionCount(text: string): number {
  return parseWhole(text, 1, INT32_MAX)
}

export function parseReplicationFactor(text: string): number {
  return parseWhole(text, 1, INT16_MAX)
}

export function parseBrokerId(text: string): number {
  return parseWhole(text, 0, INT32_MAX)
}

/** `1,2,3` in the order given. */
export function parseBrokerIds(text: string): readonly number[] {
  const ids = text.split(',').map((part) => parseBrokerId(part.trim()))
  if (new Set(ids).size < ids.length) throw new InvalidArgumentError('Wanted each broker once.')
  return ids
}

export function parsePort(text: string): number {
  return parseWhole(text, 0, 65_535)
}

/** Most partitions that `parsePartitions` writes out; a topic has at most 10,000. */
const PARTITIONS_MAX = 10_000

/** `0`, `0,2` or `0-3,7` as sorted numbers; may be given several times. */
export function parsePartitions(text: string, previous: readonly number[] = []): readonly number[] {
  const found = new Set(previous)
  for (const part of text.split(',')) {
    const [, first, last] = /^(\d{1,10})(?:-(\d{1,10}))?$/.exec(part.trim()) ?? []
    const start = Number(first)
    const end = last === undefined ? start : Number(last)
    if (first === undefined || end < start || end > INT32_MAX || end - start >= PARTITIONS_MAX) {
      throw new InvalidArgumentError('Wanted partitions such as 0 or 0,2 or 0-3.')
    }
    for (let partition = start; partition <= end; partition++) found.add(partition)
  }
  return [...found].sort((a, b) => a - b)
}

/** `events`, or some partitions of it as in `events:0,2-4`; may be given several times. Null stands for all partitions. */
export function parseTopicPartitions(
  text: string,
  previous: ReadonlyMap<string, readonly number[] | null> = new Map(),
): ReadonlyMap<string, readonly number[] | null> {
  const separator = text.indexOf(':') // which no topic has in its name
  const topic = separator < 0 ? text : text.slice(0, separator)
  if (topic === '') throw new InvalidArgumentError('Wanted a topic, such as events, or events:0,2-4.')
  const known = previous.get(topic)
  const isAll = separator < 0 || known === null
  return new Map(previous).set(topic, isAll ? null : parsePartitions(text.slice(separator + 1), known ?? []))
}

/** `10`, `+10` or `-10`: so many offsets further or back. */
export function parseShift(text: string): number {
  const shift = /^[+-]?\d{1,16}$/.test(text) ? Number(text) : Number.NaN
  if (Number.isSafeInteger(shift)) return shift
  throw new InvalidArgumentError('Wanted a whole number such as 10 or -10.')
}

/** A `key=value` that may be given several times; the last one counts. The value may be empty and hold `=`. */
export function parseKeyValue(
  text: string,
  previous: ReadonlyMap<string, string> = new Map(),
): ReadonlyMap<string, string> {
  const separator = text.indexOf('=')
  if (separator <= 0) throw new InvalidArgumentError('Wanted key=value.')
  return new Map(previous).set(text.slice(0, separator).trim(), text.slice(separator + 1))
}

/** A record header `key=value`; unlike settings, the same key may come several times and order counts. */
export function parseHeader(
  text: string,
  previous: readonly (readonly [string, string])[] = [],
): readonly (readonly [string, string])[] {
  const separator = text.indexOf('=')
  if (separator <= 0) throw new InvalidArgumentError('Wanted key=value.')
  return [...previous, [text.slice(0, separator), text.slice(separator + 1)]]
}

/**
 * `key=value` of a setting, where a key in `.ms` also takes `7d` and one in `.bytes` also `10GiB`. What is neither is
 * left for the broker to judge: it knows what each key allows.
 */
export function parseSetting(
  text: string,
  previous: ReadonlyMap<string, string> = new Map(),
): ReadonlyMap<string, string> {
  const parsed = parseKeyValue(text, previous)
  const key = text.slice(0, text.indexOf('=')).trim()
  const value = parsed.get(key)!.trim()
  const exact = key.endsWith('.ms') ? findDuration(value) : key.endsWith('.bytes') ? findSize(value) : null
  return new Map(parsed).set(key, exact === null ? value : String(exact))
}

const SEPARATOR_ESCAPES: ReadonlyMap<string, string> = new Map([
  ['t', '\t'],
  ['n', '\n'],
  ['r', '\r'],
  ['0', '\0'],
  ['\\', '\\'],
])

/** Text in which `\t`, `\n`, `\r`, `\0` and `\\` stand for what they name, as shells leave them to us. */
export function unescape(text: string): string {
  return text.replace(/\\([tnr0\\])/g, (_, letter: string) => SEPARATOR_ESCAPES.get(letter)!)
}

/** One or more characters between key and value. */
export function parseSeparator(text: string): string {
  const separator = unescape(text)
  if (separator === '' || separator.includes('\n')) {
    throw new InvalidArgumentError(String.raw`Wanted one or more characters such as : or \t, no line end.`)
  }
  return separator
}

/** Where `tail` begins. */
export type StartPosition =
  | { readonly kind: 'last'; readonly count: number }
  | { readonly kind: 'beginning' }
  | { readonly kind: 'end' }
  | { readonly kind: 'offset'; readonly offset: number }
  | { readonly kind: 'time'; readonly timestampMs: number }

/** `beginning`, `end`, an offset, or `@` and a time. */
export function parseFrom(text: string, nowMs: number): StartPosition {
  if (text === 'beginning' || text === 'end') return { kind: text }
  if (text.startsWith('@')) return { kind: 'time', timestampMs: parseTime(text.slice(1), nowMs) }
  if (/^\d{1,16}$/.test(text) && Number.isSafeInteger(Number(text))) {
    return { kind: 'offset', offset: Number(text) }
  }
  throw new InvalidArgumentError(
    'Wanted beginning, end, an offset, or @ and a time such as @2026-01-31T12:00.',
  )
}
