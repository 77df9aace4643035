/**
 * One member of a group of the consumer protocol, as the log has it: what it said of itself, and how far it has come towards
 * its target assignment. Immutable; a change makes a new one.
 *
 * Invariant: a partition is never in both `assigned` and `revoking`.
 */
import type { CoordinatorRecord, CoordinatorValueOf } from '../../records/coordinator-record.ts'
import { EMPTY_ASSIGNMENT } from '../assignors/assignor.ts'
import type { Assignment } from '../assignors/assignor.ts'
import { gatherPartitions, listPartitions } from './assignment-sets.ts'

export const JOIN_EPOCH = 0
export const LEAVE_EPOCH = -1
/** A static member is away for a moment, and its partitions wait for it. */
export const STATIC_LEAVE_EPOCH = -2

/**
 * `stable`: has all of the target of its epoch. `unrevoked`: has to give up `revoking` before it may go on. `unreleased`: waits
 * for partitions of its target that others have not given up yet. `unknown`: a newer broker wrote something else.
 */
export type MemberState = 'stable' | 'unrevoked' | 'unreleased' | 'unknown'

/** Kafka's numbers. */
const STATE_CODES: Readonly<Record<MemberState, number>> = {
  stable: 0,
  unrevoked: 1,
  unreleased: 2,
  unknown: 127,
}

type MetadataValue = CoordinatorValueOf<'ConsumerGroupMemberMetadata'>
type CurrentValue = CoordinatorValueOf<'ConsumerGroupCurrentMemberAssignment'>

export interface ConsumerMember {
  readonly memberId: string
  readonly instanceId: string | null
  readonly rackId: string | null
  readonly clientId: string
  readonly clientHost: string
  /** Ascending, none twice. */
  readonly topicNames: readonly string[]
  /** Regular expression, or null. */
  readonly pattern: string | null
  /** How long it may take to give up partitions, in ms. */
  readonly rebalanceTimeoutMs: number
  /** Assignor it would have the group use, or null. */
  readonly assignorName: string | null
  /** Of a member that speaks the classic protocol, else null. */
  readonly classicMetadata: MetadataValue['classicMemberMetadata']

  /** Positive once it is told to the member; `STATIC_LEAVE_EPOCH` while a static one is away. */
  readonly epoch: number
  /** The epoch before: the member has it still when the answer with the present one was lost. */
  readonly previousEpoch: number
  readonly state: MemberState
  /** What it may use. */
  readonly assigned: Assignment
  /** What it was told to give up and may be using still. */
  readonly revoking: Assignment
}

export function newMember(memberId: string): ConsumerMember {
  return {
    memberId,
    instanceId: null,
    rackId: null,
    clientId: '',
    clientHost: '',
    topicNames: [],
    pattern: null,
    rebalanceTimeoutMs: -1,
    assignorName: null,
    classicMetadata: null,
    epoch: JOIN_EPOCH,
    previousEpoch: JOIN_EPOCH,
    state: 'stable',
    assigned: EMPTY_ASSIGNMENT,
    revoking: EMPTY_ASSIGNMENT,
  }
}

export function withMetadata(member: ConsumerMember, value: MetadataValue): ConsumerMember {
  return {
    ...member,
    instanceId: value.instanceId,
    rackId: value.rackId,
    clientId: value.clientId,
    clientHost: value.clientHost,
    topicNames: [...new Set(value.subscribedTopicNames)].sort(),
    pattern: value.subscribedTopicRegex === '' ? null : value.subscribedTopicRegex,
    rebalanceTimeoutMs: value.rebalanceTimeoutMs,
    assignorName: value.serverAssignor,
    classicMetadata: value.classicMemberMetadata,
  }
}

export function withCurrent(member: ConsumerMember, value: CurrentValue): ConsumerMember {
  const states = Object.keys(STATE_CODES) as MemberState[]
  return {
    ...member,
    epoch: value.memberEpoch,
    previousEpoch: value.previousMemberEpoch,
    state: states.find((state) => STATE_CODES[state] === value.state) ?? 'unknown',
    assigned: gatherPartitions(value.assignedPartitions),
    revoking: gatherPartitions(value.partitionsPendingRevocation),
  }
}

/** What is left of a member whose assignment was removed, until its metadata goes, too. */
export function withoutCurrent(member: ConsumerMember): ConsumerMember {
  return {
    ...member,
    epoch: LEAVE_EPOCH,
    previousEpoch: LEAVE_EPOCH,
    state: 'stable',
    assigned: EMPTY_ASSIGNMENT,
    revoking: EMPTY_ASSIGNMENT,
  }
}

export function metadataRecord(groupId: string, member: ConsumerMember): CoordinatorRecord {
  return {
    kind: 'ConsumerGroupMemberMetadata',
    key: { groupId, memberId: member.memberId },
    value: {
      instanceId: member.instanceId,
      rackId: member.rackId,
      clientId: member.clientId,
      clientHost: member.clientHost,
      subscribedTopicNames: member.topicNames,
      subscribedTopicRegex: member.pattern,
      rebalanceTimeoutMs: member.rebalanceTimeoutMs,
      serverAssignor: member.assignorName,
      classicMemberMetadata: member.classicMetadata,
    },
  }
}

export function currentRecord(groupId: string, member: ConsumerMember): CoordinatorRecord {
  const list = (assignment: Assignment) =>
    listPartitions(assignment).map((topic) => ({ ...topic, assignmentEpochs: null }))
  return {
    kind: 'ConsumerGroupCurrentMemberAssignment',
    key: { groupId, memberId: member.memberId },
    value: {
      memberEpoch: member.epoch,
      previousMemberEpoch: member.previousEpoch,
      state: STATE_CODES[member.state],
      assignedPartitions: list(member.assigned),
      partitionsPendingRevocation: list(member.revoking),
    },
  }
}

export function targetRecord(groupId: string, memberId: string, target: Assignment): CoordinatorRecord {
  return {
    kind: 'ConsumerGroupTargetAssignmentMember',
    key: { groupId, memberId },
    value: { topicPartitions: listPartitions(target) },
  }
}

/** Removes a member: first what it has, which frees its partitions, then what it was to have, then itself. */
export function memberTombstones(groupId: string, memberId: string): CoordinatorRecord[] {
  const key = { groupId, memberId }
  return [
    { kind: 'ConsumerGroupCurrentMemberAssignment', key, value: null },
    { kind: 'ConsumerGroupTargetAssignmentMember', key, value: null },
    { kind: 'ConsumerGroupMemberMetadata', key, value: null },
  ]
}
