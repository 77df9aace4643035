/**
 * A byte string that grows by whole chunks, so that growth never copies what is there.
 *
 *   chunk 0: 256 bytes | chunk 1: 512 bytes | ... doubling ... | every later chunk: 1 MiB
 *
 * Small files stay small, large ones waste at most a chunk, and cutting gives chunks back at once. Reads copy:
 * the bytes past a later cut are written anew, so a view would change under its reader (faults.md ND-7).
 *
 * Data plane: one copy on the way in, one on the way out.
 */
import { broken } from '../../base/assert.ts'

/** Most files of a small log are indexes and snapshots of some dozen bytes, made and removed by the thousand. */
const FIRST_CHUNK_BYTES = 256
/** 2^12 times the first: chunks 0 to 11 double, so they hold 4095 first chunks in all. */
const CHUNK_BYTES_MAX = 1024 * 1024
const DOUBLING_CHUNKS = 12
const DOUBLING_BYTES = FIRST_CHUNK_BYTES * (2 ** DOUBLING_CHUNKS - 1)

export class ChunkedBytes {
  readonly #chunks: Uint8Array[] = []
  #size = 0

  get size(): number {
    return this.#size
  }

  /** Memory taken, in bytes; at least `size`. */
  get allocatedBytes(): number {
    return chunkStart(this.#chunks.length)
  }

  /** Memory that a string of `size` bytes takes. */
  static allocationFor(size: number): number {
    return size === 0 ? 0 : chunkStart(chunkAt(size - 1) + 1)
  }

  append(bytes: Uint8Array): void {
    this.write(this.#size, bytes)
  }

  /** Writes at any position; a gap before it is filled with zeros. */
  write(position: number, bytes: Uint8Array): void {
    if (position > this.#size) this.truncate(position)
    const end = position + bytes.length
    this.#grow(end)
    this.#size = Math.max(this.#size, end)
    this.#walk(position, end, (part, taken) => part.set(bytes.subarray(taken, taken + part.length)))
  }

  /** A copy of the bytes in `[position, position + length)`, as far as they are there. */
  read(position: number, length: number): Uint8Array<ArrayBuffer> {
    const end = Math.min(this.#size, position + length)
    const first = chunkAt(position)
    if (end > position && end <= chunkStart(first + 1))
      return this.#chunks[first]!.slice(position - chunkStart(first), end - chunkStart(first))
    const out = new Uint8Array(Math.max(0, end - position))
    this.#walk(position, end, (part, taken) => out.set(part, taken))
    return out
  }

  /** Cuts, or extends with zeros. */
  truncate(size: number): void {
    if (!Number.isSafeInteger(size) || size < 0) broken(`A size is a whole number of bytes: got ${size}`)
    const before = this.#size
    this.#grow(size)
    this.#size = size
    if (size > before) this.#walk(before, size, (part) => part.fill(0))
    this.#chunks.length = size === 0 ? 0 : chunkAt(size - 1) + 1
  }

  #grow(size: number): void {
    while (this.allocatedBytes < size) this.#chunks.push(new Uint8Array(chunkBytes(this.#chunks.length)))
  }

  /** Visits the parts of chunks that hold `[start, end)`, with the count of bytes visited before each. */
  #walk(start: number, end: number, visit: (part: Uint8Array, taken: number) => void): void {
    let position = start
    while (position < end) {
      const index = chunkAt(position)
      const from = position - chunkStart(index)
      const part = this.#chunks[index]!.subarray(from, Math.min(chunkBytes(index), from + end - position))
      visit(part, position - start)
      position += part.length
    }
  }
}

function chunkBytes(index: number): number {
  return index < DOUBLING_CHUNKS ? FIRST_CHUNK_BYTES * 2 ** index : CHUNK_BYTES_MAX
}

/** Position of the first byte of chunk `index`. */
function chunkStart(index: number): number {
  return index < DOUBLING_CHUNKS
    ? FIRST_CHUNK_BYTES * (2 ** index - 1)
    : DOUBLING_BYTES + (index - DOUBLING_CHUNKS) * CHUNK_BYTES_MAX
}

/** The chunk that holds `position`. */
function chunkAt(position: number): number {
  return position < DOUBLING_BYTES
    ? 31 - Math.clz32(Math.floor(position / FIRST_CHUNK_BYTES) + 1)
    : DOUBLING_CHUNKS + Math.floor((position - DOUBLING_BYTES) / CHUNK_BYTES_MAX)
}
