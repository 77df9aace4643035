/**
 * Writes the segment that takes the place of others: batches that stay, and fillers for offsets that hold nothing any
 * more, into `<base offset>.log.cleaned`. Its indexes are built along the way, in memory.
 *
 * Invariants:
 * - Offsets join up from the first base offset of the replaced segments to the last one's end, so that whatever follows
 *   the batches of a log (recovery, followers, `verify`) can tell a hole from a loss, here as everywhere.
 * - A filler spans offsets of one leader epoch only, so that the log still tells where each epoch began.
 * - Nothing is renamed here: a file named `.cleaned` is nobody's, and removed by the next start (docs/faults.md ST-12).
 */
import type { File, FileSystem } from '../env/index.ts'
import { lastOffsetAt, leaderEpochAt, maxTimestampAt, baseOffsetAt } from '../records/batch-header.ts'
import { fillerBatch } from '../records/batch-filter.ts'
import { CLEANED_SUFFIX, LOG_SUFFIX, offsetFileName } from './file-names.ts'
import { type LogConfig, SEGMENT_BYTES_MAX } from './log-config.ts'
import { LogError } from './log-error.ts'
import { Segment, type SegmentPorts } from './segment.ts'

/** Offsets that hold nothing, not written yet. */
interface Gap {
  readonly baseOffset: number
  endOffset: number
  readonly leaderEpoch: number
}

export class CleanedSegmentWriter {
  readonly segment: Segment
  readonly path: string
  /** Something in it is not what the replaced segments hold. */
  hasChanged = false
  readonly #file: File
  #chunks: Uint8Array[] = []
  #chunkBytes = 0
  #gap: Gap | null = null

  private constructor(segment: Segment, path: string, file: File) {
    this.segment = segment
    this.path = path
    this.#file = file
  }

  /** @throws {FileError} */
  static async open(
    ports: SegmentPorts & { readonly files: FileSystem },
    baseOffset: number,
    config: LogConfig,
    nowMs: number,
  ): Promise<CleanedSegmentWriter> {
    const path = `${ports.directory}/${offsetFileName(baseOffset, LOG_SUFFIX)}${CLEANED_SUFFIX}`
    await ports.files.remove(path) // what a pass before this one could not remove
    const file = await ports.files.open(path, 'create')
    return new CleanedSegmentWriter(Segment.fresh(ports, baseOffset, config, nowMs), path, file)
  }

  /** Bytes that wait for `flush`. */
  get waitingBytes(): number {
    return this.#chunkBytes
  }

  /** Adds a batch. @param batch - Handed over. */
  add(batch: Uint8Array): void {
    this.#closeGap()
    this.#add(batch)
  }

  /** Notes that the offsets of a batch hold nothing any more. */
  drop(batch: Uint8Array): void {
    const baseOffset = baseOffsetAt(batch, 0)
    const endOffset = lastOffsetAt(batch, 0) + 1
    const leaderEpoch = leaderEpochAt(batch, 0)
    if (this.#gap?.leaderEpoch === leaderEpoch) this.#gap.endOffset = endOffset
    else {
      this.#closeGap()
      this.#gap = { baseOffset, endOffset, leaderEpoch }
    }
  }

  /** Writes what waits. @throws {FileError} */
  async flush(): Promise<void> {
    const chunks = this.#chunks
    if (chunks.length === 0) return
    this.#chunks = []
    this.#chunkBytes = 0
    await this.#file.append(chunks)
  }

  /** Writes and syncs all. @returns The segment; its file has the name `path` yet. @throws {FileError} */
  async finish(): Promise<Segment> {
    this.#closeGap()
    await this.flush()
    await this.#file.sync()
    await this.#file.close()
    this.segment.writtenBytes = this.segment.sizeBytes
    this.segment.seal()
    return this.segment
  }

  /** Lets go of the file, and removes it unless the directory has failed: then nothing is written there (D4). */
  async discard(files: FileSystem, hasFailed = false): Promise<void> {
    await this.#file.close()
    if (!hasFailed) await files.remove(this.path)
  }

  #closeGap(): void {
    if (this.#gap === null) return
    const { baseOffset, endOffset, leaderEpoch } = this.#gap
    this.#gap = null
    this.#add(fillerBatch(baseOffset, endOffset, leaderEpoch))
  }

  #add(batch: Uint8Array): void {
    if (this.segment.sizeBytes + batch.length > SEGMENT_BYTES_MAX) {
      throw new LogError(
        'LOG_NOT_CLEANABLE',
        `Compacted ${this.path}: its batches take more room than before, and a segment has ${SEGMENT_BYTES_MAX} bytes at most`,
      )
    }
    this.segment.addBatch(lastOffsetAt(batch, 0), batch.length, maxTimestampAt(batch, 0))
    this.#chunks.push(batch)
    this.#chunkBytes += batch.length
  }
}
