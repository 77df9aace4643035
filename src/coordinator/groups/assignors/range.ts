/**
 * The `range` assignor: each topic is cut into contiguous ranges, one for each subscriber in order. Topics with as many
 * partitions and the same subscribers are cut alike, so that partition 5 of one and of the other are with the same member
 * (co-partitioning, for joins). The price: a member that joins or leaves shifts the ranges of those after it.
 *
 * Members are put in order by instance id, else member id, so that a static member that restarts keeps its ranges.
 */
import type { Assignment, AssignorInput, AssignorMember } from './assignor.ts'

/** Costs O(partitions + members x topics of each). */
export function assignByRange(input: AssignorInput): Map<string, Assignment> {
  const members = [...input.members].sort(byInstance)
  const subscribers = new Map<string, AssignorMember[]>()
  const assignments = new Map<string, Map<string, number[]>>()
  for (const member of members) {
    assignments.set(member.memberId, new Map())
    for (const topicId of member.topicIds) {
      const others = subscribers.get(topicId)
      if (others === undefined) subscribers.set(topicId, [member])
      else others.push(member)
    }
  }
  for (const [topicId, takers] of subscribers) {
    const partitionCount = input.partitionCounts.get(topicId) ?? 0
    const share = Math.floor(partitionCount / takers.length)
    const extraCount = partitionCount % takers.length
    let nextPartition = 0
    for (const [index, { memberId }] of takers.entries()) {
      const count = share + (index < extraCount ? 1 : 0)
      if (count === 0) break
      const start = nextPartition
      assignments.get(memberId)!.set(
        topicId,
        Array.from({ length: count }, (_, step) => start + step),
      )
      nextPartition += count
    }
  }
  return assignments
}

/** Static members first; ids compare by code unit, as everywhere where the result must not depend on a language. */
function byInstance(a: AssignorMember, b: AssignorMember): number {
  if (a.instanceId !== null && b.instanceId !== null) return compare(a.instanceId, b.instanceId)
  if (a.instanceId !== null) return -1
  if (b.instanceId !== null) return 1
  return compare(a.memberId, b.memberId)
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
