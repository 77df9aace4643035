/**
 * Batch builders with memory to reuse: pages new to a process are what sending costs most on some machines. Hot path.
 *
 * Invariant: memory comes back only when no one can read it any more; who gives it back answers for that.
 */
import { BatchBuilder } from '../records/batch-builder.ts'

/** Memory kept, in bytes: that of the full batches in flight to a few brokers. */
const SPARE_BYTES_MAX = 16 * 1024 * 1024
/** Builders kept: those of small batches, each a request of its own, as many as may reasonably be in flight. */
const SPARE_COUNT_MAX = 1024

export class BuilderPool {
  readonly #spare: BatchBuilder[] = []
  #spareBytes = 0
  readonly #initialBytes: number

  /** @param initialBytes - Room that a new builder makes for its first record. */
  constructor(initialBytes: number) {
    this.#initialBytes = initialBytes
  }

  take(): BatchBuilder {
    const builder = this.#spare.pop()
    if (builder === undefined) return new BatchBuilder(this.#initialBytes)
    this.#spareBytes -= builder.capacity
    return builder
  }

  /** @param batch - What the builder sealed, if its memory is free; null keeps only the builder's own. */
  give(builder: BatchBuilder, batch: Uint8Array | null): void {
    if (batch !== null) builder.recycle(batch)
    const bytes = builder.capacity
    if (this.#spare.length >= SPARE_COUNT_MAX || this.#spareBytes + bytes > SPARE_BYTES_MAX) return
    this.#spareBytes += bytes
    this.#spare.push(builder)
  }
}
