/**
 * Writes what a log appended: gathers a turn's batches into one write, and syncs once for all that waits.
 *
 *   enqueue ─► queue ─► append (one at a time) ─► written end ─► sync (one at a time) ─► synced end
 *                          while one runs, more queue up          while one runs, more is written
 *
 * Invariants:
 * - Offsets are written in order, and `syncedEndOffset <= writtenEndOffset`. `syncedEndOffset` moves to what was
 *   written before the sync began, never to what was written or cut meanwhile: `cut` lowers the target of a sync
 *   under way, so a late completion says nothing about bytes that came after a truncation (docs/faults.md D8, RP-18).
 * - A sync covers, in this order, segments that were closed since the last, the active one, and the directory if a
 *   file was created in it: all of an offset's bytes, and the names that lead to them (D1, ST-6).
 * - At most `UNSYNCED_BYTES_MAX` are written and not synced; from `SYNC_BEHIND_BYTES` on a sync is under way.
 * - The first failed sync or failed write that is no lack of room ends the writer for good (D4). Lack of room stops
 *   it until `resume`, with whatever it left in the file still there for `PartitionLog` to cut.
 *
 * Data plane.
 */
import { Deque } from '../base/deque.ts'
import type { Clock, FileSystem, Logger } from '../env/index.ts'
import type { FileError } from '../env/index.ts'
import { isLackOfRoom } from './atomic-file.ts'
import type { Segment } from './segment.ts'
import type { CachedBatch } from './tail-cache.ts'

/** One write takes at most this: it may hold up the event loop, 0.3 to 3 ms per MiB on pages that are new. */
const WRITE_BYTES_MAX = 2 ** 20

/**
 * Written bytes after which a sync begins that nobody waits for. Beside a log that waits for one at `UNSYNCED_BYTES_MAX` only, three
 * replicas on one disk take 1.28 times as much at 1 KiB and 1.16 times at 100 B (durability os, runs in turns).
 */
const SYNC_BEHIND_BYTES = 8 * 2 ** 20

/** Written bytes that may wait for a sync: keeps a disk of 2 GB/s busy at 10 ms per sync. */
const UNSYNCED_BYTES_MAX = 64 * 2 ** 20

export interface LogWriterHost {
  /** All below `endOffset` is with the operating system. */
  written(endOffset: number): void
  /** All below `endOffset` survives a power cut. */
  synced(endOffset: number): void
  /** There was no room to write or create. The writer has stopped; nothing at or above the written end counts. */
  noSpace(error: FileError): void
  /** The log is lost to this process. */
  failed(error: unknown): void
}

export interface LogWriterOptions {
  readonly directory: string
  /** Sync as soon as something is written, and not only when asked to. */
  readonly syncsWrites: boolean
  readonly endOffset: number
}

type State = 'open' | 'stopped' | 'failed'

export class LogWriter {
  readonly #clock: Clock
  readonly #files: FileSystem
  readonly #logger: Logger
  readonly #host: LogWriterHost
  readonly #directory: string
  #syncsWrites: boolean
  #state: State = 'open'
  readonly #queue = new Deque<CachedBatch>()
  /** Resolves when the write loop ends; null while none runs. */
  #writing: Promise<void> | null = null
  #isScheduled = false
  #syncing: Promise<void> | null = null
  #wantsSync = false
  /** Must settle before the next write: the epoch checkpoint that names the epoch of the batches. */
  #gate: Promise<void> | null = null
  #writtenEndOffset: number
  #syncedEndOffset: number
  #syncTargetOffset = 0
  /** Segments with written bytes that are not synced, oldest first. */
  #unsynced: Segment[] = []
  /** The segment written to last, and those that were before it and are still open. */
  #active: Segment | null = null
  #closing: Segment[] = []
  #isDirectoryDirty = false
  /** Running totals in bytes, so that differences say what waits. */
  #enqueuedTotal = 0
  #writtenTotal = 0
  #syncedTotal = 0

  constructor(
    ports: { readonly clock: Clock; readonly files: FileSystem; readonly logger: Logger },
    host: LogWriterHost,
    options: LogWriterOptions,
  ) {
    this.#clock = ports.clock
    this.#files = ports.files
    this.#logger = ports.logger
    this.#host = host
    this.#directory = options.directory
    this.#syncsWrites = options.syncsWrites
    this.#writtenEndOffset = options.endOffset
    this.#syncedEndOffset = options.endOffset
  }

  get writtenEndOffset(): number {
    return this.#writtenEndOffset
  }

  get syncedEndOffset(): number {
    return this.#syncedEndOffset
  }

  /** Bytes enqueued and not yet written. */
  get unwrittenBytes(): number {
    return this.#enqueuedTotal - this.#writtenTotal
  }

  /** Bytes written and not yet synced. */
  get unsyncedBytes(): number {
    return this.#writtenTotal - this.#syncedTotal
  }

  get hasFailed(): boolean {
    return this.#state === 'failed'
  }

  set syncsWrites(syncsWrites: boolean) {
    this.#syncsWrites = syncsWrites
    if (syncsWrites && this.#unsynced.length > 0) this.#requestSync()
  }

  /** Takes a batch; it is written at the end of this turn, together with all that comes until then. */
  enqueue(batch: CachedBatch): void {
    this.#queue.push(batch)
    this.#enqueuedTotal += batch.size
    if (this.#writing !== null || this.#isScheduled) return
    this.#isScheduled = true
    this.#clock.endOfTurn(this.#writeScheduled)
  }

  /** Makes the next write wait for `ready`. A rejection counts as a failed write. */
  writeAfter(ready: Promise<void>): void {
    const before = this.#gate
    const gate = before === null ? ready : before.then(() => ready)
    gate.catch(() => undefined) // seen by the write that waits for it, or by whoever made it
    ready.catch(() => undefined) // nobody looks at it when the one before failed
    this.#gate = gate
  }

  /** Resolves when all that was enqueued is written, or the writer has stopped. */
  async drain(): Promise<void> {
    while (this.#state === 'open' && (this.#queue.count > 0 || this.#writing !== null)) {
      if (this.#writing === null) this.#startWriting()
      await this.#writing
    }
  }

  /** Resolves when all below `endOffset` is synced, or the writer has stopped: compare `syncedEndOffset`. */
  async flushTo(endOffset: number): Promise<void> {
    while (this.#state === 'open' && this.#syncedEndOffset < endOffset) {
      if (this.#writtenEndOffset < endOffset) {
        if (this.#writing === null) this.#startWriting()
        await this.#writing
      } else {
        this.#requestSync()
        await this.#syncing
      }
    }
  }

  /** Lets go of the segments that nothing is appended to any more, the one last written to included. */
  async closeSegments(): Promise<void> {
    if (this.#active !== null) this.#closing.push(this.#active)
    this.#active = null
    while (this.#state === 'open' && (this.#closing.length > 0 || this.#syncing !== null)) {
      this.#requestSync()
      await this.#syncing
    }
  }

  /** Resolves when no write and no sync is under way. Nothing new starts if nothing is enqueued. */
  async settle(): Promise<void> {
    while (this.#writing !== null || this.#syncing !== null) await Promise.all([this.#writing, this.#syncing])
  }

  /** A file was created or removed in the directory: the next sync covers that. */
  directoryChanged(): void {
    this.#isDirectoryDirty = true
  }

  /** Stops writing and forgets what is queued; a write under way goes on. */
  stop(): void {
    if (this.#state === 'open') this.#state = 'stopped'
    while (this.#queue.shift() !== undefined);
  }

  /** The log ends at `endOffset` now: what was written or synced above it does not count any more. */
  cut(endOffset: number, keeps: (segment: Segment) => boolean): void {
    this.#writtenEndOffset = Math.min(this.#writtenEndOffset, endOffset)
    this.#syncedEndOffset = Math.min(this.#syncedEndOffset, endOffset)
    this.#syncTargetOffset = Math.min(this.#syncTargetOffset, endOffset)
    this.#unsynced = this.#unsynced.filter(keeps)
    this.#closing = this.#closing.filter(keeps)
    if (this.#active !== null && !keeps(this.#active)) this.#active = null
  }

  /** After `stop` and `settle`: syncs what is written and kept, and the directory. @throws {FileError} */
  async syncKept(): Promise<void> {
    for (const segment of this.#unsynced) {
      await segment.appendFile?.sync()
      segment.needsSync = false
    }
    if (this.#isDirectoryDirty) await this.#files.syncDirectory(this.#directory)
  }

  /** Goes on after `stop`. @param endOffset - End of the log, all of it written and synced. */
  resume(endOffset: number): void {
    if (this.#state === 'stopped') this.#state = 'open'
    this.#writtenEndOffset = endOffset
    this.#syncedEndOffset = endOffset
    this.#unsynced = []
    this.#isDirectoryDirty = false
    this.#enqueuedTotal = this.#writtenTotal
    this.#syncedTotal = this.#writtenTotal
    this.#gate = null
  }

  readonly #writeScheduled = (): void => {
    this.#isScheduled = false
    if (this.#writing === null && this.#state === 'open') this.#startWriting()
  }

  #startWriting(): void {
    this.#writing = this.#write().finally(() => {
      this.#writing = null
      // What came in between the loop's last look and here has no turn's end of its own.
      if (this.#queue.count > 0 && this.#state === 'open') this.#startWriting()
    })
  }

  async #write(): Promise<void> {
    try {
      while (this.#queue.count > 0 && this.#state === 'open') {
        if (this.#gate !== null) {
          const gate = this.#gate
          await gate
          if (this.#gate === gate) this.#gate = null
          continue
        }
        if (this.unsyncedBytes > UNSYNCED_BYTES_MAX) {
          this.#requestSync()
          await this.#syncing
          continue
        }
        await this.#writeOnce()
      }
    } catch (error) {
      this.#writeFailed(error)
    }
  }

  async #writeOnce(): Promise<void> {
    const segment = this.#queue.peek()!.segment
    const batches = this.#take(segment)
    const { chunks, bytes } = gather(batches)
    const file = segment.appendFile ?? (await this.#openSegment(segment))
    // Not before: of a file that could not be opened nothing is torn, and to undo that must not need to open it.
    segment.mayBeTorn = true
    const appending = file.append(chunks)
    // What is done is told in this turn: a follower then acknowledges with the fetch that this turn sends anyway.
    if (appending !== undefined) await appending
    segment.mayBeTorn = false
    segment.writtenBytes += bytes
    this.#writtenTotal += bytes
    this.#writtenEndOffset = batches.at(-1)!.endOffset
    if (!segment.needsSync) {
      segment.needsSync = true
      this.#unsynced.push(segment)
    }
    if (this.#active !== segment) {
      if (this.#active !== null) this.#closing.push(this.#active)
      this.#active = segment
    }
    this.#host.written(this.#writtenEndOffset)
    if (this.#syncsWrites || this.#closing.length > 0 || this.unsyncedBytes >= SYNC_BEHIND_BYTES)
      this.#requestSync()
  }

  /** The batches at the head of the queue that go to `segment` in one write. */
  #take(segment: Segment): CachedBatch[] {
    const batches: CachedBatch[] = []
    let bytes = 0
    for (let batch = this.#queue.peek(); batch?.segment === segment; batch = this.#queue.peek()) {
      if (bytes > 0 && bytes + batch.size > WRITE_BYTES_MAX) break
      batches.push(batch)
      bytes += batch.size
      this.#queue.shift()
    }
    return batches
  }

  async #openSegment(segment: Segment): Promise<NonNullable<Segment['appendFile']>> {
    const isNew = segment.writtenBytes === 0
    const file = await this.#files.open(segment.path, 'append')
    if (isNew) this.#isDirectoryDirty = true
    segment.appendFile = file
    return file
  }

  #requestSync(): void {
    this.#wantsSync = true
    this.#syncing ??= this.#sync().finally(() => {
      this.#syncing = null
      if (this.#wantsSync && this.#state === 'open') this.#requestSync()
    })
  }

  async #sync(): Promise<void> {
    try {
      while (this.#wantsSync && this.#state !== 'failed') {
        this.#wantsSync = false
        await this.#syncOnce()
      }
    } catch (error) {
      this.#fail(error)
    }
  }

  async #syncOnce(): Promise<void> {
    this.#syncTargetOffset = this.#writtenEndOffset
    const total = this.#writtenTotal
    const segments = this.#unsynced
    const closing = this.#closing
    const isDirectoryDirty = this.#isDirectoryDirty
    // What is written from here on belongs to the next sync; a failure below makes the split of no account.
    this.#unsynced = []
    this.#closing = []
    this.#isDirectoryDirty = false
    for (const segment of segments) segment.needsSync = false
    for (const segment of segments) await segment.appendFile?.sync()
    for (const segment of closing) await this.#closeSegment(segment)
    if (isDirectoryDirty) await this.#files.syncDirectory(this.#directory)
    this.#syncedTotal = total
    if (this.#state === 'failed' || this.#syncTargetOffset <= this.#syncedEndOffset) return
    this.#syncedEndOffset = this.#syncTargetOffset
    this.#host.synced(this.#syncedEndOffset)
    if (this.#syncsWrites && this.#unsynced.length > 0) this.#wantsSync = true
  }

  /**
   * A closed segment's indexes are made durable with it, so that no later start has to read it for them; if there is no room
   * now, by the checkpoint that would let the recovery point pass it.
   */
  async #closeSegment(segment: Segment): Promise<void> {
    const file = segment.appendFile
    segment.appendFile = null
    await file?.close()
    try {
      await segment.flushIndexes(true)
    } catch (error) {
      if (!isLackOfRoom(error)) throw error
      const fields = { path: segment.path, error }
      this.#logger.warn(
        'Wrote the indexes of a closed segment: the recovery point stays until there is room',
        fields,
      )
    }
  }

  #writeFailed(error: unknown): void {
    if (this.#state === 'failed') return
    if (isLackOfRoom(error)) {
      this.stop()
      this.#host.noSpace(error)
    } else {
      this.#fail(error)
    }
  }

  #fail(error: unknown): void {
    if (this.#state === 'failed') return
    this.stop()
    this.#state = 'failed'
    this.#host.failed(error)
  }
}

/**
 * The pieces of one write. Neighbours in one buffer become one piece; batches that must not keep their buffers alive
 * are copied together, and their cached batches moved there: for small ones a copy (30 ns) is cheaper than a piece of
 * a gathered write (some 200 ns), here and in every later read.
 */
function gather(batches: readonly CachedBatch[]): { readonly chunks: Uint8Array[]; readonly bytes: number } {
  const chunks: Uint8Array[] = []
  let bytes = 0
  let index = 0
  while (index < batches.length) {
    const first = batches[index]!
    let end = index + 1
    let size = first.size
    if (first.isCopied) {
      while (end < batches.length && batches[end]!.isCopied) size += batches[end++]!.size
      chunks.push(join(batches, index, end, size))
    } else {
      while (end < batches.length && followsInBuffer(batches[end - 1]!, batches[end]!))
        size += batches[end++]!.size
      chunks.push(first.bytes.subarray(first.start, first.start + size))
    }
    bytes += size
    index = end
  }
  return { chunks, bytes }
}

function followsInBuffer(batch: CachedBatch, next: CachedBatch): boolean {
  return !next.isCopied && next.bytes === batch.bytes && next.start === batch.start + batch.size
}

function join(batches: readonly CachedBatch[], start: number, end: number, size: number): Uint8Array {
  const joined = new Uint8Array(size)
  let position = 0
  for (let index = start; index < end; index++) {
    const batch = batches[index]!
    const isWhole = batch.start === 0 && batch.size === batch.bytes.length
    joined.set(isWhole ? batch.bytes : batch.bytes.subarray(batch.start, batch.start + batch.size), position)
    batch.bytes = joined
    batch.start = position
    position += batch.size
  }
  return joined
}
