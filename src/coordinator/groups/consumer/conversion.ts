/**
 * A group between the protocols while its members are online (KIP-848, "upgrade" and "downgrade"): the records that make a group
 * of the consumer protocol of a classic one, and the other way. Pure; each way is written as one batch with what brought it about.
 *
 * Invariants (docs/faults.md G1):
 * - Upgrade: whatever a classic member may be using is its own in the new group, until it says itself, by joining again, that
 *   it has it no more. That is what it was assigned in the present generation, told or not, and what it said that it had when
 *   it last joined: with a cooperative assignor it keeps that until it is told otherwise.
 * - Of two that seem to have the same partition, it is the one's who was assigned it, and else the one's who got it in the
 *   later generation: a leader gives away only what the others have said they do not have any more.
 * - Downgrade: the classic group begins with a rebalance, in which all members say what they have; until it is through, its
 *   record says what they may have, for the next upgrade.
 */
import type { ClusterImage } from '../../../metadata/cluster-image.ts'
import type { CoordinatorRecord } from '../../records/coordinator-record.ts'
import type { Assignment } from '../assignors/assignor.ts'
import { ClassicMember } from '../classic/classic-member.ts'
import type { ClassicPresent } from '../classic/classic-member.ts'
import { readAssignment, writeAssignment } from '../classic/consumer-protocol.ts'
import { groupRecord, groupRecordValue } from '../classic/group-record.ts'
import type { GroupRecordValue } from '../classic/group-record.ts'
import { MemberTable } from '../classic/member-table.ts'
import { gatherPartitions, unite } from './assignment-sets.ts'
import type { TopicPartitions } from './assignment-sets.ts'
import { CONSUMER_PROTOCOL_TYPE, claimOfMember, readClaim, withClaim } from './classic-claim.ts'
import type { ClassicSpeakingMember, ReadClaim } from './classic-claim.ts'
import { currentRecord, metadataRecord, newMember, targetRecord } from './consumer-member.ts'
import type { ConsumerMember } from './consumer-member.ts'
import { targetMetadataRecord } from './group-step.ts'
import { toAssignment, toNamed } from './named-partitions.ts'

interface Convert {
  readonly member: ConsumerMember
  readonly claim: ReadClaim
  readonly assigned: Assignment
}

/**
 * @param epochMin - What the epoch of the group must not be below.
 * @returns Why the group has to stay classic, for people, if it has to.
 */
export function upgradeRecords(
  groupId: string,
  present: ClassicPresent,
  epochMin: number,
  { image, wallTimeMs }: { readonly image: ClusterImage; readonly wallTimeMs: number },
): CoordinatorRecord[] | string {
  if (present.protocolType !== CONSUMER_PROTOCOL_TYPE) {
    return `its members are no consumers, but of protocol type ${JSON.stringify(present.protocolType)}`
  }
  const converts: Convert[] = []
  for (const classic of present.members) {
    // Whom no join was answered has nothing, and may not know its id: it joins anew.
    if (classic.isNew) continue
    const claim = readClaim(classic.claim)
    if (typeof claim === 'string') return `member ${classic.id} cannot be read: ${claim}`
    const named = readAssignment(classic.assignment)
    if (named === null) return `member ${classic.id} has an assignment that is none of consumers`
    const base = { ...newMember(classic.id), epoch: present.generation, previousEpoch: present.generation }
    const member = withClaim(base, classic.instanceId, classic.claim, claim)
    converts.push({ member, claim, assigned: toAssignment(named, image) })
  }
  const held = shareOut(converts, image)
  const epoch = Math.max(1, epochMin, present.numberTaken)
  const members = converts.map(({ member }) => ({ ...member, assigned: held.get(member.memberId)! }))
  return [
    groupRecord(groupId, null),
    // The hash is one of no topics, so that the group looks for them at once.
    { kind: 'ConsumerGroupMetadata', key: { groupId }, value: { epoch, metadataHash: 0 } },
    ...members.map((member) => metadataRecord(groupId, member)),
    ...members.map(({ memberId, assigned }) => targetRecord(groupId, memberId, assigned)),
    targetMetadataRecord(groupId, epoch, wallTimeMs),
    ...members.map((member) => currentRecord(groupId, member)),
  ]
}

/** What each member may be using, every partition once. */
function shareOut(converts: readonly Convert[], image: ClusterImage): Map<string, Assignment> {
  const owners = new Map<string, Map<number, string>>()
  const lists = new Map<string, TopicPartitions[]>()
  const take = (memberId: string, wanted: Assignment): void => {
    const list = lists.get(memberId) ?? []
    lists.set(memberId, list)
    for (const [topicId, partitions] of wanted) {
      const taken = owners.get(topicId) ?? new Map<number, string>()
      owners.set(topicId, taken)
      const free = partitions.filter((partition) => !taken.has(partition))
      for (const partition of free) taken.set(partition, memberId)
      list.push({ topicId, partitions: free })
    }
  }
  for (const { member, assigned } of converts) take(member.memberId, assigned)
  const byGeneration = [...converts].sort((a, b) => b.claim.ownedGeneration - a.claim.ownedGeneration)
  for (const { member, claim } of byGeneration) take(member.memberId, toAssignment(claim.owned, image))
  return new Map(Array.from(lists, ([memberId, list]) => [memberId, gatherPartitions(list)]))
}

/**
 * The classic group of members that all speak the classic protocol, in the generation that their epochs lead to, with a
 * rebalance ahead.
 *
 * @param members - At least one.
 * @returns Null when they have no strategy in common.
 */
export function downgradedGroup(
  members: readonly ClassicSpeakingMember[],
  generation: number,
  { image, wallTimeMs }: { readonly image: ClusterImage; readonly wallTimeMs: number },
): GroupRecordValue | null {
  const table = new MemberTable()
  for (const member of members) {
    const classic = new ClassicMember(member.memberId, member.instanceId, claimOfMember(member))
    classic.assignment = writeAssignment(toNamed(unite(member.assigned, member.revoking), image))
    table.add(classic)
  }
  if (!table.supportsAny(claimOfMember(members[0]!).protocols)) return null
  return groupRecordValue({
    protocolType: CONSUMER_PROTOCOL_TYPE,
    generation,
    protocolName: table.selectProtocol(),
    // Nobody leads yet: a group whose record says so rebalances when it is read.
    leaderId: null,
    stateSinceMs: wallTimeMs,
    members: table,
    assigned: ({ assignment }) => assignment,
  })
}
