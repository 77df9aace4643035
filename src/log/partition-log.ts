/**
 * One partition's log: an ordered, durable sequence of record batches.
 *
 *   logStartOffset <= durableEndOffset <= writtenEndOffset <= logEndOffset
 *   └── in segment files ──────────────────────────────┴── waits to be written
 *                                └──────── in the tail cache ────────┘
 *
 * Appends are synchronous: checks, offsets, epochs, producer state, indexes and the tail cache all move in one turn, so
 * there is no gap between check and append (docs/faults.md TX-3). Bytes follow through `LogWriter`.
 *
 * Operations that take the log apart (truncation, undoing a write that found no room, deletion, checkpoints) run one at
 * a time on a queue. While one of them cuts the log's end, appends are refused; reads go on below the new end.
 *
 * Failures:
 * - Disk full, or no file handle left: what was appended and not yet written is undone, on disk for good, and then
 *   `onRolledBack` tells from which offset. Everything at or above that offset failed; nothing below did. See `#noSpace`.
 * - Any other failed write, or a failed sync: `onFailed`, once. Nothing is ever appended again (D4).
 *
 * Data plane: one object per batch.
 *
 * @see docs/formats.md for the files, docs/faults.md for the promises.
 */
import { SerialQueue } from '../base/serial-queue.ts'
import type { FileError } from '../env/index.ts'
import {
  assignOffsets,
  BATCH_HEADER_BYTES,
  batchSizeAt,
  isLogAppendTime,
  leaderEpochAt,
  readBatchHeader,
  type BatchHeader,
} from '../records/batch-header.ts'
import { isLackOfRoom } from './atomic-file.ts'
import { EpochStore } from './epoch-store.ts'
import { findFetchedFault } from './fetched-check.ts'
import { FilePool } from './file-pool.ts'
import type { LogConfig, LogPorts } from './log-config.ts'
import { LogError } from './log-error.ts'
import { createSegmentFile, removeLogFiles } from './log-files.ts'
import {
  NO_CHECKPOINTS,
  type LogCheckpoints,
  type LogSurroundings,
  type PartitionLogOptions,
} from './log-options.ts'
import { LogReader } from './log-reader.ts'
import { recoverLog, type RecoveredLog, type RecoveryCut } from './log-recovery.ts'
import { findBoundary, replayProducers } from './log-replay.ts'
import { emptySlice, type LogSlice } from './log-slice.ts'
import { LogWriter } from './log-writer.ts'
import { claimDirectory } from './partition-metadata.ts'
import { encodeProducerSnapshot } from './producer-snapshot.ts'
import type { ProducerState, SequenceError } from './producer-state.ts'
import { countExpiredSegments } from './retention.ts'
import { Segment } from './segment.ts'
import { SnapshotStore } from './snapshot-store.ts'
import { CachedBatch, TailCache, TailCacheBudget } from './tail-cache.ts'
import {
  findMaxTimestamp,
  findTimestamp,
  type LookupScope,
  type TimestampedOffset,
} from './timestamp-lookup.ts'

export type { LogError, LogSlice, PartitionLogOptions, RecoveryCut, TimestampedOffset }

/** What happened to a batch that a leader was given. */
export type AppendResult =
  | {
      readonly kind: 'appended'
      readonly baseOffset: number
      readonly lastOffset: number
      readonly appendTimeMs: number
    }
  /** The producer sent it before: these are the offsets it got then. */
  | {
      readonly kind: 'duplicate'
      readonly baseOffset: number
      readonly lastOffset: number
      readonly appendTimeMs: number
    }
  | { readonly kind: 'rejected'; readonly error: AppendError; readonly message: string }

/** Names of the protocol's error table. */
export type AppendError = SequenceError | 'KAFKA_STORAGE_ERROR' | 'NOT_LEADER_OR_FOLLOWER'

/** Operations that may wait for one another: retention, checkpoints, segment snapshots, a truncation. */
const MAINTENANCE_WAITING_MAX = 10_000

/** Open handles and cached bytes of a log that shares with nobody. */
const OWN_OPEN_FILES_MAX = 16
const OWN_CACHE_BYTES_MAX = 2 ** 26

/** Batches up to this size are copied together when written: see `gather` in `log-writer.ts`. */
const COPIED_BYTES_MAX = 4096

/** Larger ones too, if they are less than this part of the buffer they would keep alive. */
const COPIED_SHARE = 16

/** Ms for which appends are refused after the disk was full: each try costs a truncation and a sync. */
const NO_SPACE_PAUSE_MS = 250

type State =
  | { readonly kind: 'open' }
  | { readonly kind: 'cutting' }
  | { readonly kind: 'failed'; readonly error: LogError }
  | { readonly kind: 'closed' }

const OPEN: State = { kind: 'open' }
const CUTTING: State = { kind: 'cutting' }

export class PartitionLog {
  readonly topic: string
  readonly partition: number
  readonly topicId: string
  /** What recovery cut when the log was opened; null: nothing. */
  readonly recoveryCut: RecoveryCut | null

  /** Called after `durableEndOffset` rose. */
  onDurable: (durableEndOffset: number) => void = () => undefined
  /**
   * Called when everything at and above `fromOffset` was undone for lack of room: it will never be in the log, and
   * appends work again. Called after `onDurable` for what lies below.
   */
  onRolledBack: (fromOffset: number, error: LogError) => void = () => undefined
  /** Called once, when the log is lost to this process. What was not durable by then is in doubt. */
  onFailed: (error: LogError) => void = () => undefined

  readonly #ports: LogSurroundings
  readonly #checkpoints: LogCheckpoints
  #config: LogConfig
  #state: State = OPEN
  readonly #maintenance = new SerialQueue(MAINTENANCE_WAITING_MAX)
  /** Oldest first; the last one is active. Invariant: at least one. */
  readonly #segments: Segment[]
  readonly #epochs: EpochStore
  #producers: ProducerState
  readonly #snapshots: SnapshotStore
  readonly #cache: TailCache
  readonly #writer: LogWriter
  readonly #reader: LogReader
  /** Raised whenever bytes that were there go away: reads under way then begin anew. */
  #generation = 0
  #logStartOffset: number
  #logEndOffset: number
  #durableEndOffset: number
  #recoveryPoint: number
  /** Offset after the last batch that a reader was given: what a rollback can no longer undo in secret. */
  #exposedEndOffset = 0
  /** Leaders of this epoch or an older one may not append: see `#noSpace`. */
  #fencedEpoch = -1
  #rollback: { readonly fromOffset: number; readonly error: LogError } | null = null
  #refusesUntilMs = 0

  private constructor(ports: LogSurroundings, options: PartitionLogOptions, recovered: RecoveredLog) {
    this.#ports = ports
    this.#checkpoints = options.checkpoints ?? NO_CHECKPOINTS
    this.#config = options.config
    this.topic = options.topic
    this.partition = options.partition
    this.topicId = options.topicId
    this.recoveryCut = recovered.cut
    this.#segments = recovered.segments
    this.#epochs = new EpochStore(ports.files, ports.directory, recovered.epochs, recovered.areEpochsStale)
    this.#producers = recovered.producers
    this.#snapshots = new SnapshotStore(ports, recovered.snapshots)
    this.#logStartOffset = recovered.logStartOffset
    this.#logEndOffset = recovered.logEndOffset
    this.#durableEndOffset = recovered.logEndOffset
    this.#recoveryPoint = Math.min(options.recoveryPoint, recovered.logEndOffset)
    this.#cache = new TailCache(ports.cacheBudget, options.config.tailCacheBytes, recovered.logEndOffset)
    const host = {
      written: (endOffset: number) => this.#written(endOffset),
      synced: (endOffset: number) => this.#synced(endOffset),
      noSpace: (error: FileError) => this.#noSpace(error),
      failed: (error: unknown) => this.#fail('Wrote to', error),
    }
    this.#writer = new LogWriter(ports, host, {
      directory: ports.directory,
      syncsWrites: options.config.durability === 'disk',
      endOffset: recovered.logEndOffset,
    })
    const view = () => this
    this.#reader = new LogReader({
      get generation() {
        return view().#generation
      },
      get segments() {
        return view().#segments
      },
      get logStartOffset() {
        return view().#logStartOffset
      },
      get writtenEndOffset() {
        return Math.min(view().#writer.writtenEndOffset, view().#logEndOffset)
      },
    })
  }

  /**
   * Opens or creates a log, recovering it first if it was not closed cleanly.
   *
   * @throws {LogError} `LOG_CORRUPT` (nothing was changed), `LOG_WRONG_TOPIC`. @throws {FileError}
   */
  static async open(ports: LogPorts, options: PartitionLogOptions): Promise<PartitionLog> {
    const shared = options.shared ?? {
      pool: new FilePool(ports.files, OWN_OPEN_FILES_MAX),
      cacheBudget: new TailCacheBudget(OWN_CACHE_BYTES_MAX),
    }
    const { clock, files, logger } = ports
    const { directory, topicId, partition } = options
    const all = { clock, files, logger, ...shared, directory, topicId, partition }
    await claimDirectory(files, directory, topicId)
    const log = new PartitionLog(all, options, await recoverLog(all, options))
    if (log.#epochs.isDirty) await log.#epochs.save()
    return log
  }

  /** First offset that can be read. */
  get logStartOffset(): number {
    return this.#logStartOffset
  }

  /** Offset that the next record gets. */
  get logEndOffset(): number {
    return this.#logEndOffset
  }

  /** Offset below which everything is as durable as the configuration asks, and may be acknowledged. */
  get durableEndOffset(): number {
    return this.#durableEndOffset
  }

  /** Offset below which everything is synced and a start need not look; what the checkpoint may say. */
  get recoveryPoint(): number {
    return this.#recoveryPoint
  }

  /** Bytes appended and not yet durable: the broker stops reading producers above a bound. */
  get pendingBytes(): number {
    const { unwrittenBytes, unsyncedBytes } = this.#writer
    return this.#config.durability === 'disk' ? unwrittenBytes + unsyncedBytes : unwrittenBytes
  }

  get latestEpoch(): number {
    return this.#epochs.cache.latestEpoch
  }

  /**
   * The least leader epoch in which `appendAsLeader` works. It rises above the present epoch when batches were undone
   * that a follower may already have: the leader must then get a new epoch, or leave.
   */
  get leaderEpochMin(): number {
    return Math.max(this.#epochs.cache.latestEpoch, this.#fencedEpoch + 1)
  }

  get sizeBytes(): number {
    return this.#segments.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  }

  get segmentCount(): number {
    return this.#segments.length
  }

  get producerCount(): number {
    return this.#producers.count
  }

  get config(): LogConfig {
    return this.#config
  }

  /** Absolute path of the log's directory. */
  get directory(): string {
    return this.#ports.directory
  }

  /** Why nothing can be appended any more, or null. */
  get failure(): LogError | null {
    return this.#state.kind === 'failed' ? this.#state.error : null
  }

  /** Producers remembered, for DescribeProducers and for tests that compare two logs. */
  producers(): ProducerState {
    return this.#producers
  }

  /** Leader epochs and where they begin, oldest first. */
  epochEntries(): readonly { readonly epoch: number; readonly startOffset: number }[] {
    return this.#epochs.cache.entries
  }

  /**
   * Appends one batch that `validateProduced` found good, in this turn.
   *
   * @param batch - Handed over: offsets are assigned in place, and readers get these very bytes.
   * @param header - As `validateProduced` read it.
   */
  appendAsLeader(batch: Uint8Array, header: BatchHeader, leaderEpoch: number): AppendResult {
    const refusal = this.#findRefusal(leaderEpoch)
    if (refusal !== null) return refusal
    const check = this.#producers.check(header)
    if (check.kind === 'refused') return { kind: 'rejected', error: check.error, message: check.message }
    if (check.kind === 'duplicate') {
      const { baseOffset, lastOffset, timestampMs } = check
      return { kind: 'duplicate', baseOffset, lastOffset, appendTimeMs: timestampMs }
    }
    const baseOffset = this.#logEndOffset
    const lastOffset = baseOffset + header.lastOffsetDelta
    if (lastOffset >= Number.MAX_SAFE_INTEGER) return storageError('the log has no offsets left')
    assignOffsets(batch, 0, baseOffset, leaderEpoch)
    const isCopied = isPoorTenant(batch.length, batch)
    this.#append(batch, 0, batch.length, baseOffset, lastOffset, header, leaderEpoch, isCopied)
    const appendTimeMs = isLogAppendTime(header.attributes) ? header.maxTimestamp : -1
    return { kind: 'appended', baseOffset, lastOffset, appendTimeMs }
  }

  /**
   * Appends batches fetched from the leader, in this turn: all of them or, if it throws, none.
   *
   * @param batches - Whole batches, end to end, that continue at `logEndOffset`. Handed over.
   * @throws {LogError} `LOG_BAD_BATCH`, `LOG_BUSY`, `LOG_FAILED`, `LOG_CLOSED`.
   */
  appendAsFollower(batches: Uint8Array): void {
    this.#assertUsable()
    if (this.#state.kind !== 'open')
      throw new LogError('LOG_BUSY', `Appended to ${this.directory}: it is being cut`)
    const { isCompacted } = this.#config
    // An epoch that this replica led without writing in it ends where the leader's batches go on.
    if (firstEpochOf(batches) < this.#epochs.cache.latestEpoch)
      this.#epochs.truncateFromEnd(this.#logEndOffset, false)
    const fault = findFetchedFault(batches, this.#logEndOffset, this.#epochs.cache.latestEpoch, isCompacted)
    if (fault !== null)
      throw new LogError('LOG_BAD_BATCH', `Appended to ${this.directory} what the leader sent: ${fault}`)
    const isCopied = isPoorTenant(batches.length, batches)
    for (let at = 0; at < batches.length;) {
      const size = batchSizeAt(batches, at)
      const header = readBatchHeader(batches, at)
      const lastOffset = header.baseOffset + header.lastOffsetDelta
      this.#append(batches, at, size, header.baseOffset, lastOffset, header, header.leaderEpoch, isCopied)
      at += size
    }
  }

  /**
   * Reads whole batches from the one that holds `startOffset`, none that reaches `endOffset`.
   *
   * @param endOffset - The high watermark for consumers, anything for followers; clamped to the log's end.
   * @param atLeastOneBatch - Give the first batch even if it is larger than `bytesMax`.
   * @returns At once when the tail cache has it. Empty when there is nothing below `endOffset`.
   * @throws {LogError} `LOG_OFFSET_OUT_OF_RANGE`, `LOG_CORRUPT`, `LOG_CLOSED`. @throws {FileError}
   */
  read(
    startOffset: number,
    endOffset: number,
    bytesMax: number,
    atLeastOneBatch: boolean,
  ): LogSlice | Promise<LogSlice> {
    if (this.#state.kind === 'closed') throw this.#closedError()
    const readableEnd = this.#state.kind === 'failed' ? this.#durableEndOffset : this.#logEndOffset
    if (startOffset < this.#logStartOffset || startOffset > this.#logEndOffset) {
      throw new LogError(
        'LOG_OFFSET_OUT_OF_RANGE',
        `Read offset ${startOffset}: the log holds ${this.#logStartOffset} to ${this.#logEndOffset}`,
      )
    }
    const limit = Math.min(endOffset, readableEnd)
    if (startOffset >= limit) return emptySlice(startOffset)
    if (startOffset < this.#cache.startOffset) {
      return this.#reader.read(startOffset, limit, bytesMax, atLeastOneBatch)
    }
    const slice = this.#cache.read(startOffset, limit, bytesMax, atLeastOneBatch)
    if (slice.endOffset > this.#exposedEndOffset) this.#exposedEndOffset = slice.endOffset
    return slice
  }

  /**
   * The first record at or after a time.
   *
   * @param endOffset - Only records below it count: the high watermark.
   * @returns Exact for uncompressed batches; of a compressed one the base offset and its largest timestamp. Null if
   *   there is none.
   */
  offsetForTimestamp(timestampMs: number, endOffset: number): Promise<TimestampedOffset | null> {
    return this.#stable(() => findTimestamp(this.#scope(endOffset), timestampMs))
  }

  /** The first record that has the largest timestamp (KIP-734), or null in an empty log. */
  offsetOfMaxTimestamp(endOffset = Infinity): Promise<TimestampedOffset | null> {
    return this.#stable(() => findMaxTimestamp(this.#scope(endOffset)))
  }

  /** Notes that a leader of `epoch` begins at `startOffset`. It is on disk before the epoch's first batch is. */
  startEpoch(epoch: number, startOffset: number): void {
    if (!this.#epochs.assign(epoch, startOffset)) return
    if (this.#state.kind === 'open') this.#writer.writeAfter(this.#epochs.save())
  }

  /** The end of the largest epoch at or below `epoch` (KIP-279); null when `epoch` is newer than all known here. */
  endOffsetForEpoch(epoch: number): { readonly epoch: number; readonly endOffset: number } | null {
    return this.#epochs.cache.endOffsetForEpoch(epoch, this.#logEndOffset)
  }

  /**
   * Cuts the log so that it ends at `offset`, or where the batch that holds `offset` begins. Producer state and epochs
   * go back with it. When it resolves the cut survives a power cut.
   *
   * @throws {LogError} `LOG_FAILED`, `LOG_CLOSED`.
   */
  async truncateTo(offset: number): Promise<void> {
    await this.#maintenance.run(async () => {
      this.#assertUsable()
      if (offset >= this.#logEndOffset) return
      if (offset < this.#segments[0]!.baseOffset) return this.#restartAt(offset)
      await this.#cutting(async () => {
        await this.#writer.drain()
        await this.#cutAt(offset, false)
      })
    })
  }

  /** Drops everything and goes on at `offset`, as a follower does whose leader's log begins past its own. Epochs stay. */
  async truncateFullyAndStartAt(offset: number): Promise<void> {
    await this.#maintenance.run(async () => {
      this.#assertUsable()
      await this.#restartAt(offset)
    })
  }

  /**
   * Makes `offset` the log start offset: records below it are gone at once, and for good when this resolves. Files
   * go when all their records did.
   *
   * @param offset - At most the high watermark.
   */
  async deleteRecordsBefore(offset: number): Promise<void> {
    if (!this.#raiseLogStart(offset)) return
    await this.#checkpoints.saveLogStart()
    await this.#maintenance.run(() => this.#deleteSegmentsBelowStart())
  }

  /**
   * Deletes the segments that the configured time and size no longer cover, never past `highWatermark`.
   *
   * @param nowMs - Wall clock, as trusted by the caller (S8). @returns Segments deleted.
   */
  async applyRetention(nowMs: number, highWatermark: number): Promise<number> {
    return this.#maintenance.run(async () => {
      if (this.#state.kind !== 'open') return 0
      const count = await countExpiredSegments(
        this.#ports.files,
        this.#segments,
        this.#config,
        nowMs,
        highWatermark,
      )
      if (count === 0 || this.#state.kind !== 'open') return 0
      if (count === this.#segments.length && !(await this.#beginSegment(highWatermark))) return 0
      if (!this.#raiseLogStart(this.#segments[count]!.baseOffset)) return 0
      await this.#checkpoints.saveLogStart()
      return this.#deleteSegmentsBelowStart()
    })
  }

  /** Forgets producers that have been silent for the configured time. @returns How many. */
  expireProducers(): number {
    return this.#producers.expire(this.#ports.clock.monotonicMs(), this.#config.producerIdExpirationMs)
  }

  /** Takes a new configuration; of `durability` only changes between `disk` and `os` have effect on an open log. */
  updateConfig(config: LogConfig): void {
    this.#config = config
    this.#cache.bytesMax = config.tailCacheBytes
    this.#producers.countMax = config.producerCountMax
    this.#writer.syncsWrites = config.durability === 'disk'
    if (config.durability !== 'disk') this.#raiseDurable(this.#writer.writtenEndOffset)
  }

  /**
   * Syncs all that was appended before the call and saves the producer state beside it, so that a recovery may begin
   * there: `recoveryPoint` rises. Does nothing if that cannot be had now.
   *
   * @throws {FileError} If the snapshot cannot be written; the log is none the worse.
   */
  async checkpoint(): Promise<void> {
    await this.#maintenance.run(() => this.#checkpoint())
  }

  /** Writes and syncs everything, and lets go of all files. @throws {LogError} `LOG_FAILED` if that did not work. */
  async close(): Promise<void> {
    await this.#maintenance.run(async () => {
      if (this.#state.kind === 'closed') return
      try {
        if (this.#state.kind === 'open') {
          await this.#checkpoint()
          await this.#epochs.settle()
          if (this.#epochs.isDirty) await this.#epochs.save()
          await this.#segments.at(-1)!.flushIndexes(true)
        }
        const failure = this.failure
        if (failure !== null) throw failure
        if (this.#recoveryPoint !== this.#logEndOffset) {
          throw new LogError(
            'LOG_FAILED',
            `Closed ${this.directory}: offsets from ${this.#recoveryPoint} on are not flushed`,
          )
        }
      } finally {
        await this.#release()
      }
    })
  }

  /** Closes without saving anything, for a log that is to be deleted. */
  async abandon(): Promise<void> {
    if (this.#state.kind === 'open') this.#state = CUTTING
    this.#writer.stop()
    await this.#maintenance.run(() => this.#release())
  }

  #findRefusal(leaderEpoch: number): AppendResult | null {
    if (
      this.#state.kind === 'open' &&
      leaderEpoch >= this.#epochs.cache.latestEpoch &&
      leaderEpoch > this.#fencedEpoch
    ) {
      if (this.#refusesUntilMs === 0) return null
      if (this.#ports.clock.monotonicMs() < this.#refusesUntilMs) return storageError('the disk is full')
      this.#refusesUntilMs = 0
      return null
    }
    if (this.#state.kind === 'failed') return storageError(this.#state.error.message)
    if (this.#state.kind !== 'open') return storageError(`the log is ${this.#state.kind}`)
    const message = `Appended in leader epoch ${leaderEpoch}: wanted ${this.leaderEpochMin} or more`
    return { kind: 'rejected', error: 'NOT_LEADER_OR_FOLLOWER', message }
  }

  /** The one way for a batch into the log. Synchronous, and past every check. */
  #append(
    bytes: Uint8Array,
    start: number,
    size: number,
    baseOffset: number,
    lastOffset: number,
    header: BatchHeader,
    leaderEpoch: number,
    isCopied: boolean,
  ): void {
    const nowMs = this.#ports.clock.monotonicMs()
    if (leaderEpoch > this.#epochs.cache.latestEpoch) this.#epochs.assign(leaderEpoch, baseOffset)
    if (this.#epochs.isDirty) this.#writer.writeAfter(this.#epochs.save())
    let segment = this.#segments[this.#segments.length - 1]!
    if (segment.isFullFor(size, lastOffset, this.#config, nowMs)) segment = this.#roll(baseOffset, nowMs)
    segment.addBatch(lastOffset, size, header.maxTimestamp)
    this.#producers.update(header, baseOffset, nowMs)
    const batch = new CachedBatch(bytes, start, size, baseOffset, lastOffset + 1, segment, isCopied)
    this.#cache.add(batch)
    this.#logEndOffset = lastOffset + 1
    this.#writer.enqueue(batch)
  }

  /** Begins a segment, in memory: the writer creates its file. The producer state of this moment is saved beside it. */
  #roll(baseOffset: number, nowMs: number): Segment {
    this.#segments.at(-1)!.seal()
    const segment = Segment.fresh(this.#ports, baseOffset, this.#config, nowMs)
    this.#segments.push(segment)
    const snapshot = this.#snapshotAt(baseOffset)
    const generation = this.#generation
    this.#later('Saved the producer state of', async () => {
      if (generation === this.#generation) await this.#snapshots.write(baseOffset, snapshot)
    })
    return segment
  }

  #written(endOffset: number): void {
    this.#cache.written(endOffset)
    if (this.#config.durability !== 'disk') this.#raiseDurable(endOffset)
    const active = this.#segments.at(-1)!
    if (active.offsetIndex.needsFlush) this.#later('Wrote the index of', () => this.#flushIndexes(active))
  }

  #synced(endOffset: number): void {
    if (this.#config.durability === 'disk') this.#raiseDurable(endOffset)
  }

  #raiseDurable(endOffset: number): void {
    if (endOffset <= this.#durableEndOffset || this.#state.kind === 'failed') return
    this.#durableEndOffset = endOffset
    this.onDurable(endOffset)
  }

  /**
   * A write found no room. What was appended is in three states:
   *
   *   … written ──┤ failed write ├── queued behind it ──┤
   *               └ fromOffset
   *
   * - Below `fromOffset` all is written, perhaps not synced; a sync may be under way. It counts, and its sync too.
   * - Of the failed write any part may be in the file, even whole batches. They must not come back after a crash, for
   *   their producers are told that they failed (R13): the file is cut and synced before anybody is told.
   * - What was queued behind continues offsets that will not exist, so it fails as well. Nothing that comes
   *   later can be in the queue: in this same turn the log stops taking appends, until the cut is done.
   *
   * Readers may have been given batches above `fromOffset`: followers read up to the log end offset. Consumers have
   * not, for those batches were never durable here. A follower that has them would not notice if this leader put
   * other batches at the same offsets in the same epoch (R4). So if anything was given away, this epoch is fenced: the
   * leader needs a new one, whose start offset tells followers what to cut. If nothing was, the epoch goes on.
   *
   * Interleavings: a truncation may be waiting for the writer to drain. It then goes on with what is written, and this
   * undoing finds nothing left to cut but still reports. A checkpoint under way sees the generation change and gives up.
   */
  #noSpace(error: FileError): void {
    const fromOffset = this.#writer.writtenEndOffset
    if (this.#exposedEndOffset > fromOffset) this.#fencedEpoch = this.#epochs.cache.latestEpoch
    const message = `Wrote to ${this.directory}: no room, all from offset ${fromOffset} on is undone`
    this.#rollback = { fromOffset, error: new LogError('LOG_NO_SPACE', message, { cause: error }) }
    if (this.#state.kind === 'open') this.#state = CUTTING
    this.#endAt(fromOffset)
    this.#later('Undid a write to', async () => {
      const rollback = this.#rollback
      this.#rollback = null
      if (rollback === null || this.#state.kind === 'failed' || this.#state.kind === 'closed') return
      await this.#cutting(() => this.#cutAt(rollback.fromOffset, true))
      this.#refusesUntilMs = this.#ports.clock.monotonicMs() + NO_SPACE_PAUSE_MS
      this.onRolledBack(rollback.fromOffset, rollback.error)
    })
  }

  /** Readers see the log end at `offset` from now on. */
  #endAt(offset: number): void {
    this.#generation++
    this.#logEndOffset = Math.min(this.#logEndOffset, offset)
    this.#exposedEndOffset = Math.min(this.#exposedEndOffset, offset)
    this.#cache.truncate(offset)
  }

  /** Runs `cut` while appends are refused. A failure leaves the file in an unknown state, so it ends the log. */
  async #cutting(cut: () => Promise<void>): Promise<void> {
    if (this.#state.kind === 'open') this.#state = CUTTING
    try {
      await cut()
    } catch (error) {
      throw this.#fail('Cut', error)
    }
    // Re-read: it may have failed meanwhile, or a write found no room, whose undoing is next in the queue.
    if (this.#state.kind === 'cutting' && this.#rollback === null) this.#state = OPEN
  }

  /**
   * Cuts the written log at `offset` in memory and on disk. On disk it is: recovery point lowered, later segments
   * removed from the end on, file cut, all synced. New bytes are appended only after that, so that a crash never leaves
   * a mixture of old and new ones (D2).
   */
  async #cutAt(offset: number, keepsEpochAt: boolean): Promise<void> {
    this.#writer.stop()
    await this.#writer.settle()
    if (this.#state.kind === 'failed') throw this.#state.error
    const wanted = Math.min(offset, this.#writer.writtenEndOffset)
    const boundary = await findBoundary(this.#segments, wanted, this.#writer.writtenEndOffset)
    const { index, position } = boundary
    this.#endAt(boundary.offset)
    this.#logEndOffset = boundary.offset
    this.#durableEndOffset = Math.min(this.#durableEndOffset, boundary.offset)
    if (this.#recoveryPoint > boundary.offset) {
      this.#recoveryPoint = boundary.offset
      await this.#checkpoints.saveRecoveryPoint()
    }
    this.#epochs.truncateFromEnd(boundary.offset, keepsEpochAt)
    const removed = this.#segments.splice(index + 1)
    this.#writer.cut(boundary.offset, (segment) => !removed.includes(segment))
    const snapshots = this.#snapshots.take((candidate) => candidate > boundary.offset)
    await removeLogFiles(this.#ports, removed.reverse(), snapshots)
    await this.#cutFile(this.#segments[index]!, position, boundary.offset)
    await this.#writer.syncKept()
    this.#producers = await this.#replayProducers(boundary.offset)
    this.#writer.resume(boundary.offset)
    this.#raiseDurable(boundary.offset)
  }

  async #cutFile(segment: Segment, position: number, offset: number): Promise<void> {
    const isCut = segment.mayBeTorn || segment.writtenBytes > position
    await segment.truncate(position, offset)
    if (!isCut) return
    segment.appendFile ??= await this.#ports.files.open(segment.path, 'append')
    await segment.appendFile.truncate(position)
    await segment.appendFile.sync()
    segment.mayBeTorn = false
  }

  /** Drops everything and begins an empty segment at `offset`. A crash in between leaves a part that is sound. */
  async #restartAt(offset: number): Promise<void> {
    await this.#cutting(async () => {
      this.#writer.stop()
      await this.#writer.settle()
      this.#generation++
      this.#recoveryPoint = Math.min(this.#recoveryPoint, this.#segments[0]!.baseOffset, offset)
      await this.#checkpoints.saveRecoveryPoint()
      this.#logStartOffset = offset
      this.#logEndOffset = offset
      this.#durableEndOffset = offset
      this.#exposedEndOffset = Math.min(this.#exposedEndOffset, offset)
      this.#cache.clear(offset)
      this.#epochs.truncateFromEnd(offset, true)
      this.#epochs.truncateFromStart(offset)
      await this.#checkpoints.saveLogStart()
      const removed = this.#segments.splice(0)
      this.#writer.cut(offset, () => false)
      await removeLogFiles(
        this.#ports,
        removed.reverse(),
        this.#snapshots.take(() => true),
      )
      const segment = Segment.fresh(this.#ports, offset, this.#config, this.#ports.clock.monotonicMs())
      this.#segments.push(segment)
      await createSegmentFile(this.#ports, segment)
      this.#producers = await this.#replayProducers(offset)
      this.#writer.resume(offset)
      this.#recoveryPoint = offset
    })
  }

  #raiseLogStart(offset: number): boolean {
    const startOffset = Math.min(offset, this.#logEndOffset)
    if (startOffset <= this.#logStartOffset || this.#state.kind === 'closed') return false
    this.#logStartOffset = startOffset
    this.#epochs.truncateFromStart(startOffset)
    return true
  }

  /** An empty active segment for a log that has expired as a whole; false if it is not committed as a whole any more. */
  async #beginSegment(highWatermark: number): Promise<boolean> {
    await this.#writer.drain()
    if (this.#state.kind !== 'open' || this.#logEndOffset > highWatermark) return false
    const segment = this.#roll(this.#logEndOffset, this.#ports.clock.monotonicMs())
    await createSegmentFile(this.#ports, segment)
    await this.#writer.closeSegments()
    return true
  }

  async #deleteSegmentsBelowStart(): Promise<number> {
    if (this.#state.kind !== 'open') return 0
    let count = 0
    while (
      count + 1 < this.#segments.length &&
      this.#segments[count + 1]!.baseOffset <= this.#logStartOffset
    ) {
      // One that is still being written or synced goes next time.
      if (this.#segments[count]!.appendFile !== null) break
      count++
    }
    if (count === 0) return 0
    this.#generation++
    const removed = this.#segments.splice(0, count)
    const firstOffset = this.#segments[0]!.baseOffset
    await removeLogFiles(
      this.#ports,
      removed,
      this.#snapshots.take((offset) => offset < firstOffset),
    )
    return count
  }

  async #checkpoint(): Promise<void> {
    const offset = this.#logEndOffset
    const generation = this.#generation
    if (this.#state.kind !== 'open' || offset === this.#recoveryPoint) return
    const snapshot = this.#snapshotAt(offset)
    const active = this.#segments.at(-1)!
    await this.#writer.flushTo(offset)
    // Re-read: meanwhile the log may have failed, or been undone to below `offset`.
    if (this.#writer.syncedEndOffset < offset || generation !== this.#generation) return
    if (!(await this.#snapshots.write(offset, snapshot))) return
    await this.#flushIndexes(active)
    this.#recoveryPoint = offset
    await this.#snapshots.prune(new Set(this.#segments.map(({ baseOffset }) => baseOffset)))
  }

  /** The producer state of this moment, in which the log ends at `offset`. */
  #snapshotAt(offset: number): Uint8Array {
    const { topicId, partition } = this
    return encodeProducerSnapshot(this.#producers, { topicId, partition, offset })
  }

  async #flushIndexes(segment: Segment): Promise<void> {
    if (this.#state.kind !== 'open' || !this.#segments.includes(segment)) return
    try {
      await segment.flushIndexes(false)
    } catch (error) {
      if (!isLackOfRoom(error)) throw error
      const fields = { path: segment.path, error }
      this.#ports.logger.warn(
        'Wrote the indexes of a segment: they stay in memory until the next try',
        fields,
      )
    }
  }

  async #release(): Promise<void> {
    this.#writer.stop()
    await this.#writer.settle()
    await this.#epochs.settle()
    for (const segment of this.#segments) {
      await segment.appendFile?.close()
      segment.appendFile = null
    }
    await this.#ports.pool.retireAll(this.directory)
    this.#cache.clear(this.#logEndOffset)
    this.#state = { kind: 'closed' }
  }

  #replayProducers(endOffset: number): Promise<ProducerState> {
    const { producerCountMax } = this.#config
    return replayProducers(this.#ports, this.#segments, this.#snapshots.offsets, endOffset, producerCountMax)
  }

  #scope(endOffset: number): LookupScope {
    const writtenEnd = this.#writer.writtenEndOffset
    return {
      segments: [...this.#segments],
      unwritten: this.#cache.batchesFrom(writtenEnd),
      startOffset: this.#logStartOffset,
      endOffset: Math.min(endOffset, this.#logEndOffset),
    }
  }

  /** Runs a lookup again if the log was cut beside it. */
  async #stable<T>(lookup: () => Promise<T>): Promise<T> {
    for (;;) {
      if (this.#state.kind === 'closed') throw this.#closedError()
      const generation = this.#generation
      try {
        const result = await lookup()
        if (generation === this.#generation) return result
      } catch (error) {
        if (generation === this.#generation) throw error
      }
    }
  }

  /** Queues work that nobody waits for. */
  #later(what: string, task: () => Promise<void>): void {
    this.#maintenance.run(task).catch((error: unknown) => this.#fail(what, error))
  }

  #fail(what: string, cause: unknown): LogError {
    if (this.#state.kind === 'failed') return this.#state.error
    const error = new LogError('LOG_FAILED', `${what} ${this.directory}: ${String(cause)}`, { cause })
    if (this.#state.kind === 'closed') return error
    this.#state = { kind: 'failed', error }
    this.#writer.stop()
    this.#ports.logger.error('A log has failed: it takes no appends until the next start', { error })
    this.onFailed(error)
    return error
  }

  #assertUsable(): void {
    if (this.#state.kind === 'failed') throw this.#state.error
    if (this.#state.kind === 'closed') throw this.#closedError()
  }

  #closedError(): LogError {
    return new LogError('LOG_CLOSED', `Used the log ${this.directory}: it is closed`)
  }
}

/** Would keeping a batch of `size` keep alive much more than that? See `tail-cache.ts`. */
function isPoorTenant(size: number, bytes: Uint8Array): boolean {
  return size <= COPIED_BYTES_MAX || size * COPIED_SHARE < bytes.buffer.byteLength
}

function firstEpochOf(batches: Uint8Array): number {
  return batches.length < BATCH_HEADER_BYTES ? Infinity : leaderEpochAt(batches, 0)
}

function storageError(found: string): AppendResult {
  return { kind: 'rejected', error: 'KAFKA_STORAGE_ERROR', message: `Appended a batch: ${found}` }
}
