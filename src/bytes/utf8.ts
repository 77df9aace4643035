/**
 * UTF-8, fast for the short ASCII names that make up the protocol's text.
 *
 * Bytes that are not UTF-8 decode to U+FFFD and a lone surrogate encodes as U+FFFD, as Kafka's Java code does it: text
 * off the wire is judged by the rules for names, not by the decoder. A byte order mark is kept.
 */
import { ByteMemo, MEMO_BYTES_MAX } from './byte-memo.ts'

/**
 * Up to this many bytes a loop, eight at a time, beats the fixed cost of the host's TextDecoder, some 85 ns: 8 bytes take
 * 23 ns, 16 take 48, 24 take 96 (Node 20).
 */
const DECODE_LOOP_BYTES_MAX = 16
/** Up to this many bytes a loop beats the fixed cost of the host's TextEncoder, some 85 ns: 48 take 80 ns, 64 take 92. */
const ENCODE_LOOP_BYTES_MAX = 48
/** From this many characters on a regular expression finds that text is ASCII in half the time of a loop: 54 ns for 100. */
const TEST_CHARACTERS_MIN = 32

const NOT_ASCII = /[\u0080-\uffff]/

const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
const encoder = new TextEncoder()
const memo = new ByteMemo(decodeUtf8Anew)

/** The text of `bytes[start, end)`, which must lie within `bytes`. */
export function decodeUtf8(bytes: Uint8Array, start: number, end: number): string {
  if (end === start) return ''
  return end - start <= MEMO_BYTES_MAX ? memo.get(bytes, start, end) : decodeUtf8Anew(bytes, start, end)
}

/** Bytes that `text` takes in UTF-8. */
export function utf8Size(text: string): number {
  const count = text.length
  if (count >= TEST_CHARACTERS_MIN && !NOT_ASCII.test(text)) return count
  let size = count
  for (let index = 0; index < count; index++) {
    const unit = text.charCodeAt(index)
    if (unit < 0x80) continue
    if (unit < 0x800) size += 1
    else if (unit < 0xd800 || unit > 0xdbff || !isLowSurrogate(text.charCodeAt(index + 1))) size += 2
    else {
      size += 2 // two units, four bytes
      index++
    }
  }
  return size
}

/** Writes `text`, whose `utf8Size` is `size`, at `position`; the caller has made room. */
export function writeUtf8(bytes: Uint8Array, position: number, text: string, size: number): void {
  if (size === text.length && size <= ENCODE_LOOP_BYTES_MAX) {
    for (let index = 0; index < size; index++) bytes[position + index] = text.charCodeAt(index)
  } else {
    encoder.encodeInto(text, bytes.subarray(position, position + size))
  }
}

/** As `decodeUtf8`, for text that is not likely to come again, such as values: looking for it costs 130 ns at 32 bytes. */
export function decodeUtf8Anew(bytes: Uint8Array, start: number, end: number): string {
  if (end - start > DECODE_LOOP_BYTES_MAX) return decoder.decode(bytes.subarray(start, end))
  let text = ''
  let position = start
  for (; position + 8 <= end; position += 8) {
    const a = bytes[position]!
    const b = bytes[position + 1]!
    const c = bytes[position + 2]!
    const d = bytes[position + 3]!
    const e = bytes[position + 4]!
    const f = bytes[position + 5]!
    const g = bytes[position + 6]!
    const h = bytes[position + 7]!
    if ((a | b | c | d | e | f | g | h) >= 0x80) return decoder.decode(bytes.subarray(start, end))
    text += String.fromCharCode(a, b, c, d, e, f, g, h)
  }
  for (; position < end; position++) {
    const byte = bytes[position]!
    if (byte >= 0x80) return decoder.decode(bytes.subarray(start, end))
    text += String.fromCharCode(byte)
  }
  return text
}

/** False for NaN, which `charCodeAt` returns past the end. */
function isLowSurrogate(unit: number): boolean {
  return unit >= 0xdc00 && unit <= 0xdfff
}
