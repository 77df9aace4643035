/**
 * One segment: a `.log` file of record batches and its two indexes.
 *
 * Invariants:
 * - `writtenBytes <= sizeBytes`: appended batches count at once, written ones when the write resolved.
 * - Only the last segment of a log grows. Batches lie end to end; the first begins at or above `baseOffset`.
 * - An index entry is believed only if the batch it points to says the same (docs/faults.md D5, ST-4).
 *
 * Appends come in through `addBatch`, which is synchronous and touches no file; bytes are written by `LogWriter` and
 * read through the pool, on handles of their own.
 */
import type { File, FileSystem } from '../env/index.ts'
import { BATCH_HEADER_BYTES, lastOffsetAt, maxTimestampAt, batchSizeAt } from '../records/batch-header.ts'
import { scanBatches } from './batch-scan.ts'
import type { FilePool } from './file-pool.ts'
import { LOG_SUFFIX, OFFSET_INDEX_SUFFIX, offsetFileName, TIME_INDEX_SUFFIX } from './file-names.ts'
import { IndexDamagedError, IndexFile } from './index-file.ts'
import { type LogConfig, RELATIVE_OFFSET_MAX, SEGMENT_BYTES_MAX } from './log-config.ts'
import { corruptAt } from './log-error.ts'
import {
  addOffsetEntry,
  findOffsetEntry,
  OFFSET_INDEX_ENTRY_BYTES,
  offsetEntryAt,
  truncateOffsetIndex,
} from './offset-index.ts'
import {
  addTimeEntry,
  findTimeEntry,
  lastTimeEntry,
  TIME_INDEX_ENTRY_BYTES,
  truncateTimeIndex,
} from './time-index.ts'

export interface SegmentPorts {
  readonly files: FileSystem
  readonly pool: FilePool
  /** The log's directory. */
  readonly directory: string
}

/** Sizes of the files of a segment that was there before. */
export interface SegmentSizes {
  readonly log: number
  readonly offsetIndex: number
  readonly timeIndex: number
}

const NO_TIMESTAMP = -1

export class Segment {
  readonly baseOffset: number
  /** Of its `.log`. Changes while a cleaned segment takes its place: see `segment-swap.ts`. */
  path: string
  readonly offsetIndex: IndexFile
  readonly timeIndex: IndexFile
  /** Monotonic ms when this process began to append to it. */
  readonly openedMs: number
  sizeBytes: number
  writtenBytes: number
  /** Offset after its last batch, its base offset when it has none; right once `load` resolved. */
  endOffset: number
  /** Largest timestamp of its batches; right once `load` resolved, and always for a segment of this process. */
  maxTimestampMs = NO_TIMESTAMP
  offsetOfMaxTimestamp: number
  /** The writer's handle, while it has one. */
  appendFile: File | null = null
  /** It holds written bytes that are not synced. */
  needsSync = false
  /** A write to it is under way or has failed, or a cut is not done: there may be bytes past `writtenBytes`. */
  mayBeTorn = false

  readonly #ports: SegmentPorts
  readonly #indexIntervalBytes: number
  #bytesSinceIndexEntry = 0
  #lastIndexedTimestampMs = NO_TIMESTAMP
  #loading: Promise<void> | null

  private constructor(
    ports: SegmentPorts,
    baseOffset: number,
    config: LogConfig,
    nowMs: number,
    sizes: SegmentSizes,
  ) {
    this.#ports = ports
    this.baseOffset = baseOffset
    this.offsetOfMaxTimestamp = baseOffset
    this.endOffset = baseOffset
    this.openedMs = nowMs
    this.#indexIntervalBytes = config.indexIntervalBytes
    const pathOf = (suffix: string) => `${ports.directory}/${offsetFileName(baseOffset, suffix)}`
    this.path = pathOf(LOG_SUFFIX)
    this.sizeBytes = sizes.log
    this.writtenBytes = sizes.log
    this.offsetIndex = openIndex(
      ports,
      pathOf(OFFSET_INDEX_SUFFIX),
      OFFSET_INDEX_ENTRY_BYTES,
      sizes.offsetIndex,
    )
    this.timeIndex = openIndex(ports, pathOf(TIME_INDEX_SUFFIX), TIME_INDEX_ENTRY_BYTES, sizes.timeIndex)
    this.#loading = null
  }

  /** A segment that has no files yet. */
  static fresh(ports: SegmentPorts, baseOffset: number, config: LogConfig, nowMs: number): Segment {
    const segment = new Segment(ports, baseOffset, config, nowMs, { log: 0, offsetIndex: 0, timeIndex: 0 })
    segment.#loading = Promise.resolve()
    return segment
  }

  /** A segment whose files were there; `load` before its indexes or timestamps are used. */
  static existing(
    ports: SegmentPorts,
    baseOffset: number,
    config: LogConfig,
    nowMs: number,
    sizes: SegmentSizes,
  ): Segment {
    return new Segment(ports, baseOffset, config, nowMs, sizes)
  }

  /** Paths of its files. */
  get paths(): readonly string[] {
    return [this.path, this.offsetIndex.path, this.timeIndex.path]
  }

  /** Whether a batch must go to the next segment. */
  isFullFor(batchBytes: number, lastOffset: number, config: LogConfig, nowMs: number): boolean {
    if (lastOffset - this.baseOffset > RELATIVE_OFFSET_MAX) return true
    if (this.sizeBytes === 0) return false
    return (
      this.sizeBytes + batchBytes > Math.min(config.segmentBytes, SEGMENT_BYTES_MAX) ||
      nowMs - this.openedMs > segmentMsMax(config) ||
      this.offsetIndex.sizeBytes + OFFSET_INDEX_ENTRY_BYTES > config.indexBytesMax ||
      this.timeIndex.sizeBytes + 2 * TIME_INDEX_ENTRY_BYTES > config.indexBytesMax
    )
  }

  /** Counts a batch in at the end. Data plane. @returns Its position. */
  addBatch(lastOffset: number, batchBytes: number, maxTimestampMs: number): number {
    const position = this.sizeBytes
    this.#indexBatch(lastOffset, position, batchBytes, maxTimestampMs)
    this.sizeBytes = position + batchBytes
    this.endOffset = lastOffset + 1
    return position
  }

  /** Adds what a closed segment's time index ends with. Nothing may be appended after it. */
  seal(): void {
    this.#indexTimestamp()
  }

  /**
   * Makes the indexes and the largest timestamp fit to be used: believes the last entries if the log agrees, goes on
   * from there to the end, and rebuilds from the log otherwise. Idempotent, and cheap after the first time.
   *
   * @param trustsTimes - False after a crash, when the time index may have lost entries that the offset index kept.
   * @throws {LogError} `LOG_CORRUPT` if the log itself is no chain of batches. @throws {FileError}
   */
  load(trustsTimes = true): Promise<void> {
    this.#loading ??= this.#load(trustsTimes).catch((error: unknown) => {
      this.#loading = null
      throw error
    })
    return this.#loading
  }

  /**
   * A position from which a scan meets `offset`: of a batch whose offsets are at or below it.
   *
   * @param offset - At least the base offset.
   */
  async positionBelow(offset: number): Promise<number> {
    await this.load()
    try {
      const entry = await findOffsetEntry(this.offsetIndex, offset - this.baseOffset)
      if (entry === null) return 0
      if (await this.#isBatchAt(entry.position, entry.relativeOffset)) return entry.position
    } catch (error) {
      if (!(error instanceof IndexDamagedError)) throw error
    }
    await this.#rebuild()
    const entry = await findOffsetEntry(this.offsetIndex, offset - this.baseOffset)
    return entry?.position ?? 0
  }

  /** A position before which every batch of the segment is older than `timestampMs`. */
  async positionBefore(timestampMs: number): Promise<number> {
    await this.load()
    try {
      const entry = await findTimeEntry(this.timeIndex, timestampMs)
      if (entry === null) return 0
      const position = await this.#positionOfTime(entry.relativeOffset, entry.timestampMs)
      if (position !== null) return position
    } catch (error) {
      if (!(error instanceof IndexDamagedError)) throw error
    }
    await this.#rebuild()
    return 0
  }

  /** As `positionBelow`, without believing that the segment is sound to its end: for recovery. */
  async probeBelow(offset: number): Promise<number> {
    try {
      const entry = await findOffsetEntry(this.offsetIndex, offset - this.baseOffset)
      if (entry !== null && (await this.#isBatchAt(entry.position, entry.relativeOffset)))
        return entry.position
    } catch (error) {
      if (!(error instanceof IndexDamagedError)) throw error
    }
    return 0
  }

  /** Reads bytes that are written. @returns Fewer only where the file ends too early. */
  read(position: number, length: number): Promise<Uint8Array> {
    return this.#ports.pool.withFile(this.path, (file) => file.read(position, length))
  }

  /** Walks its written batches from `startPosition` on. See `scanBatches`. */
  scan(
    startPosition: number,
    verifies: boolean,
    visit: (bytes: Uint8Array, at: number, position: number) => boolean,
  ): Promise<{ readonly position: number; readonly fault: string | null }> {
    const range = { startPosition, endPosition: this.writtenBytes, verifies }
    // One that waits for its first write has no file yet.
    if (startPosition >= range.endPosition) return Promise.resolve({ position: startPosition, fault: null })
    return this.#ports.pool.withFile(this.path, (file) => scanBatches(file, range, visit))
  }

  /** As `scan` of headers, for bytes that must be sound. @throws {LogError} `LOG_CORRUPT` at the first fault. */
  async walk(
    startPosition: number,
    visit: (bytes: Uint8Array, at: number, position: number) => boolean,
  ): Promise<number> {
    const { position, fault } = await this.scan(startPosition, false, visit)
    if (fault !== null) throw corruptAt(this.path, position, fault)
    return position
  }

  /** It ends at `position` now. The file is the caller's to cut: `mayBeTorn` says whether it must be. */
  endAt(position: number): void {
    this.mayBeTorn ||= this.writtenBytes > position
    this.sizeBytes = position
    this.writtenBytes = Math.min(this.writtenBytes, position)
  }

  /** Makes the indexes end where it does. @param offset - Of the batch that began there. */
  async truncateIndexes(offset: number, trustsTimes = true): Promise<void> {
    const position = this.sizeBytes
    try {
      await truncateOffsetIndex(this.offsetIndex, position)
      await truncateTimeIndex(this.timeIndex, offset - this.baseOffset)
    } catch (error) {
      if (!(error instanceof IndexDamagedError)) throw error
      this.#clearIndexes()
    }
    this.#loading = null
    await this.load(trustsTimes)
  }

  /** Whether its indexes have no entries that are in memory alone. */
  get areIndexesFlushed(): boolean {
    return this.offsetIndex.isFlushed && this.timeIndex.isFlushed
  }

  /** Writes new index entries out; with `syncs` for good, as when the segment is closed. @throws {FileError} */
  async flushIndexes(syncs: boolean): Promise<void> {
    await this.offsetIndex.flush(syncs)
    await this.timeIndex.flush(syncs)
  }

  async #load(trustsTimes: boolean): Promise<void> {
    this.endOffset = this.baseOffset
    this.#forgetTimestamps()
    try {
      if (await this.#resume(trustsTimes)) return
    } catch (error) {
      if (!(error instanceof IndexDamagedError)) throw error
    }
    this.#clearIndexes()
    this.#forgetTimestamps()
    await this.#indexFrom(0)
  }

  /** @returns False if the last entries are not what the log says. */
  async #resume(trustsTimes: boolean): Promise<boolean> {
    const count = this.offsetIndex.count
    if (count === 0) return false
    const last = await offsetEntryAt(this.offsetIndex, count - 1)
    if (count > 1) {
      const previous = await offsetEntryAt(this.offsetIndex, count - 2)
      if (previous.position >= last.position || previous.relativeOffset >= last.relativeOffset) return false
    }
    if (!(await this.#isBatchAt(last.position, last.relativeOffset))) return false
    const time = await lastTimeEntry(this.timeIndex)
    if (time === null) return false
    const timePosition = await this.#positionOfTime(time.relativeOffset, time.timestampMs)
    if (timePosition === null) return false
    this.#noteTimestamp(time.timestampMs, this.baseOffset + time.relativeOffset)
    this.#lastIndexedTimestampMs = time.timestampMs
    const startPosition = trustsTimes ? last.position : Math.min(last.position, timePosition)
    await this.#indexFrom(startPosition, last.position)
    return true
  }

  /** Position of the batch that ends with `relativeOffset` and has this largest timestamp, or null. */
  async #positionOfTime(relativeOffset: number, timestampMs: number): Promise<number | null> {
    const entry = await findOffsetEntry(this.offsetIndex, relativeOffset)
    if (entry !== null && !(await this.#isBatchAt(entry.position, entry.relativeOffset))) return null
    let found: number | null = null
    const wanted = this.baseOffset + relativeOffset
    await this.scan(entry?.position ?? 0, false, (bytes, at, position) => {
      if (lastOffsetAt(bytes, at) === wanted && maxTimestampAt(bytes, at) === timestampMs) found = position
      return lastOffsetAt(bytes, at) < wanted
    })
    return found
  }

  /**
   * Indexes the batches from `startPosition` to the end.
   *
   * @param lastIndexed - Position of the batch of the last entry that is kept: it gets no second one.
   */
  async #indexFrom(startPosition: number, lastIndexed = -1): Promise<void> {
    this.#bytesSinceIndexEntry = 0
    await this.walk(startPosition, (bytes, at, position) => {
      const size = batchSizeAt(bytes, at)
      this.endOffset = lastOffsetAt(bytes, at) + 1
      if (position > lastIndexed)
        this.#indexBatch(lastOffsetAt(bytes, at), position, size, maxTimestampAt(bytes, at))
      else {
        this.#noteTimestamp(maxTimestampAt(bytes, at), lastOffsetAt(bytes, at))
        if (position === lastIndexed) this.#bytesSinceIndexEntry = size
      }
      return true
    })
  }

  async #rebuild(): Promise<void> {
    if (this.appendFile !== null || this.writtenBytes < this.sizeBytes) {
      // Appends go on beside this: what is in memory stays, and lookups below it scan from the start.
      this.offsetIndex.forgetFile()
      this.timeIndex.forgetFile()
      return
    }
    this.#clearIndexes()
    this.#loading = null
    await this.load()
  }

  #clearIndexes(): void {
    this.offsetIndex.truncate(0)
    this.timeIndex.truncate(0)
    this.offsetIndex.forgetFile()
    this.timeIndex.forgetFile()
  }

  #forgetTimestamps(): void {
    this.maxTimestampMs = NO_TIMESTAMP
    this.offsetOfMaxTimestamp = this.baseOffset
    this.#lastIndexedTimestampMs = NO_TIMESTAMP
  }

  async #isBatchAt(position: number, relativeLastOffset: number): Promise<boolean> {
    if (position + BATCH_HEADER_BYTES > this.writtenBytes)
      return position < this.sizeBytes && position >= this.writtenBytes
    const bytes = await this.read(position, BATCH_HEADER_BYTES)
    return (
      bytes.length === BATCH_HEADER_BYTES && lastOffsetAt(bytes, 0) === this.baseOffset + relativeLastOffset
    )
  }

  #indexBatch(lastOffset: number, position: number, batchBytes: number, maxTimestampMs: number): void {
    this.#noteTimestamp(maxTimestampMs, lastOffset)
    if (this.#bytesSinceIndexEntry > this.#indexIntervalBytes) {
      addOffsetEntry(this.offsetIndex, lastOffset - this.baseOffset, position)
      this.#indexTimestamp()
      this.#bytesSinceIndexEntry = 0
    }
    this.#bytesSinceIndexEntry += batchBytes
  }

  #noteTimestamp(timestampMs: number, lastOffset: number): void {
    if (timestampMs <= this.maxTimestampMs) return
    this.maxTimestampMs = timestampMs
    this.offsetOfMaxTimestamp = lastOffset
  }

  #indexTimestamp(): void {
    if (this.maxTimestampMs <= this.#lastIndexedTimestampMs) return
    addTimeEntry(this.timeIndex, this.maxTimestampMs, this.offsetOfMaxTimestamp - this.baseOffset)
    this.#lastIndexedTimestampMs = this.maxTimestampMs
  }
}

/** Only closed segments are compacted: one must not stay open for longer than its records may wait for that. */
export function segmentMsMax(config: LogConfig): number {
  return config.isCompacted ? Math.min(config.segmentMs, config.maxCompactionLagMs) : config.segmentMs
}

/** A size that is no whole number of entries belongs to a torn or foreign file: nothing of it is used. */
function openIndex(ports: SegmentPorts, path: string, entryBytes: number, fileBytes: number): IndexFile {
  const isWhole = fileBytes % entryBytes === 0
  const index = new IndexFile(ports.files, ports.pool, path, entryBytes, isWhole ? fileBytes / entryBytes : 0)
  if (!isWhole) index.forgetFile()
  return index
}
