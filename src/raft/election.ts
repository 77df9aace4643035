/**
 * Standing for election, in two steps (KIP-996, Raft dissertation section 9.6):
 *
 * - `Prospective` asks whether it would be voted for, in its present epoch and binding nobody. A node that cannot hear a
 *   leader whom others follow gets no majority, so it raises no epoch and disturbs nobody (MQ-5). It goes on looking for
 *   the leader meanwhile.
 *
 *   While no record of the log says who votes, a node has that from its settings, and a majority of one list need not meet
 *   a majority of another. So such a founder stands only when every voter of its list is a founder by that very list: of
 *   lists that share a node at most one founds a quorum, and voters that lost their disks never found a second one behind
 *   the back of one that did not. It costs that a new quorum needs all of its voters once; as soon as its first leader has
 *   written down who they are (`Leader`) a majority is enough.
 * - `Candidate` has begun an epoch and given itself its vote. That vote counts, and the others are asked, once it is
 *   durable (MQ-1).
 */
import type { CoreState } from './core-state.ts'
import { LeaderSearch } from './leader-search.ts'
import type { FetchResponse, VoteResponse } from './raft-messages.ts'
import { IdleRole } from './role.ts'
import type { DiskEvent, Transitions } from './role.ts'
import type { Voter } from './voter-set.ts'

/** Asks the other voters, and counts. */
class Poll {
  readonly #state: CoreState
  readonly #isPreVote: boolean
  readonly #asked = new Map<number, number>()
  readonly #granted = new Map<number, Voter>()

  constructor(state: CoreState, isPreVote: boolean) {
    this.#state = state
    this.#isPreVote = isPreVote
    for (const id of state.peers) {
      const { lastEpoch, endOffset: logEndOffset } = state.log
      const { foundingIds: voterIds } = state
      this.#asked.set(
        id,
        state.send(id, { kind: 'VoteRequest', isPreVote, lastEpoch, logEndOffset, voterIds }),
      )
    }
  }

  /** This node's own vote. */
  grantSelf(): void {
    this.#granted.set(this.#state.self.id, this.#state.self)
  }

  onVoteResponse(answer: VoteResponse): void {
    const voter = { id: answer.fromId, directoryId: answer.fromDirectoryId }
    const isAnswer =
      answer.isPreVote === this.#isPreVote && answer.correlationId === this.#asked.get(answer.fromId)
    if (isAnswer) this.#state.foundsWith(answer.fromId, answer.voterIds)
    if (isAnswer && answer.isGranted && this.#state.voters.latest.has(voter))
      this.#granted.set(voter.id, voter)
  }

  get isWon(): boolean {
    const { latest } = this.#state.voters
    if (this.#isPreVote && this.#state.isFounding) return this.#granted.size === latest.voters.length
    return latest.isMajority(new Set(this.#granted.keys()))
  }

  get granting(): readonly Voter[] {
    return [...this.#granted.values()]
  }
}

export class Prospective extends IdleRole {
  readonly kind = 'prospective'
  readonly #state: CoreState
  readonly #to: Transitions
  readonly #search: LeaderSearch
  #poll: Poll
  #pollEndMs: number

  constructor(state: CoreState, to: Transitions) {
    super()
    this.#state = state
    this.#to = to
    this.#search = new LeaderSearch(state, state.leaderId)
    this.#poll = this.#ask()
    this.#pollEndMs = state.drawDeadline(state.settings.electionTimeoutMs)
  }

  get deadlineMs(): number {
    return Math.min(this.#pollEndMs, this.#search.deadlineMs)
  }

  onTick(): void {
    const state = this.#state
    if (!state.isVoter) {
      this.#to.toUnattached(null)
      return
    }
    if (this.#poll.isWon) {
      this.#to.toCandidate()
      return
    }
    if (state.nowMs >= this.#pollEndMs) {
      this.#poll = this.#ask()
      this.#pollEndMs = state.drawDeadline(state.settings.electionTimeoutMs)
    }
    this.#search.onTick()
  }

  override onVoteResponse(answer: VoteResponse): void {
    this.#poll.onVoteResponse(answer)
    if (this.#poll.isWon) this.#to.toCandidate()
  }

  override onFetchResponse(answer: FetchResponse): void {
    const leaderId = this.#search.onFetchResponse(answer)
    if (leaderId !== null) this.#to.toFollower(leaderId)
  }

  #ask(): Poll {
    const poll = new Poll(this.#state, true)
    poll.grantSelf()
    return poll
  }
}

export class Candidate extends IdleRole {
  readonly kind = 'candidate'
  readonly #state: CoreState
  readonly #to: Transitions
  readonly #poll: Poll
  readonly deadlineMs: number

  /** The state is in the new epoch, and its vote given. */
  constructor(state: CoreState, to: Transitions) {
    super()
    this.#state = state
    this.#to = to
    this.#poll = new Poll(state, false)
    this.deadlineMs = state.drawDeadline(state.settings.electionTimeoutMs)
  }

  onTick(): void {
    if (this.#state.nowMs >= this.deadlineMs) this.#to.toProspective()
  }

  override onDisk(event: DiskEvent): void {
    if (event.kind !== 'persisted') return
    const { leaderEpoch, votedId } = event.state
    if (leaderEpoch !== this.#state.epoch || votedId !== this.#state.self.id) return
    this.#poll.grantSelf()
    this.#decide()
  }

  override onVoteResponse(answer: VoteResponse): void {
    this.#poll.onVoteResponse(answer)
    this.#decide()
  }

  #decide(): void {
    if (this.#poll.isWon) this.#to.toLeader(this.#poll.granting)
  }
}
