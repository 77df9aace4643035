/**
 * How large can a run of zstd frames become? Walks frame and block headers without inflating anything.
 *
 *   frame := 28 b5 2f fd | descriptor: 8 | [window: 8] | [dictionary id] | [content size] | block … | [XXH64: 32]
 *   descriptor := dictionary id size code: 2 bits | content check | 0 | unused | single segment | content size code: 2 bits
 *   block := last: 1 bit | type: 2 bits | size: 21 bits | bytes                                   little-endian
 *   skippable frame := 5x 2a 4d 18 | size: 32 | bytes
 *
 * Block types: 0 stored, 1 one byte repeated `size` times, 2 compressed, which inflates to at most 128 KiB. Frames
 * may leave out their content size (streaming writers do); the sum over the blocks bounds them all the same. So
 * one-shot inflating into memory of a known size takes no trust in what a frame claims.
 *
 * @see RFC 8878, sections 3.1.1 and 3.1.2.
 */
import { malformed } from './bounded-output.ts'

const FRAME_MAGIC = 0xfd2f_b528
/** The lowest four bits of a skippable frame's magic are free. */
const SKIPPABLE_MAGIC = 0x184d_2a50

/** No compressed block inflates to more, whatever the window. */
const BLOCK_CONTENT_BYTES_MAX = 131_072
const BLOCK_HEADER_BYTES = 3
const BLOCK_RESERVED_TYPE = 3
const BLOCK_REPEAT_TYPE = 1
const BLOCK_COMPRESSED_TYPE = 2

const DICTIONARY_ID_BYTES = [0, 1, 2, 4] as const
const CONTENT_SIZE_BYTES = [0, 2, 4, 8] as const

export interface ZstdSize {
  /** Bytes that the frames can hold at most. */
  readonly sizeMax: number
  /** Bytes that the frames say they hold; null when one does not say. */
  readonly sizeClaimed: number | null
}

/**
 * @throws {RecordError} `RECORDS_COMPRESSED_MALFORMED` when the bytes are not whole frames, or need a dictionary.
 */
export function measureZstd(bytes: Uint8Array): ZstdSize {
  if (bytes.length === 0) throw malformed('zstd', 'it is empty')
  let sizeMax = 0
  let sizeClaimed: number | null = 0
  for (let position = 0; position < bytes.length;) {
    const magic = littleEndian(bytes, position, 4)
    if (magic >>> 4 === SKIPPABLE_MAGIC >>> 4) {
      position += 8 + littleEndian(bytes, position + 4, 4)
      if (position > bytes.length) throw malformed('zstd', 'a skippable frame is cut')
      continue
    }
    if (magic !== FRAME_MAGIC) throw malformed('zstd', `its magic is 0x${magic.toString(16)}`)
    const descriptor = littleEndian(bytes, position + 4, 1)
    const isSingleSegment = (descriptor & 0x20) !== 0
    const hasCheck = (descriptor & 0x04) !== 0
    position += isSingleSegment ? 5 : 6
    const dictionaryIdBytes = DICTIONARY_ID_BYTES[(descriptor & 3) as 0 | 1 | 2 | 3]
    if (littleEndian(bytes, position, dictionaryIdBytes) !== 0) {
      throw malformed('zstd', 'it needs a dictionary, which Kafka has no place for')
    }
    position += dictionaryIdBytes
    const sizeCode = (descriptor >> 6) as 0 | 1 | 2 | 3
    const sizeBytes = sizeCode === 0 && isSingleSegment ? 1 : CONTENT_SIZE_BYTES[sizeCode]
    const contentSize = littleEndian(bytes, position, sizeBytes) + (sizeBytes === 2 ? 256 : 0)
    sizeClaimed = sizeBytes === 0 || sizeClaimed === null ? null : sizeClaimed + contentSize
    position += sizeBytes
    for (let isLast = false; !isLast;) {
      const header = littleEndian(bytes, position, BLOCK_HEADER_BYTES)
      isLast = (header & 1) !== 0
      const type = (header >> 1) & 3
      const size = header >>> 3
      if (type === BLOCK_RESERVED_TYPE || size > BLOCK_CONTENT_BYTES_MAX) {
        throw malformed('zstd', `a block is of type ${type} and size ${size}`)
      }
      sizeMax += type === BLOCK_COMPRESSED_TYPE ? BLOCK_CONTENT_BYTES_MAX : size
      position += BLOCK_HEADER_BYTES + (type === BLOCK_REPEAT_TYPE ? 1 : size)
    }
    position += hasCheck ? 4 : 0
    if (position > bytes.length) throw malformed('zstd', 'it is cut')
  }
  return { sizeMax: Math.min(sizeMax, sizeClaimed ?? sizeMax), sizeClaimed }
}

/** An unsigned integer of 0 to 8 bytes; past 2^53 it is rounded, which no comparison here minds. */
function littleEndian(bytes: Uint8Array, position: number, count: number): number {
  if (position + count > bytes.length) throw malformed('zstd', 'it is cut')
  let value = 0
  for (let index = count - 1; index >= 0; index--) value = value * 256 + bytes[position + index]!
  return value
}
