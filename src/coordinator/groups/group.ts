/**
 * What groups of both protocols offer to the shard that holds them. What members ask of a group differs between the two, and
 * is found in classic/ and consumer/.
 */
import type { ErrorName } from '../../protocol/errors.ts'
import type { CoordinatorRecord } from '../records/coordinator-record.ts'

export interface Group {
  readonly groupId: string
  readonly kind: 'classic' | 'consumer'
  /** As ListGroups and the descriptions say it: Empty, PreparingRebalance … or Empty, Assigning, Reconciling, Stable, Dead. */
  readonly stateName: string
  /** `consumer` for consumers; empty while a classic group has never had a member. */
  readonly protocolType: string
  /** Whether it has no member. */
  readonly isEmpty: boolean
  /** Wall clock, ms: since when it has had no member, for the expiry of offsets (G7); null while it has one, or if unknown. */
  readonly emptySinceMs: number | null

  /** Whether a member reads the topic. True as well while it has members and it is not known what they read. */
  isSubscribedTo(topic: string): boolean

  /**
   * Why a commit must be refused (G3), or null if it may go ahead.
   *
   * @param member - `generationIdOrMemberEpoch` is negative and `memberId` empty for a client that is no member.
   * @param apiVersion - Of the request: which errors its sender knows.
   */
  findCommitFault(member: CommittingMember, apiVersion: number, isTransactional: boolean): ErrorName | null
  /** Why committed offsets must not be told, or null. `memberId` is null and the epoch negative for no member. */
  findFetchFault(member: { readonly memberId: string | null; readonly memberEpoch: number }): ErrorName | null
  /** Why the group cannot be deleted, such as NON_EMPTY_GROUP, or null. */
  findDeleteFault(): ErrorName | null

  /** The records that remove the group itself from the log; its offsets are the offset store's. */
  tombstones(): CoordinatorRecord[]
  /** The log was read to its end: starts the sessions of the members found in it. */
  loaded(): void
  /** Ends all timers, and answers all who wait with the error. Nothing is called afterwards. */
  close(error: ErrorName): void
}

export interface CommittingMember {
  readonly memberId: string
  readonly groupInstanceId: string | null
  /** Generation of a classic member, or epoch of one of the consumer protocol. */
  readonly generationIdOrMemberEpoch: number
}
