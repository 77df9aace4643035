/**
 * Variable-length integers as records use them: zig-zag (so that small negative numbers are short too), then seven
 * bits a byte, lowest first, the top bit set on all but the last byte. At most 5 bytes for 32 bits, 10 for 64.
 *
 * Not the unsigned varints of flexible protocol messages. Data plane: sizes and writes work in place on numbers; the
 * cursor keeps its position in a field, so that a read returns a number and allocates nothing.
 *
 * 64-bit values are safe integers held in two 32-bit halves while they are shifted; no bigint.
 */
import { RecordError } from './record-error.ts'

const TWO_TO_32 = 0x1_0000_0000

/** Bytes that `writeVarint` will take. @param value - A signed 32-bit integer. */
export function varintSize(value: number): number {
  const zigZag = ((value << 1) ^ (value >> 31)) >>> 0
  return zigZag < 0x80 ? 1 : zigZag < 0x4000 ? 2 : zigZag < 0x20_0000 ? 3 : zigZag < 0x1000_0000 ? 4 : 5
}

/** Writes a signed 32-bit integer. @returns The position after it. */
export function writeVarint(bytes: Uint8Array, position: number, value: number): number {
  let zigZag = ((value << 1) ^ (value >> 31)) >>> 0
  while (zigZag >= 0x80) {
    bytes[position++] = zigZag | 0x80
    zigZag >>>= 7
  }
  bytes[position] = zigZag
  return position + 1
}

/** Bytes that `writeVarlong` will take. @param value - A safe integer. */
export function varlongSize(value: number): number {
  if (value === (value | 0)) return varintSize(value)
  // -v - 1 has the bits of v that zig-zag keeps; the loop divides because shifts stop at 32 bits.
  let magnitude = value < 0 ? -value - 1 : value
  let size = 1
  for (magnitude = Math.floor(magnitude / 64); magnitude > 0; magnitude = Math.floor(magnitude / 128)) size++
  return size
}

/** Writes a safe integer. @returns The position after it. */
export function writeVarlong(bytes: Uint8Array, position: number, value: number): number {
  if (value === (value | 0)) return writeVarint(bytes, position, value)
  const upper = Math.floor(value / TWO_TO_32) | 0
  const lower = value >>> 0
  const sign = upper >> 31
  let high = (((upper << 1) | (lower >>> 31)) ^ sign) >>> 0
  let low = ((lower << 1) ^ sign) >>> 0
  while (high !== 0 || low >= 0x80) {
    bytes[position++] = low | 0x80
    low = ((low >>> 7) | (high << 25)) >>> 0
    high >>>= 7
  }
  bytes[position] = low
  return position + 1
}

/** Reads varints from `bytes[position, end)`. The owner moves `position` over what it reads itself. */
export class VarintCursor {
  readonly bytes: Uint8Array
  position: number
  /** Reads never pass it. At most `bytes.length`. */
  readonly end: number

  constructor(bytes: Uint8Array, position = 0, end = bytes.length) {
    this.bytes = bytes
    this.position = position
    this.end = end
  }

  /**
   * Reads a signed 32-bit integer.
   *
   * @throws {RecordError} `RECORDS_RECORD_MALFORMED` when it runs past the end or has more than 32 bits.
   */
  varint(): number {
    const first = this.position < this.end ? this.bytes[this.position]! : this.#fail('ends early')
    if (first < 0x80) {
      this.position++
      return (first >>> 1) ^ -(first & 1)
    }
    let zigZag = first & 0x7f
    for (let shift = 7, position = this.position + 1; ; shift += 7, position++) {
      if (position >= this.end) this.#fail('ends early')
      const byte = this.bytes[position]!
      if (shift === 28 && byte > 0x0f) this.#fail('has more than 32 bits')
      zigZag |= (byte & 0x7f) << shift
      if (byte < 0x80) {
        this.position = position + 1
        return (zigZag >>> 1) ^ -(zigZag & 1)
      }
    }
  }

  /**
   * Reads a signed 64-bit integer.
   *
   * @throws {RecordError} `RECORDS_RECORD_MALFORMED` when it runs past the end, has more than 64 bits or is no safe
   *   integer.
   */
  varlong(): number {
    let low = 0
    let high = 0
    for (let shift = 0, position = this.position; ; shift += 7, position++) {
      if (position >= this.end) this.#fail('ends early')
      const byte = this.bytes[position]!
      const bits = byte & 0x7f
      if (shift < 28) {
        low |= bits << shift
      } else if (shift === 28) {
        low |= bits << 28
        high = bits >>> 4
      } else {
        if (shift === 63 && byte > 1) this.#fail('has more than 64 bits')
        high |= bits << (shift - 32)
      }
      if (byte < 0x80) {
        const sign = -(low & 1)
        const lower = (((low >>> 1) | (high << 31)) ^ sign) >>> 0
        const value = ((high >>> 1) ^ sign) * TWO_TO_32 + lower
        if (!Number.isSafeInteger(value)) this.#fail('is past 2^53 - 1')
        this.position = position + 1
        return value
      }
    }
  }

  #fail(fault: string): never {
    throw new RecordError(
      'RECORDS_RECORD_MALFORMED',
      `Cannot read a record: integer at position ${this.position} ${fault}, with ${this.end - this.position} bytes left`,
    )
  }
}
