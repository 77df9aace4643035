/**
 * A leader whose disk stays full (docs/faults.md "A full disk", ST-8): it gives its partitions to those who have room, and comes
 * back when it has some again.
 */
import { describe, expect, it } from 'vitest'
import { ClusterLoad } from './support/cluster-load.ts'
import { SESSION_MS, SimCluster } from './support/sim-cluster.ts'
import type { Host } from './support/sim-cluster.ts'

const TOPIC = 'orders'
const PLACES = [{ topic: TOPIC, partition: 0 }]
/** A broker is deaf after a session, which is 1.5 s here, and asks for new epochs every 5 s at least; and some for the work. */
const GIVING_UP_MS = 8000
const PLENTY_BYTES = 2 ** 40

async function underLoad(
  brokers = 3,
  replicationFactor = 3,
): Promise<{ cluster: SimCluster; load: ClusterLoad; leader: Host }> {
  const cluster = await SimCluster.start({
    seed: 'full disk',
    brokers,
    settings: {
      'leader.imbalance.check.interval.seconds': '1',
      'min.insync.replicas': String(replicationFactor - 1),
    },
  })
  const ids = cluster.hosts.map(({ id }) => id)
  const isController = (id: number): boolean => cluster.controller?.id === id
  const replicas = [...ids.filter((id) => !isController(id)), ...ids.filter(isController)]
  await cluster.createTopic(TOPIC, { assignments: [replicas.slice(0, replicationFactor)] })
  const load = new ClusterLoad(cluster, { places: PLACES, producers: [{}], consumers: [100_000] })
  await load.progress(200)
  return { cluster, load, leader: cluster.leader(TOPIC)! }
}

describe('A leader whose disk stays full', () => {
  it('ST-8: lets another lead, which takes what producers send, and leads again when it has room', async () => {
    const { cluster, load, leader } = await underLoad()
    leader.node.disk.freeBytes = 0
    await cluster.run(() => ![null, leader].includes(cluster.leader(TOPIC)), GIVING_UP_MS)
    await load.progress(50)
    leader.node.disk.freeBytes = PLENTY_BYTES
    await cluster.untilWhole()
    await cluster.run(() => cluster.leader(TOPIC) === leader)
    await load.progress()
    await load.finish()
  })

  it('ST-8 S3: takes records again soon after there is room, also if the controller had none to write down its new epoch', async () => {
    const { cluster, load, leader } = await underLoad()
    const wasRefused = (): boolean =>
      cluster.said.some(({ message }) => message.startsWith('Asked for new leader epochs: refused'))
    const { disk } = cluster.controller!.node
    disk.freeBytes = 0
    leader.node.disk.freeBytes = 0
    await cluster.run(wasRefused, SESSION_MS)
    disk.freeBytes = PLENTY_BYTES
    leader.node.disk.freeBytes = PLENTY_BYTES
    await load.progress(20, SESSION_MS)
    await cluster.untilWhole()
    await load.finish()
  })

  it('ST-8 S4: a broker that begins while the controller’s disk is full does not give up', async () => {
    const { cluster, load } = await underLoad()
    const controller = cluster.controller!
    const other = cluster.hosts.find((host) => host !== controller)!
    controller.node.disk.freeBytes = 0
    cluster.kill(other, 'crash')
    await cluster.run(cluster.revive(other), GIVING_UP_MS)
    expect(cluster.ended).toEqual([])
    controller.node.disk.freeBytes = PLENTY_BYTES
    await cluster.untilWhole()
    await load.progress()
    await load.finish()
  })

  it('ST-8: a disk that is full again and again loses nothing', async () => {
    const { cluster, load, leader } = await underLoad()
    for (let round = 0; round < 30; round++) {
      leader.node.disk.freeBytes = 0
      await cluster.pass(150 * (round % 5))
      leader.node.disk.freeBytes = PLENTY_BYTES
      await load.progress(5)
    }
    await cluster.untilWhole()
    await cluster.run(() => cluster.leader(TOPIC) === leader)
    await load.finish()
  })

  it('ST-8: when all replicas are full one leads on, and the first to have room takes records', async () => {
    // Five, so that the metadata go on without those that are full.
    for (const isFirst of [true, false]) {
      const { cluster, load, leader } = await underLoad(5, 2)
      const other = cluster.hosts.find(
        ({ id }) => id !== leader.id && cluster.partition(TOPIC).isr.includes(id),
      )!
      for (const { node } of [leader, other]) node.disk.freeBytes = 0
      await cluster.pass(3 * GIVING_UP_MS)
      expect(cluster.partition(TOPIC).leader).not.toBeNull()
      const [first, last] = isFirst ? [leader, other] : [other, leader]
      first.node.disk.freeBytes = PLENTY_BYTES
      await load.progress(50, 2 * GIVING_UP_MS)
      expect(cluster.partition(TOPIC).leader).toBe(first.id)
      last.node.disk.freeBytes = PLENTY_BYTES
      await cluster.untilWhole()
      await load.progress()
      await load.finish()
    }
  })

  it('ST-8: the last that is in sync leads on', async () => {
    const { cluster, load, leader } = await underLoad(5, 2)
    const other = cluster.hosts.find(
      ({ id }) => id !== leader.id && cluster.partition(TOPIC).isr.includes(id),
    )!
    cluster.kill(other, 'crash')
    await cluster.run(() => cluster.partition(TOPIC).isr.length === 1)
    leader.node.disk.freeBytes = 0
    await cluster.pass(3 * GIVING_UP_MS)
    expect(cluster.partition(TOPIC)).toMatchObject({ leader: leader.id, isr: [leader.id] })
    leader.node.disk.freeBytes = PLENTY_BYTES
    void cluster.revive(other)
    await cluster.untilWhole()
    await load.progress()
    await load.finish()
  })
})
