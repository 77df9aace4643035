/**
 * KIP-392 with kafkajs, a client of others that is not changed for this:
 * its consumer reads from the replica in its rack. (That this replica dies it does not survive, with any broker: it looks for its
 * leader among the dead instead, up to 2.2.4.)
 */
import { Kafka, logLevel, Partitioners } from 'kafkajs'
import { expect, it } from 'vitest'
import { Cluster } from '../../src/testing.ts'

const TOPIC = 'events'
const VALUE_BYTES = 1_000
const VALUE = 'v'.repeat(VALUE_BYTES)

it('KIP-392: kafkajs with a rack reads all records from the replica in it, and goes on when the leader goes', async () => {
  await using cluster = await Cluster.start({ racks: ['r1', 'r2', 'r3'] })
  const kafka = new Kafka({
    clientId: 'test',
    brokers: cluster.bootstrap.split(','),
    logLevel: logLevel.NOTHING,
    retry: { initialRetryTime: 20, retries: 20 },
  })
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({
    topics: [{ topic: TOPIC, replicaAssignment: [{ partition: 0, replicas: [1, 2, 3] }] }],
  })
  const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner })
  await producer.connect()
  const send = (values: readonly string[]) =>
    producer.send({ topic: TOPIC, messages: values.map((key) => ({ key, value: VALUE })) })
  /** Brokers that gave records: what else there is to answer is smaller than one of them. */
  const gave = new Set<string>()
  const seen = new Set<string>()
  let wake = (): void => undefined
  const hasSeen = async (count: number): Promise<void> => {
    while (seen.size < count) await new Promise<void>((resolve) => (wake = resolve))
  }
  const consumer = kafka.consumer({ groupId: 'readers', rackId: 'r3', maxWaitTimeInMs: 100 })
  consumer.on(consumer.events.REQUEST, ({ payload: { apiName, broker, size } }) => {
    if (apiName === 'Fetch' && size > VALUE_BYTES) gave.add(broker)
  })
  await consumer.connect()
  await consumer.subscribe({ topic: TOPIC, fromBeginning: true })
  await consumer.run({
    eachMessage: ({ message }) => {
      seen.add(message.key!.toString())
      wake()
      return Promise.resolve()
    },
  })

  await send(['a', 'b', 'c'])
  await hasSeen(3)
  expect(cluster.leaderOf(TOPIC, 0)).toBe(1)
  expect([...gave]).toEqual([cluster.nodes[2]!.bootstrap])

  await cluster.stop(1)
  await send(['d', 'e'])
  await hasSeen(5)
  expect([...seen].sort()).toEqual(['a', 'b', 'c', 'd', 'e'])

  await consumer.disconnect()
  await producer.disconnect()
  await admin.disconnect()
}, 60_000)
