import { afterEach, describe, expect, it } from 'vitest'
import { AssertionError } from '../../../src/base/assert.ts'
import { Simulation } from '../../../src/env/sim/simulation.ts'
import { EMPTY_IMAGE } from '../../../src/metadata/cluster-image.ts'
import type {
  BrokerImage,
  ClusterImage,
  PartitionImage,
  TopicImage,
} from '../../../src/metadata/cluster-image.ts'
import { ShardedMap } from '../../../src/metadata/sharded-map.ts'
import type { Ended } from '../../../src/sim/sim-host.ts'
import type { Said } from '../support/sim-cluster.ts'
import { DefectRule } from './defects.ts'
import { DiskLog } from './disk-log.ts'
import { checkKept, checkNobodyWaits, checkNothingLeft, checkStill } from './rest.ts'
import { checkCheckpoints, LeftoverRule } from './storage.ts'

const BROKER = { id: 1, epoch: 5, isFenced: false } as BrokerImage

function still(
  partition: Partial<PartitionImage> = {},
  broker: Partial<BrokerImage> = {},
  controllerEpoch = 1,
) {
  const whole = { leader: 2, leaderEpoch: 3, isr: [1, 2], replicas: [1, 2], ...partition } as PartitionImage
  const topic: TopicImage = { name: 't', id: 'id', partitions: [whole] }
  const named = (key: string) => {
    const draft = ShardedMap.empty<TopicImage>().edit()
    draft.set(key, topic)
    return draft.freeze()
  }
  const image: ClusterImage = {
    ...{ ...EMPTY_IMAGE, brokers: new Map([[1, { ...BROKER, ...broker }]]) },
    ...{ topicsById: named('id'), topicsByName: named('t') },
  }
  return { image, controllerEpoch }
}

describe('A cluster at rest', () => {
  it('S6: has no election, no change of in-sync replicas, nobody fenced, no other controller', () => {
    expect(() => checkStill(still(), still())).not.toThrow()
    expect(() => checkStill(still(), still({ leaderEpoch: 4 }))).toThrow(/^S6: /)
    expect(() => checkStill(still(), still({ isr: [2] }))).toThrow(/^S6: /)
    expect(() => checkStill(still(), still({}, { isFenced: true }))).toThrow(/^S6: /)
    expect(() => checkStill(still(), still({}, { epoch: 6 }))).toThrow(/^S6: /)
    expect(() => checkStill(still(), still({}, {}, 2))).toThrow(/^S6: /)
  })

  it('S6: lets the preferred leader take its place', () => {
    expect(() => checkStill(still(), still({ leader: 1, leaderEpoch: 4 }))).not.toThrow()
  })

  it('S6: has groups whose members keep what they have', () => {
    expect(() => checkKept(['m0: t-0'], ['m0: t-0'])).not.toThrow()
    expect(() => checkKept(['m0: t-0'], ['m0: t-1'])).toThrow(/^S6: /)
  })

  it('S2: has nobody who waits', () => {
    const partition = { topic: 't', index: 0, waitingCount: 0 }
    expect(() => checkNobodyWaits('b1', [partition])).not.toThrow()
    expect(() => checkNobodyWaits('b1', [{ ...partition, waitingCount: 1 }])).toThrow(/^S2: /)
  })

  it('S1: leaves no file, no connection and no timer when it is closed', () => {
    const nothing = { name: 'b1', openFiles: [], connections: [], timers: [] }
    expect(() => checkNothingLeft(nothing)).not.toThrow()
    for (const left of ['openFiles', 'connections', 'timers'] as const)
      expect(() => checkNothingLeft({ ...nothing, [left]: ['one'] })).toThrow(/^S1: /)
  })
})

describe('DefectRule', () => {
  const rules: DefectRule[] = []
  const aRule = (said: readonly Said[], ended: readonly Ended[] = []): DefectRule => {
    const rule = new DefectRule(said, ended)
    rules.push(rule)
    return rule
  }
  const saying = (error: Error): Said => ({
    atMs: 1,
    node: 'b1',
    level: 'error',
    message: 'Stops',
    fields: { error },
  })
  afterEach(() => {
    for (const rule of rules.splice(0)) rule.close()
  })

  it('S4: finds a broken assertion and an error of the language, also as a cause', () => {
    const wrapped = new Error('no', { cause: new AssertionError('expected otherwise') })
    expect(() => aRule([saying(wrapped)]).check()).toThrow(/^S4: /)
    expect(() => aRule([saying(new TypeError('x is undefined'))]).check()).toThrow(/^S4: /)
    expect(() => aRule([saying(new Error('disk full'))]).check()).not.toThrow()
  })

  it('S4: finds a broker that ended by itself, but for its disk', () => {
    const because = (code: string): Error => Object.assign(new Error('ended'), { code })
    const ofDisk = new Error('the quorum stopped', { cause: because('FILE_IO') })
    expect(() => aRule([], [{ node: 'b1', error: ofDisk }]).check()).not.toThrow()
    expect(() => aRule([], [{ node: 'b1', error: because('BROKER_NOT_REGISTERED') }]).check()).toThrow(
      /^S4: /,
    )
  })

  it('S4: finds a rejection that nobody handles', () => {
    const rule = aRule([])
    rule.check()
    process.listeners('unhandledRejection').at(-1)!(new Error('lost'), Promise.resolve())
    expect(() => rule.check()).toThrow(/^S4: /)
  })
})

describe('Files beside a log', () => {
  async function aMachine(files: Readonly<Record<string, string>>) {
    const simulation = new Simulation({ seed: 1 })
    const node = simulation.node('b1')
    node.disk.prepareDirectory('/data/t-0')
    for (const [path, content] of Object.entries(files)) {
      const file = await simulation.runUntil(node.env.files.open(path, 'append'))
      await simulation.runUntil(Promise.resolve(file.append([Buffer.from(content)])))
      await simulation.runUntil(file.sync())
    }
    for (const path of ['/data', '/data/t-0']) await simulation.runUntil(node.env.files.syncDirectory(path))
    return node
  }

  it('D6: a checkpoint on the platter says no more than its log has there', async () => {
    const checked = async (name: string, offset: number): Promise<void> => {
      const node = await aMachine({ [`/data/${name}`]: `0\n1\nt 0 ${offset}\n` })
      checkCheckpoints(node, '/data', (log) => new DiskLog(node, `/data/${log}`, 'durable'))
    }
    await expect(checked('recovery-point-offset-checkpoint', 0)).resolves.toBeUndefined()
    await expect(checked('recovery-point-offset-checkpoint', 1)).rejects.toThrow(/^D6: /)
    await expect(checked('replication-offset-checkpoint', 1)).rejects.toThrow(/^D6: /)
  })

  it('D7: what an earlier life left half done is gone when a broker serves', async () => {
    const path = '/data/t-0/00000000000000000000.log.cleaned'
    const node = await aMachine({ [path]: 'half' })
    const rule = new LeftoverRule(node, '/data')
    rule.began()
    expect(() => rule.serves(() => true)).not.toThrow()
    rule.began()
    expect(() => rule.serves(() => false)).toThrow(/^D7: /)
    rule.began()
    await node.simulation.runUntil(node.env.files.remove(path))
    expect(() => rule.serves(() => false)).not.toThrow()
  })
})
