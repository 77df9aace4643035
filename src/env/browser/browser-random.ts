/** The randomness port over Web Crypto. */
import { BlockRandom } from '../block-random.ts'

/** The part of `crypto` that is used. */
export interface RandomSource {
  getRandomValues(bytes: Uint8Array): unknown
}

export class BrowserRandom extends BlockRandom {
  constructor(source: RandomSource) {
    super((bytes) => source.getRandomValues(bytes))
  }
}
