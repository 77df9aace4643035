/**
 * The project's own consumer with a rack (KIP-392), in a cluster of which each broker stands in a rack of its own: it reads where
 * it is sent, and goes on at the leader when that broker dies, falls silent, or knows nothing new. Who serves is shown by cuts: a
 * reader that still gets what is written cannot have got it from a broker it does not reach.
 */
import { describe, expect, it } from 'vitest'
import type { Client } from '../../src/client/client.ts'
import { LEADER_STAY_MS, REPLICA_IDLE_MS } from '../../src/client/read-source.ts'
import { text } from '../../src/client/serde.ts'
import { GatewayCluster } from './support/gateway.ts'
import { SESSION_MS, SimCluster } from './support/sim-cluster.ts'

const TOPIC = 'orders'
const READER = 'reader'
/** What a fetch that waits, a retry and the way there and back take at most. */
const SOON_MS = 1_000
const SETTINGS = {
  ...{ 'leader.imbalance.check.interval.seconds': '300', 'group.initial.rebalance.delay.ms': '0' },
  'offsets.topic.num.partitions': '1',
}
const rackOf = (id: number) => ({ 'broker.rack': `r${id}` })

/** Broker n stands in rack `rn`; one partition with the preferred leader 1. */
async function start(seed: string): Promise<Bench> {
  const cluster = new SimCluster({ seed, settings: SETTINGS })
  await cluster.run(Promise.all(cluster.hosts.map((host) => cluster.begin(host, rackOf(host.id)))))
  await cluster.createTopic(TOPIC, { assignments: [[1, 2, 3]] })
  return new Bench(cluster)
}

/** A producer, and a reader that notes what it gets. */
class Bench {
  readonly cluster: SimCluster
  readonly read: string[] = []
  readonly #producer
  #count = 0

  constructor(cluster: SimCluster) {
    this.cluster = cluster
    this.#producer = cluster.client('writer').producer()
  }

  /** Begins to read, as a member of a group or alone, and has caught up once. */
  async reads(rack: string | null, group: string | null = null): Promise<void> {
    // Nothing here may rest on requests that time out.
    const client: Client = this.cluster.client(READER, { requestTimeoutMs: 120_000 })
    const options = { topics: [TOPIC], from: 'beginning' as const, value: text, ...(rack ? { rack } : {}) }
    const consumer = group === null ? client.consumer(options) : client.consumer({ ...options, group })
    const loop = async (): Promise<void> => {
      for await (const { value } of consumer) this.read.push(value!)
    }
    loop().catch((error: unknown) => this.read.push(String(error)))
    await this.write()
    await this.hasAll(10_000)
    await this.cluster.pass(SOON_MS)
  }

  async write(): Promise<void> {
    await this.cluster.run(this.#producer.send({ topic: TOPIC, value: `record ${this.#count++}` }))
  }

  /** Resolves when the reader has what was written, each once and in order, and tells how long that took, in ms. */
  async hasAll(withinMs: number): Promise<number> {
    const { simulation } = this.cluster
    const startMs = simulation.nowMs
    await this.cluster.run(() => this.read.length >= this.#count, withinMs)
    expect(this.read).toEqual(Array.from({ length: this.#count }, (_, index) => `record ${index}`))
    return simulation.nowMs - startMs
  }

  reachesOnly(id: number): void {
    const others = this.cluster.hosts.filter((host) => host.id !== id).map(({ name }) => name)
    this.cluster.simulation.network.partition([READER], others)
  }

  heal(): void {
    this.cluster.simulation.network.heal()
  }
}

describe('A consumer with a rack', () => {
  it.each([null, 'group'])('KIP-392: reads from the replica in it (%s)', async (group) => {
    const bench = await start('closest')
    await bench.reads('r2', group)
    bench.reachesOnly(2)
    await bench.write()
    expect(await bench.hasAll(SOON_MS)).toBeLessThan(SOON_MS)
  })

  it('reads from the leader where no rack is named: a replica that it reaches is of no use to it', async () => {
    const bench = await start('no rack')
    await bench.reads(null)
    bench.reachesOnly(2)
    await bench.write()
    await bench.cluster.pass(2 * SOON_MS)
    expect(bench.read).toHaveLength(1)
    bench.heal()
    await bench.hasAll(10_000)
  })

  it.each(['r1', 'r9'])('reads from the leader where that is closest, or nobody is (%s)', async (rack) => {
    const bench = await start('leader')
    await bench.reads(rack)
    bench.reachesOnly(1)
    await bench.write()
    expect(await bench.hasAll(SOON_MS)).toBeLessThan(SOON_MS)
  })

  it('goes on at the leader at once when the replica dies, and returns to it some time after it has', async () => {
    const bench = await start('dies')
    const { cluster } = bench
    await bench.reads('r2')
    cluster.kill(cluster.host(2), 'crash')
    await bench.write()
    expect(await bench.hasAll(4 * SESSION_MS)).toBeLessThan(SOON_MS)
    await cluster.run(() => !cluster.partition(TOPIC).isr.includes(2), 5 * SESSION_MS)
    void cluster.revive(cluster.host(2), rackOf(2))
    await cluster.untilWhole()
    await cluster.pass(LEADER_STAY_MS + SOON_MS)
    bench.reachesOnly(2)
    await bench.write()
    expect(await bench.hasAll(SOON_MS)).toBeLessThan(SOON_MS)
  })

  it('goes on at the leader when the replica is silent, as soon as that is noticed', async () => {
    const bench = await start('silent')
    const { cluster } = bench
    await bench.reads('r2')
    cluster.simulation.network.partition([READER], [cluster.host(2).name])
    await bench.write()
    expect(await bench.hasAll(10_000)).toBeLessThan(5_000)
  })

  it('goes on at the leader when the replica is cut off from the others and does not know it', async () => {
    const bench = await start('cut off')
    const { cluster } = bench
    await bench.reads('r2')
    cluster.simulation.network.partition([cluster.host(2).name], [cluster.host(1).name, cluster.host(3).name])
    await bench.write()
    expect(await bench.hasAll(2 * REPLICA_IDLE_MS)).toBeLessThan(REPLICA_IDLE_MS + SOON_MS)
    bench.heal()
  })

  it.each(['r1', 'r2', 'r3'])(
    'loses and repeats nothing when the leader goes and comes back (%s)',
    async (rack) => {
      const bench = await start('moves')
      const { cluster } = bench
      await bench.reads(rack)
      for (let round = 0; round < 3; round++) {
        const host = cluster.leader(TOPIC)!
        await cluster.restart(host, round === 1 ? 'crash' : 'close', rackOf(host.id))
        await bench.write()
        await bench.hasAll(10_000)
        await cluster.untilWhole()
        await bench.write()
        await bench.hasAll(10_000)
      }
    },
  )

  it('reads all there is through one URL for the cluster, where it cannot choose', async () => {
    const cluster = await GatewayCluster.start({ seed: 'one url', settings: SETTINGS })
    await cluster.createTopic(TOPIC, { assignments: [[1, 2, 3]] })
    const bench = new Bench(cluster)
    await bench.reads('r2')
    for (let count = 0; count < 5; count++) await bench.write()
    await bench.hasAll(5_000)
  })
})
