/**
 * Batch builders with memory to reuse: pages new to a process are what sending costs most on some machines. Hot path.
 *
 * Invariant: memory comes back only when no one can read it any more; who gives it back answers for that.
 */
import { BatchBuilder } from '../records/batch-builder.ts'

/** Builders kept: those of a few requests in flight to each of a few brokers; at 256 KiB they hold 16 MiB at most. */
const SPARE_MAX = 64

export class BuilderPool {
  readonly #spare: BatchBuilder[] = []
  readonly #initialBytes: number

  /** @param initialBytes - Room that a new builder begins with. */
  constructor(initialBytes: number) {
    this.#initialBytes = initialBytes
  }

  take(): BatchBuilder {
    return this.#spare.pop() ?? new BatchBuilder(this.#initialBytes)
  }

  /** @param batch - What the builder sealed, if its memory is free; null keeps only the builder's own. */
  give(builder: BatchBuilder, batch: Uint8Array | null): void {
    if (batch !== null) builder.recycle(batch)
    if (this.#spare.length < SPARE_MAX) this.#spare.push(builder)
  }
}
