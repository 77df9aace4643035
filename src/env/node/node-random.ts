/** The randomness port over the operating system's generator. */
import { randomFillSync } from 'node:crypto'
import { BlockRandom } from '../block-random.ts'

export class NodeRandom extends BlockRandom {
  constructor() {
    super((bytes) => randomFillSync(bytes))
  }
}
