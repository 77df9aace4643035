/** Controllers over the real metadata quorum in the simulation: three nodes, crashes, power cuts, isolated leaders. */
import { describe, expect, it } from 'vitest'
import { Controller } from '../../src/controller/controller.ts'
import type { SimNode } from '../../src/env/sim/sim-node.ts'
import { Simulation } from '../../src/env/sim/simulation.ts'
import { clusterConfigShape } from '../../src/metadata/broker-config.ts'
import type { ClusterImage } from '../../src/metadata/cluster-image.ts'
import { resolveConfigs } from '../../src/metadata/config-resolution.ts'
import { imageHash } from '../../src/metadata/snapshot.ts'
import { RaftQuorum } from '../../src/raft/raft-quorum.ts'
import { directoryId, SIM_SETTINGS } from '../raft/support/raft-cluster.ts'
import { SimRaftNetwork } from '../raft/support/sim-transport.ts'
import { seedFromEnv } from '../support/seed.ts'
import { nameOf, SeededRandom, topicRequest } from './support.ts'

const seed = seedFromEnv('controller raft')
const IDS = [1, 2, 3]
/** More than a quorum's fetch takes at once, so that a change spans several of them. */
const PARTITIONS = 60

interface Node {
  readonly id: number
  readonly sim: SimNode
  controller: Controller | null
  quorum: RaftQuorum | null
}

class ControllerCluster {
  readonly simulation: Simulation
  readonly network: SimRaftNetwork
  readonly nodes: readonly Node[]
  /** Who was active in which epoch, over all time. */
  readonly activeIn = new Map<number, string>()
  readonly #lives = new Map<number, number>()
  problem: Error | null = null

  constructor(name: string) {
    this.simulation = new Simulation({ seed: name, keepsTrace: false })
    this.network = new SimRaftNetwork(this.simulation)
    this.nodes = IDS.map((id) => ({
      id,
      sim: this.simulation.node(`n${id}`),
      controller: null,
      quorum: null,
    }))
    this.simulation.checks.push(() => {
      if (this.problem !== null) throw this.problem
    })
  }

  async start(node: Node): Promise<void> {
    const life = (this.#lives.get(node.id) ?? 0) + 1
    this.#lives.set(node.id, life)
    const env = life === 1 ? node.sim.env : node.sim.restart()
    await env.files.makeDirectory('/data')
    await env.files.syncDirectory('/')
    const quorum = await RaftQuorum.open(env, {
      directory: '/data',
      nodeId: node.id,
      directoryId: directoryId(node.id),
      voters: IDS.map((id) => ({ id, directoryId: directoryId(id) })),
      transport: this.network.join(node.id),
      settings: SIM_SETTINGS,
      snapshotRecordCount: 150,
    })
    const cluster = resolveConfigs(clusterConfigShape, [])
    const controller = new Controller(env, quorum, { nodeId: node.id, staticEntries: new Map(), cluster })
    controller.onActive = (epoch) => {
      const who = `n${node.id} in life ${life}`
      const other = this.activeIn.get(epoch)
      if (other !== undefined)
        this.problem ??= new Error(`M1: ${who} and ${other} both decide in epoch ${epoch}`)
      this.activeIn.set(epoch, who)
    }
    node.quorum = quorum
    node.controller = controller
    controller.follow(({ before, after }) => this.#observe(before, after))
    await controller.start()
  }

  kill(node: Node, how: 'crash' | 'powerCut'): void {
    this.network.leave(node.id)
    if (node.sim.isUp) node.sim[how]()
    node.controller = null
    node.quorum = null
  }

  get active(): Node | undefined {
    return this.nodes.find(({ controller, sim }) => sim.isUp && controller?.isActive === true)
  }

  async untilActive(): Promise<Controller> {
    await this.simulation.runUntil(() => this.active !== undefined, 20_000)
    return this.active!.controller!
  }

  /** MQ-11: no image anywhere ever shows a part of a change. M9: epochs rise. */
  #observe(before: ClusterImage, after: ClusterImage): void {
    for (const { name, partitions } of after.topicsByName.values())
      if (partitions.length !== PARTITIONS)
        this.problem ??= new Error(`MQ-11: ${name} has ${partitions.length}`)
    for (const [id, { epoch }] of after.brokers)
      if (epoch < (before.brokers.get(id)?.epoch ?? -1)) this.problem ??= new Error(`M9: epoch of ${id} fell`)
  }
}

const create = (controller: Controller, name: string, timeoutMs = 3000) =>
  controller
    .createTopics({
      topics: [topicRequest(name, { numPartitions: PARTITIONS, replicationFactor: 1 })],
      timeoutMs,
      validateOnly: false,
    })
    .then(({ topics }) => nameOf(topics[0]!.errorCode))

async function join(cluster: ControllerCluster, incarnation: string): Promise<number> {
  const controller = await cluster.untilActive()
  const { brokerEpoch } = await cluster.simulation.runUntil(
    controller.registerBroker({
      brokerId: 7,
      incarnationId: incarnation.padEnd(22, 'A'),
      listeners: [{ name: 'A', host: 'h', port: 1, securityProtocol: 0 }],
      rack: null,
      logDirs: ['D'.padEnd(22, 'A')],
    }),
    5000,
  )
  if (brokerEpoch < 0) return join(cluster, incarnation)
  const { error } = await cluster.simulation.runUntil(
    controller.heartbeat({
      brokerId: 7,
      brokerEpoch,
      metadataEndOffset: 1e9,
      wantsFence: false,
      wantsShutdown: false,
    }),
    5000,
  )
  return error === 'NONE' ? brokerEpoch : join(cluster, incarnation)
}

describe('Controller over Raft', () => {
  it('MQ-4, MQ-12: an isolated controller answers nothing as done, and another one decides', async () => {
    const cluster = new ControllerCluster(`${seed} isolated`)
    void Promise.all(cluster.nodes.map((node) => cluster.start(node)))
    await cluster.untilActive()
    await join(cluster, 'I')
    const old = cluster.active!
    cluster.network.isolate(old.id, IDS)
    const outcome = create(old.controller!, 'lost')
    expect(await cluster.simulation.runUntil(outcome, 5000)).toBe('REQUEST_TIMED_OUT')
    await cluster.simulation.runUntil(() => cluster.active !== undefined && cluster.active !== old, 5000)
    expect(old.controller!.isActive).toBe(false)
    expect(await cluster.simulation.runUntil(create(old.controller!, 'late'), 5000)).toBe('NOT_CONTROLLER')
    expect(await cluster.simulation.runUntil(create(cluster.active!.controller!, 'kept'), 5000)).toBe('NONE')
    cluster.network.heal()
    await cluster.simulation.runUntil(() => old.controller!.image.topicsByName.has('kept'), 5000)
    expect(old.controller!.image.topicsByName.has('lost')).toBe(false)
    expect(old.controller!.leaderId).toBe(cluster.active!.id)
  })

  it('M1, M9, M11, MQ-11: through crashes and isolation nothing acknowledged is undone, and no change is halved', async () => {
    const random = new SeededRandom(seed)
    for (let run = 0; run < 6; run++) {
      const cluster = new ControllerCluster(`${seed} swarm ${run}`)
      void Promise.all(cluster.nodes.map((node) => cluster.start(node)))
      let epoch = await join(cluster, `I${run}`)
      const acked: string[] = []
      for (let step = 0; step < 25; step++) {
        const victim =
          random.below(3) === 0 ? cluster.nodes[random.below(3)]! : (cluster.active ?? cluster.nodes[0]!)
        const controller = await cluster.untilActive()
        const name = `t${step}`
        void create(controller, name).then((error) => {
          if (error === 'NONE') acked.push(name)
        })
        await cluster.simulation.run(cluster.simulation.nowMs + random.below(8) / 2)
        const roll = random.below(6)
        if (roll === 0) cluster.network.isolate(victim.id, IDS)
        else if (roll < 3) cluster.kill(victim, roll === 1 ? 'crash' : 'powerCut')
        await cluster.simulation.run(cluster.simulation.nowMs + 1500)
        cluster.network.heal()
        for (const node of cluster.nodes) if (!node.sim.isUp) void cluster.start(node)
        if (random.below(3) === 0) {
          const next = await join(cluster, `J${run}of${step}`)
          expect(next, 'M9: a new incarnation has a higher epoch').toBeGreaterThan(epoch)
          epoch = next
        }
      }
      const last = await cluster.untilActive()
      await cluster.simulation.runUntil(create(last, 'last'), 10_000)
      const hashes = () =>
        cluster.nodes.map(({ controller }) => (controller === null ? '' : imageHash(controller.image)))
      await cluster.simulation.runUntil(() => new Set(hashes()).size === 1 && hashes()[0] !== '', 20_000)
      for (const name of acked)
        expect(last.image.topicsByName.has(name), `M11: ${name} of run ${run}`).toBe(true)
      expect(acked.length).toBeGreaterThan(8)
      expect(cluster.activeIn.size).toBeGreaterThan(3)
      expect(last.image.features.get('millrace.version')).toBe(1)
    }
  }, 30_000)
})
