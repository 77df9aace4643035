/** What administration of groups is given and gives back. Absent is null; the wire's sentinels stay inside. */
import type { AdminOptions } from './admin-types.ts'
import type { TopicPartition } from './consumer-options.ts'
import type { CommittedOffset } from './group/offsets.ts'

/** The protocol that a group speaks: of the members among themselves, of the broker (KIP-848), or one not known here. */
export type GroupKind = 'classic' | 'consumer' | 'other'

export interface ListGroupsOptions extends AdminOptions {
  /** Only groups in one of these states, such as `Stable` or `Empty`, in upper or lower case. Default: all. */
  readonly states?: readonly string[] | undefined
  /** Only groups of these kinds. Default: all. */
  readonly kinds?: readonly Exclude<GroupKind, 'other'>[] | undefined
}

export interface GroupListing {
  readonly groupId: string
  readonly kind: GroupKind
  /** `Empty`, `Stable`, what rebalances (`PreparingRebalance`, `CompletingRebalance`; `Assigning`, `Reconciling`), `Dead`. Null
   * when the broker does not tell. */
  readonly state: string | null
  /** `consumer` for consumers; '' for a group that never had a member. */
  readonly protocolType: string
  /** Id of the broker that coordinates it. */
  readonly coordinator: number
}

export interface GroupDescription {
  readonly groupId: string
  readonly kind: Exclude<GroupKind, 'other'>
  /** As in `GroupListing`. */
  readonly state: string
  /** As in `GroupListing`. */
  readonly protocolType: string
  /** What spreads the partitions: the broker's assignor, or the one that the members of a classic group chose; null for none. */
  readonly assignor: string | null
  /** Of a group of kind `consumer`: grows with every change of members or subscriptions. A classic one does not tell its own. */
  readonly epoch: number | null
  /** Id of the broker that coordinates it. */
  readonly coordinator: number
  readonly members: readonly GroupMember[]
}

export interface GroupMember {
  readonly memberId: string
  /** Name of a static member. */
  readonly instanceId: string | null
  readonly clientId: string
  /** Address as the broker sees it. */
  readonly clientHost: string
  readonly rack: string | null
  /** Of a member of the consumer protocol; it is up to date when this is the group's. */
  readonly epoch: number | null
  /** What it has now, by topic and partition; null when that cannot be read, since the group is not one of consumers. */
  readonly assignment: readonly TopicPartition[] | null
  /** What it shall have, where the broker decides that. */
  readonly target: readonly TopicPartition[] | null
}

export interface ListGroupOffsetsOptions extends AdminOptions {
  /** Default: all that a group has committed offsets of. */
  readonly partitions?: readonly TopicPartition[] | undefined
}

export interface GroupOffsets {
  readonly groupId: string
  /** Empty for a group that has committed nothing, or is not there. */
  readonly offsets: readonly CommittedOffset[]
}
