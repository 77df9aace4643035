/**
 * A partition as a follower in one leader epoch: what it tells the leader of its log, and where it cuts when the logs have
 * parted.
 *
 * Invariants (docs/faults.md R4, R11, RP-1, RP-2):
 * - The log is cut where leader epochs say that it left the leader's log, never by a high watermark.
 * - Nothing of an epoch's leader is appended before that leader has found the follower's last epoch in its own log: every
 *   fetch names it, and the leader answers with records only if it agrees.
 *
 * @see KIP-101, KIP-279 (cut rule), KIP-595 (diverging epochs in Fetch).
 */
import type { Logger } from '../env/index.ts'
import type { PartitionLog } from '../log/partition-log.ts'
import { baseOffsetAt, lastOffsetAt, BATCH_HEADER_BYTES } from '../records/batch-header.ts'
import type { FetchPosition } from './leader-state.ts'

/** The end of an epoch in the leader's log, or of the largest older one that it has. */
export interface EpochEnd {
  readonly epoch: number
  readonly endOffset: number
}

/** Leader epochs that have records at or after an offset. */
function countEpochs(log: EpochHistory, offset: number): number {
  const entries = log.epochEntries()
  const endOf = (index: number): number => entries[index + 1]?.startOffset ?? log.logEndOffset
  return entries.filter(({ startOffset }, index) => endOf(index) > Math.max(offset, startOffset)).length
}

/** What the cut rule reads of a log. */
export type EpochHistory = Pick<
  PartitionLog,
  'logStartOffset' | 'logEndOffset' | 'epochEntries' | 'endOffsetForEpoch'
>

/**
 * Leader epoch of the last record, or -1 in an empty log. An epoch that this replica led without writing anything does not
 * count: the leader may never have heard of it, and asking for it again and again would lead nowhere (RP-16).
 */
export function lastRecordEpoch(log: EpochHistory): number {
  if (log.logEndOffset === log.logStartOffset) return -1
  const entries = log.epochEntries()
  for (let index = entries.length - 1; index >= 0; index--) {
    if (entries[index]!.startOffset < log.logEndOffset) return entries[index]!.epoch
  }
  return -1
}

/**
 * Where to cut, given what the leader says of the follower's last epoch.
 *
 *   leader    |1 1 1|3 3 3 …      asked for epoch 2, says: epoch 1 ends at 3
 *   follower  |1 1|2 2 2          its own epoch 1 ends at 2: cuts there
 *
 * Past the end of the leader's epoch the leader has only newer epochs than the follower's last one; past the end of
 * its own the follower has only epochs that the leader does not have. So the logs part at the lower one, or below: then the
 * next fetch says so.
 */
export function findCut(log: EpochHistory, leaderEnd: EpochEnd): number {
  const own = log.endOffsetForEpoch(leaderEnd.epoch)
  const ownEndOffset = own === null ? log.logEndOffset : own.endOffset
  return Math.max(0, Math.min(ownEndOffset, leaderEnd.endOffset, log.logEndOffset))
}

/** Whether an empty log ends in the middle of the first of `batches`. */
export function isCutByLogStart(log: EpochHistory, batches: Uint8Array): boolean {
  if (log.logStartOffset !== log.logEndOffset || batches.length < BATCH_HEADER_BYTES) return false
  return baseOffsetAt(batches, 0) < log.logEndOffset && lastOffsetAt(batches, 0) >= log.logEndOffset
}

export class FollowerState {
  readonly leaderEpoch: number
  readonly #log: PartitionLog
  readonly #logger: Logger
  /** As the leader said last, or -1. */
  #leaderHighWatermark = -1
  #leaderLogStartOffset = -1

  constructor(ports: { readonly logger: Logger }, log: PartitionLog, leaderEpoch: number) {
    this.#logger = ports.logger
    this.#log = log
    this.leaderEpoch = leaderEpoch
    log.isFollowing = true
  }

  /**
   * How far the log is committed, as far as this replica can vouch for it: no more than it has durably. So a write that is
   * undone for lack of room takes nothing back that a consumer has read here.
   */
  get committedOffset(): number {
    return Math.min(this.#leaderHighWatermark, this.#log.durableEndOffset)
  }

  /** What to tell the leader. */
  get position(): FetchPosition {
    return {
      leaderEpoch: this.leaderEpoch,
      fetchOffset: this.#log.logEndOffset,
      durableOffset: this.#log.durableEndOffset,
      lastFetchedEpoch: lastRecordEpoch(this.#log),
      logStartOffset: this.#log.logStartOffset,
    }
  }

  /** Committed records that are not here yet, by the leader's last word; null while it has not said anything. */
  get lag(): number | null {
    if (this.#leaderHighWatermark < 0) return null
    return Math.max(0, this.#leaderHighWatermark - this.#log.logEndOffset)
  }

  /**
   * Appends what the leader sent, in this turn: all of it or, if it throws, nothing.
   *
   * @throws {LogError} as `PartitionLog.appendAsFollower`.
   */
  append(batches: Uint8Array): void {
    this.#log.appendAsFollower(batches)
  }

  /** Takes what an answer tells of the leader's log. @returns Whether any of it is news. */
  heard(highWatermark: number, logStartOffset: number): boolean {
    const isNews = highWatermark > this.#leaderHighWatermark || logStartOffset > this.#leaderLogStartOffset
    this.#leaderHighWatermark = Math.max(this.#leaderHighWatermark, highWatermark)
    this.#leaderLogStartOffset = Math.max(this.#leaderLogStartOffset, logStartOffset)
    return isNews
  }

  /**
   * Deletes what the leader has deleted (KIP-107), as far as it is committed here (docs/faults.md R12).
   *
   * @param saved - Called when the new log start survives a power cut.
   */
  followLogStart(highWatermark: number, saved: () => void): void {
    const offset = Math.min(this.#leaderLogStartOffset, highWatermark)
    if (offset <= this.#log.logStartOffset) return
    this.#log.deleteRecordsBefore(offset).then(saved, (error: unknown) => {
      // The log start has moved in memory. The mark on disk is written with the next one; a log that failed says so itself.
      this.#logger.warn('Followed the log start of the leader: not saved', { error: error as Error })
    })
  }

  /** Cuts where the leader says that the logs parted. @throws {LogError} `LOG_FAILED`, `LOG_CLOSED`. */
  async cut(leaderEnd: EpochEnd): Promise<void> {
    const offset = findCut(this.#log, leaderEnd)
    const { logEndOffset, directory } = this.#log
    this.#logger.info('Cutting a log that has left its leader’s', {
      directory,
      from: logEndOffset,
      to: offset,
      epochs: countEpochs(this.#log, offset),
      leaderEpoch: this.leaderEpoch,
    })
    await this.#log.truncateTo(offset)
  }

  /**
   * An empty log takes batches that begin below its end: the leader's log begins in the middle of a batch (KIP-107), and a
   * batch comes whole. The log start follows the leader's as soon as the batch is durable.
   *
   * @throws {LogError} As `cut`, and as `append`.
   */
  async beginWith(batches: Uint8Array): Promise<void> {
    await this.#log.truncateFullyAndStartAt(baseOffsetAt(batches, 0))
    this.#log.appendAsFollower(batches)
  }

  /** Drops everything and goes on where the leader's log begins (docs/faults.md RP-17). @throws {LogError} As `cut`. */
  async restartAt(logStartOffset: number): Promise<void> {
    this.#logger.warn('Fetching a log anew: the leader’s begins past the end of this one', {
      directory: this.#log.directory,
      logEndOffset: this.#log.logEndOffset,
      leaderLogStartOffset: logStartOffset,
    })
    await this.#log.truncateFullyAndStartAt(logStartOffset)
  }
}
