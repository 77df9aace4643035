/**
 * XXH32, the checksum inside LZ4 frames. Four lanes of 32 bits take 16 bytes a round; the rest is folded in word by
 * word and byte by byte, then the bits are mixed.
 *
 * @see The xxHash specification, "XXH32 algorithm description".
 */

const PRIME_1 = 0x9e3779b1
const PRIME_2 = 0x85ebca77
const PRIME_3 = 0xc2b2ae3d
const PRIME_4 = 0x27d4eb2f
const PRIME_5 = 0x165667b1

/** XXH32 of `bytes[start, end)` with seed 0, as an unsigned 32-bit integer. */
export function xxHash32(bytes: Uint8Array, start: number, end: number): number {
  let position = start
  let hash = PRIME_5
  if (end - start >= 16) {
    let lane1 = (PRIME_1 + PRIME_2) | 0
    let lane2 = PRIME_2 | 0
    let lane3 = 0
    let lane4 = -PRIME_1 | 0
    for (; position + 16 <= end; position += 16) {
      lane1 = round(lane1, wordAt(bytes, position))
      lane2 = round(lane2, wordAt(bytes, position + 4))
      lane3 = round(lane3, wordAt(bytes, position + 8))
      lane4 = round(lane4, wordAt(bytes, position + 12))
    }
    hash = rotate(lane1, 1) + rotate(lane2, 7) + rotate(lane3, 12) + rotate(lane4, 18)
  }
  hash = (hash + (end - start)) | 0
  for (; position + 4 <= end; position += 4) {
    hash = Math.imul(rotate((hash + Math.imul(wordAt(bytes, position), PRIME_3)) | 0, 17), PRIME_4)
  }
  for (; position < end; position++) {
    hash = Math.imul(rotate((hash + Math.imul(bytes[position]!, PRIME_5)) | 0, 11), PRIME_1)
  }
  hash = Math.imul(hash ^ (hash >>> 15), PRIME_2)
  hash = Math.imul(hash ^ (hash >>> 13), PRIME_3)
  return (hash ^ (hash >>> 16)) >>> 0
}

function round(lane: number, word: number): number {
  return Math.imul(rotate((lane + Math.imul(word, PRIME_2)) | 0, 13), PRIME_1)
}

function rotate(word: number, count: number): number {
  return (word << count) | (word >>> (32 - count))
}

function wordAt(bytes: Uint8Array, position: number): number {
  return (
    bytes[position]! |
    (bytes[position + 1]! << 8) |
    (bytes[position + 2]! << 16) |
    (bytes[position + 3]! << 24)
  )
}
