/**
 * What a group's target assignment is made of: the topics its members read, as the cluster has them, and the assignor that
 * most of them ask for. Pure.
 */
import type { ClusterImage } from '../../../metadata/cluster-image.ts'
import type { ImageDelta } from '../../../metadata/image-delta.ts'
import { EMPTY_ASSIGNMENT, assignors } from '../assignors/assignor.ts'
import type { Assignment, AssignorMember } from '../assignors/assignor.ts'
import type { ConsumerMember } from './consumer-member.ts'
import type { ResolvedPatterns } from './group-state.ts'

export interface TargetInput {
  readonly members: ReadonlyMap<string, ConsumerMember>
  readonly patterns: ResolvedPatterns
  /** What each member was to have until now. */
  readonly targets: ReadonlyMap<string, Assignment>
  readonly image: ClusterImage
  readonly assignorName: string
}

/** The next target assignment, with an entry for every member. */
export function computeTargets(input: TargetInput): Map<string, Assignment> {
  const { topicsByName } = input.image
  const partitionCounts = new Map<string, number>()
  const members: AssignorMember[] = []
  // Most members of a group subscribe alike: what one reads is looked up once for all who follow it.
  let last: ConsumerMember | null = null
  let topicIds: readonly string[] = []
  for (const member of input.members.values()) {
    if (last === null || !subscribesAlike(member, last)) {
      const topics = [...namesOf(member, input.patterns)].flatMap((name) => topicsByName.get(name) ?? [])
      for (const { id, partitions } of topics) partitionCounts.set(id, partitions.length)
      topicIds = topics.map(({ id }) => id)
      last = member
    }
    members.push({
      memberId: member.memberId,
      instanceId: member.instanceId,
      topicIds,
      current: input.targets.get(member.memberId) ?? EMPTY_ASSIGNMENT,
    })
  }
  return assignors.get(input.assignorName)!({ members, partitionCounts })
}

/** Whether two members read the same topics, whatever the cluster has. */
export function subscribesAlike(a: ConsumerMember, b: ConsumerMember): boolean {
  return a.pattern === b.pattern && hasSameNames(a.topicNames, b.topicNames)
}

/** Both in order. */
export function hasSameNames(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((name, index) => name === b[index])
}

/** The names a member subscribes to, by name or by an expression that is resolved. */
export function namesOf(member: ConsumerMember, patterns: ResolvedPatterns): ReadonlySet<string> {
  const matched = member.pattern === null ? [] : (patterns.get(member.pattern) ?? [])
  return new Set([...member.topicNames, ...matched])
}

/** The assignor that most members ask for; among equals, and if nobody asks, the first on offer. */
export function chooseAssignor(members: Iterable<ConsumerMember>, onOffer: readonly string[]): string {
  const votes = new Map<string, number>()
  for (const { assignorName } of members) {
    if (assignorName !== null) votes.set(assignorName, (votes.get(assignorName) ?? 0) + 1)
  }
  let chosen = onOffer[0]!
  for (const name of onOffer) if ((votes.get(name) ?? 0) > (votes.get(chosen) ?? 0)) chosen = name
  return chosen
}

/**
 * A number that differs, but for one chance in some 10^15, when a topic of these names was created, deleted, made anew or got
 * more partitions (KIP-1101). Order does not matter; 0 when none exists. A safe integer.
 */
export function hashTopics(names: Iterable<string>, image: ClusterImage): number {
  let high = 0
  let low = 0
  for (const name of names) {
    const topic = image.topicsByName.get(name)
    if (topic === undefined) continue
    const text = `${topic.id} ${topic.partitions.length}`
    high = (high + hash(text, HASH_SEED_HIGH)) >>> 0
    low = (low + hash(text, HASH_SEED_LOW)) >>> 0
  }
  return (high >>> (2 * 32 - SAFE_BITS)) * 2 ** 32 + low
}

/** An integer of that many bits is exact in a number. */
const SAFE_BITS = 53
/** Two unlike starts, so that the halves are as good as independent. */
const HASH_SEED_HIGH = 0x9e3779b9
const HASH_SEED_LOW = 0x85ebca6b

/** FNV-1a over code units, then murmur3's finish. */
function hash(text: string, seed: number): number {
  let value = seed
  for (let index = 0; index < text.length; index++) {
    value = Math.imul(value ^ text.charCodeAt(index), 0x01000193)
  }
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b)
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35)
  return (value ^ (value >>> 16)) >>> 0
}

/** Names of topics that came, went or have more partitions: what groups may have to be rebalanced for. */
export function findTopicChanges(delta: ImageDelta): Set<string> {
  const names = new Set<string>()
  for (const { name } of delta.createdTopics) names.add(name)
  for (const { name } of delta.deletedTopics) names.add(name)
  for (const { before, after } of delta.changedTopics) {
    if (before.partitions.length !== after.partitions.length) names.add(after.name)
  }
  return names
}
