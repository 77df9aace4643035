/** Metadata, DescribeCluster, DescribeTopicPartitions and ApiVersions on a whole broker, in every version. */
import { beforeAll, describe, expect, it } from 'vitest'
import { ZERO_UUID } from '../../../src/bytes/uuid.ts'
import { nodeEnv } from '../../../src/env/node/index.ts'
import { apis, clientApiList } from '../../../src/protocol/apis.ts'
import { decodeResponse, encodeRequest } from '../../../src/protocol/frame.ts'
import { versionsOf } from '../../support/raw-client.ts'
import { makeBatch, produceRequest } from '../support/batches.ts'
import { nameOf, PORT, SimBroker } from '../support/sim-broker.ts'

const NEWEST = apis.Metadata.versions.last
/** X21: no name of a topic, whoever asks. */
const BAD_NAMES = [
  '',
  '.',
  '..',
  '../x',
  'a/b',
  'a\\b',
  'a\0b',
  '%2e%2e',
  'x'.repeat(250),
  'tоpic',
  'a b',
  '__cluster_metadata',
]
/** X22: names like any other. */
const PROTOTYPE_KEYS = ['__proto__', 'constructor', 'toString', 'hasOwnProperty']
let host: SimBroker
let topicId: string
beforeAll(async () => {
  host = await SimBroker.start({ settings: { 'num.partitions': '2' } })
  topicId = await host.createTopic('known', 3)
  await host.createTopic('__consumer_offsets')
})

const errorsOf = (topics: readonly { readonly errorCode: number }[]) =>
  topics.map(({ errorCode }) => nameOf(errorCode))

describe.each(versionsOf('Metadata'))('Metadata v%i', (version) => {
  const ask = (
    topics: readonly { name: string | null; topicId?: string }[] | null,
    allowAutoTopicCreation = true,
  ) =>
    host.call('Metadata', version, {
      topics: topics === null ? null : [...topics],
      ...(version >= 4 ? { allowAutoTopicCreation } : {}),
    })

  it('describes a topic, its partitions and this broker', async () => {
    const body = await ask([{ name: 'known' }])
    expect(body.brokers).toEqual([{ nodeId: 1, host: 'broker', port: PORT, rack: null }])
    expect(body.controllerId).toBe(version >= 1 ? 1 : -1)
    expect(body.clusterId).toBe(version >= 2 ? host.broker.clusterId : null)
    const [topic] = body.topics
    expect(topic).toMatchObject({ errorCode: 0, name: 'known', isInternal: false })
    expect(topic!.topicId).toBe(version >= 10 ? topicId : ZERO_UUID)
    expect(topic!.partitions.map((each) => each.partitionIndex)).toEqual([0, 1, 2])
    const [partition] = topic!.partitions
    expect(partition).toMatchObject({ errorCode: 0, leaderId: 1, replicaNodes: [1], isrNodes: [1] })
    expect(partition!.offlineReplicas).toEqual([])
    if (version >= 7) expect(partition!.leaderEpoch).toBeGreaterThanOrEqual(0)
  })

  it('an empty list means all topics in version 0, and none later; null means all', async () => {
    const names = (await ask([])).topics.map(({ name }) => name)
    if (version === 0) expect(names).toContain('known')
    else {
      expect(names).toEqual([])
      expect((await ask(null)).topics.map(({ name }) => name)).toContain('known')
    }
  })

  it('marks an internal topic from version 1 on', async () => {
    expect((await ask([{ name: '__consumer_offsets' }])).topics[0]!.isInternal).toBe(version >= 1)
  })

  it('creates a missing topic if the request may, and answers it ready to be used', async () => {
    const name = `auto-${version}`
    if (version >= 4)
      expect(errorsOf((await ask([{ name }], false)).topics)).toEqual(['UNKNOWN_TOPIC_OR_PARTITION'])
    const { topics } = await ask([{ name }])
    expect(errorsOf(topics)).toEqual(['NONE'])
    expect(topics[0]!.partitions.map(({ leaderId }) => leaderId)).toEqual([1, 1])
    const { responses } = await host.call('Produce', 9, produceRequest({ name }, makeBatch()))
    expect(responses[0]!.partitionResponses[0]!.errorCode).toBe(0)
  })

  it('X21: a bad name is told so, and creates nothing', async () => {
    const before = (await ask(version === 0 ? [] : null)).topics.length
    const { topics } = await ask(BAD_NAMES.map((name) => ({ name })))
    expect(topics.map(({ name }) => name)).toEqual(BAD_NAMES)
    expect(new Set(errorsOf(topics))).toEqual(new Set(['INVALID_TOPIC_EXCEPTION']))
    expect((await ask(version === 0 ? [] : null)).topics).toHaveLength(before)
  })

  it('X22: names that objects have of their own are names like any other', async () => {
    const { topics } = await ask(PROTOTYPE_KEYS.map((name) => ({ name })))
    expect(topics.map(({ name }) => name)).toEqual(PROTOTYPE_KEYS)
    expect(new Set(errorsOf(topics))).toEqual(new Set(['NONE']))
    for (const name of PROTOTYPE_KEYS) {
      const { responses } = await host.call('Produce', 9, produceRequest({ name }, makeBatch()))
      expect(responses[0]!.partitionResponses[0]!.errorCode).toBe(0)
    }
  })

  if (version >= 10) {
    it('finds a topic by its id from version 12 on; before, an id is refused', async () => {
      const asked = [
        { name: null, topicId },
        { name: null, topicId: 'bm8tc3VjaC10b3BpYy1pZA' },
        { name: null, topicId: ZERO_UUID },
        { name: 'never-made', topicId: 'bm8tc3VjaC10b3BpYy1pZA' },
      ]
      const { topics } = await ask(asked)
      const wanted =
        version >= 12
          ? ['NONE', 'UNKNOWN_TOPIC_ID', 'INVALID_TOPIC_EXCEPTION', 'UNKNOWN_TOPIC_ID']
          : ['INVALID_REQUEST', 'INVALID_REQUEST', 'INVALID_REQUEST', 'INVALID_REQUEST']
      expect(errorsOf(topics)).toEqual(wanted)
      expect(topics[0]!.name).toBe(version >= 12 ? 'known' : '')
      const { topics: all } = await ask(null)
      expect(all.map(({ name }) => name)).not.toContain('never-made')
    })
  }
})

describe('Metadata', () => {
  it('creates nothing where auto.create.topics.enable is false', async () => {
    const own = await SimBroker.start({ seed: 'no auto', settings: { 'auto.create.topics.enable': 'false' } })
    for (const version of [0, 1, 4, NEWEST]) {
      const { topics } = await own.call('Metadata', version, { topics: [{ name: 'missing' }] })
      expect(errorsOf(topics)).toEqual(['UNKNOWN_TOPIC_OR_PARTITION'])
    }
  })

  it('creates a topic that many ask for at once only once', async () => {
    const connections = []
    for (let index = 0; index < 4; index++) connections.push(await host.connect())
    const bodies = await host.run(
      Promise.all(
        connections.map((client) => client.call('Metadata', 12, { topics: [{ name: 'popular' }] })),
      ),
    )
    expect(bodies.flatMap(({ topics }) => errorsOf(topics))).toEqual(['NONE', 'NONE', 'NONE', 'NONE'])
    expect(new Set(bodies.map(({ topics }) => topics[0]!.topicId)).size).toBe(1)
  })

  it('a name that metrics cannot tell from another is refused when it would be created', async () => {
    const { topics } = await host.call('Metadata', 12, {
      topics: [{ name: 'dot.name' }, { name: 'dot_name' }],
    })
    expect(errorsOf(topics)).toEqual(['NONE', 'INVALID_TOPIC_EXCEPTION'])
  })

  it('tells the addresses of the listener that was asked', async () => {
    const settings = {
      listeners: 'inside=any://broker:9092,outside=kafka://broker:9093,quiet=kafka://broker:9094',
      'advertised.listeners': 'outside=kafka://example.org:443',
    }
    const own = await SimBroker.start({ seed: 'listeners', settings })
    const addresses = []
    for (const port of [9092, 9093, 9094]) {
      const client = await own.connect('tcp', port)
      const { brokers } = await own.run(client.call('Metadata', 12, { topics: [] }))
      const cluster = await own.run(
        client.call('DescribeCluster', 0, { includeClusterAuthorizedOperations: false }),
      )
      expect(cluster.brokers.map((each) => each.port)).toEqual(brokers.map((each) => each.port))
      addresses.push(brokers.map((broker) => `${broker.host}:${broker.port}`))
    }
    expect(addresses).toEqual([['broker:9092'], ['example.org:443'], ['broker:9094']])
  })
})

describe.each(versionsOf('DescribeCluster'))('DescribeCluster v%i', (version) => {
  it('tells the cluster and its brokers', async () => {
    const body = await host.call('DescribeCluster', version, { includeClusterAuthorizedOperations: false })
    expect(body).toMatchObject({
      errorCode: 0,
      errorMessage: null,
      clusterId: host.broker.clusterId,
      controllerId: 1,
    })
    expect(body.brokers).toEqual([{ brokerId: 1, host: 'broker', port: PORT, rack: null, isFenced: false }])
  })

  it('has no controllers of their own to tell of', async () => {
    if (version === 0) return
    for (const endpointType of [2, 99]) {
      const request = { includeClusterAuthorizedOperations: false, endpointType }
      const body = await host.call('DescribeCluster', version, request)
      expect([nameOf(body.errorCode), body.brokers]).toEqual(['UNSUPPORTED_ENDPOINT_TYPE', []])
    }
  })
})

describe('DescribeTopicPartitions', () => {
  const ask = (
    names: readonly string[],
    limit: number,
    cursor: { topicName: string; partitionIndex: number } | null = null,
  ) =>
    host.call('DescribeTopicPartitions', 0, {
      topics: names.map((name) => ({ name })),
      responsePartitionLimit: limit,
      cursor,
    })
  const shown = (body: Awaited<ReturnType<typeof ask>>) =>
    body.topics.map(({ name, partitions }) => [name, partitions.map(({ partitionIndex }) => partitionIndex)])

  beforeAll(async () => {
    await host.createTopic('page-a', 3)
    await host.createTopic('page-b', 2)
  })
  const NAMES = ['page-b', 'page-a']

  it('pages through topics by name, cutting between partitions, and each partition comes once', async () => {
    for (const limit of [1, 2, 3, 4, 5, 100]) {
      const pages: unknown[][] = []
      let cursor: { topicName: string; partitionIndex: number } | null = null
      do {
        const body: Awaited<ReturnType<typeof ask>> = await ask(NAMES, limit, cursor)
        const page = body.topics.flatMap(({ name, partitions }) =>
          partitions.map(({ partitionIndex }) => `${name}/${partitionIndex}`),
        )
        expect(page.length).toBeLessThanOrEqual(limit)
        pages.push(page)
        cursor = body.nextCursor
      } while (cursor !== null && pages.length < 10)
      expect(pages.flat()).toEqual(['page-a/0', 'page-a/1', 'page-a/2', 'page-b/0', 'page-b/1'])
    }
  })

  it('takes limits and cursors that make no sense', async () => {
    expect(shown(await ask(NAMES, 0))).toEqual([['page-a', [0]]])
    expect(shown(await ask(NAMES, -5))).toEqual([['page-a', [0]]])
    expect(shown(await ask(NAMES, 100, { topicName: 'page-b', partitionIndex: -7 }))).toEqual([
      ['page-b', [0, 1]],
    ])
    expect(shown(await ask(NAMES, 100, { topicName: 'page-b', partitionIndex: 99 }))).toEqual([
      ['page-b', []],
    ])
    expect(shown(await ask(NAMES, 100, { topicName: 'page-aa', partitionIndex: 1 }))).toEqual([
      ['page-b', [0, 1]],
    ])
    expect(shown(await ask(NAMES, 100, { topicName: 'z', partitionIndex: 0 }))).toEqual([])
  })

  it('tells missing topics and bad names, and lists all when none is named', async () => {
    const { topics } = await ask(['absent', '../x'], 10)
    expect(topics.map(({ name, errorCode }) => [name, nameOf(errorCode)])).toEqual([
      ['../x', 'INVALID_TOPIC_EXCEPTION'],
      ['absent', 'UNKNOWN_TOPIC_OR_PARTITION'],
    ])
    expect((await ask([], 2000)).topics.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['page-a', 'known']),
    )
  })
})

describe('ApiVersions', () => {
  const software = { clientSoftwareName: 'raw', clientSoftwareVersion: '1.0' }
  const ADVERTISED = clientApiList.map(({ key, advertised }) => [key, advertised.first, advertised.last])

  it.each(versionsOf('ApiVersions'))('v%i announces every API with its versions', async (version) => {
    const body = await host.call('ApiVersions', version, version >= 3 ? software : {})
    expect(body.errorCode).toBe(0)
    expect(
      body.apiKeys.map(({ apiKey, minVersion, maxVersion }) => [apiKey, minVersion, maxVersion]),
    ).toEqual(ADVERTISED)
    expect(body.apiKeys[0]).toEqual({ apiKey: 0, minVersion: 0, maxVersion: 13 })
  })

  it.each([5, 99, -1, 32767])('v%i is answered in version 0 with what to step down to', async (version) => {
    const client = await host.connect()
    const frame = Buffer.alloc(20)
    frame.writeInt16BE(18, 0)
    frame.writeInt16BE(version, 2)
    frame.writeInt32BE(777, 4)
    frame.writeInt16BE(-1, 8)
    client.send(frame)
    const answer = Buffer.from(await host.run(client.receive()))
    // correlation id | error 35 | one key: 18, 0 to 4; no header tags, nothing behind.
    expect(answer.toString('hex')).toBe(`00000309002300000001001200000004`)
    expect(decodeResponse('ApiVersions', version, answer).body.errorCode).toBe(35)
  })

  it.each(['', ' ', '-a', 'a-', 'a b', 'ä', 'a'.repeat(3) + '\n'])(
    'refuses %j as the name of software',
    async (name) => {
      for (const version of [3, 4]) {
        const body = await host.call('ApiVersions', version, { ...software, clientSoftwareName: name })
        expect(nameOf(body.errorCode)).toBe('INVALID_REQUEST')
        const other = await host.call('ApiVersions', version, { ...software, clientSoftwareVersion: name })
        expect(nameOf(other.errorCode)).toBe('INVALID_REQUEST')
      }
    },
  )

  it('X23: a long name of software is judged in no time', async () => {
    const name = `${'a-'.repeat(16_000)}!`
    const { clock } = nodeEnv()
    const startMs = clock.monotonicMs()
    await host.call('ApiVersions', 3, { ...software, clientSoftwareName: name })
    expect(clock.monotonicMs() - startMs).toBeLessThan(1000)
  })
})

describe('a connection', () => {
  it.each([
    ['an API that there is not', 999, 0],
    ['an API of Kafka that is not served', 17, 0],
    ['a negative API', -1, 0],
    ['Produce v2, announced and not served', 0, 2],
    ['Produce v14', 0, 14],
    ['Fetch v3', 1, 3],
    ['Metadata v-1', 3, -1],
  ])('X28: is closed on %s', async (_what, key, version) => {
    const client = await host.connect()
    const frame = Buffer.alloc(40)
    frame.writeInt16BE(key, 0)
    frame.writeInt16BE(version, 2)
    client.send(frame)
    await host.run(client.closed)
    expect(client.unreadCount).toBe(0)
  })

  it('gives pipelined answers in the order of the requests, of whatever kind', async () => {
    const client = await host.connect()
    const order: number[] = []
    const requests = [
      () => client.call('Fetch', 12, { maxWaitMs: 50, minBytes: 1, topics: [] }),
      () => client.call('Produce', 9, produceRequest({ name: 'known' }, makeBatch())),
      () => client.call('Metadata', 12, { topics: null }),
      () => client.call('Produce', 9, produceRequest({ name: 'known' }, makeBatch())),
      () => client.call('Produce', 9, produceRequest({ name: 'nowhere' }, makeBatch())),
      () => client.call('ApiVersions', 0, {}),
    ]
    await host.run(Promise.all(requests.map((send, index) => send().then(() => order.push(index)))))
    expect(order).toEqual([0, 1, 2, 3, 4, 5])
  })

  it('answers a repeated, negative or extreme correlation id as it came', async () => {
    const client = await host.connect()
    for (const id of [7, 7, -1, 0, 2 ** 31 - 1, -(2 ** 31)]) {
      client.send(encodeRequest('ApiVersions', 0, id, null, {}))
      expect(decodeResponse('ApiVersions', 0, await host.run(client.receive())).correlationId).toBe(id)
    }
  })
})
