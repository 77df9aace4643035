/**
 * @platformatic/kafka 1: producer and admin, as far as the broker announces the APIs that they need. Its consumers need
 * groups and are not here.
 */
import * as zlib from 'node:zlib'
import {
  Admin,
  ConfigResourceTypes,
  IncrementalAlterConfigOperationTypes,
  ListOffsetTimestamps,
  Producer,
  stringSerializers,
} from '@platformatic/kafka'
import type { ProducerOptions } from '@platformatic/kafka'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { BrokerProcess } from '../support/broker-process.ts'
import { readAll, readValues, textOf } from '../support/collect.ts'
import { storedBatches, storedCodecs } from '../support/stored-batches.ts'
import { temporaryDirectory } from '../support/temp-directory.ts'

type TextProducer = Producer<string, string, string, string>

let broker: BrokerProcess
let directory = ''
let admin: Admin
let topicCount = 0

const place = () => ({ clientId: 'platformatic-test', bootstrapBrokers: [broker.bootstrap] })

beforeAll(async () => {
  directory = temporaryDirectory('platformatic')
  broker = await BrokerProcess.start({ directory })
  admin = new Admin(place())
})
afterAll(async () => {
  await admin.close()
  await broker.kill()
})

async function createTopic(partitions = 1): Promise<string> {
  const topic = `topic-${++topicCount}`
  await admin.createTopics({ topics: [topic], partitions, replicas: 1 })
  return topic
}

async function withProducer<T>(
  options: Partial<ProducerOptions<string, string, string, string>>,
  use: (producer: TextProducer) => Promise<T>,
): Promise<T> {
  const producer: TextProducer = new Producer({ ...place(), serializers: stringSerializers, ...options })
  try {
    return await use(producer)
  } finally {
    await producer.close()
  }
}

describe('the producer of @platformatic/kafka', () => {
  it('writes keys, headers, timestamps and null values, and is told the offsets', async () => {
    const topic = await createTopic()

    const results = await withProducer({}, async (producer) => [
      await producer.send({
        messages: [
          { topic, key: 'k', value: 'v', headers: { a: 'b', c: 'd' }, timestamp: 1_700_000_000_000n },
          { topic, value: 'without key' },
        ],
      }),
      await producer.send({ messages: [{ topic, key: 'without value' }] }),
    ])

    expect(results.map(({ offsets }) => offsets)).toEqual([
      [{ topic, partition: 0, offset: 0n }],
      [{ topic, partition: 0, offset: 2n }],
    ])
    const records = await readAll(broker.bootstrap, topic)
    expect(records.map(({ key, value }) => [textOf(key), textOf(value)])).toEqual([
      ['k', 'v'],
      [null, 'without key'],
      ['without value', null],
    ])
    expect(records[0]!.headers.map(({ key, value }) => [key, textOf(value)])).toEqual([
      ['a', 'b'],
      ['c', 'd'],
    ])
    expect(records[0]!.timestamp).toBe(1_700_000_000_000)
  })

  it.for(['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const)(
    'writes with %s what we can read',
    async (compression, context) => {
      if (compression === 'zstd' && !('zstdCompressSync' in zlib)) context.skip('its zstd needs Node 22.15')
      const topic = await createTopic()
      const values = Array.from({ length: 1000 }, (_, index) => `value ${index} ${'abc'.repeat(index % 50)}`)

      await withProducer({ compression }, (producer) =>
        producer.send({ messages: values.map((value) => ({ topic, value })) }),
      )

      expect(await readValues(broker.bootstrap, topic)).toEqual(values)
      expect(await storedCodecs(directory, topic)).toEqual([compression])
    },
  )

  it.each([1, -1])('writes with acks=%i', async (acks) => {
    const topic = await createTopic()

    await withProducer({}, (producer) => producer.send({ acks, messages: [{ topic, value: 'x' }] }))

    expect(await readValues(broker.bootstrap, topic)).toEqual(['x'])
  })

  it('writes with acks=0 before what it writes next with acks=-1', async () => {
    const topic = await createTopic()

    await withProducer({}, async (producer) => {
      await producer.send({ acks: 0, messages: [{ topic, value: 'x' }] })
      await producer.send({ acks: -1, messages: [{ topic, value: 'y' }] })
    })

    expect(await readValues(broker.bootstrap, topic)).toEqual(['x', 'y'])
  })

  it('is idempotent: batches carry a producer id and ascending sequences', async () => {
    const topic = await createTopic(2)
    const rounds = Array.from({ length: 20 }, (_, round) => round)

    await withProducer({ idempotent: true }, async (producer) => {
      for (const round of rounds) {
        await producer.send({
          messages: [0, 1].map((partition) => ({ topic, partition, value: `${round}` })),
        })
      }
    })

    expect(await readValues(broker.bootstrap, topic)).toEqual([...rounds, ...rounds].map(String))
    for (const partition of [0, 1]) {
      const headers = (await storedBatches(directory, topic, partition)).map(({ header }) => header)
      expect(headers[0]!.producerId).toBeGreaterThanOrEqual(0)
      expect(headers.map(({ baseSequence }) => baseSequence)).toEqual(rounds)
    }
  })

  it('creates a topic by writing to it', async () => {
    const topic = 'made-by-writing'

    await withProducer({}, (producer) =>
      producer.send({ autocreateTopics: true, messages: [{ topic, value: 'first' }] }),
    )

    expect(await readValues(broker.bootstrap, topic)).toEqual(['first'])
  })

  it('is told when a batch is too large', async () => {
    const topic = await createTopic()
    const send = withProducer({ retries: 0 }, (producer) =>
      producer.send({ messages: [{ topic, value: 'x'.repeat(1_100_000) }] }),
    )

    await expect(send).rejects.toSatisfy((error: unknown) => apiIds(error).includes('MESSAGE_TOO_LARGE'))
    expect(await readValues(broker.bootstrap, topic)).toEqual([])
  })

  it('streams many records, each once and in order', async () => {
    const topic = await createTopic()
    const values = Array.from({ length: 2000 }, (_, index) => `${index}`)

    await withProducer({ idempotent: true }, async (producer) => {
      const stream = producer.asStream({ batchSize: 100, batchTime: 5 })
      for (const value of values) {
        if (!stream.write({ topic, value })) await new Promise((resolve) => stream.once('drain', resolve))
      }
      await stream.close()
    })

    expect(await readValues(broker.bootstrap, topic)).toEqual(values)
  })
})

describe('the admin of @platformatic/kafka', () => {
  let topic = ''
  beforeEach(async () => {
    topic = await createTopic(2)
  })

  it('creates topics, lists them, shows their leaders, and deletes them', async () => {
    const again = admin.createTopics({ topics: [topic], partitions: 2, replicas: 1 })
    await expect(again).rejects.toSatisfy((error: unknown) => apiIds(error).includes('TOPIC_ALREADY_EXISTS'))
    expect(await admin.listTopics()).toContain(topic)
    const { topics, brokers, controllerId, id } = await admin.metadata({ topics: [topic], forceUpdate: true })
    expect([id, controllerId]).toEqual([broker.clusterId, 1])
    expect([...brokers]).toMatchObject([[1, { host: '127.0.0.1', port: broker.port }]])
    expect(topics.get(topic)).toMatchObject({
      partitionsCount: 2,
      partitions: [0, 1].map(() => ({ leader: 1, replicas: [1], isr: [1], offlineReplicas: [] })),
    })

    await admin.deleteTopics({ topics: [topic] })

    expect(await admin.listTopics()).not.toContain(topic)
  })

  it('is told what became of a topic: its id, partitions, and settings', async () => {
    const name = `${topic}-configured`

    const created = await admin.createTopics({
      topics: [name],
      assignments: [
        { partition: 0, brokers: [1] },
        { partition: 1, brokers: [1] },
      ],
      partitions: -1,
      replicas: -1,
      configs: [{ name: 'retention.ms', value: '1234567' }],
    })

    expect(created).toMatchObject([
      { name, partitions: 2, replicas: 1, configuration: { 'retention.ms': '1234567' } },
    ])
    expect(created[0]!.id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-/)
  })

  it('sets, replaces and removes settings', async () => {
    const resource = { resourceType: ConfigResourceTypes.TOPIC, resourceName: topic }
    const settings = async () => {
      const configurationKeys = ['retention.ms', 'segment.bytes']
      const [described] = await admin.describeConfigs({ resources: [{ ...resource, configurationKeys }] })
      return Object.fromEntries(described!.configs.map(({ name, value }) => [name, value]))
    }
    const { SET, DELETE } = IncrementalAlterConfigOperationTypes
    const before = await settings()

    await admin.incrementalAlterConfigs({
      resources: [{ ...resource, configs: [{ name: 'retention.ms', configOperation: SET, value: '777' }] }],
    })
    expect(await settings()).toEqual({ ...before, 'retention.ms': '777' })
    await admin.alterConfigs({
      resources: [{ ...resource, configs: [{ name: 'segment.bytes', value: '1048576' }] }],
    })
    expect(await settings()).toEqual({ ...before, 'segment.bytes': '1048576' })
    await admin.incrementalAlterConfigs({
      resources: [{ ...resource, configs: [{ name: 'segment.bytes', configOperation: DELETE }] }],
    })
    expect(await settings()).toEqual(before)
  })

  it('describes the settings of the broker, with synonyms and documentation', async () => {
    const [described] = await admin.describeConfigs({
      resources: [{ resourceType: ConfigResourceTypes.BROKER, resourceName: '1' }],
      includeSynonyms: true,
      includeDocumentation: true,
    })

    const partitions = described!.configs.find(({ name }) => name === 'num.partitions')!
    expect(partitions).toMatchObject({ value: '1', synonyms: [{ name: 'num.partitions' }] })
    expect(partitions.documentation).not.toBe('')
  })

  it('adds partitions', async () => {
    await admin.createPartitions({ topics: [{ name: topic, count: 5, assignments: null }] })

    const { topics } = await admin.metadata({ topics: [topic], forceUpdate: true })
    expect(topics.get(topic)!.partitionsCount).toBe(5)
    await withProducer({}, (producer) => producer.send({ messages: [{ topic, partition: 4, value: 'v' }] }))
    expect(await readValues(broker.bootstrap, topic)).toEqual(['v'])
  })

  it('asks for offsets, by end and by time, and deletes records', async () => {
    const messages = Array.from({ length: 10 }, (_, index) => ({
      topic,
      partition: 0,
      value: `${index}`,
      timestamp: BigInt(1_700_000_000_000 + index * 1000),
    }))
    await withProducer({}, (producer) => producer.send({ messages }))
    const offsetAt = async (timestamp: bigint): Promise<bigint> => {
      const partitions = [{ partitionIndex: 0, timestamp }]
      const [listed] = await admin.listOffsets({ topics: [{ name: topic, partitions }] })
      return listed!.partitions[0]!.offset
    }

    expect(await offsetAt(ListOffsetTimestamps.EARLIEST)).toBe(0n)
    expect(await offsetAt(ListOffsetTimestamps.LATEST)).toBe(10n)
    expect(await offsetAt(1_700_000_004_500n)).toBe(5n)
    expect(await offsetAt(1_800_000_000_000n)).toBe(-1n)

    const deleted = await admin.deleteRecords({
      topics: [{ name: topic, partitions: [{ partition: 0, offset: 7n }] }],
    })

    expect(deleted).toMatchObject([{ name: topic, partitions: [{ partition: 0, lowWatermark: 7n }] }])
    expect(await offsetAt(ListOffsetTimestamps.EARLIEST)).toBe(7n)
    expect(await readValues(broker.bootstrap, topic)).toEqual(['7', '8', '9'])
  })

  it('shows where the data lies, and how much it is', async () => {
    await withProducer({}, (producer) =>
      producer.send({ messages: [{ topic, partition: 1, value: 'x'.repeat(1000) }] }),
    )
    const [batch] = await storedBatches(directory, topic, 1)

    const described = await admin.describeLogDirs({ topics: [{ name: topic, partitions: [0, 1] }] })

    expect(described).toMatchObject([{ broker: 1, results: [{ logDir: directory }] }])
    const [{ topics, totalBytes, usableBytes }] = described[0]!.results as [
      (typeof described)[0]['results'][0],
    ]
    expect(totalBytes).toBeGreaterThan(usableBytes)
    const sizes = topics.flatMap(({ partitions }) =>
      partitions.map((one) => [one.partitionIndex, one.partitionSize]),
    )
    expect(sizes.sort(([a], [b]) => Number(a) - Number(b))).toEqual([
      [0, 0n],
      [1, BigInt(batch!.bytes.length)],
    ])
  })
})

it('the broker complains of nothing that @platformatic/kafka does', () => {
  expect(broker.complaints).toEqual([])
})

/** Names of the protocol's errors somewhere within an error: they lie in errors of errors. */
function apiIds(error: unknown): string[] {
  if (!(error instanceof Error)) return []
  const { apiId, errors = [], cause } = error as Error & { apiId?: string; errors?: unknown[] }
  return [...(apiId === undefined ? [] : [apiId]), ...errors.flatMap(apiIds), ...apiIds(cause)]
}
