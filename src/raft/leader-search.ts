/**
 * How a node without a leader finds one: it asks voters for a fetch of nothing, one after the other. The leader's own
 * answer makes it a follower; any other node's word about who leads is only where to ask next, so that nodes that all
 * remember a dead leader do not keep each other from electing a new one.
 */
import type { CoreState } from './core-state.ts'
import { RAFT_ERRORS } from './raft-messages.ts'
import type { FetchResponse } from './raft-messages.ts'

export class LeaderSearch {
  readonly #state: CoreState
  #hint: number | null
  #asked: { readonly id: number; readonly correlationId: number } | null = null
  #nextMs: number

  constructor(state: CoreState, hint: number | null) {
    this.#state = state
    this.#hint = hint
    this.#nextMs = state.nowMs
  }

  get deadlineMs(): number {
    return this.#nextMs
  }

  onTick(): void {
    const state = this.#state
    if (state.nowMs < this.#nextMs) return
    this.#nextMs = state.nowMs + state.settings.retryMs
    const { log, peers } = state
    // A fetch is an acknowledgement: what is not durable, or is about to go, must not be in one.
    if (peers.length === 0 || state.isCutting || log.durableEndOffset < log.endOffset) return
    const isUsable = this.#hint !== null && this.#hint !== state.self.id
    const id = isUsable ? this.#hint! : peers[state.random.below(peers.length)]!
    this.#hint = null
    const correlationId = state.send(id, {
      kind: 'FetchRequest',
      fetchOffset: log.endOffset,
      lastFetchedEpoch: log.lastEpoch,
      highWatermark: state.highWatermark,
      maxWaitMs: 0,
      maxBytes: 0,
    })
    this.#asked = { id, correlationId }
  }

  /** @returns The leader, if that is who answered. */
  onFetchResponse(answer: FetchResponse): number | null {
    if (answer.fromId !== this.#asked?.id || answer.correlationId !== this.#asked.correlationId) return null
    this.#asked = null
    if (answer.errorCode === RAFT_ERRORS.NONE && answer.leaderId === answer.fromId) return answer.fromId
    if (answer.leaderId >= 0) this.#hint = answer.leaderId
    return null
  }
}
