/** Administration of brokers, replicas and the quorum: what is asked of whom, again when, and how answers read. */
import { describe, expect, it } from 'vitest'
import { errorCode } from '../../src/protocol/errors.ts'
import { apiList } from '../../src/protocol/apis.ts'
import { metadata, ScriptedBroker, TOPIC_ID } from './scripted-broker.ts'
import type { Rules } from './scripted-broker.ts'

const NODES = [
  { nodeId: 1, host: 'one', port: 1 },
  { nodeId: 2, host: 'two', port: 1 },
]

async function start(rules: Rules, names: readonly string[] = ['scripted']) {
  const broker = new ScriptedBroker(rules)
  for (const name of names) await broker.listen(name)
  const bootstrap = names.map((name) => `in-process://${name}`).join(',')
  const client = broker.client({ bootstrap, requestTimeoutMs: 2_000 })
  return { broker, admin: client.admin() }
}

/** What ApiVersions says of a broker that has only versions up to those named. */
function serving(lasts: Readonly<Record<string, number>>): NonNullable<Rules['ApiVersions']> {
  return () => ({
    errorCode: 0,
    apiKeys: apiList
      .filter(({ name }) => (lasts[name] ?? 0) >= 0)
      .map(({ key, name, versions }) => ({
        apiKey: key,
        minVersion: versions.first,
        maxVersion: lasts[name] ?? versions.last,
      })),
  })
}

const partition = (partitionIndex: number) => ({
  ...{ errorCode: 0, partitionIndex, leaderId: 1, leaderEpoch: 4, offlineReplicas: [3] },
  ...{ replicaNodes: [1, 2, 3], isrNodes: [1], eligibleLeaderReplicas: [2], lastKnownElr: [3] },
})

describe('Admin.describeTopics()', () => {
  it('goes on page by page, in the middle of a topic too', async () => {
    const { broker, admin } = await start({
      DescribeTopicPartitions: ({ cursor }) => ({
        topics: [
          {
            errorCode: 0,
            name: 't',
            topicId: TOPIC_ID,
            partitions: [partition(cursor?.partitionIndex ?? 0)],
          },
        ],
        nextCursor: cursor === null ? { topicName: 't', partitionIndex: 1 } : null,
      }),
    })
    const [topic] = await broker.settled(admin.describeTopics(['t']))
    expect(topic!.partitions.map((one) => one.partition)).toEqual([0, 1])
    expect(topic!.partitions[1]).toEqual({
      ...{ partition: 1, leader: 1, leaderEpoch: 4, replicas: [1, 2, 3], isr: [1] },
      ...{ eligibleLeaderReplicas: [2], lastKnownEligibleLeaders: [3], offlineReplicas: [3] },
    })
  })

  it('asks brokers that do not know eligible replicas by Metadata', async () => {
    const { broker, admin } = await start({ ApiVersions: serving({ DescribeTopicPartitions: -1 }) })
    const [topic] = await broker.settled(admin.describeTopics(['t']))
    expect(topic!.partitions).toMatchObject([{ partition: 0, leader: 1, eligibleLeaderReplicas: [] }])
    expect(broker.requestsOf('DescribeTopicPartitions')).toEqual([])
  })

  it('asks another broker when one breaks the connection', async () => {
    const { broker, admin } = await start(
      {
        Metadata: (request) => ({ ...metadata(request, 1), brokers: NODES }),
        DescribeTopicPartitions: (_request, { index }) =>
          index === 0
            ? 'close'
            : { topics: [{ errorCode: 0, name: 't', topicId: TOPIC_ID, partitions: [partition(0)] }] },
      },
      ['one', 'two'],
    )
    expect(await broker.settled(admin.describeTopics(['t']))).toHaveLength(1)
  })
})

describe('Admin.describeCluster()', () => {
  const answer = (): ReturnType<NonNullable<Rules['DescribeCluster']>> => ({
    ...{ errorCode: 0, clusterId: 'c', controllerId: -1 },
    brokers: [
      { brokerId: 2, host: 'two', port: 1, rack: 'b', isFenced: true },
      { brokerId: 1, host: 'one', port: 1, rack: 'a' },
    ],
  })

  it('tells brokers that are fenced, and their racks', async () => {
    const { broker, admin } = await start({ DescribeCluster: answer })
    expect(await broker.settled(admin.describeCluster())).toEqual({
      clusterId: 'c',
      controllerId: null,
      brokers: [
        { id: 1, host: 'one', port: 1, rack: 'a', isFenced: false },
        { id: 2, host: 'two', port: 1, rack: 'b', isFenced: true },
      ],
    })
  })

  it('does not ask brokers for fenced ones that do not know them', async () => {
    const { broker, admin } = await start({
      ApiVersions: serving({ DescribeCluster: 1 }),
      DescribeCluster: () => ({ errorCode: 0, clusterId: 'c', controllerId: 1, brokers: [] }),
    })
    await broker.settled(admin.describeCluster())
    expect(broker.requestsOf('DescribeCluster')).toHaveLength(1)
  })
})

describe('Admin.drainBroker()', () => {
  const done = {
    throttleTimeMs: 0,
    errorCode: 0,
    errorMessage: null,
    startedCount: 2,
    leftCount: 3,
    stuckCount: 1,
  }
  const wrong = { ...done, errorCode: errorCode('NOT_CONTROLLER') }

  it('is asked again while the answer is that somebody else is the controller', async () => {
    const { broker, admin } = await start({
      DrainBroker: (_request, { index }) => (index < 2 ? wrong : done),
    })
    expect(await broker.settled(admin.drainBroker(7))).toEqual({
      startedCount: 2,
      leftCount: 3,
      stuckCount: 1,
    })
    expect(broker.requestsOf('DrainBroker')).toEqual([{ brokerId: 7 }, { brokerId: 7 }, { brokerId: 7 }])
  })

  it('goes by another broker when the controller cannot be reached', async () => {
    const { broker, admin } = await start(
      {
        Metadata: (request) => ({ ...metadata(request, 1), brokers: NODES, controllerId: 1 }),
        DrainBroker: () => done,
      },
      ['two'],
    )
    expect((await broker.settled(admin.drainBroker(7))).leftCount).toBe(3)
  })

  it('gives up in time, and says in the words of the broker what is wrong', async () => {
    const { broker, admin } = await start({ DrainBroker: () => wrong })
    await expect(broker.settled(admin.drainBroker(7, { timeoutMs: 500 }))).rejects.toMatchObject({
      code: 'NOT_CONTROLLER',
    })
    broker.rules.DrainBroker = () => ({
      ...done,
      errorCode: errorCode('BROKER_ID_NOT_REGISTERED'),
      errorMessage: 'There is no broker 7',
    })
    await expect(broker.settled(admin.drainBroker(7))).rejects.toMatchObject({
      code: 'BROKER_ID_NOT_REGISTERED',
      message: expect.stringContaining('There is no broker 7') as string,
    })
  })
})

describe('Admin.unregisterBroker()', () => {
  it('is not sent twice when its answer is lost: it may have been done', async () => {
    const { broker, admin } = await start({ UnregisterBroker: () => 'close' })
    await expect(broker.settled(admin.unregisterBroker(4))).rejects.toMatchObject({
      code: 'CLIENT_DISCONNECTED',
    })
    expect(broker.requestsOf('UnregisterBroker')).toHaveLength(1)
  })
})

describe('Admin.electLeaders()', () => {
  const answered = (...errors: Parameters<typeof errorCode>[0][]) => ({
    ...{ throttleTimeMs: 0, errorCode: 0 },
    replicaElectionResults: [
      {
        topic: 't',
        partitionResult: errors.map((error, partitionId) => ({
          ...{ partitionId, errorCode: errorCode(error), errorMessage: null },
        })),
      },
    ],
  })
  const both = [0, 1].map((index) => ({ topic: 't', partition: index }))

  it('does not take an election that was not needed for a failure', async () => {
    const { broker, admin } = await start({ ElectLeaders: () => answered('NONE', 'ELECTION_NOT_NEEDED') })
    expect(await broker.settled(admin.electLeaders(both))).toEqual([
      { topic: 't', partition: 0, isElected: true },
      { topic: 't', partition: 1, isElected: false },
    ])
    expect(broker.requestsOf('ElectLeaders')).toMatchObject([{ electionType: 0 }])
  })

  it('is unclean only if told so, and names the partitions that failed', async () => {
    const { broker, admin } = await start({
      ElectLeaders: () => answered('NONE', 'ELIGIBLE_LEADERS_NOT_AVAILABLE'),
    })
    const elected = admin.electLeaders(both, { election: 'unclean' })
    await expect(broker.settled(elected)).rejects.toMatchObject({
      code: 'ELIGIBLE_LEADERS_NOT_AVAILABLE',
      failures: [{ item: 't-1' }],
    })
    expect(broker.requestsOf('ElectLeaders')).toMatchObject([{ electionType: 1 }])
  })
})

describe('Admin moves partitions', () => {
  it('names brokers by partition, or calls the move off, and tells what moves', async () => {
    const { broker, admin } = await start({
      AlterPartitionReassignments: ({ topics }) => ({
        ...{ throttleTimeMs: 0, errorCode: 0, errorMessage: null },
        responses: topics.map(({ name, partitions }) => ({
          name,
          partitions: partitions.map(({ partitionIndex, replicas }) => ({
            partitionIndex,
            errorCode: errorCode(replicas === null ? 'NO_REASSIGNMENT_IN_PROGRESS' : 'NONE'),
            errorMessage: null,
          })),
        })),
      }),
      ListPartitionReassignments: () => ({
        ...{ throttleTimeMs: 0, errorCode: 0, errorMessage: null },
        topics: [
          {
            name: 't',
            partitions: [
              { partitionIndex: 0, replicas: [1, 2, 3], addingReplicas: [3], removingReplicas: [1] },
            ],
          },
        ],
      }),
    })
    await broker.settled(admin.alterPartitionReassignments([{ topic: 't', partition: 0, replicas: [2, 3] }]))
    await expect(
      broker.settled(admin.alterPartitionReassignments([{ topic: 't', partition: 1, replicas: null }])),
    ).rejects.toMatchObject({ code: 'NO_REASSIGNMENT_IN_PROGRESS', failures: [{ item: 't-1' }] })
    expect(await broker.settled(admin.listPartitionReassignments())).toEqual([
      { topic: 't', partition: 0, replicas: [1, 2, 3], adding: [3], removing: [1] },
    ])
  })
})

describe('Admin.describeQuorum()', () => {
  const state = {
    replicaDirectoryId: TOPIC_ID,
    logEndOffset: 9,
    lastFetchTimestamp: 5,
    lastCaughtUpTimestamp: 5,
  }

  it('tells who votes, and null of whom the leader has not heard', async () => {
    const { broker, admin } = await start({
      DescribeQuorum: () => ({
        ...{ errorCode: 0, errorMessage: null, nodes: [] },
        topics: [
          {
            topicName: '__cluster_metadata',
            partitions: [
              {
                ...{ partitionIndex: 0, errorCode: 0, errorMessage: null, leaderId: 1, leaderEpoch: 3 },
                highWatermark: 8,
                currentVoters: [
                  {
                    replicaId: 2,
                    ...state,
                    logEndOffset: -1,
                    lastFetchTimestamp: -1,
                    lastCaughtUpTimestamp: -1,
                  },
                  { replicaId: 1, ...state },
                ],
                observers: [],
              },
            ],
          },
        ],
      }),
    })
    const quorum = await broker.settled(admin.describeQuorum())
    expect(quorum).toMatchObject({ leaderId: 1, leaderEpoch: 3, highWatermark: 8, observers: [] })
    expect(quorum.voters).toMatchObject([
      { nodeId: 1, logEndOffset: 9, lastFetchTimestamp: 5 },
      { nodeId: 2, logEndOffset: null, lastFetchTimestamp: null, lastCaughtUpTimestamp: null },
    ])
  })
})

describe('Admin.describeReplicas()', () => {
  it('asks every broker for its own, and says null of one that does not answer', async () => {
    const { broker, admin } = await start(
      {
        Metadata: (request) => ({ ...metadata(request, 1), brokers: NODES }),
        DescribeLogDirs: (_request, { name }) => {
          if (name === 'two') return 'silence'
          const partitions = [{ partitionIndex: 0, partitionSize: 64, offsetLag: -1, isFutureKey: false }]
          return { results: [{ errorCode: 0, logDir: '/d', topics: [{ name: 't', partitions }] }] }
        },
      },
      ['one', 'two'],
    )
    const described = [
      {
        ...{ name: 't', topicId: null, isInternal: false },
        partitions: [
          {
            ...{ partition: 0, leader: 2, leaderEpoch: 0, replicas: [1, 2, 3], isr: [2] },
            ...{ eligibleLeaderReplicas: [], lastKnownEligibleLeaders: [], offlineReplicas: [3] },
          },
        ],
      },
    ]
    const replicas = await broker.settled(admin.describeReplicas(described, { timeoutMs: 300 }))
    expect(replicas.map(({ brokerId, lag, sizeBytes }) => [brokerId, lag, sizeBytes])).toEqual([
      [1, null, 64],
      [2, null, null],
      [3, null, null],
    ])
  })
})

describe('Admin.deleteRecords()', () => {
  const deletion = { topic: 't', partition: 0, before: 5 }
  const deleted = {
    topics: [{ name: 't', partitions: [{ partitionIndex: 0, lowWatermark: 5, errorCode: 0 }] }],
  }
  const ledBy = (leaderId: number, leaderEpoch: number): NonNullable<Rules['Metadata']> => {
    return (request) => {
      const answer = metadata(request, 1)
      return {
        ...answer,
        brokers: NODES.map((node) => ({ ...node })),
        topics: answer.topics.map((topic) => ({
          ...topic,
          partitions: topic.partitions.map((one) => ({ ...one, leaderId, leaderEpoch })),
        })),
      }
    }
  }

  /** Asks twice: what the first failure has set off is known to the second. */
  async function again(first: NonNullable<Rules['Metadata']>, rule: NonNullable<Rules['DeleteRecords']>) {
    const next = ledBy(2, 1)
    const { broker, admin } = await start(
      {
        Metadata: (request, call) => (call.index === 0 ? first : next)(request, call),
        DeleteRecords: rule,
      },
      ['one', 'two'],
    )
    await expect(broker.settled(admin.deleteRecords([deletion]))).rejects.toMatchObject({ retriable: true })
    await broker.pass(100)
    return broker.settled(admin.deleteRecords([deletion]))
  }

  it('S3: knows of a leader that is there again, after it has failed since there was none', async () => {
    const [remaining] = await again(ledBy(-1, 0), () => deleted)
    expect(remaining!.logStartOffset).toBe(5)
  })

  it('S3: knows of the next leader, after the connection to the last one has failed', async () => {
    const [remaining] = await again(ledBy(1, 0), (_request, { name }) => (name === 'one' ? 'close' : deleted))
    expect(remaining!.logStartOffset).toBe(5)
  })
})
