/** A cluster in the process of a test: what `millrace/testing` promises of it. */
import { Kafka, logLevel, Partitioners } from 'kafkajs'
import { afterEach, describe, expect, it } from 'vitest'
import { Cluster } from '../../src/testing.ts'
import type { ClusterOptions } from '../../src/testing.ts'

let cluster: Cluster | null = null

async function start(options: ClusterOptions = {}): Promise<Cluster> {
  cluster = await Cluster.start(options)
  return cluster
}

afterEach(async () => {
  await cluster?.close()
  cluster = null
})

async function readAll(of: Cluster, topic: string): Promise<string[]> {
  await using client = of.client()
  await using consumer = client.consumer({ topics: [topic], from: 'beginning', untilEnd: true })
  const values: string[] = []
  const text = new TextDecoder()
  for await (const record of consumer) values.push(text.decode(record.value))
  return values
}

describe('Cluster.start()', () => {
  it('replicates to three brokers by default, and takes records as soon as it resolves', async () => {
    const { nodes } = await start()
    await using client = cluster!.client()
    await client.admin().createTopics([{ name: 'events', partitions: 3 }])
    await using producer = client.producer()

    const { offset } = await producer.send({ topic: 'events', partition: 0, value: 'first' })

    expect(offset).toBe(0)
    expect(nodes.map(({ nodeId, isRunning }) => [nodeId, isRunning])).toEqual([
      [1, true],
      [2, true],
      [3, true],
    ])
    const leaders = [0, 1, 2].map((partition) => cluster!.leaderOf('events', partition))
    expect([...leaders].sort()).toEqual([1, 2, 3])
  })

  it('goes on when the leader is killed, and loses nothing; the broker comes back with its data', async () => {
    await start()
    await using client = cluster!.client()
    await client.admin().createTopics([{ name: 'events', partitions: 1 }])
    await using producer = client.producer()
    const leader = cluster!.leaderOf('events', 0)!
    await producer.send({ topic: 'events', value: 'before' })

    await cluster!.kill(leader)
    await producer.send({ topic: 'events', value: 'meanwhile' })
    expect(cluster!.leaderOf('events', 0)).not.toBe(leader)
    await cluster!.restart(leader)
    await producer.send({ topic: 'events', value: 'after' })

    expect(await readAll(cluster!, 'events')).toEqual(['before', 'meanwhile', 'after'])
  })

  it('hands over before a broker stops: nothing waits for it', async () => {
    await start()
    await using client = cluster!.client()
    await client.admin().createTopics([{ name: 'events', partitions: 1 }])
    await using producer = client.producer()
    await producer.send({ topic: 'events', value: 'before' })
    const leader = cluster!.leaderOf('events', 0)!

    await cluster!.stop(leader)

    expect(cluster!.leaderOf('events', 0)).not.toBe(leader)
    await producer.send({ topic: 'events', value: 'after' })
    expect(await readAll(cluster!, 'events')).toEqual(['before', 'after'])
  })

  it('serves foreign clients on real ports', async () => {
    await start()
    const kafka = new Kafka({ brokers: cluster!.bootstrap.split(','), logLevel: logLevel.NOTHING })
    const admin = kafka.admin()
    await admin.connect()
    await admin.createTopics({ topics: [{ topic: 'events', numPartitions: 1 }], waitForLeaders: true })
    const { topics } = await admin.fetchTopicMetadata({ topics: ['events'] })
    await admin.disconnect()
    expect([...topics[0]!.partitions[0]!.isr].sort()).toEqual([1, 2, 3])
    const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner })
    await producer.connect()

    await producer.send({ topic: 'events', acks: -1, messages: [{ value: 'from afar' }] })
    await producer.disconnect()

    expect(await readAll(cluster!, 'events')).toEqual(['from afar'])
  })

  it('refuses acks=all while fewer than min.insync.replicas are in sync', async () => {
    await start({ settings: { 'replica.lag.time.max.ms': '500' } })
    await using client = cluster!.client()
    await client
      .admin()
      .createTopics([{ name: 'events', partitions: 1, configs: { 'min.insync.replicas': '3' } }])
    await using producer = client.producer({ deliveryTimeoutMs: 4000 })
    await producer.send({ topic: 'events', value: 'with all' })
    const leader = cluster!.leaderOf('events', 0)!

    await cluster!.stop(leader === 3 ? 2 : 3)

    await expect(producer.send({ topic: 'events', value: 'with two' })).rejects.toMatchObject({
      message: expect.stringMatching(/NOT_ENOUGH_REPLICAS|in-sync/) as string,
    })
  })

  it('says what is wrong with a number of brokers, or with a broker that is none', async () => {
    await expect(Cluster.start({ brokers: 0 })).rejects.toThrow('wanted 1 to 9')
    await start({ brokers: 1 })
    await expect(cluster!.stop(2)).rejects.toThrow('There is no broker 2')
  })
})
