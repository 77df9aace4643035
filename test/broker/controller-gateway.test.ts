import { describe, expect, it } from 'vitest'
import { ControllerGateway } from '../../src/broker/controller-gateway.ts'
import type { LocalController } from '../../src/broker/controller-gateway.ts'
import type { PeerChannel } from '../../src/rpc/peer-channel.ts'
import type { RequestOf } from '../../src/protocol/apis.ts'
import { ManualClock, settle } from '../controller/support.ts'

const request: RequestOf<'AllocateProducerIds'> = { brokerId: 1, brokerEpoch: 1 }
/** Says only how it refused. */
const local = {
  refuse: (_api: string, _request: unknown, error: string, message: string) => ({ error, message }),
} as unknown as LocalController

function nobody(): never {
  throw new Error('Nobody leads')
}

/** A gateway of a node that knows of no controller. */
function open() {
  const clock = new ManualClock()
  const gateway = new ControllerGateway(
    { clock },
    {
      ...{ nodeId: 1, leaderId: () => null, local },
      control: nobody,
      admin: nobody,
    },
  )
  let answer: unknown = null
  void gateway.call('AllocateProducerIds', request, 1000).then((found) => (answer = found))
  return { clock, gateway, answer: () => answer }
}

describe('ControllerGateway', () => {
  it('never lets heartbeats wait behind what clients ask: that waits for heartbeats', () => {
    const asked: string[] = []
    const channel = (purpose: string) => () =>
      ({
        call: (api: string) => {
          asked.push(`${purpose} ${api}`)
          return new Promise(() => undefined)
        },
      }) as unknown as PeerChannel
    const gateway = new ControllerGateway(
      { clock: new ManualClock() },
      {
        ...{ nodeId: 1, leaderId: () => 2, local },
        ...{ control: channel('control'), admin: channel('admin') },
      },
    )
    const topics = { topics: [], timeoutMs: 1000, validateOnly: false }
    const heartbeat = {
      ...{ brokerId: 1, brokerEpoch: 1, currentMetadataOffset: 1 },
      ...{ wantFence: false, wantShutDown: false, offlineLogDirs: [] },
    }

    void gateway.call('CreateTopics', topics, 1000)
    void gateway.call('BrokerHeartbeat', heartbeat, 1000)

    expect(asked).toEqual(['admin CreateTopics', 'control BrokerHeartbeat'])
  })

  it('waits for a controller until the time of the call is up', async () => {
    const { clock, answer } = open()
    await clock.pass(990, 10)
    expect(answer()).toBeNull()
    await clock.pass(10, 10)
    expect(answer()).toMatchObject({ error: 'NOT_CONTROLLER' })
    expect(clock.timerCount).toBe(0)
  })

  it('close() refuses calls that wait, whatever time they have left', async () => {
    const { clock, gateway, answer } = open()
    await clock.pass(100, 10)
    gateway.close()
    await clock.pass(30, 10)
    expect(answer()).toMatchObject({ error: 'NOT_CONTROLLER' })
    await settle()
    expect(clock.timerCount).toBe(0)
  })
})
