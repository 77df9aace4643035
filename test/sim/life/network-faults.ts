/** Faults of links (docs/faults.md F-PART, F-NET). What is cut heals by itself, at the latest when the storm ends. */
import { SESSION_MS } from '../support/sim-cluster.ts'
import type { Host } from '../support/sim-cluster.ts'
import { anyOf } from './weather.ts'
import { aLeader, anyHost, healLater, isolate } from './world.ts'
import type { Fault, World } from './world.ts'

export const NETWORK_FAULTS: Readonly<Record<string, Fault>> = {
  isolate: (world) => isolate(world, anyHost(world)),
  isolateLeader: (world) => isolate(world, aLeader(world)),
  isolateController: (world) => isolate(world, world.cluster.controller ?? anyHost(world)),
  oneWay: (world) => {
    const { cluster, random } = world
    cluster.simulation.network.cut(anyHost(world).name, anyHost(world).name)
    healLater(world, random.between(50, 3 * SESSION_MS))
  },
  majorityRing: (world) => {
    const { cluster, random } = world
    const { network } = cluster.simulation
    const hosts = shuffled(world)
    const { length } = hosts
    // Each reaches its neighbours in a ring and nobody else; of three, one reaches both and they not each other.
    hosts.forEach((a, index) => {
      hosts.slice(index + 1).forEach((b, further) => {
        const distance = Math.min(further + 1, length - further - 1)
        const isCut = length === 3 ? index === 0 && further === 0 : distance > 1
        if (isCut) network.partition([a.name], [b.name])
      })
    })
    world.scene.mark('links: ring of majorities')
    healLater(world, random.between(300, 3 * SESSION_MS))
  },
  flap: (world) => {
    const { cluster, random, scene } = world
    const { network } = cluster.simulation
    const hosts = shuffled(world).map(({ name }) => name)
    const side = hosts.slice(0, 1 + random.below(hosts.length - 1))
    const other = hosts.filter((name) => !side.includes(name))
    const isOneWay = random.chance(0.3)
    let left = 4 + random.below(20)
    const turn = (): void => {
      if (scene.isOver) return
      const isCut = left % 2 === 1
      for (const a of side)
        for (const b of other) {
          if (isCut) network.cut(a, b)
          else network.heal(a, b)
          if (isOneWay) continue
          if (isCut) network.cut(b, a)
          else network.heal(b, a)
        }
      if (left-- > 0) cluster.simulation.schedule(random.between(20, 500), 'links flap', turn)
    }
    left += left % 2 // The last turn heals.
    turn()
    scene.mark('links: flapping')
  },
  clientsCut: (world) => {
    // Clients lose brokers, or all of them, or only their answers; brokers see each other all the while.
    const { cluster, random, scene } = world
    const { network } = cluster.simulation
    const hosts = random.chance(0.5) ? cluster.hosts : [anyHost(world)]
    const clients = clientNames(world).filter(() => random.chance(0.6))
    const way = random.below(3)
    for (const client of clients)
      for (const { name } of hosts) {
        if (way !== 0) network.cut(client, name)
        if (way !== 1) network.cut(name, client)
      }
    scene.mark('links: clients cut off')
    healLater(world, random.between(50, 2 * SESSION_MS))
  },
  halfOpen: (world) => {
    const { cluster, random, scene } = world
    const host = anyHost(world)
    const others = [...cluster.simulation.nodes].map(({ name }) => name).filter((name) => name !== host.name)
    const lost = random.chance(0.3) ? others : [anyOf(random, others)]
    for (const name of lost)
      scene.mark('links: lost unseen', cluster.simulation.network.sever(host.name, name))
  },
  slowLinks: (world) => {
    const { network } = world.cluster.simulation
    const [from, to] = [anyHost(world).name, anyHost(world).name]
    network.delay(from, to, anyOf(world.random, [[1, 30], [20, 200]] as const)) // prettier-ignore
    healLater(world, 2000)
  },
  clog: (world) => {
    const { cluster, random } = world
    cluster.simulation.network.clog(anyHost(world).name, anyHost(world).name, random.between(10, 2000))
  },
  reset: (world) => {
    const names = [...world.cluster.simulation.nodes].map(({ name }) => name)
    world.cluster.simulation.network.reset(anyHost(world).name, anyOf(world.random, names))
  },
}

function shuffled({ cluster, random }: World): Host[] {
  const hosts = [...cluster.hosts]
  for (let index = hosts.length - 1; index > 0; index--) {
    const other = random.below(index + 1)
    ;[hosts[index], hosts[other]] = [hosts[other]!, hosts[index]!]
  }
  return hosts
}

function clientNames({ cluster }: World): string[] {
  return [...cluster.simulation.nodes]
    .map(({ name }) => name)
    .filter((name) => !cluster.hosts.some((host) => host.name === name))
}
