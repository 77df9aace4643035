/** The kinds of faults of a storm, by name (docs/faults.md F-KILL, F-PWR, F-PAUSE, F-PART, F-NET, F-FULL, F-SLOW, F-CLK). */
import { USUAL_LATENCY } from '../../../src/env/sim/sim-disk.ts'
import { SESSION_MS } from '../support/sim-cluster.ts'
import { anyOf } from './weather.ts'
import { aLeader, anyHost, die, healLater, isolate, pause, reviveLater, VOLUME_BYTES } from './world.ts'
import type { Fault } from './world.ts'

export const FAULTS: Readonly<Record<string, Fault>> = {
  crash: (world) => die(world, anyHost(world), 'crash'),
  powerCut: (world) => die(world, anyHost(world), 'power cut'),
  blackout: (world) => {
    if (world.random.chance(0.2)) for (const host of world.cluster.hosts) die(world, host, 'power cut')
  },
  flicker: (world) => {
    // Back before anybody has noticed that it was gone (RP-12).
    const host = anyHost(world)
    if (!host.node.isUp) return
    world.cluster.kill(host, world.random.chance(0.7) ? 'power cut' : 'crash')
    void world.cluster.revive(host)
  },
  restart: (world) => {
    const host = anyHost(world)
    if (host.broker === null || host.isClosing) return
    const { generation } = host.node
    void world.cluster.end(host, 'close').then(() => {
      if (host.node.generation === generation && !host.node.isUp) reviveLater(world, host, 500)
    })
  },
  pause: (world) => pause(world, anyHost(world)),
  pauseLeader: (world) => pause(world, aLeader(world)),
  isolate: (world) => isolate(world, anyHost(world)),
  isolateLeader: (world) => isolate(world, aLeader(world)),
  isolateController: (world) => isolate(world, world.cluster.controller ?? anyHost(world)),
  oneWay: (world) => {
    const { cluster, random } = world
    cluster.simulation.network.cut(anyHost(world).name, anyHost(world).name)
    healLater(world, random.between(50, 3 * SESSION_MS))
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
  slowDisk: (world) => {
    const { disk } = anyHost(world).node
    disk.latency = {
      ...USUAL_LATENCY,
      sync: anyOf(world.random, [[0.1, 2], [20, 80], [200, 900]] as const), // prettier-ignore
    }
  },
  stuckDisk: (world) => {
    const { disk } = anyHost(world).node
    disk.stall()
    world.cluster.simulation.schedule(world.random.between(50, 4000), 'unstall', () => disk.unstall())
  },
  fullDisk: (world) => {
    const { disk } = anyHost(world).node
    disk.freeBytes = world.random.below(3000)
    world.cluster.simulation.schedule(world.random.between(20, 1500), 'room', () => {
      disk.freeBytes = VOLUME_BYTES
    })
  },
  clock: (world) => {
    const { time } = anyHost(world).node
    if (world.random.chance(0.5)) time.jumpWall(world.random.between(-1e10, 1e10))
    else time.setDrift(world.random.between(-1000, 1000))
  },
}
