/**
 * What clients of a broker know of it: what was acknowledged, what was asked and not answered. A broker that comes back
 * is compared with it (docs/faults.md D1, D2, P1, P4, M9, M11, R9, R10, R12, R13).
 *
 * Every record has a value of its own. Topics are followed by id, so that what belonged to a deleted one cannot hide.
 */
import { expect } from 'vitest'
import type { ApiName, RequestInputOf, ResponseOf } from '../../src/protocol/apis.ts'
import { errorByCode } from '../../src/protocol/errors.ts'
import { fetchRequest, makeBatch, produceRequest, valuesOf } from '../broker/support/batches.ts'

export type Call = <A extends ApiName>(
  api: A,
  version: number,
  body: RequestInputOf<A>,
) => Promise<ResponseOf<A>>

/** Errors after which nobody can tell whether the request took effect. */
const IN_DOUBT: ReadonlySet<string> = new Set([
  'REQUEST_TIMED_OUT',
  'KAFKA_STORAGE_ERROR',
  'NOT_LEADER_OR_FOLLOWER',
  'NOT_CONTROLLER',
  'UNKNOWN_SERVER_ERROR',
])

interface SentBatch {
  readonly values: readonly string[]
  readonly producer: Producer | null
  readonly bytes: Uint8Array
  /** Base offset; null while not acknowledged. */
  offset: number | null
  /** Refused for certain: must never be seen. */
  isRefused: boolean
}

export class PartitionModel {
  readonly batches: SentBatch[] = []
  /** Offsets at which the log may start. */
  startMin = 0
  startMax = 0
}

export class TopicModel {
  readonly name: string
  readonly id: string
  readonly partitions: PartitionModel[] = []
  /** Numbers of partitions, and settings, that may be found. */
  counts: number[]
  retention: (string | null)[] = [null]
  /** Somebody changes the topic, or did and got no answer. */
  isChanging = false

  constructor(name: string, id: string, count: number) {
    this.name = name
    this.id = id
    this.counts = [count]
    this.ensure(count)
  }

  ensure(count: number): void {
    while (this.partitions.length < count) this.partitions.push(new PartitionModel())
  }
}

/** One idempotent producer on one partition: one batch under way at a time, sent again until it is answered. */
export interface Producer {
  readonly id: number
  nextSequence: number
}

/** What may be found under a name: nothing, a known topic, or one whose creation was not answered. */
type Possible = 'absent' | 'new' | TopicModel

export class BrokerModel {
  readonly names = new Map<string, Possible[]>()
  readonly topicIds = new Set<string>()
  readonly producerIds = new Set<number>()
  readonly #inDoubt: ReadonlySet<string>
  #lastValue = 0
  #counts: Record<string, number> = {}

  /** @param definite - Errors that here are promises: what they answered has not happened and never will. */
  constructor(definite: readonly string[] = []) {
    this.#inDoubt = new Set([...IN_DOUBT].filter((name) => !definite.includes(name)))
  }

  /** How often each outcome came: what a run that looked at nothing cannot show. */
  get counts(): Readonly<Record<string, number>> {
    return this.#counts
  }

  /** The topic under a name, if there is one for certain. */
  find(name: string): TopicModel | null {
    const possible = this.names.get(name) ?? ['absent']
    const [only] = possible
    return possible.length === 1 && only instanceof TopicModel ? only : null
  }

  isAbsent(name: string): boolean {
    return (this.names.get(name) ?? ['absent']).every((possible) => possible === 'absent')
  }

  async createTopic(call: Call, name: string, count: number, configs: Record<string, string>): Promise<void> {
    this.names.set(name, ['absent', 'new'])
    const { topics } = await call('CreateTopics', 7, {
      topics: [
        {
          name,
          numPartitions: count,
          replicationFactor: 1,
          assignments: [],
          configs: Object.entries(configs).map(([key, value]) => ({ name: key, value })),
        },
      ],
    })
    const { errorCode, topicId } = topics[0]!
    if (this.#note('create', errorCode) !== 'acked') return
    this.#adopt(name, topicId, count)
  }

  async deleteTopic(call: Call, topic: TopicModel): Promise<void> {
    this.names.set(topic.name, [topic, 'absent'])
    const request = { topics: [{ name: null, topicId: topic.id }], timeoutMs: 60_000 }
    const { responses } = await call('DeleteTopics', 6, request)
    const outcome = this.#note('delete', responses[0]!.errorCode)
    if (outcome === 'acked') this.names.set(topic.name, ['absent'])
    if (outcome === 'refused') this.names.set(topic.name, [topic])
  }

  async createPartitions(call: Call, topic: TopicModel): Promise<void> {
    const [before] = topic.counts
    const count = before! + 1
    topic.counts = [before!, count]
    const request = {
      topics: [{ name: topic.name, count, assignments: null }],
      timeoutMs: 60_000,
      validateOnly: false,
    }
    const { results } = await call('CreatePartitions', 3, request)
    const outcome = this.#note('grow', results[0]!.errorCode)
    if (outcome === 'acked') topic.counts = [count]
    if (outcome === 'refused') topic.counts = [before!]
    topic.ensure(count)
  }

  async setRetention(call: Call, topic: TopicModel, value: string): Promise<void> {
    const before = topic.retention
    topic.retention = [...before, value]
    const configs = [{ name: 'retention.bytes', configOperation: 0, value }]
    const { responses } = await call('IncrementalAlterConfigs', 1, {
      resources: [{ resourceType: 2, resourceName: topic.name, configs }],
      validateOnly: false,
    })
    const outcome = this.#note('alter', responses[0]!.errorCode)
    if (outcome === 'acked') topic.retention = [value]
    if (outcome === 'refused') topic.retention = before
  }

  async deleteRecords(call: Call, topic: TopicModel, index: number, offset: number): Promise<void> {
    const partition = topic.partitions[index]!
    partition.startMax = Math.max(partition.startMax, offset)
    const { topics } = await call('DeleteRecords', 2, {
      topics: [{ name: topic.name, partitions: [{ partitionIndex: index, offset }] }],
      timeoutMs: 60_000,
    })
    const { errorCode } = topics[0]!.partitions[0]!
    if (this.#note('delete-records', errorCode) === 'acked')
      partition.startMin = Math.max(partition.startMin, offset)
  }

  /** A new idempotent producer, or null if there are no ids to be had. */
  async newProducer(call: Call): Promise<Producer | null> {
    const body = await call('InitProducerId', 4, { transactionalId: null, transactionTimeoutMs: 1000 })
    if (this.#note('producer', body.errorCode) !== 'acked') return null
    expect(this.producerIds.has(body.producerId), 'P4: a producer id is given once').toBe(false)
    this.producerIds.add(body.producerId)
    return { id: body.producerId, nextSequence: 0 }
  }

  /** Sends a new batch of `count` records. */
  async produce(
    call: Call,
    topic: TopicModel,
    index: number,
    count: number,
    producer: Producer | null,
  ): Promise<void> {
    const values = Array.from({ length: count }, () => `value ${++this.#lastValue}`.padEnd(60, '.'))
    const sequence = {
      producerId: producer?.id ?? -1,
      producerEpoch: 0,
      baseSequence: producer?.nextSequence ?? -1,
    }
    const bytes = makeBatch({ values, ...(producer === null ? {} : sequence) })
    if (producer !== null) producer.nextSequence += count
    const batch: SentBatch = { values, producer, bytes, offset: null, isRefused: false }
    topic.partitions[index]!.batches.push(batch)
    await this.send(call, topic, index, batch)
  }

  /** Sends a batch, perhaps again. */
  async send(call: Call, topic: TopicModel, index: number, batch: SentBatch): Promise<void> {
    const where = { topicId: topic.id, partition: index }
    const { responses } = await call('Produce', 13, produceRequest(where, batch.bytes.slice()))
    const { errorCode, baseOffset } = responses[0]!.partitionResponses[0]!
    const outcome = this.#note(batch.producer === null ? 'produce' : 'idempotent', errorCode)
    if (outcome === 'refused') batch.isRefused = true
    if (outcome !== 'acked') return
    if (batch.offset !== null)
      expect(baseOffset, 'TX-1: a repeated batch has its old offset').toBe(batch.offset)
    batch.offset = baseOffset
  }

  /**
   * Compares everything that a broker shows with what it promised; resolves what was in doubt.
   *
   * @param mayBeOffline - Partitions that answer KAFKA_STORAGE_ERROR are left out: the disk is ill.
   */
  async check(call: Call, mayBeOffline = false): Promise<void> {
    const { topics } = await call('Metadata', 12, { topics: null, allowAutoTopicCreation: false })
    const shown = new Map(topics.map((topic) => [topic.name!, topic]))
    for (const name of shown.keys()) expect([...this.names.keys()]).toContain(name)
    for (const [name, possible] of this.names) {
      const found = shown.get(name)
      if (found === undefined) {
        expect(possible, `M11: topic ${name} is there`).toContain('absent')
        this.names.set(name, ['absent'])
        continue
      }
      const known = possible.find((each) => each instanceof TopicModel && each.id === found.topicId)
      if (known === undefined)
        expect(possible, `RP-21: topic ${name} has the id it was given`).toContain('new')
      const topic =
        known instanceof TopicModel ? known : this.#adopt(name, found.topicId, found.partitions.length)
      this.names.set(name, [topic])
      expect(topic.counts, `M11: partitions of ${name}`).toContain(found.partitions.length)
      topic.counts = [found.partitions.length]
      topic.ensure(found.partitions.length)
      topic.isChanging = false
      await this.#checkRetention(call, topic)
      for (const index of found.partitions.keys())
        await this.#checkPartition(call, topic, index, mayBeOffline)
    }
  }

  /**
   * Sends the last batch of every idempotent producer again: what is there, or was deleted (TX-5), gets its old offset,
   * what is not, a new one.
   */
  async retryIdempotent(call: Call): Promise<void> {
    for (const [topic] of this.names.values()) {
      if (!(topic instanceof TopicModel)) continue
      for (const [index, { batches }] of topic.partitions.entries()) {
        const last = new Map<number, SentBatch>()
        for (const batch of batches) if (batch.producer !== null) last.set(batch.producer.id, batch)
        for (const batch of last.values()) {
          if (!batch.isRefused) await this.send(call, topic, index, batch)
        }
      }
    }
  }

  async #checkRetention(call: Call, topic: TopicModel): Promise<void> {
    const resources = [{ resourceType: 2, resourceName: topic.name, configurationKeys: ['retention.bytes'] }]
    const { results } = await call('DescribeConfigs', 4, { resources })
    const [config] = results[0]!.configs
    const value = config!.configSource === 1 ? config!.value : null
    expect(topic.retention, `M11: setting of ${topic.name}`).toContain(value)
    topic.retention = [value]
  }

  async #checkPartition(call: Call, topic: TopicModel, index: number, mayBeOffline: boolean): Promise<void> {
    const partition = topic.partitions[index]!
    const where = `${topic.name}-${index}`
    const probe = await this.#fetch(call, topic, index, 2 ** 50)
    if (mayBeOffline && errorByCode(probe.errorCode).name === 'KAFKA_STORAGE_ERROR') return
    const { logStartOffset, highWatermark } = probe
    expect(logStartOffset, `R12: log start of ${where}`).toBeGreaterThanOrEqual(partition.startMin)
    expect(logStartOffset, `R12: log start of ${where}`).toBeLessThanOrEqual(partition.startMax)
    partition.startMin = partition.startMax = logStartOffset
    const found = new Map<number, string>()
    for (let offset = logStartOffset; offset < highWatermark;) {
      const { records } = await this.#fetch(call, topic, index, offset)
      const values = valuesOf(records)
      expect(values.length, `R10: records of ${where} at ${offset}`).toBeGreaterThan(0)
      for (const record of values) {
        if (record.offset < offset) continue
        expect(record.offset, `R10: ${where} is dense`).toBe(offset++)
        found.set(record.offset, record.value)
      }
    }
    const offsets = new Map([...found].map(([offset, value]) => [value, offset]))
    expect(offsets.size, `P1: every record of ${where} is there once`).toBe(found.size)
    const sent = new Set<string>()
    for (const batch of partition.batches) {
      const [firstValue] = batch.values
      const baseOffset = batch.offset ?? offsets.get(firstValue!) ?? null
      for (const [place, value] of batch.values.entries()) {
        sent.add(value)
        if (batch.isRefused) expect(offsets.has(value), `R13: refused record in ${where}`).toBe(false)
        // Nothing of a batch that is not there may be there; what was acknowledged is, unless it was deleted.
        if (baseOffset === null) expect(offsets.has(value), `D2: half a batch in ${where}`).toBe(false)
        else if (baseOffset + place >= logStartOffset)
          expect(found.get(baseOffset + place), `D1: record of ${where}`).toBe(value)
      }
      batch.offset = baseOffset
    }
    for (const value of found.values())
      expect(sent, `D2: ${where} holds what was sent to it`).toContain(value)
  }

  async #fetch(call: Call, topic: TopicModel, index: number, offset: number) {
    const request = fetchRequest({ topicId: topic.id }, { partition: index, offset })
    const { responses } = await call('Fetch', 16, request)
    return responses[0]!.partitions[0]!
  }

  #adopt(name: string, id: string, count: number): TopicModel {
    expect(this.topicIds.has(id), `M9: a topic id is given once`).toBe(false)
    this.topicIds.add(id)
    const topic = new TopicModel(name, id, count)
    this.names.set(name, [topic])
    return topic
  }

  #note(what: string, code: number): 'acked' | 'refused' | 'unknown' {
    const { name } = errorByCode(code)
    const key = `${what} ${name}`
    this.#counts[key] = (this.#counts[key] ?? 0) + 1
    if (name === 'NONE') return 'acked'
    return this.#inDoubt.has(name) ? 'unknown' : 'refused'
  }
}
