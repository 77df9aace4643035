/**
 * Compares a segment's indexes with its batches while these go by, for `verify.ts`. Both indexes ascend as the log does,
 * so one pass with one entry of each in hand is enough, however large the segment is. Reads only.
 *
 *   .index      the batch at `position` ends at `relativeOffset`
 *   .timeindex  the batch that ends at `relativeOffset` has `timestamp` as its largest
 */
import type { File, FileSystem } from '../env/index.ts'
import { FileError } from '../env/index.ts'
import type { BatchHeader } from '../records/batch-header.ts'
import { int64At, uint32At } from '../records/integers.ts'
import { OFFSET_INDEX_ENTRY_BYTES } from './offset-index.ts'
import { TIME_INDEX_ENTRY_BYTES } from './time-index.ts'

/** Entries of one read: 32 to 48 KiB. */
const READ_ENTRIES = 4096

export interface IndexFault {
  readonly path: string
  /** Byte position of the entry. */
  readonly position: number
  readonly fault: string
}

/** One entry after the other of a file of fixed-width entries. */
class EntryCursor {
  readonly path: string
  readonly #file: File | null
  readonly #entryBytes: number
  readonly #sizeBytes: number
  #buffer: Uint8Array = new Uint8Array(0)
  #bufferPosition = 0
  /** Byte position of the entry in hand. */
  position = 0

  private constructor(path: string, file: File | null, sizeBytes: number, entryBytes: number) {
    this.path = path
    this.#file = file
    this.#sizeBytes = sizeBytes
    this.#entryBytes = entryBytes
  }

  /** A missing file has no entries: it is rebuilt when it is needed. */
  static async open(files: FileSystem, path: string, entryBytes: number): Promise<EntryCursor> {
    try {
      const file = await files.open(path, 'read')
      return new EntryCursor(path, file, await file.size(), entryBytes)
    } catch (error) {
      if (error instanceof FileError && error.code === 'FILE_NOT_FOUND') {
        return new EntryCursor(path, null, 0, entryBytes)
      }
      throw error
    }
  }

  /** Bytes after the last whole entry. */
  get looseBytes(): number {
    return this.#sizeBytes % this.#entryBytes
  }

  /** The entry in hand, whole and valid until the next call; null at the end. */
  async current(): Promise<{ readonly bytes: Uint8Array; readonly at: number } | null> {
    if (this.#file === null || this.position + this.#entryBytes > this.#sizeBytes) return null
    const at = this.position - this.#bufferPosition
    if (at >= 0 && at + this.#entryBytes <= this.#buffer.length) return { bytes: this.#buffer, at }
    this.#buffer = await this.#file.read(this.position, READ_ENTRIES * this.#entryBytes)
    this.#bufferPosition = this.position
    return this.#buffer.length < this.#entryBytes ? null : { bytes: this.#buffer, at: 0 }
  }

  advance(): void {
    this.position += this.#entryBytes
  }

  async close(): Promise<void> {
    await this.#file?.close()
  }
}

/** Both indexes of one segment. The first fault of each file is kept; what follows it says nothing. */
export class IndexChecker {
  readonly #baseOffset: number
  readonly #offsets: EntryCursor
  readonly #times: EntryCursor
  #offsetFault: IndexFault | null = null
  #timeFault: IndexFault | null = null

  private constructor(baseOffset: number, offsets: EntryCursor, times: EntryCursor) {
    this.#baseOffset = baseOffset
    this.#offsets = offsets
    this.#times = times
  }

  /** @throws {FileError} If a file is there and cannot be read. */
  static async open(
    files: FileSystem,
    paths: { readonly offsetIndex: string; readonly timeIndex: string },
    baseOffset: number,
  ): Promise<IndexChecker> {
    const offsets = await EntryCursor.open(files, paths.offsetIndex, OFFSET_INDEX_ENTRY_BYTES)
    const times = await EntryCursor.open(files, paths.timeIndex, TIME_INDEX_ENTRY_BYTES)
    return new IndexChecker(baseOffset, offsets, times)
  }

  /** Takes the next sound batch of the segment. */
  async follow(position: number, header: BatchHeader): Promise<void> {
    const relativeOffset = header.baseOffset + header.lastOffsetDelta - this.#baseOffset
    if (this.#offsetFault === null) await this.#followOffsets(position, relativeOffset)
    if (this.#timeFault === null) await this.#followTimes(header.maxTimestamp, relativeOffset)
  }

  /** Takes the end of the segment. @returns What is wrong, the offset index first. */
  async end(): Promise<readonly IndexFault[]> {
    const check = async (cursor: EntryCursor, found: IndexFault | null): Promise<IndexFault | null> => {
      if (found !== null) return found
      if ((await cursor.current()) !== null)
        return faultAt(cursor, 'The entry points past the end of the log')
      return cursor.looseBytes === 0
        ? null
        : faultAt(cursor, `The file ends in ${cursor.looseBytes} bytes of an entry`)
    }
    const faults = [await check(this.#offsets, this.#offsetFault), await check(this.#times, this.#timeFault)]
    return faults.filter((fault) => fault !== null)
  }

  async close(): Promise<void> {
    await this.#offsets.close()
    await this.#times.close()
  }

  async #followOffsets(position: number, relativeOffset: number): Promise<void> {
    const entry = await this.#offsets.current()
    if (entry === null) return
    const entryPosition = uint32At(entry.bytes, entry.at + 4)
    if (entryPosition > position) return
    const entryOffset = uint32At(entry.bytes, entry.at)
    if (entryPosition < position) {
      const fault = `The entry points to position ${entryPosition}: no batch begins there after the last entry's`
      this.#offsetFault = faultAt(this.#offsets, fault)
    } else if (entryOffset !== relativeOffset) {
      const fault = `The entry says relative offset ${entryOffset}: the batch at ${position} ends at ${relativeOffset}`
      this.#offsetFault = faultAt(this.#offsets, fault)
    } else this.#offsets.advance()
  }

  async #followTimes(maxTimestamp: number, relativeOffset: number): Promise<void> {
    const entry = await this.#times.current()
    if (entry === null) return
    const entryOffset = uint32At(entry.bytes, entry.at + 8)
    if (entryOffset > relativeOffset) return
    const timestamp = int64At(entry.bytes, entry.at)
    if (entryOffset < relativeOffset) {
      const fault = `The entry says relative offset ${entryOffset}: no batch ends there after the last entry's`
      this.#timeFault = faultAt(this.#times, fault)
    } else if (timestamp !== maxTimestamp) {
      const fault = `The entry says timestamp ${timestamp}: the batch that ends at ${entryOffset} has ${maxTimestamp}`
      this.#timeFault = faultAt(this.#times, fault)
    } else this.#times.advance()
  }
}

function faultAt({ path, position }: EntryCursor, fault: string): IndexFault {
  return { path, position, fault }
}
