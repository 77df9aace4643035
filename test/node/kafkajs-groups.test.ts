/** Consumer groups of kafkajs, a client of others that is not changed for this, against a real broker on a socket. */
import { Kafka, logLevel } from 'kafkajs'
import type { Consumer } from 'kafkajs'
import { expect, it } from 'vitest'
import { startBroker } from '../../src/testing.ts'

const TOPIC = 'events'
const GROUP = 'readers'
const PARTITIONS = 4

it('kafkajs shares a topic among the members of a group, commits, and goes on where the group left off', async () => {
  await using broker = await startBroker({ settings: { 'group.initial.rebalance.delay.ms': '0' } })
  const kafka = new Kafka({ clientId: 'test', brokers: [broker.bootstrap], logLevel: logLevel.NOTHING })
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic: TOPIC, numPartitions: PARTITIONS }] })
  const producer = kafka.producer()
  await producer.connect()
  const send = (values: readonly string[]) =>
    producer.send({
      topic: TOPIC,
      messages: values.map((value, index) => ({ value, partition: index % PARTITIONS })),
    })
  /** A member that notes what it reads. */
  const member = async (seen: string[], until: () => void): Promise<Consumer> => {
    const consumer = kafka.consumer({ groupId: GROUP, heartbeatInterval: 200, rebalanceTimeout: 5000 })
    await consumer.connect()
    await consumer.subscribe({ topic: TOPIC, fromBeginning: true })
    await consumer.run({
      autoCommit: false,
      eachMessage: async ({ partition, message }) => {
        seen.push(message.value!.toString())
        const offset = String(Number(message.offset) + 1)
        await consumer.commitOffsets([{ topic: TOPIC, partition, offset }])
        until()
      },
    })
    return consumer
  }

  // One member reads all there is, and leaves.
  await send(['a', 'b', 'c', 'd'])
  const seen: string[] = []
  let consumer!: Consumer
  await new Promise<void>((resolve, reject) => {
    member(seen, () => {
      if (seen.length === 4) resolve()
    }).then((made) => (consumer = made), reject)
  })
  expect((await admin.describeGroups([GROUP])).groups).toMatchObject([
    { state: 'Stable', protocol: 'RoundRobinAssigner' },
  ])
  await consumer.disconnect()
  const offsets = await admin.fetchOffsets({ groupId: GROUP, topics: [TOPIC] })
  expect(offsets[0]!.partitions.map(({ offset }) => offset)).toEqual(['1', '1', '1', '1'])

  // Two members share what came since, and read nothing again.
  await send(['e', 'f', 'g', 'h'])
  const later: string[] = []
  const members: Consumer[] = []
  await new Promise<void>((resolve, reject) => {
    const until = (): void => {
      if (new Set(later).size === 4) resolve()
    }
    Promise.all([member(later, until), member(later, until)]).then((made) => members.push(...made), reject)
  })
  expect([...new Set(later)].sort()).toEqual(['e', 'f', 'g', 'h'])
  await Promise.all(members.map((each) => each.disconnect()))
  expect((await admin.listGroups()).groups).toMatchObject([{ groupId: GROUP, protocolType: 'consumer' }])
  await admin.deleteGroups([GROUP])
  expect((await admin.listGroups()).groups).toEqual([])
  await producer.disconnect()
  await admin.disconnect()
}, 60_000)
