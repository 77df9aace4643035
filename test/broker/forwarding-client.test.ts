/** One client connection whose requests go elsewhere: what is under way together, what waits, and what ends with it. */
import { describe, expect, it } from 'vitest'
import { ForwardingClient } from '../../src/broker/forwarding-client.ts'
import type { Answer, ForwardingPorts, PassedAnswer } from '../../src/broker/forwarding-client.ts'
import { AnswerRoom } from '../../src/broker/answer-room.ts'
import type { RoutedRequest } from '../../src/broker/request-route.ts'
import type { RequestContext } from '../../src/broker/services.ts'
import { Simulation } from '../../src/env/sim/simulation.ts'
import { decodeRequest, encodeRequest } from '../../src/protocol/frame.ts'
import type { RequestInputOf } from '../../src/protocol/apis.ts'
import { ByteBudget } from '../../src/rpc/byte-budget.ts'
import { ChannelError } from '../../src/rpc/client-channel.ts'
import { ServerChannel } from '../../src/rpc/server-channel.ts'
import { FakeConnection } from '../support/fake-connection.ts'
import { fetchRequest, makeBatch, produceRequest } from './support/batches.ts'

/** A call that is under way at another broker. */
interface Call {
  readonly nodeId: number
  readonly name: string
  readonly frame: Uint8Array
  answer(bytes: Uint8Array | null, more?: { readonly closeReason?: string }): void
  fail(wasSent: boolean): void
}

class Stage {
  readonly connection = new FakeConnection()
  readonly calls: Call[] = []
  readonly leases: string[] = []
  readonly answeredHere: string[] = []
  /** Who answers by now. */
  answerer: number | null = 2
  readonly client: ForwardingClient
  readonly channel: ServerChannel

  constructor() {
    const clock = new Simulation({ seed: 1 }).env('broker').clock
    const budget = new ByteBudget(1_000_000)
    this.channel = new ServerChannel(this.connection, {
      ...{ inFlightMax: 100, sendHighWaterBytes: 1000, requestBudget: budget, responseBudget: budget },
      ...{ overlapOf: () => 1, onRequest: () => undefined, onClose: () => undefined },
    })
    const services = {
      ...{ clock, responseBudget: budget, counters: { forwardedCount: 0 } },
    } as unknown as ForwardingPorts['services']
    this.client = new ForwardingClient(
      {
        ...{ clock, services, answerRoom: new AnswerRoom(1_000_000) },
        answererOf: () => this.answerer,
        partsOf: () => null,
        acquire: (nodeId, kind) => {
          this.leases.push(`${nodeId} ${kind}`)
          const open = new Set<(error: Error) => void>()
          const call = (_: string, body: RequestInputOf<'Forward'>): Promise<unknown> =>
            new Promise((resolve, reject) => {
              open.add(reject)
              const frame = body.request as Uint8Array
              const { name } = decodeRequest(frame)
              this.calls.push({
                ...{ nodeId, frame, name: name ?? '' },
                answer: (answer, more = {}) =>
                  resolve({ answer, hasFailed: false, closeReason: null, ...more }),
                fail: (wasSent) => reject(new ChannelError('CHANNEL_CLOSED', 'lost', wasSent)),
              })
            })
          return Promise.resolve({
            channel: { call } as never,
            release: () => void this.leases.push(`released ${nodeId}`),
            abandon: () => {
              this.leases.push(`abandoned ${nodeId}`)
              for (const reject of open) reject(new ChannelError('CHANNEL_CLOSED', 'abandoned', true))
            },
          })
        },
      },
      this.channel,
    )
  }

  produce(sequence: number): Promise<Answer> {
    const batch = makeBatch({ producerId: 5, producerEpoch: 0, baseSequence: sequence })
    return this.#ask(encodeRequest('Produce', 9, sequence, 'c', produceRequest({ name: 'events' }, batch)), {
      responses: [],
    })
  }

  commit(groupId: string): Promise<Answer> {
    const body = { groupId, generationIdOrMemberEpoch: 1, memberId: 'm', topics: [] }
    return this.#ask(encodeRequest('OffsetCommit', 8, 1, 'c', body), { topics: [] })
  }

  fetch(): Promise<Answer> {
    return this.#ask(encodeRequest('Fetch', 12, 1, 'c', fetchRequest({ name: 'events' })), { responses: [] })
  }

  /** Lets promises settle. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < 20; turn++) await Promise.resolve()
  }

  #ask(pieces: readonly Uint8Array[], hereBody: object): Promise<Answer> {
    const frame = new Uint8Array(Buffer.concat(pieces))
    const request = decodeRequest(frame) as RoutedRequest
    const context = {
      ...{ apiVersion: request.header.apiVersion, listenerName: 'any', transport: 'websocket' },
      ...{ isForwarded: false, connection: this.channel, clientHost: '/client' },
    } as unknown as RequestContext
    const here = (): never => {
      this.answeredHere.push(request.name)
      return hereBody as never
    }
    return Promise.resolve(this.client.handle({ request, frame, context, here }))
  }
}

describe('ForwardingClient', () => {
  it('has one channel for a run of writes, and gives it back when all have their answers', async () => {
    const stage = new Stage()
    const answers = [stage.produce(0), stage.produce(1)]
    await stage.settle()
    expect(stage.leases).toEqual(['2 brief'])
    stage.calls[0]!.answer(Uint8Array.of(1))
    await answers[0]
    expect(stage.leases).toEqual(['2 brief'])
    stage.calls[1]!.answer(Uint8Array.of(2))
    expect(((await answers[1]) as PassedAnswer).frame).toEqual(Uint8Array.of(2))
    expect(stage.leases).toEqual(['2 brief', 'released 2'])
  })

  it('passes the frame on as it came, the same bytes and no copy of them', async () => {
    const stage = new Stage()
    const answer = stage.fetch()
    await stage.settle()
    const frame = Uint8Array.of(9, 9)
    stage.calls[0]!.answer(frame)
    expect(((await answer) as PassedAnswer).frame).toBe(frame)
    expect(decodeRequest(stage.calls[0]!.frame).name).toBe('Fetch')
  })

  it('lets a write for another broker, or for this one, wait until those before it have their answers', async () => {
    const stage = new Stage()
    void stage.produce(0)
    await stage.settle()
    stage.answerer = 3
    const second = stage.produce(1)
    const third = stage.produce(2)
    await stage.settle()
    expect(stage.calls.map(({ nodeId }) => nodeId)).toEqual([2])

    stage.calls[0]!.answer(Uint8Array.of(1))
    await stage.settle()
    expect(stage.calls.map(({ nodeId }) => nodeId)).toEqual([2, 3, 3])
    stage.answerer = null
    const here = stage.produce(3)
    await stage.settle()
    expect(stage.answeredHere).toEqual([])
    stage.calls[1]!.answer(Uint8Array.of(2))
    stage.calls[2]!.answer(Uint8Array.of(3))
    await Promise.all([second, third, here])
    expect(stage.answeredHere).toEqual(['Produce'])
  })

  it('CG-2: has commits of many groups under way together, of those that one broker coordinates', async () => {
    const stage = new Stage()
    const answers = [stage.commit('a'), stage.commit('b')]
    stage.answerer = 3
    answers.push(stage.commit('c'))
    await stage.settle()
    expect(stage.calls.map(({ nodeId }) => nodeId)).toEqual([2, 2])
    stage.calls[0]!.answer(Uint8Array.of(1))
    stage.calls[1]!.answer(Uint8Array.of(2))
    await Promise.all(answers.slice(0, 2))
    await stage.settle()
    expect(stage.leases).toEqual(['2 brief', 'released 2', '3 brief'])
    stage.calls[2]!.answer(Uint8Array.of(3))
    expect(((await answers[2]) as PassedAnswer).frame).toEqual(Uint8Array.of(3))
  })

  it('answers here what did not get there', async () => {
    const stage = new Stage()
    const answer = stage.fetch()
    await stage.settle()
    stage.calls[0]!.fail(false)
    expect(await answer).toEqual({ responses: [] })
    expect(stage.answeredHere).toEqual(['Fetch'])
    expect(stage.leases).toEqual(['2 standing', 'abandoned 2'])
  })

  it('ends what stands elsewhere when the client is gone, and when this broker stops', async () => {
    for (const end of ['gone', 'stops'] as const) {
      const stage = new Stage()
      const answer = stage.fetch()
      await stage.settle()
      if (end === 'gone') stage.connection.close()
      else stage.channel.closeWhenIdle()
      await stage.settle()
      expect(stage.leases, end).toEqual(['2 standing', 'abandoned 2'])
      await answer
    }
  })

  it('waits for writes that were begun when this broker stops, and gives them up when the client is gone', async () => {
    const stage = new Stage()
    // The broker keeps a connection open while something that it has begun on it has no answer.
    stage.connection.close = () => undefined
    const answer = stage.produce(0)
    await stage.settle()
    stage.channel.closeWhenIdle()
    await stage.settle()
    expect(stage.leases).toEqual(['2 brief'])
    stage.connection.onClose('the client is gone')
    await stage.settle()
    expect(stage.leases).toEqual(['2 brief', 'abandoned 2'])
    expect(await answer).toMatchObject({ responses: [{ partitionResponses: [{ index: 0, errorCode: 7 }] }] })
  })

  it('closes the client’s connection when the other broker says so', async () => {
    const stage = new Stage()
    const answer = stage.produce(0)
    await stage.settle()
    stage.calls[0]!.answer(null, { closeReason: 'Produce with acks=0 failed' })
    expect(((await answer) as PassedAnswer).frame).toBeNull()
    expect(stage.connection.isClosed).toBe(true)
  })
})
