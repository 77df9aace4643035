/** Sets of partitions: as assignments (by topic id), and as requests, answers and records list them. */
import type { Assignment } from '../assignors/assignor.ts'

/** One topic's entry in a list of partitions. */
export interface TopicPartitions {
  readonly topicId: string
  readonly partitions: readonly number[]
}

/** Topics ascending by id, so that equal assignments make equal bytes. */
export function listPartitions(assignment: Assignment): { topicId: string; partitions: number[] }[] {
  return [...assignment]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([topicId, partitions]) => ({ topicId, partitions: [...partitions] }))
}

/** Puts in order what came from elsewhere: a topic may be listed twice, partitions in any order and more than once. */
export function gatherPartitions(list: readonly TopicPartitions[]): Assignment {
  const gathered = new Map<string, Set<number>>()
  for (const { topicId, partitions } of list) {
    if (partitions.length === 0) continue
    const known = gathered.get(topicId) ?? new Set()
    for (const partition of partitions) known.add(partition)
    gathered.set(topicId, known)
  }
  return new Map(
    [...gathered].map(([topicId, partitions]) => [topicId, [...partitions].sort((a, b) => a - b)]),
  )
}

export function isSameAssignment(a: Assignment, b: Assignment): boolean {
  if (a === b) return true
  if (a.size !== b.size) return false
  for (const [topicId, partitions] of a) {
    const others = b.get(topicId)
    if (others?.length !== partitions.length) return false
    if (!partitions.every((partition, index) => partition === others[index])) return false
  }
  return true
}

/** Whether a list names any partition of the assignment. */
export function namesAnyOf(list: readonly TopicPartitions[], assignment: Assignment): boolean {
  return list.some(({ topicId, partitions }) => {
    const assigned = new Set(assignment.get(topicId))
    return partitions.some((partition) => assigned.has(partition))
  })
}

/** Whether a list names partitions of the assignment alone. */
export function namesOnly(list: readonly TopicPartitions[], assignment: Assignment): boolean {
  return list.every(({ topicId, partitions }) => {
    const assigned = new Set(assignment.get(topicId))
    return partitions.every((partition) => assigned.has(partition))
  })
}

/** The partitions of both. */
export function unite(a: Assignment, b: Assignment): Assignment {
  if (b.size === 0) return a
  if (a.size === 0) return b
  return gatherPartitions([...listPartitions(a), ...listPartitions(b)])
}

/** Whether every partition of `a` is in `b`, too. */
export function isWithin(a: Assignment, b: Assignment): boolean {
  for (const [topicId, partitions] of a) {
    const others = new Set(b.get(topicId))
    if (!partitions.every((partition) => others.has(partition))) return false
  }
  return true
}
