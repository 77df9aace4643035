/**
 * A cluster whose clients know one WebSocket address: whatever broker a connection comes to, it is served, through every fault,
 * and nothing is lost, doubled or reordered.
 */
import { describe, expect, it } from 'vitest'
import { seedFromEnv } from '../support/seed.ts'
import { ClusterLoad } from './support/cluster-load.ts'
import { GatewayCluster } from './support/gateway.ts'
import { SESSION_MS } from './support/sim-cluster.ts'
import type { Host } from './support/sim-cluster.ts'

const TOPIC = 'orders'
const PLACES = [
  { topic: TOPIC, partition: 0 },
  { topic: TOPIC, partition: 1 },
  { topic: TOPIC, partition: 2 },
]
const SEED = seedFromEnv('gateway')

async function underLoad(seed: number | string): Promise<{ cluster: GatewayCluster; load: ClusterLoad }> {
  const cluster = await GatewayCluster.start({ seed })
  await cluster.createTopic(TOPIC, { assignments: [[1, 2, 3], [2, 3, 1], [3, 1, 2]] }) // prettier-ignore
  const load = new ClusterLoad(cluster, {
    places: PLACES,
    producers: [{}, { lingerMs: 5 }, {}],
    consumers: [100_000, 300],
  })
  await load.progress()
  return { cluster, load }
}

/** Others lead what the host led, and records are taken again. */
async function untilTaken(cluster: GatewayCluster, load: ClusterLoad, host: Host): Promise<void> {
  const isOver = (): boolean =>
    cluster.hasImage &&
    PLACES.every(({ partition }) => ![null, host].includes(cluster.leader(TOPIC, partition)))
  await cluster.run(isOver, 5 * SESSION_MS)
  await load.progress()
}

describe('A cluster behind one WebSocket address', () => {
  it('takes records and gives them back, whichever broker connections come to', async () => {
    const { cluster, load } = await underLoad(SEED)
    await load.progress(300)
    await load.finish()
    expect([...cluster.connections.keys()].sort()).toEqual([1, 2, 3])
    for (const { broker } of cluster.hosts)
      expect(broker!.metrics()).toMatch(/^millrace_forwarded_requests_total [1-9]\d*$/m)
    expect(cluster.saidSince(0)).toEqual([])
  })

  it.each(['crash', 'power cut', 'close'] as const)(
    'R1: loses, doubles and reorders nothing by the %s of each broker in turn',
    async (how) => {
      const { cluster, load } = await underLoad(`${SEED} ${how}`)
      for (const host of cluster.hosts) {
        void cluster.end(host, how)
        await untilTaken(cluster, load, host)
        void cluster.revive(host)
        await cluster.untilWhole()
        await load.progress()
      }
      await load.finish()
    },
  )

  it('R6: loses nothing by a leader that stands still, or is cut off from the brokers that pass on to it', async () => {
    const { cluster, load } = await underLoad(`${SEED} still`)
    const { network } = cluster.simulation
    const host = cluster.leader(TOPIC)!
    host.node.pause()
    await untilTaken(cluster, load, host)
    host.node.resume()
    await cluster.untilWhole()
    const other = cluster.leader(TOPIC, 1)!
    for (const { name } of cluster.hosts) if (name !== other.name) network.cut(name, other.name)
    await untilTaken(cluster, load, other)
    for (const { name } of cluster.hosts) if (name !== other.name) network.heal(name, other.name)
    await cluster.untilWhole()
    await load.progress()
    await load.finish()
  })
})
