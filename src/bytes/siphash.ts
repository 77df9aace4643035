/**
 * SipHash-2-4 with 128 bits of output: a hash that nobody can steer who does not know its key. Equal hashes stand for
 * equal keys where the keys themselves would not fit (compaction), so those who choose the input must not be able to
 * make two of them collide.
 *
 * 64-bit words are held in two 32-bit halves; no bigint, no allocation. About 60 ns for 16 bytes with Node 20.
 *
 * @see Aumasson and Bernstein, "SipHash: a fast short-input PRF", and the 128-bit variant of its authors.
 */

/** Four words of 32 bits, random. */
export type SipKey = readonly [number, number, number, number]

const INPUT_ROUNDS = 2
const FINAL_ROUNDS = 4

export class SipHash {
  /** The last hash, as four 32-bit words. */
  readonly words = new Uint32Array(4)
  readonly #key: SipKey
  /** v0 to v3, low half before high half. */
  readonly #state = new Int32Array(8)

  constructor(key: SipKey) {
    this.#key = key
  }

  /** Hashes `bytes` into `words`. */
  hash(bytes: Uint8Array): void {
    const state = this.#state
    const [k0, k1, k2, k3] = this.#key
    state[0] = k0 ^ 0x70736575
    state[1] = k1 ^ 0x736f6d65
    state[2] = k2 ^ 0x6e646f6d ^ 0xee
    state[3] = k3 ^ 0x646f7261
    state[4] = k0 ^ 0x6e657261
    state[5] = k1 ^ 0x6c796765
    state[6] = k2 ^ 0x79746573
    state[7] = k3 ^ 0x74656462
    const { length } = bytes
    const whole = length - (length % 8)
    for (let at = 0; at < whole; at += 8) {
      absorb(
        state,
        bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24),
        bytes[at + 4]! | (bytes[at + 5]! << 8) | (bytes[at + 6]! << 16) | (bytes[at + 7]! << 24),
      )
    }
    let low = 0
    let high = length << 24
    for (let at = whole; at < length; at++) {
      const shift = (at - whole) * 8
      if (shift < 32) low |= bytes[at]! << shift
      else high |= bytes[at]! << (shift - 32)
    }
    absorb(state, low, high)
    state[4] ^= 0xee
    rounds(state, FINAL_ROUNDS)
    this.words[0] = state[0] ^ state[2] ^ state[4] ^ state[6]
    this.words[1] = state[1] ^ state[3] ^ state[5] ^ state[7]
    state[2] ^= 0xdd
    rounds(state, FINAL_ROUNDS)
    this.words[2] = state[0] ^ state[2] ^ state[4] ^ state[6]
    this.words[3] = state[1] ^ state[3] ^ state[5] ^ state[7]
  }
}

function absorb(state: Int32Array, low: number, high: number): void {
  state[6]! ^= low
  state[7]! ^= high
  rounds(state, INPUT_ROUNDS)
  state[0]! ^= low
  state[1]! ^= high
}

function rounds(state: Int32Array, count: number): void {
  let a0 = state[0]!
  let a1 = state[1]!
  let b0 = state[2]!
  let b1 = state[3]!
  let c0 = state[4]!
  let c1 = state[5]!
  let d0 = state[6]!
  let d1 = state[7]!
  let low = 0
  for (let round = 0; round < count; round++) {
    // v0 += v1; v1 <<<= 13; v1 ^= v0; v0 <<<= 32
    low = (a0 >>> 0) + (b0 >>> 0)
    a1 = (a1 + b1 + (low > 0xffff_ffff ? 1 : 0)) | 0
    a0 = low | 0
    low = (b0 << 13) | (b1 >>> 19)
    b1 = (b1 << 13) | (b0 >>> 19)
    b0 = low ^ a0
    b1 ^= a1
    low = a0
    a0 = a1
    a1 = low
    // v2 += v3; v3 <<<= 16; v3 ^= v2
    low = (c0 >>> 0) + (d0 >>> 0)
    c1 = (c1 + d1 + (low > 0xffff_ffff ? 1 : 0)) | 0
    c0 = low | 0
    low = (d0 << 16) | (d1 >>> 16)
    d1 = (d1 << 16) | (d0 >>> 16)
    d0 = low ^ c0
    d1 ^= c1
    // v0 += v3; v3 <<<= 21; v3 ^= v0
    low = (a0 >>> 0) + (d0 >>> 0)
    a1 = (a1 + d1 + (low > 0xffff_ffff ? 1 : 0)) | 0
    a0 = low | 0
    low = (d0 << 21) | (d1 >>> 11)
    d1 = (d1 << 21) | (d0 >>> 11)
    d0 = low ^ a0
    d1 ^= a1
    // v2 += v1; v1 <<<= 17; v1 ^= v2; v2 <<<= 32
    low = (c0 >>> 0) + (b0 >>> 0)
    c1 = (c1 + b1 + (low > 0xffff_ffff ? 1 : 0)) | 0
    c0 = low | 0
    low = (b0 << 17) | (b1 >>> 15)
    b1 = (b1 << 17) | (b0 >>> 15)
    b0 = low ^ c0
    b1 ^= c1
    low = c0
    c0 = c1
    c1 = low
  }
  state[0] = a0
  state[1] = a1
  state[2] = b0
  state[3] = b1
  state[4] = c0
  state[5] = c1
  state[6] = d0
  state[7] = d1
}
