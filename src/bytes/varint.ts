/**
 * Variable-length integers in place, for code that reads and writes records without a reader or writer object.
 *
 *   byte := more: 1 bit | 7 bits of the value, least significant group first
 *
 * Signed values are zig-zag mapped first (0, -1, 1, -2 ... become 0, 1, 2, 3 ...), as in Protocol Buffers. A varint
 * carries 32 bits in at most 5 bytes, a varlong 64 bits in at most 10. In memory a varlong is a safe integer.
 * Encodings longer than needed are accepted, since Kafka accepts them; so the size of what was read is asked for
 * with `varintEnd`, never computed from the value.
 */
import { DecodeError } from './decode-error.ts'

export const VARINT_BYTES_MAX = 5
export const VARLONG_BYTES_MAX = 10

/** Bytes of the shortest unsigned form of `value`, an integer in [0, 2^32). */
export function uvarintSize(value: number): number {
  if (value < 0x80) return 1
  if (value < 0x4000) return 2
  if (value < 0x200000) return 3
  return value < 0x10000000 ? 4 : 5
}

/** Bytes of the shortest zig-zag form of `value`, an integer in [-2^31, 2^31). */
export function varintSize(value: number): number {
  return uvarintSize(((value << 1) ^ (value >> 31)) >>> 0)
}

/** Bytes of the shortest zig-zag form of `value`, a safe integer. */
export function varlongSize(value: number): number {
  let rest = value < 0 ? -(value + 1) : value
  let size = 1
  for (rest = Math.floor(rest / 64); rest > 0; rest = Math.floor(rest / 128)) size++
  return size
}

/** Writes `value`, an integer in [0, 2^32), at `position`; the caller has made room. Returns the position after it. */
export function writeUvarint(bytes: Uint8Array, position: number, value: number): number {
  while (value > 0x7f) {
    bytes[position++] = (value & 0x7f) | 0x80
    value >>>= 7
  }
  bytes[position++] = value
  return position
}

/** Writes `value`, an integer in [-2^31, 2^31), zig-zag mapped. Returns the position after it. */
export function writeVarint(bytes: Uint8Array, position: number, value: number): number {
  return writeUvarint(bytes, position, ((value << 1) ^ (value >> 31)) >>> 0)
}

/** Writes `value`, a safe integer, zig-zag mapped. Returns the position after it. */
export function writeVarlong(bytes: Uint8Array, position: number, value: number): number {
  if ((value | 0) === value) return writeVarint(bytes, position, value)
  // Twice the value may not be exact, so the sign joins the lowest six bits and never the whole.
  const magnitude = value < 0 ? -(value + 1) : value
  let group = ((magnitude % 64) << 1) | (value < 0 ? 1 : 0)
  for (let rest = Math.floor(magnitude / 64); rest > 0; rest = Math.floor(rest / 128)) {
    bytes[position++] = group | 0x80
    group = rest % 128
  }
  bytes[position++] = group
  return position
}

/**
 * The position after the varint or varlong that starts at `position`.
 *
 * @throws {DecodeError} when it does not end before `end` or has more than `bytesMax` bytes.
 */
export function varintEnd(
  bytes: Uint8Array,
  position: number,
  end: number,
  bytesMax: number = VARINT_BYTES_MAX,
): number {
  const start = position
  const limit = Math.min(end, start + bytesMax)
  while (position < limit) if (bytes[position++]! < 0x80) return position
  throw new DecodeError(
    `Cannot decode a varint at byte ${start}: no end within ${limit - start} bytes`,
    start,
  )
}

/** Reads an unsigned varint that ends before `end`. @throws {DecodeError} when malformed or over 32 bits. */
export function readUvarint(bytes: Uint8Array, position: number, end: number): number {
  const first = position < end ? bytes[position]! : 0x80
  if (first < 0x80) return first
  const start = position
  const last = varintEnd(bytes, position, end) - 1
  const top = bytes[last]!
  if (last - start === 4 && top > 0x0f) {
    throw new DecodeError(`Cannot decode a varint at byte ${start}: more than 32 bits`, start)
  }
  let value = top
  for (position = last - 1; position >= start; position--) value = (value << 7) | (bytes[position]! & 0x7f)
  return value >>> 0
}

/** Reads a zig-zag varint that ends before `end`. @throws {DecodeError} when malformed or over 32 bits. */
export function readVarint(bytes: Uint8Array, position: number, end: number): number {
  const value = readUvarint(bytes, position, end)
  return (value >>> 1) ^ -(value & 1)
}

/** Reads a zig-zag varlong that ends before `end`. @throws {DecodeError} when malformed or no safe integer. */
export function readVarlong(bytes: Uint8Array, position: number, end: number): number {
  const first = position < end ? bytes[position]! : 0x80
  if (first < 0x80) return (first >>> 1) ^ -(first & 1)
  const start = position
  const last = varintEnd(bytes, position, end, VARLONG_BYTES_MAX) - 1
  let magnitude = 0
  for (position = last; position > start; position--) magnitude = magnitude * 128 + (bytes[position]! & 0x7f)
  // Inexact only past 2^53, where the check below refuses it anyway.
  magnitude = magnitude * 64 + ((first & 0x7f) >>> 1)
  const value = (first & 1) === 0 ? magnitude : -magnitude - 1
  if (!Number.isSafeInteger(value)) {
    throw new DecodeError(`Cannot decode a varlong at byte ${start}: beyond a safe integer`, start)
  }
  return value
}
