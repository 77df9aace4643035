/**
 * A quorum of one: the metadata log on this node's disk, which is a majority of itself. The driver that a Raft quorum
 * will replace (metadata-quorum.ts is the port both stand behind).
 *
 *   <data>/__cluster_metadata-0/   a PartitionLog | *.checkpoint (snapshot-file.ts) | quorum-state (quorum-state.ts)
 *
 * Invariants:
 * - Each start leads in a new epoch, above every epoch on this disk and durable before it is used (M1, M2).
 * - The high watermark is the log's durable end: nothing counts that a power cut could take (M5, MQ-2).
 * - The listener is fed from the log alone, at start and in life by the same loop, so live and replayed state cannot
 *   differ (M6). An append resolves after the listener had its batch.
 * - The log is cut only below the older of the two newest snapshots: if one rots, the other and the log make the same
 *   state. When neither does, the quorum refuses to start; it never takes damage for emptiness (ST-5, KAFKA-14240).
 * - A failed disk stops the quorum for this process's life (D4).
 */
import { assert } from '../base/assert.ts'
import { FileError } from '../env/index.ts'
import type { PartitionLog } from '../log/partition-log.ts'
import type { LogPorts } from '../log/log-config.ts'
import { readBatchHeader } from '../records/batch-header.ts'
import { dataBatch, leaderChangeBatch } from './batches.ts'
import { committedBatches } from './log-reader.ts'
import { METADATA_BATCH_BYTES_MAX, PENDING_APPENDS_MAX, QuorumError } from './metadata-quorum.ts'
import type { MetadataQuorum, QuorumListener, QuorumSnapshot } from './metadata-quorum.ts'
import { openMetadataLog } from './metadata-log.ts'
import { RecoveryPoint } from './recovery-point.ts'
import { listSnapshots, snapshotFileName, writeSnapshot } from './snapshot-file.ts'

export interface SingleVoterOptions {
  /** The data directory, locked by the caller. */
  readonly directory: string
  readonly nodeId: number
  /** Records after which a snapshot is taken. */
  readonly snapshotRecordCount?: number
  /** Bytes of log after which a snapshot is taken. */
  readonly snapshotBytes?: number
  /** Segment size of the metadata log in bytes. */
  readonly segmentBytes?: number
}

/** A replay of this many records takes about 50 ms. */
const SNAPSHOT_RECORD_COUNT = 20_000
const SNAPSHOT_BYTES = 8 * 1024 * 1024

/** Bytes of log handed to a listener between two looks at the event loop; at least one batch. */
const DELIVERY_BYTES = 1024 * 1024

interface Waiter {
  readonly lastOffset: number
  readonly resolve: (lastOffset: number) => void
  readonly reject: (error: QuorumError) => void
}

export class SingleVoterQuorum implements MetadataQuorum {
  readonly nodeId: number
  readonly leaderEpoch: number
  readonly #ports: LogPorts
  readonly #log: PartitionLog
  readonly #directory: string
  readonly #limits: { readonly recordCount: number; readonly bytes: number }
  #listener: QuorumListener | null = null
  /** Offset of the next batch the listener gets. Invariant: at most the high watermark. */
  #nextOffset: number
  /** Appends not yet committed and delivered, by offset. */
  readonly #waiters: Waiter[] = []
  #highWatermark = 0
  #failure: QuorumError | null = null
  #isClosed = false
  /** Where replay begins; let go of once the listener has it. */
  #snapshot: QuorumSnapshot | null
  #recordsSinceSnapshot = 0
  #bytesSinceSnapshot = 0
  #lastTimestampMs = 0
  #delivery: Promise<void> = Promise.resolve()
  #isDelivering = false
  #snapshotWork: Promise<void> | null = null
  readonly #recoveryPoint: RecoveryPoint

  private constructor(
    ports: LogPorts,
    options: SingleVoterOptions,
    opened: { log: PartitionLog; directory: string; epoch: number; snapshot: QuorumSnapshot | null },
  ) {
    this.nodeId = options.nodeId
    this.leaderEpoch = opened.epoch
    this.#ports = ports
    this.#log = opened.log
    this.#directory = opened.directory
    this.#snapshot = opened.snapshot
    this.#recoveryPoint = new RecoveryPoint(ports, opened.directory)
    this.#nextOffset = opened.snapshot?.endOffset ?? 0
    this.#limits = {
      recordCount: options.snapshotRecordCount ?? SNAPSHOT_RECORD_COUNT,
      bytes: options.snapshotBytes ?? SNAPSHOT_BYTES,
    }
    this.#log.onDurable = (durableEndOffset) => this.#commit(durableEndOffset)
    this.#log.onRolledBack = (fromOffset) => this.#rolledBack(fromOffset)
    this.#log.onFailed = (error) => this.#fail('its log failed', error)
  }

  /**
   * Opens (or on a first start makes) the metadata log and leads in a new epoch, with everything in the log committed.
   *
   * @throws {QuorumError} `QUORUM_STATE_CORRUPT`, `QUORUM_SNAPSHOT_CORRUPT`, `QUORUM_LOG_CORRUPT`, `QUORUM_FAILED`.
   * @throws {LogError | FileError} as opening a log does.
   */
  static async open(ports: LogPorts, options: SingleVoterOptions): Promise<SingleVoterQuorum> {
    const opened = await openMetadataLog(ports, options)
    const quorum = new SingleVoterQuorum(ports, options, opened)
    try {
      // Commits whatever an earlier epoch left in the log, since one sync makes it all durable (Raft section 5.4.2).
      await quorum.#append(leaderChangeBatch(options.nodeId, ports.clock.wallTimeMs()))
    } catch (error) {
      await quorum.close()
      throw error
    }
    return quorum
  }

  get leaderId(): number | null {
    return this.#failure === null && !this.#isClosed ? this.nodeId : null
  }

  get highWatermark(): number {
    return this.#highWatermark
  }

  get logEndOffset(): number {
    return this.#log.logEndOffset
  }

  async append(leaderEpoch: number, records: readonly Uint8Array[]): Promise<number> {
    assert(records.length > 0, 'An append has at least one record')
    this.#throwIfFailed()
    if (this.#isClosed) throw new QuorumError('QUORUM_CLOSED', 'Cannot append metadata: the quorum is closed')
    if (leaderEpoch !== this.leaderEpoch) {
      const message = `Cannot append metadata: decided in epoch ${leaderEpoch}, now is epoch ${this.leaderEpoch}`
      throw new QuorumError('QUORUM_NOT_LEADER', message)
    }
    if (this.#waiters.length >= PENDING_APPENDS_MAX) {
      throw new QuorumError(
        'QUORUM_BUSY',
        `Cannot append metadata: ${PENDING_APPENDS_MAX} appends wait for the disk`,
      )
    }
    const batch = dataBatch(records, this.#ports.clock.wallTimeMs())
    if (batch.length > METADATA_BATCH_BYTES_MAX) {
      const message = `Cannot append metadata: the change takes ${batch.length} bytes, at most ${METADATA_BATCH_BYTES_MAX} are allowed`
      throw new QuorumError('QUORUM_BATCH_TOO_LARGE', message)
    }
    return this.#append(batch)
  }

  async subscribe(listener: QuorumListener): Promise<void> {
    assert(this.#listener === null, 'The quorum has one listener, which passes on what others want to know')
    this.#throwIfFailed()
    const caughtUpOffset = this.#highWatermark
    if (this.#snapshot !== null) listener.onSnapshot(this.#snapshot)
    this.#snapshot = null
    this.#listener = listener
    while (this.#nextOffset < caughtUpOffset) {
      await this.#deliver()
      this.#throwIfFailed()
    }
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    await this.#answered()
    await this.#snapshotWork
    try {
      await this.#log.close()
    } catch (error) {
      this.#fail('its log could not be closed', error)
    }
    await this.#delivery
    await this.#recoveryPoint.close()
    const closed = new QuorumError('QUORUM_CLOSED', 'Cannot commit metadata: the quorum was closed')
    for (const waiter of this.#waiters.splice(0)) waiter.reject(closed)
  }

  #throwIfFailed(): void {
    if (this.#failure !== null) throw this.#failure
  }

  /** Resolves when everything appended so far was answered, one way or the other. */
  async #answered(): Promise<void> {
    const last = this.#waiters.at(-1)
    if (last === undefined) return
    await new Promise<unknown>((resolve) => {
      this.#waiters.push({ lastOffset: last.lastOffset, resolve, reject: resolve })
    })
  }

  /** Appends in this turn; the promise is of the commit. */
  #append(batch: Uint8Array): Promise<number> {
    const result = this.#log.appendAsLeader(batch, readBatchHeader(batch), this.leaderEpoch)
    if (result.kind === 'rejected') {
      const message = `Cannot append metadata: the log refused it with ${result.error}: ${result.message}`
      // A log that has not failed refuses for a while after its disk was full.
      return Promise.reject(this.#failure ?? new QuorumError('QUORUM_ROLLED_BACK', message))
    }
    assert(result.kind === 'appended', 'Metadata has no producer, so no batch is a duplicate')
    const { lastOffset } = result
    return new Promise((resolve, reject) => this.#waiters.push({ lastOffset, resolve, reject }))
  }

  #commit(durableEndOffset: number): void {
    assert(durableEndOffset >= this.#highWatermark, 'The high watermark never falls')
    this.#highWatermark = durableEndOffset
    this.#recoveryPoint.advance(durableEndOffset)
    void this.#deliver()
  }

  /** Feeds the listener up to the high watermark; one run at a time. Never rejects. */
  #deliver(): Promise<void> {
    if (!this.#isDelivering) this.#delivery = this.#deliverAll()
    return this.#delivery
  }

  async #deliverAll(): Promise<void> {
    this.#isDelivering = true
    try {
      await this.#deliverBatches()
    } catch (error) {
      this.#fail('a committed batch could not be taken', error)
    } finally {
      this.#isDelivering = false
    }
  }

  async #deliverBatches(): Promise<void> {
    const listener = this.#listener
    // Both ends are read again after each wait: more may have been committed, or the quorum have failed.
    while (listener !== null && this.#nextOffset < this.#highWatermark && this.#failure === null) {
      const slice = await this.#log.read(this.#nextOffset, this.#highWatermark, DELIVERY_BYTES, true)
      for (const batch of committedBatches(slice, this.#nextOffset)) {
        listener.onCommit(batch)
        this.#nextOffset = batch.endOffset
        this.#recordsSinceSnapshot += batch.endOffset - batch.baseOffset
        this.#lastTimestampMs = batch.timestampMs
      }
      this.#bytesSinceSnapshot += slice.bytes
      this.#maybeTakeSnapshot(listener)
      this.#answer()
    }
    this.#answer()
  }

  /** Resolves the appends that are committed and that the listener, if there is one, has seen. */
  #answer(): void {
    const seenOffset = this.#listener === null ? this.#highWatermark : this.#nextOffset
    while (this.#waiters.length > 0 && this.#waiters[0]!.lastOffset < seenOffset) {
      const { resolve, lastOffset } = this.#waiters.shift()!
      resolve(lastOffset)
    }
  }

  #rolledBack(fromOffset: number): void {
    this.#listener?.onRolledBack(fromOffset)
    const error = new QuorumError(
      'QUORUM_ROLLED_BACK',
      'Cannot commit metadata: the disk had no room, the change was undone',
    )
    const firstIndex = this.#waiters.findIndex((waiter) => waiter.lastOffset >= fromOffset)
    if (firstIndex !== -1) for (const waiter of this.#waiters.splice(firstIndex)) waiter.reject(error)
  }

  #fail(problem: string, cause: unknown): void {
    if (this.#failure !== null) return
    const error = new QuorumError('QUORUM_FAILED', `Metadata quorum stopped: ${problem}`, { cause })
    this.#failure = error
    this.#ports.logger.error(error.message, { cause: cause instanceof Error ? cause : String(cause) })
    this.#listener?.onFailed(error)
    for (const waiter of this.#waiters.splice(0)) waiter.reject(error)
  }

  #maybeTakeSnapshot(listener: QuorumListener): void {
    const isDue =
      this.#recordsSinceSnapshot >= this.#limits.recordCount || this.#bytesSinceSnapshot >= this.#limits.bytes
    if (!isDue || this.#snapshotWork !== null || this.#isClosed) return
    const snapshot = listener.takeSnapshot()
    if (snapshot === null) return
    this.#recordsSinceSnapshot = 0
    this.#bytesSinceSnapshot = 0
    this.#snapshotWork = this.#takeSnapshot(snapshot, this.#lastTimestampMs).finally(() => {
      this.#snapshotWork = null
    })
  }

  /** Never rejects: without a new snapshot the log is longer, no more. A disk that fails stops the quorum. */
  async #takeSnapshot(snapshot: QuorumSnapshot, timestampMs: number): Promise<void> {
    const { files, logger } = this.#ports
    try {
      await writeSnapshot(files, this.#directory, snapshot, timestampMs)
      await this.#dropOldSnapshots()
    } catch (error) {
      const isFull =
        error instanceof FileError && (error.code === 'FILE_NO_SPACE' || error.code === 'FILE_TOO_MANY_OPEN')
      if (isFull) logger.warn('Metadata snapshot was not written, the next one is tried later', { error })
      else this.#fail('a snapshot could not be written', error)
    }
  }

  /** Keeps the two newest snapshots, and the log from the older one on. */
  async #dropOldSnapshots(): Promise<void> {
    const { files } = this.#ports
    const [, older, ...useless] = await listSnapshots(files, this.#directory)
    if (older === undefined) return
    // First the log, then the snapshots below its new start: none of the log's own start is ever uncovered.
    await this.#log.deleteRecordsBefore(older.endOffset)
    for (const id of useless) await files.remove(`${this.#directory}/${snapshotFileName(id)}`)
  }
}
