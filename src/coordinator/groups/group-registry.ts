/**
 * The groups of a shard, of both protocols: made by records of the log or by a first join, found by name, gone when the log
 * has nothing of them any more.
 *
 * A group is of one kind at a time. While it has members, it becomes one of the other kind in one batch of records
 * (consumer/conversion.ts). Once it is empty, members of the other one may join under its name; then a group of
 * each kind has it for a while, of which one is empty, and what the log has of that one is removed by housekeeping.ts, not
 * at once: until the new group is in the log, the old one says since when nobody has read (docs/faults.md G7).
 *
 * Invariant: of two groups of one name, at most one has members.
 */
import type { ErrorName } from '../../protocol/errors.ts'
import type { CoordinatorRecord } from '../records/coordinator-record.ts'
import type { ShardContext } from '../shard-context.ts'
import { ClassicGroup } from './classic/classic-group.ts'
import { ConsumerGroup } from './consumer/consumer-group.ts'
import type { Successor } from './consumer/consumer-group.ts'
import { upgradeRecords } from './consumer/conversion.ts'
import type { ConsumerGroupRecord } from './consumer/group-state.ts'
import { PatternResolver } from './consumer/pattern-resolver.ts'

/** A record of a group, in distinction to one of an offset. */
export type GroupRecord = Exclude<CoordinatorRecord, { kind: 'OffsetCommit' }>

/**
 * Groups of one shard. Each takes some kilobytes when it is empty, so that clients that make up names could fill the memory;
 * 50 shards of as many groups are a million.
 */
export const GROUPS_MAX = 20_000

/** How long an id that was given out before a group was upgraded is good, in ms: its owner comes back at once if at all. */
const NEWCOMER_MS = 60_000

export class GroupRegistry {
  readonly #context: ShardContext
  readonly #patterns: PatternResolver
  readonly #classic = new Map<string, ClassicGroup>()
  readonly #consumer = new Map<string, ConsumerGroup>()

  constructor(context: ShardContext) {
    this.#context = context
    this.#patterns = new PatternResolver(context)
  }

  get isFull(): boolean {
    return this.#classic.size + this.#consumer.size >= GROUPS_MAX
  }

  /** Names, each once. */
  *groupIds(): IterableIterator<string> {
    yield* this.#classic.keys()
    for (const groupId of this.#consumer.keys()) if (!this.#classic.has(groupId)) yield groupId
  }

  /** The group of that name: of two, the one with members, or else the one that was the last to have some. */
  find(groupId: string): ClassicGroup | ConsumerGroup | null {
    const classic = this.#classic.get(groupId)
    const consumer = this.#consumer.get(groupId)
    if (classic === undefined || consumer === undefined) return classic ?? consumer ?? null
    if (!classic.isEmpty) return classic
    if (!consumer.isEmpty) return consumer
    return (classic.emptySinceMs ?? -1) > (consumer.emptySinceMs ?? -1) ? classic : consumer
  }

  findClassic(groupId: string): ClassicGroup | null {
    return this.#classic.get(groupId) ?? null
  }

  findConsumer(groupId: string): ConsumerGroup | null {
    return this.#consumer.get(groupId) ?? null
  }

  /** The classic group of that name, made if need be. */
  obtainClassic(groupId: string): ClassicGroup {
    let group = this.#classic.get(groupId)
    if (group === undefined) {
      group = new ClassicGroup(this.#context, groupId)
      this.#classic.set(groupId, group)
    }
    return group
  }

  /** The group of the consumer protocol of that name, made if need be. */
  obtainConsumer(groupId: string): ConsumerGroup {
    let group = this.#consumer.get(groupId)
    if (group === undefined) {
      group = new ConsumerGroup(this.#context, groupId, this.#patterns, {
        generationMin: () => this.#classic.get(groupId)?.present.numberTaken ?? 0,
        begin: (value, pendingIds) => this.#beginClassic(groupId, value, pendingIds),
      })
      this.#consumer.set(groupId, group)
    }
    return group
  }

  /**
   * The records that make a group of the consumer protocol of a classic one that has members, or why that cannot be, for people.
   * Once they are replayed, `endClassic` has to be called in the same turn.
   */
  upgradeRecords(groupId: string): CoordinatorRecord[] | string {
    const epochMin = this.#consumer.get(groupId)?.state.epoch ?? 0
    const now = { image: this.#context.image(), wallTimeMs: this.#context.clock.wallTimeMs() }
    return upgradeRecords(groupId, this.#classic.get(groupId)!.present, epochMin, now)
  }

  /** The classic group has become one of the consumer protocol: those who wait in it are sent there. */
  endClassic(groupId: string): void {
    const classic = this.#classic.get(groupId)!
    const { classic: members } = this.#consumer.get(groupId)!
    for (const memberId of classic.newcomerIds()) members.expect(memberId, NEWCOMER_MS)
    this.#classic.delete(groupId)
    classic.close('REBALANCE_IN_PROGRESS')
  }

  replay(record: GroupRecord): void {
    if (record.kind !== 'GroupMetadata') {
      this.#replayConsumer(record)
    } else if (record.value !== null) {
      this.obtainClassic(record.key.group).replay(record.value)
    } else {
      this.#classic.get(record.key.group)?.replay(null)
      this.dropClassic(record.key.group)
    }
  }

  /** Removes from memory what the log says nothing of. */
  dropClassic(groupId: string): void {
    const group = this.#classic.get(groupId)
    if (group === undefined || !isBlank(group)) return
    this.#classic.delete(groupId)
    group.close('GROUP_ID_NOT_FOUND')
  }

  dropConsumer(groupId: string): void {
    const group = this.#consumer.get(groupId)
    if (group === undefined || !group.isBlank) return
    this.#consumer.delete(groupId)
    group.close()
  }

  /** The records that remove both groups of that name from the log. */
  tombstones(groupId: string): CoordinatorRecord[] {
    const classic = this.#classic.get(groupId)?.tombstones() ?? []
    const consumer = this.#consumer.get(groupId)?.tombstones() ?? []
    return [...classic, ...consumer]
  }

  /** The records that remove the empty group of two, once the other one is in the log. */
  shadowTombstones(groupId: string): CoordinatorRecord[] {
    const classic = this.#classic.get(groupId)
    const consumer = this.#consumer.get(groupId)
    if (classic === undefined || consumer === undefined) return []
    if (this.find(groupId) === consumer) return consumer.isBlank ? [] : classic.tombstones()
    return classic.tombstones().length === 0 ? [] : consumer.tombstones()
  }

  loaded(): void {
    for (const group of this.#classic.values()) group.loaded()
    for (const group of this.#consumer.values()) group.loaded()
  }

  /** Topics of these names came, went or have more partitions. */
  topicsChanged(names: ReadonlySet<string>): void {
    this.#patterns.topicsChanged(names)
    for (const group of this.#consumer.values()) group.topicsChanged(names)
  }

  close(error: ErrorName): void {
    for (const group of this.#classic.values()) group.close(error)
    for (const group of this.#consumer.values()) group.close()
    this.#patterns.close()
    this.#classic.clear()
    this.#consumer.clear()
  }

  /** In place of the one that has the name, which is empty: nothing that it was about goes on. */
  #beginClassic(groupId: string, ...[value, pendingIds]: Parameters<Successor['begin']>): void {
    this.#classic.get(groupId)?.close('REBALANCE_IN_PROGRESS')
    const group = new ClassicGroup(this.#context, groupId)
    this.#classic.set(groupId, group)
    group.replay(value)
    group.loaded()
    for (const [memberId, leftMs] of pendingIds) group.expect(memberId, leftMs)
  }

  #replayConsumer(record: ConsumerGroupRecord): void {
    const { groupId } = record.key
    // What removes something of a group that is not there has nothing to remove.
    if (record.value === null && !this.#consumer.has(groupId)) return
    this.obtainConsumer(groupId).replay(record)
    if (record.value === null) this.dropConsumer(groupId)
  }
}

/** Whether the log says nothing of the group, and it has no member that it might be about to. */
function isBlank(group: ClassicGroup): boolean {
  return group.isEmpty && group.stateName === 'Empty' && group.tombstones().length === 0
}
