/**
 * The Raft core: a synchronous state machine that owns no resource. Events go in (a message, the time, what became of
 * an effect), effects come out in etcd's manner: what to make durable first, what to do after that.
 *
 *   step(event, nowMs) … step(event, nowMs) ──> takeReady(): { persist, effects } ──> driver ──> step(what became of it)
 *
 * This file knows what holds in every role: epochs, who gets the vote, and the way from role to role. What a role does
 * by itself is in its own file. KRaft's shape (KIP-595): followers fetch.
 *
 * Invariants (docs/raft.md numbers them): an epoch and a vote are durable before anybody hears of them; a message of a
 * later epoch ends what this node was; one of an earlier epoch changes nothing.
 */
import { assert, broken } from '../base/assert.ts'
import { ZERO_UUID } from '../bytes/uuid.ts'
import type { CoreState, Ready } from './core-state.ts'
import { Candidate, Prospective } from './election.ts'
import { Follower } from './follower.ts'
import { Leader } from './leader.ts'
import type { VoterChangeRefusal } from './leader.ts'
import { NO_RECORDS, RAFT_ERRORS } from './raft-messages.ts'
import type {
  EndQuorumEpochRequest,
  FetchRequest,
  FetchSnapshotRequest,
  RaftMessage,
  VoteRequest,
} from './raft-messages.ts'
import type { DiskEvent, Role, Transitions } from './role.ts'
import { Unattached } from './unattached.ts'
import type { Voter } from './voter-set.ts'

export type RaftEvent =
  | { readonly kind: 'message'; readonly message: RaftMessage }
  | { readonly kind: 'tick' }
  /** This node must lead no more: it shuts down, or its log refuses to append. */
  | { readonly kind: 'resign' }
  | DiskEvent

export class RaftCore {
  readonly state: CoreState
  readonly #to: Transitions
  #role: Role

  constructor(state: CoreState) {
    this.state = state
    this.#to = {
      toUnattached: (hint, deadlineMs) => this.#toUnattached(hint, deadlineMs),
      toFollower: (leaderId) => this.#toFollower(leaderId),
      toProspective: () => this.#become(new Prospective(state, this.#to)),
      toCandidate: () => this.#toCandidate(),
      toLeader: (granting) => this.#toLeader(granting),
    }
    // Whom a node that just started hears of soon, it need not stand against: but a new cluster should not wait either.
    const firstMs =
      state.nowMs + state.random.below(Math.max(1, Math.floor(state.settings.electionTimeoutMs)))
    this.#role = new Unattached(state, this.#to, null, firstMs)
    if (state.isVoter && state.peers.length === 0) this.#toCandidate()
  }

  get role(): Role {
    return this.#role
  }

  get leader(): Leader | null {
    return this.#role instanceof Leader ? this.#role : null
  }

  /** Monotonic ms at which a `tick` is due. */
  get deadlineMs(): number {
    return this.#role.deadlineMs
  }

  takeReady(): Ready | null {
    return this.state.takeReady()
  }

  /** @throws {AssertionError} An invariant is broken: the node must stop. */
  step(event: RaftEvent, nowMs: number): void {
    this.state.nowMs = Math.max(this.state.nowMs, nowMs)
    if (event.kind === 'message') {
      this.#onMessage(event.message)
      return
    }
    if (event.kind === 'tick') {
      this.#role.onTick()
      return
    }
    if (event.kind === 'resign') return this.leader?.resign()
    this.#onDisk(event)
  }

  /** @see Leader.changeVoters */
  changeVoters(voters: readonly Voter[], nowMs: number): VoterChangeRefusal | 'not-leader' | null {
    this.state.nowMs = Math.max(this.state.nowMs, nowMs)
    return this.leader?.changeVoters(voters, 1) ?? (this.leader === null ? 'not-leader' : null)
  }

  #onDisk(event: DiskEvent): void {
    const { state } = this
    switch (event.kind) {
      case 'appended':
        for (const { offset, set } of event.voters) state.voters.add(offset, set)
        break
      case 'truncated':
        state.isCutting = false
        state.voters.truncateTo(state.log.endOffset)
        break
      case 'rolledBack':
        state.voters.truncateTo(event.fromOffset)
        break
      case 'snapshotInstalled':
        state.isCutting = false
        state.voters.restart(event.id.endOffset, event.voters)
        state.raiseHighWatermark(event.id.endOffset)
        break
      case 'snapshotRefused':
        state.isCutting = false
        break
      case 'persisted':
      case 'durable':
      case 'appendRefused':
      case 'chunkWritten':
        break
    }
    this.#role.onDisk(event)
  }

  #onMessage(message: RaftMessage): void {
    const { state } = this
    if (!this.#isMeantForThisDisk(message)) return
    if (message.fromId === state.self.id) return
    if (message.epoch > state.epoch) {
      state.enterEpoch(message.epoch)
      this.#toUnattached(message.leaderId >= 0 ? message.leaderId : null)
    }
    const isCurrent = message.epoch === state.epoch
    const names = message.leaderId >= 0 && isCurrent ? message.leaderId : null
    if (names !== null) state.namedLeaderId = names
    if (names !== null && state.leaderId !== null && names !== state.leaderId)
      broken(
        `An epoch has one leader: ${message.fromId} names ${names} in ${state.epoch}, known is ${state.leaderId}`,
      )
    switch (message.kind) {
      case 'VoteRequest': {
        this.#onVote(message, isCurrent)
        return
      }
      case 'FetchRequest':
        if (!isCurrent || !this.#role.onFetch(message)) this.#refuseFetch(message)
        return
      case 'FetchSnapshotRequest':
        if (!isCurrent || !this.#role.onFetchSnapshot(message)) this.#refuseSnapshot(message)
        return
      case 'BeginQuorumEpochRequest':
        // A leader of an earlier epoch learns of this one by the answers to its own fetches, or by being left alone.
        if (isCurrent && this.#role.kind !== 'follower') this.#toFollower(message.fromId)
        return
      case 'EndQuorumEpochRequest':
        if (isCurrent) this.#onLeaderLeft(message)
        return
      case 'VoteResponse':
        if (isCurrent) this.#role.onVoteResponse(message)
        return
      case 'FetchResponse':
        if (isCurrent) this.#role.onFetchResponse(message)
        return
      case 'FetchSnapshotResponse':
        if (isCurrent) this.#role.onFetchSnapshotResponse(message)
    }
  }

  /**
   * Who asks for a vote or names itself the leader would count on what a disk knew that this node has no more (KIP-853). Who
   * fetches counts on nothing, and may know of the old disk only: that this is another, its log says further on.
   */
  #isMeantForThisDisk({ kind, toDirectoryId }: RaftMessage): boolean {
    if (kind === 'FetchRequest' || kind === 'FetchSnapshotRequest') return true
    return toDirectoryId === ZERO_UUID || toDirectoryId === this.state.self.directoryId
  }

  #onVote(request: VoteRequest, isCurrent: boolean): void {
    const { state } = this
    const isGranted =
      this.#sharesVoters(request) &&
      isCurrent &&
      this.#isLogGoodEnough(request) &&
      (request.isPreVote ? this.#wouldVote(request) : this.#votes(request))
    const { isPreVote } = request
    const answer = { isPreVote, isGranted, voterIds: state.foundingIds }
    state.send(request.fromId, { kind: 'VoteResponse', ...answer }, request)
  }

  /** Raft section 5.4.1: who lacks a committed record lacks a majority, too. */
  #isLogGoodEnough({ lastEpoch, logEndOffset }: VoteRequest): boolean {
    const { log } = this.state
    return lastEpoch > log.lastEpoch || (lastEpoch === log.lastEpoch && logEndOffset >= log.endOffset)
  }

  /**
   * A founder knows its voters from its settings, and one of the two nodes may have been given a wrong list: a majority of
   * one list need not meet one of the other. Who has them from its log may know of a later set, in which this node or itself
   * is new; but it must then know this very disk, or be known here.
   */
  #sharesVoters({ fromId, toDirectoryId, voterIds }: VoteRequest): boolean {
    const { state } = this
    if (voterIds.length > 0) return state.foundsWith(fromId, voterIds) && state.isVoter
    return toDirectoryId !== ZERO_UUID || (state.isVoter && state.voters.latest.find(fromId) !== null)
  }

  /** Not while there is a leader; unless that is who asks: it leads no more then. */
  #wouldVote({ fromId }: VoteRequest): boolean {
    const { kind } = this.#role
    return kind !== 'leader' && (kind !== 'follower' || fromId === this.state.leaderId)
  }

  /** Gives the vote of this epoch, once, and the same answer to who asks again. */
  #votes({ fromId, fromDirectoryId }: VoteRequest): boolean {
    const { state } = this
    if (state.voted !== null) return state.voted.id === fromId && state.voted.directoryId === fromDirectoryId
    if (state.leaderId !== null) return false
    state.voteFor({ id: fromId, directoryId: fromDirectoryId })
    if (this.#role instanceof Unattached) this.#role.onVoted()
    else this.#toUnattached(null)
    return true
  }

  #onLeaderLeft({ fromId, preferredSuccessors }: EndQuorumEpochRequest): void {
    const { state } = this
    if (this.#role.kind === 'leader' || this.#role.kind === 'candidate') return
    state.leaderId = null
    const place = preferredSuccessors.indexOf(state.self.id)
    // The leader itself said that it leaves, so there is nobody to disturb: no need to ask before standing, but as a founder.
    if (place === 0 && state.isVoter && !state.isCutting && !state.isFounding && fromId !== state.self.id) {
      this.#toCandidate()
      return
    }
    const { electionTimeoutMs, retryMs } = state.settings
    const waitMs = place < 0 ? electionTimeoutMs : Math.min(place * retryMs, electionTimeoutMs)
    this.#toUnattached(null, state.drawDeadline(waitMs))
  }

  #refuseFetch(request: FetchRequest): void {
    const { state } = this
    const nowhere = { divergingEpoch: -1, divergingEndOffset: -1, snapshotEndOffset: -1, snapshotEpoch: -1 }
    const errorCode = this.#refusal(request)
    const body = { errorCode, highWatermark: -1, records: NO_RECORDS, voterIds: [], ...nowhere }
    state.send(request.fromId, { kind: 'FetchResponse', ...body }, request)
  }

  #refuseSnapshot(request: FetchSnapshotRequest): void {
    const { snapshotEndOffset, snapshotEpoch, position } = request
    const errorCode = this.#refusal(request)
    const body = { errorCode, snapshotEndOffset, snapshotEpoch, position, size: 0, chunk: NO_RECORDS }
    this.state.send(request.fromId, { kind: 'FetchSnapshotResponse', ...body }, request)
  }

  #refusal({ epoch }: FetchRequest | FetchSnapshotRequest): number {
    return epoch < this.state.epoch ? RAFT_ERRORS.FENCED_EPOCH : RAFT_ERRORS.NOT_LEADER
  }

  #toUnattached(hint: number | null, deadlineMs?: number): void {
    const { state } = this
    state.leaderId = null
    const electionMs = deadlineMs ?? state.drawDeadline(state.settings.electionTimeoutMs)
    this.#become(new Unattached(state, this.#to, hint, electionMs))
  }

  #toFollower(leaderId: number): void {
    const { state } = this
    assert(
      this.#role.kind !== 'leader',
      `A leader follows nobody in its epoch: ${leaderId} in ${state.epoch}`,
    )
    state.leaderId = leaderId
    this.#become(new Follower(state, this.#to, leaderId))
  }

  #toCandidate(): void {
    const { state } = this
    assert(!state.isCutting, 'A candidate has a whole log')
    state.enterEpoch(state.epoch + 1)
    state.voteFor(state.voters.latest.find(state.self.id)!)
    this.#become(new Candidate(state, this.#to))
  }

  #toLeader(granting: readonly Voter[]): void {
    const { state } = this
    state.leaderId = state.self.id
    this.#become(new Leader(state, this.#to, granting))
    this.#role.onTick()
  }

  #become(role: Role): void {
    const { epoch, leaderId } = this.state
    this.#role = role
    this.state.effect({ kind: 'role', role: role.kind, epoch, leaderId })
  }
}
