/**
 * A compacted topic with three replicas, each of which compacts for itself, while leaders die (docs/faults.md ST-17, R9): whoever
 * leads in the end, a reader from the beginning holds for every key what was acknowledged for it last.
 */
import { describe, expect, it } from 'vitest'
import { seedFromEnv } from '../support/seed.ts'
import { SESSION_MS, SimCluster } from './support/sim-cluster.ts'

const SEED = seedFromEnv('compacted topic')
const TOPIC = 'tables'
const KEYS = 7
const ROUNDS = 8
const WRITES = 40
/** Deletions are kept for longer than any replica is away. */
const CONFIGS = {
  'cleanup.policy': 'compact',
  'segment.bytes': '1024',
  'min.cleanable.dirty.ratio': '0',
  'delete.retention.ms': '600000',
  'min.insync.replicas': '2',
}
const SETTINGS = {
  'log.tail.cache.bytes': '0',
  'log.cleaner.backoff.ms': '200',
  'log.flush.offset.checkpoint.interval.ms': '300',
}

/** What somebody holds who reads all of it; null: the key was deleted. */
async function table(cluster: SimCluster): Promise<{ held: Map<string, string>; count: number }> {
  const client = cluster.client(`reader ${cluster.simulation.nowMs}`)
  const consumer = client.consumer({ topics: [TOPIC], from: 'beginning', untilEnd: true })
  const held = new Map<string, string>()
  let count = 0
  const read = async (): Promise<void> => {
    for await (const { key, value } of consumer) {
      count++
      const name = Buffer.from(key!).toString()
      if (value === null) held.delete(name)
      else held.set(name, Buffer.from(value).toString())
    }
  }
  await cluster.run(read())
  await cluster.run(client.close())
  return { held, count }
}

describe('A compacted topic', () => {
  it.each([0, 1, 2])('ST-17: holds the newest of each key, whoever leads: life %i', async (life) => {
    const cluster = await SimCluster.start({ seed: `compacted ${SEED} ${life}`, settings: SETTINGS })
    const random = cluster.simulation.stream('life')
    await cluster.createTopic(TOPIC, { partitions: 1, replicationFactor: 3, configs: CONFIGS })
    const client = cluster.client('writer')
    const producer = client.producer()
    const wanted = new Map<string, string>()
    let count = 0
    for (let round = 0; round < ROUNDS; round++) {
      for (let write = 0; write < WRITES; write++) {
        const key = `key ${random.below(KEYS)}`
        const value = random.chance(0.1) ? null : `${count++} ${'x'.repeat(random.below(60))}`
        await cluster.run(producer.send({ topic: TOPIC, key, value }))
        if (value === null) wanted.delete(key)
        else wanted.set(key, value)
      }
      const host = cluster.leader(TOPIC)!
      cluster.kill(host, random.chance(0.5) ? 'power cut' : 'crash')
      await cluster.pass(random.between(100, 2 * SESSION_MS))
      void cluster.revive(host)
    }
    await cluster.untilWhole()
    await cluster.pass(3000)
    // Each of them in turn, so that each one's own compaction is judged.
    for (const host of cluster.hosts) {
      const others = cluster.hosts.filter((other) => other !== host).map(({ id }) => id)
      const admin = client.admin()
      const replicas = [host.id, ...others]
      await cluster.run(admin.alterPartitionReassignments([{ topic: TOPIC, partition: 0, replicas }]))
      await cluster.run(() => cluster.partition(TOPIC).replicas[0] === host.id)
      await cluster.run(admin.electLeaders([{ topic: TOPIC, partition: 0 }]))
      await cluster.run(() => cluster.leader(TOPIC) === host)
      const { held, count: read } = await table(cluster)
      expect([...held].sort(), `as ${host.name} has it`).toEqual([...wanted].sort())
      expect(read, 'it is compacted').toBeLessThan((ROUNDS * WRITES) / 2)
    }
    await cluster.run(client.close())
  })
})
