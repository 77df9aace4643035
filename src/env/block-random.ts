/**
 * The randomness port over a generator that fills bytes, drawn in blocks: a call into one costs some 500 ns whatever it
 * fetches.
 */
import type { Random } from './random.ts'
import { drawBelow } from './uniform.ts'
import { drawUuid } from './uuid.ts'

const BLOCK_BYTES = 4096

export class BlockRandom implements Random {
  readonly #fill: (bytes: Uint8Array) => unknown
  readonly #block = new Uint8Array(BLOCK_BYTES)
  readonly #view = new DataView(this.#block.buffer)
  #position = BLOCK_BYTES
  readonly #drawUint32 = (): number => this.#view.getUint32(this.#take(4))

  /** @param fill - Overwrites all the bytes with random ones. */
  constructor(fill: (bytes: Uint8Array) => unknown) {
    this.#fill = fill
  }

  below(bound: number): number {
    return drawBelow(bound, this.#drawUint32)
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
      this.#fill(this.#block)
      this.#position = 0
    }
    const position = this.#position
    this.#position += count
    return position
  }
}
