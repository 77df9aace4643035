/**
 * One partition as this broker serves it: who leads it, how far it is committed, and who waits for that.
 *
 * The high watermark is the smallest durable end offset over the in-sync replicas. With one replica that is the
 * log's own durable end offset; `#advance` is the only place that moves it, and the place where the positions of
 * followers join in.
 *
 * Invariants (docs/faults.md R7, R8, R12, R13):
 * - `log.logStartOffset <= highWatermark <= log.logEndOffset`; the high watermark never falls while this object
 *   leads.
 * - An acknowledgement is given only for offsets below the durable end (acks=1) or the high watermark (acks=all).
 * - Consumers are served nothing at or above the high watermark.
 * - Checking a batch and taking it into the log happen in one turn, with no `await` between (faults.md TX-3).
 */
import { assert } from '../base/assert.ts'
import type { Clock } from '../env/index.ts'
import type { AppendResult, LogSlice, PartitionLog } from '../log/partition-log.ts'
import type { BatchHeader } from '../records/batch-header.ts'
import { AckWaiter, WaitingAcks } from './waiting-acks.ts'
import type { AckFailure } from './waiting-acks.ts'

export interface PartitionOptions {
  readonly topic: string
  readonly topicId: string
  readonly index: number
  readonly leaderEpoch: number
  /** Called when the log takes no more appends in this leader epoch: the controller must give a new one. */
  readonly onEpochSpent?: () => void
}

/** Why a partition is not served here (any more); names of the protocol's error table. */
export type StopReason = 'UNKNOWN_TOPIC_OR_PARTITION' | 'NOT_LEADER_OR_FOLLOWER' | 'KAFKA_STORAGE_ERROR'

/** Why a request that names a leader epoch is refused; names of the protocol's error table. */
export type EpochFault = 'FENCED_LEADER_EPOCH' | 'UNKNOWN_LEADER_EPOCH'

export class Partition {
  readonly topic: string
  readonly topicId: string
  readonly index: number
  readonly log: PartitionLog
  #leaderEpoch: number
  #highWatermark: number
  /** Set when the partition stops being served here; requests then get this answer. */
  #stopped: StopReason | null = null
  readonly #waitingForDurable: WaitingAcks
  readonly #waitingForCommit: WaitingAcks
  /** Waiting fetches. Called, in order of arrival, when the high watermark moved or the partition stopped. */
  readonly #watchers = new Set<() => void>()

  constructor(ports: { readonly clock: Clock }, log: PartitionLog, options: PartitionOptions) {
    this.topic = options.topic
    this.topicId = options.topicId
    this.index = options.index
    this.log = log
    this.#leaderEpoch = options.leaderEpoch
    this.#waitingForDurable = new WaitingAcks(ports.clock)
    this.#waitingForCommit = new WaitingAcks(ports.clock)
    this.#highWatermark = log.durableEndOffset
    log.startEpoch(options.leaderEpoch, log.logEndOffset)
    log.onDurable = (durableEndOffset) => this.#durable(durableEndOffset)
    log.onRolledBack = (fromOffset) => {
      this.#rolledBack(fromOffset)
      if (this.isEpochSpent) options.onEpochSpent?.()
    }
    log.onFailed = () => this.stop('KAFKA_STORAGE_ERROR')
  }

  /** Offset after the last committed record. */
  get highWatermark(): number {
    return this.#highWatermark
  }

  /** Offset after the last record whose transaction is decided; without transactions the high watermark. */
  get lastStableOffset(): number {
    return this.#highWatermark
  }

  get leaderEpoch(): number {
    return this.#leaderEpoch
  }

  /** The log takes no appends in this epoch any more: it undid batches that a follower may have. */
  get isEpochSpent(): boolean {
    return this.#stopped === null && this.log.leaderEpochMin > this.#leaderEpoch
  }

  /** The protocol error for every request while the partition is not served, else null. */
  get stopped(): StopReason | null {
    return this.#stopped
  }

  /** Batches appended whose acknowledgement is still due. */
  get waitingCount(): number {
    return this.#waitingForDurable.count + this.#waitingForCommit.count
  }

  /**
   * Compares the leader epoch that a client believes in with the real one (KIP-320).
   *
   * @param epoch - The client's; -1 skips the check.
   */
  checkEpoch(epoch: number): EpochFault | null {
    if (epoch === -1 || epoch === this.#leaderEpoch) return null
    return epoch < this.#leaderEpoch ? 'FENCED_LEADER_EPOCH' : 'UNKNOWN_LEADER_EPOCH'
  }

  /** Takes a checked batch into the log, in this turn; the bytes are handed over. */
  appendAsLeader(batch: Uint8Array, header: BatchHeader): AppendResult {
    return this.log.appendAsLeader(batch, header, this.#leaderEpoch)
  }

  /**
   * Calls `settle` once when everything below `endOffset` is as safe as `acks` asks, or why it will not be.
   * Synchronous when that is so already.
   *
   * @param deadlineMs - Monotonic ms after which `REQUEST_TIMED_OUT` is the answer.
   */
  whenAcked(
    endOffset: number,
    acks: 1 | -1,
    deadlineMs: number,
    settle: (failure: AckFailure | null) => void,
  ): void {
    if (this.#stopped !== null) {
      settle(this.#stopped)
      return
    }
    const safeOffset = acks === 1 ? this.log.durableEndOffset : this.#highWatermark
    if (endOffset <= safeOffset) {
      settle(null)
      return
    }
    const queue = acks === 1 ? this.#waitingForDurable : this.#waitingForCommit
    queue.add(new AckWaiter(endOffset, deadlineMs, settle))
  }

  /**
   * Reads whole batches that consumers may see.
   *
   * @param offset - From `log.logStartOffset` to `log.logEndOffset`; the first batch may begin below it.
   * @param atLeastOneBatch - Return the first batch even if it is larger than `bytesMax`.
   * @throws {LogError} `LOG_OFFSET_OUT_OF_RANGE`.
   */
  readCommitted(offset: number, bytesMax: number, atLeastOneBatch: boolean): LogSlice | Promise<LogSlice> {
    return this.log.read(offset, this.#highWatermark, bytesMax, atLeastOneBatch)
  }

  watch(watcher: () => void): void {
    this.#watchers.add(watcher)
  }

  unwatch(watcher: () => void): void {
    this.#watchers.delete(watcher)
  }

  /** Goes on leading, in a higher epoch: appends from now on carry it. */
  lead(leaderEpoch: number): void {
    if (leaderEpoch === this.#leaderEpoch) return
    assert(leaderEpoch > this.#leaderEpoch, `Leader epoch went from ${this.#leaderEpoch} to ${leaderEpoch}`)
    this.#leaderEpoch = leaderEpoch
    this.log.startEpoch(leaderEpoch, this.log.logEndOffset)
  }

  /** Ends the service of this partition here: all who wait are told, new requests are refused. */
  stop(reason: StopReason): void {
    if (this.#stopped !== null) return
    this.#stopped = reason
    this.#waitingForDurable.failAll(reason)
    this.#waitingForCommit.failAll(reason)
    this.#wakeWatchers()
  }

  #durable(durableEndOffset: number): void {
    if (this.#stopped !== null) return
    this.#waitingForDurable.reached(durableEndOffset)
    this.#advance(durableEndOffset)
  }

  #advance(ownDurableEndOffset: number): void {
    if (ownDurableEndOffset <= this.#highWatermark) return
    this.#highWatermark = ownDurableEndOffset
    this.#waitingForCommit.reached(this.#highWatermark)
    this.#wakeWatchers()
  }

  #rolledBack(fromOffset: number): void {
    this.#waitingForDurable.failFrom(fromOffset, 'KAFKA_STORAGE_ERROR')
    this.#waitingForCommit.failFrom(fromOffset, 'KAFKA_STORAGE_ERROR')
  }

  #wakeWatchers(): void {
    if (this.#watchers.size === 0) return
    for (const watcher of [...this.#watchers]) watcher()
  }
}
