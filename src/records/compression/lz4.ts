/**
 * LZ4 in its standard frame format.
 *
 *   frame := 04 22 4d 18 | flags: 8 | block size: 8 | [content size: 64] | [dictionary id: 32] | header check: 8
 *            | block … | 00 00 00 00 | [XXH32 of the content: 32]                                   little-endian
 *   block := stored: 1 bit | size: 31 bits | bytes | [XXH32 of the bytes: 32]
 *   flags := version 01: 2 bits | independent blocks | block checks | content size | content check | 0 | dictionary
 *   skippable frame := 5x 2a 4d 18 | size: 32 | bytes
 *
 *   sequence := literal size: 4 bits | match size - 4: 4 bits | [more literal size] | literal
 *               | distance: 16 | [more match size]
 *     15 in a size field goes on in the bytes after it, up to the first below 255; a block's last sequence ends
 *     with its literal.
 *
 * Reading takes every variant: several frames, all block sizes, linked blocks, stored blocks, skippable frames; it
 * verifies each checksum that is there. Dictionaries are refused. Writing emits independent blocks of 64 KiB without
 * checksums (the batch has its CRC-32C): Kafka's Java client refuses linked blocks.
 *
 * Own code, because no maintained library in JavaScript reads frames (docs/decisions/0002-compression-libraries.md).
 *
 * @see The LZ4 frame format 1.6 and block format descriptions; KIP-57 for the header check.
 */
import { BoundedOutput, malformed } from './bounded-output.ts'
import type { Codec } from './codec.ts'
import { BLOCK_BYTES, matchLength, MatchFinder, MATCH_BYTES_MIN, stepAfterMiss } from './match-finder.ts'
import { xxHash32 } from './xxhash32.ts'

const FRAME_MAGIC = 0x184d2204
/** The lowest four bits of a skippable frame's magic are free. */
const SKIPPABLE_MAGIC = 0x184d2a50

const FLAG_VERSION_MASK = 0xc0
const FLAG_VERSION = 0x40
const FLAG_INDEPENDENT = 0x20
const FLAG_BLOCK_CHECK = 0x10
const FLAG_CONTENT_SIZE = 0x08
const FLAG_CONTENT_CHECK = 0x04
const FLAG_RESERVED = 0x02
const FLAG_DICTIONARY = 0x01

/** Block sizes by their code: 4 is 64 KiB, each further one four times as much. */
const BLOCK_SIZE_CODE_MIN = 4
const BLOCK_SIZE_CODE_MAX = 7

const STORED_BIT = 0x8000_0000

/** The format wants a block to end with at least 5 literal bytes, and no match to begin in its last 12. */
const LAST_LITERAL_BYTES = 5
const MATCH_FREE_BYTES = 12

export const lz4: Codec = { name: 'lz4', id: 3, compress, decompress }

function decompress(bytes: Uint8Array, sizeMax: number): Uint8Array {
  if (bytes.length === 0) throw malformed('lz4', 'it is empty')
  const output = new BoundedOutput('lz4', 4 * bytes.length, sizeMax)
  for (let position = 0; position < bytes.length;) {
    const magic = wordAt(bytes, position)
    if (magic === FRAME_MAGIC) position = inflateFrame(bytes, position + 4, output)
    else if (magic >>> 4 === SKIPPABLE_MAGIC >>> 4) position = skipFrame(bytes, position + 4)
    else throw malformed('lz4', `its magic is 0x${magic.toString(16)}, wanted 0x${FRAME_MAGIC.toString(16)}`)
  }
  return output.finish()
}

function skipFrame(bytes: Uint8Array, position: number): number {
  const end = position + 4 + wordAt(bytes, position)
  if (end > bytes.length) throw malformed('lz4', 'a skippable frame is cut')
  return end
}

/** @returns The position after the frame whose header, without the magic, begins at `start`. */
function inflateFrame(bytes: Uint8Array, start: number, output: BoundedOutput): number {
  const outputStart = output.size
  const flags = byteAt(bytes, start)
  const blockSizeCode = byteAt(bytes, start + 1) >> 4
  if ((flags & FLAG_VERSION_MASK) !== FLAG_VERSION || (flags & FLAG_RESERVED) !== 0) {
    throw malformed('lz4', `frame flags are 0x${flags.toString(16)}, wanted version 1`)
  }
  if ((flags & FLAG_DICTIONARY) !== 0)
    throw malformed('lz4', 'it needs a dictionary, which Kafka has no place for')
  if (blockSizeCode < BLOCK_SIZE_CODE_MIN || blockSizeCode > BLOCK_SIZE_CODE_MAX) {
    throw malformed(
      'lz4',
      `block size code is ${blockSizeCode}, wanted ${BLOCK_SIZE_CODE_MIN} to ${BLOCK_SIZE_CODE_MAX}`,
    )
  }
  const blockSizeMax = BLOCK_BYTES << (2 * (blockSizeCode - BLOCK_SIZE_CODE_MIN))
  let position = start + 2 + ((flags & FLAG_CONTENT_SIZE) !== 0 ? 8 : 0)
  const headerCheck = (xxHash32(bytes, start, Math.min(position, bytes.length)) >>> 8) & 0xff
  if (byteAt(bytes, position) !== headerCheck) throw malformed('lz4', 'its frame header fails its check')
  position++
  for (;;) {
    const sizeField = wordAt(bytes, position)
    position += 4
    if (sizeField === 0) break
    const size = sizeField & ~STORED_BIT
    const end = position + size
    if (size > blockSizeMax || end > bytes.length) {
      throw malformed('lz4', `a block claims ${size} bytes, with ${bytes.length - position} left`)
    }
    const blockStart = output.size
    if ((sizeField & STORED_BIT) !== 0) output.append(bytes, position, end)
    else {
      const historyStart = (flags & FLAG_INDEPENDENT) !== 0 ? blockStart : outputStart
      inflateBlock(bytes, position, end, output, historyStart, blockStart + blockSizeMax)
    }
    if ((flags & FLAG_BLOCK_CHECK) !== 0) {
      if (wordAt(bytes, end) !== xxHash32(bytes, position, end))
        throw malformed('lz4', 'a block fails its checksum')
      position = end + 4
    } else position = end
  }
  const contentSize = output.size - outputStart
  if ((flags & FLAG_CONTENT_SIZE) !== 0) {
    const claimed = wordAt(bytes, start + 2) + wordAt(bytes, start + 6) * 0x1_0000_0000
    if (claimed !== contentSize)
      throw malformed('lz4', `it holds ${contentSize} bytes: its frame says ${claimed}`)
  }
  if ((flags & FLAG_CONTENT_CHECK) !== 0) {
    const content = output.since(outputStart)
    if (wordAt(bytes, position) !== xxHash32(content, 0, content.length)) {
      throw malformed('lz4', 'its content fails its checksum')
    }
    position += 4
  }
  return position
}

/** Inflates the sequences of one block. Matches reach back to `historyStart`, output must end by `outputEndMax`. */
function inflateBlock(
  bytes: Uint8Array,
  start: number,
  end: number,
  output: BoundedOutput,
  historyStart: number,
  outputEndMax: number,
): void {
  for (let position = start; position < end;) {
    const token = bytes[position++]!
    let literalSize = token >> 4
    if (literalSize === 15) {
      let more: number
      do {
        if (position >= end) throw malformed('lz4', 'a literal size is cut')
        more = bytes[position++]!
        literalSize += more
      } while (more === 255)
    }
    if (literalSize > end - position) {
      throw malformed('lz4', `a literal claims ${literalSize} bytes, with ${end - position} left`)
    }
    if (literalSize > outputEndMax - output.size)
      throw malformed('lz4', 'a block holds more than its frame allows')
    output.append(bytes, position, position + literalSize)
    position += literalSize
    if (position === end) return

    if (end - position < 2) throw malformed('lz4', 'a distance is cut')
    const distance = bytes[position]! | (bytes[position + 1]! << 8)
    position += 2
    let matchSize = token & 15
    if (matchSize === 15) {
      let more: number
      do {
        if (position >= end) throw malformed('lz4', 'a match size is cut')
        more = bytes[position++]!
        matchSize += more
      } while (more === 255)
    }
    matchSize += MATCH_BYTES_MIN
    if (distance === 0 || distance > output.size - historyStart) {
      throw malformed('lz4', `a match reaches back ${distance} of ${output.size - historyStart} bytes`)
    }
    if (matchSize > outputEndMax - output.size)
      throw malformed('lz4', 'a block holds more than its frame allows')
    output.repeat(distance, matchSize)
  }
  throw malformed('lz4', 'a block ends with a match')
}

function compress(source: Uint8Array): Uint8Array {
  const blockCount = Math.ceil(source.length / BLOCK_BYTES)
  const blockBytesMax = 4 + BLOCK_BYTES + Math.ceil(BLOCK_BYTES / 255) + 16
  const target = new Uint8Array(
    11 +
      Math.min(
        blockCount * blockBytesMax,
        4 * blockCount + source.length + Math.ceil(source.length / 255) + 16 * blockCount,
      ),
  )
  setWordAt(target, 0, FRAME_MAGIC)
  target[4] = FLAG_VERSION | FLAG_INDEPENDENT
  target[5] = BLOCK_SIZE_CODE_MIN << 4
  target[6] = xxHash32(target, 4, 6) >>> 8
  let position = 7
  for (let start = 0; start < source.length; start += BLOCK_BYTES) {
    const end = Math.min(start + BLOCK_BYTES, source.length)
    const size = compressBlock(source, start, end, target, position + 4) - position - 4
    if (size < end - start) {
      setWordAt(target, position, size)
      position += 4 + size
    } else {
      setWordAt(target, position, (end - start) | STORED_BIT)
      target.set(source.subarray(start, end), position + 4)
      position += 4 + end - start
    }
  }
  setWordAt(target, position, 0)
  return target.subarray(0, position + 4)
}

/** @returns The position in `target` after the block. */
function compressBlock(
  source: Uint8Array,
  start: number,
  end: number,
  target: Uint8Array,
  targetPosition: number,
): number {
  const finder = new MatchFinder(source, start, end)
  const searchEnd = end - MATCH_FREE_BYTES
  let literalStart = start
  for (let position = start; position <= searchEnd;) {
    const earlier = finder.find(position)
    if (earlier < 0) {
      position += stepAfterMiss(position - literalStart)
      continue
    }
    const length = matchLength(source, earlier, position, end - LAST_LITERAL_BYTES)
    const distance = position - earlier
    targetPosition = writeLiteral(
      source,
      literalStart,
      position,
      target,
      targetPosition,
      length - MATCH_BYTES_MIN,
    )
    target[targetPosition++] = distance
    target[targetPosition++] = distance >> 8
    if (length - MATCH_BYTES_MIN >= 15)
      targetPosition = writeMore(target, targetPosition, length - MATCH_BYTES_MIN - 15)
    position += length
    literalStart = position
  }
  return writeLiteral(source, literalStart, end, target, targetPosition, 0)
}

/** Writes a token with its literal. @param matchField - Match size - 4; its rest past 15 follows the distance. */
function writeLiteral(
  source: Uint8Array,
  start: number,
  end: number,
  target: Uint8Array,
  position: number,
  matchField: number,
): number {
  const size = end - start
  target[position++] = (Math.min(size, 15) << 4) | Math.min(matchField, 15)
  if (size >= 15) position = writeMore(target, position, size - 15)
  if (size <= 16) for (let index = 0; index < size; index++) target[position + index] = source[start + index]!
  else target.set(source.subarray(start, end), position)
  return position + size
}

function writeMore(target: Uint8Array, position: number, rest: number): number {
  for (; rest >= 255; rest -= 255) target[position++] = 255
  target[position] = rest
  return position + 1
}

function byteAt(bytes: Uint8Array, position: number): number {
  if (position >= bytes.length) throw malformed('lz4', 'its frame is cut')
  return bytes[position]!
}

function wordAt(bytes: Uint8Array, position: number): number {
  if (position + 4 > bytes.length) throw malformed('lz4', 'its frame is cut')
  return (
    (bytes[position]! |
      (bytes[position + 1]! << 8) |
      (bytes[position + 2]! << 16) |
      (bytes[position + 3]! << 24)) >>>
    0
  )
}

function setWordAt(bytes: Uint8Array, position: number, word: number): void {
  bytes[position] = word
  bytes[position + 1] = word >> 8
  bytes[position + 2] = word >> 16
  bytes[position + 3] = word >> 24
}
