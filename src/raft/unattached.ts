/**
 * A node that knows the epoch and no leader of it: after a start, after giving its vote, after its leader left. It looks
 * for the leader and, if it is a voter, stands for election when its deadline passes. Observers look on for ever.
 */
import type { CoreState } from './core-state.ts'
import { LeaderSearch } from './leader-search.ts'
import type { FetchResponse } from './raft-messages.ts'
import { IdleRole } from './role.ts'
import type { Transitions } from './role.ts'

export class Unattached extends IdleRole {
  readonly kind = 'unattached'
  readonly #state: CoreState
  readonly #to: Transitions
  readonly #search: LeaderSearch
  #electionMs: number

  constructor(state: CoreState, to: Transitions, hint: number | null, electionMs: number) {
    super()
    this.#state = state
    this.#to = to
    this.#search = new LeaderSearch(state, hint)
    this.#electionMs = electionMs
  }

  get deadlineMs(): number {
    return Math.min(this.#electionMs, this.#search.deadlineMs)
  }

  onTick(): void {
    const state = this.#state
    if (state.nowMs >= this.#electionMs) {
      if (state.isVoter && !state.isCutting) {
        this.#to.toProspective()
        return
      }
      this.#electionMs = state.drawDeadline(state.settings.electionTimeoutMs)
    }
    this.#search.onTick()
  }

  /** Gave its vote: the candidate gets its time. */
  onVoted(): void {
    this.#electionMs = this.#state.drawDeadline(this.#state.settings.electionTimeoutMs)
  }

  override onFetchResponse(answer: FetchResponse): void {
    const leaderId = this.#search.onFetchResponse(answer)
    if (leaderId !== null) this.#to.toFollower(leaderId)
  }
}
