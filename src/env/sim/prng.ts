/**
 * Seeded random numbers: Chris Doty-Humphrey's sfc32 (PractRand), seeded through a splitmix-style mixer.
 *
 * Streams for different purposes are derived from one seed by fixed salts, so that drawing more in one of them
 * (a new disk fault, say) does not shift the others: the rest of the run stays comparable.
 */
import type { Random } from '../random.ts'
import { drawBelow } from '../uniform.ts'
import { drawUuid } from '../uuid.ts'

export class Prng implements Random {
  #a: number
  #b: number
  #c: number
  #counter = 1
  readonly #drawUint32 = (): number => this.uint32()

  /** @param seed - Any number or text. @param salt - Names the stream. */
  constructor(seed: number | string, salt: string) {
    const text = `${seed}/${salt}`
    this.#a = mix(text, 0x9e3779b9)
    this.#b = mix(text, 0x85ebca6b)
    this.#c = mix(text, 0xc2b2ae35)
    for (let round = 0; round < 12; round++) this.uint32()
  }

  uint32(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0
    this.#counter = (this.#counter + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0
    return sum >>> 0
  }

  below(bound: number): number {
    return drawBelow(bound, this.#drawUint32)
  }

  /** Uniform in `[low, high)`. */
  between(low: number, high: number): number {
    return low + ((high - low) * this.uint32()) / 2 ** 32
  }

  /** True with the given probability, 0 to 1. Draws whatever it is, so that a rate of 0 shifts nothing. */
  chance(probability: number): boolean {
    return this.uint32() < probability * 2 ** 32
  }

  pick<T>(items: readonly [T, ...T[]]): T {
    return items[this.below(items.length)]!
  }

  uuid(): string {
    return drawUuid((bytes) => {
      for (let index = 0; index < bytes.length; index++) bytes[index] = this.uint32() >>> 24
    })
  }
}

/** FNV-1a over the text from a start of its own, then murmur3's finish. */
function mix(text: string, start: number): number {
  let hash = start
  for (let index = 0; index < text.length; index++) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193)
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
