/**
 * The whole broker dies before disk operations of its life, in every way, and comes back: what clients were promised
 * is there, once, and nothing else (docs/faults.md section 4, the crash-point rule; D1, D2, D6, D7, M11, P1, TX-1, TX-2,
 * ST-6, ST-12, ST-13, RP-21). The life makes some hundreds of disk operations; each test takes every few of them, from a
 * place that the seed draws, so that runs with other seeds reach the others: SEED=… SIM_STRIDE=1 takes them all.
 */
import { describe, expect, it } from 'vitest'
import type { PowerCutModes } from '../../src/env/sim/disk-image.ts'
import { SimBroker, startOn } from '../broker/support/sim-broker.ts'
import { seedFromEnv } from '../support/seed.ts'
import { RawClient } from '../support/raw-client.ts'
import type { Call } from './broker-model.ts'
import { BrokerModel } from './broker-model.ts'

const SEED = seedFromEnv('broker crash points')
const STRIDE = Number(process.env['SIM_STRIDE'] ?? '27')
/** For runs of every crash point. */
const TEST_MS_MAX = 600_000
const SETTINGS = {
  'log.flush.offset.checkpoint.interval.ms': '100',
  'log.retention.check.interval.ms': '100',
  'log.tail.cache.bytes': '2000',
  'log.segment.bytes': '1024',
  'log.index.interval.bytes': '0',
  'log.segment.delete.delay.ms': '50',
}

interface World {
  readonly host: SimBroker
  readonly model: BrokerModel
  /** The script has ended. */
  isDone: boolean
}

function build(name: string): World {
  return {
    host: new SimBroker({ seed: `${SEED} ${name}`, settings: SETTINGS }),
    model: new BrokerModel(),
    isDone: false,
  }
}

/** A client's calls; those that the broker does not live to answer never settle. */
function callsOf(client: RawClient): Call {
  return (api, version, body) =>
    client.call(api, version, body).catch((error: unknown) => {
      if (client.isClosed) return new Promise(() => undefined)
      throw error
    })
}

/** The life: two runs of the broker on one disk, with everything that changes it. */
async function live({ host, model }: World): Promise<void> {
  const { simulation } = host
  const pause = (ms: number) =>
    new Promise<void>((resolve) => simulation.env('client').clock.after(ms, resolve))
  const connect = async () => callsOf(new RawClient(await host.dial()))

  const first = await startOn(host.node.env, SETTINGS)
  let [call, other] = [await connect(), await connect()]
  await model.createTopic(call, 'a', 2, {})
  await model.createTopic(call, 'b', 1, {})
  const a = model.find('a')!
  const producer = (await model.newProducer(call))!
  const burst = async (count: number) => {
    const sends: Promise<void>[] = []
    for (let index = 0; index < count; index++) {
      sends.push(model.produce(call, a, 0, 2, producer))
      sends.push(model.produce(other, a, 1, 1 + (index % 3), null))
      sends.push(model.produce(other, model.find('b')!, 0, 2, null))
    }
    await Promise.all(sends)
  }
  await burst(5)
  await model.deleteRecords(call, a, 0, 5)
  await model.setRetention(call, model.find('b')!, '100000')
  await pause(120)
  await burst(4)
  await model.deleteTopic(call, model.find('b')!)
  await model.createTopic(call, 'b', 1, {})
  await model.createPartitions(call, a)
  await Promise.all([model.produce(call, a, 2, 1, null), burst(2)])
  await model.deleteRecords(call, a, 1, 8)
  await first.close()

  const second = await startOn(host.node.env, SETTINGS)
  ;[call, other] = [await connect(), await connect()]
  await burst(3)
  await pause(120)
  await model.createTopic(call, 'c', 1, {})
  await model.deleteTopic(call, model.find('c')!)
  await second.close()
}

type Death = (host: SimBroker) => void
const kill: Death = ({ node }) => node.crash()
const cutPower =
  (modes: PowerCutModes = {}): Death =>
  ({ node }) =>
    node.powerCut(modes)

/** Lives until the disk operation with this number and dies in its place. @returns False if there is none. */
async function dieAt(world: World, operation: number, die: Death): Promise<boolean> {
  const { host } = world
  const { node } = host
  const firstOperation = node.disk.operationCount
  node.disk.onOperation = (number) => {
    if (number - firstOperation === operation) die(host)
  }
  const failures: unknown[] = []
  live(world).then(
    () => (world.isDone = true),
    (error: unknown) => failures.push(error),
  )
  await host.run(() => world.isDone || failures.length > 0 || !node.isUp)
  node.disk.onOperation = () => undefined
  if (failures.length > 0 && node.isUp) throw failures[0]
  return !world.isDone
}

async function comeBack({ host, model }: World): Promise<void> {
  if (!host.node.isUp) host.node.restart()
  await host.start()
  const call: Call = (api, version, body) => host.call(api, version, body)
  expect(host.broker.unreadiness()).toEqual([])
  await model.check(call)
  await model.retryIdempotent(call)
  await model.check(call)
  await model.createTopic(call, 'after', 1, {})
  await model.produce(call, model.find('after')!, 0, 1, await model.newProducer(call))
  await host.restart('close')
  await model.check(call)
  const left = await host.run(host.node.env.files.list('/data/broker'))
  expect(
    left.filter((name) => name.endsWith('.tmp')),
    'D7: nothing temporary is left',
  ).toEqual([])
}

async function sample(name: string, die: Death): Promise<{ tried: number; last: number }> {
  let tried = 0
  for (let operation = 1 + (SEED % STRIDE); ; operation += STRIDE) {
    const world = build(`${name} ${operation}`)
    if (!(await dieAt(world, operation, die))) {
      console.log(`${name}: ${tried} crash points of some ${operation}`)
      return { tried, last: operation }
    }
    tried++
    try {
      await comeBack(world)
    } catch (error) {
      throw new Error(`SEED=${SEED}, ${name} before operation ${operation}`, { cause: error })
    }
  }
}

describe('A broker that dies before any one disk operation', () => {
  it.each<[string, Death]>([
    ['D1 D2 D6 D7 M11 TX-1: keeps its promises after kill -9', kill],
    [
      'D1 ST-6 M11: keeps them after a power cut that loses all that was not synced',
      cutPower({ data: 'lost', names: 'lost' }),
    ],
    ['D2 ST-1 TX-1: keeps them after a power cut that keeps, tears and reorders at will', cutPower()],
    [
      'D2 ST-6: keeps them when names survive and bytes do not',
      cutPower({ data: 'zero-tail', names: 'kept' }),
    ],
    [
      'D2 ST-6: keeps them when bytes survive and some names do not',
      cutPower({ data: 'kept', names: 'subset' }),
    ],
  ])(
    '%s',
    async (name, die) => {
      const { tried } = await sample(name.split(':')[0]!, die)
      expect(tried).toBeGreaterThan(10)
    },
    TEST_MS_MAX,
  )

  it('ST-12: comes back after power cuts during recovery, one before each few of its operations', async () => {
    for (const operation of [60, 150, 240, 330]) {
      const world = build(`recovery ${operation}`)
      if (!(await dieAt(world, operation, cutPower()))) break
      const { host } = world
      const { node } = host
      for (let step = 1; step < 60; step += 4) {
        node.restart()
        const first = node.disk.operationCount
        node.disk.onOperation = (number) => {
          if (number - first === step) node.powerCut()
        }
        let isUp = false
        void startOn(node.env, SETTINGS).then(() => (isUp = true))
        await host.run(() => isUp || !node.isUp)
        node.disk.onOperation = () => undefined
        if (node.isUp) node.powerCut()
      }
      await comeBack(world)
    }
  })

  it('S7: does the same with the same seed', async () => {
    const run = async () => {
      const world = build('twice')
      await dieAt(world, 200, cutPower())
      await comeBack(world)
      return world.host.simulation.trace.hash
    }
    expect(await run()).toBe(await run())
  })
})
