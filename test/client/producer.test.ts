import { describe, expect, it } from 'vitest'
import { PartitionQueue } from '../../src/client/partition-queue.ts'
import { ProducerBatch } from '../../src/client/producer-batch.ts'
import type { Producer } from '../../src/client/producer.ts'
import type { ProducerOptions } from '../../src/client/producer-options.ts'
import type { ErrorName } from '../../src/protocol/errors.ts'
import { BatchBuilder } from '../../src/records/batch-builder.ts'
import { decodeRecords } from '../../src/records/record-reader.ts'
import { CodecSet } from '../../src/records/compression/codec-set.ts'
import { decodeUtf8 } from '../../src/bytes/utf8.ts'
import type { RequestOf } from '../../src/protocol/apis.ts'
import { batchesOf, metadata, produced, ScriptedBroker } from './scripted-broker.ts'
import type { Reaction, Rules } from './scripted-broker.ts'

type Produce = RequestOf<'Produce'>

async function start(rules: Rules, options: ProducerOptions = {}, partitionCount = 1) {
  const broker = new ScriptedBroker(rules, partitionCount)
  await broker.listen()
  const client = broker.client({ requestTimeoutMs: 1_000 })
  const producer = client.producer(options)
  return { broker, client, producer }
}

const codecs = new CodecSet()
function valuesOf(request: Produce): string[] {
  return request.topicData.flatMap(({ partitionData }) =>
    partitionData.flatMap(({ records }) =>
      [...decodeRecords(records as Uint8Array, codecs)].map(({ value }) =>
        decodeUtf8(value!, 0, value!.length),
      ),
    ),
  )
}

const send = (producer: Producer, value: string) => producer.send({ topic: 't', value, partition: 0 })

/** Answers produce requests by a script of reactions, then with success. */
function script(...reactions: (ErrorName | 'silence' | 'close')[]) {
  let offset = 0
  return (request: Produce): Reaction<'Produce'> => {
    const reaction = reactions.shift() ?? 'NONE'
    if (reaction === 'silence' || reaction === 'close') return reaction
    const answer = produced(request, reaction, offset)
    if (reaction === 'NONE') offset += batchesOf(request)[0]!.recordCount
    return answer
  }
}

describe('Producer', () => {
  it('sends what one turn brings as one batch, and tells each record its own offset', async () => {
    const { broker, producer } = await start({ Produce: (request) => produced(request, 'NONE', 40) })
    const deliveries = await broker.settled(
      Promise.all(['a', 'b', 'c'].map((value) => send(producer, value))),
    )
    expect(deliveries.map(({ offset }) => offset)).toEqual([40, 41, 42])
    expect(broker.requestsOf('Produce').map(valuesOf)).toEqual([['a', 'b', 'c']])
  })

  it('gathers records while a batch of their partition is under way', async () => {
    const calls: (() => void)[] = []
    const { broker, producer } = await start({
      Produce: (request, { answer }) => {
        calls.push(() => answer(produced(request) as never))
        return 'silence'
      },
    })
    const first = send(producer, 'a')
    await broker.pass(100)
    const rest = ['b', 'c', 'd'].map((value) => send(producer, value))
    await broker.pass(100)
    expect(calls).toHaveLength(1)
    calls[0]!()
    await broker.settled(first)
    await broker.pass(100)
    calls[1]!()
    await broker.settled(Promise.all(rest))
    expect(broker.requestsOf('Produce').map(valuesOf)).toEqual([['a'], ['b', 'c', 'd']])
  })

  it('waits lingerMs for more, and not after flush', async () => {
    const { broker, producer } = await start({ Produce: (request) => produced(request) }, { lingerMs: 500 })
    void send(producer, 'a')
    await broker.pass(400)
    expect(broker.requestsOf('Produce')).toHaveLength(0)
    const flushed = producer.flush()
    await broker.settled(flushed, 50)
    expect(broker.requestsOf('Produce')).toHaveLength(1)
    const late = send(producer, 'b')
    await broker.pass(400)
    expect(broker.requestsOf('Produce')).toHaveLength(1)
    await broker.settled(late, 200)
  })

  it('S3: sends when lingerMs is over, wherever sums and differences of times round to', () => {
    // 63.42… + 5 is a time at which 5 ms have not passed, if it is by their difference.
    const createdAtMs = 63.42072088073625
    const batch = new ProducerBatch('t', 0, new BatchBuilder(), createdAtMs)
    const queue = new PartitionQueue('t', 0)
    queue.add(batch)
    const options = { nowMs: createdAtMs + 5, lingerMs: 5, isFlushing: false }
    expect(options.nowMs - createdAtMs).toBeLessThan(5)
    expect(queue.next(options, false)).toBe(batch)
    expect(queue.next({ ...options, nowMs: createdAtMs + 4.999 }, false)).toBeNull()
  })

  it('numbers batches without gaps', async () => {
    const { broker, producer } = await start({ Produce: script() })
    for (const value of ['a', 'b', 'c']) await broker.settled(send(producer, value))
    const headers = broker.requestsOf('Produce').flatMap(batchesOf)
    expect(headers.map(({ baseSequence }) => baseSequence)).toEqual([0, 1, 2])
    expect(headers.map(({ producerId, producerEpoch }) => [producerId, producerEpoch])).toEqual([
      [7, 0],
      [7, 0],
      [7, 0],
    ])
  })

  it.each([
    ['an error that passes', 'NOT_ENOUGH_REPLICAS'],
    ['a lost answer', 'silence'],
    ['a broken connection', 'close'],
    ['an error after the append', 'NOT_ENOUGH_REPLICAS_AFTER_APPEND'],
  ] as const)('sends the same bytes with the same numbers again after %s', async (_what, reaction) => {
    const { broker, producer } = await start({ Produce: script(reaction) })
    const { offset } = await broker.settled(send(producer, 'a'))
    expect(offset).toBe(0)
    const [first, second, ...more] = broker.requestsOf('Produce').map((request) => batchesOf(request)[0]!)
    expect(second).toEqual(first)
    expect(more).toEqual([])
  })

  it('retries batches of a partition in order, one at a time, before new ones', async () => {
    let isDown = true
    const { broker, producer } = await start(
      {
        Produce: (request, { index }) =>
          index < 5 && isDown ? 'silence' : produced(request, 'NONE', index * 10),
      },
      { batchBytesMax: 100 },
    )
    const deliveries = ['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((value) => send(producer, value.repeat(80)))
    await broker.pass(500)
    expect(broker.requestsOf('Produce')).toHaveLength(5) // full batches, up to the bound in flight
    isDown = false
    await broker.settled(Promise.all(deliveries))
    const sequences = broker.requestsOf('Produce').map((request) => batchesOf(request)[0]!.baseSequence)
    expect(sequences).toEqual([0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 5, 6])
  })

  it('takes a refused sequence behind a lost batch for what it is, and keeps the order', async () => {
    const log: number[] = []
    const { broker, producer } = await start(
      {
        Produce: (request, { index }) => {
          const { baseSequence } = batchesOf(request)[0]!
          if (index === 0) return produced(request, 'NOT_ENOUGH_REPLICAS')
          if (baseSequence !== log.length) return produced(request, 'OUT_OF_ORDER_SEQUENCE_NUMBER')
          log.push(baseSequence)
          return produced(request, 'NONE', baseSequence)
        },
      },
      { batchBytesMax: 100 },
    )
    const deliveries = ['a', 'b', 'c', 'd'].map((value) => send(producer, value.repeat(80)))
    const offsets = (await broker.settled(Promise.all(deliveries))).map(({ offset }) => offset)
    expect(offsets).toEqual([0, 1, 2, 3])
    expect(log).toEqual([0, 1, 2, 3])
  })

  it('starts over under a new epoch behind a batch that failed for good', async () => {
    const { broker, producer } = await start(
      {
        Produce: (request, { index }) => {
          if (index === 0) return produced(request, 'INVALID_RECORD')
          const { producerEpoch } = batchesOf(request)[0]!
          return producerEpoch === 0
            ? produced(request, 'OUT_OF_ORDER_SEQUENCE_NUMBER')
            : produced(request, 'NONE', index)
        },
      },
      { batchBytesMax: 100 },
    )
    const [bad, ...good] = ['a', 'b', 'c'].map((value) => send(producer, value.repeat(80)))
    await expect(broker.settled(bad!)).rejects.toMatchObject({ code: 'INVALID_RECORD', retriable: false })
    await broker.settled(Promise.all(good))
    const numbers = broker.requestsOf('Produce').map((request) => {
      const { producerEpoch, baseSequence } = batchesOf(request)[0]!
      return [producerEpoch, baseSequence]
    })
    expect(numbers).toEqual([
      [0, 0],
      [0, 1],
      [1, 0],
      [1, 1],
    ])
    expect(broker.requestsOf('InitProducerId')).toHaveLength(1)
  })

  it('fails a batch as unknown rather than write it twice, when its answer was lost and the broker forgot', async () => {
    const { broker, producer } = await start({ Produce: script('close', 'OUT_OF_ORDER_SEQUENCE_NUMBER') })
    await expect(broker.settled(send(producer, 'a'))).rejects.toMatchObject({
      code: 'CLIENT_DELIVERY_UNKNOWN',
    })
    expect(broker.requestsOf('Produce')).toHaveLength(2)
    await broker.settled(send(producer, 'b'))
    expect(batchesOf(broker.requestsOf('Produce')[2]!)[0]).toMatchObject({
      producerEpoch: 1,
      baseSequence: 0,
    })
  })

  it('asks once about a batch whose answer was lost behind one that failed for good', async () => {
    const { broker, producer } = await start(
      {
        Produce: (request, { index }) => {
          if (index < 2) return 'silence' // both batches, and the connection with them
          const { producerEpoch, baseSequence } = batchesOf(request)[0]!
          if (producerEpoch === 1) return produced(request)
          return produced(request, baseSequence === 0 ? 'INVALID_RECORD' : 'OUT_OF_ORDER_SEQUENCE_NUMBER')
        },
      },
      { batchBytesMax: 100 },
    )
    const sends = ['a', 'b', 'c'].map((value) => send(producer, value.repeat(80)))
    const outcomes = await broker.settled(Promise.allSettled(sends))
    expect(outcomes).toMatchObject([
      { reason: { code: 'INVALID_RECORD' } },
      { reason: { code: 'CLIENT_DELIVERY_UNKNOWN' } },
      { status: 'fulfilled' },
    ])
    expect(broker.requestsOf('Produce')).toHaveLength(5)
  })

  it('waits for a cluster that went away to look up a new topic', async () => {
    let isDown = false
    const { broker, producer } = await start({
      Produce: (request) => produced(request),
      Metadata: (request) => (isDown ? 'close' : metadata(request, 1)),
    })
    await broker.settled(send(producer, 'a'))
    isDown = true
    const late = producer.send({ topic: 'another', value: 'b' })
    await broker.pass(5_000)
    isDown = false
    await broker.settled(late)
  })

  it('writes a refused first attempt again under a new epoch, since it is certainly not in the log', async () => {
    const { broker, producer } = await start({ Produce: script('UNKNOWN_PRODUCER_ID') })
    await broker.settled(send(producer, 'a'))
    const headers = broker.requestsOf('Produce').map((request) => batchesOf(request)[0]!)
    expect(headers.map(({ producerEpoch, baseSequence }) => [producerEpoch, baseSequence])).toEqual([
      [0, 0],
      [1, 0],
    ])
  })

  it('asks for a new id when a broker knows a later epoch', async () => {
    const { broker, producer } = await start({
      Produce: script('INVALID_PRODUCER_EPOCH'),
      InitProducerId: (_request, { index }) => ({ errorCode: 0, producerId: 100 + index, producerEpoch: 0 }),
    })
    await broker.settled(send(producer, 'a'))
    const ids = broker.requestsOf('Produce').map((request) => batchesOf(request)[0]!.producerId)
    expect(ids).toEqual([100, 101])
  })

  it('counts a duplicate as delivered, at an unknown offset', async () => {
    const { broker, producer } = await start({ Produce: script('close', 'DUPLICATE_SEQUENCE_NUMBER') })
    await expect(broker.settled(send(producer, 'a'))).resolves.toMatchObject({ offset: -1 })
  })

  it('gives up after deliveryTimeoutMs, says that the fate is open, and goes on under a new epoch', async () => {
    let isDown = true
    const { broker, producer } = await start(
      { Produce: (request) => (isDown ? 'silence' : produced(request)) },
      { deliveryTimeoutMs: 2_500 },
    )
    await expect(broker.settled(send(producer, 'a'), 10_000)).rejects.toMatchObject({
      code: 'CLIENT_DELIVERY_TIMED_OUT',
      message: expect.stringContaining('may or may not be in the log') as string,
    })
    isDown = false
    await broker.settled(send(producer, 'b'))
    const last = broker.requestsOf('Produce').at(-1)!
    expect(batchesOf(last)[0]).toMatchObject({ producerEpoch: 1, baseSequence: 0 })
  })

  it('splits a batch that the topic finds too large, in order and under its numbers', async () => {
    const { broker, producer } = await start({
      Produce: (request) => {
        const { recordCount, baseSequence } = batchesOf(request)[0]!
        return recordCount > 2
          ? produced(request, 'MESSAGE_TOO_LARGE')
          : produced(request, 'NONE', baseSequence)
      },
    })
    const values = ['a', 'b', 'c', 'd', 'e', 'f', 'g']
    const deliveries = await broker.settled(Promise.all(values.map((value) => send(producer, value))))
    expect(deliveries.map(({ offset }) => offset)).toEqual([0, 1, 2, 3, 4, 5, 6])
    const written = broker.requestsOf('Produce').filter((request) => batchesOf(request)[0]!.recordCount <= 2)
    expect(written.flatMap(valuesOf)).toEqual(values)
  })

  it('says which record is too large when it is alone in its batch', async () => {
    const { broker, producer } = await start({ Produce: (request) => produced(request, 'MESSAGE_TOO_LARGE') })
    await expect(broker.settled(send(producer, 'a'))).rejects.toMatchObject({ code: 'MESSAGE_TOO_LARGE' })
  })

  it('makes send wait for room, in order', async () => {
    const { broker, producer } = await start(
      { Produce: script('silence') },
      { bufferBytesMax: 200, batchBytesMax: 150, inFlightMax: 1 },
    )
    const values = Array.from({ length: 10 }, (_, index) => `${index}`.repeat(60))
    const deliveries = values.map((value) => send(producer, value))
    await broker.pass(500)
    expect(producer.bufferedBytes).toBeLessThan(400)
    await broker.settled(Promise.all(deliveries))
    expect(broker.requestsOf('Produce').slice(1).flatMap(valuesOf)).toEqual(values)
    expect(producer.bufferedBytes).toBe(0)
  })

  it('gives up waiting for room after lineTimeoutMs, says that the record was not sent, and goes on', async () => {
    const answers: (() => void)[] = []
    const { broker, producer } = await start(
      {
        Produce: (request, { answer }) => {
          answers.push(() => answer(produced(request) as never))
          return 'silence'
        },
      },
      { bufferBytesMax: 100, lineTimeoutMs: 300 },
    )
    await broker.settled(broker.client({ requestTimeoutMs: 1_000 }).connect())
    const first = send(producer, 'a'.repeat(100))
    await broker.pass(100)
    const one = expect(send(producer, 'b')).rejects.toMatchObject({
      code: 'CLIENT_TIMED_OUT',
      retriable: true,
      message: expect.stringContaining(
        '(bufferBytesMax) wait for acknowledgement; it was not sent',
      ) as string,
    })
    const many = expect(producer.sendAll([{ topic: 't', value: 'c' }])).rejects.toMatchObject({
      code: 'CLIENT_TIMED_OUT',
    })
    await broker.pass(310)
    await Promise.all([one, many])
    answers.shift()!()
    await broker.settled(first)
    const last = send(producer, 'd')
    await broker.pass(50)
    answers.shift()!()
    await broker.settled(last)
    expect(broker.requestsOf('Produce').flatMap(valuesOf)).toEqual(['a'.repeat(100), 'd'])
  })

  it('leaves one who called off its wait for room out, and lets the others in', async () => {
    const { broker, producer } = await start({ Produce: script('silence') }, { bufferBytesMax: 100 })
    const first = send(producer, 'a'.repeat(100))
    await broker.pass(100)
    const controller = new AbortController()
    const off = producer.send({ topic: 't', value: 'off', partition: 0 }, { signal: controller.signal })
    const on = send(producer, 'on')
    const failed = expect(off).rejects.toMatchObject({ code: 'CLIENT_ABORTED' })
    controller.abort()
    await failed
    await broker.settled(Promise.all([first, on]))
    expect(new Set(broker.requestsOf('Produce').flatMap(valuesOf))).toEqual(new Set(['a'.repeat(100), 'on']))
  })

  it('keeps the order of sends that waited for metadata', async () => {
    const { broker, producer } = await start({ Produce: (request) => produced(request) })
    const early = [
      send(producer, 'a'),
      producer.sendAll([
        { topic: 't', value: 'b' },
        { topic: 't', value: 'c' },
      ]),
    ]
    const late = send(producer, 'd')
    await broker.settled(Promise.all([...early, late]))
    expect(broker.requestsOf('Produce').flatMap(valuesOf)).toEqual(['a', 'b', 'c', 'd'])
  })

  it('sendAll tells ranges that cover every record', async () => {
    const { broker, producer } = await start({ Produce: (request) => produced(request, 'NONE', 5) }, {}, 4)
    const records = Array.from({ length: 100 }, (_, index) => ({ topic: 't', key: `k${index}`, value: 'v' }))
    const ranges = await broker.settled(producer.sendAll(records))
    expect(ranges.reduce((sum, { count }) => sum + count, 0)).toBe(100)
    expect(new Set(ranges.map(({ partition }) => partition)).size).toBe(4)
  })

  it('sticks to one partition per batch without keys, and changes it with the batch', async () => {
    const { broker, producer } = await start({ Produce: (request) => produced(request) }, {}, 8)
    for (let round = 0; round < 10; round++) {
      await broker.settled(
        producer.sendAll([
          { topic: 't', value: 'a' },
          { topic: 't', value: 'b' },
        ]),
      )
    }
    const used = broker.requestsOf('Produce').map(batchesOf)
    expect(used.every((batches) => batches.length === 1)).toBe(true)
    const partitions = used.map(([batch]) => batch!.partition)
    expect(partitions.every((partition, index) => index === 0 || partition !== partitions[index - 1])).toBe(
      true,
    )
  })

  it('looks for the leader again when the broker does not lead', async () => {
    const { broker, producer } = await start({ Produce: script('NOT_LEADER_OR_FOLLOWER') })
    const before = send(producer, 'a')
    await broker.settled(before)
    expect(broker.requestsOf('Metadata').length).toBeGreaterThanOrEqual(2)
  })

  it('waits for a partition that has no leader', async () => {
    let hasLeader = false
    const { broker, producer } = await start({
      Produce: (request) => produced(request),
      Metadata: (request) => {
        const answer = metadata(request, 1)
        if (hasLeader) return answer
        return {
          ...answer,
          topics: answer.topics.map((topic) => ({
            ...topic,
            partitions: topic.partitions.map((one) => ({ ...one, leaderId: -1 })),
          })),
        }
      },
    })
    const delivery = send(producer, 'a')
    await broker.pass(1_000)
    expect(broker.requestsOf('Produce')).toHaveLength(0)
    hasLeader = true
    await broker.settled(delivery)
  })

  it('without answers (acks 0) delivers at an unknown offset', async () => {
    const { broker, producer } = await start({ Produce: () => 'silence' }, { acks: 0 })
    await expect(broker.settled(send(producer, 'a'))).resolves.toMatchObject({ offset: -1, partition: 0 })
    await broker.pass(10)
    expect(batchesOf(broker.requestsOf('Produce')[0]!)[0]).toMatchObject({ producerId: -1, baseSequence: -1 })
  })

  it('refuses to send an object without a serializer, and sends the others', async () => {
    const { broker, client } = await start({ Produce: (request) => produced(request) })
    const producer = client.producer<string, unknown>()
    const bad = producer.send({ topic: 't', value: { a: 1 } })
    const good = producer.send({ topic: 't', value: 'a' })
    await expect(broker.settled(bad)).rejects.toMatchObject({ code: 'CLIENT_BAD_ARGUMENT' })
    await broker.settled(good)
    await expect(broker.settled(producer.send({ topic: 't', timestamp: 0.5 }))).rejects.toMatchObject({
      code: 'CLIENT_BAD_ARGUMENT',
    })
    await expect(broker.settled(producer.send({ topic: 't', partition: 9 }))).rejects.toThrow(
      'partitions 0 to 0',
    )
  })

  it('close sends what it has, and refuses more', async () => {
    const { broker, producer } = await start(
      { Produce: (request) => produced(request) },
      { lingerMs: 60_000 },
    )
    const delivery = send(producer, 'a')
    await broker.settled(producer.close())
    await expect(broker.settled(delivery)).resolves.toMatchObject({ offset: 0 })
    await expect(broker.settled(send(producer, 'b'))).rejects.toMatchObject({ code: 'CLIENT_CLOSED' })
  })

  it('close gives up after closeTimeoutMs', async () => {
    const { broker, producer } = await start({ Produce: () => 'silence' }, { closeTimeoutMs: 3_000 })
    const failed = expect(send(producer, 'a')).rejects.toMatchObject({ code: 'CLIENT_CLOSED' })
    await broker.settled(producer.close(), 3_500)
    await failed
  })

  it('abort fails what has no outcome, and what comes later changes nothing', async () => {
    let answerLate = (): void => undefined
    const { broker, producer } = await start({
      Produce: (request, { answer }) => {
        answerLate = () => answer(produced(request) as never)
        return 'silence'
      },
    })
    const failed = expect(send(producer, 'a')).rejects.toMatchObject({ code: 'CLIENT_ABORTED' })
    await broker.pass(100)
    await broker.settled(producer.abort())
    await failed
    answerLate()
    await broker.pass(100)
    expect(producer.bufferedBytes).toBe(0)
  })

  it('a signal takes a record out of the line', async () => {
    const { broker, producer } = await start({
      Metadata: () => 'silence',
      Produce: (request) => produced(request),
    })
    const controller = new AbortController()
    const failed = expect(
      producer.send({ topic: 't', value: 'a' }, { signal: controller.signal }),
    ).rejects.toMatchObject({
      code: 'CLIENT_ABORTED',
      cause: 'enough',
    })
    await broker.pass(10)
    controller.abort('enough')
    await failed
  })

  it('fails with the cluster’s reason when there is no id to be had', async () => {
    const { broker, producer } = await start({
      InitProducerId: () => ({ errorCode: 31, producerId: -1, producerEpoch: -1 }),
    })
    await expect(broker.settled(send(producer, 'a'))).rejects.toMatchObject({
      code: 'CLUSTER_AUTHORIZATION_FAILED',
    })
  })

  it('refuses options that contradict each other', async () => {
    const { client } = await start({})
    expect(() => client.producer({ acks: 1, idempotent: true })).toThrow("wanted 'all'")
    expect(() => client.producer({ inFlightMax: 6 })).toThrow('wanted 1 to 5')
    expect(() => client.producer({ idempotent: false, inFlightMax: 60 })).not.toThrow()
  })
})
