/**
 * What one heartbeat of a member that stays or joins makes of its group (KIP-848): finds the member, makes it, or puts it in the
 * place of a static one, and takes what it says of itself; the rest is group-step.ts's. Reads the state and changes nothing;
 * consumer-group.ts writes, replays and answers.
 */
import type { ConsumerGroupHeartbeatRequest } from '../../../protocol/messages/consumer-group-heartbeat.ts'
import { SubscriptionPattern } from '../subscription-pattern.ts'
import { isSameAssignment } from './assignment-sets.ts'
import { JOIN_EPOCH, STATIC_LEAVE_EPOCH, newMember } from './consumer-member.ts'
import type { ConsumerMember } from './consumer-member.ts'
import { decideStep, isSameMetadata } from './group-step.ts'
import type { StepDecision, StepGround } from './group-step.ts'
import type { GroupState } from './group-state.ts'
import { findEpochFault } from './heartbeat-checks.ts'
import type { Refusal } from './heartbeat-checks.ts'

/** Different regular expressions in one group; each costs a look at every topic's name, and a record. */
const PATTERNS_PER_GROUP_MAX = 100

/** Who sends a heartbeat, as far as the request does not say it. */
export interface HeartbeatClient {
  readonly apiVersion: number
  readonly clientId: string
  readonly clientHost: string
}

export interface HeartbeatInput extends StepGround {
  readonly request: ConsumerGroupHeartbeatRequest
  /** As in the request, or made for it. */
  readonly memberId: string
  readonly client: HeartbeatClient
}

interface Found {
  readonly base: ConsumerMember
  /** The static member whose place it takes, or null. */
  readonly replaced: ConsumerMember | null
}

export function decideHeartbeat(input: HeartbeatInput): StepDecision | Refusal {
  const { groupId, state, request } = input
  const found = findMember(input)
  if ('error' in found) return found
  const { base, replaced } = found
  const isNew = replaced === null && !state.members.has(base.memberId)
  const isFull = state.members.size >= input.context.config.consumerGroupSizeMax
  if (isNew && isFull) return fullGroup(groupId, state)
  const updated = describeItself(base, request, input.client)
  const fault = findPatternFault(state, base, updated)
  if (fault !== null) return fault
  return decideStep({ ...input, base, replaced, updated, owned: request.topicPartitions, isListening: true })
}

export function fullGroup(groupId: string, state: GroupState): Refusal {
  const message = `Joined group ${JSON.stringify(groupId)}: it has ${state.members.size} members, no more are allowed`
  return { error: 'GROUP_MAX_SIZE_REACHED', message }
}

function findMember({ state, request, memberId }: HeartbeatInput): Found | Refusal {
  const { instanceId, memberEpoch } = request
  const holder = instanceId === null ? null : state.findStaticMember(instanceId)
  if (memberEpoch !== JOIN_EPOCH) return findPresent(instanceId, holder, request, memberId, state)
  if (holder === null || holder.memberId === memberId) {
    // The same process once more: its last answer was lost, or it was fenced. Kafka tells a static one of these that its own
    // instance id is taken; since processes make their ids themselves (KIP-1082), it is known to be the same one.
    const known = state.members.get(memberId)
    return { base: known === undefined ? newMember(memberId) : atTheDoor(known), replaced: null }
  }
  if (holder.epoch !== STATIC_LEAVE_EPOCH) {
    return {
      error: 'UNRELEASED_INSTANCE_ID',
      message: `Joined as ${JSON.stringify(instanceId)}: member ${holder.memberId} has that instance id`,
    }
  }
  return { base: { ...atTheDoor(holder), memberId }, replaced: holder }
}

function findPresent(
  instanceId: string | null,
  holder: ConsumerMember | null,
  request: ConsumerGroupHeartbeatRequest,
  memberId: string,
  state: GroupState,
): Found | Refusal {
  const member = instanceId === null ? state.members.get(memberId) : holder
  if (member === undefined || member === null) return unknownMember(memberId)
  if (member.memberId !== memberId) return fencedInstance(memberId, member)
  // The other protocol has its own requests; it can be changed by joining alone.
  if (member.classicMetadata !== null) return unknownMember(memberId)
  return findEpochFault(member, request) ?? { base: member, replaced: null }
}

/** A static member comes back with the partitions that waited for it, and with an epoch to be found. */
export function atTheDoor(member: ConsumerMember): ConsumerMember {
  if (member.epoch !== STATIC_LEAVE_EPOCH) return member
  return { ...member, epoch: JOIN_EPOCH, previousEpoch: JOIN_EPOCH, state: 'stable' }
}

export function unknownMember(memberId: string): Refusal {
  return { error: 'UNKNOWN_MEMBER_ID', message: `Sent a heartbeat: the group has no member ${memberId}` }
}

export function fencedInstance(memberId: string, holder: ConsumerMember): Refusal {
  return {
    error: 'FENCED_INSTANCE_ID',
    message:
      `Sent a heartbeat: member ${holder.memberId} has taken the place of ${memberId} ` +
      `as instance ${JSON.stringify(holder.instanceId)}`,
  }
}

/** Null, and -1, in a request say that nothing changed. */
function describeItself(
  base: ConsumerMember,
  request: ConsumerGroupHeartbeatRequest,
  client: HeartbeatClient,
): ConsumerMember {
  const { subscribedTopicNames: names, subscribedTopicRegex: pattern } = request
  const updated: ConsumerMember = {
    ...base,
    instanceId: request.instanceId ?? base.instanceId,
    rackId: request.rackId ?? base.rackId,
    clientId: client.clientId,
    clientHost: client.clientHost,
    topicNames: names === null ? base.topicNames : [...new Set(names)].sort(),
    pattern: pattern === null ? base.pattern : pattern === '' ? null : pattern,
    rebalanceTimeoutMs:
      request.rebalanceTimeoutMs === -1 ? base.rebalanceTimeoutMs : request.rebalanceTimeoutMs,
    assignorName: request.serverAssignor ?? base.assignorName,
    classicMetadata: null,
  }
  return isSameMetadata(base, updated) ? base : updated
}

function findPatternFault(state: GroupState, base: ConsumerMember, updated: ConsumerMember): Refusal | null {
  const { pattern } = updated
  if (pattern === null || pattern === base.pattern || state.patterns.has(pattern)) return null
  const compiled = SubscriptionPattern.compile(pattern)
  if (typeof compiled === 'string') return { error: 'INVALID_REGULAR_EXPRESSION', message: compiled }
  const others = new Set([...state.members.values()].map((member) => member.pattern))
  others.delete(null)
  if (others.has(pattern) || others.size < PATTERNS_PER_GROUP_MAX) return null
  return {
    error: 'INVALID_REGULAR_EXPRESSION',
    message: `Subscribed with a regular expression: the group has ${others.size} others, no more are allowed`,
  }
}

/** Whether an answer has to tell what the member is assigned. */
export function mustTellAssignment(
  request: ConsumerGroupHeartbeatRequest,
  before: ConsumerMember,
  after: ConsumerMember,
): boolean {
  const { memberEpoch, rebalanceTimeoutMs, subscribedTopicNames, subscribedTopicRegex } = request
  const isFull =
    rebalanceTimeoutMs !== -1 &&
    (subscribedTopicNames !== null || subscribedTopicRegex !== null) &&
    request.topicPartitions !== null
  // A member that joins, that says everything (it had an error), or that comes with an old epoch has lost an answer.
  const hasLostAnswer = memberEpoch === JOIN_EPOCH || isFull || memberEpoch !== before.epoch
  return hasLostAnswer || !isSameAssignment(before.assigned, after.assigned)
}
