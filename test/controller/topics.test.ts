/** CreateTopics, DeleteTopics and CreatePartitions as the controller decides them. */
import { describe, expect, it } from 'vitest'
import { configsOf, TOPIC_RESOURCE } from '../../src/metadata/cluster-image.ts'
import { ZERO_UUID } from '../../src/bytes/uuid.ts'
import { create, nameOf, partitionsOf, startController, topicRequest } from './support.ts'
import type { TestController } from './support.ts'

const INT32_MAX = 2 ** 31 - 1

async function creationError(
  test: TestController,
  topic: ReturnType<typeof topicRequest>,
): Promise<[string, string | null]> {
  const { topics } = await test.controller.createTopics({
    topics: [topic],
    timeoutMs: 1000,
    validateOnly: false,
  })
  return [nameOf(topics[0]!.errorCode), topics[0]!.errorMessage]
}

describe('CreateTopics', () => {
  it('creates a topic with the cluster’s defaults where the request says -1', async () => {
    const { controller } = await startController({
      brokerCount: 3,
      staticEntries: { 'num.partitions': '4', 'default.replication.factor': '2', 'log.retention.ms': '5' },
    })

    const { topics } = await controller.createTopics({
      topics: [topicRequest('t', { configs: { 'segment.bytes': '2048' } })],
      timeoutMs: 1000,
      validateOnly: false,
    })

    const image = controller.image
    const topic = image.topicsByName.get('t')!
    expect(topics[0]).toMatchObject({
      name: 't',
      topicId: topic.id,
      errorCode: 0,
      errorMessage: null,
      numPartitions: 4,
      replicationFactor: 2,
    })
    const shown = new Map(topics[0]!.configs?.map((config) => [config.name, config]))
    expect(shown.get('segment.bytes')).toMatchObject({ value: '2048', configSource: 1 })
    expect(shown.get('retention.ms')).toMatchObject({ value: '5', configSource: 4 })
    expect(shown.get('durability')).toMatchObject({ value: 'disk', configSource: 5 })
    expect([...configsOf(image, { type: TOPIC_RESOURCE, name: 't' })]).toEqual([['segment.bytes', '2048']])
    expect(topic.partitions).toHaveLength(4)
    for (const { leader, replicas, isr, leaderEpoch } of topic.partitions) {
      expect(leader).toBe(replicas[0])
      expect(isr).toEqual(replicas)
      expect(leaderEpoch).toBe(0)
    }
  })

  it('spreads leaders evenly and replicas over racks', async () => {
    const { controller } = await startController({ brokerCount: 4 })
    await create(controller, [topicRequest('t', { numPartitions: 8, replicationFactor: 2 })])
    const leaders = partitionsOf(controller.image, 't').map(({ leader }) => leader)
    for (const id of [1, 2, 3, 4]) expect(leaders.filter((leader) => leader === id)).toHaveLength(2)
    for (const { replicas } of partitionsOf(controller.image, 't'))
      expect(replicas[0]! % 2).not.toBe(replicas[1]! % 2)
  })

  it('spreads the leaders of small topics evenly, whether they come one by one or in one request', async () => {
    const { controller } = await startController({ brokerCount: 3 })
    const small = (index: number) => topicRequest(`t${index}`, { numPartitions: 1, replicationFactor: 3 })
    await create(controller, [topicRequest('uneven', { numPartitions: 4, replicationFactor: 1 })])
    for (let index = 0; index < 5; index++) await create(controller, [small(index)])
    await create(
      controller,
      Array.from({ length: 12 }, (_, index) => small(5 + index)),
    )
    const leaders = [...controller.image.topicsByName.values()].flatMap(({ partitions }) =>
      partitions.map(({ leader }) => leader),
    )
    for (const id of [1, 2, 3]) expect(leaders.filter((leader) => leader === id)).toHaveLength(7)
  })

  it.each([
    ['zero partitions', topicRequest('t', { numPartitions: 0 }), 'INVALID_PARTITIONS'],
    ['negative partitions', topicRequest('t', { numPartitions: -2 }), 'INVALID_PARTITIONS'],
    ['X26: 2^31 - 1 partitions', topicRequest('t', { numPartitions: INT32_MAX }), 'INVALID_PARTITIONS'],
    ['zero replicas', topicRequest('t', { replicationFactor: 0 }), 'INVALID_REPLICATION_FACTOR'],
    ['more replicas than brokers', topicRequest('t', { replicationFactor: 2 }), 'INVALID_REPLICATION_FACTOR'],
    [
      'X26: 2^15 - 1 replicas',
      topicRequest('t', { replicationFactor: 32_767 }),
      'INVALID_REPLICATION_FACTOR',
    ],
    ['X21: a path', topicRequest('../x'), 'INVALID_TOPIC_EXCEPTION'],
    ['X21: the metadata log', topicRequest('__cluster_metadata'), 'INVALID_TOPIC_EXCEPTION'],
    ['an unknown key', topicRequest('t', { configs: { 'no.such': '1' } }), 'INVALID_CONFIG'],
    ['a bad value', topicRequest('t', { configs: { 'retention.ms': 'x' } }), 'INVALID_CONFIG'],
    ['a null value', topicRequest('t', { configs: { 'retention.ms': null } }), 'INVALID_CONFIG'],
    [
      'X26: a value of 1 MiB',
      topicRequest('t', { configs: { 'retention.ms': '1'.repeat(1 << 20) } }),
      'INVALID_CONFIG',
    ],
    [
      'an assignment and a count',
      topicRequest('t', { numPartitions: 1, assignments: [{ partitionIndex: 0, brokerIds: [1] }] }),
      'INVALID_REQUEST',
    ],
    [
      'an assignment with a gap',
      topicRequest('t', { assignments: [{ partitionIndex: 1, brokerIds: [1] }] }),
      'INVALID_REPLICA_ASSIGNMENT',
    ],
    [
      'an assignment to nobody',
      topicRequest('t', { assignments: [{ partitionIndex: 0, brokerIds: [] }] }),
      'INVALID_REPLICA_ASSIGNMENT',
    ],
    [
      'an assignment to a stranger',
      topicRequest('t', { assignments: [{ partitionIndex: 0, brokerIds: [7] }] }),
      'INVALID_REPLICA_ASSIGNMENT',
    ],
    [
      'a broker assigned twice',
      topicRequest('t', { assignments: [{ partitionIndex: 0, brokerIds: [1, 1] }] }),
      'INVALID_REPLICA_ASSIGNMENT',
    ],
  ])('refuses %s with a reason and creates nothing', async (_what, topic, error) => {
    const test = await startController()
    const before = test.controller.image
    const [name, message] = await creationError(test, topic)
    expect(name).toBe(error)
    expect(message).toMatch(/^[A-Z].*[^.]$/)
    expect(message!.length).toBeLessThan(400)
    expect(test.controller.image).toBe(before)
  })

  it('takes an explicit assignment as it is', async () => {
    const { controller } = await startController({ brokerCount: 3 })
    const assignments = [
      { partitionIndex: 1, brokerIds: [3, 1] },
      { partitionIndex: 0, brokerIds: [2, 3] },
    ]
    expect(await create(controller, [topicRequest('t', { assignments })])).toEqual({ t: 'NONE' })
    expect(partitionsOf(controller.image, 't').map(({ replicas }) => replicas)).toEqual([
      [2, 3],
      [3, 1],
    ])
  })

  it('answers each topic of a request on its own, and a name given twice once, with an error', async () => {
    const { controller } = await startController()
    await create(controller, [topicRequest('old.name')])
    const errors = await create(controller, [
      topicRequest('a'),
      topicRequest('b', { numPartitions: 0 }),
      topicRequest('twice'),
      topicRequest('twice'),
      topicRequest('old.name'),
      topicRequest('old_name'),
      topicRequest('x.y'),
      topicRequest('x_y'),
    ])
    expect(errors).toEqual({
      a: 'NONE',
      b: 'INVALID_PARTITIONS',
      twice: 'INVALID_REQUEST',
      'old.name': 'TOPIC_ALREADY_EXISTS',
      old_name: 'INVALID_TOPIC_EXCEPTION',
      'x.y': 'NONE',
      x_y: 'INVALID_TOPIC_EXCEPTION',
    })
  })

  it('X22: works with names of prototype members', async () => {
    const { controller } = await startController()
    const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty']
    const { topics } = await controller.createTopics({
      topics: names.map((name) => topicRequest(name)),
      timeoutMs: 1000,
      validateOnly: false,
    })
    expect(topics.map(({ name, errorCode }) => [name, errorCode])).toEqual(names.map((name) => [name, 0]))
    expect(names.map((name) => controller.image.topicsByName.get(name)?.name)).toEqual(names)
  })

  it('with validateOnly says the same and creates nothing', async () => {
    const { controller } = await startController()
    const before = controller.image
    const { topics } = await controller.createTopics({
      topics: [topicRequest('t', { numPartitions: 3 })],
      timeoutMs: 1000,
      validateOnly: true,
    })
    expect(topics[0]).toMatchObject({ errorCode: 0, numPartitions: 3, topicId: ZERO_UUID })
    expect(controller.image).toBe(before)
  })

  it('X26: keeps each request and the cluster under their bounds of partitions', async () => {
    const { controller } = await startController()
    const both = [topicRequest('a', { numPartitions: 9_999 }), topicRequest('b', { numPartitions: 2 })]
    expect(await create(controller, both)).toEqual({ a: 'NONE', b: 'POLICY_VIOLATION' })
    for (let index = 0; index < 9; index++) {
      const topic = topicRequest(`t${index}`, { numPartitions: 10_000 })
      expect(await create(controller, [topic])).toEqual({ [`t${index}`]: 'NONE' })
    }
    expect(await create(controller, [topicRequest('full'), topicRequest('over')])).toEqual({
      full: 'NONE',
      over: 'POLICY_VIOLATION',
    })
    expect(controller.image.partitionCount).toBe(100_000)
  })

  it('MQ-11: refuses a change that does not fit one batch, as a whole', async () => {
    const { controller, quorum } = await startController()
    quorum.batchBytesMax = 100
    expect(await create(controller, [topicRequest('t', { numPartitions: 100 })])).toEqual({
      t: 'POLICY_VIOLATION',
    })
    quorum.batchBytesMax = 1 << 24
    expect(await create(controller, [topicRequest('t', { numPartitions: 100 })])).toEqual({ t: 'NONE' })
  })

  it('X26: refuses a request of too many topics without deciding on each', async () => {
    const { controller } = await startController()
    const topics = Array.from({ length: 10_001 }, (_, index) => topicRequest(`t${index}`))
    const errors = await create(controller, topics)
    expect(new Set(Object.values(errors))).toEqual(new Set(['POLICY_VIOLATION']))
  })
})

describe('DeleteTopics', () => {
  it('deletes by name (v1-5) and by name or id (v6), with the settings', async () => {
    const { controller } = await startController()
    await create(controller, [
      topicRequest('a', { configs: { 'retention.ms': '1' } }),
      topicRequest('b'),
      topicRequest('c'),
    ])
    const id = controller.image.topicsByName.get('c')!.id
    const byName = await controller.deleteTopics({ topics: [], topicNames: ['a', 'nope'], timeoutMs: 1000 })
    const byBoth = await controller.deleteTopics({
      topics: [
        { name: 'b', topicId: ZERO_UUID },
        { name: null, topicId: id },
        { name: null, topicId: 'ZZZZZZZZZZZZZZZZZZZZZA' },
        { name: 'd', topicId: id },
        { name: null, topicId: ZERO_UUID },
      ],
      topicNames: [],
      timeoutMs: 1000,
    })
    expect(byName.responses.map(({ name, errorCode }) => [name, nameOf(errorCode)])).toEqual([
      ['a', 'NONE'],
      ['nope', 'UNKNOWN_TOPIC_OR_PARTITION'],
    ])
    expect(byBoth.responses.map(({ errorCode }) => nameOf(errorCode))).toEqual([
      'NONE',
      'INVALID_REQUEST',
      'UNKNOWN_TOPIC_ID',
      'INVALID_REQUEST',
      'INVALID_REQUEST',
    ])
    expect([...controller.image.topicsByName.keys()]).toEqual(['c'])
    expect([...controller.image.configs.keys()]).toEqual(['4:']) // the settings of all brokers
    expect(controller.image.partitionCount).toBe(1)
  })

  it('M9: a topic made anew under its name has another id', async () => {
    const { controller } = await startController()
    await create(controller, [topicRequest('a')])
    const first = controller.image.topicsByName.get('a')!.id
    await controller.deleteTopics({ topics: [], topicNames: ['a'], timeoutMs: 1000 })
    expect(await create(controller, [topicRequest('a')])).toEqual({ a: 'NONE' })
    expect(controller.image.topicsByName.get('a')!.id).not.toBe(first)
  })

  it('does nothing when delete.topic.enable is false', async () => {
    const { controller } = await startController({ staticEntries: { 'delete.topic.enable': 'false' } })
    await create(controller, [topicRequest('a')])
    const { responses } = await controller.deleteTopics({ topics: [], topicNames: ['a'], timeoutMs: 1000 })
    expect(nameOf(responses[0]!.errorCode)).toBe('TOPIC_DELETION_DISABLED')
    expect(controller.image.topicsByName.has('a')).toBe(true)
  })
})

describe('CreatePartitions', () => {
  const grow = async (
    { controller }: TestController,
    name: string,
    count: number,
    assignments: { brokerIds: number[] }[] | null = null,
    validateOnly = false,
  ) => {
    const { results } = await controller.createPartitions({
      topics: [{ name, count, assignments }],
      timeoutMs: 1000,
      validateOnly,
    })
    return nameOf(results[0]!.errorCode)
  }

  it('adds partitions behind those that are there', async () => {
    const test = await startController({ brokerCount: 2 })
    await create(test.controller, [topicRequest('t', { numPartitions: 1, replicationFactor: 2 })])
    const [first] = partitionsOf(test.controller.image, 't')
    expect(await grow(test, 't', 3, null, true)).toBe('NONE')
    expect(partitionsOf(test.controller.image, 't')).toHaveLength(1)
    expect(await grow(test, 't', 2)).toBe('NONE')
    expect(await grow(test, 't', 3, [{ brokerIds: [2, 1] }])).toBe('NONE')
    const partitions = partitionsOf(test.controller.image, 't')
    expect(partitions[0]).toBe(first)
    expect(partitions.map(({ replicas }) => replicas.length)).toEqual([2, 2, 2])
    expect(partitions[1]!.leader).not.toBe(partitions[0]!.leader)
  })

  it('refuses what is not growth, or growth out of bounds', async () => {
    const test = await startController()
    await create(test.controller, [topicRequest('t', { numPartitions: 2 })])
    expect(await grow(test, 'nope', 3)).toBe('UNKNOWN_TOPIC_OR_PARTITION')
    expect(await grow(test, 't', 2)).toBe('INVALID_PARTITIONS')
    expect(await grow(test, 't', 1)).toBe('INVALID_PARTITIONS')
    expect(await grow(test, 't', INT32_MAX)).toBe('INVALID_PARTITIONS')
    expect(await grow(test, 't', 4, [{ brokerIds: [1] }])).toBe('INVALID_REPLICA_ASSIGNMENT')
    expect(await grow(test, 't', 3, [{ brokerIds: [9] }])).toBe('INVALID_REPLICA_ASSIGNMENT')
    expect(partitionsOf(test.controller.image, 't')).toHaveLength(2)
  })
})
