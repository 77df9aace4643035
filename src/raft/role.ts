/**
 * What a role of the Raft core is: an object that lives from one transition to the next and holds only what that role
 * knows. It reacts to time, to messages that concern it and to what became of its effects; it asks `Transitions` for its
 * own end.
 *
 *   unattached ──deadline──> prospective ──majority would vote──> candidate ──majority voted──> leader
 *       ^  └──leader found──> follower ──no answer in time──> prospective          │                │
 *       └───────────────── a later epoch, the leader's leave, or its resignation ──┴────────────────┘
 */
import type {
  FetchRequest,
  FetchResponse,
  FetchSnapshotRequest,
  FetchSnapshotResponse,
} from './raft-messages.ts'
import type { VoteResponse } from './raft-messages.ts'
import type { RoleKind } from './core-state.ts'
import type { SnapshotId } from './snapshot-file.ts'
import type { QuorumState } from './quorum-state.ts'
import type { Voter, VoterSet, VotersRecord } from './voter-set.ts'

/** What became of an effect that changed log, snapshots or the epoch's file. */
export type DiskEvent =
  | { readonly kind: 'persisted'; readonly state: QuorumState }
  /** The end of what is durable has moved. */
  | { readonly kind: 'durable' }
  | { readonly kind: 'appended'; readonly voters: readonly VotersRecord[] }
  /** What the leader sent does not continue the log, or there is no room: nothing was appended. */
  | { readonly kind: 'appendRefused' }
  | { readonly kind: 'truncated' }
  | { readonly kind: 'chunkWritten' }
  /** `voters`: as the snapshot has them; null: it was taken before any record named them. */
  | { readonly kind: 'snapshotInstalled'; readonly id: SnapshotId; readonly voters: VoterSet | null }
  | { readonly kind: 'snapshotRefused' }
  /** Records from `fromOffset` on, none of them durable, are gone: the disk was full. */
  | { readonly kind: 'rolledBack'; readonly fromOffset: number }

export interface Role {
  readonly kind: RoleKind
  /** Monotonic ms at which `onTick` has something to do; Infinity for never. */
  readonly deadlineMs: number
  /** Called at any time; does what is due. */
  onTick(): void
  onDisk(event: DiskEvent): void
  onVoteResponse(answer: VoteResponse): void
  onFetchResponse(answer: FetchResponse): void
  onFetchSnapshotResponse(answer: FetchSnapshotResponse): void
  /** Only a leader takes them. @returns False: this node does not lead. */
  onFetch(request: FetchRequest): boolean
  onFetchSnapshot(request: FetchSnapshotRequest): boolean
}

export interface Transitions {
  /** @param hint - Node that may know the leader, or be it. @param deadlineMs - When to stand for election. */
  toUnattached(hint: number | null, deadlineMs?: number): void
  toFollower(leaderId: number): void
  toProspective(): void
  toCandidate(): void
  toLeader(granting: readonly Voter[]): void
}

/** What most roles do with most events: nothing. */
export abstract class IdleRole implements Role {
  abstract readonly kind: RoleKind
  abstract readonly deadlineMs: number
  abstract onTick(): void
  onDisk(event: DiskEvent): void
  onDisk(): void {
    return
  }
  onVoteResponse(answer: VoteResponse): void
  onVoteResponse(): void {
    return
  }
  onFetchResponse(answer: FetchResponse): void
  onFetchResponse(): void {
    return
  }
  onFetchSnapshotResponse(answer: FetchSnapshotResponse): void
  onFetchSnapshotResponse(): void {
    return
  }
  onFetch(request: FetchRequest): boolean
  onFetch(): boolean {
    return false
  }
  onFetchSnapshot(request: FetchSnapshotRequest): boolean
  onFetchSnapshot(): boolean {
    return false
  }
}
