/**
 * How one member moves towards its target assignment (KIP-848, "member epoch and reconciliation"). Pure.
 *
 *                       target differs, something to give up
 *        ┌────────── stable ───────────────────────────────► unrevoked
 *        │              ▲                                    │      ▲ something more to give up
 *        │              │ all of the target is there         │ owns none of it any more
 *        │              │                                    ▼      │
 *        └────────► unreleased ◄──────────────── next step towards the target
 *          others have not let go of all of it
 *
 * Invariants:
 * - A member first gives up, then gets: its epoch reaches the target's only when it has nothing left to give up.
 * - What it gives up stays in `revoking` until the member itself reports, in a heartbeat that lists what it owns, that it has
 *   none of it any more. Until then nobody else gets it (faults.md G1, CG-7).
 * - It gets only partitions that nobody else holds in either list.
 */
import type { Assignment } from '../assignors/assignor.ts'
import { EMPTY_ASSIGNMENT } from '../assignors/assignor.ts'
import { namesAnyOf, unite } from './assignment-sets.ts'
import type { TopicPartitions } from './assignment-sets.ts'
import type { ConsumerMember } from './consumer-member.ts'

export interface ReconcileInput {
  readonly member: ConsumerMember
  readonly targetEpoch: number
  readonly target: Assignment
  /** Whether it subscribed to other topics in this very heartbeat. */
  readonly hasSubscriptionChanged: boolean
  /** Whether it subscribes to the topic of this id; true as well where that is not known yet. */
  readonly isSubscribedTo: (topicId: string) => boolean
  /** What the member says it owns; null when it did not say. */
  readonly owned: readonly TopicPartitions[] | null
  /** Whether nobody but this member holds the partition. */
  readonly isFree: (topicId: string, partition: number) => boolean
}

/** @returns The member itself when there is nothing to change. */
export function reconcile(input: ReconcileInput): ConsumerMember {
  const { member, targetEpoch } = input
  switch (member.state) {
    case 'stable':
      if (member.epoch !== targetEpoch) return step(input, member.epoch)
      return input.hasSubscriptionChanged ? dropUnsubscribed(input) : member
    case 'unrevoked':
      if (stillOwns(input.owned, member.revoking)) {
        return input.hasSubscriptionChanged ? dropUnsubscribed(input) : member
      }
      // At least one up, even if there is more to give up: whoever comes with the old epoch is told so.
      return step(input, Math.min(member.epoch + 1, targetEpoch))
    case 'unreleased':
      return step(input, member.epoch)
    case 'unknown':
      // The caller has made sure that it owns nothing: it starts anew.
      return step(input, targetEpoch)
  }
}

/** Not having said what it owns is not having let go. */
function stillOwns(owned: readonly TopicPartitions[] | null, revoking: Assignment): boolean {
  return owned === null || namesAnyOf(owned, revoking)
}

/** Stays where it is, but for topics that it does not want any more: those it has to give up at once. */
function dropUnsubscribed(input: ReconcileInput): ConsumerMember {
  const { member } = input
  const dropped = [...member.assigned].filter(([topicId]) => !input.isSubscribedTo(topicId))
  if (dropped.length === 0) return member
  const kept = [...member.assigned].filter(([topicId]) => input.isSubscribedTo(topicId))
  return {
    ...member,
    state: 'unrevoked',
    assigned: new Map(kept),
    revoking: unite(member.revoking, new Map(dropped)),
  }
}

/** @param epoch - What its epoch becomes if it has something to give up; else it becomes the target's. */
function step(input: ReconcileInput, epoch: number): ConsumerMember {
  const { member, target, targetEpoch } = input
  const assigned = new Map<string, readonly number[]>()
  const revoking = new Map<string, readonly number[]>()
  const withGained = new Map<string, readonly number[]>()
  let waits = false
  for (const topicId of new Set([...target.keys(), ...member.assigned.keys()])) {
    const wanted = new Set(input.isSubscribedTo(topicId) ? target.get(topicId) : undefined)
    const held = member.assigned.get(topicId) ?? []
    const kept = held.filter((partition) => wanted.has(partition))
    const lost = held.filter((partition) => !wanted.has(partition))
    for (const partition of kept) wanted.delete(partition)
    const gained = [...wanted].filter((partition) => input.isFree(topicId, partition))
    if (gained.length < wanted.size) waits = true
    if (kept.length > 0) assigned.set(topicId, kept)
    if (lost.length > 0) revoking.set(topicId, lost)
    if (kept.length + gained.length > 0) {
      withGained.set(
        topicId,
        [...kept, ...gained].sort((a, b) => a - b),
      )
    }
  }
  if (revoking.size > 0 && stillOwns(input.owned, revoking)) {
    return { ...moved(member, epoch), state: 'unrevoked', assigned, revoking }
  }
  const next: ConsumerMember = {
    ...moved(member, targetEpoch),
    state: waits ? 'unreleased' : 'stable',
    assigned: withGained,
    revoking: EMPTY_ASSIGNMENT,
  }
  return isWaitingAsBefore(member, next) ? member : next
}

/**
 * While the epoch stays, so does the one before it: a member that lost two answers in a row is as harmless as one that lost
 * one, since it is only let in if all it owns is its own still.
 */
function moved(member: ConsumerMember, epoch: number): ConsumerMember {
  return epoch === member.epoch ? member : { ...member, epoch, previousEpoch: member.epoch }
}

/** A member that still waits for the same partitions has not changed, and nothing is written for it. */
function isWaitingAsBefore(member: ConsumerMember, next: ConsumerMember): boolean {
  if (member.state !== 'unreleased' || next.state !== 'unreleased' || member.epoch !== next.epoch)
    return false
  let count = 0
  for (const partitions of member.assigned.values()) count += partitions.length
  for (const [topicId, partitions] of next.assigned) {
    const before = member.assigned.get(topicId)
    if (before?.length !== partitions.length) return false
    count -= partitions.length
  }
  return count === 0
}
