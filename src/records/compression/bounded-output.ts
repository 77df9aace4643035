/**
 * Where a decoder of the LZ77 family (snappy, LZ4) puts what it inflates: a byte array that grows up to a bound and copies
 * from its own past. Data plane.
 *
 * Invariant: `size <= sizeMax` after every call, and memory is at most twice the size reached plus the first capacity.
 */
import { RecordError } from '../record-error.ts'

/** Below this many bytes a loop beats the call of a built-in copy. */
const LOOP_BYTES_MAX = 16

export class BoundedOutput {
  #bytes: Uint8Array
  #size = 0
  readonly #sizeMax: number
  readonly #codec: string

  /**
   * @param capacity - Room to begin with; a good guess saves copies. The caller has made sure that the input can need it.
   * @param sizeMax - Bytes that may ever come out.
   */
  constructor(codec: string, capacity: number, sizeMax: number) {
    this.#codec = codec
    this.#sizeMax = sizeMax
    this.#bytes = new Uint8Array(Math.min(capacity, sizeMax))
  }

  /** Bytes put out so far. */
  get size(): number {
    return this.#size
  }

  /** What came out, without a copy. */
  finish(): Uint8Array {
    return this.#bytes.subarray(0, this.#size)
  }

  /** What came out from `start` on, as a view that the next call may detach. */
  since(start: number): Uint8Array {
    return this.#bytes.subarray(start, this.#size)
  }

  /** Puts out `source[start, end)`, which must lie within it. */
  append(source: Uint8Array, start: number, end: number): void {
    const length = end - start
    const position = this.#size
    this.#reserve(length)
    if (length <= LOOP_BYTES_MAX) {
      const bytes = this.#bytes
      for (let index = 0; index < length; index++) bytes[position + index] = source[start + index]!
    } else {
      this.#bytes.set(source.subarray(start, end), position)
    }
    this.#size = position + length
  }

  /**
   * Repeats `length` bytes from `distance` bytes back. The two may overlap, which repeats a pattern.
   *
   * @param distance - 1 to `size`, checked by the caller.
   */
  repeat(distance: number, length: number): void {
    let position = this.#size
    this.#reserve(length)
    const bytes = this.#bytes
    const end = position + length
    if (length <= LOOP_BYTES_MAX) {
      for (; position < end; position++) bytes[position] = bytes[position - distance]!
    } else {
      // Each round copies all of the pattern there is, so that its length doubles: a long run costs few calls.
      const from = position - distance
      while (position < end) {
        const count = Math.min(position - from, end - position)
        bytes.copyWithin(position, from, from + count)
        position += count
      }
    }
    this.#size = end
  }

  #reserve(length: number): void {
    const needed = this.#size + length
    if (needed <= this.#bytes.length) return
    if (needed > this.#sizeMax) throw tooLarge(this.#codec, this.#sizeMax)
    const grown = new Uint8Array(Math.min(this.#sizeMax, Math.max(needed, 2 * this.#bytes.length)))
    grown.set(this.#bytes.subarray(0, this.#size))
    this.#bytes = grown
  }
}

/** The error of every codec for output past its bound. */
export function tooLarge(codec: string, sizeMax: number, options?: ErrorOptions): RecordError {
  return new RecordError(
    'RECORDS_TOO_LARGE',
    `Cannot inflate a ${codec} block: it holds more than ${sizeMax} bytes`,
    options,
  )
}

/** The error of every codec for input that it cannot read. */
export function malformed(codec: string, fault: string, options?: ErrorOptions): RecordError {
  return new RecordError('RECORDS_COMPRESSED_MALFORMED', `Cannot inflate a ${codec} block: ${fault}`, options)
}
