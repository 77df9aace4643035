/**
 * What all roles of the Raft core share: the durable facts (epoch, vote), the view of the log, and the effects that
 * wait to be carried out. The core owns no resource: whatever it wants done it says here, and the driver does it.
 *
 * Invariants:
 * - `epoch` never falls; within an epoch `voted` is set once and stays (M2).
 * - In an epoch at most one leader is known (M1): two mean that the quorum is broken, and the node stops.
 * - `highWatermark` never falls (M5), and the log is never cut below it.
 * - Effects are carried out in order, all of them after `persist` has become durable (MQ-1).
 */
import { assert, broken } from '../base/assert.ts'
import { ZERO_UUID } from '../bytes/uuid.ts'
import type { Random } from '../env/index.ts'
import type { QuorumState } from './quorum-state.ts'
import type { HeardLeader } from './metadata-quorum.ts'
import type { Envelope, FetchResponse, FetchSnapshotResponse, RaftMessage } from './raft-messages.ts'
import type { SnapshotId } from './snapshot-file.ts'
import type { Voter, VoterHistory } from './voter-set.ts'

/** The log and the snapshots of this node, read only. The driver changes them, by the core's effects and nothing else. */
export interface LogView {
  readonly startOffset: number
  readonly endOffset: number
  /** All below survives a power cut. */
  readonly durableEndOffset: number
  /** Epoch of the last record, or of the snapshot that the log begins after; 0 for an empty log. */
  readonly lastEpoch: number
  /** Epoch of the first record there is; -1 for none. */
  readonly firstEpoch: number
  /** The largest epoch at or below `epoch` that has records here, and the offset after its last one. */
  endOffsetForEpoch(epoch: number): { readonly epoch: number; readonly endOffset: number }
  /** Newest first. */
  readonly snapshots: readonly SnapshotId[]
}

/** Times in ms. */
export interface RaftSettings {
  /** A voter without a leader stands for election after this, and up to as long again, drawn anew each time. */
  readonly electionTimeoutMs: number
  /** A follower that got no answer from its leader for so long asks the others whether they would vote for it. */
  readonly fetchTimeoutMs: number
  /** A leader that no majority fetched from for so long resigns (MQ-4). Above `fetchTimeoutMs`, or it would be first. */
  readonly checkQuorumMs: number
  /** How long a leader lets a fetch wait for news. A small part of `fetchTimeoutMs`. */
  readonly fetchWaitMs: number
  /** Time from a request that was lost to the next try; also between two tries of an election. */
  readonly retryMs: number
  /** Bytes of records, or of a snapshot, in one answer; at least one batch. */
  readonly fetchBytesMax: number
}

export type RoleKind = 'unattached' | 'follower' | 'prospective' | 'candidate' | 'leader'

/** What the driver has to do. */
export type RaftEffect =
  | { readonly kind: 'send'; readonly to: number; readonly message: RaftMessage }
  /** Reads `[startOffset, endOffset)` of the log into the answer and sends it, if this node still leads the epoch. */
  | {
      readonly kind: 'sendRecords'
      readonly to: number
      readonly message: FetchResponse
      readonly startOffset: number
      readonly endOffset: number
      readonly maxBytes: number
    }
  | {
      readonly kind: 'sendSnapshotChunk'
      readonly to: number
      readonly message: FetchSnapshotResponse
      readonly maxBytes: number
    }
  /** Appends the first record of this leader. Answered by `appended` or `resign`. */
  | {
      readonly kind: 'appendLeaderChange'
      readonly epoch: number
      readonly voters: readonly Voter[]
      readonly granting: readonly Voter[]
    }
  /** Appends a new set of voters as leader; told back by `appended`. */
  | { readonly kind: 'appendVoters'; readonly epoch: number; readonly voters: readonly Voter[] }
  /** Appends as follower; told back by `appended` or `appendRefused`. */
  | { readonly kind: 'appendRecords'; readonly epoch: number; readonly records: Uint8Array }
  /** Cuts the log; told back by `truncated`. */
  | { readonly kind: 'truncate'; readonly offset: number }
  /** Writes a piece of a snapshot aside; told back by `chunkWritten`. */
  | {
      readonly kind: 'writeSnapshotChunk'
      readonly id: SnapshotId
      readonly position: number
      readonly chunk: Uint8Array
    }
  /** Puts a snapshot that is whole in place of the log; told back by `snapshotInstalled` or `snapshotRefused`. */
  | { readonly kind: 'installSnapshot'; readonly id: SnapshotId }
  | { readonly kind: 'commit'; readonly highWatermark: number }
  | {
      readonly kind: 'role'
      readonly role: RoleKind
      readonly epoch: number
      readonly leaderId: number | null
    }

export interface Ready {
  /** To be made durable before any effect is carried out; told back by `persisted`. Null: nothing has changed. */
  readonly persist: QuorumState | null
  readonly effects: readonly RaftEffect[]
}

type Unaddressed<M> = M extends RaftMessage ? Omit<M, keyof Envelope> : never

/** A message but for its envelope. */
export type Body = Unaddressed<RaftMessage>

export class CoreState {
  readonly self: Voter
  readonly log: LogView
  readonly voters: VoterHistory
  readonly settings: RaftSettings
  readonly random: Random
  epoch: number
  voted: Voter | null
  leaderId: number | null = null
  /** The last leader that this node has followed, through changes of epoch. */
  lastLeader: HeardLeader | null = null
  /** Who leads the epoch as somebody has said, whether this node has found it or not. */
  namedLeaderId: number | null = null
  nowMs: number
  /** The log is being cut or replaced: no fetch and no candidacy until that is done. */
  isCutting = false
  /** Nodes that go by other voters than this one, as they said last, while its log does not say who votes. */
  readonly strangers = new Map<number, readonly number[]>()
  #highWatermark: number
  #persist = false
  #effects: RaftEffect[] = []
  #lastCorrelationId = 0

  constructor(options: {
    readonly self: Voter
    readonly log: LogView
    readonly voters: VoterHistory
    readonly settings: RaftSettings
    readonly random: Random
    /** As the last start left it; its epoch is at least that of any record or snapshot here. */
    readonly state: QuorumState
    /** Where the newest snapshot ends: what it holds is committed. */
    readonly highWatermark: number
    readonly nowMs: number
  }) {
    const { state } = options
    this.self = options.self
    this.log = options.log
    this.voters = options.voters
    this.settings = options.settings
    this.random = options.random
    this.nowMs = options.nowMs
    this.#highWatermark = options.highWatermark
    this.epoch = state.leaderEpoch
    this.voted = state.votedId < 0 ? null : { id: state.votedId, directoryId: state.votedDirectoryId }
  }

  get isVoter(): boolean {
    return this.voters.latest.has(this.self)
  }

  get highWatermark(): number {
    return this.#highWatermark
  }

  /**
   * Who votes comes from the settings, where a slip may be, and no record says it yet. Voters that a configuration names with
   * their disks are no slip: somebody has looked.
   */
  get isFounding(): boolean {
    const { latest, latestOffset } = this.voters
    return latestOffset < 0 && latest.voters.some(({ directoryId }) => directoryId === ZERO_UUID)
  }

  /** What a founder says of its voters: their ids, ascending. None: the log says it. */
  get foundingIds(): number[] {
    return this.isFounding ? this.voters.latest.voters.map(({ id }) => id) : []
  }

  /** Takes note of the voters that a founder goes by. @returns Whether this node founds with the very same. */
  foundsWith(fromId: number, voterIds: readonly number[]): boolean {
    const isShared = this.isFounding && voterIds.join() === this.foundingIds.join()
    if (isShared || !this.isFounding || voterIds.length === 0) this.strangers.delete(fromId)
    else this.strangers.set(fromId, voterIds)
    return isShared
  }

  /** The disk that messages to a node are meant for. */
  directoryOf(id: number): string {
    return this.voters.latest.find(id)?.directoryId ?? ZERO_UUID
  }

  /** Ids of the other voters. */
  get peers(): number[] {
    return this.voters.latest.voters.map(({ id }) => id).filter((id) => id !== this.self.id)
  }

  /** Enters a later epoch, in which nobody has this node's vote yet. */
  enterEpoch(epoch: number): void {
    assert(epoch > this.epoch, `Epochs rise: ${epoch} after ${this.epoch}`)
    this.epoch = epoch
    this.voted = null
    this.leaderId = null
    this.namedLeaderId = null
    this.#persist = true
  }

  voteFor(voter: Voter): void {
    assert(this.voted === null, `One vote an epoch: ${this.voted?.id} has it`)
    this.voted = voter
    this.#persist = true
  }

  raiseHighWatermark(offset: number): boolean {
    if (offset <= this.#highWatermark) return false
    if (offset > this.log.endOffset) broken(`Committed records are here: ${offset} of ${this.log.endOffset}`)
    this.#highWatermark = offset
    this.effect({ kind: 'commit', highWatermark: offset })
    return true
  }

  /** A deadline at random between once and twice `ms` from now, so that nodes do not act in step. */
  drawDeadline(ms: number): number {
    return this.nowMs + ms + this.random.below(Math.max(1, Math.floor(ms)))
  }

  nextCorrelationId(): number {
    this.#lastCorrelationId = (this.#lastCorrelationId + 1) & 0x7fffffff
    return this.#lastCorrelationId
  }

  effect(effect: RaftEffect): void {
    this.#effects.push(effect)
  }

  /** @param answers - The request that this answers: it goes to that very incarnation. */
  send(to: number, body: Body, answers: Envelope | null = null): number {
    const correlationId = answers?.correlationId ?? this.nextCorrelationId()
    this.effect({ kind: 'send', to, message: this.addressed(to, body, correlationId, answers) })
    return correlationId
  }

  addressed<B extends Body>(
    to: number,
    body: B,
    correlationId: number,
    answers: Envelope | null = null,
  ): Extract<RaftMessage, { kind: B['kind'] }> {
    const message: Envelope & B = {
      ...body,
      fromId: this.self.id,
      fromDirectoryId: this.self.directoryId,
      toDirectoryId: answers?.fromDirectoryId ?? this.directoryOf(to),
      epoch: this.epoch,
      leaderId: this.leaderId ?? -1,
      correlationId,
    }
    return message as unknown as Extract<RaftMessage, { kind: B['kind'] }>
  }

  takeReady(): Ready | null {
    if (!this.#persist && this.#effects.length === 0) return null
    const ready: Ready = { persist: this.#persist ? this.#quorumState() : null, effects: this.#effects }
    this.#persist = false
    this.#effects = []
    return ready
  }

  #quorumState(): QuorumState {
    const voters = this.voters.latest
    // Its own vote is all that a voter on its own waits for, so it leads as soon as this is durable.
    const leadsAlone = voters.voters.length === 1 && this.isVoter && this.voted?.id === this.self.id
    return {
      leaderId: leadsAlone ? this.self.id : (this.leaderId ?? -1),
      leaderEpoch: this.epoch,
      votedId: this.voted?.id ?? -1,
      votedDirectoryId: this.voted?.directoryId ?? ZERO_UUID,
    }
  }
}
