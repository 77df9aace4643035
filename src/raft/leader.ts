/**
 * The leader of an epoch: it begins with a record of its own, answers fetches, moves the high watermark, and resigns
 * when it cannot be sure any more that it leads.
 *
 * - Followers are given durable records only. The leader's disk then comes before theirs, not beside it; a change of
 *   metadata takes one sync longer, and in return a full disk never undoes what another node has.
 * - The high watermark is what a majority has on disk, this node by its own sync (MQ-2), and passes the start of the
 *   epoch only together with this leader's first record (MQ-3, Raft section 5.4.2).
 * - Without fetches from a majority for `checkQuorumMs` it resigns (MQ-4): others may lead already.
 * - It never cuts its log and never takes a snapshot from another node (M7).
 */
import { ZERO_UUID } from '../bytes/uuid.ts'
import type { CoreState } from './core-state.ts'
import type { FetchRequest, FetchSnapshotRequest } from './raft-messages.ts'
import { NO_RECORDS, RAFT_ERRORS } from './raft-messages.ts'
import { IdleRole } from './role.ts'
import type { DiskEvent, Transitions } from './role.ts'
import { Tracker } from './tracker.ts'
import type { Replica } from './tracker.ts'
import type { Voter } from './voter-set.ts'

/** Why voters cannot be changed now, or null. */
export type VoterChangeRefusal = 'not-ready' | 'change-pending' | 'too-much' | 'no-change'

export class Leader extends IdleRole {
  readonly kind = 'leader'
  readonly tracker = new Tracker()
  readonly #state: CoreState
  readonly #to: Transitions
  readonly #startMs: number
  /** Offset of this leader's first record; null until it is in the log. */
  #epochStartOffset: number | null = null
  #isChangingVoters = false
  #reminderMs: number

  constructor(state: CoreState, to: Transitions, granting: readonly Voter[]) {
    super()
    this.#state = state
    this.#to = to
    this.#startMs = state.nowMs
    this.#reminderMs = state.nowMs
    const { voters } = state.voters.latest
    state.effect({ kind: 'appendLeaderChange', epoch: state.epoch, voters, granting })
  }

  /** Offset of the first record of the epoch, or null while it is not in the log: nothing else may be appended then. */
  get epochStartOffset(): number | null {
    return this.#epochStartOffset
  }

  get deadlineMs(): number {
    const isAlone = this.#state.peers.length === 0
    let deadlineMs = isAlone ? Infinity : Math.min(this.#reminderMs, this.#resignMs())
    for (const { waiting } of this.tracker.replicas())
      deadlineMs = Math.min(deadlineMs, waiting?.untilMs ?? Infinity)
    return deadlineMs
  }

  onTick(): void {
    const state = this.#state
    if (state.nowMs >= this.#resignMs()) {
      this.resign()
      return
    }
    if (state.nowMs >= this.#reminderMs && state.peers.length > 0) this.#remind()
    this.#answerWaiting()
  }

  override onDisk(event: DiskEvent): void {
    const state = this.#state
    if (event.kind === 'rolledBack') {
      // Its disk has no room, so it can decide nothing: others may. None of them has seen what was undone, for it was not durable.
      const isFirstGone = event.fromOffset <= (this.#epochStartOffset ?? -1)
      if (isFirstGone || state.peers.length > 0) {
        this.resign()
        return
      }
    }
    if (event.kind === 'rolledBack' || event.kind === 'appended') this.#isChangingVoters = false
    if (event.kind === 'appended') this.#epochStartOffset ??= state.log.endOffset - 1
    this.#news()
  }

  override onFetch(request: FetchRequest): boolean {
    const replica = this.tracker.get(request.fromId, request.fromDirectoryId)
    replica.lastFetchMs = this.#state.nowMs
    // A repeated or late one must not take the place of what waits.
    if (replica.waiting !== null && isOlder(request, replica.waiting.request)) return true
    replica.waiting = null
    if (!this.#canContinue(request)) {
      this.#answerElsewhere(request)
      return true
    }
    replica.endOffset = Math.max(replica.endOffset, request.fetchOffset)
    replica.highWatermark = request.highWatermark
    const waitMs = Math.max(0, Math.min(request.maxWaitMs, this.#state.settings.fetchWaitMs))
    replica.waiting = { request, untilMs: this.#state.nowMs + waitMs }
    this.#news()
    return true
  }

  override onFetchSnapshot(request: FetchSnapshotRequest): boolean {
    const state = this.#state
    this.tracker.get(request.fromId, request.fromDirectoryId).lastFetchMs = state.nowMs
    const { snapshotEndOffset, snapshotEpoch, position, correlationId } = request
    const body = { snapshotEndOffset, snapshotEpoch, position, size: 0, chunk: NO_RECORDS }
    const message = state.addressed(
      request.fromId,
      { kind: 'FetchSnapshotResponse', errorCode: RAFT_ERRORS.NONE, ...body },
      correlationId,
      request,
    )
    const maxBytes = Math.max(1, Math.min(request.maxBytes, state.settings.fetchBytesMax))
    state.effect({ kind: 'sendSnapshotChunk', to: request.fromId, message, maxBytes })
    return true
  }

  /** Leads no more, and says so; the node with the best log goes first. */
  resign(): void {
    const state = this.#state
    const preferredSuccessors = this.tracker.successors(state.voters.latest, state.self)
    for (const id of state.peers) state.send(id, { kind: 'EndQuorumEpochRequest', preferredSuccessors })
    // Only now: the message says that it comes from the leader.
    this.#to.toUnattached(null)
  }

  /** Appends a new set of voters if it is safe now (Raft dissertation section 4.1, and its correction of 2015). */
  changeVoters(voters: readonly Voter[], differenceMax: number): VoterChangeRefusal | null {
    const state = this.#state
    const { latest, latestOffset } = state.voters
    // An uncommitted set of an earlier leader may yet be undone, unless something of this epoch is committed.
    if (this.#epochStartOffset === null || state.highWatermark <= this.#epochStartOffset) return 'not-ready'
    if (this.#isChangingVoters || latestOffset >= state.highWatermark) return 'change-pending'
    const isSame =
      latest.voters.length === voters.length &&
      voters.every(({ id, directoryId }) => latest.find(id)?.directoryId === directoryId)
    if (isSame) return 'no-change'
    // A voter on another disk is another voter; one whose disk was not known yet is the same.
    const moved = voters.filter((voter) => latest.find(voter.id) !== null && !latest.has(voter)).length
    const come = voters.filter(({ id }) => latest.find(id) === null).length
    const gone = latest.voters.filter(({ id }) => !voters.some((voter) => voter.id === id)).length
    if (come + gone + 2 * moved > differenceMax) return 'too-much'
    this.#isChangingVoters = true
    state.effect({ kind: 'appendVoters', epoch: state.epoch, voters })
    return null
  }

  /** Something moved: disk, a follower, the set of voters. */
  #news(): void {
    this.#raiseHighWatermark()
    this.#answerWaiting()
    if (this.#hasLeftQuorum()) {
      this.resign()
      return
    }
    this.#bindDirectories()
  }

  #raiseHighWatermark(): void {
    const state = this.#state
    const { log, self, voters } = state
    const offset = this.tracker.majorityEndOffset(voters.latest, self, log.durableEndOffset)
    if (this.#epochStartOffset === null || offset <= this.#epochStartOffset) return
    state.raiseHighWatermark(Math.min(offset, log.durableEndOffset))
  }

  /** Its own removal is committed. */
  #hasLeftQuorum(): boolean {
    const { voters, highWatermark, isVoter } = this.#state
    return !isVoter && voters.latestOffset < highWatermark
  }

  /** Puts the disks that are seen in the place of those that a configuration did not name. */
  #bindDirectories(): void {
    const { self, voters } = this.#state
    const { latest } = voters
    if (latest.voters.length === 1 || latest.voters.every(({ directoryId }) => directoryId !== ZERO_UUID))
      return
    const bound = latest.voters.map((voter) => {
      if (voter.directoryId !== ZERO_UUID) return voter
      const directoryId = voter.id === self.id ? self.directoryId : this.tracker.find(voter)?.directoryId
      return { id: voter.id, directoryId: directoryId ?? ZERO_UUID }
    })
    this.changeVoters(bound, 0)
  }

  /** Answers the fetches for which there is news or whose time is up. */
  #answerWaiting(): void {
    for (const replica of this.tracker.replicas()) {
      if (replica.waiting !== null && this.#isDue(replica)) this.#answer(replica)
    }
  }

  #isDue(replica: Replica): boolean {
    const { request, untilMs } = replica.waiting!
    const { log, nowMs, highWatermark } = this.#state
    const hasRecords = request.fetchOffset < log.durableEndOffset
    return hasRecords || replica.highWatermark < highWatermark || nowMs >= untilMs
  }

  #answer(replica: Replica): void {
    const state = this.#state
    const { request } = replica.waiting!
    const { durableEndOffset } = state.log
    replica.waiting = null
    replica.highWatermark = state.highWatermark
    if (request.fetchOffset >= durableEndOffset) replica.lastCaughtUpMs = state.nowMs
    const message = this.#response(request, {})
    const maxBytes = Math.min(request.maxBytes, state.settings.fetchBytesMax)
    if (request.fetchOffset >= durableEndOffset || maxBytes <= 0) {
      state.effect({ kind: 'send', to: replica.id, message })
      return
    }
    const range = { startOffset: request.fetchOffset, endOffset: durableEndOffset, maxBytes }
    state.effect({ kind: 'sendRecords', to: replica.id, message, ...range })
  }

  /** Whether the fetcher's log is a beginning of this one, and goes on with what is still here. */
  #canContinue({ fetchOffset, lastFetchedEpoch }: FetchRequest): boolean {
    const { log } = this.#state
    if (this.#needsSnapshot(fetchOffset, lastFetchedEpoch)) return false
    if (fetchOffset === 0) return true
    if (this.#isSnapshotEnd(fetchOffset, lastFetchedEpoch)) return true
    const end = log.endOffsetForEpoch(lastFetchedEpoch)
    return end.epoch === lastFetchedEpoch && fetchOffset <= end.endOffset
  }

  #needsSnapshot(fetchOffset: number, lastFetchedEpoch: number): boolean {
    const { log } = this.#state
    if (log.startOffset === 0 || this.#isSnapshotEnd(fetchOffset, lastFetchedEpoch)) return false
    // At the start itself, the epoch of the record before it is only known from a snapshot that ends there.
    return fetchOffset <= log.startOffset || lastFetchedEpoch < log.firstEpoch
  }

  #isSnapshotEnd(fetchOffset: number, lastFetchedEpoch: number): boolean {
    const { startOffset, snapshots } = this.#state.log
    return (
      fetchOffset >= startOffset &&
      snapshots.some(({ endOffset, epoch }) => endOffset === fetchOffset && epoch === lastFetchedEpoch)
    )
  }

  #answerElsewhere(request: FetchRequest): void {
    const { log } = this.#state
    const snapshot = log.snapshots[0]
    let where: Partial<FetchAnswer>
    if (this.#needsSnapshot(request.fetchOffset, request.lastFetchedEpoch) && snapshot !== undefined) {
      where = { snapshotEndOffset: snapshot.endOffset, snapshotEpoch: snapshot.epoch }
    } else {
      const end = log.endOffsetForEpoch(request.lastFetchedEpoch)
      where = { divergingEpoch: end.epoch, divergingEndOffset: end.endOffset }
    }
    this.#state.effect({ kind: 'send', to: request.fromId, message: this.#response(request, where) })
  }

  #response(request: FetchRequest, where: Partial<FetchAnswer>) {
    const nowhere = { divergingEpoch: -1, divergingEndOffset: -1, snapshotEndOffset: -1, snapshotEpoch: -1 }
    const { highWatermark, foundingIds: voterIds } = this.#state
    const news = { errorCode: RAFT_ERRORS.NONE, highWatermark, records: NO_RECORDS, voterIds }
    const body = { ...nowhere, ...where, ...news }
    return this.#state.addressed(
      request.fromId,
      { kind: 'FetchResponse', ...body },
      request.correlationId,
      request,
    )
  }

  /** Makes itself known to voters that do not fetch. */
  #remind(): void {
    const state = this.#state
    const { fetchTimeoutMs } = state.settings
    this.#reminderMs = state.nowMs + fetchTimeoutMs / 2
    for (const voter of state.voters.latest.voters) {
      if (voter.id === state.self.id) continue
      const lastFetchMs = this.tracker.find(voter)?.lastFetchMs ?? -Infinity
      if (state.nowMs - lastFetchMs >= fetchTimeoutMs / 2)
        state.send(voter.id, { kind: 'BeginQuorumEpochRequest' })
    }
  }

  #resignMs(): number {
    const { voters, self, nowMs, settings } = this.#state
    const heardMs = Math.max(this.#startMs, this.tracker.majorityHeardMs(voters.latest, self, nowMs))
    return heardMs + settings.checkQuorumMs
  }
}

interface FetchAnswer {
  readonly divergingEpoch: number
  readonly divergingEndOffset: number
  readonly snapshotEndOffset: number
  readonly snapshotEpoch: number
}

/** Correlation ids rise and wrap. */
function isOlder(a: FetchRequest, b: FetchRequest): boolean {
  return (
    ((b.correlationId - a.correlationId) & 0x7fffffff) < 0x40000000 && a.correlationId !== b.correlationId
  )
}
