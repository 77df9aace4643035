/**
 * What one heartbeat of a member that stays or joins makes of its group (KIP-848): the records to write and the member as it
 * is then. Reads the state and changes nothing; consumer-group.ts writes, replays and answers.
 *
 *   1. the member, found, made or put in the place of a static one; what it says of itself
 *   2. regular expressions and subscribed topics, if they may have changed; then the group's epoch
 *   3. the target assignment, if it is behind the group's epoch
 *   4. the member's next step towards its target
 */
import type { ClusterImage } from '../../../metadata/cluster-image.ts'
import type { ConsumerGroupHeartbeatRequest } from '../../../protocol/messages/consumer-group-heartbeat.ts'
import type { CoordinatorRecord } from '../../records/coordinator-record.ts'
import type { ShardContext } from '../../shard-context.ts'
import { EMPTY_ASSIGNMENT } from '../assignors/assignor.ts'

import { SubscriptionPattern } from '../subscription-pattern.ts'
import { isSameAssignment } from './assignment-sets.ts'
import {
  JOIN_EPOCH,
  STATIC_LEAVE_EPOCH,
  currentRecord,
  memberTombstones,
  metadataRecord,
  newMember,
  targetRecord,
} from './consumer-member.ts'
import type { ConsumerMember } from './consumer-member.ts'
import type { GroupState, ResolvedPatterns } from './group-state.ts'
import { namesRead } from './group-state.ts'
import { findEpochFault } from './heartbeat-checks.ts'
import type { Refusal } from './heartbeat-checks.ts'
import type { PatternResolver } from './pattern-resolver.ts'
import { reconcile } from './reconciler.ts'
import { chooseAssignor, computeTargets, hashTopics, namesOf, subscribesAlike } from './target-assignment.ts'

/** Different regular expressions in one group; each costs a look at every topic's name, and a record. */
const PATTERNS_PER_GROUP_MAX = 100

/** Who sends a heartbeat, as far as the request does not say it. */
export interface HeartbeatClient {
  readonly apiVersion: number
  readonly clientId: string
  readonly clientHost: string
}

export interface DecisionInput {
  readonly context: ShardContext
  readonly groupId: string
  readonly state: GroupState
  readonly patterns: PatternResolver
  readonly request: ConsumerGroupHeartbeatRequest
  /** As in the request, or made for it. */
  readonly memberId: string
  readonly client: HeartbeatClient
  /** Whether topics may have changed since the group's epoch was last decided. */
  readonly isRefreshDue: boolean
  /** Whether a new target assignment has to wait, lest assignments take all the time there is. */
  readonly mustDeferTarget: boolean
}

export interface HeartbeatDecision {
  readonly records: readonly CoordinatorRecord[]
  /** As it was; a new member, or one in the place of another, had nothing. */
  readonly before: ConsumerMember
  readonly after: ConsumerMember
  /** The static member whose place it took, or null. */
  readonly replacedId: string | null
  /** Whether all that `isRefreshDue` stands for has been looked at. */
  readonly isRefreshed: boolean
  readonly raisesEpoch: boolean
  /** Time that computing a target assignment took, in ms; null when none was. */
  readonly targetMs: number | null
}

interface Found {
  readonly base: ConsumerMember
  /** The static member whose place it takes, or null. */
  readonly replaced: ConsumerMember | null
}

export function decideHeartbeat(input: DecisionInput): HeartbeatDecision | Refusal {
  const { groupId, state, request } = input
  const found = findMember(input)
  if ('error' in found) return found
  const { base, replaced } = found
  const isNew = replaced === null && !state.members.has(base.memberId)
  const isFull = state.members.size >= input.context.config.consumerGroupSizeMax
  if (isNew && isFull) {
    return {
      error: 'GROUP_MAX_SIZE_REACHED',
      message: `Joined group ${JSON.stringify(groupId)}: it has ${state.members.size} members, no more are allowed`,
    }
  }
  const updated = describeItself(base, request, input.client)
  const fault = findPatternFault(state, base, updated)
  if (fault !== null) return fault

  const records: CoordinatorRecord[] = []
  if (replaced !== null) records.push(...memberTombstones(groupId, replaced.memberId))
  const metadata = metadataRecord(groupId, updated)
  if (isNew || replaced !== null || !isSameMetadata(base, updated)) records.push(metadata)
  let { targets } = state
  let { members }: { members: ReadonlyMap<string, ConsumerMember> } = state
  if (isNew || updated !== base || replaced !== null) {
    const changed = new Map(state.members)
    if (replaced !== null) changed.delete(replaced.memberId)
    members = changed.set(updated.memberId, updated)
  }
  if (replaced !== null) {
    const target = state.targets.get(replaced.memberId) ?? EMPTY_ASSIGNMENT
    targets = new Map(state.targets).set(updated.memberId, target)
    records.push(targetRecord(groupId, updated.memberId, target))
  }

  const image = input.context.image()
  const { consumerAssignors } = input.context.config
  const hasSubscriptionChanged = isNew || !subscribesAlike(base, updated)
  const hasAssignorChanged =
    members !== state.members &&
    chooseAssignor(members.values(), consumerAssignors) !==
      chooseAssignor(state.members.values(), consumerAssignors)
  let epoch = state.epoch
  let patterns: ResolvedPatterns = state.patterns
  let isRefreshed = !input.isRefreshDue
  if (input.isRefreshDue || hasSubscriptionChanged || hasAssignorChanged) {
    const resolved = resolvePatterns(input, members)
    records.push(...resolved.records)
    patterns = resolved.patterns
    isRefreshed = resolved.isComplete
    const hash = hashTopics(namesRead(members.values(), patterns), image)
    // A new expression that is not resolved yet is no reason: it becomes one as soon as it is.
    const isReadyToRead = updated.pattern === null || patterns.has(updated.pattern)
    const mustRaise =
      isNew || (hasSubscriptionChanged && isReadyToRead) || hasAssignorChanged || resolved.hasChanged
    if (mustRaise || hash !== state.metadataHash) {
      epoch++
      records.push(...epochRecords(groupId, state, epoch, hash))
    }
  }

  let targetEpoch = state.assignmentEpoch
  let targetMs: number | null = null
  if (epoch > targetEpoch && (targetEpoch === 0 || !input.mustDeferTarget)) {
    const { clock } = input.context
    const startMs = clock.monotonicMs()
    const assignorName = chooseAssignor(members.values(), consumerAssignors)
    const next = computeTargets({ members, patterns, targets, image, assignorName })
    for (const [memberId, target] of next) {
      const present = targets.get(memberId)
      if (present !== undefined && isSameAssignment(present, target)) continue
      records.push(targetRecord(groupId, memberId, target))
    }
    targets = next
    records.push(targetMetadataRecord(groupId, epoch, clock.wallTimeMs()))
    targetEpoch = epoch
    targetMs = clock.monotonicMs() - startMs
  }

  const isSettled = updated.state === 'stable' && updated.epoch === targetEpoch && !hasSubscriptionChanged
  const after = isSettled
    ? updated
    : reconcile({
        member: updated,
        targetEpoch,
        target: targets.get(updated.memberId) ?? EMPTY_ASSIGNMENT,
        hasSubscriptionChanged,
        isSubscribedTo: subscriptionOf(updated, patterns, image),
        owned: request.topicPartitions,
        isFree: (topicId, partition) => {
          const owner = state.ownerOf(topicId, partition)
          return owner === null || owner === updated.memberId || owner === replaced?.memberId
        },
      })
  if (replaced !== null || after !== updated) records.push(currentRecord(groupId, after))
  return {
    records,
    before: base,
    after,
    replacedId: replaced?.memberId ?? null,
    isRefreshed,
    raisesEpoch: epoch > state.epoch,
    targetMs,
  }
}

/** What raises the group's epoch; on the way it removes what Kafka 4.0 left behind. */
export function epochRecords(
  groupId: string,
  state: GroupState,
  epoch: number,
  metadataHash: number,
): CoordinatorRecord[] {
  const records: CoordinatorRecord[] = [
    { kind: 'ConsumerGroupMetadata', key: { groupId }, value: { epoch, metadataHash } },
  ]
  if (state.hasPartitionMetadata) {
    records.push({ kind: 'ConsumerGroupPartitionMetadata', key: { groupId }, value: null })
  }
  return records
}

export function targetMetadataRecord(
  groupId: string,
  assignmentEpoch: number,
  wallTimeMs: number,
): CoordinatorRecord {
  return {
    kind: 'ConsumerGroupTargetAssignmentMetadata',
    key: { groupId },
    value: { assignmentEpoch, assignmentTimestamp: wallTimeMs },
  }
}

function findMember({ state, request, memberId }: DecisionInput): Found | Refusal {
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
  return findEpochFault(member, request) ?? { base: member, replaced: null }
}

/** A static member comes back with the partitions that waited for it, and with an epoch to be found. */
function atTheDoor(member: ConsumerMember): ConsumerMember {
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

function isSameMetadata(a: ConsumerMember, b: ConsumerMember): boolean {
  return (
    a === b ||
    (a.instanceId === b.instanceId &&
      a.rackId === b.rackId &&
      a.clientId === b.clientId &&
      a.clientHost === b.clientHost &&
      a.rebalanceTimeoutMs === b.rebalanceTimeoutMs &&
      a.assignorName === b.assignorName &&
      a.classicMetadata === b.classicMetadata &&
      subscribesAlike(a, b))
  )
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

interface Resolution {
  readonly records: readonly CoordinatorRecord[]
  readonly patterns: ResolvedPatterns
  /** Whether a resolved expression matches other topics than before. */
  readonly hasChanged: boolean
  readonly isComplete: boolean
}

function resolvePatterns(input: DecisionInput, members: ReadonlyMap<string, ConsumerMember>): Resolution {
  const { groupId, state, context } = input
  const wanted = new Set<string>()
  for (const { pattern } of members.values()) if (pattern !== null) wanted.add(pattern)
  input.patterns.keepOnly(groupId, wanted)
  const records: CoordinatorRecord[] = []
  const patterns = new Map<string, readonly string[]>()
  let hasChanged = false
  let isComplete = true
  for (const pattern of wanted) {
    const names = input.patterns.find(groupId, pattern)
    const known = state.patterns.get(pattern)
    if (names === null) isComplete = false
    const next = names ?? known
    if (next === undefined) continue
    patterns.set(pattern, next)
    if (known !== undefined && next.length === known.length && next.every((name, i) => name === known[i])) {
      continue
    }
    hasChanged = true
    records.push({
      kind: 'ConsumerGroupRegularExpression',
      key: { groupId, regularExpression: pattern },
      value: { topics: next, version: context.image().endOffset, timestamp: context.clock.wallTimeMs() },
    })
  }
  records.push(...patternTombstones(groupId, state, wanted))
  return { records, patterns, hasChanged, isComplete }
}

/** Removes the expressions that nobody subscribes with any more. */
export function patternTombstones(
  groupId: string,
  state: GroupState,
  wanted: ReadonlySet<string>,
): CoordinatorRecord[] {
  return [...state.patterns.keys()]
    .filter((pattern) => !wanted.has(pattern))
    .map((regularExpression) => ({
      kind: 'ConsumerGroupRegularExpression',
      key: { groupId, regularExpression },
      value: null,
    }))
}

/** While its expression is not resolved, a member may keep what it has: it is not known what it does not want. */
function subscriptionOf(
  member: ConsumerMember,
  patterns: ResolvedPatterns,
  image: ClusterImage,
): (topicId: string) => boolean {
  if (member.pattern !== null && !patterns.has(member.pattern)) return () => true
  const names = namesOf(member, patterns)
  return (topicId) => {
    const topic = image.topicsById.get(topicId)
    return topic !== undefined && names.has(topic.name)
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
