/**
 * One partition as this broker serves it: as its leader, as a follower, or for the moment as neither. Who it is comes with
 * each committed image; how far it is committed, and who waits for that, is here.
 *
 *            image: leads here              image: another leads
 *   leader ◄───────────────────── idle ─────────────────────► follower
 *      └──── image: leads, in a higher epoch ─► a new LeaderState; who waits goes on waiting
 *
 * A follower whose log is being cut stays idle until that is done, whatever the image says: the start of a leader's epoch is
 * the end of its log, and that must stand still.
 *
 * The high watermark is the smallest durable end offset over the maximal in-sync set, told in the leader's present epoch, and
 * moves only while the committed set is at least `min.insync.replicas` (KIP-966). A follower's is the leader's, but no
 * more than it has durably itself.
 *
 * A log that a read found damaged is led, or follows, on until the cluster counts on others and another log takes its place: see
 * the registry of the broker.
 *
 * Invariants (docs/faults.md R7, R8, R12, R13):
 * - `log.logStartOffset <= highWatermark <= log.logEndOffset`. The high watermark never falls, unless a follower cuts
 *   below it after an unclean election.
 * - An acknowledgement is given only for offsets below the durable end (acks=1) or the high watermark (acks=all).
 * - Consumers are served nothing at or above the high watermark.
 * - Checking a batch and taking it into the log happen in one turn, with no `await` between (faults.md TX-3).
 *
 * Data plane: an append costs a loop over the followers, nothing a record.
 */
import { assert } from '../base/assert.ts'
import type { Clock, Logger } from '../env/index.ts'
import { LogError } from '../log/log-error.ts'
import type { AppendResult, LogSlice, PartitionLog } from '../log/partition-log.ts'
import { readPastEmpty } from '../log/read-past-empty.ts'
import type { BatchHeader } from '../records/batch-header.ts'
import { FollowerState, isCutByLogStart } from './follower-state.ts'
import type { EpochEnd } from './follower-state.ts'
import { LeaderState } from './leader-state.ts'
import type { FetchPosition, FetchVerdict, ReplicaIdentity } from './leader-state.ts'
import { refusalOf } from './partition-events.ts'
import type { EpochFault, FollowerWatcher, ReplicaWatcher, StopReason } from './partition-events.ts'
import { IDLE, lagOf } from './partition-role.ts'
import type { Role } from './partition-role.ts'
import type { PartitionOptions, PartitionState } from './partition-state.ts'
import { PartitionWaiters } from './partition-waiters.ts'
import { AckWaiter } from './waiting-acks.ts'
import type { AckFailure } from './waiting-acks.ts'

const NO_EPOCH = -1

export class Partition {
  readonly topic: string
  readonly topicId: string
  readonly index: number
  readonly log: PartitionLog
  readonly #ports: { readonly clock: Clock; readonly logger: Logger }
  readonly #options: PartitionOptions
  #role: Role = IDLE
  #leaderEpoch = NO_EPOCH
  #leaderId: number | null = null
  #isr: readonly number[] = []
  #minInsyncReplicas: number
  #highWatermark: number
  /** Set when the partition stops being served here for good; requests then get this answer. */
  #stopped: StopReason | null = null
  /** A cut or a fresh start of the log under way; never rejects. */
  #surgery: Promise<void> | null = null
  readonly #waiters: PartitionWaiters
  #followedEpoch = NO_EPOCH
  /** Log start that followers were told of. */
  #toldLogStart = 0
  #followerWatcher: FollowerWatcher | null = null

  constructor(
    ports: { readonly clock: Clock; readonly logger: Logger },
    log: PartitionLog,
    options: PartitionOptions,
  ) {
    this.topic = options.topic
    this.topicId = options.topicId
    this.index = options.index
    this.log = log
    this.#ports = ports
    this.#options = options
    this.#minInsyncReplicas = options.minInsyncReplicas
    this.#waiters = new PartitionWaiters(ports.clock)
    this.#highWatermark = Math.max(log.logStartOffset, Math.min(options.highWatermark, log.durableEndOffset))
    log.onDurable = (durableEndOffset) => this.#durable(durableEndOffset)
    log.onCut = () => this.#wasCut()
    log.onRolledBack = (fromOffset) => this.#rolledBack(fromOffset)
    log.onFailed = () => this.stop('KAFKA_STORAGE_ERROR')
    log.onDamaged = () => this.#options.onDamaged?.()
  }

  /** Offset after the last record known here to be committed. */
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

  /** Broker that leads, as of the image in effect. */
  get leaderId(): number | null {
    return this.#leaderId
  }

  get isLeader(): boolean {
    return this.#role.kind === 'leader'
  }

  get isFollower(): boolean {
    return this.#role.kind === 'follower'
  }

  /** Committed records that this replica lacks; null while it cannot tell. */
  get lag(): number | null {
    return lagOf(this.#role)
  }

  /** In-sync replicas as committed; a leader knows its own changes before the image that tells them. */
  get isr(): readonly number[] {
    return this.#role.kind === 'leader' ? this.#role.state.isr : this.#isr
  }

  /** What this broker knows as the leader, or null. */
  get leaderState(): LeaderState | null {
    return this.#role.kind === 'leader' ? this.#role.state : null
  }

  /** Too few replicas are in sync for acks=all. */
  get isUnderMinIsr(): boolean {
    return this.#role.kind === 'leader' && this.#role.state.isUnderMinIsr(this.#minInsyncReplicas)
  }

  /**
   * A new leader does not know yet how far its predecessor had come: until it has committed up to the start of its epoch,
   * offsets at the end might go back for those who ask (KIP-207).
   */
  get isEndUncertain(): boolean {
    return this.#role.kind === 'leader' && this.#highWatermark < this.#role.state.epochStartOffset
  }

  /** The log takes no appends in this epoch any more: it undid batches that a follower may have. */
  get isEpochSpent(): boolean {
    return this.#stopped === null && this.isLeader && this.log.leaderEpochMin > this.#leaderEpoch
  }

  /** The last leader epoch in which this replica told a leader of its log; -1 if it never did. */
  get followedEpoch(): number {
    return this.#followedEpoch
  }

  /** The protocol error for every request once the partition is served no more, else null. */
  get stopped(): StopReason | null {
    return this.#stopped
  }

  /** Batches appended whose acknowledgement is still due. */
  get waitingCount(): number {
    return this.#waiters.batchCount
  }

  /**
   * Takes the state of a committed image, in the order of the metadata log. An older one changes nothing.
   *
   * @returns A promise if the log is being cut: the role changes when that is done.
   */
  update(state: PartitionState): Promise<void> | undefined {
    if (this.#stopped !== null || state.leaderEpoch < this.#leaderEpoch) return undefined
    this.#isr = state.isr
    if (state.leaderEpoch === this.#leaderEpoch && this.#role.kind !== 'idle') {
      if (this.#role.kind === 'leader') this.#role.state.update(state)
      return undefined
    }
    this.#leave(state)
    this.#leaderEpoch = state.leaderEpoch
    this.#leaderId = state.leader
    if (this.#surgery === null) {
      this.#enter(state)
      return undefined
    }
    // A later image may come meanwhile; it waits here, too.
    return this.#surgery.then(() => {
      if (this.#stopped === null && state.leaderEpoch === this.#leaderEpoch) {
        if (this.#role.kind === 'idle') this.#enter(state)
        else if (this.#role.kind === 'leader') this.#role.state.update(state)
      }
    })
  }

  /** Takes `min.insync.replicas`. */
  updateMinInsyncReplicas(minInsyncReplicas: number): void {
    if (minInsyncReplicas === this.#minInsyncReplicas) return
    this.#minInsyncReplicas = minInsyncReplicas
    this.#isrChanged()
  }

  /** Ends the service of this partition here: all who wait are told, new requests are refused. */
  stop(reason: StopReason): void {
    if (this.#stopped !== null) return
    this.#stopped = reason
    this.#resign()
    this.#waiters.failAll(reason)
    this.#waiters.wakeConsumers()
    if (reason === 'KAFKA_STORAGE_ERROR') this.#options.onFailed?.()
  }

  /**
   * Compares the leader epoch that a client or a follower believes in with the real one (KIP-320).
   *
   * @param epoch - -1 skips the check.
   */
  checkEpoch(epoch: number): EpochFault | null {
    if (epoch === NO_EPOCH || epoch === this.#leaderEpoch) return null
    return epoch < this.#leaderEpoch ? 'FENCED_LEADER_EPOCH' : 'UNKNOWN_LEADER_EPOCH'
  }

  // As the leader.

  /** Takes a checked batch into the log, in this turn; the bytes are handed over. */
  appendAsLeader(batch: Uint8Array, header: BatchHeader): AppendResult {
    if (this.#role.kind !== 'leader') {
      const message = `Appended to ${this.topic}-${this.index}: this broker does not lead it`
      return { kind: 'rejected', error: 'NOT_LEADER_OR_FOLLOWER', message }
    }
    this.#role.state.appending()
    const result = this.log.appendAsLeader(batch, header, this.#leaderEpoch)
    if (result.kind === 'appended') this.#waiters.appended()
    return result
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
    const refusal = this.#stopped ?? (this.isLeader ? null : 'NOT_LEADER_OR_FOLLOWER')
    if (refusal !== null) {
      settle(refusal)
      return
    }
    const safeOffset = acks === 1 ? this.log.durableEndOffset : this.#highWatermark
    if (endOffset <= safeOffset) {
      settle(null)
      return
    }
    if (acks === -1 && this.isUnderMinIsr) {
      settle('NOT_ENOUGH_REPLICAS_AFTER_APPEND')
      return
    }
    const queue = acks === 1 ? this.#waiters.durable : this.#waiters.commit
    queue.add(new AckWaiter(endOffset, deadlineMs, settle))
  }

  /**
   * Takes a follower's fetch: its position moves, and with it perhaps the high watermark and the in-sync set.
   *
   * @returns Whether it may be served from its fetch offset.
   */
  onReplicaFetch(from: ReplicaIdentity, position: FetchPosition): FetchVerdict {
    const { kind } = this.#role
    if (this.#stopped !== null) return { kind: 'refused', error: refusalOf(this.#stopped) }
    if (position.leaderEpoch !== this.#leaderEpoch) {
      const isOld = position.leaderEpoch < this.#leaderEpoch
      return { kind: 'refused', error: isOld ? 'FENCED_LEADER_EPOCH' : 'UNKNOWN_LEADER_EPOCH' }
    }
    if (kind !== 'leader') return { kind: 'refused', error: 'NOT_LEADER_OR_FOLLOWER' }
    const verdict = this.#role.state.fetched(from, position)
    if (verdict.kind !== 'accepted') return verdict
    this.#advance()
    const { deletion } = this.#waiters
    if (deletion.count > 0) deletion.reached(this.#role.state.commonLogStart)
    return verdict
  }

  /** Reads whole batches up to the end of the log, for a follower. @throws {LogError} as `PartitionLog.read`. */
  readForReplica(offset: number, bytesMax: number, atLeastOneBatch: boolean): LogSlice | Promise<LogSlice> {
    return this.log.read(offset, Infinity, bytesMax, atLeastOneBatch)
  }

  /**
   * Deletes the records below an offset, here and at all who are in sync, so that no later leader has them (KIP-107).
   * Resolves with null, or why it is not known to be so.
   *
   * @param offset - At most the high watermark.
   * @throws {LogError} as `PartitionLog.deleteRecordsBefore`.
   */
  async deleteRecordsBefore(offset: number, deadlineMs: number): Promise<AckFailure | null> {
    await this.log.deleteRecordsBefore(offset)
    // Re-read: meanwhile another may lead.
    if (this.#role.kind !== 'leader') return this.#stopped ?? 'NOT_LEADER_OR_FOLLOWER'
    this.#tellLogStart()
    if (this.#role.state.commonLogStart >= offset) return null
    return new Promise((settle) => this.#waiters.deletion.add(new AckWaiter(offset, deadlineMs, settle)))
  }

  /** Looks whether followers lag or may join, which time and other brokers decide as much as their fetches do. */
  reviewIsr(): void {
    if (this.#role.kind !== 'leader') return
    this.#role.state.review()
    this.#tellLogStart()
  }

  watchAsReplica(watcher: ReplicaWatcher): void {
    this.#waiters.addReplica(watcher)
  }

  unwatchAsReplica(watcher: ReplicaWatcher): void {
    this.#waiters.removeReplica(watcher)
  }

  // As a follower.

  /** Who fetches for this partition while it is a follower. */
  set followerWatcher(watcher: FollowerWatcher | null) {
    this.#followerWatcher = watcher
  }

  /** What to tell the leader; null while there is none to follow, or the log is being cut. */
  fetchPosition(): FetchPosition | null {
    return this.#role.kind === 'follower' && this.#surgery === null ? this.#role.state.position : null
  }

  /**
   * Takes an answer of the leader of the present epoch that agreed with what `fetchPosition` said.
   *
   * @param batches - Continue at the end of the log, or are empty. Handed over.
   * @returns A promise if the log must begin anew with them; resolves when fetching can go on.
   * @throws {LogError} `LOG_BAD_BATCH`, `LOG_BUSY`, `LOG_FAILED`, `LOG_CLOSED`: nothing was appended.
   */
  appendAsFollower(
    batches: Uint8Array,
    leaderHighWatermark: number,
    leaderLogStartOffset: number,
  ): Promise<void> | undefined {
    const { state } = this.#following()
    const beginsAnew = isCutByLogStart(this.log, batches)
    if (batches.length > 0 && !beginsAnew) state.append(batches)
    if (state.heard(leaderHighWatermark, leaderLogStartOffset)) this.#follow(state)
    return beginsAnew ? this.#operate(() => state.beginWith(batches)) : undefined
  }

  /** Cuts the log where the leader says that it parted from its own. Resolves when fetching can go on; logs failures. */
  truncateByEpoch(leaderEnd: EpochEnd): Promise<void> {
    const { state } = this.#following()
    return this.#operate(() => state.cut(leaderEnd))
  }

  /** Drops the log and goes on where the leader's begins. Resolves when fetching can go on; logs failures. */
  restartAt(leaderLogStartOffset: number): Promise<void> {
    const { state } = this.#following()
    return this.#operate(() => state.restartAt(leaderLogStartOffset))
  }

  // For consumers.

  /**
   * Reads whole batches that consumers may see. @throws {LogError} `LOG_OFFSET_OUT_OF_RANGE`.
   *
   * @param offset - From `log.logStartOffset` to `log.logEndOffset`; the first batch may begin below it.
   * @param atLeastOneBatch - Return the first batch even if it is larger than `bytesMax`.
   */
  readCommitted(offset: number, bytesMax: number, atLeastOneBatch: boolean): LogSlice | Promise<LogSlice> {
    return readPastEmpty(this.log, offset, this.#highWatermark, bytesMax, atLeastOneBatch)
  }

  watch(watcher: () => void): void {
    this.#waiters.addConsumer(watcher)
  }

  unwatch(watcher: () => void): void {
    this.#waiters.removeConsumer(watcher)
  }

  /** Ends the present role. Whoever waits for a commit goes on waiting if this broker leads on. */
  #leave(next: PartitionState): void {
    this.#resign()
    if (next.leader !== this.#options.nodeId) this.#waiters.failAll('NOT_LEADER_OR_FOLLOWER')
  }

  #resign(): void {
    if (this.#role.kind === 'leader') this.#role.state.retire()
    this.#role = IDLE
    this.#waiters.dismissReplicas()
  }

  #enter(state: PartitionState): void {
    if (state.leader === this.#options.nodeId) {
      this.log.startEpoch(state.leaderEpoch, this.log.logEndOffset)
      const host = { highWatermark: () => this.#highWatermark, isrChanged: () => this.#isrChanged() }
      const leader = new LeaderState(this.#ports, this.log, this.#options, host, state)
      this.#role = { kind: 'leader', state: leader }
      this.#isrChanged()
      leader.review()
      if (this.isEpochSpent) this.#options.onEpochSpent?.()
    } else if (state.leader !== null) {
      this.#followedEpoch = state.leaderEpoch
      this.#role = { kind: 'follower', state: new FollowerState(this.#ports, this.log, state.leaderEpoch) }
    }
    this.#waiters.wakeConsumers()
  }

  #following(): { readonly kind: 'follower'; readonly state: FollowerState } {
    const role = this.#role
    assert(role.kind === 'follower', `Expected ${this.topic}-${this.index} to follow: it is ${role.kind}`)
    assert(this.#surgery === null, `Expected ${this.topic}-${this.index} not to be cut meanwhile`)
    return role
  }

  #operate(operation: () => Promise<void>): Promise<void> {
    this.#surgery = operation().then(
      () => this.#operated(),
      (error: unknown) => {
        // A log that failed has said so; one that was closed is served no more. Anything else is a defect.
        this.#ports.logger.error('Cut the log of a follower', { error: error as Error })
        this.#operated()
        if (!(error instanceof LogError)) this.stop('KAFKA_STORAGE_ERROR')
      },
    )
    return this.#surgery
  }

  #operated(): void {
    this.#surgery = null
  }

  #wasCut(): void {
    const { logStartOffset, durableEndOffset } = this.log
    // Only an unclean election, or a leader that deleted what this replica never saw, can move it here.
    this.#highWatermark = Math.max(logStartOffset, Math.min(this.#highWatermark, durableEndOffset))
  }

  #durable(durableEndOffset: number): void {
    if (this.#stopped !== null) return
    this.#waiters.durable.reached(durableEndOffset)
    if (this.#role.kind === 'leader') this.#advance()
    else if (this.#role.kind === 'follower') {
      this.#follow(this.#role.state)
      this.#followerWatcher?.moved()
    }
  }

  /** Moves the high watermark of a leader as far as it may go. */
  #advance(): void {
    if (this.#role.kind !== 'leader') return
    const offset = this.#role.state.committableOffset(this.#minInsyncReplicas)
    if (offset <= this.#highWatermark) return
    this.#highWatermark = offset
    this.#waiters.committed(offset)
  }

  /** Moves the high watermark of a follower after its leader's. */
  #follow(state: FollowerState): void {
    const offset = state.committedOffset
    if (offset > this.#highWatermark) {
      this.#highWatermark = offset
      this.#waiters.wakeConsumers()
    }
    state.followLogStart(this.#highWatermark, () => this.#followerWatcher?.moved())
  }

  #isrChanged(): void {
    this.#advance()
    // What waits for a commit that may not come is told so now: its records may yet be committed (docs/faults.md RP-7).
    if (this.isUnderMinIsr) this.#waiters.commit.failAll('NOT_ENOUGH_REPLICAS_AFTER_APPEND')
    if (this.#role.kind === 'leader') this.#waiters.deletion.reached(this.#role.state.commonLogStart)
  }

  #tellLogStart(): void {
    if (this.log.logStartOffset === this.#toldLogStart) return
    this.#toldLogStart = this.log.logStartOffset
    this.#waiters.marksMoved()
  }

  #rolledBack(fromOffset: number): void {
    this.#waiters.failFrom(fromOffset, 'KAFKA_STORAGE_ERROR')
    if (this.#role.kind === 'follower') this.#followerWatcher?.rolledBack()
    if (this.isEpochSpent) this.#options.onEpochSpent?.()
  }
}
