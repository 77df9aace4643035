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
 *   `onRolledBack` tells from which offset. Everything at or above that offset failed; nothing below did. See `LogSurgery.undo`.
 * - Any other failed write, or a failed sync: `onFailed`, once. Nothing is ever appended again, here and in all logs of
 *   the directory (D4).
 *
 * Data plane: one object per batch.
 *
 * @see docs/formats.md for the files, docs/faults.md for the promises.
 */
import {
  assignOffsets,
  BATCH_HEADER_BYTES,
  batchSizeAt,
  isLogAppendTime,
  leaderEpochAt,
  readBatchHeader,
  type BatchHeader,
} from '../records/batch-header.ts'
import type { AppendResult } from './append-result.ts'
import { LogCompaction } from './compaction.ts'
import { continuedFrom, findFetchedFault } from './fetched-check.ts'
import { FilePool } from './file-pool.ts'
import type { LogConfig, LogPorts } from './log-config.ts'
import { LogError } from './log-error.ts'
import { type LogSurroundings, type PartitionLogOptions } from './log-options.ts'
import { CUTTING, LogCore, type LogEvents } from './log-core.ts'
import { LogSurgery, NO_SPACE_PAUSE_MS } from './log-surgery.ts'
import { LogLookup } from './log-lookup.ts'
import { LogReader } from './log-reader.ts'
import { recoverLog, type RecoveredLog, type RecoveryCut } from './log-recovery.ts'
import { emptySlice, type LogSlice } from './log-slice.ts'
import { claimDirectory } from './partition-metadata.ts'
import type { ProducerState } from './producer-state.ts'
import { TailCacheBudget } from './tail-cache.ts'
import type { TimestampedOffset } from './timestamp-lookup.ts'

export type { AppendResult, LogError, LogSlice, PartitionLogOptions, RecoveryCut, TimestampedOffset }

/** Bytes of written batches that a log keeps in memory while another broker leads. */
const FOLLOWER_CACHE_BYTES_MAX = 2 ** 20
/** Open handles and cached bytes of a log that shares with nobody. */
const OWN_OPEN_FILES_MAX = 16
const OWN_CACHE_BYTES_MAX = 2 ** 26

/** Tries of a follower's cut for which there is no room: half a minute. */
const CUT_TRIES_MAX = 120

/** Batches up to this size are copied together when written: see `gather` in `log-writer.ts`. */
const COPIED_BYTES_MAX = 4096

/** Larger ones too, if they are less than this part of the buffer they would keep alive. */
const COPIED_SHARE = 16

export class PartitionLog implements LogEvents {
  readonly topic: string
  readonly partition: number
  readonly topicId: string
  /** What recovery cut when the log was opened; null: nothing. */
  readonly recoveryCut: RecoveryCut | null
  /** For the cleaner. */
  readonly compaction: LogCompaction

  /** Called after `durableEndOffset` rose. */
  onDurable: (durableEndOffset: number) => void = () => undefined
  /**
   * Called when everything at and above `fromOffset` was undone for lack of room: it will never be in the log, and
   * appends work again. Called after `onDurable` for what lies below.
   */
  onRolledBack: (fromOffset: number, error: LogError) => void = () => undefined
  /** Called in the turn in which the log's ends go back, or its start does because it begins anew. */
  onCut: () => void = () => undefined
  /** Called once, when the log is lost to this process. What was not durable by then is in doubt. */
  onFailed: (error: LogError) => void = () => undefined
  /** Called once, in the turn in which a read met bytes that have rotted: see `damage`. */
  onDamaged: () => void = () => undefined

  readonly #core: LogCore
  #isFollowing = false
  #damage: LogError | null = null
  readonly #surgery: LogSurgery
  readonly #reader: LogReader
  readonly #lookup: LogLookup

  private constructor(ports: LogSurroundings, options: PartitionLogOptions, recovered: RecoveredLog) {
    this.topic = options.topic
    this.partition = options.partition
    this.topicId = options.topicId
    this.recoveryCut = recovered.cut
    this.#core = new LogCore(ports, options, recovered, this, (error) => this.#surgery.undo(error))
    this.#surgery = new LogSurgery(this.#core)
    const damaged = (error: LogError): void => this.#damaged(error)
    this.#reader = new LogReader(this.#core, damaged)
    this.#lookup = new LogLookup(this.#core, damaged)
    this.compaction = new LogCompaction(this.#core, this.#surgery, damaged)
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
    try {
      const log = new PartitionLog(all, options, await recoverLog(all, options))
      if (log.#core.epochs.isDirty) await log.#core.epochs.save()
      return log
    } catch (error) {
      // What was opened to look at it is not to be read under the names of a log that takes its place.
      await shared.pool.retireAll(directory)
      throw error
    }
  }

  /** First offset that can be read. */
  get logStartOffset(): number {
    return this.#core.logStartOffset
  }

  /** Offset that the next record gets. */
  get logEndOffset(): number {
    return this.#core.logEndOffset
  }

  /** Offset below which everything is as durable as the configuration asks, and may be acknowledged. */
  get durableEndOffset(): number {
    return this.#core.durableEndOffset
  }

  /** Offset below which everything is synced and a start need not look; what the checkpoint may say. */
  get recoveryPoint(): number {
    return this.#core.recoveryPoint
  }

  /** Bytes appended and not yet durable: the broker stops reading producers above a bound. */
  get pendingBytes(): number {
    const { unwrittenBytes, unsyncedBytes } = this.#core.writer
    return this.#core.config.durability === 'disk' ? unwrittenBytes + unsyncedBytes : unwrittenBytes
  }

  get latestEpoch(): number {
    return this.#core.epochs.cache.latestEpoch
  }

  /**
   * The least leader epoch in which `appendAsLeader` works. It rises above the present epoch when batches were undone
   * that a follower may already have: the leader must then get a new epoch, or leave.
   */
  get leaderEpochMin(): number {
    return Math.max(this.#core.epochs.cache.latestEpoch, this.#core.fencedEpoch + 1)
  }

  get sizeBytes(): number {
    return this.#core.segments.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  }

  get segmentCount(): number {
    return this.#core.segments.length
  }

  get producerCount(): number {
    return this.#core.producers.count
  }

  get config(): LogConfig {
    return this.#core.config
  }

  /** Absolute path of the log's directory. */
  get directory(): string {
    return this.#core.ports.directory
  }

  /** Why nothing can be appended any more, or null. */
  get failure(): LogError | null {
    return this.#core.state.kind === 'failed' ? this.#core.state.error : null
  }

  /** `LOG_CORRUPT` once a read has met rotten bytes, which are never served (D3). Appends go on, and others should lead. */
  get damage(): LogError | null {
    return this.#damage
  }

  /** Producers remembered, for DescribeProducers and for tests that compare two logs. */
  producers(): ProducerState {
    return this.#core.producers
  }

  /** Leader epochs and where they begin, oldest first. */
  epochEntries(): readonly { readonly epoch: number; readonly startOffset: number }[] {
    return this.#core.epochs.cache.entries
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
    const check = this.#core.producers.check(header)
    if (check.kind === 'refused') return { kind: 'rejected', error: check.error, message: check.message }
    if (check.kind === 'duplicate') {
      const { baseOffset, lastOffset, timestampMs } = check
      return { kind: 'duplicate', baseOffset, lastOffset, appendTimeMs: timestampMs }
    }
    const baseOffset = this.#core.logEndOffset
    const lastOffset = baseOffset + header.lastOffsetDelta
    if (lastOffset >= Number.MAX_SAFE_INTEGER) return storageError('the log has no offsets left')
    assignOffsets(batch, 0, baseOffset, leaderEpoch)
    const isCopied = isPoorTenant(batch.length, batch)
    this.#core.append(batch, 0, batch.length, baseOffset, lastOffset, header, leaderEpoch, isCopied)
    const appendTimeMs = isLogAppendTime(header.attributes) ? header.maxTimestamp : -1
    return { kind: 'appended', baseOffset, lastOffset, appendTimeMs }
  }

  /**
   * Appends batches fetched from the leader, in this turn: all of them or, if it throws, none.
   *
   * @param fetched - Whole batches, end to end, that continue at `logEndOffset`. Handed over.
   * @throws {LogError} `LOG_BAD_BATCH`, `LOG_BUSY`, `LOG_FAILED`, `LOG_CLOSED`.
   */
  appendAsFollower(fetched: Uint8Array): void {
    this.#core.assertUsable()
    const batches = continuedFrom(fetched, this.#core.logEndOffset)
    if (this.#core.state.kind !== 'open')
      throw new LogError('LOG_BUSY', `Appended to ${this.directory}: it is being cut`)
    // An epoch that this replica led without writing in it ends where the leader's batches go on.
    if (firstEpochOf(batches) < this.#core.epochs.cache.latestEpoch)
      this.#core.epochs.truncateFromEnd(this.#core.logEndOffset, false)
    const fault = findFetchedFault(batches, this.#core.logEndOffset, this.#core.epochs.cache.latestEpoch)
    if (fault !== null)
      throw new LogError('LOG_BAD_BATCH', `Appended to ${this.directory} what the leader sent: ${fault}`)
    const isCopied = isPoorTenant(batches.length, batches)
    for (let at = 0; at < batches.length;) {
      const size = batchSizeAt(batches, at)
      const header = readBatchHeader(batches, at)
      const lastOffset = header.baseOffset + header.lastOffsetDelta
      this.#core.append(
        batches,
        at,
        size,
        header.baseOffset,
        lastOffset,
        header,
        header.leaderEpoch,
        isCopied,
      )
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
    if (this.#core.state.kind === 'closed') throw this.#core.closedError()
    const readableEnd =
      this.#core.state.kind === 'failed' ? this.#core.durableEndOffset : this.#core.logEndOffset
    if (startOffset < this.#core.logStartOffset || startOffset > this.#core.logEndOffset) {
      throw new LogError(
        'LOG_OFFSET_OUT_OF_RANGE',
        `Read offset ${startOffset}: the log holds ${this.#core.logStartOffset} to ${this.#core.logEndOffset}`,
      )
    }
    const limit = Math.min(endOffset, readableEnd)
    if (startOffset >= limit) return emptySlice(startOffset)
    if (startOffset < this.#core.cache.startOffset) {
      return this.#reader.read(startOffset, limit, bytesMax, atLeastOneBatch)
    }
    const slice = this.#core.cache.read(startOffset, limit, bytesMax, atLeastOneBatch)
    if (slice.endOffset > this.#core.exposedEndOffset) this.#core.exposedEndOffset = slice.endOffset
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
    return this.#lookup.offsetForTimestamp(timestampMs, endOffset)
  }

  /** The first record that has the largest timestamp (KIP-734), or null in an empty log. */
  offsetOfMaxTimestamp(endOffset = Infinity): Promise<TimestampedOffset | null> {
    return this.#lookup.offsetOfMaxTimestamp(endOffset)
  }

  /** Notes that a leader of `epoch` begins at `startOffset`. It is on disk before the epoch's first batch is. */
  startEpoch(epoch: number, startOffset: number): void {
    if (!this.#core.epochs.assign(epoch, startOffset)) return
    if (this.#core.state.kind === 'open') this.#core.writer.writeAfter(this.#core.epochs.save())
  }

  /** The end of the largest epoch at or below `epoch` (KIP-279); null when `epoch` is newer than all known here. */
  endOffsetForEpoch(epoch: number): { readonly epoch: number; readonly endOffset: number } | null {
    return this.#core.epochs.cache.endOffsetForEpoch(epoch, this.#core.logEndOffset)
  }

  /**
   * Cuts the log so that it ends at `offset`, or where the batch that holds `offset` begins. Producer state and epochs
   * go back with it. When it resolves the cut survives a power cut. On a full disk it waits for half a minute.
   *
   * @throws {LogError} `LOG_FAILED`, `LOG_CLOSED`.
   */
  truncateTo(offset: number): Promise<void> {
    return this.#cutInTime((tries, isLast) => this.#surgery.truncate(offset, tries, isLast))
  }

  /** As `truncateTo`: drops everything and goes on at `offset`, as a follower whose leader's log begins past its own. Epochs stay. */
  truncateFullyAndStartAt(offset: number): Promise<void> {
    return this.#cutInTime((_tries, isLast) => this.#surgery.restart(offset, isLast))
  }

  async #cutInTime(cut: (tries: number, isLast: boolean) => Promise<boolean>): Promise<void> {
    for (let tries = 1; ; tries++) {
      const isLast = tries === CUT_TRIES_MAX
      if (await this.#core.maintenance.run(() => cut(tries, isLast))) return
      await new Promise<void>((resolve) => this.#core.ports.clock.after(NO_SPACE_PAUSE_MS, resolve))
    }
  }

  /**
   * Makes `offset` the log start offset: records below it are gone at once, and for good when this resolves. Files
   * go when all their records did.
   *
   * @param offset - At most the high watermark.
   */
  async deleteRecordsBefore(offset: number): Promise<void> {
    this.#surgery.raiseLogStart(offset)
    // Also when it was raised before: who did may still wait for this, or may have waited in vain on a full disk.
    await this.#core.checkpoints.saveLogStart()
    await this.#core.maintain('Deleted records of', () => this.#surgery.deleteSegmentsBelowStart())
  }

  /**
   * Deletes the segments that the configured time and size no longer cover, never past `highWatermark`.
   *
   * @param nowMs - Wall clock, as trusted by the caller (S8). @returns Segments deleted.
   */
  async applyRetention(nowMs: number, highWatermark: number): Promise<number> {
    return this.#core.maintain('Deleted what expired of', () => this.#surgery.expire(nowMs, highWatermark))
  }

  /** Forgets producers that have been silent for the configured time. @returns How many. */
  expireProducers(): number {
    return this.#core.producers.expire(
      this.#core.ports.clock.monotonicMs(),
      this.#core.config.producerIdExpirationMs,
    )
  }

  /**
   * Whether the batches are another broker's, who also serves them: then little of them is kept in memory, since few read here,
   * and from a page cache that has them.
   */
  set isFollowing(isFollowing: boolean) {
    this.#isFollowing = isFollowing
    this.#shareCache()
  }

  #damaged(error: LogError): void {
    if (this.#damage !== null || this.#core.state.kind === 'closed') return
    this.#damage = error
    this.onDamaged()
  }

  #shareCache(): void {
    const { tailCacheBytes } = this.#core.config
    this.#core.cache.bytesMax = this.#isFollowing
      ? Math.min(tailCacheBytes, FOLLOWER_CACHE_BYTES_MAX)
      : tailCacheBytes
  }

  /** Takes a new configuration; of `durability` only changes between `disk` and `os` have effect on an open log. */
  updateConfig(config: LogConfig): void {
    this.#core.config = config
    this.#shareCache()
    this.#core.producers.countMax = config.producerCountMax
    this.#core.writer.syncsWrites = config.durability === 'disk'
    if (config.durability !== 'disk') this.#core.raiseDurable(this.#core.writtenEndOffset)
  }

  /**
   * Syncs all that was appended before the call and saves the producer state beside it, so that a recovery may begin
   * there: `recoveryPoint` rises. Does nothing if that cannot be had now, also for lack of room.
   *
   * @throws {LogError} `LOG_FAILED`.
   */
  async checkpoint(): Promise<void> {
    await this.#core.maintain('Saved the producer state of', () => this.#surgery.checkpoint())
  }

  /** Takes the log out of service, since the directory it is in has failed (D4). What is durable can still be read. */
  fail(error: LogError): void {
    this.#core.end(error)
  }

  /** Writes and syncs everything, and lets go of all files. @throws {LogError} `LOG_FAILED` if that did not work. */
  async close(): Promise<void> {
    await this.compaction.abort()
    await this.#core.maintain('Closed', async () => {
      if (this.#core.state.kind === 'closed') return
      try {
        if (this.#core.state.kind === 'open') {
          await this.#surgery.checkpoint()
          await this.#core.epochs.settle()
          if (this.#core.epochs.isDirty) await this.#core.epochs.save()
          await this.#core.segments.at(-1)!.flushIndexes(true)
        }
        const failure = this.failure
        if (failure !== null) throw failure
        // While a cut waits for room the files are longer than the log.
        const { state, recoveryPoint, logEndOffset } = this.#core
        if (state.kind === 'cutting' || recoveryPoint !== logEndOffset) {
          const what = `what it knows of offsets from ${recoveryPoint} on could not be saved`
          throw new LogError('LOG_FAILED', `Closed ${this.directory}: ${what}`)
        }
      } finally {
        await this.#surgery.release()
      }
    })
  }

  /** Closes without saving anything, for a log that is to be deleted. */
  async abandon(): Promise<void> {
    if (this.#core.state.kind === 'open') this.#core.state = CUTTING
    this.#core.writer.stop()
    await this.compaction.abort()
    await this.#core.maintenance.run(() => this.#surgery.release())
  }

  #findRefusal(leaderEpoch: number): AppendResult | null {
    if (
      this.#core.state.kind === 'open' &&
      leaderEpoch >= this.#core.epochs.cache.latestEpoch &&
      leaderEpoch > this.#core.fencedEpoch
    ) {
      if (this.#core.refusesUntilMs === 0) return null
      if (this.#core.ports.clock.monotonicMs() < this.#core.refusesUntilMs)
        return storageError('the disk is full')
      this.#core.refusesUntilMs = 0
      return null
    }
    if (this.#core.state.kind === 'failed') return storageError(this.#core.state.error.message)
    if (this.#core.state.kind !== 'open') return storageError(`the log is ${this.#core.state.kind}`)
    const message = `Appended in leader epoch ${leaderEpoch}: wanted ${this.leaderEpochMin} or more`
    return { kind: 'rejected', error: 'NOT_LEADER_OR_FOLLOWER', message }
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
