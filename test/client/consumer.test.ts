import { describe, expect, it } from 'vitest'
import type { ConsumerOptions } from '../../src/client/consumer-options.ts'
import type { Consumer } from '../../src/client/consumer.ts'
import { text } from '../../src/client/serde.ts'
import { errorCode } from '../../src/protocol/errors.ts'
import { buildEndTransactionMarker } from '../../src/records/control-batch.ts'
import { metadata, ScriptedBroker } from './scripted-broker.ts'
import type { Rules } from './scripted-broker.ts'
import { logRules, ScriptedLog } from './scripted-log.ts'

type Text = ConsumerOptions<Uint8Array | null, string | null>

async function start(logs: ScriptedLog[], options: Text, rules: Rules = {}) {
  const after = (ms: number, task: () => void): void => {
    broker.simulation.schedule(ms, 'long poll', task)
  }
  const broker: ScriptedBroker = new ScriptedBroker({ ...logRules(logs, after), ...rules }, logs.length)
  await broker.listen()
  const client = broker.client({ requestTimeoutMs: 2_000 })
  const consumer = client.consumer({ value: text, ...options })
  const take = (count: number) => broker.settled(collect(consumer, count), 60_000)
  const all = () => broker.settled(collect(consumer, Infinity), 60_000)
  return { broker, client, consumer, take, all }
}

async function collect<V>(consumer: Consumer<Uint8Array | null, V>, count: number): Promise<V[]> {
  const values: V[] = []
  if (count === 0) return values
  for await (const record of consumer) {
    values.push(record.value)
    if (values.length >= count) break
  }
  return values
}

const log = (...values: string[]) => new ScriptedLog().append(values)

describe('Consumer', () => {
  it('reads all partitions of its topics to their end', async () => {
    const { all } = await start([log('a', 'b'), log('c')], {
      topics: ['t'],
      from: 'beginning',
      untilEnd: true,
    })
    expect((await all()).sort()).toEqual(['a', 'b', 'c'])
  })

  it('ends at once when everything is empty', async () => {
    const { all } = await start([new ScriptedLog()], { topics: ['t'], from: 'beginning', untilEnd: true })
    expect(await all()).toEqual([])
  })

  it.each([
    ['an offset within a batch', 1, ['b', 'c', 'd']],
    ['a time', { timestamp: 15 }, ['c', 'd']],
    ['a time after the last record', { timestamp: 900 }, []],
    ['the end', 'end', []],
    ['the beginning', 'beginning', ['a', 'b', 'c', 'd']],
  ] as const)('begins at %s', async (_what, from, values) => {
    const { all } = await start([log('a', 'b', 'c').append(['d'])], { topics: ['t'], from, untilEnd: true })
    expect(await all()).toEqual(values)
  })

  it('hands out what comes while it waits', async () => {
    const one = log('a')
    const { broker, consumer, take } = await start([one], { topics: ['t'], from: 'end' })
    await broker.settled(consumer.ready())
    one.append(['b'])
    expect(await take(1)).toEqual(['b'])
  })

  it('goes on where a loop was left, within a batch', async () => {
    const { consumer, take } = await start([log('a', 'b', 'c')], { topics: ['t'], from: 'beginning' })
    expect(await take(2)).toEqual(['a', 'b'])
    expect(consumer.position({ topic: 't', partition: 0 })).toBe(2)
    expect(await take(1)).toEqual(['c'])
    expect(consumer.position({ topic: 't', partition: 0 })).toBe(3)
  })

  it('seek moves the position, and drops what was fetched for the old one', async () => {
    const { consumer, take } = await start([log('a', 'b', 'c')], { topics: ['t'], from: 'beginning' })
    expect(await take(2)).toEqual(['a', 'b'])
    consumer.seek({ topic: 't', partition: 0 }, 0)
    expect(await take(1)).toEqual(['a'])
    consumer.seek({ topic: 't', partition: 0 }, { timestamp: 20 })
    expect(await take(1)).toEqual(['c'])
  })

  it('drops the answer to a fetch from before a seek', async () => {
    const one = log('a').append(['b']).append(['c'])
    const base = logRules([one], () => undefined)
    let answerLate = (): void => undefined
    const { broker, consumer, take } = await start(
      [one],
      { topics: ['t'], from: 2 },
      {
        Fetch: (request, call) => {
          if (call.index > 0) return base.Fetch!(request, call)
          const answer = base.Fetch!(request, call)
          answerLate = () => call.answer(answer as never)
          return 'silence'
        },
      },
    )
    await broker.settled(consumer.ready())
    await broker.pass(10)
    consumer.seek({ topic: 't', partition: 0 }, 0)
    answerLate()
    expect(await take(3)).toEqual(['a', 'b', 'c'])
  })

  it('seek takes effect at once, however often, though long polls of before are under way', async () => {
    const { broker, consumer, take } = await start([log('a', 'b'), new ScriptedLog()], {
      topics: ['t'],
      from: 'end',
      maxWaitMs: 60_000,
    })
    await broker.settled(consumer.ready())
    await broker.pass(100)
    const startMs = broker.simulation.nowMs
    for (let round = 0; round < 5; round++) {
      consumer.seek({ topic: 't', partition: 0 }, 1)
      expect(await take(1)).toEqual(['b'])
      await broker.pass(100) // the next long poll is under way
    }
    expect(broker.simulation.nowMs - startMs).toBeLessThan(1_000)
    expect(broker.connections.length).toBeLessThanOrEqual(8) // one for requests, two lanes, and a new second lane a round
  })

  it('resume takes effect at once, though a long poll for other partitions is under way', async () => {
    const { broker, consumer, take } = await start([log('a'), new ScriptedLog()], {
      topics: ['t'],
      from: 'end',
      maxWaitMs: 60_000,
    })
    await broker.settled(consumer.ready())
    consumer.pause([{ topic: 't', partition: 0 }])
    consumer.seek({ topic: 't', partition: 0 }, 0)
    await broker.pass(100)
    const resumedAtMs = broker.simulation.nowMs
    consumer.resume()
    expect(await take(1)).toEqual(['a'])
    expect(broker.simulation.nowMs - resumedAtMs).toBeLessThan(100)
  })

  it('fetches on before the application has read what came, twice its bound ahead and no further', async () => {
    const one = log('a').append(['b']).append(['c']).append(['d'])
    const partitionBytesMax = one.batches[0]!.length
    const { broker, consumer } = await start([one], { topics: ['t'], from: 'beginning', partitionBytesMax })
    await broker.settled(consumer.ready())
    await broker.pass(100)
    const offsets = broker.requestsOf('Fetch').map(({ topics }) => topics[0]!.partitions[0]!.fetchOffset)
    expect(offsets).toEqual([0, 1])
  })

  it('lets others run while a loop reads on and on what was fetched ahead', async () => {
    const one = new ScriptedLog()
    const value = 'x'.repeat(1024 * 1024)
    for (let batch = 0; batch < 8; batch++) one.append([value])
    const { broker, consumer } = await start([one], {
      topics: ['t'],
      from: 'beginning',
      partitionBytesMax: 4 * value.length,
    })
    await broker.settled(consumer.ready())
    await broker.pass(100)
    const turns: number[] = []
    let turn = 0
    const loop = (async () => {
      for await (const { offset } of consumer) {
        turns.push(turn)
        broker.simulation.env('other').clock.endOfTurn(() => turn++)
        if (offset === 7) return
      }
    })()
    await broker.settled(loop)
    expect(turns[7]).toBeGreaterThanOrEqual(2)
  })

  it('tells the logger when it loses its broker while it finds out where to begin', async () => {
    const one = log('a')
    const base = logRules([one], () => undefined)
    const { broker, take } = await start(
      [one],
      { topics: ['t'], from: 'beginning' },
      { ListOffsets: (request, call) => (call.index < 2 ? 'close' : base.ListOffsets!(request, call)) },
    )
    expect(await take(1)).toEqual(['a'])
    expect(broker.warnings.filter((text) => text.startsWith('Cannot look up offsets'))).toHaveLength(2)
  })

  it('assign counts from where it is called: what stood in the way of the assignment before does not', async () => {
    const { broker, consumer, take } = await start(
      [log('a')],
      { from: 'beginning' },
      {
        Metadata: (request) => {
          const answer = metadata(request, 1)
          const topics = answer.topics.map((topic) =>
            topic.name === 't' ? topic : { errorCode: 3, name: topic.name, partitions: [] },
          )
          return { ...answer, topics }
        },
      },
    )
    consumer.assign([{ topic: 'nope', partition: 0 }])
    await broker.pass(500)
    consumer.assign([{ topic: 't', partition: 0 }])
    expect(await take(1)).toEqual(['a'])
  })

  it('pause holds records back without losing any', async () => {
    const { broker, consumer, take } = await start([log('a', 'b'), log('c', 'd')], { from: 'beginning' })
    consumer.assign([
      { topic: 't', partition: 0 },
      { topic: 't', partition: 1, from: 1 },
    ])
    consumer.pause([{ topic: 't', partition: 0 }])
    expect(await take(1)).toEqual(['d'])
    const rest = collect(consumer, 2)
    await broker.pass(1_000)
    consumer.resume()
    expect(await broker.settled(rest)).toEqual(['a', 'b'])
  })

  it('skips control batches and, reading committed, aborted ones', async () => {
    const one = new ScriptedLog()
    const transaction = { producerId: 5, producerEpoch: 0, baseSequence: 0, isTransactional: true }
    const marker = (verdict: 'commit' | 'abort', producerId: number) =>
      buildEndTransactionMarker({
        verdict,
        producerId,
        producerEpoch: 0,
        coordinatorEpoch: 0,
        timestampMs: 1,
      })
    one.append(['plain'])
    one.append(['aborted'], transaction)
    one.append(['other'], { ...transaction, producerId: 6 })
    one.appendBatch(marker('abort', 5)).appendBatch(marker('commit', 6))
    one.append(['committed'], transaction).appendBatch(marker('commit', 5))
    one.aborted = [{ producerId: 5, firstOffset: 1 }]
    const options: Text = { topics: ['t'], from: 'beginning', untilEnd: true }
    const uncommitted = await start([one], options)
    expect(await uncommitted.all()).toEqual(['plain', 'aborted', 'other', 'committed'])
    const committed = await start([one], { ...options, isolation: 'read_committed' })
    expect(await committed.all()).toEqual(['plain', 'other', 'committed'])
    expect(committed.consumer.position({ topic: 't', partition: 0 })).toBe(one.endOffset)
  })

  it('says that a position is gone, and goes on after a seek', async () => {
    const one = log('a', 'b').append(['c'])
    one.startOffset = 2
    one.batches.shift()
    const { broker, consumer, take } = await start([one], { topics: ['t'], from: 0 })
    await expect(take(1)).rejects.toMatchObject({ code: 'OFFSET_OUT_OF_RANGE' })
    await expect(take(1)).rejects.toMatchObject({ code: 'OFFSET_OUT_OF_RANGE' })
    consumer.seek({ topic: 't', partition: 0 }, 'beginning')
    expect(await take(1)).toEqual(['c'])
    await broker.settled(consumer.close())
  })

  it('resets a position that is gone when told to', async () => {
    const one = log('a', 'b').append(['c'])
    one.startOffset = 2
    one.batches.shift()
    const { take } = await start([one], { topics: ['t'], from: 0, onOutOfRange: 'beginning' })
    expect(await take(1)).toEqual(['c'])
  })

  describe('with a rack', () => {
    /** A broker that answers those who name a rack in its own way, as one that is behind would. */
    const startWith = async (change: object, from: number) => {
      const one = log('a', 'b', 'c')
      const base = logRules([one], () => undefined)
      const options: Text = { topics: ['t'], from, rack: 'r1' }
      return start([one], options, {
        Fetch: (request, call) => {
          const { rackId, topics } = request
          if (rackId === '') return base.Fetch!(request, call)
          const [{ topic, topicId }] = topics as [(typeof topics)[0]]
          const partition = { partitionIndex: 0, errorCode: 0, highWatermark: 3, records: [], ...change }
          return { responses: [{ topic, topicId, partitions: [partition] }] }
        },
      })
    }

    it.each([
      ['its position is not in the log', { errorCode: errorCode('OFFSET_OUT_OF_RANGE') }],
      ['the log was cut', { divergingEpoch: { epoch: 0, endOffset: 1 } }],
      ['another is closer, which is itself', { preferredReadReplica: 1 }],
      ['another is closer, of which nobody has heard', { preferredReadReplica: 77 }],
      ['it is behind', { errorCode: errorCode('OFFSET_NOT_AVAILABLE') }],
    ])(
      'hears it from the leader, which is not told the rack, when a broker says that %s',
      async (_, change) => {
        const { broker, take } = await startWith(change, 1)
        expect(await take(2)).toEqual(['b', 'c'])
        const racks = broker.requestsOf('Fetch').map(({ rackId }) => rackId)
        expect(racks.filter((rack) => rack === 'r1').length).toBeLessThanOrEqual(2)
      },
    )

    it('fails where the leader says so, too', async () => {
      const { take } = await startWith({ errorCode: errorCode('OFFSET_OUT_OF_RANGE') }, 9)
      await expect(take(1)).rejects.toMatchObject({ code: 'OFFSET_OUT_OF_RANGE' })
    })

    it('wants a name for it', async () => {
      await expect(start([log('a')], { topics: ['t'], rack: '' })).rejects.toMatchObject({
        code: 'CLIENT_BAD_ARGUMENT',
      })
    })
  })

  it('hands out what came before a corrupt batch, then names the offset, every time', async () => {
    const one = log('a').append(['b', 'c'])
    one.batches[1]![70]! ^= 1
    const { consumer, take } = await start([one], { topics: ['t'], from: 'beginning' })
    expect(await take(1)).toEqual(['a'])
    await expect(take(1)).rejects.toMatchObject({
      code: 'CLIENT_CORRUPT_BATCH',
      message: expect.stringContaining('offset 1 of t-0') as string,
    })
    await expect(take(1)).rejects.toMatchObject({ code: 'CLIENT_CORRUPT_BATCH' })
    expect(consumer.position({ topic: 't', partition: 0 })).toBe(1)
  })

  it('asks for more where a batch does not fit, and fetches no more than its bound ahead', async () => {
    const one = new ScriptedLog()
    for (let index = 0; index < 50; index++) one.append([String(index).repeat(200)])
    const { broker, consumer } = await start([one], {
      topics: ['t'],
      from: 'beginning',
      prefetchBytesMax: 1_000,
      partitionBytesMax: 600,
    })
    await broker.settled(consumer.ready())
    await broker.pass(5_000)
    const offsets = broker.requestsOf('Fetch').map(({ topics }) => topics[0]!.partitions[0]!.fetchOffset)
    expect(Math.max(...offsets)).toBeLessThan(6)
    expect(await broker.settled(collect(consumer, 50))).toHaveLength(50)
  })

  it('tries again through a lost connection and a leader that moved', async () => {
    const one = log('a', 'b')
    let failures = 3
    const base = logRules([one], () => undefined)
    const { broker, take } = await start(
      [one],
      { topics: ['t'], from: 'beginning' },
      {
        Fetch: (request, call) => {
          failures--
          if (failures === 2) return 'close'
          if (failures < 0) return base.Fetch!(request, call)
          return {
            responses: request.topics.map(({ topic, topicId, partitions }) => ({
              topic,
              topicId,
              partitions: partitions.map(({ partition }) => ({
                partitionIndex: partition,
                errorCode: errorCode('NOT_LEADER_OR_FOLLOWER'),
                highWatermark: -1,
                records: [],
              })),
            })),
          }
        },
      },
    )
    expect(await take(2)).toEqual(['a', 'b'])
    expect(broker.requestsOf('Metadata').length).toBeGreaterThan(1)
  })

  it('reads partitions that are added later from their beginning', async () => {
    const logs = [log('a'), log('late')]
    const { broker, client, consumer } = await start(
      logs,
      { topics: ['t'], from: 'end' },
      {
        Metadata: (request) => metadata(request, count),
      },
    )
    let count = 1
    await broker.settled(consumer.ready())
    const found = collect(consumer, 1)
    count = 2
    consumer.seek({ topic: 't', partition: 0 }, 'end')
    await broker.settled(client.producer({ acks: 0 }).send({ topic: 'other', value: 'x' })) // asks for metadata
    expect(await broker.settled(found)).toEqual(['late'])
  })

  it('has one loop at a time', async () => {
    const { consumer, take } = await start([log('a')], { topics: ['t'], from: 'beginning' })
    const loop = consumer.records()
    expect(() => consumer.batches()).toThrow('second loop')
    await loop.return!()
    expect(await take(1)).toEqual(['a'])
  })

  it('close ends a loop that waits, and a signal breaks it off', async () => {
    const first = await start([new ScriptedLog()], { topics: ['t'], from: 'end' })
    const loop = collect(first.consumer, 1)
    await first.broker.pass(100)
    await first.consumer.close()
    expect(await loop).toEqual([])

    const second = await start([new ScriptedLog()], { topics: ['t'], from: 'end' })
    const controller = new AbortController()
    const next = second.consumer.records({ signal: controller.signal }).next()
    const failed = expect(next).rejects.toMatchObject({ code: 'CLIENT_ABORTED', cause: 'enough' })
    await second.broker.pass(100)
    controller.abort('enough')
    await failed
  })

  it('says that a partition does not exist', async () => {
    const { consumer, take } = await start([log('a')], {})
    consumer.assign([{ topic: 't', partition: 4, from: 0 }])
    await expect(take(1)).rejects.toThrow('the topic has partitions 0 to 0')
  })

  it('says that a topic does not exist', async () => {
    const { take, consumer, broker } = await start(
      [log('a')],
      { topics: ['nope'], from: 'end' },
      {
        Metadata: (request) => ({
          ...metadata(request, 1),
          topics: (request.topics ?? []).map(({ name }) => ({ errorCode: 3, name, partitions: [] })),
        }),
      },
    )
    await expect(take(1)).rejects.toMatchObject({ code: 'UNKNOWN_TOPIC_OR_PARTITION' })
    await expect(broker.settled(consumer.ready())).rejects.toThrow("Cannot find topic 'nope'")
  })

  it('hands out batches with where to go on and how far behind it is', async () => {
    const { broker, consumer } = await start([log('a', 'b').append(['c'])], {
      topics: ['t'],
      from: 1,
      untilEnd: true,
    })
    const batches: [string | null, number, number][] = []
    const loop = async () => {
      for await (const { records, nextOffset, highWatermark } of consumer.batches()) {
        batches.push([records.map(({ value }) => value).join(), nextOffset, highWatermark])
      }
    }
    await broker.settled(loop())
    expect(batches).toEqual([['b,c', 3, 3]])
    expect(await broker.settled(consumer.endOffsets())).toEqual([{ topic: 't', partition: 0, offset: 3 }])
  })

  it('R7: a new leader that does not know yet how far its predecessor had come takes nothing back of what was committed', async () => {
    const one = log('a').append(['b']).append(['c'])
    const base = logRules([one], () => undefined)
    const { broker, consumer } = await start(
      [one],
      { topics: ['t'], from: 'beginning', untilEnd: true, partitionBytesMax: 1 },
      {
        Fetch: (request, call) => {
          const answer = base.Fetch!(request, call)
          if (typeof answer === 'string' || broker.requestsOf('Fetch').length !== 2) return answer
          // The second is of another leader.
          const responses = answer.responses.map((topic) => ({
            ...topic,
            partitions: topic.partitions.map((one) => ({ ...one, highWatermark: 2 })),
          }))
          return { ...answer, responses }
        },
      },
    )
    const told: number[] = []
    const loop = async () => {
      for await (const { highWatermark } of consumer.batches()) told.push(highWatermark)
    }
    await broker.settled(loop())
    expect(told).toEqual([3, 3, 3])
  })

  it('names the record whose value cannot be read', async () => {
    const { broker, client } = await start([log('a')], {})
    const consumer = client.consumer({
      topics: ['t'],
      from: 'beginning',
      value: {
        deserialize: () => {
          throw new Error('no')
        },
      },
    })
    await expect(broker.settled(collect(consumer, 1))).rejects.toMatchObject({
      code: 'CLIENT_BAD_FORMAT',
      message: 'Cannot deserialize the record at offset 0 of t-0: no',
    })
  })
})
