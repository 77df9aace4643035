/**
 * One shard of groups on virtual time, over a log of encoded batches that commits when told to, or at once, and that a
 * successor can read anew; and requests as clients send them.
 */
import { ZERO_UUID } from '../../../src/bytes/uuid.ts'
import { batchBytesOf } from '../../../src/coordinator/batch-size.ts'
import { DEFAULT_GROUP_CONFIG } from '../../../src/coordinator/group-config.ts'
import type { GroupConfig } from '../../../src/coordinator/group-config.ts'
import { GroupShard } from '../../../src/coordinator/groups/group-shard.ts'
import {
  decodeCoordinatorRecord,
  encodeCoordinatorRecord,
} from '../../../src/coordinator/records/coordinator-record.ts'
import type { CoordinatorRecord } from '../../../src/coordinator/records/coordinator-record.ts'
import { CoordinatorFailure } from '../../../src/coordinator/shard-context.ts'
import { silentLogger } from '../../../src/env/index.ts'
import type { Clock } from '../../../src/env/index.ts'
import { Simulation } from '../../../src/env/sim/simulation.ts'
import type { ClusterImage } from '../../../src/metadata/cluster-image.ts'
import type { ImageDelta } from '../../../src/metadata/image-delta.ts'
import type { RequestOf, ResponseInputOf, ResponseOf } from '../../../src/protocol/apis.ts'
import { errorByCode } from '../../../src/protocol/errors.ts'
import type { ErrorName } from '../../../src/protocol/errors.ts'
import { imageWith } from './topics-image.ts'

export class TestShard {
  readonly sim = new Simulation({ seed: 1 })
  readonly config: GroupConfig
  image: ClusterImage
  shard: GroupShard
  /** Ms by which the wall clock is off from now on. */
  wallOffMs = 0
  /** Largest write that the log takes. */
  batchBytesMax = 1_048_588
  /** Whether batches are committed at once. */
  commitsAtOnce = true
  readonly #batches: { key: Uint8Array; value: Uint8Array | null }[][] = []
  #committedCount = 0
  /** Counts leader epochs. */
  #life = 0
  #waiting: {
    readonly endBatch: number
    readonly resolve: () => void
    readonly reject: (error: Error) => void
  }[] = []

  constructor(
    topics: Parameters<typeof imageWith>[0] = { orders: 3, visits: 1 },
    config: Partial<GroupConfig> = {},
  ) {
    this.config = { ...DEFAULT_GROUP_CONFIG, initialRebalanceDelayMs: 0, ...config }
    this.image = imageWith(topics)
    this.shard = this.#open()
  }

  /** Every record of the log that is known, in order. */
  get records(): CoordinatorRecord[] {
    return this.#batches.flat().map(({ key, value }) => decodeCoordinatorRecord(key, value)!)
  }

  get batchSizes(): number[] {
    return this.#batches.map((batch) => batch.length)
  }

  /** What is left when all but the last record of each key, and all tombstones, are gone. */
  get compacted(): CoordinatorRecord[] {
    const last = new Map(this.records.map((record) => [JSON.stringify([record.kind, record.key]), record]))
    return [...last.values()].filter(({ value }) => value !== null)
  }

  /** Makes the log what it is when all but the last record of each key, and all tombstones, are gone. */
  compact(): void {
    const left = this.compacted.map((record) => encodeCoordinatorRecord(record))
    this.#batches.splice(0, Infinity, left)
    this.commit()
  }

  commit(): void {
    this.#committedCount = this.#batches.length
    for (const { resolve } of this.#waiting.splice(0)) resolve()
  }

  /** The leader is gone; the next one reads what is left of the log: all of it, or what was committed. */
  failOver({ losesUncommitted = false } = {}): void {
    this.shard.close('NOT_COORDINATOR')
    for (const { reject } of this.#waiting.splice(0))
      reject(new CoordinatorFailure('NOT_COORDINATOR', 'Gone'))
    if (losesUncommitted) this.#batches.length = this.#committedCount
    this.#committedCount = this.#batches.length
    this.shard = this.#open()
  }

  /** As a change of the cluster's metadata that the shard is told of. */
  setTopics(topics: Parameters<typeof imageWith>[0]): void {
    const before = this.image
    this.image = imageWith(topics)
    this.shard.topicsChanged(deltaOf(before, this.image))
  }

  /** The outcome of a request, running virtual time until it is there. */
  settle<T>(answer: Promise<T>, limitMs = 60_000): Promise<T> {
    return this.sim.runUntil(answer, limitMs)
  }

  runFor(ms: number): Promise<void> {
    return this.sim.run(this.sim.nowMs + ms)
  }

  /** Joins a classic member, syncs as its leader and returns what it is. */
  async joinClassic(groupId: string, { topics = ['orders'], instanceId = null as string | null } = {}) {
    const protocols = [{ name: 'range', metadata: subscription(topics) }]
    const request = { ...joinRequest(groupId), protocols, groupInstanceId: instanceId }
    let answer = await this.settle(this.shard.joinGroup(request, client(9)))
    if (nameOf(answer) === 'MEMBER_ID_REQUIRED') {
      answer = await this.settle(this.shard.joinGroup({ ...request, memberId: answer.memberId }, client(9)))
    }
    if (nameOf(answer) !== 'NONE')
      return { error: nameOf(answer), memberId: answer.memberId, generationId: -1 }
    const { memberId, generationId } = answer
    const assignments = [{ memberId, assignment: Uint8Array.of(1) }]
    const sync = { groupId, memberId, generationId, groupInstanceId: instanceId, assignments }
    const synced = await this.settle(
      this.shard.syncGroup({ ...sync, protocolName: null, protocolType: null }, client(5)),
    )
    return { error: nameOf(synced), memberId, generationId }
  }

  leaveClassic(groupId: string, memberId: string): Promise<ResponseOf<'LeaveGroup'>> {
    const members = [{ memberId, groupInstanceId: null, reason: null }]
    return this.settle(this.shard.leaveGroup({ groupId, memberId: '', members }, client(5)))
  }

  /** Joins a member of the consumer protocol, or sends another heartbeat of it. */
  consumerHeartbeat(
    groupId: string,
    memberId: string,
    more: Partial<RequestOf<'ConsumerGroupHeartbeat'>> = {},
  ): Promise<ResponseInputOf<'ConsumerGroupHeartbeat'>> {
    const request = {
      ...{ groupId, memberId, memberEpoch: 0, instanceId: null, rackId: null, rebalanceTimeoutMs: 60_000 },
      ...{ subscribedTopicNames: ['orders'], subscribedTopicRegex: null, serverAssignor: null },
      ...{ topicPartitions: [], ...more },
    }
    return this.settle(this.shard.consumerGroupHeartbeat(request, client(1)))
  }

  /** Commits one offset; a simple consumer's, unless it says who it is. */
  async commitOffset(
    groupId: string,
    offset: number,
    {
      topic = 'orders',
      partition = 0,
      apiVersion = 9,
      memberId = '',
      generation = -1,
      instance = null as string | null,
    } = {},
  ): Promise<ErrorName> {
    const answer = await this.settle(
      this.shard.offsetCommit(
        commitRequest(groupId, offset, { topic, partition, memberId, generation, instance }),
        client(apiVersion),
      ),
    )
    return errorByCode(answer.topics[0]!.partitions[0]!.errorCode).name
  }

  /** All committed offsets of a group, by `topic-partition`, or the error. */
  async offsets(groupId: string): Promise<Record<string, number> | ErrorName> {
    const query = { groupId, memberId: null, memberEpoch: -1, topics: null }
    const { topics, errorCode } = await this.settle(this.shard.offsetFetch(query, 9))
    if (errorCode !== 0) return errorByCode(errorCode).name
    return Object.fromEntries(
      topics.flatMap(({ name, partitions }) =>
        partitions.map(({ partitionIndex, committedOffset }) => [
          `${name}-${partitionIndex}`,
          committedOffset,
        ]),
      ),
    )
  }

  /** State of each group that is listed. */
  async listed(filters: Partial<RequestOf<'ListGroups'>> = {}): Promise<Record<string, string>> {
    const listed = await this.settle(this.shard.listGroups({ statesFilter: [], typesFilter: [], ...filters }))
    return Object.fromEntries(
      listed.map(({ groupId, groupType, groupState }) => [groupId, `${groupType} ${groupState}`]),
    )
  }

  #open(): GroupShard {
    const life = ++this.#life
    const env = this.sim.env('coordinator')
    const clock: Clock = {
      wallTimeMs: () => env.clock.wallTimeMs() + this.wallOffMs,
      monotonicMs: () => env.clock.monotonicMs(),
      after: (delayMs, task) => env.clock.after(delayMs, task),
      endOfTurn: (task) => env.clock.endOfTurn(task),
    }
    const shard: GroupShard = new GroupShard({
      ...{ clock, random: env.random, logger: silentLogger, config: this.config },
      image: () => this.image,
      batchBytesMax: () => this.batchBytesMax,
      write: (records) => this.#write(shard, life, records),
    })
    for (const record of this.records) shard.replay(record)
    shard.loaded()
    return shard
  }

  #write(shard: GroupShard, life: number, records: readonly CoordinatorRecord[]): Promise<void> {
    if (life !== this.#life) {
      return Promise.reject(new CoordinatorFailure('NOT_COORDINATOR', 'Gone'))
    }
    if (batchBytesOf(records) > this.batchBytesMax) {
      return Promise.reject(new CoordinatorFailure('UNKNOWN_SERVER_ERROR', 'Too large'))
    }
    if (records.length > 0) {
      const encoded = records.map((record) => encodeCoordinatorRecord(record))
      this.#batches.push(encoded)
      for (const { key, value } of encoded) shard.replay(decodeCoordinatorRecord(key, value)!)
    }
    const endBatch = this.#batches.length
    if (this.commitsAtOnce) this.#committedCount = endBatch
    if (this.#committedCount >= endBatch) return Promise.resolve()
    return new Promise((resolve, reject) => this.#waiting.push({ endBatch, resolve, reject }))
  }
}

function deltaOf(before: ClusterImage, after: ClusterImage): ImageDelta {
  const changedTopics = [...after.topicsByName.values()].flatMap((topic) => {
    const old = before.topicsByName.get(topic.name)
    return old === undefined ? [] : [{ before: old, after: topic }]
  })
  const added = [...after.topicsByName.values()].filter(({ name }) => !before.topicsByName.has(name))
  const gone = [...before.topicsByName.values()].filter(({ name }) => !after.topicsByName.has(name))
  // What else a delta says is of no interest to groups.
  return { before, after, createdTopics: added, deletedTopics: gone, changedTopics } as unknown as ImageDelta
}

export const client = (apiVersion: number) => ({ apiVersion, clientId: 'client', clientHost: '/127.0.0.1' })

export const nameOf = ({ errorCode }: { readonly errorCode: number }): ErrorName =>
  errorByCode(errorCode).name

/** A consumer's metadata for the classic protocol, in version 0. */
export function subscription(topics: readonly string[]): Uint8Array {
  const int = (value: number, size: number) =>
    Array.from({ length: size }, (_, i) => (value >> (8 * (size - 1 - i))) & 255)
  const text = (topic: string) => [...int(topic.length, 2), ...Buffer.from(topic)]
  return Uint8Array.from([...int(0, 2), ...int(topics.length, 4), ...topics.flatMap(text), ...int(-1, 4)])
}

export function joinRequest(groupId: string): RequestOf<'JoinGroup'> {
  return {
    ...{ groupId, sessionTimeoutMs: 10_000, rebalanceTimeoutMs: 20_000, memberId: '', groupInstanceId: null },
    ...{ protocolType: 'consumer', protocols: [], reason: null },
  }
}

export function commitRequest(
  groupId: string,
  committedOffset: number,
  { topic = 'orders', partition = 0, memberId = '', generation = -1, instance = null as string | null } = {},
): RequestOf<'OffsetCommit'> {
  const partitions = [
    { partitionIndex: partition, committedOffset, committedLeaderEpoch: -1, committedMetadata: null },
  ]
  return {
    ...{ groupId, generationIdOrMemberEpoch: generation, memberId, groupInstanceId: instance },
    ...{ retentionTimeMs: -1, topics: [{ name: topic, topicId: ZERO_UUID, partitions }] },
  }
}
