/** Consumers in groups, as users use them, on a cluster in this process. Faults of groups: test/sim. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type {
  Client,
  ConsumerRecord,
  GroupConsumer,
  GroupConsumerOptions,
  TopicPartition,
} from '../../src/index.ts'
import { Cluster } from '../../src/testing.ts'

let cluster: Cluster
let client: Client

beforeEach(async () => {
  cluster = await Cluster.start({ brokers: 1 })
  client = cluster.client()
})

afterEach(async () => {
  await client.close()
  await cluster.close()
})

type Record = ConsumerRecord<Uint8Array | null, Uint8Array | null>

const text = ({ value }: Record): string => new TextDecoder().decode(value)

async function createTopic(name: string, partitions: number): Promise<void> {
  await client.admin().createTopics([{ name, partitions }])
}

async function produce(topic: string, values: readonly string[], partition = 0): Promise<void> {
  await using producer = client.producer()
  for (const value of values) await producer.send({ topic, partition, value })
}

function member(options: Partial<GroupConsumerOptions> = {}): GroupConsumer {
  return client.consumer({ group: 'g', topics: ['t'], from: 'beginning', ...options })
}

/** Takes records until there are so many; the last one is handled, too. */
async function take(consumer: GroupConsumer, count: number): Promise<string[]> {
  const values: string[] = []
  const stop = new AbortController()
  await consumer.run(
    (record) => {
      values.push(text(record))
      if (values.length === count) stop.abort()
    },
    { signal: stop.signal },
  )
  return values
}

/** Resolves with the first partitions that a listener is told of. */
function told(): {
  readonly listener: (partitions: readonly TopicPartition[]) => void
  readonly first: Promise<number[]>
} {
  let resolve: (partitions: number[]) => void
  const first = new Promise<number[]>((settle) => (resolve = settle))
  return { listener: (partitions) => resolve(partitions.map(({ partition }) => partition).sort()), first }
}

describe('A consumer in a group', () => {
  it('reads all partitions alone, and a later member goes on where it stopped', async () => {
    await createTopic('t', 2)
    await produce('t', ['a', 'b'], 0)
    await produce('t', ['c'], 1)
    const first = member()
    expect((await take(first, 3)).sort()).toEqual(['a', 'b', 'c'])
    await first.close()
    await produce('t', ['d'], 1)

    const second = member()
    expect(await take(second, 1)).toEqual(['d'])
    expect((await second.lag()).map(({ lag }) => lag)).toEqual([0, 0])
  })

  it('shares partitions with a second member, and gets them back when that one leaves', async () => {
    await createTopic('t', 4)
    const [revoked, assigned, regained] = [told(), told(), told()]
    let assignments = 0
    const first = member({
      onRevoked: revoked.listener,
      onAssigned: (partitions) => {
        if (++assignments === 2) regained.listener(partitions)
      },
    })
    await first.ready()
    expect(first.assignment).toHaveLength(4)

    const second = member({ onAssigned: assigned.listener })
    expect(await assigned.first).toEqual(await revoked.first)
    expect(first.assignment).toHaveLength(2)
    const all = [...first.assignment, ...second.assignment].map(({ partition }) => partition)
    expect(all.sort()).toEqual([0, 1, 2, 3])

    const left = second.assignment.map(({ partition }) => partition)
    await second.close()
    expect(await regained.first).toEqual(left.sort())
  })

  it('hands a record out again when its loop was left within the body', async () => {
    await createTopic('t', 1)
    await produce('t', ['a', 'b', 'c'])
    const first = member()
    for await (const record of first) if (text(record) === 'b') break
    await first.close()

    expect(await take(member(), 2)).toEqual(['b', 'c'])
  })

  it('waits with giving a partition back until its record is handled, and commits it', async () => {
    await createTopic('t', 2)
    await produce('t', ['a'], 0)
    await produce('t', ['b'], 1)
    const first = member({ commitIntervalMs: 3_600_000 })
    const loop = first.records()
    const inHand = [(await loop.next()).value as Record]
    const assigned = told()
    const second = member({ onAssigned: assigned.listener })
    await second.ready()
    expect(second.assignment).toEqual([])

    inHand.push((await loop.next()).value as Record)
    await loop.return?.()

    const [moved] = await assigned.first
    const handled = inHand[0]!.partition === moved
    const [rest] = handled ? [[]] : [[text(inHand[1]!)]]
    expect(await take(second, rest.length)).toEqual(rest)
  })

  it('commits nothing by itself when commits are manual', async () => {
    await createTopic('t', 1)
    await produce('t', ['a', 'b'])
    const first = member({ commit: 'manual' })
    await take(first, 2)
    expect(await first.committed()).toMatchObject([{ offset: null }])
    await first.commit([{ topic: 't', partition: 0, offset: 1, metadata: 'half' }])
    expect(await first.committed()).toMatchObject([{ offset: 1, metadata: 'half' }])
    await first.commit()
    expect(await first.committed()).toMatchObject([{ offset: 2 }])
    await first.close()
  })

  it('commits where it began, so that nothing is skipped before the first record is read', async () => {
    await createTopic('t', 1)
    await produce('t', ['before'])
    const first = member({ from: 'end' })
    await first.ready()
    await first.close()
    await produce('t', ['between'])

    expect(await take(member({ from: 'end' }), 1)).toEqual(['between'])
  })

  it('reads topics that match a pattern, also those that come later', async () => {
    await createTopic('orders-eu', 1)
    await createTopic('other', 1)
    await produce('orders-eu', ['a'])
    const consumer = member({ topics: { pattern: 'orders-.*' } })
    expect(await take(consumer, 1)).toEqual(['a'])
    await createTopic('orders-us', 1)
    await produce('orders-us', ['b'])
    expect(await take(consumer, 1)).toEqual(['b'])
  })

  it('handles partitions at the same time and the records of each in order', async () => {
    await createTopic('t', 3)
    const values = Array.from({ length: 10 }, (_, index) => String(index))
    for (const partition of [0, 1, 2]) await produce('t', values, partition)
    const seen: string[][] = [[], [], []]
    const running = new Set<number>()
    let most = 0
    let count = 0
    const stop = new AbortController()
    await member().run(
      async (record) => {
        expect(running.has(record.partition)).toBe(false)
        running.add(record.partition)
        most = Math.max(most, running.size)
        await new Promise((resolve) => setImmediate(resolve))
        running.delete(record.partition)
        seen[record.partition]!.push(text(record))
        if (++count === 30) stop.abort()
      },
      { signal: stop.signal },
    )
    expect(seen).toEqual([values, values, values])
    expect(most).toBeGreaterThan(1)
  })

  it('ends run() with what a handler threw, and hands the record out again', async () => {
    await createTopic('t', 1)
    await produce('t', ['a', 'b'])
    const consumer = member()
    const failing = consumer.run((record) => {
      if (text(record) === 'b') throw new Error('no b today')
    })
    await expect(failing).rejects.toThrow('no b today')
    expect(await take(consumer, 1)).toEqual(['b'])
  })

  it('goes elsewhere by seek, also backwards, and commits that', async () => {
    await createTopic('t', 1)
    await produce('t', ['a', 'b', 'c'])
    const consumer = member()
    await take(consumer, 3)
    consumer.seek({ topic: 't', partition: 0 }, 1)
    expect(await take(consumer, 2)).toEqual(['b', 'c'])
    consumer.seek({ topic: 't', partition: 0 }, 0)
    await consumer.commit()
    expect(await consumer.committed()).toMatchObject([{ offset: 0 }])
  })

  it('keeps paused partitions and reads the others', async () => {
    await createTopic('t', 2)
    await produce('t', ['a'], 0)
    await produce('t', ['b'], 1)
    const consumer = member()
    await consumer.ready()
    consumer.pause([{ topic: 't', partition: 0 }])
    expect(await take(consumer, 1)).toEqual(['b'])
    consumer.resume()
    expect(await take(consumer, 1)).toEqual(['a'])
  })

  it('leaves the group while a record is in hand for too long, learns it before it can commit, and comes back', async () => {
    await createTopic('t', 1)
    await produce('t', ['a', 'b'])
    const lost = told()
    const slow = member({ handlerTimeoutMs: 50, onLost: lost.listener, commitIntervalMs: 3_600_000 })
    const loop = slow.records()
    expect(text((await loop.next()).value as Record)).toBe('a')
    expect(await lost.first).toEqual([0])

    await expect(slow.commit([{ topic: 't', partition: 0, offset: 1 }])).rejects.toMatchObject({
      code: 'CLIENT_NOT_A_MEMBER',
    })
    expect(text((await loop.next()).value as Record)).toBe('a')
    await loop.return?.()
  })

  it('says what is wrong: nothing to subscribe to, partitions of others, a closed consumer', async () => {
    await createTopic('t', 1)
    expect(() => member({ topics: [] })).toThrow(
      'Cannot subscribe to nothing: wanted at least one topic, or { pattern }',
    )
    const unsubscribed = client.consumer({ group: 'g' })
    await expect(unsubscribed.records().next()).rejects.toThrow(
      'the consumer has not subscribed to anything yet',
    )
    const consumer = member()
    await consumer.ready()
    expect(() => consumer.seek({ topic: 't', partition: 7 }, 0)).toThrow(
      "this member of group 'g' does not own it",
    )
    await consumer.close()
    await expect(consumer.commit()).rejects.toMatchObject({ code: 'CLIENT_CLOSED' })
    expect(() => consumer.records()).toThrow('Cannot use the consumer: it is closed')
  })

  it('ends with the word of the broker for a pattern that is none', async () => {
    const consumer = member({ topics: { pattern: '(' } })
    await expect(consumer.ready()).rejects.toMatchObject({ code: 'INVALID_REGULAR_EXPRESSION' })
    expect(() => consumer.records()).toThrow("Cannot be a member of group 'g'")
  })

  it('says so when there is no cluster to join, as every other use of a client', async () => {
    await cluster.close()
    const lonely = cluster.client({ bootstrapTimeoutMs: 0 })
    const consumer = lonely.consumer({ group: 'g', topics: ['t'] })
    await expect(consumer.ready()).rejects.toMatchObject({ code: 'CLIENT_CANNOT_CONNECT' })
    await lonely.close()
  })

  it('a static member that comes back gets what it had, and nobody else moves', async () => {
    await createTopic('t', 2)
    let moves = 0
    const first = member({ instanceId: 'one' })
    await first.ready()
    const settled = told()
    const second = member({
      instanceId: 'two',
      onAssigned: settled.listener,
      onRevoked: () => {
        moves++
      },
    })
    await settled.first
    const had = first.assignment
    await first.close()

    const again = member({ instanceId: 'one' })
    await again.ready()

    expect(again.assignment).toEqual(had)
    expect(second.assignment).toHaveLength(1)
    expect(moves).toBe(0)
  })
})
