import { describe, expect, it } from 'vitest'
import { Simulation } from '../../src/env/sim/simulation.ts'
import { ByteReader } from '../../src/bytes/byte-reader.ts'
import { decodeRequest, decodeRequestHeader, encodeResponse } from '../../src/protocol/frame.ts'
import { ClientChannel } from '../../src/rpc/client-channel.ts'
import { FakeConnection } from '../support/fake-connection.ts'
import { seedFromEnv } from '../support/seed.ts'

const SEED = seedFromEnv('client-channel')
const VERSION = 9
const REQUEST = { topics: [], allowAutoTopicCreation: false }

const SILENCE_MS = 300

function open() {
  const simulation = new Simulation({ seed: SEED })
  const connection = new FakeConnection()
  const closed: string[] = []
  let drainCount = 0
  let silentCount = 0
  const channel = new ClientChannel(connection, simulation.env('client').clock, {
    clientId: 'test',
    sendHighWaterBytes: 1000,
    silenceMs: SILENCE_MS,
    onDrain: () => drainCount++,
    onSilent: () => silentCount++,
    onClose: (reason) => closed.push(reason),
  })
  const call = (timeoutMs = 1000, signal?: AbortSignal, expectedMs = 0) =>
    channel.call('Metadata', VERSION, REQUEST, { timeoutMs, signal, expectedMs })
  const frame = (index: number) => joined(connection.sent[index]!)
  const idOf = (index: number) => decodeRequestHeader(new ByteReader(frame(index))).correlationId
  const answer = (correlationId: number, clusterId = 'c') =>
    connection.onMessage(
      joined(encodeResponse('Metadata', VERSION, correlationId, { brokers: [], clusterId, topics: [] })),
    )
  const drains = () => drainCount
  const silences = () => silentCount
  return { simulation, connection, channel, closed, call, frame, idOf, answer, drains, silences }
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(pieces.flatMap((piece) => [...piece]))
}

describe('ClientChannel', () => {
  it('sends without waiting for answers, and gives each call its own', async () => {
    const { call, frame, idOf, answer, channel } = open()
    const calls = [call(), call(), call()]
    expect(channel.inFlight).toBe(3)
    expect(decodeRequest(frame(0))).toMatchObject({ name: 'Metadata', header: { clientId: 'test' } })
    for (const index of [0, 1, 2]) answer(idOf(index), `cluster-${index}`)
    const answers = await Promise.all(calls)
    expect(answers.map(({ clusterId }) => clusterId)).toEqual(['cluster-0', 'cluster-1', 'cluster-2'])
    expect(channel.inFlight).toBe(0)
  })

  it('gives a connection up when an answer is not that of the oldest call', async () => {
    const { call, idOf, answer, connection } = open()
    const calls = [call(), call()]
    answer(idOf(1))
    for (const one of calls)
      await expect(one).rejects.toMatchObject({ code: 'CHANNEL_PROTOCOL_VIOLATED', wasSent: true })
    expect(connection.isClosed).toBe(true)
  })

  it('gives a connection up over an answer that nobody asked for, or that cannot be read', async () => {
    const unasked = open()
    unasked.answer(0)
    expect(unasked.connection.isClosed).toBe(true)
    const broken = open()
    const call = broken.call()
    broken.connection.onMessage(Uint8Array.of(0, 0, 0, broken.idOf(0), 0xff, 0xff))
    await expect(call).rejects.toMatchObject({ code: 'CHANNEL_PROTOCOL_VIOLATED' })
  })

  it('closes when the first call runs out of time, whatever the order of the deadlines', async () => {
    const { simulation, call, connection, channel } = open()
    const slow = call(5_000)
    const fast = call(100)
    const outcomes = Promise.allSettled([slow, fast, call(5_000)])
    await simulation.run(99)
    expect(connection.isClosed).toBe(false)
    await simulation.run(101)
    expect(connection.isClosed).toBe(true)
    for (const outcome of await outcomes) {
      expect(outcome).toMatchObject({
        status: 'rejected',
        reason: { code: 'CHANNEL_TIMED_OUT', wasSent: true },
      })
    }
    expect(channel.isClosed).toBe(true)
  })

  it('keeps the deadlines of the calls behind one that was answered', async () => {
    const { simulation, call, idOf, answer, connection } = open()
    const first = call(50)
    const outcomes = Promise.allSettled([call(200), call(5_000)])
    answer(idOf(0))
    await first
    await simulation.run(199)
    expect(connection.isClosed).toBe(false)
    await simulation.run(201)
    expect(connection.isClosed).toBe(true)
    await outcomes
  })

  it('does not close for calls that were answered in time', async () => {
    const { simulation, call, idOf, answer, connection } = open()
    const first = call(100)
    await simulation.run(50)
    answer(idOf(0))
    await first
    const second = call(100)
    await simulation.run(140)
    expect(connection.isClosed).toBe(false)
    answer(idOf(1))
    await second
    await simulation.run(10_000)
    expect(connection.isClosed).toBe(false)
  })

  it('tells of a peer that owes an answer and says nothing, again and again, and not of one that owes nothing', async () => {
    const { simulation, call, idOf, answer, channel, silences } = open()
    await simulation.run(1000)
    expect(silences()).toBe(0)
    const calls = [call(5_000), call(5_000)]
    await simulation.run(1299)
    expect([silences(), channel.isSilent]).toEqual([0, false])
    await simulation.run(1301)
    expect([silences(), channel.isSilent]).toEqual([1, true])
    await simulation.run(1601)
    expect(silences()).toBe(2)
    answer(idOf(0)) // A word, though it still owes the other answer.
    expect(channel.isSilent).toBe(false)
    await simulation.run(1899)
    expect(silences()).toBe(2)
    await simulation.run(1902)
    expect(silences()).toBe(3)
    answer(idOf(1))
    await Promise.all(calls)
    await simulation.run(4_000)
    expect([silences(), channel.isSilent]).toEqual([3, false])
  })

  it('counts no silence for as long as the request itself lets the peer wait', async () => {
    const { simulation, call, idOf, answer, silences } = open()
    const calls = [call(5_000, undefined, 500), call(5_000)]
    await simulation.run(799)
    expect(silences()).toBe(0)
    await simulation.run(802)
    expect(silences()).toBe(1)
    for (const index of [0, 1]) answer(idOf(index))
    await Promise.all(calls)
  })

  it('an aborted call rejects at once, and its answer is dropped', async () => {
    const { call, idOf, answer, connection } = open()
    const controller = new AbortController()
    const aborted = call(1000, controller.signal)
    const other = call()
    controller.abort('enough')
    await expect(aborted).rejects.toMatchObject({ code: 'CHANNEL_ABORTED', cause: 'enough' })
    answer(idOf(0))
    answer(idOf(1))
    await other
    expect(connection.isClosed).toBe(false)
    await expect(call(1000, controller.signal)).rejects.toMatchObject({
      code: 'CHANNEL_ABORTED',
      wasSent: false,
    })
    expect(connection.sent).toHaveLength(2)
  })

  it('fails what has no answer when the connection breaks, and what comes after', async () => {
    const { call, connection, closed } = open()
    const before = call()
    connection.close('gone')
    await expect(before).rejects.toMatchObject({ code: 'CHANNEL_CLOSED', wasSent: true })
    await expect(call()).rejects.toMatchObject({ code: 'CHANNEL_CLOSED', wasSent: false })
    expect(closed).toEqual(['gone'])
  })

  it('a call that cannot be encoded fails alone', async () => {
    const { call, channel, idOf, answer } = open()
    const good = call()
    const bad = channel.call(
      'Metadata',
      3,
      { topics: [], allowAutoTopicCreation: false },
      { timeoutMs: 1000 },
    )
    await expect(bad).rejects.toMatchObject({ code: 'ENCODE_FAILED' })
    expect(channel.inFlight).toBe(1)
    answer(idOf(0))
    await good
  })

  it('tells when the peer does not take what is sent', () => {
    const { connection, channel, drains } = open()
    connection.bufferedBytes = 1001
    expect(channel.isCongested).toBe(true)
    connection.bufferedBytes = 100
    connection.onDrain()
    expect(channel.isCongested).toBe(false)
    expect(drains()).toBe(1)
  })
})
