/**
 * Administration of groups, as users use it, on a cluster in this process, with members of both protocols; and the bytes that
 * members of classic groups agree on. One cluster serves all tests: each has groups and topics of its own.
 */
import { Kafka, logLevel } from 'kafkajs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readClassicAssignment } from '../../src/client/group/classic-assignment.ts'
import { Client } from '../../src/index.ts'
import type { Admin, GroupConsumer, GroupConsumerOptions } from '../../src/index.ts'
import { Cluster } from '../../src/testing.ts'
import { LoadBalancer } from '../support/load-balancer.ts'
import { seedFromEnv } from '../support/seed.ts'

let balancer: LoadBalancer
let cluster: Cluster
let client: Client
let admin: Admin
let count = 0

beforeAll(async () => {
  balancer = await LoadBalancer.open()
  cluster = await Cluster.start({
    settings: {
      'group.initial.rebalance.delay.ms': '0',
      'websocket.advertised.address': balancer.address,
      'offsets.topic.num.partitions': '6',
    },
  })
  balancer.targets = cluster.nodes.map(({ bootstrap }) => Number(bootstrap.split(':')[1]))
  client = cluster.client({ clientId: 'tester' })
  admin = client.admin()
}, 30_000)

afterAll(async () => {
  await client.close()
  await cluster.close()
  await balancer.close()
})

async function createTopic(partitions: number): Promise<string> {
  const name = `topic-${++count}`
  await admin.createTopics([{ name, partitions }])
  return name
}

async function join(topic: string, options: Partial<GroupConsumerOptions> = {}): Promise<GroupConsumer> {
  const consumer = client.consumer({
    group: `group-${++count}`,
    topics: [topic],
    from: 'beginning',
    ...options,
  })
  await consumer.ready()
  return consumer
}

/** A member of kafkajs, which speaks the classic protocol; resolves when it has its partitions. */
async function joinClassic(topic: string, groupId: string): Promise<{ close(): Promise<void> }> {
  const kafka = new Kafka({
    clientId: 'classic',
    brokers: cluster.nodes.map(({ bootstrap }) => bootstrap),
    logLevel: logLevel.NOTHING,
  })
  const consumer = kafka.consumer({ groupId, heartbeatInterval: 200, maxWaitTimeInMs: 100 })
  await consumer.connect()
  await consumer.subscribe({ topic })
  const joined = new Promise<void>((resolve) => consumer.on('consumer.group_join', () => resolve()))
  await consumer.run({ eachMessage: async () => undefined })
  await joined
  return { close: () => consumer.disconnect() }
}

describe('Administration of groups', () => {
  it('lists the groups of all coordinators by name, filtered by state and kind', async () => {
    const topic = await createTopic(1)
    const names = Array.from({ length: 12 }, (_, index) => `listed-${String(index).padStart(2, '0')}`)
    for (const name of names) await admin.alterGroupOffsets(name, [{ topic, partition: 0, offset: 0 }])
    const consumer = await join(topic, { group: 'listed-live' })

    const all = (await admin.listGroups()).filter(({ groupId }) => groupId.startsWith('listed-'))
    expect(all.map(({ groupId }) => groupId)).toEqual([...names, 'listed-live'])
    expect(new Set(all.map(({ coordinator }) => coordinator)).size).toBe(3)
    expect(all.at(-1)).toMatchObject({ kind: 'consumer', state: 'Stable', protocolType: 'consumer' })
    expect(all[0]).toMatchObject({ kind: 'classic', state: 'Empty' })
    const listed = async (options: Parameters<Admin['listGroups']>[0]) =>
      (await admin.listGroups(options)).filter(({ groupId }) => groupId.startsWith('listed-')).length
    expect(await listed({ states: ['stable'] })).toBe(1)
    expect(await listed({ states: ['EMPTY', 'Stable'] })).toBe(13)
    expect(await listed({ kinds: ['classic'] })).toBe(12)
    expect(await listed({ kinds: ['consumer'], states: ['Empty'] })).toBe(0)
    await consumer.close()
  })

  it('lists every group once behind one address for all brokers, wherever connections lead', async () => {
    const topic = await createTopic(1)
    const names = Array.from({ length: 8 }, (_, index) => `behind-${index}`)
    for (const name of names) await admin.alterGroupOffsets(name, [{ topic, partition: 0, offset: 0 }])
    const known = new Map((await admin.listGroups()).map((one) => [one.groupId, one.coordinator]))
    for (let attempt = 0; attempt < 3; attempt++) {
      await using other = new Client({ bootstrap: `ws://${balancer.address}` })
      const found = await other.admin().listGroups()
      expect(new Map(found.map((one) => [one.groupId, one.coordinator]))).toEqual(known)
    }
  })

  it('describes a group of the consumer protocol: members, what each has and shall have, epochs, assignor', async () => {
    const topic = await createTopic(4)
    const first = await join(topic, { instanceId: 'one', rack: 'east' })
    const second = await join(topic, { group: first.group })
    const [group] = await admin.describeGroups([first.group])
    expect(group).toMatchObject({
      ...{ groupId: first.group, kind: 'consumer', protocolType: 'consumer', assignor: 'uniform' },
      coordinator: expect.any(Number) as number,
    })
    expect(group!.epoch).toBeGreaterThan(0)
    expect(group!.members).toHaveLength(2)
    const [one, other] = [first, second].map(({ memberId }) =>
      group!.members.find((member) => member.memberId === memberId),
    )
    expect(one).toMatchObject({ instanceId: 'one', rack: 'east', clientId: 'tester' })
    expect(one!.clientHost).not.toBe('')
    expect(other).toMatchObject({ instanceId: null, rack: null })
    const targets = group!.members.flatMap(({ target }) => target!.map(({ partition }) => partition))
    expect(targets.sort()).toEqual([0, 1, 2, 3])
    await first.close()
    await second.close()
    // A static member is away, not gone.
    expect(await admin.describeGroups([first.group])).toMatchObject([{ members: [{ instanceId: 'one' }] }])
  })

  it('describes a classic group of kafkajs: state, protocol, and assignments decoded', async () => {
    const topic = await createTopic(3)
    const member = await joinClassic(topic, 'classic-1')
    const [group] = await admin.describeGroups(['classic-1'])
    expect(group).toMatchObject({
      ...{
        kind: 'classic',
        state: 'Stable',
        protocolType: 'consumer',
        assignor: 'RoundRobinAssigner',
        epoch: null,
      },
      members: [
        {
          ...{ clientId: 'classic', instanceId: null, target: null },
          assignment: [0, 1, 2].map((partition) => ({ topic, partition })),
        },
      ],
    })
    await member.close()
    expect(await admin.describeGroups(['classic-1'])).toMatchObject([{ state: 'Empty', members: [] }])
  })

  it('describes a name that is no group as missing, and tells it apart from groups beside it', async () => {
    const topic = await createTopic(1)
    await admin.alterGroupOffsets('simple', [{ topic, partition: 0, offset: 0 }])
    expect(await admin.describeGroups(['simple'])).toMatchObject([
      { kind: 'classic', state: 'Empty', members: [] },
    ])
    await expect(admin.describeGroups(['nobody', 'simple', 'nowhere'])).rejects.toMatchObject({
      code: 'GROUP_ID_NOT_FOUND',
      failures: [{ item: 'nobody' }, { item: 'nowhere' }],
    })
  })

  it('sets, lists and forgets committed offsets of a group without members', async () => {
    const topic = await createTopic(3)
    const groupId = 'offsets-1'
    expect(await admin.listGroupOffsets([groupId])).toEqual([{ groupId, offsets: [] }])
    await admin.alterGroupOffsets(groupId, [
      { topic, partition: 2, offset: 7, metadata: 'by hand' },
      { topic, partition: 0, offset: 5 },
    ])
    expect(await admin.listGroupOffsets([groupId])).toEqual([
      {
        groupId,
        offsets: [
          { topic, partition: 0, offset: 5, metadata: '' },
          { topic, partition: 2, offset: 7, metadata: 'by hand' },
        ],
      },
    ])
    const partitions = [1, 2].map((partition) => ({ topic, partition }))
    expect((await admin.listGroupOffsets([groupId], { partitions }))[0]!.offsets).toEqual([
      { topic, partition: 1, offset: null, metadata: null },
      { topic, partition: 2, offset: 7, metadata: 'by hand' },
    ])
    await admin.deleteGroupOffsets(groupId, [{ topic, partition: 2 }])
    expect((await admin.listGroupOffsets([groupId]))[0]!.offsets.map(({ partition }) => partition)).toEqual([
      0,
    ])
  })

  it('a member goes on where its group was set to', async () => {
    const topic = await createTopic(1)
    await using producer = client.producer()
    for (const value of ['a', 'b', 'c']) await producer.send({ topic, value })
    await admin.alterGroupOffsets('set-1', [{ topic, partition: 0, offset: 2 }])
    const consumer = await join(topic, { group: 'set-1' })
    expect(await consumer.records().next()).toMatchObject({ value: { offset: 2 } })
    await consumer.close()
  })

  it('commits more offsets than fit into one request', async () => {
    const topic = await createTopic(500)
    const groupId = 'long-'.repeat(200)
    const offsets = Array.from({ length: 500 }, (_, partition) => ({ topic, partition, offset: partition }))
    await admin.alterGroupOffsets(groupId, offsets)
    const [found] = await admin.listGroupOffsets([groupId])
    expect(found!.offsets.map(({ offset }) => offset)).toEqual(offsets.map(({ offset }) => offset))
  })

  it('says of partitions that are not there, and of negative offsets, which; the others are set', async () => {
    const topic = await createTopic(1)
    await expect(
      admin.alterGroupOffsets('partly', [
        { topic, partition: 0, offset: 1 },
        { topic, partition: 9, offset: 1 },
        { topic: 'no-such-topic', partition: 0, offset: 1 },
      ]),
    ).rejects.toMatchObject({
      code: 'UNKNOWN_TOPIC_OR_PARTITION',
      failures: [{ item: `${topic}-9` }, { item: 'no-such-topic-0' }],
    })
    await expect(
      admin.alterGroupOffsets('partly', [{ topic, partition: 0, offset: -1 }]),
    ).rejects.toMatchObject({ code: 'INVALID_REQUEST' })
    expect((await admin.listGroupOffsets(['partly']))[0]!.offsets).toMatchObject([
      { partition: 0, offset: 1 },
    ])
  })

  it.each(['consumer', 'classic'] as const)(
    'neither deletes nor moves a %s group in use, and says who is in it',
    async (kind) => {
      const topic = await createTopic(1)
      const groupId = `in-use-${kind}`
      const member = await (kind === 'classic'
        ? joinClassic(topic, groupId)
        : join(topic, { group: groupId }))
      const message = expect.stringMatching(
        `group '${groupId}': it has members: ${kind === 'classic' ? 'classic' : 'tester'} at \\S+ \\(NON_EMPTY_GROUP\\)$`,
      ) as string
      const refused = { code: 'NON_EMPTY_GROUP', message }
      const offset = { topic, partition: 0, offset: 0 }
      await expect(admin.alterGroupOffsets(groupId, [offset])).rejects.toMatchObject(refused)
      await expect(admin.deleteGroups([groupId])).rejects.toMatchObject(refused)
      await expect(admin.deleteGroupOffsets(groupId, [offset])).rejects.toMatchObject({
        code: 'GROUP_SUBSCRIBED_TO_TOPIC',
      })
      await member.close()
      await admin.alterGroupOffsets(groupId, [offset])
      await admin.deleteGroups([groupId])
    },
  )

  it('deletes those groups that can be deleted, with what they committed, and says which cannot', async () => {
    const topic = await createTopic(1)
    await admin.alterGroupOffsets('gone', [{ topic, partition: 0, offset: 3 }])
    await expect(admin.deleteGroups(['gone', 'never-was'])).rejects.toMatchObject({
      code: 'GROUP_ID_NOT_FOUND',
      failures: [{ item: 'never-was' }],
    })
    expect(await admin.listGroupOffsets(['gone'])).toEqual([{ groupId: 'gone', offsets: [] }])
    expect((await admin.listGroups()).map(({ groupId }) => groupId)).not.toContain('gone')
    await expect(admin.deleteGroupOffsets('gone', [{ topic, partition: 0 }])).rejects.toMatchObject({
      code: 'GROUP_ID_NOT_FOUND',
    })
  })

  it('finds groups again when their coordinator was killed', async () => {
    const topic = await createTopic(1)
    await admin.alterGroupOffsets('moved', [{ topic, partition: 0, offset: 4 }])
    const { coordinator } = (await admin.describeGroups(['moved']))[0]!
    await cluster.kill(coordinator)
    try {
      expect((await admin.listGroupOffsets(['moved']))[0]!.offsets).toMatchObject([{ offset: 4 }])
      const found = (await admin.listGroups()).find(({ groupId }) => groupId === 'moved')
      expect(found!.coordinator).not.toBe(coordinator)
      await admin.deleteGroups(['moved'])
    } finally {
      await cluster.restart(coordinator)
    }
  })
})

/** An assignment of version 0. */
function assignmentBytes(topics: readonly (readonly [string, readonly number[]])[]): Uint8Array {
  const int16 = (value: number): number[] => [value >> 8, value & 0xff]
  const int32 = (value: number): number[] => [...int16(value >>> 16), ...int16(value & 0xffff)]
  const bytes = topics.flatMap(([name, partitions]) => [
    ...[...int16(name.length), ...new TextEncoder().encode(name)],
    ...[...int32(partitions.length), ...partitions.flatMap(int32)],
  ])
  return new Uint8Array([...int16(0), ...int32(topics.length), ...bytes, ...int32(-1)])
}

describe('readClassicAssignment()', () => {
  const bytes = assignmentBytes([
    ['a', [0, 2]],
    ['bc', [1]],
  ])

  it('reads topics and partitions, and no bytes as nothing', () => {
    expect(readClassicAssignment(bytes)).toEqual([
      { topic: 'a', partition: 0 },
      { topic: 'a', partition: 2 },
      { topic: 'bc', partition: 1 },
    ])
    expect(readClassicAssignment(new Uint8Array())).toEqual([])
  })

  it('takes counts and lengths that cannot be for no assignment, before it makes anything of them', () => {
    expect(readClassicAssignment(new Uint8Array([0, 0, 0x7f, 0xff, 0xff, 0xff]))).toBeNull()
    expect(readClassicAssignment(new Uint8Array([0, 0, 0xff, 0xff, 0xff, 0xff]))).toBeNull()
    expect(readClassicAssignment(new Uint8Array([0xff, 0xff, 0, 0, 0, 0]))).toBeNull()
    expect(readClassicAssignment(new Uint8Array([0, 0, 0, 0, 0, 1, 0, 9, 65, 0, 0, 0]))).toBeNull()
    const topicsEnd = bytes.length - 4
    for (let end = 1; end < topicsEnd; end++) expect(readClassicAssignment(bytes.subarray(0, end))).toBeNull()
  })

  it('returns something or null for any bytes', () => {
    let state = seedFromEnv('readClassicAssignment') >>> 0
    const draw = (): number => (state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0) >>> 24
    for (let round = 0; round < 5000; round++) {
      const hurt = Uint8Array.from(bytes)
      for (let changes = 1 + (draw() % 3); changes > 0; changes--) hurt[draw() % hurt.length] = draw()
      const found = readClassicAssignment(hurt)
      if (found !== null) expect(found.length).toBeLessThanOrEqual(hurt.length / 4)
    }
  })
})
