/**
 * Rot that a read of a running replica meets (docs/faults.md ST-2, D3): another in-sync replica leads, and the damaged one is
 * fetched anew; the last one in sync serves on what it can.
 */
import { describe, expect, it } from 'vitest'
import { readAll } from './support/cluster-clients.ts'
import { ClusterLoad } from './support/cluster-load.ts'
import { DIRECTORY, SESSION_MS, SimCluster } from './support/sim-cluster.ts'
import type { Host } from './support/sim-cluster.ts'

const TOPIC = 'orders'
const PLACES = [{ topic: TOPIC, partition: 0 }]
/** Between two tries of a broker to have what it could not have, in ms; and some for the work. */
const UPKEEP_MS = 7000
/** Into the first batch, behind what the CRC leaves out. */
const POSITION = 70

async function underLoad(
  replicas: readonly number[],
  minIsr = 2,
): Promise<{ cluster: SimCluster; load: ClusterLoad }> {
  const cluster = await SimCluster.start({
    seed: 'live rot',
    settings: {
      'leader.imbalance.check.interval.seconds': '300',
      'log.segment.bytes': '4096',
      'log.tail.cache.bytes': '4096',
    },
  })
  const configs = { 'min.insync.replicas': String(minIsr) }
  await cluster.createTopic(TOPIC, { assignments: [replicas], configs })
  const load = new ClusterLoad(cluster, { places: PLACES, producers: [{}], consumers: [100_000] })
  await load.progress(200)
  return { cluster, load }
}

function rotFirstSegment(host: Host): void {
  host.node.disk.flipBit(`${DIRECTORY}/${TOPIC}-0/${'0'.repeat(20)}.log`, POSITION, 3)
}

/** Reads the first batch as a follower or consumer that lags would. */
async function readFirst(cluster: SimCluster, host: Host): Promise<unknown> {
  const found = host.broker!.view.partitions.lookupReplica(TOPIC, 0)
  if (typeof found === 'string') return found
  return cluster.run(
    Promise.resolve(found.log.read(0, Infinity, 1000, true)).catch((error: unknown) => error),
  )
}

function said(cluster: SimCluster, begin: string): readonly string[] {
  return cluster.said.filter(({ message }) => message.startsWith(begin)).map(({ node }) => node)
}

describe('Rot that a read meets', () => {
  it('ST-2 D3: on the leader: another in-sync replica leads within a session, and the log is fetched anew', async () => {
    const { cluster, load } = await underLoad([2, 1, 3])
    const host = cluster.leader(TOPIC)!
    rotFirstSegment(host)
    const atMs = cluster.simulation.nowMs
    // A reader from the beginning gets everything, from whoever has it.
    await cluster.run(readAll(cluster, PLACES))
    expect(cluster.leader(TOPIC)).not.toBe(host)
    expect(cluster.simulation.nowMs - atMs).toBeLessThan(SESSION_MS)
    await load.progress(20)
    await cluster.untilWhole(UPKEEP_MS)
    expect([...cluster.partition(TOPIC).isr].sort()).toEqual([1, 2, 3])
    expect(said(cluster, 'A log is damaged: it is given up')).toEqual([host.name])
    expect(said(cluster, 'Setting aside a damaged log')).toEqual([host.name])
    expect(await readFirst(cluster, host)).toMatchObject({ startOffset: 0 })
    await load.finish()
  })

  it('ST-2 D3: on a follower: it is out of the in-sync set, in a new epoch, before its log is fetched anew', async () => {
    const { cluster, load } = await underLoad([2, 1, 3])
    const host = cluster.host(3)
    const { leaderEpoch } = cluster.partition(TOPIC)
    rotFirstSegment(host)
    expect(await readFirst(cluster, host)).toMatchObject({ code: 'LOG_CORRUPT' })
    await cluster.run(() => said(cluster, 'Setting aside a damaged log').length > 0)
    const { topicsByName } = host.broker!.view.controller.image
    expect(topicsByName.get(TOPIC)!.partitions[0]).toMatchObject({
      leader: 2,
      leaderEpoch: leaderEpoch + 1,
      isr: [2, 1],
    })
    await load.progress(20)
    await cluster.untilWhole(UPKEEP_MS)
    expect(await readFirst(cluster, host)).toMatchObject({ startOffset: 0 })
    await load.finish()
  })

  it('ST-2: on a follower that is catching up: it is fetched anew as well', async () => {
    const { cluster, load } = await underLoad([2, 1, 3])
    const host = cluster.host(3)
    await cluster.run(host.broker!.close())
    cluster.kill(host, 'crash')
    await cluster.run(() => !cluster.partition(TOPIC).isr.includes(3))
    rotFirstSegment(host)
    void cluster.revive(host)
    await cluster.run(() => typeof host.broker?.view.partitions.lookupReplica(TOPIC, 0) === 'object')
    expect(await readFirst(cluster, host)).toMatchObject({ code: 'LOG_CORRUPT' })
    await cluster.untilWhole(3 * UPKEEP_MS)
    expect(said(cluster, 'Setting aside a damaged log')).toEqual([host.name])
    expect(await readFirst(cluster, host)).toMatchObject({ startOffset: 0 })
    await load.finish()
  })

  it('ST-2: on the last in-sync replica: it leads on, takes records, and says so once', async () => {
    const { cluster, load } = await underLoad([2], 1)
    const host = cluster.leader(TOPIC)!
    rotFirstSegment(host)
    for (let attempt = 0; attempt < 3; attempt++)
      expect(await readFirst(cluster, host)).toMatchObject({ code: 'LOG_CORRUPT' })
    await load.progress(20)
    await cluster.pass(2 * UPKEEP_MS)
    expect(cluster.partition(TOPIC)).toMatchObject({ leader: 2, leaderEpoch: 0, isr: [2] })
    expect(said(cluster, 'A log is damaged, and no other replica is in sync')).toEqual([host.name])
    expect(said(cluster, 'Setting aside')).toEqual([])
  })
})
