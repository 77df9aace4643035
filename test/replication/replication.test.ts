/** Named scenarios of replication (docs/faults.md 5.1) on three real nodes with simulated disks and links. */
import { describe, expect, it } from 'vitest'
import { ReplicaCluster } from './support/replica-cluster.ts'

const THREE = { nodes: 3, partitions: [[1, 2, 3]], minIsr: 2 } as const

describe('Three replicas', () => {
  it('acknowledge what is durable on all that are in sync, and are equal', async () => {
    const cluster = await ReplicaCluster.start({ seed: 'three', ...THREE })
    for (let count = 0; count < 20; count++)
      expect(await cluster.produceOnce(0)).toEqual({ baseOffset: count, lastOffset: count })
    await cluster.until(() => cluster.isWhole())
    await cluster.simulation.runUntil(cluster.invariants.checkEqual())
    expect(cluster.invariants.counts.committedBatches).toBe(20)
  })
})
