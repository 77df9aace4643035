/** A cluster in the process of a test: what `millrace/testing` promises of it. */
import { Kafka, logLevel, Partitioners } from 'kafkajs'
import { afterEach, describe, expect, it } from 'vitest'
import { NodeClock } from '../../src/env/node/node-clock.ts'
import { liveBrokers } from '../../src/metadata/cluster-image.ts'
import { Cluster } from '../../src/testing.ts'
import type { ClusterBroker, ClusterOptions } from '../../src/testing.ts'

/** What a slow disk or link costs is at least so much real time. */
const realClock = new NodeClock()
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

  it('has brokers that all know each other as soon as it resolves', async () => {
    for (let round = 0; round < 5; round++) {
      const { brokers, nodes } = await start({ brokers: 9, listens: false })
      const known = brokers.map(({ broker }) => liveBrokers(broker!.image).map(({ id }) => id))
      expect(known).toEqual(nodes.map(() => nodes.map(({ nodeId }) => nodeId)))
      await cluster!.close()
    }
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
    expect(() => cluster!.partition(['b1'], ['b2'])).toThrow('There is no broker "b2": wanted b1')
  })
})

describe('trouble in a cluster', () => {
  /** A cluster with a topic, a producer that has sent `before`, and the broker that leads. */
  async function troubled(run: (given: Given) => Promise<void>): Promise<void> {
    await start()
    await using client = cluster!.client()
    await client.admin().createTopics([{ name: 'events', partitions: 1 }])
    await using producer = client.producer()
    const send = (value: string) => producer.send({ topic: 'events', value })
    await send('before')
    const leader = cluster!.broker(cluster!.leaderOf('events')!)
    const others = cluster!.brokers.filter((broker) => broker !== leader).map(({ name }) => name)
    await run({ leader, others, send })
  }
  interface Given {
    readonly leader: ClusterBroker
    readonly others: readonly string[]
    readonly send: (value: string) => Promise<unknown>
  }

  it('F-PART: a leader that is cut off from the others is replaced, and follows when the links heal', () =>
    troubled(async ({ leader, others, send }) => {
      cluster!.partition([leader.name], others)
      await send('meanwhile')
      expect(cluster!.leaderOf('events')).not.toBe(leader.nodeId)
      cluster!.heal()
      await send('after')

      expect(await readAll(cluster!, 'events')).toEqual(['before', 'meanwhile', 'after'])
    }))

  it('F-NET: links that are slow make acknowledgements slow', () =>
    troubled(async ({ leader, others, send }) => {
      cluster!.delay([leader.name], others, [150, 160])

      const beganMs = realClock.monotonicMs()
      await send('slowly')

      expect(realClock.monotonicMs() - beganMs).toBeGreaterThan(150)
    }))

  it('F-PAUSE: a leader that is paused is replaced, and goes on as a follower', () =>
    troubled(async ({ leader, send }) => {
      leader.pause()
      expect(leader.state).toBe('paused')
      await send('meanwhile')
      expect(cluster!.leaderOf('events')).not.toBe(leader.nodeId)
      leader.resume()
      await send('after')

      expect(leader.state).toBe('up')
      expect(await readAll(cluster!, 'events')).toEqual(['before', 'meanwhile', 'after'])
    }))

  it('F-EIO: a broker whose disk fails goes out of service, and comes back with what it has', () =>
    troubled(async ({ leader, send }) => {
      leader.failDisk({ operations: ['sync'], topic: 'events', once: true })

      await send('meanwhile')
      expect(leader.state).toBe('failed')
      expect(leader.failure?.message).toContain('has failed')
      await leader.restart()
      await send('after')

      expect(await readAll(cluster!, 'events')).toEqual(['before', 'meanwhile', 'after'])
    }))

  it('F-SLOW: a disk that is slow makes acknowledgements slow; one that is stuck, until it is not', () =>
    troubled(async ({ leader, send }) => {
      leader.slowDisk({ syncMs: [150, 160] })
      const beganMs = realClock.monotonicMs()
      await send('slowly')
      expect(realClock.monotonicMs() - beganMs).toBeGreaterThan(150)

      leader.stallDisk()
      let isSent = false
      const sending = send('stuck').then(() => (isSent = true))
      await readAll(cluster!, 'events')
      expect(isSent).toBe(false)
      leader.healDisk()
      await sending
    }))

  it('F-FULL: a broker takes no records while its disk is full, and takes them when there is room', () =>
    troubled(async ({ leader, send }) => {
      leader.fullDisk()
      let isSent = false
      const sending = send('no room').then(() => (isSent = true))
      await readAll(cluster!, 'events')
      expect(isSent).toBe(false)
      leader.healDisk()
      await sending

      expect(await readAll(cluster!, 'events')).toEqual(['before', 'no room'])
    }))

  it.each(['pause', 'stallDisk', 'fullDisk', 'failDisk'] as const)(
    'F-KILL: a broker in trouble (%s) can be killed, started again and closed',
    (trouble) =>
      troubled(async ({ leader, send }) => {
        leader[trouble]()

        await leader.kill()
        leader.healDisk()
        await leader.restart()
        await send('after')

        expect(await readAll(cluster!, 'events')).toEqual(['before', 'after'])
        leader[trouble]()
        await cluster!.close()
      }),
  )
})
