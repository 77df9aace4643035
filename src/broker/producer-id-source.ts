/**
 * Hands out producer ids from a block that the controller reserved for this broker. An id is given once, ever: the
 * block is committed before its first id is used, and what is left of it at a stop is never used (faults.md P4).
 */

export interface ProducerIdBlock {
  readonly firstId: number
  readonly count: number
}

export class ProducerIdSource {
  readonly #reserve: () => Promise<ProducerIdBlock | null>
  #nextId = 0
  #endId = 0
  /** The reservation under way; all who find the block empty wait for the same one. */
  #reserving: Promise<boolean> | null = null

  /** @param reserve - Asks the controller for a block; null when it cannot give one now. */
  constructor(reserve: () => Promise<ProducerIdBlock | null>) {
    this.#reserve = reserve
  }

  /** A fresh id, or null when the controller cannot reserve any now. */
  async next(): Promise<number | null> {
    while (this.#nextId === this.#endId) {
      this.#reserving ??= this.#refill()
      if (!(await this.#reserving)) return null
    }
    return this.#nextId++
  }

  async #refill(): Promise<boolean> {
    try {
      const block = await this.#reserve()
      if (block === null) return false
      this.#nextId = block.firstId
      this.#endId = block.firstId + block.count
      return true
    } finally {
      this.#reserving = null
    }
  }
}
