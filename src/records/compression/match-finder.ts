/**
 * Finds repeats for the compressors of snappy and LZ4: a hash table from four bytes to the last place where they
 * were, greedy, no chains. Data plane.
 *
 * One table serves the process: compressing is synchronous, and every block begins by clearing what it will use.
 */

/** Repeats are found at most this far back: both formats hold distances in 16 bits. */
export const BLOCK_BYTES = 65_536

/** Shorter repeats cost as much as they save. */
export const MATCH_BYTES_MIN = 4

/** 2^14 entries of 4 bytes stay in the first cache levels; more entries compress hardly better for 64 KiB. */
const HASH_BITS_MAX = 14
const HASH_BITS_MIN = 8

/** Positions are stored plus one, so that 0 says that there is none. */
const table = new Int32Array(1 << HASH_BITS_MAX)

/** The golden ratio as a 32-bit fraction: spreads four bytes over the upper bits (Knuth, 6.4). */
const HASH_MULTIPLIER = 0x9e37_79b1

export class MatchFinder {
  readonly #source: Uint8Array
  readonly #start: number
  readonly #shift: number

  /** Looks for repeats within `source[start, end)`, a block of at most `BLOCK_BYTES`. */
  constructor(source: Uint8Array, start: number, end: number) {
    this.#source = source
    this.#start = start
    const bits = Math.min(HASH_BITS_MAX, Math.max(HASH_BITS_MIN, 32 - Math.clz32(end - start)))
    this.#shift = 32 - bits
    table.fill(0, 0, 1 << bits)
  }

  /**
   * An earlier position with the same four bytes as at `position`, or -1. Remembers `position`.
   *
   * @param position - At least four bytes before the end.
   */
  find(position: number): number {
    const source = this.#source
    const word = wordAt(source, position)
    const hash = Math.imul(word, HASH_MULTIPLIER) >>> this.#shift
    const candidate = this.#start + table[hash]! - 1
    table[hash] = position - this.#start + 1
    return candidate >= this.#start && wordAt(source, candidate) === word ? candidate : -1
  }
}

/** How many bytes from `position` on, below `end`, equal those from `earlier` on; the first four are known to. */
export function matchLength(source: Uint8Array, earlier: number, position: number, end: number): number {
  let length = MATCH_BYTES_MIN
  while (position + length < end && source[earlier + length] === source[position + length]) length++
  return length
}

/** How far to go on after a miss: one byte, and one more for every 64 bytes without a match, so that noise is cheap. */
export function stepAfterMiss(bytesSinceMatch: number): number {
  return 1 + (bytesSinceMatch >> 6)
}

function wordAt(bytes: Uint8Array, position: number): number {
  return (
    bytes[position]! |
    (bytes[position + 1]! << 8) |
    (bytes[position + 2]! << 16) |
    (bytes[position + 3]! << 24)
  )
}
