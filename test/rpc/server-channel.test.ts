import { describe, expect, it } from 'vitest'
import { ByteBudget } from '../../src/rpc/byte-budget.ts'
import { ServerChannel } from '../../src/rpc/server-channel.ts'
import type { Exchange, ServerChannelOptions } from '../../src/rpc/server-channel.ts'
import { FakeConnection } from '../support/fake-connection.ts'

/** Requests named from 100 on may overlap, and so may those from 200 on, with each other. */
const OVERLAPPING_FROM = 100

function open(options: Partial<ServerChannelOptions> = {}) {
  const connection = new FakeConnection()
  const started: Exchange[] = []
  const closed: string[] = []
  const channel = new ServerChannel(connection, {
    inFlightMax: 3,
    sendHighWaterBytes: 1000,
    requestBudget: new ByteBudget(1000),
    responseBudget: new ByteBudget(1000),
    overlapOf: (frame) => (frame[0]! < OVERLAPPING_FROM ? null : Math.floor(frame[0]! / OVERLAPPING_FROM)),
    onRequest: (exchange) => started.push(exchange),
    onClose: (reason) => closed.push(reason),
    ...options,
  })
  const receive = (...names: number[]): void => {
    for (const name of names) connection.onMessage(Uint8Array.of(name))
  }
  const names = (): number[] => started.map((exchange) => exchange.frame[0]!)
  const answer = (index: number): void => started[index]!.respond([started[index]!.frame])
  return { connection, channel, started, closed, receive, names, answer }
}

describe('ServerChannel', () => {
  it('starts a request only when the one before it was answered', () => {
    const { receive, names, answer } = open()
    receive(1, 2)
    expect(names()).toEqual([1])
    answer(0)
    expect(names()).toEqual([1, 2])
  })

  it('starts overlapping requests as they come, and sends their answers in the order of the requests', () => {
    const { connection, receive, names, answer } = open()
    receive(100, 101, 102)
    expect(names()).toEqual([100, 101, 102])
    answer(2)
    answer(1)
    expect(connection.sentNames).toEqual([])
    answer(0)
    expect(connection.sentNames).toEqual([100, 101, 102])
  })

  it('holds an overlapping request back behind one that may not overlap', () => {
    const { receive, names, answer } = open()
    receive(100, 1, 101)
    expect(names()).toEqual([100])
    answer(0)
    expect(names()).toEqual([100, 1])
    answer(1)
    expect(names()).toEqual([100, 1, 101])
  })

  it('holds one of another kind back until all before it were answered', () => {
    const { receive, names, answer } = open()
    receive(100, 101, 200)
    expect(names()).toEqual([100, 101])
    answer(0)
    expect(names()).toEqual([100, 101])
    answer(1)
    expect(names()).toEqual([100, 101, 200])
  })

  it('goes on with the requests behind one whose handling threw, when that is answered', () => {
    const started: Exchange[] = []
    const { receive } = open({
      onRequest: (exchange) => {
        started.push(exchange)
        if (started.length === 1) throw new Error('broken')
      },
    })
    expect(() => receive(1)).toThrow('broken')
    receive(2)
    expect(started).toHaveLength(1)
    started[0]!.respond([])
    expect(started.map((exchange) => exchange.frame[0])).toEqual([1, 2])
  })

  it('X20: stops reading at the bound of unanswered requests and goes on below it', () => {
    const { connection, receive, answer } = open({ inFlightMax: 2 })
    receive(100, 101)
    expect(connection.isPaused).toBe(true)
    answer(0)
    expect(connection.isPaused).toBe(false)
  })

  it('X19: starts nothing for a peer that leaves its answers lying, until it drained', () => {
    const responseBudget = new ByteBudget(100)
    const { connection, receive, names, answer } = open({ responseBudget })
    receive(1, 2)
    connection.bufferedBytes = 1001
    answer(0)
    expect(names()).toEqual([1])
    expect(connection.isPaused).toBe(true)
    expect(responseBudget.usedBytes).toBe(1001)
    connection.bufferedBytes = 0
    connection.onDrain()
    expect(names()).toEqual([1, 2])
    expect(responseBudget.usedBytes).toBe(0)
  })

  it('stops reading while all connections together hold more request bytes than the budget', () => {
    const requestBudget = new ByteBudget(1)
    const first = open({ requestBudget })
    const second = open({ requestBudget })
    first.receive(100)
    second.receive(100)
    expect(second.connection.isPaused).toBe(true)
    first.answer(0)
    expect(second.connection.isPaused).toBe(false)
    second.answer(0)
    expect(requestBudget.usedBytes).toBe(0)
  })

  it('gives back what it held of the budgets when the connection closes', async () => {
    const requestBudget = new ByteBudget(10)
    const { channel, receive, closed, started } = open({ requestBudget })
    receive(100, 101)
    expect(requestBudget.usedBytes).toBe(2)
    channel.close('test')
    await Promise.resolve()
    expect(closed).toEqual(['test'])
    expect(requestBudget.usedBytes).toBe(0)
    started[0]!.respond([started[0]!.frame])
    expect(requestBudget.usedBytes).toBe(0)
  })

  it('sends nothing for a request that wants no answer, and goes on', () => {
    const { connection, receive, names, started } = open()
    receive(1, 2)
    started[0]!.respond(null)
    expect(connection.sentNames).toEqual([])
    expect(names()).toEqual([1, 2])
  })

  it('answers what it began before it closes, and starts nothing new', async () => {
    const { connection, channel, receive, names, answer, closed } = open()
    receive(100, 101, 1)
    channel.closeWhenIdle()
    answer(0)
    expect(connection.isClosed).toBe(false)
    answer(1)
    await Promise.resolve()
    expect(connection.sentNames).toEqual([100, 101])
    expect(names()).toEqual([100, 101])
    expect(closed).toHaveLength(1)
  })
})
