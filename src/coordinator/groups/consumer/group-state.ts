/**
 * What the log says of one group of the consumer protocol (KIP-848): a fold of its records and nothing else.
 *
 * Invariants:
 * - Only `replay` changes it, in live operation as after a load.
 * - epoch >= assignmentEpoch >= the epoch of every member. The group's epoch rises when the target assignment has to be
 *   computed anew, the assignment's when that was done, a member's when the member has followed.
 * - `ownerOf` names the one member that holds a partition, in use or still to be given up (faults.md G1).
 *
 * Records of one key may be missing in a log that is compacted while it is read, so that for a moment an older record of
 * another member says that it holds a partition, too. The later record wins; `rebuildOwners` settles it at the end.
 */
import { assertNever } from '../../../base/assert.ts'
import type { CoordinatorRecord, CoordinatorRecordOf } from '../../records/coordinator-record.ts'
import type { Assignment } from '../assignors/assignor.ts'
import { gatherPartitions } from './assignment-sets.ts'
import { newMember, withCurrent, withMetadata, withoutCurrent } from './consumer-member.ts'
import type { ConsumerMember } from './consumer-member.ts'

export type ConsumerGroupRecord = CoordinatorRecordOf<
  | 'ConsumerGroupMetadata'
  | 'ConsumerGroupPartitionMetadata'
  | 'ConsumerGroupMemberMetadata'
  | 'ConsumerGroupTargetAssignmentMetadata'
  | 'ConsumerGroupTargetAssignmentMember'
  | 'ConsumerGroupCurrentMemberAssignment'
  | 'ConsumerGroupRegularExpression'
>

export function isConsumerGroupRecord(record: CoordinatorRecord): record is ConsumerGroupRecord {
  return record.kind !== 'GroupMetadata' && record.kind !== 'OffsetCommit'
}

/** What a regular expression matched when it was last resolved: names, ascending. */
export type ResolvedPatterns = ReadonlyMap<string, readonly string[]>

export class GroupState {
  #epoch = 0
  #metadataHash = 0
  #assignmentEpoch = 0
  #assignmentTimestampMs = 0
  #hasPartitionMetadata = false
  readonly #members = new Map<string, ConsumerMember>()
  readonly #memberIdsByInstance = new Map<string, string>()
  readonly #targets = new Map<string, Assignment>()
  readonly #patterns = new Map<string, readonly string[]>()
  /** Member that holds each partition, by topic id. */
  readonly #owners = new Map<string, Map<number, string>>()
  /** Members that speak the classic protocol, and how many of them offer each strategy. */
  #classicCount = 0
  readonly #supporters = new Map<string, number>()
  /** Topics that anybody reads, and the name of the state; null: to be found out anew. */
  #subscribedNames: ReadonlySet<string> | null = null
  #name: string | null = null

  /** 0 before the first record. */
  get epoch(): number {
    return this.#epoch
  }

  /** Of the topics that the target assignment was last decided for; 0 for none. */
  get metadataHash(): number {
    return this.#metadataHash
  }

  get assignmentEpoch(): number {
    return this.#assignmentEpoch
  }

  /** Wall clock, ms; 0 unknown. */
  get assignmentTimestampMs(): number {
    return this.#assignmentTimestampMs
  }

  /** Whether the log has the record by which Kafka 4.0 kept the subscribed topics. */
  get hasPartitionMetadata(): boolean {
    return this.#hasPartitionMetadata
  }

  /** Whether no record of the group is left. */
  get isBlank(): boolean {
    const isUnsaid = this.#epoch === 0 && this.#assignmentEpoch === 0 && !this.#hasPartitionMetadata
    return isUnsaid && this.#members.size + this.#targets.size + this.#patterns.size === 0
  }

  get members(): ReadonlyMap<string, ConsumerMember> {
    return this.#members
  }

  get targets(): ReadonlyMap<string, Assignment> {
    return this.#targets
  }

  get patterns(): ResolvedPatterns {
    return this.#patterns
  }

  /** Kafka's names: Empty, Assigning, Reconciling, Stable. */
  get name(): string {
    this.#name ??= this.#findName()
    return this.#name
  }

  /** Names of the topics that any member reads, as far as its regular expression is resolved. */
  get subscribedNames(): ReadonlySet<string> {
    this.#subscribedNames ??= namesRead(this.#members.values(), this.#patterns)
    return this.#subscribedNames
  }

  /** Members that speak the classic protocol. */
  get classicCount(): number {
    return this.#classicCount
  }

  /** Whether the group has members, and all of them speak the classic protocol. */
  get isAllClassic(): boolean {
    return this.#classicCount > 0 && this.#classicCount === this.#members.size
  }

  /** How many of the members that speak the classic protocol offer a strategy. */
  supportersOf(protocolName: string): number {
    return this.#supporters.get(protocolName) ?? 0
  }

  /** Another one that says the same, to see what records would make of it. */
  fork(): GroupState {
    const copy = new GroupState()
    copy.#epoch = this.#epoch
    copy.#metadataHash = this.#metadataHash
    copy.#assignmentEpoch = this.#assignmentEpoch
    copy.#assignmentTimestampMs = this.#assignmentTimestampMs
    copy.#hasPartitionMetadata = this.#hasPartitionMetadata
    for (const [memberId, target] of this.#targets) copy.#targets.set(memberId, target)
    for (const [pattern, names] of this.#patterns) copy.#patterns.set(pattern, names)
    for (const member of this.#members.values()) copy.#put(member)
    return copy
  }

  findStaticMember(instanceId: string): ConsumerMember | null {
    const memberId = this.#memberIdsByInstance.get(instanceId)
    return memberId === undefined ? null : (this.#members.get(memberId) ?? null)
  }

  /** Id of the member that holds the partition, or null. */
  ownerOf(topicId: string, partition: number): string | null {
    return this.#owners.get(topicId)?.get(partition) ?? null
  }

  replay(record: ConsumerGroupRecord): void {
    this.#name = null
    switch (record.kind) {
      case 'ConsumerGroupMetadata':
        this.#epoch = record.value?.epoch ?? 0
        this.#metadataHash = record.value?.metadataHash ?? 0
        return
      case 'ConsumerGroupPartitionMetadata':
        this.#hasPartitionMetadata = record.value !== null
        return
      case 'ConsumerGroupTargetAssignmentMetadata':
        this.#assignmentEpoch = record.value?.assignmentEpoch ?? 0
        this.#assignmentTimestampMs = record.value?.assignmentTimestamp ?? 0
        return
      case 'ConsumerGroupTargetAssignmentMember':
        if (record.value === null) this.#targets.delete(record.key.memberId)
        else this.#targets.set(record.key.memberId, gatherPartitions(record.value.topicPartitions))
        return
      case 'ConsumerGroupMemberMetadata':
        this.#subscribedNames = null
        if (record.value === null) this.#remove(record.key.memberId)
        else this.#put(withMetadata(this.#find(record.key.memberId), record.value))
        return
      case 'ConsumerGroupCurrentMemberAssignment':
        if (record.value !== null) {
          this.#put(withCurrent(this.#find(record.key.memberId), record.value))
        } else if (this.#members.has(record.key.memberId)) {
          this.#put(withoutCurrent(this.#find(record.key.memberId)))
        }
        return
      case 'ConsumerGroupRegularExpression':
        this.#subscribedNames = null
        if (record.value === null) this.#patterns.delete(record.key.regularExpression)
        else this.#patterns.set(record.key.regularExpression, [...record.value.topics].sort())
        return
      default:
        assertNever(record)
    }
  }

  rebuildOwners(): void {
    this.#owners.clear()
    for (const member of this.#members.values()) this.#hold(member)
  }

  #find(memberId: string): ConsumerMember {
    return this.#members.get(memberId) ?? newMember(memberId)
  }

  #put(member: ConsumerMember): void {
    const before = this.#members.get(member.memberId)
    if (before !== undefined) this.#forget(before)
    this.#members.set(member.memberId, member)
    this.#hold(member)
    this.#count(member, 1)
    if (member.instanceId !== null) this.#memberIdsByInstance.set(member.instanceId, member.memberId)
  }

  #remove(memberId: string): void {
    const before = this.#members.get(memberId)
    if (before === undefined) return
    this.#forget(before)
    this.#members.delete(memberId)
  }

  /** Takes what a member held, and its instance id, off the books, unless they have become another's. */
  #forget(member: ConsumerMember): void {
    this.#letGo(member)
    this.#count(member, -1)
    const { instanceId, memberId } = member
    if (instanceId !== null && this.#memberIdsByInstance.get(instanceId) === memberId) {
      this.#memberIdsByInstance.delete(instanceId)
    }
  }

  #count({ classicMetadata }: ConsumerMember, by: 1 | -1): void {
    if (classicMetadata === null) return
    this.#classicCount += by
    for (const { name } of classicMetadata.supportedProtocols) {
      const count = this.supportersOf(name) + by
      if (count === 0) this.#supporters.delete(name)
      else this.#supporters.set(name, count)
    }
  }

  #hold(member: ConsumerMember): void {
    for (const assignment of [member.assigned, member.revoking]) {
      for (const [topicId, partitions] of assignment) {
        let owners = this.#owners.get(topicId)
        if (owners === undefined) this.#owners.set(topicId, (owners = new Map<number, string>()))
        for (const partition of partitions) owners.set(partition, member.memberId)
      }
    }
  }

  #letGo(member: ConsumerMember): void {
    for (const assignment of [member.assigned, member.revoking]) {
      for (const [topicId, partitions] of assignment) {
        const owners = this.#owners.get(topicId)
        if (owners === undefined) continue
        for (const partition of partitions) {
          if (owners.get(partition) === member.memberId) owners.delete(partition)
        }
        if (owners.size === 0) this.#owners.delete(topicId)
      }
    }
  }

  #findName(): string {
    if (this.#members.size === 0) return 'Empty'
    if (this.#epoch > this.#assignmentEpoch) return 'Assigning'
    for (const member of this.#members.values()) {
      if (member.state !== 'stable' || member.epoch !== this.#assignmentEpoch) return 'Reconciling'
    }
    return 'Stable'
  }
}

/** Names of the topics that any of the members reads, as far as its regular expression is resolved. */
export function namesRead(members: Iterable<ConsumerMember>, patterns: ResolvedPatterns): Set<string> {
  const names = new Set<string>()
  const seen = new Set<string>()
  for (const { topicNames, pattern } of members) {
    for (const name of topicNames) names.add(name)
    if (pattern === null || seen.has(pattern)) continue
    seen.add(pattern)
    for (const name of patterns.get(pattern) ?? []) names.add(name)
  }
  return names
}
