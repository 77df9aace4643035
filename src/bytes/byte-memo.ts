/**
 * Remembers the texts that short byte strings decoded to: topic names, client ids and topic ids come again with
 * every request.
 *
 * A direct-mapped table: one slot per hash value, and a newcomer evicts what is there. So memory is fixed whatever
 * peers send, and a flood of colliding or ever new byte strings costs misses, never time or space. A hit also hands
 * out the one string object that was handed out before, whose hash the engine already knows when it serves as a key
 * of a Map. It is a pure function's memo: sharing it between nodes of one process cannot be observed.
 *
 * Hot path. A name of 14 bytes that then looks something up in a Map: 49 ns, against 112 ns with TextDecoder (Node 20).
 */
import { assert } from '../base/assert.ts'

/** Slots of a memo; 1,024 x 32 bytes is 32 KiB of keys, enough for the names one broker meets in a second. */
const SLOT_COUNT = 1024
/** Longest byte string that is remembered; from here on TextDecoder costs less than hashing and comparing. */
export const MEMO_BYTES_MAX = 32

export class ByteMemo {
  readonly #decode: (bytes: Uint8Array, start: number, end: number) => string
  readonly #keys = new Uint8Array(SLOT_COUNT * MEMO_BYTES_MAX)
  readonly #sizes = new Uint8Array(SLOT_COUNT)
  readonly #texts: string[] = new Array<string>(SLOT_COUNT).fill('')

  /** @param decode - The function to remember; must depend on nothing but the bytes in `[start, end)`. */
  constructor(decode: (bytes: Uint8Array, start: number, end: number) => string) {
    this.#decode = decode
  }

  /** The text of `bytes[start, end)`, which must be within `bytes` and at most `MEMO_BYTES_MAX` long. */
  get(bytes: Uint8Array, start: number, end: number): string {
    const size = end - start
    assert(size <= MEMO_BYTES_MAX, `Byte string over the memo's bound: ${size} bytes of ${MEMO_BYTES_MAX}`)
    let hash = size
    for (let position = start; position < end; position++) hash = (Math.imul(hash, 31) + bytes[position]!) | 0
    const slot = (hash ^ (hash >>> 10) ^ (hash >>> 20)) & (SLOT_COUNT - 1)
    const keys = this.#keys
    const key = slot * MEMO_BYTES_MAX
    if (this.#sizes[slot] === size) {
      let index = 0
      while (index < size && keys[key + index] === bytes[start + index]) index++
      if (index === size) return this.#texts[slot]!
    }
    const text = this.#decode(bytes, start, end)
    for (let index = 0; index < size; index++) keys[key + index] = bytes[start + index]!
    this.#sizes[slot] = size
    this.#texts[slot] = text
    return text
  }
}
