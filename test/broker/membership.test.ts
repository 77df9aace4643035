import { describe, expect, it } from 'vitest'
import { Membership } from '../../src/broker/membership.ts'
import type { MembershipGateway, MembershipOptions } from '../../src/broker/membership.ts'
import { silentLogger } from '../../src/env/index.ts'
import type { RequestOf, ResponseOf } from '../../src/protocol/apis.ts'
import { errorCode } from '../../src/protocol/errors.ts'
import type { ErrorName } from '../../src/protocol/errors.ts'
import { ManualClock, settle } from '../controller/support.ts'

type Heartbeat = RequestOf<'BrokerHeartbeat'>
type Answer = ResponseOf<'BrokerHeartbeat'>

const answer = (error: 'NONE' | 'NOT_CONTROLLER', shouldShutDown = false): Answer => ({
  ...{ throttleTimeMs: 0, errorCode: errorCode(error) },
  ...{ isCaughtUp: true, isFenced: false, shouldShutDown },
})

const optionsOf = (cluster: { readonly hasHeirs: boolean }): MembershipOptions => ({
  registration: {
    ...{ brokerId: 1, clusterId: 'c', incarnationId: 'i', listeners: [], features: [], rack: null },
    ...{ isMigratingZkBroker: false, logDirs: [] },
  },
  ...{ previousBrokerEpoch: -1, isAlone: false, heartbeatMs: 100, sessionMs: 1000 },
  metadataEndOffset: () => 10,
  hasHeirs: () => cluster.hasHeirs,
  onReplaced: () => undefined,
})

/** A registered broker whose heartbeats the test answers. */
async function join(controller: (request: Heartbeat) => Answer | Promise<Answer>) {
  const clock = new ManualClock()
  const warnings: string[] = []
  const cluster = { hasHeirs: true }
  const gateway = {
    call: (api: string, request: unknown) =>
      Promise.resolve(
        api === 'BrokerRegistration'
          ? { throttleTimeMs: 0, errorCode: 0, brokerEpoch: 7 }
          : controller(request as Heartbeat),
      ),
  } as MembershipGateway
  const membership = new Membership(
    { clock, logger: { ...silentLogger, warn: (message) => warnings.push(message) } },
    gateway,
    optionsOf(cluster),
  )
  await membership.join()
  let leftMs: number | null = null
  const leave = async (passMs: number): Promise<number | null> => {
    void membership.leave().then(() => (leftMs = clock.monotonicMs()))
    await settle()
    await clock.pass(passMs, 10)
    return leftMs
  }
  return { clock, cluster, warnings, leave }
}

describe('Membership.leave()', () => {
  it('asks until the controller says that others lead', async () => {
    const asked: boolean[] = []
    const { leave, warnings } = await join(({ wantShutDown }) => {
      asked.push(wantShutDown)
      return answer('NONE', asked.length === 3)
    })

    expect(await leave(1000)).toBe(100)
    expect(asked).toEqual([true, true, true])
    expect(warnings).toEqual([])
  })

  it('warns when there is no controller to hand over by, and does not wait for one for ever', async () => {
    const { leave, warnings } = await join(() => answer('NOT_CONTROLLER'))

    expect(await leave(2000)).toBe(1000)
    expect(warnings).toEqual([expect.stringContaining('without a word of the controller')])
  })

  it('does not wait for an answer that needs a majority which is gone', async () => {
    const { leave, warnings, clock } = await join(() => new Promise(() => undefined))

    expect(await leave(2000)).toBe(1000)
    expect(warnings).toHaveLength(1)
    expect(clock.timerCount).toBe(0)
  })

  it('goes soon and without complaint when all others have gone or go, too', async () => {
    const { leave, warnings, cluster } = await join(() => new Promise(() => undefined))
    cluster.hasHeirs = false

    expect(await leave(2000)).toBe(200)
    expect(warnings).toEqual([])
  })
})

describe('Membership.join()', () => {
  it('is given up at once when the broker stops', async () => {
    const clock = new ManualClock()
    const gateway = {
      call: () =>
        Promise.resolve({ throttleTimeMs: 0, errorCode: errorCode('NOT_CONTROLLER'), brokerEpoch: -1 }),
    } as unknown as MembershipGateway
    const membership = new Membership({ clock, logger: silentLogger }, gateway, optionsOf({ hasHeirs: true }))
    let failure: unknown = null
    void membership.join().catch((error: unknown) => (failure = error))
    await clock.pass(5000, 50)

    membership.stop()
    await settle()

    expect(failure).toMatchObject({ code: 'BROKER_NOT_REGISTERED' })
    expect(clock.timerCount).toBe(0)
  })
})

describe('Membership.join()', () => {
  const joined = async (error: ErrorName) => {
    const clock = new ManualClock()
    const refusal = { throttleTimeMs: 0, errorCode: errorCode(error), brokerEpoch: -1 }
    const gateway = { call: () => Promise.resolve(refusal) } as unknown as MembershipGateway
    const membership = new Membership({ clock, logger: silentLogger }, gateway, optionsOf({ hasHeirs: true }))
    let outcome: string | null = null
    membership.join().catch((failure: unknown) => (outcome = (failure as Error).message))
    await settle()
    return { clock, membership, outcomeOf: () => outcome }
  }

  it('fails at once when the cluster uses what this version does not know, and says which to run', async () => {
    const { outcomeOf } = await joined('UNSUPPORTED_VERSION')
    expect(outcomeOf()).toBe(
      'Registering broker 1 failed: the cluster uses what this version does not know. Run the version of millrace that its other brokers run',
    )
  })

  it('ST-8: waits for as long as the controller’s disk is full, and says so', async () => {
    const { clock, membership, outcomeOf } = await joined('KAFKA_STORAGE_ERROR')
    await clock.pass(600_000, 1000)
    expect(outcomeOf()).toBeNull()
    expect(membership.obstacle).toBe('the controller’s disk is full: make room there')
    membership.stop()
  })

  it('waits for the session of an earlier life to end, says so, and fails when it is no earlier life', async () => {
    const { clock, membership, outcomeOf } = await joined('DUPLICATE_BROKER_REGISTRATION')
    await clock.pass(1900, 10)
    expect(outcomeOf()).toBeNull()
    expect(membership.obstacle).toContain('another process of this node.id')
    await clock.pass(2000, 10)
    expect(outcomeOf()).toContain(
      'another process runs under this node.id. Stop it, or give this one another',
    )
  })
})
