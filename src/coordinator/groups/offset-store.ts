/**
 * The committed offsets of all groups of a shard: decides what a request writes, and folds what was written. It answers
 * from the state as it stands; whoever sends the answer waits until that is committed (shard-context.ts).
 *
 * Invariants (docs/faults.md):
 * - G4: what is told of a partition is what its last record says. Nothing else goes back, or away, but by a record.
 * - G7: nothing that a member of the group reads expires.
 * - CG-9: an offset answers only for the topic that it was committed for. A topic that was deleted, and one that was created
 *   anew under the name, have no offsets, before their records are removed as well as after. The image that this is
 *   judged by is never older than the one the offset was committed in: whoever leads the shard has seen its own
 *   election, which came after all that earlier leaders saw while they led.
 *
 * A commit by name cannot say which topic it means: it goes to the one that has the name here now. Retention that a commit
 * asks for itself (before v5) is not heeded: the record that would carry it has no room for the topic id.
 */
import { utf8Size } from '../../bytes/utf8.ts'
import { ZERO_UUID } from '../../bytes/uuid.ts'
import type { ClusterImage, TopicImage } from '../../metadata/cluster-image.ts'
import type { RequestOf, ResponseOf } from '../../protocol/apis.ts'
import { errorCode } from '../../protocol/errors.ts'
import type { ErrorName } from '../../protocol/errors.ts'
import type { CoordinatorRecordOf, CoordinatorValueOf } from '../records/coordinator-record.ts'
import type { Group } from './group.ts'

export type OffsetRecord = CoordinatorRecordOf<'OffsetCommit'>
type CommittedOffset = CoordinatorValueOf<'OffsetCommit'>

export type CommitTopic = RequestOf<'OffsetCommit'>['topics'][number]
export type CommittedTopic = ResponseOf<'OffsetCommit'>['topics'][number]
export type FetchTopic = RequestOf<'OffsetFetch'>['groups'][number]['topics'] extends (infer T)[] | null
  ? T
  : never
export type FetchedTopic = ResponseOf<'OffsetFetch'>['groups'][number]['topics'][number]

/** What a group has committed in a partition. */
export interface CommittedPlace {
  readonly groupId: string
  readonly topic: string
  readonly partition: number
  readonly offset: number
}

/**
 * What the offsets of one shard may take in memory, by the estimate below: some 300,000 offsets. Beyond it only partitions that
 * have an offset already take another; clients could fill the memory with groups that they make up.
 */
export const OFFSETS_BYTES_MAX = 67_108_864
/** What an offset takes beside its metadata and its group's name: the value, an entry in a map, and a share of the maps. */
const OFFSET_BYTES = 200

export interface CommitOptions {
  readonly image: ClusterImage
  /** Whether topics are named by id, as from v10 on. */
  readonly byId: boolean
  readonly metadataBytesMax: number
  /** Wall clock, ms. */
  readonly nowMs: number
}

export class OffsetStore {
  /** By group, topic name and partition. Invariant: no map in it is empty. */
  readonly #groups = new Map<string, Map<string, Map<number, CommittedOffset>>>()
  #bytes = 0
  readonly #bytesMax: number

  constructor(bytesMax: number = OFFSETS_BYTES_MAX) {
    this.#bytesMax = bytesMax
  }

  /** What all offsets take, estimated. */
  get bytes(): number {
    return this.#bytes
  }

  has(groupId: string): boolean {
    return this.#groups.has(groupId)
  }

  /** Partitions that a group has offsets of. */
  count(groupId: string): number {
    let count = 0
    for (const partitions of this.#groups.get(groupId)?.values() ?? []) count += partitions.size
    return count
  }

  /** Groups that have offsets. */
  groupIds(): IterableIterator<string> {
    return this.#groups.keys()
  }

  replay({ key, value }: OffsetRecord): void {
    const topics = this.#groups.get(key.group)
    const partitions = topics?.get(key.topic)
    const former = partitions?.get(key.partition)
    if (former !== undefined) this.#bytes -= bytesOf(former)
    if (value !== null) {
      this.#bytes += bytesOf(value) + (topics === undefined ? textBytes(key.group) : 0)
      mapIn(mapIn(this.#groups, key.group), key.topic).set(key.partition, value)
    } else if (former !== undefined) {
      partitions!.delete(key.partition)
      if (partitions!.size === 0) topics!.delete(key.topic)
      if (topics!.size > 0) return
      this.#groups.delete(key.group)
      this.#bytes -= textBytes(key.group)
    }
  }

  /** The records of those offsets that can be committed, and the answer for each. */
  commit(
    groupId: string,
    topics: readonly CommitTopic[],
    options: CommitOptions,
  ): { records: OffsetRecord[]; topics: CommittedTopic[] } {
    const { image, byId } = options
    const records: OffsetRecord[] = []
    const answers = topics.map((requested): CommittedTopic => {
      const topic = findTopic(image, requested, byId)
      const partitions = requested.partitions.map((partition) => {
        const fault = this.#findCommitFault(groupId, topic, partition, records.length, options)
        if (fault === null) records.push(commitRecord(groupId, topic!, partition, options.nowMs))
        return { partitionIndex: partition.partitionIndex, errorCode: errorCode(fault ?? 'NONE') }
      })
      return { name: requested.name, topicId: requested.topicId, partitions }
    })
    return { records, topics: answers }
  }

  /** What was committed for the topics, or for all (null). */
  query(
    groupId: string,
    topics: readonly FetchTopic[] | null,
    image: ClusterImage,
    byId: boolean,
  ): FetchedTopic[] {
    if (topics === null) return this.#fetchAll(groupId, image)
    return topics.map(({ name, topicId, partitionIndexes }) => {
      const topic = findTopic(image, { name, topicId }, byId)
      const committed = topic && this.#groups.get(groupId)?.get(topic.name)
      const error = topic === undefined && byId ? 'UNKNOWN_TOPIC_ID' : 'NONE'
      const partitions = partitionIndexes.map((index) => {
        const offset = committed?.get(index)
        return fetched(index, offset !== undefined && isOf(topic, offset) ? offset : null, error)
      })
      return { name, topicId, partitions }
    })
  }

  /** All that groups have committed for topics that there are. */
  *places(image: ClusterImage): IterableIterator<CommittedPlace> {
    for (const [groupId, topics] of this.#groups) {
      for (const [topic, partitions] of topics) {
        const current = image.topicsByName.get(topic)
        for (const [partition, committed] of partitions)
          if (isOf(current, committed)) yield { groupId, topic, partition, offset: committed.offset }
      }
    }
  }

  /** The records that remove what a group committed for some partitions of a topic. */
  remove(groupId: string, topic: string, partitions: readonly number[]): OffsetRecord[] {
    const committed = this.#groups.get(groupId)?.get(topic)
    if (committed === undefined) return []
    return partitions.filter((index) => committed.has(index)).map((index) => tombstone(groupId, topic, index))
  }

  /** The records that remove all that a group committed. */
  removeAll(groupId: string): OffsetRecord[] {
    const records: OffsetRecord[] = []
    for (const [topic, partitions] of this.#groups.get(groupId) ?? [])
      for (const index of partitions.keys()) records.push(tombstone(groupId, topic, index))
    return records
  }

  /**
   * The records that remove what a group committed for topics that are no more, and what is too old.
   *
   * @param group - Null if there are but offsets: a client that is no member commits them.
   * @param nowMs - Wall clock.
   */
  expire(
    groupId: string,
    group: Pick<Group, 'isEmpty' | 'emptySinceMs' | 'isSubscribedTo'> | null,
    { image, nowMs, retentionMs }: { image: ClusterImage; nowMs: number; retentionMs: number },
  ): OffsetRecord[] {
    const emptySinceMs = group?.emptySinceMs ?? 0
    const hasMembers = group !== null && !group.isEmpty
    const records: OffsetRecord[] = []
    for (const [topic, partitions] of this.#groups.get(groupId) ?? []) {
      const current = image.topicsByName.get(topic)
      // Asked once for a topic: it may have to look at every member.
      const isRead = hasMembers && group.isSubscribedTo(topic)
      for (const [index, offset] of partitions) {
        if (!isOf(current, offset) || (!isRead && isOld(offset)))
          records.push(tombstone(groupId, topic, index))
      }
    }
    return records

    function isOld({ expireTimestamp, commitTimestamp }: CommittedOffset): boolean {
      if (expireTimestamp >= 0) return nowMs >= Math.max(expireTimestamp, emptySinceMs)
      return nowMs >= Math.max(commitTimestamp, emptySinceMs) + retentionMs
    }
  }

  #findCommitFault(
    groupId: string,
    topic: TopicImage | undefined,
    partition: CommitTopic['partitions'][number],
    /** Records before it in the same request. */
    recordCount: number,
    { byId, metadataBytesMax }: CommitOptions,
  ): ErrorName | null {
    if (topic === undefined) return byId ? 'UNKNOWN_TOPIC_ID' : 'UNKNOWN_TOPIC_OR_PARTITION'
    if (topic.partitions[partition.partitionIndex] === undefined) return 'UNKNOWN_TOPIC_OR_PARTITION'
    // A negative offset is no place in a log, and would be told as “nothing was committed”.
    if (partition.committedOffset < 0) return 'INVALID_REQUEST'
    const metadata = partition.committedMetadata
    if (metadata !== null && utf8Size(metadata) > metadataBytesMax) return 'OFFSET_METADATA_TOO_LARGE'
    const isFull = this.#bytes + recordCount * OFFSET_BYTES > this.#bytesMax
    if (isFull && !this.#groups.get(groupId)?.get(topic.name)?.has(partition.partitionIndex)) {
      return 'INVALID_COMMIT_OFFSET_SIZE'
    }
    return null
  }

  #fetchAll(groupId: string, image: ClusterImage): FetchedTopic[] {
    const answers: FetchedTopic[] = []
    for (const [name, offsets] of this.#groups.get(groupId) ?? []) {
      const topic = image.topicsByName.get(name)
      const partitions: FetchedTopic['partitions'] = []
      for (const [index, offset] of offsets)
        if (isOf(topic, offset)) partitions.push(fetched(index, offset, 'NONE'))
      if (partitions.length > 0) answers.push({ name, topicId: topic!.id, partitions })
    }
    return answers
  }
}

/** Whether an offset was committed for the topic that has the name now. Records before v4 do not say, and are believed. */
function isOf(topic: TopicImage | undefined, offset: CommittedOffset): boolean {
  return topic !== undefined && (offset.topicId === topic.id || offset.topicId === ZERO_UUID)
}

function findTopic(
  image: ClusterImage,
  { name, topicId }: { readonly name: string; readonly topicId: string },
  byId: boolean,
): TopicImage | undefined {
  return byId ? image.topicsById.get(topicId) : image.topicsByName.get(name)
}

function commitRecord(
  groupId: string,
  topic: TopicImage,
  partition: CommitTopic['partitions'][number],
  nowMs: number,
): OffsetRecord {
  return {
    kind: 'OffsetCommit',
    key: { group: groupId, topic: topic.name, partition: partition.partitionIndex },
    value: {
      offset: partition.committedOffset,
      leaderEpoch: partition.committedLeaderEpoch,
      metadata: partition.committedMetadata ?? '',
      commitTimestamp: nowMs,
      expireTimestamp: -1,
      topicId: topic.id,
    },
  }
}

function tombstone(group: string, topic: string, partition: number): OffsetRecord {
  return { kind: 'OffsetCommit', key: { group, topic, partition }, value: null }
}

function fetched(
  partitionIndex: number,
  offset: CommittedOffset | null,
  error: ErrorName,
): FetchedTopic['partitions'][number] {
  return {
    partitionIndex,
    committedOffset: offset?.offset ?? -1,
    committedLeaderEpoch: offset?.leaderEpoch ?? -1,
    metadata: offset?.metadata ?? '',
    errorCode: errorCode(error),
  }
}

function bytesOf({ metadata }: CommittedOffset): number {
  return OFFSET_BYTES + textBytes(metadata)
}

/** Text takes up to two bytes a unit. */
function textBytes(text: string): number {
  return 2 * text.length
}

/** The map in a map, made if it is not there. */
function mapIn<K, L, V>(maps: Map<K, Map<L, V>>, key: K): Map<L, V> {
  let map = maps.get(key)
  if (map === undefined) maps.set(key, (map = new Map<L, V>()))
  return map
}
