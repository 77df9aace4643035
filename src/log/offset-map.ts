/**
 * The newest offset of each key, in a fixed amount of memory: what compaction judges records by.
 *
 *   slot := identity: 4 × uint32 | offset + 1: high uint32, low uint32      24 bytes; offset + 1 = 0: free
 *   identity := length: uint8 | key, padded with zeros                      keys of up to 15 bytes: the key itself
 *             | 0xff | 120 bits of its SipHash                              longer ones
 *
 * Two keys that share an identity would be one key to compaction, and the older record lost: for long keys that has a
 * chance of 1 in 2^73 among 2^24 of them, and no producer can raise it without knowing the hash's key, which is drawn
 * for each pass. For the same reason nobody can make all keys meet in one slot. Linear probing. Data plane of compaction.
 */
import { SipHash, type SipKey } from '../bytes/siphash.ts'

const SLOT_WORDS = 6
const SLOT_BYTES = SLOT_WORDS * 4

/** Keys of up to this many bytes are kept whole. */
const SHORT_KEY_BYTES = 15
const LONG_KEY_MARK = 0xff

/** Share of slots in use above which the map is full: probes stay short, 2.5 on average for a hit. */
const LOAD_MAX = 0.75

const TWO_TO_32 = 0x1_0000_0000

/** Smallest map, in bytes: below it no pass would get anywhere. */
export const OFFSET_MAP_BYTES_MIN = 4096

export class OffsetMap {
  readonly #slotCount: number
  readonly #keysMax: number
  readonly #slots: Uint32Array
  readonly #hash: SipHash
  readonly #identity = new Uint32Array(4)
  readonly #identityBytes = new Uint8Array(this.#identity.buffer)
  #count = 0

  /**
   * @param bytesMax - Memory it may take, from `OFFSET_MAP_BYTES_MIN`.
   * @param keys - How many keys there may be; it takes no more memory than these need.
   */
  constructor(bytesMax: number, keys: number, hashKey: SipKey) {
    const slotsMax = Math.floor(Math.max(bytesMax, OFFSET_MAP_BYTES_MIN) / SLOT_BYTES)
    this.#slotCount = Math.min(slotsMax, Math.ceil((keys + 1) / LOAD_MAX) + 1)
    this.#keysMax = Math.max(1, Math.floor(this.#slotCount * LOAD_MAX))
    this.#slots = new Uint32Array(this.#slotCount * SLOT_WORDS)
    this.#hash = new SipHash(hashKey)
  }

  /** Keys that it holds. */
  get count(): number {
    return this.#count
  }

  /** Notes that `key` has a record at `offset`. @returns False if it has no room for one more key. */
  put(key: Uint8Array, offset: number): boolean {
    const slots = this.#slots
    const at = this.#find(key)
    if (!isUsed(slots, at)) {
      if (this.#count >= this.#keysMax) return false
      slots.set(this.#identity, at)
      this.#count++
    } else if (offsetAt(slots, at) >= offset) return true
    slots[at + 4] = Math.floor((offset + 1) / TWO_TO_32)
    slots[at + 5] = (offset + 1) % TWO_TO_32
    return true
  }

  /** The newest offset of `key` that was noted, or -1. */
  get(key: Uint8Array): number {
    const at = this.#find(key)
    return isUsed(this.#slots, at) ? offsetAt(this.#slots, at) : -1
  }

  /** Position of the slot that has the key, or of the free one where it belongs. Leaves its identity in `#identity`. */
  #find(key: Uint8Array): number {
    const identity = this.#identity
    const bytes = this.#identityBytes
    const { words } = this.#hash
    this.#hash.hash(key)
    if (key.length <= SHORT_KEY_BYTES) {
      identity.fill(0)
      bytes[0] = key.length
      for (let index = 0; index < key.length; index++) bytes[index + 1] = key[index]!
    } else {
      identity.set(words)
      bytes[0] = LONG_KEY_MARK
    }
    const slots = this.#slots
    const end = this.#slotCount * SLOT_WORDS
    let at = (words[3]! % this.#slotCount) * SLOT_WORDS
    while (
      isUsed(slots, at) &&
      (slots[at] !== identity[0] ||
        slots[at + 1] !== identity[1] ||
        slots[at + 2] !== identity[2] ||
        slots[at + 3] !== identity[3])
    ) {
      at += SLOT_WORDS
      if (at === end) at = 0
    }
    return at
  }
}

function isUsed(slots: Uint32Array, at: number): boolean {
  return slots[at + 5] !== 0 || slots[at + 4] !== 0
}

function offsetAt(slots: Uint32Array, at: number): number {
  return slots[at + 4]! * TWO_TO_32 + slots[at + 5]! - 1
}
