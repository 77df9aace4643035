/**
 * What a change of one member makes of its group (KIP-848), whichever protocol the member speaks: the records to write and the
 * member as it is then. Reads the state and changes nothing; who calls writes, replays and answers.
 *
 *   1. the member as it describes itself now, new, or in the place of a static one
 *   2. regular expressions and subscribed topics, if they may have changed; then the group's epoch
 *   3. the target assignment, if it is behind the group's epoch
 *   4. the member's next step towards its target
 */
import type { ClusterImage } from '../../../metadata/cluster-image.ts'
import type { CoordinatorRecord } from '../../records/coordinator-record.ts'
import type { ShardContext } from '../../shard-context.ts'
import { EMPTY_ASSIGNMENT } from '../assignors/assignor.ts'
import { isSameAssignment } from './assignment-sets.ts'
import type { TopicPartitions } from './assignment-sets.ts'
import { currentRecord, memberTombstones, metadataRecord, targetRecord } from './consumer-member.ts'
import type { ConsumerMember } from './consumer-member.ts'
import type { GroupState, ResolvedPatterns } from './group-state.ts'
import { namesRead } from './group-state.ts'
import type { PatternResolver } from './pattern-resolver.ts'
import { reconcile } from './reconciler.ts'
import { chooseAssignor, computeTargets, hashTopics, namesOf, subscribesAlike } from './target-assignment.ts'

/** What a step is made on, whoever makes it. */
export interface StepGround {
  readonly context: ShardContext
  readonly groupId: string
  readonly state: GroupState
  readonly patterns: PatternResolver
  /** Whether topics may have changed since the group's epoch was last decided. */
  readonly isRefreshDue: boolean
  /** Whether a new target assignment has to wait, lest assignments take all the time there is. */
  readonly mustDeferTarget: boolean
}

export interface StepInput extends StepGround {
  /** The member as it was; a new member, or one in the place of another, had nothing said of itself. */
  readonly base: ConsumerMember
  /** The static member whose place it takes, or null. */
  readonly replaced: ConsumerMember | null
  /** As it describes itself now: `base` itself when nothing changed. */
  readonly updated: ConsumerMember
  /** What the member says it owns; null when it did not say. */
  readonly owned: readonly TopicPartitions[] | null
  /** Whether the member can be told of its next step. If not, only the group goes on. */
  readonly isListening: boolean
}

export interface StepDecision {
  readonly records: readonly CoordinatorRecord[]
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

export function decideStep(input: StepInput): StepDecision {
  const { groupId, state, base, replaced, updated } = input
  const isNew = replaced === null && !state.members.has(base.memberId)
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
  const after =
    isSettled || !input.isListening
      ? updated
      : reconcile({
          member: updated,
          targetEpoch,
          target: targets.get(updated.memberId) ?? EMPTY_ASSIGNMENT,
          hasSubscriptionChanged,
          isSubscribedTo: subscriptionOf(updated, patterns, image),
          owned: input.owned,
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

export function isSameMetadata(a: ConsumerMember, b: ConsumerMember): boolean {
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

interface Resolution {
  readonly records: readonly CoordinatorRecord[]
  readonly patterns: ResolvedPatterns
  /** Whether a resolved expression matches other topics than before. */
  readonly hasChanged: boolean
  readonly isComplete: boolean
}

function resolvePatterns(input: StepGround, members: ReadonlyMap<string, ConsumerMember>): Resolution {
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
