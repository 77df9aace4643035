/** Requests about groups, as clients of one broker see them: who coordinates, what is kept, what waits and for how long. */
import { describe, expect, it } from 'vitest'
import { ZERO_UUID } from '../../../src/bytes/uuid.ts'
import type { RequestInputOf, ResponseOf } from '../../../src/protocol/apis.ts'
import type { RawClient } from '../../support/raw-client.ts'
import { versionsOf } from '../../support/raw-client.ts'
import { makeBatch, produceRequest } from '../support/batches.ts'
import { nameOf, PORT, SimBroker } from '../support/sim-broker.ts'

const OFFSETS_TOPIC = '__consumer_offsets'
const SETTINGS = { 'offsets.topic.num.partitions': '3', 'group.initial.rebalance.delay.ms': '0' }

async function stage(settings: Readonly<Record<string, string>> = {}): Promise<SimBroker> {
  const host = await SimBroker.start({ settings: { ...SETTINGS, ...settings } })
  await host.createTopic('events', 2)
  return host
}

/** Asks for the coordinator until it has read its part of the log. */
async function coordinated(host: SimBroker, key: string): Promise<void> {
  for (;;) {
    const { coordinators } = await host.call('FindCoordinator', 4, { coordinatorKeys: [key] })
    expect(coordinators.map(({ errorCode }) => nameOf(errorCode))).toEqual(['NONE'])
    const { groups } = await host.call('OffsetFetch', 8, { groups: [{ groupId: key, topics: [] }] })
    if (groups[0]!.errorCode === 0) return
    expect(nameOf(groups[0]!.errorCode)).toBe('COORDINATOR_LOAD_IN_PROGRESS')
    await host.pass(10)
  }
}

function commit(groupId: string, offset: number, metadata = 'm'): RequestInputOf<'OffsetCommit'> {
  const partitions = [{ partitionIndex: 1, committedOffset: offset, committedMetadata: metadata }]
  return { groupId, topics: [{ name: 'events', partitions }] }
}

function committed({ topics }: ResponseOf<'OffsetCommit'>): string[] {
  return topics.flatMap(({ partitions }) => partitions.map(({ errorCode }) => nameOf(errorCode)))
}

async function fetchOffset(host: SimBroker, groupId: string): Promise<number | undefined> {
  const { groups } = await host.call('OffsetFetch', 8, { groups: [{ groupId, topics: null }] })
  expect(nameOf(groups[0]!.errorCode)).toBe('NONE')
  return groups[0]!.topics[0]?.partitions[0]?.committedOffset
}

function join(groupId: string, memberId = ''): RequestInputOf<'JoinGroup'> {
  return {
    ...{ groupId, sessionTimeoutMs: 10_000, rebalanceTimeoutMs: 30_000, memberId, protocolType: 'consumer' },
    protocols: [{ name: 'range', metadata: new Uint8Array([0, 1, 2]) }],
  }
}

describe('FindCoordinator', () => {
  it('has the topic of groups made, once for all who ask, compacted and internal', async () => {
    const host = await stage()
    const clients: RawClient[] = []
    while (clients.length < 5) clients.push(await host.connect())

    const answers = await host.run(
      Promise.all(clients.map((client) => client.call('FindCoordinator', 3, { key: 'g', keyType: 0 }))),
    )

    const found = { errorCode: 0, nodeId: 1, host: 'broker', port: PORT }
    for (const answer of answers) expect(answer).toMatchObject(found)
    const { topics } = await host.call('Metadata', 12, { topics: [{ name: OFFSETS_TOPIC }] })
    expect(topics).toMatchObject([{ errorCode: 0, name: OFFSETS_TOPIC, isInternal: true }])
    expect(topics[0]!.partitions).toHaveLength(3)
    const { results } = await host.call('DescribeConfigs', 4, {
      resources: [
        {
          resourceType: 2,
          resourceName: OFFSETS_TOPIC,
          configurationKeys: ['cleanup.policy', 'segment.bytes'],
        },
      ],
    })
    expect(results[0]!.configs.map(({ value }) => value).sort()).toEqual(['104857600', 'compact'])
  })

  it('answers in every version, and several keys at once', async () => {
    const host = await stage()
    for (const version of versionsOf('FindCoordinator', 0, 3)) {
      const answer = await host.call('FindCoordinator', version, { key: 'g' })
      expect(answer, `v${version}`).toMatchObject({ errorCode: 0, nodeId: 1, host: 'broker', port: PORT })
    }
    for (const version of versionsOf('FindCoordinator', 4)) {
      const { coordinators } = await host.call('FindCoordinator', version, { coordinatorKeys: ['a', 'b'] })
      expect(coordinators, `v${version}`).toMatchObject([
        { key: 'a', errorCode: 0, nodeId: 1, host: 'broker', port: PORT },
        { key: 'b', errorCode: 0, nodeId: 1, host: 'broker', port: PORT },
      ])
    }
  })

  it('has none for transactions', async () => {
    const host = await stage()
    const answer = await host.call('FindCoordinator', 3, { key: 't', keyType: 1 })
    expect(answer).toMatchObject({ nodeId: -1, port: -1 })
    expect(nameOf(answer.errorCode)).toBe('UNSUPPORTED_VERSION')
    expect(host.broker.image.topicsByName.has(OFFSETS_TOPIC)).toBe(false)
  })

  it('has the topic made with as many replicas as there are brokers, if those are fewer than asked for', async () => {
    const host = await stage({ 'offsets.topic.replication.factor': '3' })
    await coordinated(host, 'g')
    const { partitions } = host.broker.image.topicsByName.get(OFFSETS_TOPIC)!
    expect(partitions.map(({ replicas }) => replicas)).toEqual([[1], [1], [1]])
  })
})

describe('The topic of groups', () => {
  it('is not for clients to write to, empty, grow or delete', async () => {
    const host = await stage()
    await coordinated(host, 'g')
    const topicId = host.broker.image.topicsByName.get(OFFSETS_TOPIC)!.id

    const produced = await host.call('Produce', 13, produceRequest({ topicId }, makeBatch()))
    const emptied = await host.call('DeleteRecords', 2, {
      topics: [{ name: OFFSETS_TOPIC, partitions: [{ partitionIndex: 0, offset: -1 }] }],
      timeoutMs: 1000,
    })
    const grown = await host.call('CreatePartitions', 3, {
      topics: [{ name: OFFSETS_TOPIC, count: 9, assignments: null }],
      timeoutMs: 1000,
      validateOnly: false,
    })
    const deleted = await host.call('DeleteTopics', 6, {
      topics: [{ name: OFFSETS_TOPIC, topicId: ZERO_UUID }],
      timeoutMs: 1000,
    })

    const codes = [
      produced.responses[0]!.partitionResponses[0]!.errorCode,
      emptied.topics[0]!.partitions[0]!.errorCode,
      grown.results[0]!.errorCode,
      deleted.responses[0]!.errorCode,
    ]
    expect(codes.map(nameOf)).toEqual(Array(4).fill('INVALID_TOPIC_EXCEPTION'))
  })

  it('is not made by asking for its metadata', async () => {
    const host = await stage()
    const { topics } = await host.call('Metadata', 12, {
      topics: [{ name: OFFSETS_TOPIC }],
      allowAutoTopicCreation: true,
    })
    expect(nameOf(topics[0]!.errorCode)).toBe('UNKNOWN_TOPIC_OR_PARTITION')
  })
})

describe('Committed offsets', () => {
  it.each(['close', 'crash', 'power cut'] as const)('G4: outlive the %s of the broker', async (how) => {
    const host = await stage()
    await coordinated(host, 'g')
    expect(await fetchOffset(host, 'g')).toBe(undefined)
    expect(committed(await host.call('OffsetCommit', 8, commit('g', 7)))).toEqual(['NONE'])
    expect(committed(await host.call('OffsetCommit', 8, commit('g', 42)))).toEqual(['NONE'])

    await host.restart(how)
    await coordinated(host, 'g')
    expect(await fetchOffset(host, 'g')).toBe(42)
  })

  it('are committed and told in every version', async () => {
    const host = await stage()
    await coordinated(host, 'g')
    const topicId = host.broker.image.topicsByName.get('events')!.id
    let offset = 0
    for (const version of versionsOf('OffsetCommit')) {
      const partitions = [{ partitionIndex: 1, committedOffset: ++offset, committedMetadata: '' }]
      const topics = [version >= 10 ? { topicId, partitions } : { name: 'events', partitions }]
      expect(
        committed(await host.call('OffsetCommit', version, { groupId: 'g', topics })),
        `v${version}`,
      ).toEqual(['NONE'])
    }
    for (const version of versionsOf('OffsetFetch', 0, 7)) {
      const topics = [{ name: 'events', partitionIndexes: [0, 1] }]
      const answer = await host.call('OffsetFetch', version, { groupId: 'g', topics })
      const offsets = answer.topics[0]!.partitions.map(({ committedOffset }) => committedOffset)
      expect([answer.errorCode, offsets], `v${version}`).toEqual([0, [-1, offset]])
    }
    for (const version of versionsOf('OffsetFetch', 8)) {
      const named = version >= 10 ? { topicId } : { name: 'events' }
      const groups = [
        { groupId: 'g', topics: [{ ...named, partitionIndexes: [1] }] },
        { groupId: 'nobody', topics: null },
      ]
      const answer = await host.call('OffsetFetch', version, { groups })
      expect(answer.groups, `v${version}`).toMatchObject([
        { groupId: 'g', errorCode: 0, topics: [{ partitions: [{ committedOffset: offset }] }] },
        { groupId: 'nobody', errorCode: 0, topics: [] },
      ])
    }
  })

  it('are not here when nobody coordinates the group here, in every version', async () => {
    const host = await stage()
    expect(committed(await host.call('OffsetCommit', 8, commit('g', 1)))).toEqual(['NOT_COORDINATOR'])
    const topics = [{ name: 'events', partitionIndexes: [0] }]
    const first = await host.call('OffsetFetch', 1, { groupId: 'g', topics })
    expect(first.topics[0]!.partitions.map(({ errorCode }) => nameOf(errorCode))).toEqual(['NOT_COORDINATOR'])
    const later = await host.call('OffsetFetch', 7, { groupId: 'g', topics })
    expect([nameOf(later.errorCode), later.topics]).toEqual(['NOT_COORDINATOR', []])
    const several = await host.call('OffsetFetch', 8, { groups: [{ groupId: 'g', topics: null }] })
    expect(several.groups.map(({ errorCode }) => nameOf(errorCode))).toEqual(['NOT_COORDINATOR'])
  })

  it('that do not fit into a batch are refused as a whole', async () => {
    const host = await stage()
    await coordinated(host, 'g')
    const configs = [{ name: 'max.message.bytes', configOperation: 0, value: '2000' }]
    const resources = [{ resourceType: 2, resourceName: '__consumer_offsets', configs }]
    await host.call('IncrementalAlterConfigs', 1, { resources, validateOnly: false })
    expect(committed(await host.call('OffsetCommit', 8, commit('g', 1, 'm'.repeat(3000))))).toEqual([
      'INVALID_COMMIT_OFFSET_SIZE',
    ])
    expect(await fetchOffset(host, 'g')).toBe(undefined)
  })
})

describe('A member that waits', () => {
  /** Two members of a group; the second joins, and waits for the first to come back. */
  async function waiting(): Promise<{
    host: SimBroker
    first: RawClient
    second: RawClient
    memberId: string
  }> {
    const host = await stage()
    await coordinated(host, 'g')
    const first = await host.connect()
    const second = await host.connect()
    const joined = await host.run(first.call('JoinGroup', 3, join('g')))
    expect(nameOf(joined.errorCode)).toBe('NONE')
    const assignments = [{ memberId: joined.memberId, assignment: new Uint8Array([1]) }]
    const { generationId, memberId } = joined
    await host.run(first.call('SyncGroup', 3, { groupId: 'g', generationId, memberId, assignments }))
    return { host, first, second, memberId }
  }

  it('is answered when the group is complete', async () => {
    const { host, first, second, memberId } = await waiting()
    const answer = second.call('JoinGroup', 3, join('g'))
    let isAnswered = false
    void answer.then(() => (isAnswered = true))
    await host.pass(1000)
    expect(isAnswered).toBe(false)
    const [again, other] = await host.run(
      Promise.all([first.call('JoinGroup', 3, join('g', memberId)), answer]),
    )
    expect([nameOf(again.errorCode), nameOf(other.errorCode)]).toEqual(['NONE', 'NONE'])
    expect(again.generationId).toBe(other.generationId)
  })

  it('is told to look for another coordinator when the broker stops, which does not wait for it', async () => {
    const { host, second } = await waiting()
    const answer = second.call('JoinGroup', 3, join('g'))
    await host.pass(100)
    const startedMs = host.simulation.nowMs
    const closing = host.broker.close()
    expect(nameOf((await host.run(answer)).errorCode)).toBe('NOT_COORDINATOR')
    await host.run(closing)
    expect(host.simulation.nowMs - startedMs).toBeLessThan(1000)
  })

  it('holds up nothing when its connection has gone', async () => {
    const { host, second, first, memberId } = await waiting()
    second.call('JoinGroup', 3, join('g')).catch(() => undefined)
    await host.pass(100)
    second.close()
    const again = await host.run(first.call('JoinGroup', 3, join('g', memberId)))
    expect(nameOf(again.errorCode)).toBe('NONE')
  })
})

describe('Groups', () => {
  it('are listed, described, counted and deleted', async () => {
    const host = await stage()
    await coordinated(host, 'g')
    await host.call('OffsetCommit', 8, commit('simple', 1))
    const member = await host.connect()
    const joined = await host.run(member.call('JoinGroup', 3, join('g')))
    const { generationId, memberId } = joined
    await host.run(member.call('SyncGroup', 3, { groupId: 'g', generationId, memberId, assignments: [] }))

    const { groups } = await host.call('ListGroups', 5, {})
    expect(
      groups.map(({ groupId, groupState, groupType }) => [groupId, groupState, groupType]).sort(),
    ).toEqual([
      ['g', 'Stable', 'classic'],
      ['simple', 'Empty', 'classic'],
    ])
    const described = await host.call('DescribeGroups', 5, { groups: ['g', 'simple'] })
    expect(described.groups).toMatchObject([
      { errorCode: 0, groupState: 'Stable', members: [{ memberId, clientId: 'raw', clientHost: '/client' }] },
      { errorCode: 0, groupState: 'Empty', members: [] },
    ])
    expect(host.broker.metrics()).toContain('millrace_groups{protocol="classic",state="Stable"} 1\n')
    const deleted = await host.call('DeleteGroups', 2, { groupsNames: ['g', 'simple', 'nobody'] })
    expect(deleted.results.map(({ groupId, errorCode }) => [groupId, nameOf(errorCode)])).toEqual([
      ['g', 'NON_EMPTY_GROUP'],
      ['simple', 'NONE'],
      ['nobody', 'GROUP_ID_NOT_FOUND'],
    ])
  })
})
