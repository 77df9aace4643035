/**
 * Random lives of coordinators: shards over real replicas on simulated nodes that crash, lose power, are cut off, paused, fenced,
 * and whose disks fill up, while leaders change. Clients commit ascending numbers, and ask for them, wherever they may.
 *
 * The state is a plain fold of commits, so what is tried here is what all coordinators stand on (docs/faults.md G4, G5, G6, CG-1,
 * CG-2, CG-3): what was acknowledged is there for every later coordinator, and none answers before it has all of it.
 *
 * SEED=… runs that one first seed; SIM_SEEDS=… says how many.
 */
import { describe, expect, it } from 'vitest'
import { Coordinators } from '../../../src/broker/coordinator/coordinators.ts'
import { partitionOfKey } from '../../../src/broker/coordinator/partition-of-key.ts'
import type { CoordinatorRecord } from '../../../src/coordinator/records/coordinator-record.ts'
import type { Shard } from '../../../src/coordinator/runtime.ts'
import { CoordinatorFailure } from '../../../src/coordinator/shard-context.ts'
import type { ShardContext } from '../../../src/coordinator/shard-context.ts'
import type { Prng } from '../../../src/env/sim/prng.ts'
import { commitOf } from '../../coordinator/support/fake-log.ts'
import { TOPIC } from '../../replication/support/oracle-controller.ts'
import { ReplicaCluster } from '../../replication/support/replica-cluster.ts'
import type { NodeLife } from '../../replication/support/replica-node.ts'
import { seedFromEnv } from '../../support/seed.ts'

const FIRST_SEED = seedFromEnv('coordinator swarm')
const SEED_COUNT = Number(process.env['SIM_SEEDS'] ?? '6')
const STORM_MS = 8000
const HEALING_MS = 60_000
const GROUPS = ['alpha', 'beta', 'gamma', 'delta']

/** The last number committed by each group. */
class Numbers implements Shard {
  readonly write: ShardContext['write']
  readonly values = new Map<string, number>()
  isLoaded = false
  isClosed = false

  constructor(write: ShardContext['write']) {
    this.write = write
  }

  replay(record: CoordinatorRecord): void {
    expect(this.isClosed).toBe(false)
    if (record.kind === 'OffsetCommit') this.values.set(record.key.group, record.value!.offset)
  }

  loaded(): void {
    this.isLoaded = true
  }

  close(): void {
    expect(this.isClosed, 'closed once').toBe(false)
    this.isClosed = true
  }
}

class World {
  readonly cluster: ReplicaCluster
  readonly random: Prng
  readonly counts = new Map<string, number>()
  readonly #coordinators = new Map<NodeLife, Coordinators<Numbers>>()

  constructor(cluster: ReplicaCluster) {
    this.cluster = cluster
    this.random = cluster.simulation.stream('clients')
  }

  count(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1)
  }

  coordinators(life: NodeLife): Coordinators<Numbers> {
    let known = this.#coordinators.get(life)
    if (known === undefined) {
      known = new Coordinators<Numbers>(life.env, {
        ...{ topic: TOPIC, writeTimeoutMs: 1000 },
        image: () => life.follower.image,
        partitions: life.registry,
        createShard: (_index, write) => new Numbers(write),
      })
      this.#coordinators.set(life, known)
    }
    return known
  }

  /** The coordinator of a group as the controller has it, which its node need not know. */
  isRightful(life: NodeLife, index: number): boolean {
    const { leader, leaderEpoch } = this.cluster.controller.partitions[index]!
    return leader === life.id && life.partition(index)?.leaderEpoch === leaderEpoch
  }
}

/** Commits 1, 2, 3 … and asks now and then; one request at a time, to any node. */
class GroupClient {
  readonly #world: World
  readonly #group: string
  readonly #index: number
  attempted = 0
  acked = 0
  #isStopped = false

  constructor(world: World, group: string, index: number) {
    this.#world = world
    this.#group = group
    this.#index = index
    this.#again()
  }

  stop(): void {
    this.#isStopped = true
  }

  #again(): void {
    if (this.#isStopped) return
    const { cluster, random } = this.#world
    cluster.simulation.schedule(random.between(0.1, 15), 'a client', () => this.#act())
  }

  #act(): void {
    const { cluster, random } = this.#world
    const life = cluster.life(cluster.nodeIds[random.below(cluster.nodeIds.length)]!)
    if (life === null || cluster.node(life.id).isPaused) {
      this.#again()
      return
    }
    const shard = this.#world.coordinators(life).findShard(this.#group)
    if (typeof shard === 'string') {
      this.#world.count(shard)
      this.#again()
      return
    }
    let isOver = false
    const over = (outcome: string): void => {
      if (isOver) return
      isOver = true
      this.#world.count(outcome)
      this.#again()
    }
    // A node that died answers nobody; nor does anybody wait for one that stands still.
    const look = (): void => {
      if (!life.isAlive) over('died')
      else if (!isOver) cluster.simulation.schedule(100, 'a look', look)
    }
    look()
    const failed = (error: unknown): void => {
      if (error instanceof CoordinatorFailure) over(error.error)
      else cluster.errors.push(error)
    }
    if (random.chance(0.7)) {
      const value = ++this.attempted
      shard.write([commitOf(this.#group, value)]).then(() => {
        if (!isOver) this.acked = Math.max(this.acked, value)
        over('acknowledged')
      }, failed)
    } else this.#read(shard, life, over, failed)
  }

  #read(
    shard: Numbers,
    life: NodeLife,
    over: (outcome: string) => void,
    failed: (error: unknown) => void,
  ): void {
    const { acked } = this
    const seen = shard.values.get(this.#group) ?? 0
    const wasRightful = this.#world.isRightful(life, this.#index)
    shard.write([]).then(() => {
      try {
        expect(shard.isLoaded).toBe(true)
        expect(seen).toBeLessThanOrEqual(this.attempted)
        // One that was replaced and does not know it may tell of the past; never of what did not come to be.
        if (wasRightful) expect(seen).toBeGreaterThanOrEqual(acked)
        over(wasRightful ? 'told' : 'told by one that was replaced')
      } catch (error) {
        this.#world.cluster.errors.push(error)
      }
    }, failed)
  }
}

type Fault = (cluster: ReplicaCluster, random: Prng) => void

const FAULTS: Readonly<Record<string, Fault>> = {
  crash: (cluster, random) => die(cluster, anyNode(cluster, random), 'crash', random),
  powerCut: (cluster, random) => die(cluster, anyNode(cluster, random), 'power cut', random),
  elect: (cluster, random) => {
    const index = random.below(cluster.controller.partitions.length)
    const { replicas } = cluster.controller.partitions[index]!
    cluster.controller.elect(index, replicas[random.below(replicas.length)]!)
  },
  renew: (cluster, random) => {
    const index = random.below(cluster.controller.partitions.length)
    const { leader } = cluster.controller.partitions[index]!
    if (leader !== null) cluster.controller.elect(index, leader)
  },
  fence: (cluster, random) => cluster.controller.fence(anyNode(cluster, random)),
  hold: (cluster, random) => {
    const id = anyNode(cluster, random)
    cluster.hold(id)
    if (random.chance(0.5)) cluster.controller.fence(id)
    cluster.simulation.schedule(random.between(50, 2000), 'release', () => cluster.release(id))
  },
  block: (cluster, random) => {
    cluster.links.block(anyNode(cluster, random), anyNode(cluster, random))
    cluster.simulation.schedule(random.between(50, 1500), 'heal', () => cluster.links.heal())
  },
  pause: (cluster, random) => {
    const node = cluster.node(anyNode(cluster, random))
    if (!node.isUp || node.isPaused) return
    node.pause()
    cluster.simulation.schedule(random.between(10, 1500), 'resume', () => node.resume())
  },
  fullDisk: (cluster, random) => {
    const { disk } = cluster.node(anyNode(cluster, random))
    disk.freeBytes = random.below(2000)
    cluster.simulation.schedule(random.between(10, 400), 'room', () => (disk.freeBytes = 2 ** 40))
  },
}

function anyNode(cluster: ReplicaCluster, random: Prng): number {
  return cluster.nodeIds[random.below(cluster.nodeIds.length)]!
}

function die(cluster: ReplicaCluster, id: number, how: 'crash' | 'power cut', random: Prng): void {
  if (!cluster.node(id).isUp) return
  cluster.die(id, how)
  cluster.simulation.schedule(random.between(0, 200), 'fence', () => {
    if (!cluster.node(id).isUp) cluster.controller.fence(id)
  })
  cluster.simulation.schedule(random.between(1, 800), 'restart', () => cluster.restart(id))
}

const marks = new Map<string, number>()

async function runSeed(seed: number): Promise<void> {
  const cluster = await ReplicaCluster.start({
    ...{ seed, nodes: 3, minIsr: 2, partitions: [[1, 2, 3], [2, 3, 1]] }, // prettier-ignore
    controllerLoss: seed % 3 === 0 ? 0.2 : 0,
  })
  const random = cluster.simulation.stream('nemesis')
  const faults = Object.keys(FAULTS).filter(() => random.chance(0.6))
  const everyMs = random.chance(0.5) ? 100 : 400
  const world = new World(cluster)
  const clients = new Map(GROUPS.map((group) => [group, new GroupClient(world, group, indexOf(group))]))
  try {
    for (let until = 0; until < STORM_MS;) {
      const ms = random.between(everyMs / 10, everyMs)
      until += ms
      await cluster.pass(ms)
      if (faults.length > 0) FAULTS[faults[random.below(faults.length)]!]!(cluster, random)
    }
    for (const client of clients.values()) client.stop()
    cluster.links.heal()
    for (const id of cluster.nodeIds) {
      cluster.release(id)
      cluster.node(id).disk.freeBytes = 2 ** 40
      if (cluster.node(id).isPaused) cluster.node(id).resume()
      cluster.restart(id)
    }
    await cluster.until(() => cluster.isWhole(), HEALING_MS)
    for (const [group, { acked, attempted }] of clients) {
      const life = (): NodeLife => cluster.leader(indexOf(group))!
      const find = () => world.coordinators(life()).findShard(group)
      await cluster.until(() => typeof find() !== 'string', HEALING_MS)
      const shard = find() as Numbers
      await cluster.simulation.runUntil(shard.write([]), HEALING_MS)
      expect(shard.values.get(group) ?? 0, group).toBeGreaterThanOrEqual(acked)
      expect(shard.values.get(group) ?? 0, group).toBeLessThanOrEqual(attempted)
      expect(acked, `${group} got nowhere`).toBeGreaterThan(0)
    }
  } catch (error) {
    const story = `SEED=${seed} with ${faults.join()}\n${cluster.describe()}`
    throw new Error(`${story}\n${(error as Error).message}`, { cause: error })
  }
  for (const [what, count] of world.counts) marks.set(what, (marks.get(what) ?? 0) + count)
}

function indexOf(group: string): number {
  return partitionOfKey(group, 2)
}

describe('Coordinators in all weathers', () => {
  it(
    `keep what they have acknowledged, and tell of nothing less (${SEED_COUNT} seeds)`,
    { timeout: 600_000 },
    async () => {
      for (let index = 0; index < SEED_COUNT; index++) await runSeed(FIRST_SEED + index)
      console.log(Object.fromEntries(marks))
      for (const what of ['acknowledged', 'told', 'NOT_COORDINATOR', 'COORDINATOR_LOAD_IN_PROGRESS']) {
        expect(marks.get(what) ?? 0, what).toBeGreaterThan(0)
      }
    },
  )
})
