/**
 * One partition in a follower's session at its leader: where the follower is, what it was sent, and whether there is news
 * for it.
 *
 * Invariants:
 * - A partition that agreed with what the follower told is watched; one that refused is not, and stays silent until the
 *   follower tells something else.
 * - `nextOffset` only goes back when the follower begins anew.
 */
import type { LogSlice } from '../log/log-slice.ts'
import type { RequestOf, ResponseInputOf } from '../protocol/apis.ts'
import { errorCode } from '../protocol/errors.ts'
import type { ErrorName } from '../protocol/errors.ts'
import type { FetchVerdict, ReplicaIdentity } from './leader-state.ts'
import type { Partition } from './partition.ts'
import { refusalOf } from './partition-events.ts'
import type { ReplicaWatcher } from './partition-events.ts'

type PartitionRequest = RequestOf<'Fetch'>['topics'][number]['partitions'][number]
export type PartitionAnswer = ResponseInputOf<'Fetch'>['responses'][number]['partitions'][number]

const NONE = -1
const NO_EPOCH_END = { epoch: NONE, endOffset: NONE }
const NO_LEADER = { leaderId: NONE, leaderEpoch: NONE }
const NO_SNAPSHOT = { endOffset: NONE, epoch: NONE }
const NO_RECORDS: readonly Uint8Array[] = []

/** The session of an entry. */
export interface ReplicaEntryHost {
  /** Puts an entry that has something to say into the queue; `isUrgent` if it is more than marks. */
  enqueue(entry: ReplicaEntry, isUrgent: boolean): void
}

/** One partition in a follower's session. */
export class ReplicaEntry implements ReplicaWatcher {
  readonly topicId: string
  readonly index: number
  readonly #session: ReplicaEntryHost
  partition: Partition | null = null
  /** The follower's word: its leader epoch, and the bytes it will take; 0 for none now. */
  leaderEpoch = NONE
  bytesMax = 0
  /** Where the next read begins: the follower has, or was sent, all below. */
  nextOffset = 0
  isQueued = false
  /** Taken out of the session, perhaps while it was in the queue. */
  isGone = false
  /** Has records or an error to send, and not just a high watermark. */
  isUrgent = false
  verdict: FetchVerdict | null = null
  error: ErrorName | null = null
  /** Whose marks go with a refusal: a follower that is out of range learns from them where to go on. */
  #refusing: Partition | null = null
  #fetchOffset = Infinity
  #sentHighWatermark = NONE
  #sentLogStartOffset = NONE

  constructor(session: ReplicaEntryHost, topicId: string, index: number) {
    this.#session = session
    this.topicId = topicId
    this.index = index
  }

  /** Takes what the follower tells, and passes it on to the partition. */
  told(request: PartitionRequest, found: Partition | ErrorName, from: ReplicaIdentity): void {
    this.verdict = null
    this.error = null
    this.#refusing = null
    this.bytesMax = Math.max(0, request.partitionMaxBytes)
    if (typeof found === 'string') {
      this.release()
      this.#refuse(found)
      return
    }
    const verdict = found.onReplicaFetch(from, {
      leaderEpoch: request.currentLeaderEpoch,
      fetchOffset: request.fetchOffset,
      durableOffset: request.durableOffset,
      lastFetchedEpoch: request.lastFetchedEpoch,
      logStartOffset: request.logStartOffset,
    })
    if (verdict.kind !== 'accepted') {
      this.release()
      this.#refusing = found
      this.verdict = verdict
      if (verdict.kind === 'refused') this.#refuse(verdict.error)
      else this.#session.enqueue(this, true)
      return
    }
    const isFresh =
      this.partition !== found ||
      request.currentLeaderEpoch !== this.leaderEpoch ||
      request.fetchOffset < this.#fetchOffset
    this.leaderEpoch = request.currentLeaderEpoch
    this.#fetchOffset = request.fetchOffset
    this.nextOffset = isFresh ? request.fetchOffset : Math.max(this.nextOffset, request.fetchOffset)
    if (isFresh) {
      this.release()
      this.partition = found
      found.watchAsReplica(this)
      this.#sentHighWatermark = NONE
    }
    if (this.hasRecords) this.#session.enqueue(this, true)
    else if (this.#hasMarks) this.#session.enqueue(this, false)
  }

  get hasRecords(): boolean {
    return this.bytesMax > 0 && this.partition !== null && this.nextOffset < this.partition.log.logEndOffset
  }

  get #hasMarks(): boolean {
    return (
      this.partition !== null &&
      (this.partition.highWatermark !== this.#sentHighWatermark ||
        this.partition.log.logStartOffset !== this.#sentLogStartOffset)
    )
  }

  appended(): void {
    if (this.bytesMax > 0) this.#session.enqueue(this, true)
  }

  moved(): void {
    this.#session.enqueue(this, false)
  }

  ended(): void {
    const { partition } = this
    this.partition = null
    // The follower backs off, and comes again when the image has told it who leads.
    this.#refuse(refusalOf(partition?.stopped ?? 'NOT_LEADER_OR_FOLLOWER'))
  }

  release(): void {
    this.partition?.unwatchAsReplica(this)
    this.partition = null
  }

  /** Reads what the follower lacks; null when that is nothing, or it will take nothing. */
  read(bytesMax: number, atLeastOneBatch: boolean): LogSlice | Promise<LogSlice> | null {
    if (this.error !== null || this.verdict !== null || !this.hasRecords) return null
    const wanted = Math.min(this.bytesMax, bytesMax)
    return this.partition!.readForReplica(this.nextOffset, wanted, atLeastOneBatch)
  }

  answer(slice: LogSlice | null): PartitionAnswer {
    const { partition, verdict, error } = this
    const marks = error === null || error === 'OFFSET_OUT_OF_RANGE' ? (partition ?? this.#refusing) : null
    if (error === null && verdict === null && partition !== null) {
      this.#sentHighWatermark = partition.highWatermark
      this.#sentLogStartOffset = partition.log.logStartOffset
      if (slice !== null && slice.bytes > 0) this.nextOffset = slice.endOffset
    }
    return {
      partitionIndex: this.index,
      errorCode: errorCode(error ?? 'NONE'),
      highWatermark: marks?.highWatermark ?? NONE,
      lastStableOffset: marks?.lastStableOffset ?? NONE,
      logStartOffset: marks?.log.logStartOffset ?? NONE,
      divergingEpoch:
        verdict?.kind === 'diverging' ? { epoch: verdict.epoch, endOffset: verdict.endOffset } : NO_EPOCH_END,
      currentLeader: NO_LEADER,
      snapshotId: NO_SNAPSHOT,
      abortedTransactions: [],
      preferredReadReplica: NONE,
      records: slice?.chunks ?? NO_RECORDS,
    }
  }

  #refuse(error: ErrorName): void {
    this.error = error
    this.#session.enqueue(this, true)
  }
}
