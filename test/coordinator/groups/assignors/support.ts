/** Assignments to try assignors on, and what must hold of any result (faults.md G2). */
import { expect } from 'vitest'
import type {
  Assignment,
  AssignorInput,
  AssignorMember,
} from '../../../../src/coordinator/groups/assignors/assignor.ts'
import { EMPTY_ASSIGNMENT } from '../../../../src/coordinator/groups/assignors/assignor.ts'

export function member(
  memberId: string,
  topicIds: readonly string[],
  current: Assignment = EMPTY_ASSIGNMENT,
  instanceId: string | null = null,
): AssignorMember {
  return { memberId, instanceId, topicIds, current }
}

/** The same members with what they were just given. */
export function next(input: AssignorInput, given: ReadonlyMap<string, Assignment>): AssignorInput {
  const members = input.members.map((each) => ({
    ...each,
    current: given.get(each.memberId) ?? EMPTY_ASSIGNMENT,
  }))
  return { ...input, members }
}

export const loadOf = (assignment: Assignment | undefined): number =>
  [...(assignment ?? [])].reduce((sum, [, partitions]) => sum + partitions.length, 0)

/** Owner of each partition as `topic-partition`. */
export function ownersOf(given: ReadonlyMap<string, Assignment>): Map<string, string> {
  const owners = new Map<string, string>()
  for (const [memberId, assignment] of given) {
    for (const [topicId, partitions] of assignment) {
      for (const partition of partitions) {
        expect(
          owners.get(`${topicId}-${partition}`),
          `${topicId}-${partition} has two owners`,
        ).toBeUndefined()
        owners.set(`${topicId}-${partition}`, memberId)
      }
    }
  }
  return owners
}

/** Partitions that were with one member and are now with another. */
export function movedFrom(
  before: ReadonlyMap<string, Assignment>,
  after: ReadonlyMap<string, Assignment>,
): string[] {
  const now = ownersOf(after)
  return [...ownersOf(before)]
    .filter(([partition, owner]) => now.get(partition) !== owner)
    .map(([, owner]) => owner)
}

/** Each partition of each subscribed topic once, to a subscriber; lists ascending. */
export function checkComplete(input: AssignorInput, given: ReadonlyMap<string, Assignment>): void {
  expect([...given.keys()].sort()).toEqual(input.members.map(({ memberId }) => memberId).sort())
  const owners = ownersOf(given)
  const topicIds = new Set(input.members.flatMap((each) => each.topicIds))
  let partitionCount = 0
  for (const topicId of topicIds) {
    const count = input.partitionCounts.get(topicId) ?? 0
    partitionCount += count
    for (let partition = 0; partition < count; partition++) {
      const owner = owners.get(`${topicId}-${partition}`)
      const subscribers = input.members.filter((each) => each.topicIds.includes(topicId))
      expect(
        subscribers.some(({ memberId }) => memberId === owner),
        `${topicId}-${partition}`,
      ).toBe(true)
    }
  }
  expect(owners.size).toBe(partitionCount)
  for (const assignment of given.values()) {
    for (const partitions of assignment.values()) {
      expect(partitions).toEqual([...partitions].sort((a, b) => a - b))
      expect(partitions.length).toBeGreaterThan(0)
    }
  }
}
