/**
 * What a broker passes on for WebSocket clients, and what becomes of it, in a simulated cluster: real brokers, raw clients, and
 * virtual time, so that who waits for whom is seen exactly.
 */
import { describe, expect, it } from 'vitest'
import type { Env } from '../../src/env/index.ts'
import { apis } from '../../src/protocol/apis.ts'
import type { ApiName, RequestInputOf, ResponseOf } from '../../src/protocol/apis.ts'
import { errorByCode } from '../../src/protocol/errors.ts'
import { decodeResponse, encodeRequest } from '../../src/protocol/frame.ts'
import { Peers } from '../../src/rpc/peers.ts'
import { GATEWAY, GatewayCluster } from '../sim/support/gateway.ts'
import { CLUSTER_ID, PORT } from '../sim/support/sim-cluster.ts'
import type { Settings, SimCluster } from '../sim/support/sim-cluster.ts'
import type { RawClient } from '../support/raw-client.ts'
import { fetchRequest, makeBatch, produceRequest } from './support/batches.ts'

const TOPIC = 'events'
const last = (api: ApiName): number => apis[api].versions.last

interface Stage {
  readonly cluster: GatewayCluster
  readonly topicId: string
  /** A WebSocket client of a broker, by its id. */
  readonly of: (id: number, name?: string) => Promise<RawClient>
  readonly call: <A extends ApiName>(
    client: RawClient,
    api: A,
    body: RequestInputOf<A>,
    version?: number,
  ) => Promise<ResponseOf<A>>
}

/** Three brokers; each leads the partition of its id less one, with the next as followers. */
async function stage(settings: Settings = {}): Promise<Stage> {
  const cluster = await GatewayCluster.start({ settings })
  await cluster.createTopic(TOPIC, { assignments: [[1, 2, 3], [2, 3, 1], [3, 1, 2]] }) // prettier-ignore
  const topicId = cluster.image.topicsByName.get(TOPIC)!.id
  return {
    cluster,
    topicId,
    of: (id, name) => cluster.webSocket(cluster.host(id), name),
    call: (client, api, body, version = last(api)) => cluster.run(client.call(api, version, body)),
  }
}

const OFF = { 'websocket.advertised.address': '' }

const nameOf = (code: number): string => errorByCode(code).name

function outcomes({ responses }: ResponseOf<'Produce'>): string[] {
  return responses.flatMap(({ partitionResponses }) =>
    partitionResponses.map(({ index, errorCode }) => `${index} ${nameOf(errorCode)}`),
  )
}

function fetched({ responses }: ResponseOf<'Fetch'>) {
  return responses.flatMap(({ partitions }) => partitions)[0]!
}

function forwardedBy(cluster: SimCluster, id: number): number {
  const text = cluster.host(id).broker!.metrics()
  return Number(/^millrace_forwarded_requests_total (\d+)$/m.exec(text)![1])
}

describe('A WebSocket client that asks a broker that does not lead', () => {
  it('is served by the leader, with every request that only a leader can answer', async () => {
    const { topicId, of, call } = await stage(OFF)
    const client = await of(2)
    const batch = makeBatch({ values: ['a', 'b'] })

    const produced = await call(client, 'Produce', produceRequest({ topicId }, batch.slice()))
    const read = await call(client, 'Fetch', fetchRequest({ topicId }))
    const places = await call(client, 'ListOffsets', {
      replicaId: -1,
      topics: [{ name: TOPIC, partitions: [{ partitionIndex: 0, timestamp: -1 }] }],
    })
    const epochs = await call(client, 'OffsetForLeaderEpoch', {
      topics: [{ topic: TOPIC, partitions: [{ partition: 0, leaderEpoch: 0 }] }],
    })
    const deleted = await call(client, 'DeleteRecords', {
      topics: [{ name: TOPIC, partitions: [{ partitionIndex: 0, offset: 1 }] }],
      timeoutMs: 5000,
    })

    expect(outcomes(produced)).toEqual(['0 NONE'])
    expect(fetched(read)).toMatchObject({ errorCode: 0, highWatermark: 2 })
    // But for base offset and leader epoch, which the leader has set, the batch is the bytes that were sent.
    expect(Buffer.from(fetched(read).records!).subarray(16)).toEqual(Buffer.from(batch.subarray(16)))
    expect(places.topics[0]!.partitions[0]).toMatchObject({ errorCode: 0, offset: 2 })
    expect(epochs.topics[0]!.partitions[0]).toMatchObject({ errorCode: 0, endOffset: 2 })
    expect(deleted.topics[0]!.partitions[0]).toMatchObject({ errorCode: 0, lowWatermark: 1 })
  })

  it('is served in every version of produce and fetch', async () => {
    const { cluster, topicId, of, call } = await stage(OFF)
    const client = await of(3)
    for (let version = apis.Produce.versions.first; version <= last('Produce'); version++) {
      const names = version >= 13 ? { topicId } : { name: TOPIC }
      const answer = await call(client, 'Produce', produceRequest(names, makeBatch()), version)
      expect(outcomes(answer), `Produce v${version}`).toEqual(['0 NONE'])
    }
    const end = 1 + last('Produce') - apis.Produce.versions.first
    for (let version = apis.Fetch.versions.first; version <= last('Fetch'); version++) {
      const names = version >= 13 ? { topicId } : { name: TOPIC }
      const answer = await call(client, 'Fetch', fetchRequest(names), version)
      expect(fetched(answer), `Fetch v${version}`).toMatchObject({ errorCode: 0, highWatermark: end })
    }
    expect(forwardedBy(cluster, 3)).toBe(end + 1 + last('Fetch') - apis.Fetch.versions.first)
  })

  it('is begun no fetch session for, since the leader knows nothing of its connection', async () => {
    const { topicId, of, call } = await stage(OFF)
    const begin = fetchRequest({ topicId }, { sessionEpoch: 0 })
    expect((await call(await of(1), 'Fetch', begin)).sessionId).toBeGreaterThan(0)
    expect(await call(await of(2), 'Fetch', begin)).toMatchObject({ errorCode: 0, sessionId: 0 })
    const next = fetchRequest({ topicId }, { sessionId: 5, sessionEpoch: 1 })
    const answer = await call(await of(2), 'Fetch', next)
    expect(nameOf(answer.errorCode)).toBe('FETCH_SESSION_ID_NOT_FOUND')
  })

  it('is served what concerns one broker by that broker: its settings and its directories', async () => {
    const { of, call } = await stage(OFF)
    const client = await of(2)

    const configs = await call(client, 'DescribeConfigs', {
      resources: [{ resourceType: 4, resourceName: '3', configurationKeys: ['node.id'] }],
    })
    const own = await call(client, 'DescribeLogDirs', { topics: null, brokerId: 2 })
    const dirs = await call(client, 'DescribeLogDirs', { topics: null, brokerId: 1 })
    const nobodys = await call(client, 'DescribeLogDirs', { topics: null, brokerId: 9 })

    expect(configs.results[0]!.configs).toMatchObject([{ name: 'node.id', value: '3' }])
    expect(own.errorCode).toBe(0)
    expect(dirs).toMatchObject({ errorCode: 0, results: [{ errorCode: 0 }] })
    expect(nameOf(nobodys.errorCode)).toBe('BROKER_NOT_AVAILABLE')
  })

  it('writes with acks=0, too, and hears of a failure by the end of its connection', async () => {
    const { cluster, topicId, of, call } = await stage(OFF)
    const client = await of(2)

    client.tell('Produce', last('Produce'), produceRequest({ topicId }, makeBatch(), { acks: 0 }))
    const answer = await call(client, 'Produce', produceRequest({ topicId }, makeBatch()))
    const broken = makeBatch()
    broken[30]! ^= 1
    client.tell('Produce', last('Produce'), produceRequest({ topicId }, broken, { acks: 0 }))

    expect(answer.responses[0]!.partitionResponses[0]!.baseOffset).toBe(1)
    await cluster.run(client.closed)
    expect(client.unreadCount).toBe(0)
  })

  it('is told who leads what when a request concerns several brokers: it goes to the one that leads most of it', async () => {
    const { cluster, topicId, of, call } = await stage()
    const client = await of(1)
    const mixed = (id: string, indexes: readonly number[]): RequestInputOf<'Produce'> => ({
      ...{ transactionalId: null, acks: -1, timeoutMs: 5000 },
      topicData: [{ topicId: id, partitionData: indexes.map((index) => ({ index, records: makeBatch() })) }],
    })

    const even = await call(client, 'Produce', mixed(topicId, [1, 2, 0]))
    await cluster.createTopic('pair', { assignments: [[2, 1], [2, 1], [1, 2]] }) // prettier-ignore
    const pairId = cluster.image.topicsByName.get('pair')!.id
    const most = await call(client, 'Produce', mixed(pairId, [2, 0, 1]))

    expect(outcomes(even)).toEqual(['1 NOT_LEADER_OR_FOLLOWER', '2 NOT_LEADER_OR_FOLLOWER', '0 NONE'])
    expect(outcomes(most)).toEqual(['2 NOT_LEADER_OR_FOLLOWER', '0 NONE', '1 NONE'])
    const [hinted] = most.responses[0]!.partitionResponses
    expect(hinted!.currentLeader).toMatchObject({ leaderId: 1 })
    expect(most.nodeEndpoints).toEqual([{ nodeId: 1, ...GATEWAY, rack: null }])
  })

  it('over TCP is told to go to the leader, at the leader’s own address', async () => {
    const { cluster, topicId } = await stage()
    const answer = await cluster.call(
      cluster.host(2),
      'Produce',
      last('Produce'),
      produceRequest({ topicId }, makeBatch()),
    )
    expect(outcomes(answer)).toEqual(['0 NOT_LEADER_OR_FOLLOWER'])
    expect(answer.nodeEndpoints).toEqual([{ nodeId: 1, host: 'b1', port: PORT, rack: null }])
    expect(forwardedBy(cluster, 2)).toBe(0)
  })
})

describe('websocket.advertised.address', () => {
  it('is what WebSocket clients are told for every broker, and nobody else', async () => {
    const { cluster, of, call } = await stage()
    const client = await of(2)
    const tcp = await cluster.rawClient(cluster.host(2))
    const everywhere = [1, 2, 3].map((id) => [id, GATEWAY.host, GATEWAY.port])
    const own = [1, 2, 3].map((id) => [id, `b${id}`, PORT])

    const told = async (from: RawClient): Promise<unknown[]> => {
      const metadata = await call(from, 'Metadata', { topics: [] })
      const described = await call(from, 'DescribeCluster', {
        endpointType: 1,
        includeClusterAuthorizedOperations: false,
      })
      return [
        metadata.brokers.map(({ nodeId, host, port }) => [nodeId, host, port]),
        described.brokers.map(({ brokerId, host, port }) => [brokerId, host, port]),
      ]
    }

    expect(await told(client)).toEqual([everywhere, everywhere])
    expect(await told(tcp)).toEqual([own, own])
  })

  it('lets a consumer that names its rack read from the replica it came to, and sends it nowhere', async () => {
    const { cluster, topicId, of, call } = await stage()
    for (const host of [...cluster.hosts]) {
      await cluster.restart(host, 'close', { 'broker.rack': `r${host.id}` })
      await cluster.untilWhole()
    }
    const producer = await of(1)
    await cluster.run(() => cluster.leader(TOPIC) !== null)
    const leader = cluster.leader(TOPIC)!
    await call(producer, 'Produce', produceRequest({ topicId }, makeBatch()))
    await cluster.pass(1000)
    const count = forwardedBy(cluster, 2) + forwardedBy(cluster, 3)
    for (const host of cluster.hosts) {
      // It names the rack of another broker than the one it comes to.
      const request = { ...fetchRequest({ topicId }), rackId: `r${(host.id % 3) + 1}` }
      const answer = fetched(await call(await of(host.id), 'Fetch', request))
      expect(answer).toMatchObject({ errorCode: 0, preferredReadReplica: -1, highWatermark: 1 })
      expect(answer.records!.length, `by ${host.name}, led by ${leader.name}`).toBeGreaterThan(0)
    }
    expect(forwardedBy(cluster, 2) + forwardedBy(cluster, 3)).toBe(count)
  })
})

describe('What stands elsewhere for one client', () => {
  it('holds up no other, and no other connection of that client, however many there are', async () => {
    const { cluster, topicId, of, call } = await stage(OFF)
    const { simulation } = cluster
    const readers: RawClient[] = []
    for (let count = 0; count < 300; count++) readers.push(await of(2, 'page'))
    const startMs = simulation.nowMs
    const answers = readers.map(async (reader) => {
      const request = fetchRequest({ topicId }, { maxWaitMs: 20_000 })
      const answer = await reader.call('Fetch', last('Fetch'), request)
      return { atMs: simulation.nowMs, bytes: fetched(answer).records!.length }
    })
    await cluster.pass(2000)

    const producer = await of(2, 'page')
    await call(producer, 'ListOffsets', {
      replicaId: -1,
      topics: [{ name: TOPIC, partitions: [{ partitionIndex: 0, timestamp: -1 }] }],
    })
    const askedMs = simulation.nowMs - startMs - 2000
    await call(producer, 'Produce', produceRequest({ topicId }, makeBatch()))
    const producedMs = simulation.nowMs
    const all = await cluster.run(Promise.all(answers))

    expect(askedMs).toBeLessThan(200)
    expect(all.every(({ bytes }) => bytes > 0)).toBe(true)
    expect(Math.max(...all.map(({ atMs }) => atMs)) - producedMs).toBeLessThan(50)
  })

  it('is answered when its time is up, not when that of another is', async () => {
    const { cluster, topicId, of } = await stage(OFF)
    const { simulation } = cluster
    const waits: Promise<number>[] = []
    // The longest first.
    for (let count = 300; count > 0; count--) {
      const reader = await of(3, 'page')
      const startMs = simulation.nowMs
      const request = fetchRequest({ topicId }, { maxWaitMs: 10 * count })
      const answer = reader.call('Fetch', last('Fetch'), request)
      waits.push(answer.then(() => simulation.nowMs - startMs - 10 * count))
    }
    const late = await cluster.run(Promise.all(waits))
    // Long waits end together, a little early.
    expect(Math.min(...late)).toBeGreaterThan(-50)
    expect(Math.max(...late)).toBeLessThan(100)
  })

  it('is answered at once by a broker that stops', async () => {
    const { cluster, topicId, of } = await stage(OFF)
    const client = await of(2)
    const answer = client.call('Fetch', last('Fetch'), fetchRequest({ topicId }, { maxWaitMs: 20_000 }))
    await cluster.pass(1000)
    const startMs = cluster.simulation.nowMs
    void cluster.end(cluster.host(2), 'close')
    expect(nameOf(fetched(await cluster.run(answer)).errorCode)).toBe('NOT_LEADER_OR_FOLLOWER')
    expect(cluster.simulation.nowMs - startMs).toBeLessThan(1500)
  })
})

describe('When the leader does not answer', () => {
  it('a write that may have got there is REQUEST_TIMED_OUT, one that has not is NOT_LEADER_OR_FOLLOWER', async () => {
    const { cluster, topicId, of, call } = await stage(OFF)
    const client = await of(2)
    const { network } = cluster.simulation
    await call(client, 'Produce', produceRequest({ topicId }, makeBatch()))
    // The leader has it and cannot acknowledge it; then it dies.
    for (const name of ['b2', 'b3']) network.clog(name, 'b1', 100_000)
    const answer = client.call('Produce', last('Produce'), produceRequest({ topicId }, makeBatch()))
    await cluster.pass(100)
    network.heal()
    cluster.kill(cluster.host(1), 'crash')
    const sent = outcomes(await cluster.run(answer))
    const unsent = outcomes(await call(client, 'Produce', produceRequest({ topicId }, makeBatch())))
    expect([sent, unsent]).toEqual([['0 REQUEST_TIMED_OUT'], ['0 NOT_LEADER_OR_FOLLOWER']])

    await cluster.run(() => ![null, 1].includes(cluster.leader(TOPIC)?.id ?? null))
    await cluster.pass(500)
    expect(outcomes(await call(client, 'Produce', produceRequest({ topicId }, makeBatch())))).toEqual([
      '0 NONE',
    ])
  })

  it('a reader is told NOT_LEADER_OR_FOLLOWER, and a writer that wants no answer loses its connection', async () => {
    const { cluster, topicId, of, call } = await stage(OFF)
    const client = await of(2)
    cluster.kill(cluster.host(1), 'crash')
    const read = fetched(await call(client, 'Fetch', fetchRequest({ topicId })))
    expect(nameOf(read.errorCode)).toBe('NOT_LEADER_OR_FOLLOWER')
    client.tell('Produce', last('Produce'), produceRequest({ topicId }, makeBatch(), { acks: 0 }))
    await cluster.run(client.closed)
  })

  it('what follows a write that failed does not get there before it', async () => {
    const { cluster, topicId, of, call } = await stage(OFF)
    const client = await of(2)
    const send = (baseSequence: number) =>
      call(
        client,
        'Produce',
        produceRequest({ topicId }, makeBatch({ producerId: 77, producerEpoch: 0, baseSequence })),
      )
    cluster.kill(cluster.host(1), 'crash')
    const first = outcomes(await send(0))
    await cluster.run(() => ![null, 1].includes(cluster.leader(TOPIC)?.id ?? null))
    await cluster.pass(500)

    // The new leader has never heard of the producer, and would take what comes.
    const overtaking = outcomes(await send(1))
    const again = outcomes(await send(0))
    const next = outcomes(await send(1))

    expect([first, overtaking, again, next]).toEqual([
      ['0 NOT_LEADER_OR_FOLLOWER'],
      ['0 NOT_LEADER_OR_FOLLOWER'],
      ['0 NONE'],
      ['0 NONE'],
    ])
  })
})

/** A node with the secret, which may say what brokers never would. */
function insider(cluster: SimCluster): Peers {
  const env: Env = cluster.simulation.env('b4')
  return new Peers(env, {
    ...{ clusterId: CLUSTER_ID, nodeId: 4, directoryId: 'disk1of4xxxxxxxxxxxxxA' },
    secret: 'what the nodes of it know',
    addressOf: (id) => `ws://b${id}:${PORT}/`,
  })
}

async function forward(
  { cluster }: Stage,
  peers: Peers,
  toId: number,
  frame: readonly Uint8Array[],
): Promise<ResponseOf<'Forward'>> {
  const lease = await cluster.run(peers.forwards.acquire(toId, 'brief', new AbortController().signal))
  const body = { listenerName: 'any', answerBytesMax: 1_000_000, request: frame }
  const answer = await cluster.run(lease.channel.call('Forward', body, { timeoutMs: 5000 }))
  lease.release()
  return answer
}

describe('X4: what a broker passes on', () => {
  it('goes no further: a broker that does not lead says so', async () => {
    const on = await stage()
    const { cluster, topicId } = on
    const version = last('Produce')
    const frame = encodeRequest('Produce', version, 7, 'c', produceRequest({ topicId }, makeBatch()))
    const { answer } = await forward(on, insider(cluster), 2, frame)
    const { correlationId, body } = decodeResponse('Produce', version, answer!)
    expect(correlationId).toBe(7)
    expect(outcomes(body)).toEqual(['0 NOT_LEADER_OR_FOLLOWER'])
    expect(body.nodeEndpoints).toEqual([{ nodeId: 1, ...GATEWAY, rack: null }])
    expect(forwardedBy(cluster, 2)).toBe(0)
  })

  it('has the rights of a client: nothing that is for brokers, and nothing that a broker answers by itself', async () => {
    const on = await stage()
    const peers = insider(on.cluster)
    const heartbeat = encodeRequest('BrokerHeartbeat', last('BrokerHeartbeat'), 1, 'c', {
      ...{ brokerId: 2, brokerEpoch: 0, currentMetadataOffset: 0, wantFence: false, wantShutDown: true },
    })
    const inner = encodeRequest('Metadata', last('Metadata'), 1, 'c', { topics: null })
    const nested = encodeRequest('Forward', 0, 1, 'c', {
      ...{ listenerName: 'any', answerBytesMax: 1, request: inner },
    })
    for (const frame of [heartbeat, inner, nested, [Uint8Array.of(0, 0, 0, 13, 1)]]) {
      const answer = await forward(on, peers, 1, frame)
      expect(answer.answer).toBeNull()
      expect(answer.closeReason).toMatch(/^(Expected a request that brokers pass on|Request does not decode)/)
    }
  })

  it('is not a replica’s, whatever it says of itself: it sees nothing above the high watermark', async () => {
    const { cluster, topicId, of, call } = await stage(OFF)
    const { network } = cluster.simulation
    const client = await of(2)
    await call(client, 'Produce', produceRequest({ topicId }, makeBatch()))
    const writer = await of(1)
    // One of those in sync does not tell that it has it.
    network.clog('b3', 'b1', 500)
    const written = writer.call(
      'Produce',
      last('Produce'),
      produceRequest({ topicId }, makeBatch(), { acks: 1 }),
    )
    await cluster.run(written)
    const request = {
      ...fetchRequest({ topicId }, { offset: 1 }),
      replicaState: { replicaId: 3, replicaEpoch: 1 },
    }
    const reading = client.call('Fetch', last('Fetch'), request)
    const answer = fetched(await cluster.run(reading))
    expect([answer.highWatermark, answer.records!.length]).toEqual([1, 0])
  })

  it('cannot be had from a client: Forward is unserved, and no client speaks for a broker', async () => {
    const { cluster, of } = await stage()
    const client = await of(1)
    client.tell('Forward', 0, { listenerName: 'any', answerBytesMax: 1, request: new Uint8Array(20) })
    await cluster.run(client.closed)
  })
})
