/**
 * Reads big-endian values off a byte string. Hot path: every request passes through it.
 *
 * Invariants: never reads past the end; `start <= position <= end`; a failed read throws `DecodeError` and leaves the
 * position where the value would have begun (except in a varint, where nobody reads on). Byte strings come out as
 * views of the input, never as copies.
 */
import { DecodeError } from './decode-error.ts'
import { decodeUtf8 } from './utf8.ts'
import { UUID_BYTES, uuidToText } from './uuid.ts'
import { readUvarint, readVarlong, varintEnd, VARLONG_BYTES_MAX } from './varint.ts'

const TWO_32 = 0x1_0000_0000
/** The upper half of the safe integers' range is 21 bits and a sign. */
const SAFE_HIGH_MAX = 0x1f_ffff

const float = new DataView(new ArrayBuffer(8))

export class ByteReader {
  /** Where the next value begins, counted from the start of the byte string. */
  position: number
  /** Items of arrays that may still be announced: bounds what becomes of bytes that cost their sender little. */
  itemsLeft = Infinity
  readonly #bytes: Uint8Array
  readonly #end: number

  /**
   * @param bytes - Borrowed: views that the reader hands out stay tied to it.
   * @param start - First byte to read.
   * @param end - The byte after the last one to read.
   */
  constructor(bytes: Uint8Array, start = 0, end: number = bytes.length) {
    if (start < 0 || start > end || end > bytes.length) {
      throw new DecodeError(`Cannot read bytes [${start}, ${end}) of ${bytes.length}`, start)
    }
    this.#bytes = bytes
    this.position = start
    this.#end = end
  }

  /** Bytes left to read. */
  get remaining(): number {
    return this.#end - this.position
  }

  int8(): number {
    return (this.#bytes[this.#take(1)]! << 24) >> 24
  }

  uint8(): number {
    return this.#bytes[this.#take(1)]!
  }

  /** Zero is false, any other byte is true. */
  bool(): boolean {
    return this.#bytes[this.#take(1)] !== 0
  }

  int16(): number {
    const position = this.#take(2)
    return ((this.#bytes[position]! << 24) >> 16) | this.#bytes[position + 1]!
  }

  uint16(): number {
    const position = this.#take(2)
    return (this.#bytes[position]! << 8) | this.#bytes[position + 1]!
  }

  int32(): number {
    return this.#int32At(this.#take(4))
  }

  uint32(): number {
    return this.#int32At(this.#take(4)) >>> 0
  }

  /** A 64-bit integer. @throws {DecodeError} when it is no safe integer, that is, beyond +-(2^53 - 1). */
  int64(): number {
    const position = this.#take(8)
    const high = this.#int32At(position)
    const low = this.#int32At(position + 4) >>> 0
    if (high > SAFE_HIGH_MAX || high < ~SAFE_HIGH_MAX || (high === ~SAFE_HIGH_MAX && low === 0)) {
      this.position = position
      this.fail('a 64-bit integer', 'beyond a safe integer')
    }
    return high * TWO_32 + low
  }

  float64(): number {
    const position = this.#take(8)
    for (let index = 0; index < 8; index++) float.setUint8(index, this.#bytes[position + index]!)
    return float.getFloat64(0)
  }

  /** An unsigned varint of at most 32 bits in at most 5 bytes. */
  uvarint(): number {
    const position = this.position
    if (position < this.#end) {
      const first = this.#bytes[position]!
      if (first < 0x80) {
        this.position = position + 1
        return first
      }
    }
    const value = readUvarint(this.#bytes, position, this.#end)
    this.position = varintEnd(this.#bytes, position, this.#end)
    return value
  }

  /** A zig-zag varint of at most 32 bits. */
  varint(): number {
    const value = this.uvarint()
    return (value >>> 1) ^ -(value & 1)
  }

  /** A zig-zag varint of at most 64 bits. @throws {DecodeError} when it is no safe integer. */
  varlong(): number {
    const position = this.position
    const value = readVarlong(this.#bytes, position, this.#end)
    this.position = varintEnd(this.#bytes, position, this.#end, VARLONG_BYTES_MAX)
    return value
  }

  /** A UUID as text of 22 characters. */
  uuid(): string {
    return uuidToText(this.#bytes, this.#take(UUID_BYTES))
  }

  /** UTF-8 text of `size` bytes. */
  string(size: number): string {
    const start = this.#take(size)
    return decodeUtf8(this.#bytes, start, this.position)
  }

  /** A view of the next `size` bytes, which stays tied to the input. Always a plain Uint8Array. */
  slice(size: number): Uint8Array {
    const bytes = this.#bytes
    // Not subarray, which would make a Buffer of a Buffer: code behind us should see one kind of array.
    return new Uint8Array(bytes.buffer, bytes.byteOffset + this.#take(size), size)
  }

  /** Passes over `size` bytes. */
  skip(size: number): void {
    this.#take(size)
  }

  /** Throws the error of a value at the current position that is not what it should be. */
  fail(what: string, why: string): never {
    throw new DecodeError(`Cannot decode ${what} at byte ${this.position}: ${why}`, this.position)
  }

  /** Moves past the next `size` bytes and returns where they begin. */
  #take(size: number): number {
    const position = this.position
    // The first test also refuses a negative size, the second one NaN.
    if (size < 0 || !(size <= this.#end - position)) this.#failToTake(size)
    this.position = position + size
    return position
  }

  #failToTake(size: number): never {
    this.fail(`${size} bytes`, `${this.remaining} bytes remain`)
  }

  #int32At(position: number): number {
    const bytes = this.#bytes
    return (
      (bytes[position]! << 24) |
      (bytes[position + 1]! << 16) |
      (bytes[position + 2]! << 8) |
      bytes[position + 3]!
    )
  }
}
