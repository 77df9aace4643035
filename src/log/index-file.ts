/**
 * A sparse index of a segment: fixed-width entries in ascending order, the newest ones in memory until `flush`.
 *
 * Every index is a cache of its log (docs/faults.md D5): not synced with it, believed only where the log agrees, and
 * rebuilt from it otherwise. So a torn, short, overlong or scrambled file costs time, never a wrong answer.
 *
 * What is in memory is 8 or 12 bytes per `indexIntervalBytes` of log, at most `FLUSH_ENTRIES` of them in good times and
 * one segment's worth while the disk is full.
 */
import type { FileSystem } from '../env/index.ts'
import { FileError } from '../env/index.ts'
import type { FilePool } from './file-pool.ts'

/** Entries in memory above which the owner should flush: 16 MiB of log at the usual interval. */
const FLUSH_ENTRIES = 4096

/** A search in the file narrows down to this many entries by single reads, then reads them at once: 4 to 6 KiB. */
const READ_ENTRIES = 512

/** The index is not what its log says, or cannot be read: rebuild it. */
export class IndexDamagedError extends Error {
  override readonly name = 'IndexDamagedError'
  readonly code = 'LOG_INDEX_DAMAGED'
}

export interface FoundEntry {
  readonly index: number
  readonly bytes: Uint8Array
}

export class IndexFile {
  readonly path: string
  readonly entryBytes: number
  readonly #files: FileSystem
  readonly #pool: FilePool
  #fileCount: number
  #tail: Uint8Array
  #tailCount = 0
  /** The file may hold more than `#fileCount` entries: cut it before anything is added. */
  #isFileLonger = false
  #flushing: Promise<void> | null = null

  /** @param fileCount - Entries in the file that are there to be used; 0 for a new one. */
  constructor(files: FileSystem, pool: FilePool, path: string, entryBytes: number, fileCount: number) {
    this.path = path
    this.entryBytes = entryBytes
    this.#files = files
    this.#pool = pool
    this.#fileCount = fileCount
    this.#tail = new Uint8Array(0)
  }

  get count(): number {
    return this.#fileCount + this.#tailCount
  }

  get sizeBytes(): number {
    return this.count * this.entryBytes
  }

  get needsFlush(): boolean {
    return this.#tailCount >= FLUSH_ENTRIES
  }

  get isFlushed(): boolean {
    return this.#tailCount === 0 && !this.#isFileLonger
  }

  /** Takes a place for one entry; the caller writes it to `[position, position + entryBytes)` of what is returned. */
  extend(): { readonly bytes: Uint8Array; readonly position: number } {
    const position = this.#tailCount * this.entryBytes
    if (position === this.#tail.length) {
      const grown = new Uint8Array(Math.max(this.entryBytes * 16, this.#tail.length * 2))
      grown.set(this.#tail)
      this.#tail = grown
    }
    this.#tailCount++
    return { bytes: this.#tail, position }
  }

  /**
   * Finds the last entry that `isAtOrBelow`, which must hold for a first part of the entries and for no later one.
   *
   * @returns Its index and a copy of its bytes, or null when it holds for none.
   * @throws {IndexDamagedError} If the file is shorter than it should be. @throws {FileError} If it cannot be read.
   */
  async findLast(isAtOrBelow: (bytes: Uint8Array, position: number) => boolean): Promise<FoundEntry | null> {
    await this.#flushing
    if (this.#tailCount > 0 && isAtOrBelow(this.#tail, 0)) {
      const index = searchEntries(this.#tail, this.#tailCount, this.entryBytes, isAtOrBelow)
      return { index: this.#fileCount + index, bytes: this.#copy(this.#tail, index) }
    }
    let low = 0
    let high = this.#fileCount
    while (high - low > READ_ENTRIES) {
      const middle = (low + high) >>> 1
      if (isAtOrBelow(await this.#readEntries(middle, 1), 0)) low = middle
      else high = middle
    }
    if (high === 0) return null
    const entries = await this.#readEntries(low, high - low)
    const index = searchEntries(entries, high - low, this.entryBytes, isAtOrBelow)
    return index < 0 ? null : { index: low + index, bytes: this.#copy(entries, index) }
  }

  /** The bytes of entry `index`, below `count`. */
  async entryAt(index: number): Promise<Uint8Array> {
    await this.#flushing
    return index < this.#fileCount
      ? await this.#readEntries(index, 1)
      : this.#copy(this.#tail, index - this.#fileCount)
  }

  /** Keeps the first `count` entries. Only while no flush runs. */
  truncate(count: number): void {
    if (count >= this.#fileCount) {
      this.#tailCount = Math.min(this.#tailCount, count - this.#fileCount)
      return
    }
    this.#fileCount = count
    this.#tailCount = 0
    this.#isFileLonger = true
  }

  /** Forgets the entries of the file, which are no good, and keeps those in memory. Only while no flush runs. */
  forgetFile(): void {
    this.#fileCount = 0
    this.#isFileLonger = true
  }

  /**
   * Writes what is in memory to the file; with `syncs`, makes it survive a power cut.
   *
   * @throws {FileError} Then the entries are still in memory and the next flush tries again.
   */
  async flush(syncs: boolean): Promise<void> {
    while (this.#flushing !== null) await this.#flushing
    if (this.isFlushed && !syncs) return
    this.#flushing = this.#flush(syncs).finally(() => (this.#flushing = null))
    await this.#flushing
  }

  async #flush(syncs: boolean): Promise<void> {
    const count = this.#tailCount
    const file = await this.#files.open(this.path, 'append')
    try {
      if (this.#isFileLonger) await file.truncate(this.#fileCount * this.entryBytes)
      this.#isFileLonger = true // until the append is known to be whole
      if (count > 0) await file.append([this.#tail.slice(0, count * this.entryBytes)])
      this.#fileCount += count
      this.#tail = this.#tail.slice(count * this.entryBytes)
      this.#tailCount -= count
      this.#isFileLonger = false
      if (syncs) await file.sync()
    } finally {
      await file.close()
    }
    await this.#pool.retire(this.path) // a handle from before may stand for a file that was missing
  }

  async #readEntries(first: number, count: number): Promise<Uint8Array> {
    const length = count * this.entryBytes
    let bytes
    try {
      bytes = await this.#pool.withFile(this.path, (file) => file.read(first * this.entryBytes, length))
    } catch (error) {
      if (error instanceof FileError && error.code === 'FILE_NOT_FOUND') {
        throw new IndexDamagedError(`Read ${this.path}: the file is missing`)
      }
      throw error
    }
    if (bytes.length < length)
      throw new IndexDamagedError(`Read ${this.path}: it ends before entry ${first + count}`)
    return bytes
  }

  #copy(bytes: Uint8Array, index: number): Uint8Array {
    return bytes.slice(index * this.entryBytes, (index + 1) * this.entryBytes)
  }
}

/** Index of the last of `count` entries for which `isAtOrBelow` holds, or -1. */
function searchEntries(
  bytes: Uint8Array,
  count: number,
  entryBytes: number,
  isAtOrBelow: (bytes: Uint8Array, position: number) => boolean,
): number {
  let low = -1
  let high = count
  while (high - low > 1) {
    const middle = (low + high) >>> 1
    if (isAtOrBelow(bytes, middle * entryBytes)) low = middle
    else high = middle
  }
  return low
}
