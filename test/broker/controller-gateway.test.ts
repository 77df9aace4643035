import { describe, expect, it } from 'vitest'
import { ControllerGateway } from '../../src/broker/controller-gateway.ts'
import type { LocalController } from '../../src/broker/controller-gateway.ts'
import type { RequestOf } from '../../src/protocol/apis.ts'
import { ManualClock, settle } from '../controller/support.ts'

const request: RequestOf<'AllocateProducerIds'> = { brokerId: 1, brokerEpoch: 1 }
/** Says only how it refused. */
const local = {
  refuse: (_api: string, _request: unknown, error: string, message: string) => ({ error, message }),
} as unknown as LocalController

/** A gateway of a node that knows of no controller. */
function open() {
  const clock = new ManualClock()
  const gateway = new ControllerGateway(
    { clock },
    {
      ...{ nodeId: 1, leaderId: () => null, local },
      peer: () => {
        throw new Error('Nobody leads')
      },
    },
  )
  let answer: unknown = null
  void gateway.call('AllocateProducerIds', request, 1000).then((found) => (answer = found))
  return { clock, gateway, answer: () => answer }
}

describe('ControllerGateway', () => {
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
