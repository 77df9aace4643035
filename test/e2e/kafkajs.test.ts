/**
 * kafkajs 2: producer and admin, over TCP and, by our socket factory, over WebSocket. Its consumers are in test/node and
 * test/compat. What it logs as warnings or errors is part of each check.
 */
import { CompressionTypes, ConfigResourceTypes, Kafka, logLevel, Partitioners } from 'kafkajs'
import type { Admin, LogEntry, Producer, ProducerConfig } from 'kafkajs'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { webSocketSocketFactory } from '../../src/kafkajs.ts'
import { BrokerProcess } from '../support/broker-process.ts'
import { readAll, readValues, textOf } from '../support/collect.ts'
import { storedBatches, storedCodecs } from '../support/stored-batches.ts'
import { temporaryDirectory } from '../support/temp-directory.ts'

let broker: BrokerProcess
let directory = ''

beforeAll(async () => {
  directory = temporaryDirectory('kafkajs')
  broker = await BrokerProcess.start({ directory })
})
afterAll(() => broker.kill())

describe.each(['TCP', 'WebSocket'] as const)('kafkajs over %s', (transport) => {
  const complaints: LogEntry[] = []
  let kafka: Kafka
  let admin: Admin

  beforeAll(async () => {
    kafka = new Kafka({
      clientId: 'kafkajs-test',
      brokers: [broker.bootstrap],
      logLevel: logLevel.WARN,
      logCreator: () => (entry) => complaints.push(entry),
      ...(transport === 'WebSocket' ? { socketFactory: webSocketSocketFactory() } : {}),
    })
    admin = kafka.admin()
    await admin.connect()
  })
  afterAll(() => admin.disconnect())

  afterEach(() => {
    expect(complaints.splice(0).map(({ log }) => log)).toEqual([])
  })

  const topicOf = (name: string): string => `${transport}-${name}`

  async function createTopic(name: string, numPartitions = 1): Promise<string> {
    const topic = topicOf(name)
    expect(await admin.createTopics({ topics: [{ topic, numPartitions }] })).toBe(true)
    return topic
  }

  async function withProducer<T>(
    config: ProducerConfig,
    use: (producer: Producer) => Promise<T>,
  ): Promise<T> {
    const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner, ...config })
    await producer.connect()
    try {
      return await use(producer)
    } finally {
      await producer.disconnect()
    }
  }

  describe('producer', () => {
    it('writes keys, headers, null values and bytes, and is told the offsets', async () => {
      const topic = await createTopic('fields')
      const bytes = Buffer.from(Uint8Array.from({ length: 256 }, (_, index) => index))

      const answers = await withProducer({}, async (producer) => [
        await producer.send({
          topic,
          messages: [{ key: 'k', value: 'v', headers: { a: 'b', c: ['d', 'e'] } }],
        }),
        await producer.send({
          topic,
          messages: [
            { key: 'k', value: null },
            { value: bytes, timestamp: '1700000000000' },
          ],
        }),
      ])

      expect(answers).toMatchObject([
        [{ topicName: topic, partition: 0, errorCode: 0, baseOffset: '0' }],
        [{ topicName: topic, partition: 0, errorCode: 0, baseOffset: '1' }],
      ])
      const [first, second, third] = await readAll(broker.bootstrap, topic)
      expect([textOf(first!.key), textOf(first!.value)]).toEqual(['k', 'v'])
      expect(first!.headers.map(({ key, value }) => [key, textOf(value)])).toEqual([
        ['a', 'b'],
        ['c', 'd'],
        ['c', 'e'],
      ])
      expect([textOf(second!.key), second!.value]).toEqual(['k', null])
      expect(Buffer.compare(third!.value!, bytes)).toBe(0)
      expect(third!.timestamp).toBe(1_700_000_000_000)
    })

    it('writes with gzip what is stored with gzip', async () => {
      const topic = await createTopic('gzip')
      const values = Array.from({ length: 1000 }, (_, index) => `value ${index}`)

      await withProducer({}, (producer) =>
        producer.send({
          topic,
          compression: CompressionTypes.GZIP,
          messages: values.map((value) => ({ value })),
        }),
      )

      expect(await readValues(broker.bootstrap, topic)).toEqual(values)
      expect(await storedCodecs(directory, topic)).toEqual(['gzip'])
    })

    it.each([1, -1])('writes with acks=%i', async (acks) => {
      const topic = await createTopic(`acks-${acks}`)

      await withProducer({}, (producer) => producer.send({ topic, acks, messages: [{ value: 'x' }] }))

      expect(await readValues(broker.bootstrap, topic)).toEqual(['x'])
    })

    it('writes with acks=0 before what it writes next with acks=-1', async () => {
      const topic = await createTopic('acks-0')

      await withProducer({}, async (producer) => {
        await producer.send({ topic, acks: 0, messages: [{ value: 'x' }] })
        await producer.send({ topic, acks: -1, messages: [{ value: 'y' }] })
      })

      expect(await readValues(broker.bootstrap, topic)).toEqual(['x', 'y'])
    })

    it('is idempotent: batches carry a producer id and ascending sequences', async () => {
      const topic = await createTopic('idempotent', 2)

      await withProducer({ idempotent: true, maxInFlightRequests: 1 }, async (producer) => {
        for (let round = 0; round < 20; round++) {
          const messages = [0, 1].map((partition) => ({ partition, value: `${round}` }))
          await producer.send({ topic, messages })
        }
      })

      const rounds = Array.from({ length: 20 }, (_, round) => `${round}`)
      expect(await readValues(broker.bootstrap, topic)).toEqual([...rounds, ...rounds])
      const headers = (await storedBatches(directory, topic)).map(({ header }) => header)
      expect(headers[0]!.producerId).toBeGreaterThanOrEqual(0)
      expect(headers.map(({ baseSequence }) => baseSequence)).toEqual(rounds.map(Number))
    })

    it('writes many records at a time, each once', async () => {
      const topic = await createTopic('parallel', 3)

      await withProducer({ maxInFlightRequests: 1 }, (producer) =>
        Promise.all(
          Array.from({ length: 300 }, (_, index) =>
            producer.send({ topic, messages: [{ partition: index % 3, value: `${index}` }] }),
          ),
        ),
      )

      const records = await readAll(broker.bootstrap, topic)
      expect(records.map(({ value }) => Number(textOf(value))).sort((a, b) => a - b)).toEqual(
        Array.from({ length: 300 }, (_, index) => index),
      )
    })

    it('creates a topic by writing to it', async () => {
      const topic = topicOf('made-by-writing')

      await withProducer({ allowAutoTopicCreation: true }, (producer) =>
        producer.send({ topic, messages: [{ value: 'first' }] }),
      )

      expect(await readValues(broker.bootstrap, topic)).toEqual(['first'])
    })

    it('is told when a batch is too large', async () => {
      const topic = await createTopic('large')
      const send = withProducer({ retry: { retries: 0 } }, (producer) =>
        producer.send({ topic, messages: [{ value: 'x'.repeat(1_100_000) }] }),
      )

      await expect(send).rejects.toMatchObject({ type: 'MESSAGE_TOO_LARGE' })
      expect(complaints.splice(0).length).toBeGreaterThan(0)
      expect(await readValues(broker.bootstrap, topic)).toEqual([])
    })
  })

  describe('admin', () => {
    let topic = ''
    beforeEach(async (context) => {
      topic = await createTopic(`admin-${context.task.id.replaceAll(/[^0-9]/g, '-')}`, 2)
    })

    it('creates topics, lists them, shows their leaders, and deletes them', async () => {
      expect(await admin.createTopics({ topics: [{ topic, numPartitions: 9 }] })).toBe(false) // it is there already
      expect(await admin.listTopics()).toContain(topic)
      const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
      expect(topics[0]!.partitions).toMatchObject([
        { partitionId: 0, leader: 1, replicas: [1], isr: [1], offlineReplicas: [] },
        { partitionId: 1, leader: 1, replicas: [1], isr: [1], offlineReplicas: [] },
      ])

      await admin.deleteTopics({ topics: [topic] })

      expect(await admin.listTopics()).not.toContain(topic)
      complaints.splice(0) // "Topic creation errors": that of the one that is there
    })

    it('creates topics with settings and with replicas by hand', async () => {
      const name = `${topic}-configured`
      const configEntries = [{ name: 'retention.ms', value: '1234567' }]
      await admin.createTopics({
        topics: [{ topic: name, configEntries, replicaAssignment: [{ partition: 0, replicas: [1] }] }],
      })

      const { resources } = await admin.describeConfigs({
        includeSynonyms: true,
        resources: [
          { type: ConfigResourceTypes.TOPIC, name, configNames: ['retention.ms', 'cleanup.policy'] },
        ],
      })

      const entries = new Map(resources[0]!.configEntries.map((entry) => [entry.configName, entry]))
      expect(entries.get('retention.ms')).toMatchObject({ configValue: '1234567', isDefault: false })
      expect(entries.get('cleanup.policy')).toMatchObject({ configValue: 'delete', isDefault: true })
    })

    it('changes settings', async () => {
      const resource = { type: ConfigResourceTypes.TOPIC, name: topic }
      await admin.alterConfigs({
        validateOnly: false,
        resources: [{ ...resource, configEntries: [{ name: 'retention.ms', value: '777' }] }],
      })

      const { resources } = await admin.describeConfigs({
        includeSynonyms: false,
        resources: [{ ...resource, configNames: ['retention.ms'] }],
      })

      expect(resources[0]!.configEntries).toMatchObject([{ configName: 'retention.ms', configValue: '777' }])
    })

    it('describes the settings of the broker', async () => {
      const { resources } = await admin.describeConfigs({
        includeSynonyms: false,
        resources: [{ type: ConfigResourceTypes.BROKER, name: '1' }],
      })

      const names = resources[0]!.configEntries.map(({ configName }) => configName)
      expect(names).toContain('num.partitions')
      expect(names).toContain('log.retention.ms')
    })

    it('adds partitions', async () => {
      await admin.createPartitions({ topicPartitions: [{ topic, count: 5 }] })

      expect((await admin.fetchTopicMetadata({ topics: [topic] })).topics[0]!.partitions).toHaveLength(5)
      await withProducer({}, (producer) => producer.send({ topic, messages: [{ partition: 4, value: 'v' }] }))
    })

    it('asks for offsets, by end and by time, and deletes records', async () => {
      const messages = Array.from({ length: 10 }, (_, index) => ({
        partition: 0,
        value: `${index}`,
        timestamp: `${1_700_000_000_000 + index * 1000}`,
      }))
      await withProducer({}, (producer) => producer.send({ topic, messages }))

      const byPartition = (offsets: readonly { partition: number }[]) =>
        [...offsets].sort((a, b) => a.partition - b.partition)
      expect(byPartition(await admin.fetchTopicOffsets(topic))).toEqual([
        { partition: 0, offset: '10', high: '10', low: '0' },
        { partition: 1, offset: '0', high: '0', low: '0' },
      ])
      expect(byPartition(await admin.fetchTopicOffsetsByTimestamp(topic, 1_700_000_004_500))).toEqual([
        { partition: 0, offset: '5' },
        { partition: 1, offset: '0' },
      ])

      await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '7' }] })

      expect(byPartition(await admin.fetchTopicOffsets(topic))[0]).toMatchObject({ high: '10', low: '7' })
      expect(await readValues(broker.bootstrap, topic)).toEqual(['7', '8', '9'])
    })

    it('describes the cluster', async () => {
      expect(await admin.describeCluster()).toEqual({
        brokers: [{ nodeId: 1, host: '127.0.0.1', port: broker.port }],
        clusterId: broker.clusterId,
        controller: 1,
      })
    })
  })
})

it('the broker complains of nothing that kafkajs does', () => {
  expect(broker.complaints).toEqual([])
})
