/**
 * What the leader of a partition knows in one leader epoch: how far each follower is, who is in sync, and who should be.
 *
 * Changes of the in-sync set go through the controller, one at a time:
 * - A follower joins when its durable end, told in this epoch by its registered incarnation, has reached the high watermark
 *   and the start of the epoch (docs/faults.md R14, RP-5), and it has kept up for the lag time: who only just touches a
 *   high watermark that cannot move would be thrown out at once (RP-15). Fenced ones and those about to stop stay out
 *   (KIP-841).
 * - A member leaves when it has not had everything for `replicaLagMsMax`.
 *
 * Invariants:
 * - Lives as long as the leader epoch; every position in it was told in this epoch. The controller raises the epoch whenever
 *   a replica is taken away: so a follower that was, and that came back with an empty log, is not taken for what it was,
 *   and one that has not heard of it yet cannot join with a log that it is about to drop (docs/faults.md RP-10).
 * - What comes back from the controller after the epoch has ended changes nothing.
 */
import type { Cancel, Clock, Logger } from '../env/index.ts'
import type { PartitionLog } from '../log/partition-log.ts'
import { IsrState } from './isr-state.ts'
import type { AlterOutcome, IsrMember, Proposal } from './isr-state.ts'
import { effectiveMinIsr } from './partition-state.ts'
import type { IsrChange, LeaderOptions, PartitionState } from './partition-state.ts'
import { commonDurableEnd, NO_POSITION, ReplicaPosition } from './replica-position.ts'

/** A proposal of unknown outcome is repeated after this many ms; the controller may be changing. */
const REPEAT_MS = 50
/** After a refusal nothing is proposed for this many ms: the image that explains it is usually on its way. */
const REFUSED_PAUSE_MS = 500

/** A follower, by the connection it came by, in one of its incarnations. */
export interface ReplicaIdentity {
  readonly nodeId: number
  readonly brokerEpoch: number
}

/** What a follower's fetch says of its log. */
export interface FetchPosition {
  readonly leaderEpoch: number
  /** Where its log ends. */
  readonly fetchOffset: number
  /** What of that is durable there. */
  readonly durableOffset: number
  /** Leader epoch of its last record; -1 when it has none. */
  readonly lastFetchedEpoch: number
  readonly logStartOffset: number
}

export type FetchVerdict =
  | { readonly kind: 'accepted' }
  | { readonly kind: 'refused'; readonly error: FetchRefusal }
  /** The logs have parted: the follower cuts at the end of this epoch or below, and asks again (KIP-595). */
  | { readonly kind: 'diverging'; readonly epoch: number; readonly endOffset: number }

/** Names of the protocol's error table. */
export type FetchRefusal =
  | 'NOT_LEADER_OR_FOLLOWER'
  | 'FENCED_LEADER_EPOCH'
  | 'UNKNOWN_LEADER_EPOCH'
  | 'STALE_BROKER_EPOCH'
  | 'OFFSET_OUT_OF_RANGE'
  | 'KAFKA_STORAGE_ERROR'

const ACCEPTED: FetchVerdict = { kind: 'accepted' }
const NOT_A_REPLICA: FetchVerdict = { kind: 'refused', error: 'NOT_LEADER_OR_FOLLOWER' }
const STALE_INCARNATION: FetchVerdict = { kind: 'refused', error: 'STALE_BROKER_EPOCH' }
const OUT_OF_RANGE: FetchVerdict = { kind: 'refused', error: 'OFFSET_OUT_OF_RANGE' }

/** What the partition does when its leader state changes. */
export interface LeaderHost {
  highWatermark(): number
  /** The in-sync set, or what is known of it, has changed: the high watermark may move, or may not move any more. */
  isrChanged(): void
}

export class LeaderState {
  readonly leaderEpoch: number
  /** Where the log ended when the epoch began. */
  readonly epochStartOffset: number
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #log: PartitionLog
  readonly #options: LeaderOptions
  readonly #host: LeaderHost
  readonly #isr: IsrState
  /** By broker id: every replica but this one. */
  readonly #positions = new Map<number, ReplicaPosition>()
  #isRecovering: boolean
  #isRetired = false
  #pausedUntilMs = 0
  #cancelTimer: Cancel = () => undefined

  constructor(
    ports: { readonly clock: Clock; readonly logger: Logger },
    log: PartitionLog,
    options: LeaderOptions,
    host: LeaderHost,
    state: PartitionState,
  ) {
    this.#clock = ports.clock
    this.#logger = ports.logger
    this.#log = log
    this.#options = options
    this.#host = host
    this.leaderEpoch = state.leaderEpoch
    log.isFollowing = false
    this.epochStartOffset = log.logEndOffset
    this.#isr = new IsrState(state.isr, state.partitionEpoch)
    this.#isRecovering = state.isRecovering
    const nowMs = this.#clock.monotonicMs()
    for (const id of state.replicas) this.#addReplica(id, state.isr.includes(id) ? nowMs : -Infinity)
  }

  /** In-sync replicas as committed. */
  get isr(): readonly number[] {
    return this.#isr.committed
  }

  /** Whom the high watermark waits for. */
  get maximalIsr(): readonly number[] {
    return this.#isr.maximal
  }

  get partitionEpoch(): number {
    return this.#isr.partitionEpoch
  }

  position(brokerId: number): ReplicaPosition | undefined {
    return this.#positions.get(brokerId)
  }

  /** Followers, for describing the partition. */
  positions(): IterableIterator<ReplicaPosition> {
    return this.#positions.values()
  }

  isUnderMinIsr(minInsyncReplicas: number): boolean {
    return this.#isr.committed.length < effectiveMinIsr(minInsyncReplicas, this.#positions.size + 1)
  }

  /** Offset up to which everything may be committed now; `NO_POSITION` while nothing may. */
  committableOffset(minInsyncReplicas: number): number {
    if (this.isUnderMinIsr(minInsyncReplicas)) return NO_POSITION
    return commonDurableEnd(
      this.#isr.maximal,
      this.#options.nodeId,
      this.#log.durableEndOffset,
      this.#positions,
    )
  }

  /** First offset that all members of the in-sync set still have, this one apart. */
  get commonLogStart(): number {
    let lowest = Infinity
    for (const { brokerId, logStartOffset } of this.#positions.values())
      if (this.#isr.committed.includes(brokerId)) lowest = Math.min(lowest, logStartOffset)
    return lowest
  }

  /** Takes a newer image of the same leader epoch. */
  update(state: PartitionState): void {
    this.#updateReplicas(state.replicas)
    if (!this.#isr.update(state.isr, state.partitionEpoch)) return
    this.#isRecovering = state.isRecovering
    this.#host.isrChanged()
    this.review()
  }

  /** The epoch is over. */
  retire(): void {
    this.#isRetired = true
    this.#cancelTimer()
  }

  /** The log is about to grow: see `ReplicaPosition.leaderAppends`. */
  appending(): void {
    if (this.#positions.size === 0) return
    const nowMs = this.#clock.monotonicMs()
    for (const position of this.#positions.values()) position.leaderAppends(this.#log.logEndOffset, nowMs)
  }

  /** Judges a follower's fetch; an accepted one is its position from now on. */
  fetched(from: ReplicaIdentity, position: FetchPosition): FetchVerdict {
    const replica = this.#positions.get(from.nodeId)
    if (replica === undefined) return NOT_A_REPLICA
    const registeredEpoch = this.#options.findBroker(from.nodeId)?.epoch ?? -1
    // A newer one than this broker knows of is taken: its positions are true, only join it may not yet.
    if (from.brokerEpoch < replica.brokerEpoch || from.brokerEpoch < registeredEpoch) return STALE_INCARNATION
    const { fetchOffset } = position
    const end = this.#findDivergence(position)
    if (end !== null) return { kind: 'diverging', epoch: end.epoch, endOffset: end.endOffset }
    const { logEndOffset } = this.#log
    if (fetchOffset < this.#log.logStartOffset || fetchOffset > logEndOffset) return OUT_OF_RANGE
    const nowMs = this.#clock.monotonicMs()
    replica.fetched(
      from.brokerEpoch,
      fetchOffset,
      position.durableOffset,
      position.logStartOffset,
      logEndOffset,
      nowMs,
    )
    if (!this.#isr.committed.includes(from.nodeId)) this.review()
    return ACCEPTED
  }

  /** Proposes what the in-sync set should be, if that is another one than it is. */
  review(): void {
    const nowMs = this.#clock.monotonicMs()
    if (this.#isRetired || !this.#isr.mayPropose || nowMs < this.#pausedUntilMs) return
    const { committed } = this.#isr
    const staying = committed.filter((id) => !this.#isLagging(id, nowMs))
    const joining = [...this.#positions.values()].filter(
      (position) => !committed.includes(position.brokerId) && this.#mayJoin(position, nowMs),
    )
    if (staying.length === committed.length && joining.length === 0 && !this.#isRecovering) return
    const ids = [...staying, ...joining.map(({ brokerId }) => brokerId)]
    const proposal = this.#isr.propose(ids.map((id) => this.#memberOf(id)))
    this.#logger.debug('Proposing other in-sync replicas', {
      partition: `${this.#options.topic}-${this.#options.index}`,
      from: committed.join(),
      to: ids.join(),
      highWatermark: this.#host.highWatermark(),
    })
    this.#send(proposal)
  }

  #send(proposal: Proposal): void {
    const { topic, topicId, index } = this.#options
    const change: IsrChange = {
      topic,
      topicId,
      index,
      leaderEpoch: this.leaderEpoch,
      partitionEpoch: proposal.partitionEpoch,
      newIsr: proposal.members,
    }
    void this.#options.isr.alterPartition(change).then((outcome) => this.#settle(proposal, outcome))
  }

  #settle(proposal: Proposal, outcome: AlterOutcome): void {
    if (this.#isRetired) return
    const isCurrent = proposal === this.#isr.proposal
    if (this.#isr.settle(proposal, outcome)) {
      this.#later(REPEAT_MS, () => {
        if (proposal === this.#isr.proposal) this.#send(proposal)
      })
      return
    }
    if (outcome.kind === 'altered') this.#isRecovering = false
    else if (isCurrent) {
      const { topic, index } = this.#options
      this.#logger.info('A change of the in-sync replicas was refused', {
        partition: `${topic}-${index}`,
        error: outcome.error,
      })
      this.#pausedUntilMs = this.#clock.monotonicMs() + REFUSED_PAUSE_MS
      this.#later(REFUSED_PAUSE_MS, () => this.review())
    }
    this.#host.isrChanged()
    this.review()
  }

  #later(delayMs: number, task: () => void): void {
    this.#cancelTimer()
    this.#cancelTimer = this.#clock.after(delayMs, task)
  }

  #updateReplicas(replicas: readonly number[]): void {
    for (const id of this.#positions.keys()) if (!replicas.includes(id)) this.#positions.delete(id)
    for (const id of replicas) if (!this.#positions.has(id)) this.#addReplica(id, -Infinity)
  }

  #addReplica(id: number, caughtUpMs: number): void {
    if (id !== this.#options.nodeId) this.#positions.set(id, new ReplicaPosition(id, caughtUpMs))
  }

  #isLagging(id: number, nowMs: number): boolean {
    const { replicaLagMsMax } = this.#options
    return this.#positions.get(id)?.isLagging(this.#log.logEndOffset, nowMs, replicaLagMsMax) ?? false
  }

  #mayJoin(position: ReplicaPosition, nowMs: number): boolean {
    const { durableEndOffset, brokerEpoch, brokerId } = position
    if (durableEndOffset === NO_POSITION) return false
    if (durableEndOffset < Math.max(this.#host.highWatermark(), this.epochStartOffset)) return false
    if (position.isLagging(this.#log.logEndOffset, nowMs, this.#options.replicaLagMsMax)) return false
    const broker = this.#options.findBroker(brokerId)
    if (broker === undefined || broker.isFenced || broker.isInControlledShutdown) return false
    return broker.epoch === brokerEpoch
  }

  #memberOf(brokerId: number): IsrMember {
    const told = this.#positions.get(brokerId)?.brokerEpoch ?? NO_POSITION
    const brokerEpoch = told === NO_POSITION ? (this.#options.findBroker(brokerId)?.epoch ?? -1) : told
    return { brokerId, brokerEpoch }
  }

  /** Where the follower's log left this one, by the epoch of its last record; null when it did not. */
  #findDivergence({
    lastFetchedEpoch,
    fetchOffset,
  }: FetchPosition): { epoch: number; endOffset: number } | null {
    if (lastFetchedEpoch < 0) return null
    const { latestEpoch, logEndOffset } = this.#log
    // An epoch that is newer than all known here has no place in this log: what the follower wrote in it goes.
    const end = this.#log.endOffsetForEpoch(lastFetchedEpoch) ?? {
      epoch: latestEpoch,
      endOffset: logEndOffset,
    }
    return end.epoch < lastFetchedEpoch || end.endOffset < fetchOffset ? end : null
  }
}
