/**
 * A shard with one group of the consumer protocol, on virtual time: a log of batches that commits when told to, or after a
 * while, and that can be read anew by a successor. And requests as members send them.
 */
import { Simulation } from '../../../../src/env/sim/simulation.ts'
import { DEFAULT_GROUP_CONFIG } from '../../../../src/coordinator/group-config.ts'
import type { GroupConfig } from '../../../../src/coordinator/group-config.ts'
import { ConsumerGroup } from '../../../../src/coordinator/groups/consumer/consumer-group.ts'
import type { Successor } from '../../../../src/coordinator/groups/consumer/consumer-group.ts'
import type {
  ConsumerGroupRecord,
  GroupState,
} from '../../../../src/coordinator/groups/consumer/group-state.ts'
import { PatternResolver } from '../../../../src/coordinator/groups/consumer/pattern-resolver.ts'
import {
  decodeCoordinatorRecord,
  encodeCoordinatorRecord,
} from '../../../../src/coordinator/records/coordinator-record.ts'
import type { CoordinatorRecord } from '../../../../src/coordinator/records/coordinator-record.ts'
import { CoordinatorFailure } from '../../../../src/coordinator/shard-context.ts'
import type { ShardContext } from '../../../../src/coordinator/shard-context.ts'
import { silentLogger } from '../../../../src/env/index.ts'
import type { Clock } from '../../../../src/env/index.ts'
import { errorByCode } from '../../../../src/protocol/errors.ts'
import type {
  ConsumerGroupHeartbeatRequest,
  ConsumerGroupHeartbeatResponseInput,
} from '../../../../src/protocol/messages/consumer-group-heartbeat.ts'
import { idOf, imageWith } from '../../support/topics-image.ts'

export type Heartbeat = Partial<ConsumerGroupHeartbeatRequest>
export type Answer = ConsumerGroupHeartbeatResponseInput & { readonly error: string }
export type Topics = Readonly<
  Record<string, number | { readonly id: string; readonly partitionCount: number }>
>

/** Groups here have no classic members to go back to. */
const noSuccessor: Successor = {
  generationMin: () => 0,
  begin: () => {
    throw new Error('Expected no downgrade')
  },
}

interface Waiting {
  readonly endBatch: number
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

export interface ShardOptions {
  readonly seed?: number | string
  readonly topics?: Topics
  readonly config?: Partial<GroupConfig>
  /** What the group sees instead of the simulation's clock. */
  readonly clock?: Clock
  /** Time from append to commit, ms. Default: commits at once. */
  readonly commitMs?: () => number
}

export class TestShard {
  readonly sim: Simulation
  readonly clock: Clock
  /** As a reader of the log finds them. */
  batches: ConsumerGroupRecord[][] = []
  committedBatches = 0
  /** Largest write that the log takes. */
  batchBytesMax = 1_048_588
  /** The next appends are refused. */
  isRefusing = false
  image
  group: ConsumerGroup
  patterns: PatternResolver
  readonly #options: ShardOptions
  #waiting: Waiting[] = []
  #life = 0

  constructor(options: ShardOptions = {}) {
    this.#options = options
    this.sim = new Simulation({ seed: options.seed ?? 1 })
    this.clock = options.clock ?? this.sim.env('coordinator').clock
    this.image = imageWith(options.topics ?? {})
    ;({ group: this.group, patterns: this.patterns } = this.#open())
  }

  get state(): GroupState {
    return this.group.state
  }

  get records(): ConsumerGroupRecord[] {
    return this.batches.flat()
  }

  /** The records of the last batch, as `kind`, or `-kind` for a removal, with the member if there is one. */
  lastBatch(): string[] {
    return (this.batches.at(-1) ?? []).map(
      ({ kind, key, value }) =>
        `${value === null ? '-' : ''}${kind.replace('ConsumerGroup', '')}${'memberId' in key ? ` ${key.memberId}` : ''}`,
    )
  }

  async send(heartbeat: Heartbeat, apiVersion = 1): Promise<Answer> {
    const answer = await this.group.heartbeat(
      { ...plain, ...heartbeat },
      { apiVersion, clientId: 'client', clientHost: '/127.0.0.1' },
    )
    return { ...answer, error: errorByCode(answer.errorCode).name }
  }

  /** Joins with a subscription to `topics`, and returns the answer. */
  join(memberId: string, topics: readonly string[], more: Heartbeat = {}): Promise<Answer> {
    const request = { memberId, memberEpoch: 0, rebalanceTimeoutMs: 60_000, topicPartitions: [] }
    return this.send({ ...request, subscribedTopicNames: [...topics], ...more })
  }

  setTopics(topics: Topics): void {
    const before = this.image
    this.image = imageWith(topics)
    const names = new Set([...before.topicsByName.keys(), ...this.image.topicsByName.keys()])
    for (const name of names) {
      const [a, b] = [before.topicsByName.get(name), this.image.topicsByName.get(name)]
      if (a?.id === b?.id && a?.partitions.length === b?.partitions.length) names.delete(name)
    }
    this.patterns.topicsChanged(names)
    this.group.topicsChanged(names)
  }

  /**
   * The shard's leader is gone; the next one reads what is left of the log.
   *
   * @param batchCount - What is left: no less than is committed.
   */
  crash(batchCount: number = this.batches.length): void {
    this.#life++
    this.group.close()
    this.patterns.close()
    for (const { reject } of this.#waiting.splice(0))
      reject(new CoordinatorFailure('NOT_COORDINATOR', 'Gone'))
    this.batches.length = batchCount
    this.committedBatches = batchCount
    ;({ group: this.group, patterns: this.patterns } = this.#open())
  }

  commit(endBatch: number = this.batches.length): void {
    this.committedBatches = Math.max(this.committedBatches, endBatch)
    const done = this.#waiting.filter((each) => each.endBatch <= this.committedBatches)
    this.#waiting = this.#waiting.filter((each) => each.endBatch > this.committedBatches)
    for (const { resolve } of done) resolve()
  }

  /** A group read from the log as it is. */
  read(): ConsumerGroup {
    const context = this.#context(() => Promise.reject(new Error('Only reads')))
    const group = new ConsumerGroup(context, 'g', new PatternResolver(context), noSuccessor)
    for (const record of this.records) group.replay(record)
    return group
  }

  #open(): { group: ConsumerGroup; patterns: PatternResolver } {
    const life = this.#life
    const context = this.#context((records) => this.#write(records, life))
    const patterns = new PatternResolver(context)
    const group = new ConsumerGroup(context, 'g', patterns, noSuccessor)
    for (const record of this.records) group.replay(record)
    group.loaded()
    return { group, patterns }
  }

  #context(write: ShardContext['write']): ShardContext {
    return {
      clock: this.clock,
      random: this.sim.env('coordinator').random,
      logger: silentLogger,
      config: { ...DEFAULT_GROUP_CONFIG, ...this.#options.config },
      image: () => this.image,
      batchBytesMax: () => this.batchBytesMax,
      write,
    }
  }

  async #write(records: readonly CoordinatorRecord[], life: number): Promise<void> {
    if (life !== this.#life) throw new CoordinatorFailure('NOT_COORDINATOR', 'Gone')
    if (records.length > 0) {
      if (this.isRefusing) throw new CoordinatorFailure('COORDINATOR_NOT_AVAILABLE', 'Refused')
      // Through bytes and back, so that nothing is replayed that a log cannot hold.
      const batch = records.map((record) => {
        const { key, value } = encodeCoordinatorRecord(record)
        return decodeCoordinatorRecord(key, value) as ConsumerGroupRecord
      })
      this.batches.push(batch)
      for (const record of batch) this.group.replay(record)
    }
    const endBatch = this.batches.length
    const { commitMs } = this.#options
    if (commitMs === undefined) this.commit(endBatch)
    if (this.committedBatches >= endBatch) return
    if (commitMs !== undefined) {
      this.clock.after(commitMs(), () => {
        if (life === this.#life) this.commit(endBatch)
      })
    }
    await new Promise<void>((resolve, reject) => this.#waiting.push({ endBatch, resolve, reject }))
  }
}

const plain: ConsumerGroupHeartbeatRequest = {
  groupId: 'g',
  memberId: '',
  memberEpoch: 0,
  instanceId: null,
  rackId: null,
  rebalanceTimeoutMs: -1,
  subscribedTopicNames: null,
  subscribedTopicRegex: null,
  serverAssignor: null,
  topicPartitions: null,
}

/** Partitions of one topic, as requests and answers list them. */
export const own = (topic: string, ...partitions: number[]) => ({ topicId: idOf(topic), partitions })

/** What an answer assigns, as `topic: partitions`; null when it says nothing. */
export function assignedBy(answer: Answer): Record<string, number[]> | null {
  if (answer.assignment === null || answer.assignment === undefined) return null
  return Object.fromEntries(
    answer.assignment.topicPartitions.map(({ topicId, partitions }) => [
      topicId.replace(/A+$/, ''),
      [...partitions],
    ]),
  )
}

/** All that a state says, to be compared. */
export function contentOf(state: GroupState): unknown {
  return {
    epoch: state.epoch,
    metadataHash: state.metadataHash,
    assignmentEpoch: state.assignmentEpoch,
    assignmentTimestampMs: state.assignmentTimestampMs,
    members: new Map([...state.members].sort()),
    targets: new Map([...state.targets].sort()),
    patterns: new Map([...state.patterns].sort()),
    name: state.name,
    subscribed: [...state.subscribedNames].sort(),
    owners: [...state.members.values()].flatMap(({ assigned, revoking }) =>
      [...assigned, ...revoking].flatMap(([topicId, partitions]) =>
        partitions.map((partition) => state.ownerOf(topicId, partition)),
      ),
    ),
  }
}
