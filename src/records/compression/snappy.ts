/**
 * Snappy, in both shapes that Kafka's clients produce.
 *
 *   raw    := uncompressed size: uvarint | element …
 *   xerial := 82 53 4e 41 50 50 59 00 | version: int32 | compatible: int32 | { size: int32 | raw } …     big-endian
 *
 *   element := literal | copy; the two lowest bits of its first byte, the tag, tell which:
 *     00  literal: 6 bits of size - 1, or 60 to 63 for 1 to 4 bytes of size - 1 after the tag; then the bytes
 *     01  copy: size - 4 in 3 bits, distance in 3 + 8 bits
 *     10  copy: size - 1 in 6 bits, distance in 16 bits, little-endian
 *     11  copy: size - 1 in 6 bits, distance in 32 bits, little-endian
 *
 * Reading sniffs: no raw block begins with xerial's magic, for its third byte would be a copy with nothing before it to
 * copy. Writing emits raw: every client reads it, librdkafka, Sarama and franz-go
 * write it too, and it has one size field where xerial has one for every 32 KiB.
 *
 * Own code, because no maintained library survives hostile input (docs/decisions/0002-compression-libraries.md).
 *
 * @see Snappy's format description; KIP-98 leaves the shape open.
 */
import { int32At } from '../integers.ts'
import { BoundedOutput, malformed, tooLarge } from './bounded-output.ts'
import type { Codec } from './codec.ts'
import { BLOCK_BYTES, matchLength, MatchFinder, MATCH_BYTES_MIN, stepAfterMiss } from './match-finder.ts'

const XERIAL_MAGIC = [0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00]
const XERIAL_HEADER_BYTES = 16

/** Three bytes can copy 64: no block inflates more than 22 times, so a size claimed beyond that is a lie. */
const EXPANSION_MAX = 22

/** A tag that says how many bytes hold the size begins here. */
const LITERAL_SIZE_INLINE_MAX = 60
const COPY_BYTES_MAX = 64

export const snappy: Codec = { name: 'snappy', id: 2, compress, decompress }

function decompress(bytes: Uint8Array, sizeMax: number): Uint8Array {
  return isXerial(bytes) ? inflateXerial(bytes, sizeMax) : inflateRaw(bytes, sizeMax)
}

function isXerial(bytes: Uint8Array): boolean {
  return bytes.length >= XERIAL_HEADER_BYTES && XERIAL_MAGIC.every((byte, index) => bytes[index] === byte)
}

function inflateRaw(bytes: Uint8Array, sizeMax: number): Uint8Array {
  const size = claimedSize(bytes, 0, bytes.length)
  if (size > sizeMax) throw tooLarge('snappy', sizeMax)
  const output = new BoundedOutput('snappy', size, size)
  inflateBlock(bytes, 0, bytes.length, output)
  return output.finish()
}

function inflateXerial(bytes: Uint8Array, sizeMax: number): Uint8Array {
  const output = new BoundedOutput('snappy', 4 * bytes.length, sizeMax)
  for (let position = XERIAL_HEADER_BYTES; position < bytes.length;) {
    if (bytes.length - position < 4) throw malformed('snappy', 'a block size is cut')
    const blockSize = int32At(bytes, position)
    position += 4
    if (blockSize < 0 || blockSize > bytes.length - position) {
      throw malformed('snappy', `a block claims ${blockSize} bytes, with ${bytes.length - position} left`)
    }
    if (claimedSize(bytes, position, position + blockSize) > sizeMax - output.size)
      throw tooLarge('snappy', sizeMax)
    inflateBlock(bytes, position, position + blockSize, output)
    position += blockSize
  }
  return output.finish()
}

/** The size that a raw block says it has, checked against what its bytes can hold. */
function claimedSize(bytes: Uint8Array, start: number, end: number): number {
  let size = 0
  for (let position = start, factor = 1; position < end && position < start + 5; position++, factor *= 128) {
    const byte = bytes[position]!
    size += (byte & 0x7f) * factor
    if (byte < 0x80) {
      if (size > (end - start) * EXPANSION_MAX)
        throw malformed('snappy', `${end - start} bytes claim to hold ${size}`)
      return size
    }
  }
  throw malformed('snappy', 'its size is cut or too long')
}

/** Inflates one raw block. Copies reach back to the block's own start only. */
function inflateBlock(bytes: Uint8Array, start: number, end: number, output: BoundedOutput): void {
  const outputStart = output.size
  const outputEnd = outputStart + claimedSize(bytes, start, end)
  let position = start
  while (bytes[position]! >= 0x80) position++
  position++
  while (position < end) {
    const tag = bytes[position++]!
    if ((tag & 3) === 0) {
      let size = tag >> 2
      if (size >= LITERAL_SIZE_INLINE_MAX) {
        const sizeBytes = size - LITERAL_SIZE_INLINE_MAX + 1
        if (sizeBytes > end - position) throw malformed('snappy', 'a literal is cut')
        size = littleEndian(bytes, position, sizeBytes)
        position += sizeBytes
      }
      size++
      if (size > end - position)
        throw malformed('snappy', `a literal claims ${size} bytes, with ${end - position} left`)
      if (size > outputEnd - output.size) throw malformed('snappy', 'it holds more than its size says')
      output.append(bytes, position, position + size)
      position += size
    } else {
      const isShort = (tag & 3) === 1
      const distanceBytes = isShort ? 1 : (tag & 3) === 2 ? 2 : 4
      if (distanceBytes > end - position) throw malformed('snappy', 'a copy is cut')
      const size = isShort ? ((tag >> 2) & 7) + 4 : (tag >> 2) + 1
      const distance = littleEndian(bytes, position, distanceBytes) + (isShort ? (tag >> 5) << 8 : 0)
      position += distanceBytes
      if (distance === 0 || distance > output.size - outputStart) {
        throw malformed('snappy', `a copy reaches back ${distance} of ${output.size - outputStart} bytes`)
      }
      if (size > outputEnd - output.size) throw malformed('snappy', 'it holds more than its size says')
      output.repeat(distance, size)
    }
  }
  if (output.size !== outputEnd) {
    throw malformed(
      'snappy',
      `it holds ${output.size - outputStart} bytes: its size says ${outputEnd - outputStart}`,
    )
  }
}

/** An unsigned little-endian integer of 1 to 4 bytes. */
function littleEndian(bytes: Uint8Array, position: number, count: number): number {
  let value = 0
  for (let index = 0; index < count; index++) value |= bytes[position + index]! << (8 * index)
  return value >>> 0
}

function compress(source: Uint8Array): Uint8Array {
  // Worst case: the size, and a literal's tag with 2 bytes of size, for each block of noise or between two short matches.
  const target = new Uint8Array(32 + source.length + Math.ceil(source.length / 6))
  let position = 0
  let size = source.length
  for (; size >= 0x80; size = Math.floor(size / 128)) target[position++] = (size & 0x7f) | 0x80
  target[position++] = size
  for (let start = 0; start < source.length; start += BLOCK_BYTES) {
    position = compressBlock(source, start, Math.min(start + BLOCK_BYTES, source.length), target, position)
  }
  return target.subarray(0, position)
}

function compressBlock(
  source: Uint8Array,
  start: number,
  end: number,
  target: Uint8Array,
  targetPosition: number,
): number {
  const finder = new MatchFinder(source, start, end)
  const searchEnd = end - MATCH_BYTES_MIN
  let literalStart = start
  for (let position = start; position <= searchEnd;) {
    const earlier = finder.find(position)
    if (earlier < 0) {
      position += stepAfterMiss(position - literalStart)
      continue
    }
    const length = matchLength(source, earlier, position, end)
    targetPosition = writeLiteral(source, literalStart, position, target, targetPosition)
    targetPosition = writeCopies(target, targetPosition, position - earlier, length)
    position += length
    literalStart = position
  }
  return writeLiteral(source, literalStart, end, target, targetPosition)
}

/** A literal is at most a block long, so two bytes always hold its size - 1. */
function writeLiteral(
  source: Uint8Array,
  start: number,
  end: number,
  target: Uint8Array,
  position: number,
): number {
  if (start === end) return position
  const last = end - start - 1
  if (last < LITERAL_SIZE_INLINE_MAX) {
    target[position++] = last << 2
  } else if (last < 0x100) {
    target[position++] = LITERAL_SIZE_INLINE_MAX << 2
    target[position++] = last
  } else {
    target[position++] = (LITERAL_SIZE_INLINE_MAX + 1) << 2
    target[position++] = last
    target[position++] = last >> 8
  }
  if (end - start <= 16)
    for (let index = start; index < end; index++) target[position + index - start] = source[index]!
  else target.set(source.subarray(start, end), position)
  return position + end - start
}

/** Long matches take several copies; none of them may be left shorter than the short form allows. */
function writeCopies(target: Uint8Array, position: number, distance: number, length: number): number {
  while (length > 0) {
    const size =
      length <= COPY_BYTES_MAX ? length : length < COPY_BYTES_MAX + MATCH_BYTES_MIN ? 60 : COPY_BYTES_MAX
    if (size >= 4 && size <= 11 && distance < 2048) {
      target[position++] = 1 | ((size - 4) << 2) | ((distance >> 8) << 5)
      target[position++] = distance
    } else {
      target[position++] = 2 | ((size - 1) << 2)
      target[position++] = distance
      target[position++] = distance >> 8
    }
    length -= size
  }
  return position
}
