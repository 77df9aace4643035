/**
 * A voter or observer that has a leader: it fetches from where its log ends, appends what comes, waits for its disk, and
 * fetches again. A fetch says that all before its offset is durable here, so none is sent before it is (MQ-2).
 *
 *   fetch ─┬─> records ──> append ──> durable ──┐
 *          ├─> diverging epoch ──> truncate ────┼──> fetch
 *          ├─> snapshot ──> chunks (snapshot-fetch.ts) ──> install ──┘
 *          └─> nothing in `fetchTimeoutMs` ──> prospective
 *
 * One request is under way at a time. What answers another one, an older one or one of another epoch is dropped.
 */
import { assert } from '../base/assert.ts'
import type { CoreState } from './core-state.ts'
import { RAFT_ERRORS } from './raft-messages.ts'
import type { FetchResponse, FetchSnapshotResponse } from './raft-messages.ts'
import { IdleRole } from './role.ts'
import type { DiskEvent, Transitions } from './role.ts'
import { SnapshotFetch } from './snapshot-fetch.ts'

export class Follower extends IdleRole {
  readonly kind = 'follower'
  readonly leaderId: number
  readonly #state: CoreState
  readonly #to: Transitions
  /** When the leader counts as gone. */
  #giveUpMs: number
  #request: { readonly correlationId: number; readonly retryMs: number } | null = null
  /** Not before this: the leader, or the disk, has asked for a pause. */
  #pauseEndMs = 0
  #isAppending = false
  #leaderHighWatermark = 0
  #snapshot: SnapshotFetch | null = null

  constructor(state: CoreState, to: Transitions, leaderId: number) {
    super()
    this.#state = state
    this.#to = to
    this.leaderId = leaderId
    this.#giveUpMs = this.#drawGiveUp()
    this.#advance()
  }

  get deadlineMs(): number {
    const retryMs =
      this.#request?.retryMs ?? (this.#pauseEndMs > this.#state.nowMs ? this.#pauseEndMs : Infinity)
    return Math.min(this.#giveUpMs, retryMs)
  }

  onTick(): void {
    const state = this.#state
    if (state.nowMs >= this.#giveUpMs) {
      // While the log is cut there is nothing to stand for election with.
      if (!state.isCutting) {
        if (state.isVoter) this.#to.toProspective()
        else this.#to.toUnattached(null)
        return
      }
      this.#giveUpMs = this.#drawGiveUp()
    }
    if (this.#request !== null && state.nowMs >= this.#request.retryMs) this.#request = null
    this.#advance()
  }

  override onFetchResponse(answer: FetchResponse): void {
    if (!this.#isAwaited(answer)) return
    this.#request = null
    if (answer.errorCode !== RAFT_ERRORS.NONE) {
      // It resigned, and its word that it did was lost.
      if (answer.errorCode === RAFT_ERRORS.NOT_LEADER) {
        this.#to.toUnattached(null)
        return
      }
      this.#pause()
      return
    }
    this.#heard()
    this.#state.foundsWith(this.leaderId, answer.voterIds)
    if (answer.snapshotEpoch >= 0) {
      const id = { endOffset: answer.snapshotEndOffset, epoch: answer.snapshotEpoch }
      // A leader has all that is committed, so its snapshot goes further than what is committed here.
      if (id.endOffset <= this.#state.highWatermark) {
        this.#pause()
        return
      }
      this.#snapshot = new SnapshotFetch(id)
    } else if (answer.divergingEpoch >= 0) {
      this.#truncate(answer.divergingEpoch, answer.divergingEndOffset)
    } else {
      this.#leaderHighWatermark = Math.max(this.#leaderHighWatermark, answer.highWatermark)
      if (answer.records.length > 0) {
        this.#isAppending = true
        this.#state.effect({ kind: 'appendRecords', epoch: this.#state.epoch, records: answer.records })
      }
      this.#followHighWatermark()
    }
    this.#advance()
  }

  override onFetchSnapshotResponse(answer: FetchSnapshotResponse): void {
    if (!this.#isAwaited(answer) || this.#snapshot === null) return
    this.#request = null
    if (answer.errorCode === RAFT_ERRORS.NOT_LEADER) {
      this.#to.toUnattached(null)
      return
    }
    this.#heard()
    // A leader that has let go of the snapshot has a newer one: a fetch of records names it.
    if (!this.#snapshot.onChunk(this.#state, answer)) this.#snapshot = null
    this.#advance()
  }

  override onDisk(event: DiskEvent): void {
    switch (event.kind) {
      case 'appended':
        this.#isAppending = false
        break
      case 'appendRefused':
      case 'rolledBack':
        this.#isAppending = false
        {
          this.#pause()
          return
        }
      case 'snapshotInstalled':
        this.#snapshot = null
        break
      case 'snapshotRefused':
        this.#snapshot = null
        {
          this.#pause()
          return
        }
      case 'chunkWritten':
        this.#snapshot?.onChunkWritten(this.#state)
        break
      case 'persisted':
      case 'durable':
      case 'truncated':
        break
    }
    this.#followHighWatermark()
    this.#advance()
  }

  #heard(): void {
    this.#giveUpMs = this.#drawGiveUp()
    this.#state.lastLeader = { id: this.leaderId, heardMs: this.#state.nowMs }
  }

  /** Committed here is what the leader says is, and what this disk has. */
  #followHighWatermark(): void {
    const { log } = this.#state
    this.#state.raiseHighWatermark(Math.min(this.#leaderHighWatermark, log.durableEndOffset))
  }

  /** Sends the next request if nothing stands against it. */
  #advance(): void {
    const state = this.#state
    const { log, settings } = state
    if (this.#request !== null || this.#isAppending || state.isCutting) return
    if (log.durableEndOffset < log.endOffset || state.nowMs < this.#pauseEndMs) return
    const correlationId =
      this.#snapshot === null ? this.#fetch() : this.#snapshot.request(state, this.leaderId)
    if (correlationId === null) return
    const waitMs = this.#snapshot === null ? settings.fetchWaitMs : 0
    this.#request = { correlationId, retryMs: state.nowMs + waitMs + settings.retryMs }
  }

  #fetch(): number {
    const { log, settings, highWatermark } = this.#state
    return this.#state.send(this.leaderId, {
      kind: 'FetchRequest',
      fetchOffset: log.endOffset,
      lastFetchedEpoch: log.lastEpoch,
      highWatermark,
      maxWaitMs: settings.fetchWaitMs,
      maxBytes: settings.fetchBytesMax,
    })
  }

  /**
   * Cuts to where the two logs may last agree. The leader named the end of its largest epoch not above this node's last
   * one; this node's own end of that epoch may be lower. Another fetch tells whether that was enough (KIP-595).
   */
  #truncate(epoch: number, leaderEndOffset: number): void {
    const state = this.#state
    const offset = Math.min(leaderEndOffset, state.log.endOffsetForEpoch(epoch).endOffset)
    assert(offset < state.log.endOffset, `A diverging log is cut: at ${offset} of ${state.log.endOffset}`)
    assert(
      offset >= state.highWatermark,
      `Committed records are never cut: at ${offset}, committed to ${state.highWatermark}`,
    )
    state.isCutting = true
    state.effect({ kind: 'truncate', offset })
  }

  #pause(): void {
    this.#pauseEndMs = this.#state.nowMs + this.#state.settings.retryMs
  }

  #isAwaited(answer: FetchResponse | FetchSnapshotResponse): boolean {
    return answer.fromId === this.leaderId && answer.correlationId === this.#request?.correlationId
  }

  #drawGiveUp(): number {
    return this.#state.nowMs + this.#state.settings.fetchTimeoutMs
  }
}
