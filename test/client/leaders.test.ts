/** Several brokers: a leader that moves, hangs or leaves must cost neither records nor the other brokers' time. */
import { describe, expect, it } from 'vitest'
import type { ResponseInputOf } from '../../src/protocol/apis.ts'
import { batchesOf, metadata, produced, ScriptedBroker } from './scripted-broker.ts'
import type { Rules } from './scripted-broker.ts'

type Metadata = ResponseInputOf<'Metadata'>

const NODES = [
  { nodeId: 1, host: 'one', port: 1 },
  { nodeId: 2, host: 'two', port: 1 },
]

/** An answer to a metadata request in which partition `index` has the leader `leaders[index]`, in that epoch. */
function led(
  request: Parameters<typeof metadata>[0],
  leaders: readonly (readonly [leaderId: number, leaderEpoch: number])[],
  brokers = NODES,
): Metadata {
  const answer = metadata(request, leaders.length)
  const topics = answer.topics.map((topic) => ({
    ...topic,
    partitions: topic.partitions.map((one, index) => ({
      ...one,
      leaderId: leaders[index]![0],
      leaderEpoch: leaders[index]![1],
    })),
  }))
  return { ...answer, brokers, topics }
}

async function start(rules: Rules) {
  const broker = new ScriptedBroker(rules)
  await broker.listen('one')
  await broker.listen('two')
  const client = broker.client({ bootstrap: 'in-process://one,in-process://two', requestTimeoutMs: 2_000 })
  return { broker, client, producer: client.producer() }
}

describe('Client with several brokers', () => {
  it('a broker that hangs does not hold back what goes to another', async () => {
    const { broker, producer } = await start({
      Metadata: (request) =>
        led(request, [
          [1, 0],
          [2, 0],
        ]),
      Produce: (request, { name }) => (name === 'two' ? 'silence' : produced(request)),
    })
    const stuck = producer.send({ topic: 't', partition: 1, value: 'stuck' })
    stuck.catch(() => undefined)
    const startMs = broker.simulation.nowMs
    for (let index = 0; index < 20; index++) {
      await broker.settled(producer.send({ topic: 't', partition: 0, value: `${index}` }))
    }
    expect(broker.simulation.nowMs - startMs).toBeLessThan(500)
    await producer.abort()
  })

  it('asks another broker for metadata while one hangs', async () => {
    const { broker, client } = await start({
      Metadata: (request, { name }) => (name === 'one' ? 'silence' : led(request, [[2, 0]])),
    })
    const startMs = broker.simulation.nowMs
    await broker.settled(client.connect())
    expect(broker.simulation.nowMs - startMs).toBeLessThan(1_500)
  })

  it('takes the new leader from the answer that refuses, without asking for metadata (KIP-951)', async () => {
    const { broker, producer } = await start({
      Metadata: (request) => led(request, [[1, 3]], [NODES[0]!]),
      Produce: (request, { name }) => {
        if (name === 'two') return produced(request, 'NONE', 7)
        const refusal = produced(request, 'NOT_LEADER_OR_FOLLOWER')
        const responses = refusal.responses.map((topic) => ({
          ...topic,
          partitionResponses: topic.partitionResponses.map((one) => ({
            ...one,
            currentLeader: { leaderId: 2, leaderEpoch: 4 },
          })),
        }))
        return { ...refusal, responses, nodeEndpoints: [NODES[1]!] }
      },
    })
    const { offset } = await broker.settled(producer.send({ topic: 't', partition: 0, value: 'a' }))
    expect(offset).toBe(7)
    expect(broker.requestsOf('Metadata')).toHaveLength(1)
  })

  it.each(['NOT_LEADER_OR_FOLLOWER', 'FENCED_LEADER_EPOCH', 'close'] as const)(
    'finds the new leader after %s, and sends the same numbers in the same order',
    async (failure) => {
      let leader: readonly [number, number] = [1, 0]
      const { broker, producer } = await start({
        Metadata: (request) => led(request, [leader]),
        Produce: (request, { name, index }) => {
          if (name === 'two') return produced(request)
          if (index < 1) return produced(request)
          leader = [2, 1]
          return failure === 'close' ? 'close' : produced(request, failure)
        },
      })
      await broker.settled(producer.send({ topic: 't', partition: 0, value: 'first' }))
      const sends = ['a', 'b', 'c'].map((value) => producer.send({ topic: 't', partition: 0, value }))
      await broker.settled(Promise.all(sends))
      const sequences = broker.requestsOf('Produce').map((request) => batchesOf(request)[0]!.baseSequence)
      expect(sequences).toEqual([0, 1, 1])
    },
  )

  it('S2: what a new leader refuses behind a batch that the old one never answers is sent when the time of that one is over', async () => {
    let leaders: readonly (readonly [number, number])[] = [[1, 0], [2, 0]] // prettier-ignore
    let hangs = false
    const { broker, client } = await start({
      Metadata: (request, { name }) => (hangs && name === 'one' ? 'silence' : led(request, leaders)),
      Produce: (request, { name }) => {
        if (name === 'one') {
          hangs = true
          return 'silence'
        }
        const { index } = request.topicData[0]!.partitionData[0]!
        const { producerEpoch, baseSequence } = batchesOf(request)[0]!
        if (index === 1 && leaders[0]![0] === 1) {
          leaders = [[2, 1], [2, 1]] // prettier-ignore
          return produced(request, 'NOT_LEADER_OR_FOLLOWER')
        }
        const isNext = index === 1 || producerEpoch > 0 || baseSequence === 0
        return produced(request, isNext ? 'NONE' : 'OUT_OF_ORDER_SEQUENCE_NUMBER')
      },
    })
    const producer = client.producer({ lingerMs: 5, deliveryTimeoutMs: 1_900 })
    const first = producer.send({ topic: 't', partition: 0, value: 'first' })
    first.catch(() => undefined)
    await broker.pass(100)
    await broker.settled(producer.send({ topic: 't', partition: 1, value: 'other' }))
    await broker.pass(1_600) // By then it knows who leads, although one broker does not tell.
    const second = producer.send({ topic: 't', partition: 0, value: 'second' })
    await expect(broker.settled(first)).rejects.toMatchObject({ code: 'CLIENT_DELIVERY_TIMED_OUT' })
    await broker.settled(second)
    const numbers = broker
      .requestsOf('Produce')
      .filter(({ topicData }) => topicData[0]!.partitionData[0]!.index === 0)
      .map((request) => batchesOf(request)[0]!)
      .map(({ producerEpoch, baseSequence }) => [producerEpoch, baseSequence])
    expect(numbers).toEqual([[0, 0], [0, 1], [1, 0]]) // prettier-ignore
  })

  it('a broker that leaves the cluster with requests unanswered fails none of them', async () => {
    let hasLeft = false
    const { broker } = await start({
      Metadata: (request, { name }) => {
        if (!hasLeft) return led(request, [[1, 0]])
        return name === 'one' ? 'silence' : led(request, [[2, 1]], [NODES[1]!])
      },
      Produce: (request, { name }) => (name === 'two' ? produced(request, 'NONE', 5) : 'silence'),
    })
    const bootstrapped = broker.client({ bootstrap: 'in-process://two', requestTimeoutMs: 60_000 })
    const other = bootstrapped.producer()
    const sent = other.send({ topic: 't', partition: 0, value: 'a' })
    await broker.pass(100)
    hasLeft = true
    const later = other.send({ topic: 'u', partition: 0, value: 'b' }) // asks for metadata
    const startMs = broker.simulation.nowMs
    expect((await broker.settled(sent)).offset).toBe(5)
    await broker.settled(later)
    expect(broker.simulation.nowMs - startMs).toBeLessThan(5_000)
  })

  it('does not bring back a topic that was deleted when another one may be created', async () => {
    const { broker, producer } = await start({
      Metadata: (request) => led(request, [[1, 0]]),
      Produce: (request) => produced(request),
    })
    await broker.settled(producer.send({ topic: 'old', value: 'a' }))
    await broker.settled(producer.send({ topic: 'new', value: 'b' }))
    const permitted = broker
      .requestsOf('Metadata')
      .filter(({ allowAutoTopicCreation }) => allowAutoTopicCreation)
      .map(({ topics }) => topics!.map(({ name }) => name))
    expect(permitted).toEqual([['old'], ['new']])
  })
})
