/**
 * Clean stops (docs/faults.md S1): a broker that was closed lets go of everything, whatever was under way, so that its process ends.
 */
import { expect, it } from 'vitest'
import { SimCluster } from './support/sim-cluster.ts'

/** Longer than a broker tries to say that it leaves. */
const STUCK_MS = 10_000

it('S1: a broker that is closed while it puts metadata into effect holds nothing, when its disk goes on', async () => {
  const cluster = await SimCluster.start({ seed: 'closed while it creates logs' })
  const client = cluster.client('creator')
  for (const host of cluster.hosts) {
    const topic = `new-at-${host.name}`
    const { disk } = host.node
    let ending: Promise<void> | null = null
    disk.onOperation = (_number, _kind, path) => {
      if (ending !== null || !path.includes(topic)) return
      disk.stall()
      ending = cluster.end(host, 'close')
    }
    // It may be answered too late.
    const asked = Promise.allSettled([client.admin().createTopics([{ name: topic, partitions: 3 }])])
    await cluster.run(() => ending !== null)
    await cluster.pass(STUCK_MS)
    disk.unstall()
    await cluster.run(ending!)
    expect(cluster.held).toEqual([])
    await cluster.run(cluster.revive(host))
    await cluster.run(asked)
    await cluster.untilWhole()
  }
  await cluster.run(client.close())
})
