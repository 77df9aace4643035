/**
 * Writes big-endian values into pieces that together are one byte string. Hot path: every response passes through it.
 *
 * Small values gather in an open piece. A large byte string (`chunk`) becomes a piece of its own without being copied,
 * so a message with record batches leaves as a gathered write of a head and the batches as they are.
 *
 * Space comes from a slab that writers take turns with: a small response costs no allocation of a buffer, only the view
 * that `finish` returns. A writer owns the slab from its first byte to `finish`; one opened meanwhile, or after one that
 * was dropped half-way, starts a new slab. Bytes that were handed out are never written again, so pieces may wait in a
 * socket's queue for as long as they need. The price: a piece keeps its slab alive.
 *
 * Every value is checked against its range, so that a wrong value fails here and never becomes other bytes.
 */
import { assert } from '../base/assert.ts'
import { EncodeError } from './encode-error.ts'
import { utf8Size, writeUtf8 } from './utf8.ts'
import { UUID_BYTES, writeUuid } from './uuid.ts'
import { uvarintSize, VARINT_BYTES_MAX, VARLONG_BYTES_MAX, writeUvarint, writeVarlong } from './varint.ts'

/** Bytes of a slab: about a hundred small responses. More saves little and keeps more alive behind a slow reader. */
const SLAB_BYTES = 16 * 1024
/** A slab with less room than this is not worth taking over. */
const SLAB_ROOM_MIN = 256
/**
 * Byte strings from this size on become pieces of their own. Copying 4 KiB costs some 50 ns; one more piece in a
 * gathered write costs more than that.
 */
export const CHUNK_BYTES_MIN = 4096

const TWO_32 = 0x1_0000_0000
const float = new DataView(new ArrayBuffer(8))

/** What is left of the slab that the last finished writer used; taken away while a writer is open. */
let slab: Uint8Array | null = null
let slabStart = 0

export class ByteWriter {
  #bytes: Uint8Array
  /** Where the open piece begins in `#bytes`. Invariant: start <= position <= bytes.length. */
  #start: number
  #position: number
  /** Pieces that are closed. */
  #pieces: Uint8Array[] | null = null
  #piecesSize = 0

  constructor() {
    if (slab === null) {
      this.#bytes = new Uint8Array(SLAB_BYTES)
      this.#start = 0
    } else {
      this.#bytes = slab
      this.#start = slabStart
      slab = null
    }
    this.#position = this.#start
  }

  /** Bytes written so far. */
  get size(): number {
    return this.#piecesSize + this.#position - this.#start
  }

  int8(value: number): void {
    if ((value << 24) >> 24 !== value) failRange('int8', value)
    const position = this.#reserve(1)
    this.#bytes[position] = value
  }

  bool(value: boolean): void {
    if (typeof value !== 'boolean') failRange('bool', value)
    const position = this.#reserve(1)
    this.#bytes[position] = value ? 1 : 0
  }

  int16(value: number): void {
    if ((value << 16) >> 16 !== value) failRange('int16', value)
    this.#put16(value)
  }

  uint16(value: number): void {
    if ((value & 0xffff) !== value) failRange('uint16', value)
    this.#put16(value)
  }

  int32(value: number): void {
    if ((value | 0) !== value) failRange('int32', value)
    this.#put32(this.#reserve(4), value)
  }

  uint32(value: number): void {
    if (value >>> 0 !== value) failRange('uint32', value)
    this.#put32(this.#reserve(4), value)
  }

  /** A 64-bit integer, given as a safe integer. */
  int64(value: number): void {
    if (!Number.isSafeInteger(value)) failRange('int64', value)
    const position = this.#reserve(8)
    this.#put32(position, Math.floor(value / TWO_32))
    this.#put32(position + 4, value >>> 0)
  }

  float64(value: number): void {
    if (typeof value !== 'number') failRange('float64', value)
    const position = this.#reserve(8)
    float.setFloat64(0, value)
    for (let index = 0; index < 8; index++) this.#bytes[position + index] = float.getUint8(index)
  }

  /** An unsigned varint of an integer in [0, 2^32). */
  uvarint(value: number): void {
    if (value >>> 0 !== value) failRange('uvarint', value)
    const position = this.#reserve(VARINT_BYTES_MAX)
    this.#position = writeUvarint(this.#bytes, position, value)
  }

  /** A zig-zag varint of an integer in [-2^31, 2^31). */
  varint(value: number): void {
    if ((value | 0) !== value) failRange('varint', value)
    this.uvarint(((value << 1) ^ (value >> 31)) >>> 0)
  }

  /** A zig-zag varint of a safe integer. */
  varlong(value: number): void {
    if (!Number.isSafeInteger(value)) failRange('varlong', value)
    const position = this.#reserve(VARLONG_BYTES_MAX)
    this.#position = writeVarlong(this.#bytes, position, value)
  }

  /** A UUID given as text of 22 characters. */
  uuid(text: string): void {
    if (typeof text !== 'string') failRange('UUID', text)
    const position = this.#reserve(UUID_BYTES)
    writeUuid(this.#bytes, position, text)
  }

  /** Text in UTF-8 without a length. @param size - Its `utf8Size`, when the caller knows it already. */
  string(text: string, size: number = utf8Size(text)): void {
    const position = this.#reserve(size)
    writeUtf8(this.#bytes, position, text, size)
  }

  /** A copy of `bytes`. */
  bytes(bytes: Uint8Array): void {
    const position = this.#reserve(bytes.length)
    this.#bytes.set(bytes, position)
  }

  /**
   * Bytes that become a piece of their own when they are large, and are copied when they are small.
   *
   * @param bytes - Handed over: must not change until the pieces have left.
   */
  chunk(bytes: Uint8Array): void {
    if (bytes.length < CHUNK_BYTES_MIN) {
      this.bytes(bytes)
      return
    }
    this.#closePiece()
    this.#pieces!.push(bytes)
    this.#piecesSize += bytes.length
  }

  /**
   * Writes a byte string whose size is known only when it is written, behind its size as an unsigned varint.
   *
   * @param write - Writes the byte string to this writer; large chunks are not possible in it.
   */
  sized<T>(write: (writer: this, value: T) => void, value: T): void {
    const sizeAt = this.#reserve(1) - this.#start
    const pieces = this.#pieces
    const piecesSize = this.#piecesSize
    write(this, value)
    assert(
      this.#pieces === pieces && this.#piecesSize === piecesSize,
      'A sized byte string cannot hold a chunk',
    )
    const contentAt = this.#start + sizeAt + 1
    const size = this.#position - contentAt
    const extra = uvarintSize(size) - 1
    if (extra > 0) {
      this.#reserve(extra)
      const start = this.#start + sizeAt + 1 // reserving may have moved the piece
      this.#bytes.copyWithin(start + extra, start, start + size)
    }
    writeUvarint(this.#bytes, this.#start + sizeAt, size)
  }

  /**
   * Ends the byte string and returns its pieces in order; none is empty. The writer must not be used after it.
   *
   * The pieces are the caller's for good: no later writer touches them.
   */
  finish(): Uint8Array[] {
    this.#closePiece()
    if (slab === null && this.#bytes.length - this.#position >= SLAB_ROOM_MIN) {
      slab = this.#bytes
      slabStart = this.#position
    }
    return this.#pieces!
  }

  /** Makes room for `size` bytes at the end of the open piece, moves past them and returns where they begin. */
  #reserve(size: number): number {
    if (this.#position + size > this.#bytes.length) this.#grow(size)
    const position = this.#position
    this.#position = position + size
    return position
  }

  /** Moves the open piece to a place at least twice as large, so that growing costs a constant per byte. */
  #grow(size: number): void {
    const used = this.#position - this.#start
    const grown = new Uint8Array(Math.max(SLAB_BYTES, 2 * (used + size)))
    grown.set(this.#bytes.subarray(this.#start, this.#position))
    this.#bytes = grown
    this.#start = 0
    this.#position = used
  }

  #closePiece(): void {
    this.#pieces ??= []
    if (this.#position === this.#start) return
    this.#pieces.push(new Uint8Array(this.#bytes.buffer, this.#start, this.#position - this.#start))
    this.#piecesSize += this.#position - this.#start
    this.#start = this.#position
  }

  #put16(value: number): void {
    const position = this.#reserve(2)
    this.#bytes[position] = value >> 8
    this.#bytes[position + 1] = value
  }

  #put32(position: number, value: number): void {
    const bytes = this.#bytes
    bytes[position] = value >> 24
    bytes[position + 1] = value >> 16
    bytes[position + 2] = value >> 8
    bytes[position + 3] = value
  }
}

function failRange(kind: string, value: unknown): never {
  throw new EncodeError(`Cannot encode ${kind}: ${String(value)} is none`)
}
