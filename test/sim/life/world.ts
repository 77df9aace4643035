/** A life under way, and the hands that faults are made with. */
import type { Prng } from '../../../src/env/sim/prng.ts'
import type { Place } from '../support/cluster-clients.ts'
import { SESSION_MS } from '../support/sim-cluster.ts'
import type { Host, SimCluster } from '../support/sim-cluster.ts'
import type { Scene } from './scene.ts'
import { anyOf } from './weather.ts'

/** Room on every disk, but while a fault takes it. */
export const VOLUME_BYTES = 2 ** 40

export interface World {
  readonly cluster: SimCluster
  /** Draws of the one fault that is being made. */
  readonly random: Prng
  readonly places: readonly Place[]
  /** What outlasts the fault. */
  readonly scene: Scene
}

/** Makes one fault. What it leaves switched on ends by itself, or when the storm does. */
export type Fault = (world: World) => void

export function anyHost({ cluster, random }: World): Host {
  return anyOf(random, cluster.hosts)
}

export function aLeader(world: World): Host {
  const { cluster, random, places } = world
  const { topic, partition } = anyOf(random, places)
  const leader = cluster.hasImage ? cluster.leader(topic, partition) : null
  return leader !== null && cluster.hosts.includes(leader) ? leader : anyHost(world)
}

export function die(world: World, host: Host, how: 'crash' | 'power cut'): void {
  if (!host.node.isUp || world.scene.atlas.isNeeded(host)) return
  world.cluster.kill(host, how)
  reviveLater(world, host, 2.5 * SESSION_MS)
}

export function reviveLater({ cluster, random }: World, host: Host, msMax: number): void {
  const { generation } = host.node
  cluster.simulation.schedule(random.between(1, msMax), `${host.name} revived`, () => {
    const isHere = cluster.hosts.includes(host)
    if (isHere && !host.node.isUp && host.node.generation === generation) void cluster.revive(host)
  })
}

export function pause({ cluster, random }: World, { node }: Host): void {
  if (!node.isUp || node.isPaused) return
  const { generation } = node
  node.pause()
  cluster.simulation.schedule(random.between(20, 2.5 * SESSION_MS), `${node.name} resumes`, () => {
    if (node.generation === generation) node.resume()
  })
}

/** From all other brokers, at times from clients, too; both ways or one. */
export function isolate(world: World, { name }: Host): void {
  const { cluster, random } = world
  const { network } = cluster.simulation
  const alsoFromClients = random.chance(0.3)
  const others = [...cluster.simulation.nodes].flatMap((node) => {
    const isBroker = cluster.hosts.some((host) => host.node === node)
    return node.name !== name && (isBroker || alsoFromClients) ? [node.name] : []
  })
  const way = random.below(3)
  for (const other of others) {
    if (way !== 0) network.cut(name, other)
    if (way !== 1) network.cut(other, name)
  }
  healLater(world, random.between(50, 3 * SESSION_MS))
}

export function healLater({ cluster }: World, ms: number): void {
  cluster.simulation.schedule(ms, 'links heal', () => cluster.simulation.network.heal())
}
