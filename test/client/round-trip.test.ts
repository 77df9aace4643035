/** The client against the real broker, over every transport. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Client } from '../../src/client/client.ts'
import { json, text } from '../../src/client/serde.ts'
import type { CodecName } from '../../src/records/compression/codec.ts'
import { startBroker } from '../../src/testing.ts'
import type { TestBroker } from '../../src/testing.ts'

let broker: TestBroker
beforeAll(async () => {
  broker = await startBroker()
})
afterAll(() => broker.close())

let topicCount = 0
async function makeTopic(
  client: Client,
  partitions = 1,
  configs: Record<string, string | number> = {},
): Promise<string> {
  topicCount++
  const name = `topic-${topicCount}`
  await client.admin().createTopics([{ name, partitions, configs }])
  return name
}

async function readAll(client: Client, topic: string): Promise<string[]> {
  await using consumer = client.consumer({ topics: [topic], from: 'beginning', untilEnd: true, value: text })
  const values: string[] = []
  for await (const { value } of consumer) values.push(value!)
  return values
}

describe.each(['in-process', 'tcp', 'websocket'] as const)('over %s', (transport) => {
  const connect = (): Client =>
    transport === 'in-process'
      ? broker.client()
      : broker.client({ bootstrap: transport === 'tcp' ? broker.bootstrap : `ws://${broker.bootstrap}` })

  it('a record comes back as it was sent', async () => {
    await using client = connect()
    const topic = await makeTopic(client)
    await using producer = client.producer()
    const sent = {
      topic,
      key: 'k',
      value: 'wört',
      headers: { a: '1', b: null },
      timestamp: 1_700_000_000_000,
    }
    expect(await producer.send(sent)).toEqual({
      topic,
      partition: 0,
      offset: 0,
      timestamp: 1_700_000_000_000,
    })
    await using consumer = client.consumer({ topics: [topic], from: 'beginning', key: text, value: text })
    for await (const record of consumer) {
      expect(record).toMatchObject({
        topic,
        partition: 0,
        offset: 0,
        timestamp: 1_700_000_000_000,
        key: 'k',
        value: 'wört',
      })
      expect(record.headers.map(({ key, value }) => [key, value === null ? null : [...value]])).toEqual([
        ['a', [49]],
        ['b', null],
      ])
      break
    }
  })

  it('many records over many partitions come back once each, in order per key', async () => {
    await using client = connect()
    const topic = await makeTopic(client, 5)
    await using producer = client.producer({ batchBytesMax: 5_000 })
    const records = Array.from({ length: 20_000 }, (_, index) => ({
      topic,
      key: `key-${index % 7}`,
      value: `${index}`,
    }))
    const ranges = await Promise.all([
      producer.sendAll(records.slice(0, 9_000)),
      producer.sendAll(records.slice(9_000)),
    ])
    expect(ranges.flat().reduce((sum, { count }) => sum + count, 0)).toBe(20_000)
    const values = (await readAll(client, topic)).map(Number)
    expect(new Set(values).size).toBe(20_000)
    for (let key = 0; key < 7; key++) {
      const own = values.filter((value) => value % 7 === key)
      expect(own).toEqual([...own].sort((a, b) => a - b))
    }
  })
})

describe('with the real broker', () => {
  it.each(['gzip', 'snappy', 'lz4', 'zstd'] as const)(
    '%s batches come back',
    async (compression: CodecName) => {
      await using client = broker.client()
      const topic = await makeTopic(client)
      await using producer = client.producer({ compression })
      await producer.sendAll(
        Array.from({ length: 500 }, (_, index) => ({ topic, value: `same same ${index}` })),
      )
      expect(await readAll(client, topic)).toHaveLength(500)
      const [dir] = await client.admin().describeLogDirs()
      const size = dir!.partitions.find((one) => one.topic === topic)!.sizeBytes
      expect(size).toBeGreaterThan(0)
      expect(size).toBeLessThan(6_000)
    },
  )

  it('a batch above max.message.bytes is split, and a record above it is refused', async () => {
    await using client = broker.client()
    const topic = await makeTopic(client, 1, { 'max.message.bytes': 1_000 })
    await using producer = client.producer()
    const ranges = await producer.sendAll(
      Array.from({ length: 100 }, (_, index) => ({ topic, value: `${index}`.padEnd(90) })),
    )
    expect(ranges.reduce((sum, { count }) => sum + count, 0)).toBe(100)
    expect((await readAll(client, topic)).map(Number)).toEqual(
      Array.from({ length: 100 }, (_, index) => index),
    )
    await expect(producer.send({ topic, value: 'x'.repeat(2_000) })).rejects.toMatchObject({
      code: 'MESSAGE_TOO_LARGE',
    })
    await expect(producer.send({ topic, value: 'after' })).resolves.toMatchObject({ offset: 100 })
  })

  it('values go through serializers', async () => {
    await using client = broker.client()
    const topic = await makeTopic(client)
    await using producer = client.producer({ key: text, value: json<{ id: number }>() })
    await producer.send({ topic, key: 'a', value: { id: 1 } })
    await producer.send({ topic, key: 'a', value: null })
    await using consumer = client.consumer({
      topics: [topic],
      from: 'beginning',
      untilEnd: true,
      value: json<{ id: number }>(),
    })
    const values: (number | null)[] = []
    for await (const { value } of consumer) values.push(value?.id ?? null)
    expect(values).toEqual([1, null])
  })

  it('offsets are found by end and by time', async () => {
    await using client = broker.client()
    const topic = await makeTopic(client)
    await using producer = client.producer()
    for (const timestamp of [1_000, 3_000, 2_000]) await producer.send({ topic, value: 'v', timestamp })
    const at = (spec: 'earliest' | 'latest' | 'max-timestamp' | { timestamp: number }) => ({
      topic,
      partition: 0,
      at: spec,
    })
    const found = await client
      .admin()
      .listOffsets([
        at('earliest'),
        at('latest'),
        at('max-timestamp'),
        at({ timestamp: 1_500 }),
        at({ timestamp: 9_000 }),
      ])
    expect(found.map(({ offset }) => offset)).toEqual([0, 3, 1, 1, null])
    await expect(client.admin().listOffsets([{ topic, partition: 9, at: 'latest' }])).rejects.toMatchObject({
      code: 'UNKNOWN_TOPIC_OR_PARTITION',
    })
  })

  it('topics are created, listed, described, grown, configured and deleted', async () => {
    await using client = broker.client()
    const admin = client.admin()
    const topic = await makeTopic(client, 2)
    expect((await admin.listTopics()).find(({ name }) => name === topic)).toMatchObject({
      partitions: 2,
      replicationFactor: 1,
    })
    await admin.createPartitions([{ name: topic, count: 4 }])
    const [description] = await admin.describeTopics([topic])
    expect(description!.partitions.map(({ partition }) => partition)).toEqual([0, 1, 2, 3])
    await admin.alterConfigs([{ type: 'topic', name: topic, set: { 'retention.ms': 60_000 } }])
    const [configs] = await admin.describeConfigs([{ type: 'topic', name: topic }], {
      keys: ['retention.ms'],
    })
    expect(configs!.configs).toMatchObject([{ name: 'retention.ms', value: '60000', source: 'topic' }])
    await expect(admin.createTopics([{ name: topic }])).rejects.toMatchObject({
      code: 'TOPIC_ALREADY_EXISTS',
    })
    await admin.deleteTopics([topic])
    await expect(admin.describeTopics([topic])).rejects.toMatchObject({ code: 'UNKNOWN_TOPIC_OR_PARTITION' })
  })

  it('records are deleted from the front, and a consumer behind that hears of it', async () => {
    await using client = broker.client()
    const topic = await makeTopic(client)
    await using producer = client.producer()
    for (const value of ['a', 'b', 'c']) await producer.send({ topic, value })
    const remaining = await client.admin().deleteRecords([{ topic, partition: 0, before: 2 }])
    expect(remaining).toEqual([{ topic, partition: 0, logStartOffset: 2 }])
    await using consumer = client.consumer({ value: text })
    consumer.assign([{ topic, partition: 0, from: 0 }])
    await expect(consumer.records().next()).rejects.toMatchObject({ code: 'OFFSET_OUT_OF_RANGE' })
    consumer.seek({ topic, partition: 0 }, 'beginning')
    for await (const { value } of consumer) {
      expect(value).toBe('c')
      break
    }
  })

  it('the cluster describes itself', async () => {
    await using client = broker.client()
    const { brokers, clusterId, controllerId } = await client.admin().describeCluster()
    expect(clusterId.length).toBeGreaterThan(0)
    expect(brokers.map(({ id }) => id)).toContain(controllerId)
  })
})
