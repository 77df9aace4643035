/**
 * The newest batches of a log, by reference: what followers and consumers at the tail read without touching a file,
 * and what waits to be written.
 *
 * Invariants:
 * - Batches are contiguous and end at the log end offset; every batch that is not written is here.
 * - Written batches stay until the log's share (`bytesMax`) or the budget of all logs is used up; the oldest go first.
 * - A batch keeps the buffer alive that it is a part of. Those that would keep far more than themselves are copied
 *   together when they are written (`log-writer.ts`), so the memory held is at most 16 times what is counted, and
 *   usually equal to it.
 *
 * Data plane: one object per batch.
 */
import type { LogSlice } from './log-slice.ts'
import { emptySlice } from './log-slice.ts'
import type { Segment } from './segment.ts'

/** One batch that was appended; `bytes[start, start + size)` is the batch. */
export class CachedBatch {
  bytes: Uint8Array
  start: number
  readonly size: number
  readonly baseOffset: number
  /** Last offset + 1. */
  readonly endOffset: number
  readonly segment: Segment
  /** It would keep alive much more than itself: the writer copies it into a buffer of its own kind. */
  readonly isCopied: boolean

  constructor(
    bytes: Uint8Array,
    start: number,
    size: number,
    baseOffset: number,
    endOffset: number,
    segment: Segment,
    isCopied: boolean,
  ) {
    this.bytes = bytes
    this.start = start
    this.size = size
    this.baseOffset = baseOffset
    this.endOffset = endOffset
    this.segment = segment
    this.isCopied = isCopied
  }
}

/** Bounds the written batches kept by all logs of a process. */
export class TailCacheBudget {
  readonly #bytesMax: number
  /** Caches that hold something, the one with the oldest write first. */
  readonly #caches = new Set<TailCache>()
  #bytes = 0

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Counts bytes in or out. */
  add(bytes: number): void {
    this.#bytes += bytes
  }

  /** Notes that `cache` was just written to, and evicts from the others, longest idle first, while there is too much. */
  touch(cache: TailCache): void {
    this.#caches.delete(cache)
    this.#caches.add(cache)
    for (const other of this.#caches) {
      if (this.#bytes <= this.#bytesMax) return
      other.evict(this.#bytes - this.#bytesMax)
      if (other.isEmpty) this.#caches.delete(other)
    }
  }

  forget(cache: TailCache): void {
    this.#caches.delete(cache)
  }
}

/** Removed slots at the front that are tolerated before the array is cut: shifting each time would be quadratic. */
const SLACK = 1024

export class TailCache {
  readonly #budget: TailCacheBudget
  #bytesMax: number
  #batches: (CachedBatch | undefined)[] = []
  #first = 0
  #bytes = 0
  #writtenEndOffset: number

  constructor(budget: TailCacheBudget, bytesMax: number, logEndOffset: number) {
    this.#budget = budget
    this.#bytesMax = bytesMax
    this.#writtenEndOffset = logEndOffset
  }

  get isEmpty(): boolean {
    return this.#first === this.#batches.length
  }

  /** First offset that is here; Infinity when empty. */
  get startOffset(): number {
    return this.isEmpty ? Infinity : this.#batches[this.#first]!.baseOffset
  }

  set bytesMax(bytesMax: number) {
    this.#bytesMax = bytesMax
    this.evict(this.#bytes - bytesMax)
  }

  add(batch: CachedBatch): void {
    this.#batches.push(batch)
    this.#bytes += batch.size
    this.#budget.add(batch.size)
  }

  /** Notes that all below `endOffset` is written, and so may go. */
  written(endOffset: number): void {
    this.#writtenEndOffset = endOffset
    if (this.#bytes > this.#bytesMax) this.evict(this.#bytes - this.#bytesMax)
    this.#budget.touch(this)
  }

  /** Drops the oldest written batches, at least `bytes` of them if there are. */
  evict(bytes: number): void {
    let freed = 0
    while (freed < bytes && this.#first < this.#batches.length) {
      const batch = this.#batches[this.#first]!
      if (batch.endOffset > this.#writtenEndOffset) break
      this.#batches[this.#first++] = undefined
      freed += batch.size
    }
    this.#bytes -= freed
    this.#budget.add(-freed)
    if (this.#first > SLACK && this.#first * 2 > this.#batches.length) {
      this.#batches = this.#batches.slice(this.#first)
      this.#first = 0
    }
  }

  /** Drops the batches at and above `offset`, which is where the log ends now. */
  truncate(offset: number): void {
    while (!this.isEmpty && this.#batches.at(-1)!.endOffset > offset) {
      const batch = this.#batches.pop()!
      this.#bytes -= batch.size
      this.#budget.add(-batch.size)
    }
    this.#writtenEndOffset = Math.min(this.#writtenEndOffset, offset)
  }

  clear(logEndOffset: number): void {
    this.#budget.add(-this.#bytes)
    this.#budget.forget(this)
    this.#batches = []
    this.#first = 0
    this.#bytes = 0
    this.#writtenEndOffset = logEndOffset
  }

  /** The batch that holds `offset`, or undefined. */
  find(offset: number): CachedBatch | undefined {
    const index = this.#indexOf(offset)
    return index < this.#batches.length ? this.#batches[index] : undefined
  }

  /** Batches from the one that holds `offset` on. */
  *batchesFrom(offset: number): IterableIterator<CachedBatch> {
    for (let index = this.#indexOf(offset); index < this.#batches.length; index++) yield this.#batches[index]!
  }

  /**
   * Whole batches from the one that holds `startOffset`, which must be here, up to `endOffset`.
   *
   * @param atLeastOneBatch - Give the first one even if it is larger than `bytesMax`.
   */
  read(startOffset: number, endOffset: number, bytesMax: number, atLeastOneBatch: boolean): LogSlice {
    const firstIndex = this.#indexOf(startOffset)
    const chunks: Uint8Array[] = []
    let index = firstIndex
    let bytes = 0
    // Batches that lie end to end in one buffer leave as one chunk.
    let run: Uint8Array | null = null
    let runStart = 0
    let runEnd = 0
    for (; index < this.#batches.length; index++) {
      const batch = this.#batches[index]!
      if (batch.endOffset > endOffset) break
      if (bytes + batch.size > bytesMax && !(atLeastOneBatch && bytes === 0)) break
      bytes += batch.size
      if (run === batch.bytes && runEnd === batch.start) {
        runEnd += batch.size
        continue
      }
      if (run !== null) chunks.push(viewOf(run, runStart, runEnd))
      run = batch.bytes
      runStart = batch.start
      runEnd = batch.start + batch.size
    }
    if (run === null) return emptySlice(startOffset)
    chunks.push(viewOf(run, runStart, runEnd))
    return {
      chunks,
      bytes,
      startOffset: this.#batches[firstIndex]!.baseOffset,
      endOffset: this.#batches[index - 1]!.endOffset,
    }
  }

  /** Index of the first batch that ends above `offset`. */
  #indexOf(offset: number): number {
    let low = this.#first
    let high = this.#batches.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#batches[middle]!.endOffset > offset) high = middle
      else low = middle + 1
    }
    return low
  }
}

function viewOf(bytes: Uint8Array, start: number, end: number): Uint8Array {
  return start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end)
}
