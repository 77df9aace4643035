/**
 * Clients that know one WebSocket URL, behind which a load balancer spreads connections over real brokers on real ports: ours,
 * as in Node and in browsers, and kafkajs over a socket of its own.
 */
import { Kafka, logLevel, Partitioners } from 'kafkajs'
import { afterEach, describe, expect, it } from 'vitest'
import { Client } from '../../src/index.ts'
import { webSocketSocketFactory } from '../../src/kafkajs.ts'
import { Cluster } from '../../src/testing.ts'
import { LoadBalancer } from '../support/load-balancer.ts'

const TOPIC = 'events'

let balancer: LoadBalancer
let cluster: Cluster

/** @param isNamed - Whether brokers name the balancer's address as theirs. */
async function start(isNamed: boolean): Promise<void> {
  balancer = await LoadBalancer.open()
  const settings: Record<string, string> = isNamed ? { 'websocket.advertised.address': balancer.address } : {}
  cluster = await Cluster.start({ settings })
  balancer.targets = cluster.nodes.map(({ bootstrap }) => Number(bootstrap.split(':')[1]))
}

afterEach(async () => {
  await cluster.close()
  await balancer.close()
})

async function readAll(): Promise<Map<number, string[]>> {
  await using client = cluster.client()
  await using consumer = client.consumer({ topics: [TOPIC], from: 'beginning', untilEnd: true })
  const values = new Map<number, string[]>()
  for await (const { partition, value } of consumer) {
    const known = values.get(partition) ?? []
    values.set(partition, known)
    known.push(new TextDecoder().decode(value ?? new Uint8Array(0)))
  }
  return values
}

describe('A client that knows one WebSocket URL', () => {
  it('writes to every partition and reads all, in order and once, while a leader is killed', async () => {
    await start(true)
    await using client = new Client({ bootstrap: `ws://${balancer.address}` })
    await client.admin().createTopics([{ name: TOPIC, partitions: 3 }])
    await using producer = client.producer()
    await using consumer = client.consumer({ topics: [TOPIC], from: 'beginning' })
    const seen = new Map<number, string[]>([0, 1, 2].map((partition) => [partition, []]))
    const COUNT = 300
    const reading = (async () => {
      let left = 3 * COUNT
      for await (const { partition, value } of consumer) {
        seen.get(partition)!.push(new TextDecoder().decode(value ?? new Uint8Array(0)))
        if (--left === 0) return
      }
    })()
    const sends: Promise<unknown>[] = []
    for (let number = 0; number < COUNT; number++) {
      for (const partition of [0, 1, 2])
        sends.push(producer.send({ topic: TOPIC, partition, value: String(number) }))
      if (number === 100) await cluster.kill(cluster.leaderOf(TOPIC, 0)!)
      if (number % 20 === 0) await Promise.all(sends)
    }
    await Promise.all(sends)
    await reading

    const all = Array.from({ length: COUNT }, (_, number) => String(number))
    for (const partition of [0, 1, 2]) expect(seen.get(partition), `partition ${partition}`).toEqual(all)
    expect(await readAll()).toEqual(seen)
  })

  it('sees each broker as itself: sizes of logs, settings', async () => {
    await start(true)
    await using client = new Client({ bootstrap: `ws://${balancer.address}` })
    const admin = client.admin()
    await admin.createTopics([{ name: TOPIC, partitions: 3, replicationFactor: 1 }])
    const dirs = await admin.describeLogDirs()
    const found = dirs.flatMap(({ brokerId, partitions }) =>
      partitions.map(({ partition }) => `${partition} on ${brokerId}`),
    )
    const placed = [0, 1, 2].map((partition) => `${partition} on ${cluster.leaderOf(TOPIC, partition)}`)
    expect(found.sort()).toEqual(placed)
  })

  it('may be kafkajs, which goes on when a leader is killed', async () => {
    await start(false)
    const kafka = new Kafka({
      brokers: [balancer.address],
      socketFactory: webSocketSocketFactory({ url: `ws://${balancer.address}` }),
      logLevel: logLevel.NOTHING,
      retry: { initialRetryTime: 50, maxRetryTime: 500, retries: 30 },
    })
    const admin = kafka.admin()
    await admin.connect()
    await admin.createTopics({ topics: [{ topic: TOPIC, numPartitions: 3 }], waitForLeaders: true })
    const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner, idempotent: true })
    await producer.connect()
    // One partition at a time: of a request to several leaders kafkajs forgets, when one of them dies, what the others took.
    const send = (value: string): Promise<unknown> =>
      Promise.all(
        [0, 1, 2].map((partition) => producer.send({ topic: TOPIC, messages: [{ partition, value }] })),
      )

    for (let number = 0; number < 10; number++) await send(String(number))
    const offsets = await admin.fetchTopicOffsets(TOPIC)
    await cluster.kill(cluster.leaderOf(TOPIC, 1)!)
    for (let number = 10; number < 20; number++) await send(String(number))
    await producer.disconnect()
    await admin.disconnect()

    const all = Array.from({ length: 20 }, (_, number) => String(number))
    expect(await readAll()).toEqual(new Map([0, 1, 2].map((partition) => [partition, all])))
    expect(offsets.map(({ offset }) => offset)).toEqual(['10', '10', '10'])
  })
})
