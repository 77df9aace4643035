/**
 * Reads the zig-zag varints of records: a cursor that keeps its position in a field, so that a read returns a number and
 * allocates nothing. `bytes/varint.ts` writes them and draws the encoding. At most 5 bytes for 32 bits, 10 for 64.
 *
 * Not the unsigned varints of flexible protocol messages. Data plane. 64-bit values are held in two 32-bit halves while
 * they are shifted; no bigint.
 */
import { RecordError } from './record-error.ts'

const TWO_TO_32 = 0x1_0000_0000

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
    const first = this.position < this.end ? this.bytes[this.position]! : this.#fail('ends early')
    if (first < 0x80) {
      this.position++
      return (first >>> 1) ^ -(first & 1)
    }
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
