/**
 * The inside of a log: the state that appends, reads and surgery share, and the small steps that change it. Seen by
 * `partition-log.ts` (what others may do with a log) and `log-surgery.ts` (what takes a log apart), and by nobody else.
 *
 * Invariants:
 * - `logStartOffset <= durableEndOffset <= writer.writtenEndOffset <= logEndOffset`
 * - `recoveryPoint <= writer.syncedEndOffset`, and there is a producer snapshot at it unless there was no room for one.
 * - Steps here are synchronous, but for writes of caches; whatever awaits between them belongs into the surgery.
 *
 * Data plane.
 */
import { SerialQueue } from '../base/serial-queue.ts'
import type { FileError } from '../env/index.ts'
import type { BatchHeader } from '../records/batch-header.ts'
import { isDeviceFailure, isLackOfRoom } from './atomic-file.ts'
import { EpochStore } from './epoch-store.ts'
import type { LogConfig } from './log-config.ts'
import { LogError } from './log-error.ts'
import {
  NO_CHECKPOINTS,
  type LogCheckpoints,
  type LogSurroundings,
  type PartitionLogOptions,
} from './log-options.ts'
import type { RecoveredLog } from './log-recovery.ts'
import { replayProducers } from './log-replay.ts'
import { LogWriter } from './log-writer.ts'
import { encodeProducerSnapshot } from './producer-snapshot.ts'
import type { ProducerState } from './producer-state.ts'
import { Segment } from './segment.ts'
import { SnapshotStore } from './snapshot-store.ts'
import { CachedBatch, TailCache } from './tail-cache.ts'

/** Operations that may wait for one another: retention, checkpoints, segment snapshots, a truncation. */
const MAINTENANCE_WAITING_MAX = 10_000

export type LogState =
  | { readonly kind: 'open' }
  /** The end is being cut: no appends. */
  | { readonly kind: 'cutting' }
  | { readonly kind: 'failed'; readonly error: LogError }
  | { readonly kind: 'closed' }

export const OPEN: LogState = { kind: 'open' }
export const CUTTING: LogState = { kind: 'cutting' }

/** What a log tells its owner. See `PartitionLog`. */
export interface LogEvents {
  onDurable: (durableEndOffset: number) => void
  onRolledBack: (fromOffset: number, error: LogError) => void
  onCut: () => void
  onFailed: (error: LogError) => void
}

export class LogCore {
  readonly ports: LogSurroundings
  readonly checkpoints: LogCheckpoints
  config: LogConfig
  state: LogState = OPEN
  readonly maintenance = new SerialQueue(MAINTENANCE_WAITING_MAX)
  /** Oldest first; the last one is active. Invariant: at least one. */
  readonly segments: Segment[]
  readonly epochs: EpochStore
  producers: ProducerState
  readonly snapshots: SnapshotStore
  readonly cache: TailCache
  readonly writer: LogWriter
  /** Raised whenever bytes that were there go away: reads under way then begin anew. */
  generation = 0
  /** Raised whenever the log is cut or begun anew: what was read of its batches before may not be there any more. */
  cutCount = 0
  /** Compaction has judged all below it; 0 when nobody knows. Too high or too low costs room only: `compaction-pass.ts`. */
  cleanedEndOffset: number
  logStartOffset: number
  logEndOffset: number
  durableEndOffset: number
  recoveryPoint: number
  /** Offset after the last batch that a reader was given: what a rollback can no longer undo in secret. */
  exposedEndOffset = 0
  /** Leaders of this epoch or an older one may not append: see `LogSurgery.undo`. */
  fencedEpoch = -1
  rollback: { readonly fromOffset: number; readonly error: LogError } | null = null
  refusesUntilMs = 0
  readonly #events: LogEvents

  constructor(
    ports: LogSurroundings,
    options: PartitionLogOptions,
    recovered: RecoveredLog,
    events: LogEvents,
    noSpace: (error: FileError) => void,
  ) {
    this.ports = ports
    this.#events = events
    this.checkpoints = options.checkpoints ?? NO_CHECKPOINTS
    this.config = options.config
    this.segments = recovered.segments
    this.epochs = new EpochStore(ports.files, ports.directory, recovered.epochs, recovered.areEpochsStale)
    this.producers = recovered.producers
    this.snapshots = new SnapshotStore(ports, recovered.snapshots)
    this.logStartOffset = recovered.logStartOffset
    this.logEndOffset = recovered.logEndOffset
    this.cleanedEndOffset = Math.min(options.cleanedEndOffset ?? 0, recovered.logEndOffset)
    this.durableEndOffset = recovered.logEndOffset
    this.recoveryPoint = Math.min(options.recoveryPoint, recovered.logEndOffset)
    this.cache = new TailCache(ports.cacheBudget, options.config.tailCacheBytes, recovered.logEndOffset)
    const host = {
      written: (endOffset: number) => this.#written(endOffset),
      synced: (endOffset: number) => this.#synced(endOffset),
      noSpace,
      failed: (error: unknown) => void this.fail('Wrote to', error),
    }
    this.writer = new LogWriter(ports, host, {
      directory: ports.directory,
      syncsWrites: options.config.durability === 'disk',
      endOffset: recovered.logEndOffset,
    })
  }

  get directory(): string {
    return this.ports.directory
  }

  /** End of what the files hold. */
  get writtenEndOffset(): number {
    return Math.min(this.writer.writtenEndOffset, this.logEndOffset)
  }

  /** The ends have just gone back; nobody may see them before the owner has. */
  wasCut(): void {
    this.#events.onCut()
  }

  rolledBack(fromOffset: number, error: LogError): void {
    this.#events.onRolledBack(fromOffset, error)
  }

  /** The one way for a batch into the log. Synchronous, and past every check. */
  append(
    bytes: Uint8Array,
    start: number,
    size: number,
    baseOffset: number,
    lastOffset: number,
    header: BatchHeader,
    leaderEpoch: number,
    isCopied: boolean,
  ): void {
    const nowMs = this.ports.clock.monotonicMs()
    if (leaderEpoch > this.epochs.cache.latestEpoch) this.epochs.assign(leaderEpoch, baseOffset)
    if (this.epochs.isDirty) this.writer.writeAfter(this.epochs.save())
    let segment = this.segments[this.segments.length - 1]!
    if (segment.isFullFor(size, lastOffset, this.config, nowMs)) segment = this.roll(baseOffset, nowMs)
    segment.addBatch(lastOffset, size, header.maxTimestamp)
    this.producers.update(header, baseOffset, nowMs)
    const batch = new CachedBatch(bytes, start, size, baseOffset, lastOffset + 1, segment, isCopied)
    this.cache.add(batch)
    this.logEndOffset = lastOffset + 1
    this.writer.enqueue(batch)
  }

  /** Begins a segment, in memory: the writer creates its file. The producer state of this moment is saved beside it. */
  roll(baseOffset: number, nowMs: number): Segment {
    this.segments.at(-1)!.seal()
    const segment = Segment.fresh(this.ports, baseOffset, this.config, nowMs)
    this.segments.push(segment)
    const snapshot = this.snapshotAt(baseOffset)
    const { cutCount } = this
    this.later('Saved the producer state of', async () => {
      if (cutCount === this.cutCount) await this.snapshots.write(baseOffset, snapshot)
    })
    return segment
  }

  #written(endOffset: number): void {
    this.cache.written(endOffset)
    if (this.config.durability !== 'disk') this.raiseDurable(endOffset)
    const active = this.segments.at(-1)!
    if (active.offsetIndex.needsFlush)
      this.later('Wrote the index of', async () => {
        await this.flushIndexes(active, false)
      })
  }

  #synced(endOffset: number): void {
    if (this.config.durability === 'disk') this.raiseDurable(endOffset)
  }

  raiseDurable(endOffset: number): void {
    if (endOffset <= this.durableEndOffset || this.state.kind === 'failed') return
    this.durableEndOffset = endOffset
    this.#events.onDurable(endOffset)
  }

  /** Readers see the log end at `offset` from now on. */
  endAt(offset: number): void {
    this.generation++
    this.cutCount++
    this.cleanedEndOffset = Math.min(this.cleanedEndOffset, offset)
    this.logEndOffset = Math.min(this.logEndOffset, offset)
    this.exposedEndOffset = Math.min(this.exposedEndOffset, offset)
    this.cache.truncate(offset)
  }

  /** The producer state of this moment, in which the log ends at `offset`. */
  snapshotAt(offset: number): Uint8Array {
    const { topicId, partition } = this.ports
    return encodeProducerSnapshot(this.producers, { topicId, partition, offset })
  }

  /** @returns False if there is no room for them now. */
  async flushIndexes(segment: Segment, syncs: boolean): Promise<boolean> {
    if (this.state.kind !== 'open' || !this.segments.includes(segment)) return true
    try {
      await segment.flushIndexes(syncs)
      return true
    } catch (error) {
      if (!isLackOfRoom(error)) throw error
      const fields = { path: segment.path, error }
      this.ports.logger.warn('Wrote the indexes of a segment: they stay in memory until the next try', fields)
      return false
    }
  }

  replayProducers(endOffset: number): Promise<ProducerState> {
    const { producerCountMax } = this.config
    return replayProducers(this.ports, this.segments, this.snapshots.offsets, endOffset, producerCountMax)
  }

  /** Queues work that nobody waits for. */
  later(what: string, task: () => Promise<void>): void {
    this.maintenance.run(task).catch((error: unknown) => this.fail(what, error))
  }

  /** Runs work on the log's files, after all that was queued before. Anything but lack of room ends the log (D4). */
  maintain<T>(what: string, task: () => Promise<T>): Promise<T> {
    return this.maintenance.run(async () => {
      try {
        return await task()
      } catch (error) {
        throw isDeviceFailure(error) ? this.fail(what, error) : error
      }
    })
  }

  fail(what: string, cause: unknown): LogError {
    if (this.state.kind === 'failed') return this.state.error
    const error = new LogError('LOG_FAILED', `${what} ${this.directory}: ${String(cause)}`, { cause })
    if (this.state.kind === 'closed') return error
    this.ports.logger.error('A log has failed: it takes no appends until the next start', { error })
    this.end(error)
    if (isDeviceFailure(cause)) this.checkpoints.deviceFailed(cause)
    return error
  }

  /** Nothing is appended any more, and nothing that was not durable will be acknowledged. */
  end(error: LogError): void {
    if (this.state.kind === 'failed' || this.state.kind === 'closed') return
    this.state = { kind: 'failed', error }
    this.writer.stop()
    this.#events.onFailed(error)
  }

  assertUsable(): void {
    if (this.state.kind === 'failed') throw this.state.error
    if (this.state.kind === 'closed') throw this.closedError()
  }

  closedError(): LogError {
    return new LogError('LOG_CLOSED', `Used the log ${this.directory}: it is closed`)
  }
}
