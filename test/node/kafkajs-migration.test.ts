/** kafkajs, which speaks the classic protocol, and our own consumer beside it in one group, over sockets (KIP-848). */
import { Kafka, logLevel } from 'kafkajs'
import { expect, it } from 'vitest'
import { Client } from '../../src/node/client.ts'
import { startBroker } from '../../src/testing.ts'

const TOPIC = 'events'
const GROUP = 'readers'
const PARTITIONS = 4

it('kafkajs and a member of the consumer protocol share a group, which goes up and back down with kafkajs online', async () => {
  await using broker = await startBroker({ settings: { 'group.initial.rebalance.delay.ms': '0' } })
  const kafka = new Kafka({ clientId: 'test', brokers: [broker.bootstrap], logLevel: logLevel.NOTHING })
  await using client = new Client({ bootstrap: `ws://${broker.bootstrap}` })
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic: TOPIC, numPartitions: PARTITIONS }] })
  const producer = kafka.producer()
  await producer.connect()
  const send = async (name: string): Promise<void> => {
    const messages = Array.from({ length: PARTITIONS }, (_, partition) => ({
      value: `${name}${partition}`,
      partition,
    }))
    await producer.send({ topic: TOPIC, messages })
  }
  const seen = new Map<string, string[]>()
  let noticed: () => void = () => undefined
  const note = (value: string, by: string): void => {
    seen.set(value, [...(seen.get(value) ?? []), by])
    noticed()
  }
  const when = (isSo: () => boolean): Promise<void> =>
    new Promise((resolve) => {
      noticed = () => {
        if (isSo()) resolve()
      }
      noticed()
    })
  const hasAll = (name: string) => () =>
    Array.from({ length: PARTITIONS }, (_, partition) => seen.has(`${name}${partition}`)).every(Boolean)
  const typeOf = async () =>
    (await client.admin().listGroups()).find(({ groupId }) => groupId === GROUP)?.kind

  const classic = kafka.consumer({ groupId: GROUP, heartbeatInterval: 100, rebalanceTimeout: 5_000 })
  await classic.connect()
  await classic.subscribe({ topic: TOPIC, fromBeginning: true })
  let sizes: number[] = []
  classic.on(classic.events.GROUP_JOIN, ({ payload }) => {
    sizes.push(payload.memberAssignment[TOPIC]?.length ?? 0)
    noticed()
  })
  await classic.run({
    autoCommitInterval: 50,
    eachMessage: ({ message }) => {
      note(message.value!.toString(), 'kafkajs')
      return Promise.resolve()
    },
  })
  await send('a')
  await when(hasAll('a'))
  expect(await typeOf()).toBe('classic')

  // The other protocol joins: the group is its, and kafkajs gives up half.
  sizes = []
  const own = client.consumer({ group: GROUP, topics: [TOPIC], from: 'beginning' })
  const running = own.run(({ value }) => {
    note(new TextDecoder().decode(value ?? undefined), 'own')
  })
  await when(() => sizes.includes(PARTITIONS / 2))
  expect(await typeOf()).toBe('consumer')
  await send('b')
  await when(hasAll('b'))
  const readers = Array.from({ length: PARTITIONS }, (_, partition) => seen.get(`b${partition}`)!)
  expect(readers.map(([reader]) => reader).sort()).toEqual(['kafkajs', 'kafkajs', 'own', 'own'])
  expect(readers.every((by) => by.length === 1)).toBe(true)

  // It leaves: the group is classic again, and kafkajs has everything.
  sizes = []
  await own.close()
  await running
  await when(() => sizes.includes(PARTITIONS))
  expect(await typeOf()).toBe('classic')
  await send('c')
  await when(hasAll('c'))
  expect([...seen.values()].every((by) => by.length === 1)).toBe(true)
  await classic.disconnect()
  await producer.disconnect()
  await admin.disconnect()
}, 60_000)
