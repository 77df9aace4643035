/** Produce on a whole broker, in every version; see docs/faults.md TX-1 to TX-3, X24. */
import { beforeAll, describe, expect, it } from 'vitest'
import { loadCodec } from '../../../src/records/compression/codec-set.ts'
import type { Codec } from '../../../src/records/compression/codec.ts'
import { versionsOf } from '../../support/raw-client.ts'
import { fetchRequest, forge, makeBatch, produceRequest, START_MS, valuesOf } from '../support/batches.ts'
import type { BatchOptions } from '../support/batches.ts'
import { nameOf, SimBroker } from '../support/sim-broker.ts'

const IDS_SINCE = 13
const DAY_MS = 86_400_000
let host: SimBroker
let zstd: Codec
let topicCount = 0
beforeAll(async () => {
  host = await SimBroker.start({ settings: { 'num.partitions': '1' } })
  zstd = await loadCodec('zstd')
})

interface Topic {
  readonly name: string
  readonly topicId: string
}

async function makeTopic(partitions = 1, configs: Record<string, string> = {}): Promise<Topic> {
  const name = `produce-${++topicCount}`
  return { name, topicId: await host.createTopic(name, partitions, configs) }
}

/** The topic as a version names it. */
function named(topic: Topic, version: number): { name?: string; topicId?: string } {
  return version >= IDS_SINCE ? { topicId: topic.topicId } : { name: topic.name }
}

async function produce(
  topic: Topic,
  records: Uint8Array | null,
  options: { version?: number; acks?: number; partition?: number; transactionalId?: string } = {},
) {
  const { version = 9, partition = 0, ...rest } = options
  const where = { ...named(topic, version), partition }
  const { responses } = await host.call('Produce', version, produceRequest(where, records, rest))
  return responses[0]!.partitionResponses[0]!
}

async function read(topic: Topic): Promise<{ offset: number; value: string }[]> {
  const { responses } = await host.call('Fetch', 12, fetchRequest({ name: topic.name }))
  return valuesOf(responses[0]!.partitions[0]!.records)
}

async function refusal(batch: Uint8Array | null, configs: Record<string, string> = {}, version = 9) {
  const topic = await makeTopic(1, configs)
  const answer = await produce(topic, batch, { version })
  expect(answer.baseOffset).toBe(-1)
  expect(answer.logAppendTimeMs).toBe(-1)
  expect(await read(topic)).toEqual([])
  return nameOf(answer.errorCode)
}

describe.each(versionsOf('Produce'))('Produce v%i', (version) => {
  it.each([1, -1])('acks=%i appends and answers the base offset', async (acks) => {
    const topic = await makeTopic()
    const first = await produce(topic, makeBatch({ values: ['a', 'b'] }), { version, acks })
    const second = await produce(topic, makeBatch({ values: ['c'] }), { version, acks })
    expect([first, second].map((one) => [nameOf(one.errorCode), one.index, one.baseOffset])).toEqual([
      ['NONE', 0, 0],
      ['NONE', 0, 2],
    ])
    expect(first.logStartOffset).toBe(version >= 5 ? 0 : -1)
    expect(first.logAppendTimeMs).toBe(-1)
    expect(await read(topic)).toEqual([
      { offset: 0, value: 'a' },
      { offset: 1, value: 'b' },
      { offset: 2, value: 'c' },
    ])
  })

  it('acks=0 appends and answers nothing: the next answer is that of the next request', async () => {
    const topic = await makeTopic()
    const client = await host.connect()
    client.tell('Produce', version, produceRequest(named(topic, version), makeBatch(), { acks: 0 }))
    const { brokers } = await host.run(client.call('Metadata', 1, { topics: [] }))
    expect(brokers).toHaveLength(1)
    expect(await read(topic)).toEqual([{ offset: 0, value: 'value' }])
  })

  it('acks=0 that fails closes the connection', async () => {
    const topic = await makeTopic()
    const client = await host.connect()
    const where = { ...named(topic, version), partition: 7 }
    client.tell('Produce', version, produceRequest(where, makeBatch(), { acks: 0 }))
    await host.run(client.closed)
  })

  it('acks of another number is refused', async () => {
    const topic = await makeTopic()
    for (const acks of [2, -2, 32767]) {
      const answer = await produce(topic, makeBatch(), { version, acks })
      expect(nameOf(answer.errorCode)).toBe('INVALID_REQUIRED_ACKS')
      if (version >= 8) expect(answer.errorMessage).toContain(String(acks))
    }
    expect(await read(topic)).toEqual([])
  })

  it('an unknown topic and an unknown partition are told so', async () => {
    const topic = await makeTopic()
    for (const partition of [1, -1, 2 ** 31 - 1]) {
      const answer = await produce(topic, makeBatch(), { version, partition })
      expect([nameOf(answer.errorCode), answer.index]).toEqual(['UNKNOWN_TOPIC_OR_PARTITION', partition])
    }
    const nowhere = { name: 'nowhere', topicId: 'bm8tc3VjaC10b3BpYy1pZA' }
    const missing = await produce(nowhere, makeBatch(), { version })
    expect(nameOf(missing.errorCode)).toBe(
      version >= IDS_SINCE ? 'UNKNOWN_TOPIC_ID' : 'UNKNOWN_TOPIC_OR_PARTITION',
    )
  })

  it('a transactional id is refused', async () => {
    const topic = await makeTopic()
    const answer = await produce(topic, makeBatch(), { version, transactionalId: 'tx' })
    expect(nameOf(answer.errorCode)).toBe('INVALID_TXN_STATE')
  })

  it('zstd is taken from version 7 on', async () => {
    const topic = await makeTopic()
    const batch = makeBatch({ values: ['same '.repeat(50)], codec: zstd })
    const answer = await produce(topic, batch, { version })
    expect(nameOf(answer.errorCode)).toBe(version >= 7 ? 'NONE' : 'UNSUPPORTED_COMPRESSION_TYPE')
  })

  it('a topic that stamps on append answers the stamp', async () => {
    const topic = await makeTopic(1, { 'message.timestamp.type': 'LogAppendTime' })
    const answer = await produce(topic, makeBatch({ timestampMs: 5 }), { version })
    expect(nameOf(answer.errorCode)).toBe('NONE')
    expect(answer.logAppendTimeMs).toBeGreaterThanOrEqual(START_MS)
    const { topics } = await host.call('ListOffsets', 7, {
      replicaId: -1,
      topics: [{ name: topic.name, partitions: [{ partitionIndex: 0, timestamp: -3 }] }],
    })
    expect(topics[0]!.partitions[0]!.timestamp).toBe(answer.logAppendTimeMs)
  })
})

describe('Produce', () => {
  it('X28: a topic id of zeros names no topic', async () => {
    const answer = await host.call('Produce', 13, produceRequest({}, makeBatch()))
    expect(nameOf(answer.responses[0]!.partitionResponses[0]!.errorCode)).toBe('UNKNOWN_TOPIC_ID')
  })

  it('answers every partition of every topic in the order of the request, each on its own', async () => {
    const [a, b] = [await makeTopic(3), await makeTopic()]
    const request = {
      transactionalId: null,
      acks: -1,
      timeoutMs: 1000,
      topicData: [
        {
          name: a.name,
          partitionData: [
            { index: 2, records: makeBatch({ values: ['a2'] }) },
            { index: 9, records: makeBatch() },
            { index: 0, records: makeBatch({ values: ['a0'] }) },
          ],
        },
        { name: b.name, partitionData: [{ index: 0, records: new Uint8Array(5) }] },
        { name: 'nowhere', partitionData: [{ index: 0, records: makeBatch() }] },
      ],
    }
    const { responses } = await host.call('Produce', 11, request)
    expect(
      responses.map(({ name, partitionResponses }) => [
        name,
        partitionResponses.map(({ index, errorCode, baseOffset }) => [index, nameOf(errorCode), baseOffset]),
      ]),
    ).toEqual([
      [
        a.name,
        [
          [2, 'NONE', 0],
          [9, 'UNKNOWN_TOPIC_OR_PARTITION', -1],
          [0, 'NONE', 0],
        ],
      ],
      [b.name, [[0, 'CORRUPT_MESSAGE', -1]]],
      ['nowhere', [[0, 'UNKNOWN_TOPIC_OR_PARTITION', -1]]],
    ])
  })

  it('a partition named twice in a request gets both batches, in order', async () => {
    const topic = await makeTopic()
    const partitionData = ['one', 'two'].map((value) => ({
      index: 0,
      records: makeBatch({ values: [value] }),
    }))
    const { responses } = await host.call('Produce', 9, {
      acks: 1,
      timeoutMs: 1000,
      topicData: [{ name: topic.name, partitionData }],
    })
    expect(responses[0]!.partitionResponses.map(({ baseOffset }) => baseOffset)).toEqual([0, 1])
    expect((await read(topic)).map(({ value }) => value)).toEqual(['one', 'two'])
  })

  it('a request without partitions is answered', async () => {
    const { responses } = await host.call('Produce', 9, { acks: -1, timeoutMs: 0, topicData: [] })
    expect(responses).toEqual([])
  })

  const idempotent = (baseSequence: number, options: BatchOptions = {}): Uint8Array =>
    makeBatch({ producerId: 77, producerEpoch: 0, baseSequence, values: [`s${baseSequence}`], ...options })

  it('TX-2: each of the last five batches sent again gets its old offset, the oldest last, too', async () => {
    const topic = await makeTopic()
    for (let sequence = 0; sequence < 6; sequence++) await produce(topic, idempotent(sequence))
    const again: number[] = []
    for (const sequence of [5, 3, 4, 2, 1])
      again.push((await produce(topic, idempotent(sequence))).baseOffset)
    expect(again).toEqual([5, 3, 4, 2, 1])
    expect(await read(topic)).toHaveLength(6)
    // The sixth from the end is not remembered: as in Kafka it then looks like a gap.
    expect(nameOf((await produce(topic, idempotent(0))).errorCode)).toBe('OUT_OF_ORDER_SEQUENCE_NUMBER')
  })

  it('a duplicate gets the stamp of its original on a topic that stamps on append', async () => {
    const topic = await makeTopic(1, { 'message.timestamp.type': 'LogAppendTime' })
    const first = await produce(topic, idempotent(0))
    await host.pass(1000)
    const again = await produce(topic, idempotent(0))
    expect(again).toEqual(first)
  })

  it('TX-3: pipelined copies of a batch are appended once', async () => {
    const topic = await makeTopic()
    const client = await host.connect()
    const request = () => produceRequest({ name: topic.name }, idempotent(0))
    const answers = await host.run(Promise.all([0, 1, 2].map(() => client.call('Produce', 9, request()))))
    const offsets = answers.map(({ responses }) => responses[0]!.partitionResponses[0]!.baseOffset)
    expect(offsets).toEqual([0, 0, 0])
    expect(await read(topic)).toHaveLength(1)
  })

  it('a gap in the sequence is refused, an old epoch fenced, a new epoch must begin at 0', async () => {
    const topic = await makeTopic()
    await produce(topic, idempotent(0))
    expect(nameOf((await produce(topic, idempotent(2))).errorCode)).toBe('OUT_OF_ORDER_SEQUENCE_NUMBER')
    const later = await produce(topic, idempotent(3, { producerEpoch: 1 }))
    expect(nameOf(later.errorCode)).toBe('OUT_OF_ORDER_SEQUENCE_NUMBER')
    expect(nameOf((await produce(topic, idempotent(0, { producerEpoch: 1 }))).errorCode)).toBe('NONE')
    expect(nameOf((await produce(topic, idempotent(1))).errorCode)).toBe('INVALID_PRODUCER_EPOCH')
  })

  it('a producer that the partition does not know may begin anywhere', async () => {
    const topic = await makeTopic()
    expect((await produce(topic, idempotent(1000))).baseOffset).toBe(0)
    expect((await produce(topic, idempotent(1001))).baseOffset).toBe(1)
  })

  it('ST-16: a sequence goes on at 0 after 2^31-1', async () => {
    const topic = await makeTopic()
    await produce(topic, idempotent(2 ** 31 - 2, { values: ['a', 'b'] }))
    expect((await produce(topic, idempotent(0))).baseOffset).toBe(2)
  })

  it('what is no sound batch is refused and not appended', async () => {
    expect(await refusal(null)).toBe('INVALID_RECORD')
    expect(await refusal(new Uint8Array(0))).toBe('CORRUPT_MESSAGE')
    expect(await refusal(makeBatch().subarray(0, 60))).toBe('CORRUPT_MESSAGE')
    const flipped = makeBatch()
    flipped[flipped.length - 2]! ^= 1
    expect(await refusal(flipped)).toBe('CORRUPT_MESSAGE')
    expect(await refusal(Buffer.concat([makeBatch(), makeBatch()]))).toBe('INVALID_RECORD')
  })

  it.each([0, 1])('magic %i is refused: message sets are gone since Kafka 4', async (magic) => {
    expect(await refusal(forge(makeBatch(), (view) => view.setInt8(16, magic)))).toBe('INVALID_RECORD')
  })

  it('X24: what a client forges in the header is assigned anew or refused', async () => {
    const topic = await makeTopic()
    const odd = forge(makeBatch({ values: ['x'] }), (view) => {
      view.setBigInt64(0, 999n)
      view.setInt32(12, 55)
    })
    expect((await produce(topic, odd)).baseOffset).toBe(0)
    expect((await read(topic))[0]).toEqual({ offset: 0, value: 'x' })
    const attributes = (bits: number) => forge(makeBatch(), (view) => view.setInt16(21, bits))
    expect(await refusal(attributes(0x20))).toBe('INVALID_RECORD') // control
    expect(await refusal(attributes(0x40))).toBe('INVALID_RECORD') // delete horizon
    expect(await refusal(attributes(0x08))).toBe('INVALID_TIMESTAMP') // claims append time
    expect(await refusal(attributes(0x07))).toBe('UNSUPPORTED_COMPRESSION_TYPE')
    expect(await refusal(forge(makeBatch(), (view) => view.setInt32(23, 4)))).toBe('INVALID_RECORD')
    expect(await refusal(forge(makeBatch(), (view) => view.setInt32(23, -1)))).toBe('INVALID_RECORD')
    expect(await refusal(forge(makeBatch(), (view) => view.setInt32(57, 2 ** 31 - 1)))).toBe('INVALID_RECORD')
    expect(await refusal(forge(makeBatch(), (view) => view.setBigInt64(35, 2n ** 63n - 1n)))).toBe(
      'INVALID_TIMESTAMP',
    )
    expect(await refusal(forge(makeBatch(), (view) => view.setBigInt64(43, 2n ** 63n - 1n)))).toBe(
      'INVALID_RECORD',
    )
    expect(await refusal(makeBatch({ producerId: 5, baseSequence: -1, producerEpoch: 0 }))).toBe(
      'INVALID_RECORD',
    )
  })

  it('TX-17: a transactional batch is refused, with a producer id and without', async () => {
    expect(
      await refusal(makeBatch({ producerId: 1, producerEpoch: 0, baseSequence: 0, isTransactional: true })),
    ).toBe('INVALID_TXN_STATE')
    expect(await refusal(makeBatch({ isTransactional: true }))).toBe('INVALID_RECORD')
  })

  it('max.message.bytes bounds the batch', async () => {
    const fits = makeBatch({ values: ['x'.repeat(1000)] })
    const topic = await makeTopic(1, { 'max.message.bytes': String(fits.length) })
    expect(nameOf((await produce(topic, fits)).errorCode)).toBe('NONE')
    const larger = makeBatch({ values: ['x'.repeat(1001)] })
    expect(nameOf((await produce(topic, larger)).errorCode)).toBe('MESSAGE_TOO_LARGE')
  })

  it('timestamps beyond the bounds of the topic are refused', async () => {
    const bounds = {
      'message.timestamp.before.max.ms': String(DAY_MS),
      'message.timestamp.after.max.ms': '60000',
    }
    expect(await refusal(makeBatch({ timestampMs: START_MS - 2 * DAY_MS }), bounds)).toBe('INVALID_TIMESTAMP')
    expect(await refusal(makeBatch({ timestampMs: START_MS + DAY_MS }), bounds)).toBe('INVALID_TIMESTAMP')
    const topic = await makeTopic(1, bounds)
    expect(nameOf((await produce(topic, makeBatch({ timestampMs: -1 }))).errorCode)).toBe('NONE')
  })

  it('a compacted topic wants keys', async () => {
    expect(await refusal(makeBatch(), { 'cleanup.policy': 'compact' })).toBe('INVALID_RECORD')
    const topic = await makeTopic(1, { 'cleanup.policy': 'compact' })
    expect(nameOf((await produce(topic, makeBatch({ key: 'k' }))).errorCode)).toBe('NONE')
  })

  it('is timed out when the disk does not answer, and the record may be there later', async () => {
    const topic = await makeTopic()
    host.node.disk.stall()
    const client = await host.connect()
    const startMs = host.simulation.nowMs
    const request = produceRequest({ name: topic.name }, makeBatch(), { timeoutMs: 500 })
    const { responses } = await host.run(client.call('Produce', 9, request))
    const answer = responses[0]!.partitionResponses[0]!
    expect([nameOf(answer.errorCode), answer.baseOffset]).toEqual(['REQUEST_TIMED_OUT', -1])
    expect(host.simulation.nowMs - startMs).toBeGreaterThanOrEqual(500)
    expect(host.simulation.nowMs - startMs).toBeLessThan(510)
    host.node.disk.unstall()
    await host.pass(100)
    expect(await read(topic)).toHaveLength(1)
  })
})
