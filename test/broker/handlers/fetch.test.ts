/** Fetch on a whole broker, in every version: what is read, what ends a wait, and which bounds hold (KIP-74, KIP-227). */
import { beforeAll, describe, expect, it } from 'vitest'
import { apis } from '../../../src/protocol/apis.ts'
import { loadCodec } from '../../../src/records/compression/codec-set.ts'
import type { RawClient } from '../../support/raw-client.ts'
import { versionsOf } from '../../support/raw-client.ts'
import { baseOffsetsOf, fetchRequest, makeBatch, produceRequest, valuesOf } from '../support/batches.ts'
import type { FetchOptions } from '../support/batches.ts'
import { nameOf, SimBroker } from '../support/sim-broker.ts'

const IDS_SINCE = 13
const NEWEST = apis.Fetch.versions.last
const LONG_WAIT_MS = 100_000
let host: SimBroker
let topicCount = 0
beforeAll(async () => {
  host = await SimBroker.start()
})

interface Topic {
  readonly name: string
  readonly topicId: string
}

async function makeTopic(partitions = 1, configs: Record<string, string> = {}): Promise<Topic> {
  const name = `fetch-${++topicCount}`
  return { name, topicId: await host.createTopic(name, partitions, configs) }
}

async function produce(topic: Topic, value: string, partition = 0): Promise<number> {
  const request = produceRequest({ name: topic.name, partition }, makeBatch({ values: [value] }))
  const { responses } = await host.call('Produce', 9, request)
  expect(responses[0]!.partitionResponses[0]!.errorCode).toBe(0)
  return responses[0]!.partitionResponses[0]!.baseOffset
}

/** The topic as a version names it. */
function named(topic: Topic, version: number): { name?: string; topicId?: string } {
  return version >= IDS_SINCE ? { topicId: topic.topicId } : { name: topic.name }
}

async function fetch(topic: Topic, options: FetchOptions & { version?: number } = {}) {
  const { version = NEWEST, ...rest } = options
  const body = await host.call('Fetch', version, fetchRequest(named(topic, version), rest))
  return body.responses[0]!.partitions[0]!
}

/** A fetch that waits, on a connection of its own. */
async function startFetch(topic: Topic, options: FetchOptions & { version?: number } = {}) {
  const { version = NEWEST, ...rest } = options
  const client: RawClient = await host.connect()
  const startMs = host.simulation.nowMs
  const request = fetchRequest(named(topic, version), { maxWaitMs: LONG_WAIT_MS, ...rest })
  let isAnswered = false
  const answer = client.call('Fetch', version, request).then((body) => {
    isAnswered = true
    return { ...body.responses[0]!.partitions[0]!, afterMs: host.simulation.nowMs - startMs }
  })
  answer.catch(() => undefined)
  await host.pass(100)
  return { client, answer, isAnswered: () => isAnswered }
}

describe.each(versionsOf('Fetch'))('Fetch v%i', (version) => {
  it('reads whole batches from the one that holds the offset', async () => {
    const topic = await makeTopic()
    const batch = makeBatch({ values: ['a', 'b', 'c'] })
    await host.call('Produce', 9, produceRequest({ name: topic.name }, batch))
    await produce(topic, 'd')
    const found = await fetch(topic, { version, offset: 1 })
    expect(nameOf(found.errorCode)).toBe('NONE')
    expect(valuesOf(found.records).map(({ offset }) => offset)).toEqual([0, 1, 2, 3])
    expect([found.highWatermark, found.lastStableOffset]).toEqual([4, 4])
    expect(found.logStartOffset).toBe(version >= 5 ? 0 : -1)
    expect(found.preferredReadReplica).toBe(-1)
    const atEnd = await fetch(topic, { version, offset: 4 })
    expect([nameOf(atEnd.errorCode), valuesOf(atEnd.records)]).toEqual(['NONE', []])
  })

  it('tells errors of every kind, at once', async () => {
    const topic = await makeTopic()
    const startMs = host.simulation.nowMs
    const errorOf = async (options: FetchOptions, which: Topic = topic) =>
      nameOf((await fetch(which, { version, maxWaitMs: LONG_WAIT_MS, ...options })).errorCode)
    expect(await errorOf({ offset: 1 })).toBe('OFFSET_OUT_OF_RANGE')
    expect(await errorOf({ offset: -1 })).toBe('OFFSET_OUT_OF_RANGE')
    expect(await errorOf({ partition: 1 })).toBe('UNKNOWN_TOPIC_OR_PARTITION')
    expect(await errorOf({ partition: -1 })).toBe('UNKNOWN_TOPIC_OR_PARTITION')
    expect(await errorOf({}, { name: 'nowhere', topicId: 'bm8tc3VjaC10b3BpYy1pZA' })).toBe(
      version >= IDS_SINCE ? 'UNKNOWN_TOPIC_ID' : 'UNKNOWN_TOPIC_OR_PARTITION',
    )
    if (version >= 9) {
      expect(await errorOf({ currentLeaderEpoch: 99 })).toBe('UNKNOWN_LEADER_EPOCH')
      await host.restart()
      expect(await errorOf({ currentLeaderEpoch: 0 })).toBe('FENCED_LEADER_EPOCH')
    }
    expect(host.simulation.nowMs - startMs).toBeLessThan(LONG_WAIT_MS)
  })

  it('is woken by an append', async () => {
    const topic = await makeTopic()
    const waiting = await startFetch(topic, { version })
    expect(waiting.isAnswered()).toBe(false)
    await produce(topic, 'news')
    const found = await host.run(waiting.answer)
    expect(valuesOf(found.records)).toEqual([{ offset: 0, value: 'news' }])
    expect(found.afterMs).toBeLessThan(150)
  })

  it('is answered empty at its deadline', async () => {
    const topic = await makeTopic()
    const { answer } = await startFetch(topic, { version, maxWaitMs: 499 })
    const found = await host.run(answer)
    expect([nameOf(found.errorCode), baseOffsetsOf(found.records)]).toEqual(['NONE', []])
    expect(found.afterMs).toBeGreaterThanOrEqual(499)
    expect(found.afterMs).toBeLessThan(501)
  })
})

describe('Fetch', () => {
  it('ends long waits that began apart together, each a little early', async () => {
    const topic = await makeTopic()
    const ends: number[] = []
    const waits: number[] = []
    const waiting = []
    for (let index = 0; index < 20; index++) {
      const client = await host.connect()
      const startMs = host.simulation.nowMs
      const request = fetchRequest(named(topic, NEWEST), { maxWaitMs: 2000 })
      waiting.push(
        client.call('Fetch', NEWEST, request).then(() => {
          ends.push(Math.round(host.simulation.nowMs / 10))
          waits.push(host.simulation.nowMs - startMs)
        }),
      )
      await host.pass(5)
    }
    await host.run(Promise.all(waiting))
    expect(new Set(ends).size).toBeLessThanOrEqual(3)
    expect(Math.min(...waits)).toBeGreaterThan(1950)
    expect(Math.max(...waits)).toBeLessThan(2002)
  })

  it('waits until minBytes are there', async () => {
    const topic = await makeTopic()
    const size = makeBatch({ values: ['x'] }).length
    const waiting = await startFetch(topic, { minBytes: 2 * size })
    await produce(topic, 'x')
    await host.pass(1000)
    expect(waiting.isAnswered()).toBe(false)
    await produce(topic, 'y')
    expect(valuesOf((await host.run(waiting.answer)).records)).toHaveLength(2)
  })

  it('with minBytes 0 answers at once', async () => {
    const topic = await makeTopic()
    const { answer, isAnswered } = await startFetch(topic, { minBytes: 0 })
    expect(isAnswered()).toBe(true)
    expect((await answer).errorCode).toBe(0)
  })

  it('minBytes above maxBytes does not make it wait for more than it may give', async () => {
    const topic = await makeTopic()
    await produce(topic, 'x')
    const waiting = await startFetch(topic, { minBytes: 1000, maxBytes: 10 })
    expect(waiting.isAnswered()).toBe(true)
    expect(valuesOf((await waiting.answer).records)).toHaveLength(1)
  })

  it('RP-21: is woken when its topic is deleted, and told so', async () => {
    const topic = await makeTopic()
    const byId = await startFetch(topic)
    const byName = await startFetch(topic, { version: 12 })
    await host.call('DeleteTopics', 1, { topicNames: [topic.name], timeoutMs: 1000 })
    expect(nameOf((await host.run(byId.answer)).errorCode)).toBe('UNKNOWN_TOPIC_ID')
    expect(nameOf((await host.run(byName.answer)).errorCode)).toBe('UNKNOWN_TOPIC_OR_PARTITION')
  })

  it('RP-21: a waiting fetch never sees the records of a new topic of the same name under the old id', async () => {
    const topic = await makeTopic()
    const old = await startFetch(topic)
    const client = await host.connect()
    const [, created] = await host.run(
      Promise.all([
        client.call('DeleteTopics', 1, { topicNames: [topic.name], timeoutMs: 1000 }),
        client.call('CreateTopics', 7, {
          topics: [
            { name: topic.name, numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] },
          ],
        }),
        client.call('Produce', 9, produceRequest({ name: topic.name }, makeBatch({ values: ['new'] }))),
      ]),
    )
    const { topicId } = created.topics[0]!
    expect(topicId).not.toBe(topic.topicId)
    expect(nameOf((await host.run(old.answer)).errorCode)).toBe('UNKNOWN_TOPIC_ID')
    expect(nameOf((await fetch(topic)).errorCode)).toBe('UNKNOWN_TOPIC_ID')
    expect(valuesOf((await fetch({ ...topic, topicId })).records)).toEqual([{ offset: 0, value: 'new' }])
    const stale = produceRequest({ topicId: topic.topicId }, makeBatch())
    const { responses } = await host.call('Produce', 13, stale)
    expect(nameOf(responses[0]!.partitionResponses[0]!.errorCode)).toBe('UNKNOWN_TOPIC_ID')
  })

  it('is answered with what there is when the broker stops', async () => {
    const own = await SimBroker.start({ seed: 'stops' })
    await own.createTopic('t')
    const client = await own.connect()
    const request = fetchRequest({ name: 't' }, { maxWaitMs: LONG_WAIT_MS })
    const answer = client.call('Fetch', 12, request)
    await own.pass(100)
    const startMs = own.simulation.nowMs
    await own.run(own.broker.close())
    expect((await own.run(answer)).responses[0]!.partitions[0]!.errorCode).toBe(0)
    expect(own.simulation.nowMs - startMs).toBeLessThan(100)
    await own.run(client.closed)
  })

  it('leaves nothing waiting when its client goes away', async () => {
    const topic = await makeTopic()
    const waiting = await startFetch(topic)
    waiting.client.close()
    await host.pass(10)
    const eventCount = host.simulation.eventCount
    await host.pass(LONG_WAIT_MS)
    // Only the broker's periodic work goes on, no timer of the fetch.
    await produce(topic, 'later')
    expect(waiting.isAnswered()).toBe(false)
    expect(host.simulation.eventCount - eventCount).toBeLessThan(5000)
  })

  it('KIP-74: the first batch comes whole however small the bounds, later ones only if they fit', async () => {
    const topic = await makeTopic(3)
    for (const partition of [0, 1, 2]) {
      await produce(topic, `first-${partition}`, partition)
      await produce(topic, `second-${partition}`, partition)
    }
    const size = makeBatch({ values: ['first-0'] }).length
    const ask = async (order: number[], maxBytes: number, partitionMaxBytes: number) => {
      const partitions = order.map((partition) => ({ partition, fetchOffset: 0, partitionMaxBytes }))
      const request = { maxWaitMs: 0, minBytes: 1, maxBytes, topics: [{ topic: topic.name, partitions }] }
      const { responses } = await host.call('Fetch', 11, request)
      return responses[0]!.partitions.map(({ partitionIndex, records }) => [
        partitionIndex,
        baseOffsetsOf(records).length,
      ])
    }
    expect(await ask([1, 0, 2], 1, 1000)).toEqual([
      [1, 1],
      [0, 0],
      [2, 0],
    ])
    expect(await ask([2, 1, 0], 10_000, 1)).toEqual([
      [2, 1],
      [1, 0],
      [0, 0],
    ])
    expect(await ask([0, 1, 2], 10_000, size + 10)).toEqual([
      [0, 1],
      [1, 1],
      [2, 1],
    ])
    expect(await ask([0, 1, 2], 3 * size + 10, 10_000)).toEqual([
      [0, 2],
      [1, 1],
      [2, 0],
    ])
    expect(await ask([0, 1, 2], 0, 0)).toEqual([
      [0, 1],
      [1, 0],
      [2, 0],
    ])
    expect(await ask([0], -1, -1)).toEqual([[0, 1]])
  })

  it('an error of one partition does not keep the records of another back', async () => {
    const topic = await makeTopic()
    await produce(topic, 'x')
    const partitions = [5, 0].map((partition) => ({ partition, fetchOffset: 0, partitionMaxBytes: 1000 }))
    const { responses } = await host.call('Fetch', 11, {
      maxWaitMs: LONG_WAIT_MS,
      minBytes: 100_000,
      topics: [{ topic: topic.name, partitions }],
    })
    const [missing, found] = responses[0]!.partitions
    expect([nameOf(missing!.errorCode), nameOf(found!.errorCode)]).toEqual([
      'UNKNOWN_TOPIC_OR_PARTITION',
      'NONE',
    ])
    expect(valuesOf(found!.records)).toHaveLength(1)
  })

  it('out of range still tells the range', async () => {
    const topic = await makeTopic()
    await produce(topic, 'x')
    expect(await fetch(topic, { offset: 9 })).toMatchObject({ highWatermark: 1, logStartOffset: 0 })
  })

  it.each([1, 2 ** 31 - 1, -2])('KIP-227: epoch %i of no session is refused', async (sessionEpoch) => {
    const topic = await makeTopic()
    for (const sessionId of [0, 7]) {
      const request = fetchRequest({ name: topic.name }, { sessionId, sessionEpoch })
      const body = await host.call('Fetch', 12, request)
      expect([nameOf(body.errorCode), body.sessionId, body.responses]).toEqual([
        'FETCH_SESSION_ID_NOT_FOUND',
        0,
        [],
      ])
    }
  })

  it('KIP-227: a session remembers what is wanted, and answers what is new', async () => {
    const [quiet, busy] = [await makeTopic(), await makeTopic()]
    const none = { maxWaitMs: 0, minBytes: 1, maxBytes: 2 ** 20, rackId: '' }
    const want = (topic: Topic, fetchOffset: number) => ({
      topicId: topic.topicId,
      partitions: [{ partition: 0, fetchOffset, partitionMaxBytes: 2 ** 20 }],
    })
    const call = (sessionId: number, sessionEpoch: number, topics: readonly ReturnType<typeof want>[] = []) =>
      host.call('Fetch', NEWEST, { ...none, sessionId, sessionEpoch, topics, forgottenTopicsData: [] })
    const full = await call(0, 0, [want(quiet, 0), want(busy, 0)])
    expect([full.sessionId > 0, full.responses.length]).toEqual([true, 2])
    expect((await call(full.sessionId, 1)).responses).toEqual([])
    await produce(busy, 'x')
    const news = await call(full.sessionId, 2)
    expect(news.responses.map(({ topicId }) => topicId)).toEqual([busy.topicId])
    expect(valuesOf(news.responses[0]!.partitions[0]!.records)).toEqual([{ offset: 0, value: 'x' }])
    expect((await call(full.sessionId, 3, [want(busy, 1)])).responses).toEqual([])
    expect(nameOf((await call(full.sessionId, 3)).errorCode)).toBe('INVALID_FETCH_SESSION_EPOCH')
    const forgotten = { ...none, sessionId: full.sessionId, sessionEpoch: 4, topics: [] }
    const without = await host.call('Fetch', NEWEST, {
      ...forgotten,
      forgottenTopicsData: [{ topicId: busy.topicId, partitions: [0] }],
    })
    expect(without.responses).toEqual([])
    await produce(busy, 'y')
    expect((await call(full.sessionId, 5)).responses).toEqual([])
    expect((await call(full.sessionId, -1)).sessionId).toBe(0)
    expect(nameOf((await call(full.sessionId, 6)).errorCode)).toBe('FETCH_SESSION_ID_NOT_FOUND')
  })

  it('KIP-595: a reader whose last epoch ended earlier is told where', async () => {
    const topic = await makeTopic()
    await produce(topic, 'x')
    const { currentLeaderEpoch } = await epochOf(topic)
    const past = await fetch(topic, { offset: 1, lastFetchedEpoch: currentLeaderEpoch })
    expect(past.divergingEpoch).toEqual({ epoch: -1, endOffset: -1 })
    await host.restart()
    await produce(topic, 'y')
    const answer = await fetch(topic, { offset: 2, lastFetchedEpoch: currentLeaderEpoch })
    expect(answer.divergingEpoch).toEqual({ epoch: currentLeaderEpoch, endOffset: 1 })
    expect(valuesOf(answer.records)).toEqual([])
  })

  it('X4: a client that calls itself a replica reads as a consumer does, and moves nothing', async () => {
    const topic = await makeTopic()
    await produce(topic, 'x')
    host.node.disk.stall()
    const client = await host.connect()
    void client.call('Produce', 9, produceRequest({ name: topic.name }, makeBatch({ values: ['unsafe'] })))
    await host.pass(100)
    for (const version of [11, NEWEST]) {
      const request = { ...fetchRequest(named(topic, version), { offset: 0 }) }
      const asReplica =
        version < 15
          ? { ...request, replicaId: 1 }
          : { ...request, replicaState: { replicaId: 1, replicaEpoch: 5 } }
      const { responses } = await host.call('Fetch', version, asReplica)
      expect(responses[0]!.partitions[0]!.highWatermark).toBe(1)
      expect(valuesOf(responses[0]!.partitions[0]!.records)).toHaveLength(1)
    }
    host.node.disk.unstall()
    await host.pass(100)
  })

  it('zstd batches go to readers of version 10 and later only', async () => {
    const topic = await makeTopic()
    await produce(topic, 'plain')
    const batch = makeBatch({ values: ['same '.repeat(50)], codec: await loadCodec('zstd') })
    await host.call('Produce', 9, produceRequest({ name: topic.name }, batch))
    for (const version of versionsOf('Fetch')) {
      const first = await fetch(topic, { version })
      expect(baseOffsetsOf(first.records)).toEqual(version >= 10 ? [0, 1] : [0])
      const second = await fetch(topic, { version, offset: 1, maxWaitMs: LONG_WAIT_MS })
      expect(nameOf(second.errorCode)).toBe(version >= 10 ? 'NONE' : 'UNSUPPORTED_COMPRESSION_TYPE')
    }
  })

  it('reads what is only on disk, whole segments long', async () => {
    const cold = await SimBroker.start({ seed: 'cold', settings: { 'log.tail.cache.bytes': '0' } })
    await cold.createTopic('t', 1, { 'segment.bytes': '1048576', 'index.interval.bytes': '0' })
    for (let index = 0; index < 30; index++) {
      const batch = makeBatch({ values: [`${index}`.repeat(1000)] })
      await cold.call('Produce', 9, produceRequest({ name: 't' }, batch))
    }
    for (const offset of [0, 7, 29]) {
      const { responses } = await cold.call('Fetch', 12, fetchRequest({ name: 't' }, { offset }))
      const offsets = baseOffsetsOf(responses[0]!.partitions[0]!.records)
      expect(offsets).toEqual(Array.from({ length: 30 - offset }, (_, index) => offset + index))
    }
  })

  it('ST-10: a block that cannot be read is that partition’s error, and the answer comes at once', async () => {
    const cold = await SimBroker.start({ seed: 'eio', settings: { 'log.tail.cache.bytes': '0' } })
    await cold.createTopic('t', 2)
    for (const partition of [0, 1])
      await cold.call('Produce', 9, produceRequest({ name: 't', partition }, makeBatch()))
    await cold.restart()
    cold.node.disk.fail({ kind: 'read', path: (path) => path.includes('t-0/'), isSticky: true })
    for (const version of [5, 12]) {
      const partitions = [0, 1].map((partition) => ({ partition, fetchOffset: 0, partitionMaxBytes: 1000 }))
      const request = { maxWaitMs: LONG_WAIT_MS, minBytes: 1, topics: [{ topic: 't', partitions }] }
      const { responses } = await cold.call('Fetch', version, request)
      const [bad, good] = responses[0]!.partitions
      expect(nameOf(bad!.errorCode)).toBe(version < 6 ? 'NOT_LEADER_OR_FOLLOWER' : 'KAFKA_STORAGE_ERROR')
      expect(valuesOf(good!.records)).toHaveLength(1)
    }
  })
})

async function epochOf(topic: Topic): Promise<{ currentLeaderEpoch: number }> {
  const { topics } = await host.call('Metadata', 12, { topics: [{ name: topic.name }] })
  return { currentLeaderEpoch: topics[0]!.partitions[0]!.leaderEpoch }
}
