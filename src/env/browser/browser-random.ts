/**
 * The randomness port over Web Crypto, drawn in blocks.
 */
import { assert } from '../../base/assert.ts'
import type { Random } from '../random.ts'
import { drawUuid } from '../uuid.ts'

/** The part of `crypto` that is used. */
export interface RandomSource {
  getRandomValues(bytes: Uint8Array): unknown
}

const BLOCK_BYTES = 1024

export class BrowserRandom implements Random {
  readonly #source: RandomSource
  readonly #block = new Uint8Array(BLOCK_BYTES)
  readonly #view = new DataView(this.#block.buffer)
  #position = BLOCK_BYTES

  constructor(source: RandomSource) {
    this.#source = source
  }

  below(bound: number): number {
    assert(
      Number.isInteger(bound) && bound >= 1 && bound <= 2 ** 31,
      `A bound is from 1 to 2^31: got ${bound}`,
    )
    const fair = 2 ** 32 - (2 ** 32 % bound)
    for (;;) {
      const draw = this.#view.getUint32(this.#take(4))
      if (draw < fair) return draw % bound
    }
  }

  uuid(): string {
    return drawUuid((bytes) => {
      const position = this.#take(bytes.length)
      bytes.set(this.#block.subarray(position, position + bytes.length))
    })
  }

  /** Position of `count` bytes in the block that were never given out before. */
  #take(count: number): number {
    if (this.#position + count > BLOCK_BYTES) {
      this.#source.getRandomValues(this.#block)
      this.#position = 0
    }
    const position = this.#position
    this.#position += count
    return position
  }
}
