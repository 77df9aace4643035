/** The kinds of faults of a storm, by name: what happens to processes and clocks is here, the rest by where it happens. */
import { DAMAGES } from './damage.ts'
import { DISK_FAULTS } from './disk-faults.ts'
import { HOSTILE_ACTS } from './hostile.ts'
import { NETWORK_FAULTS } from './network-faults.ts'
import { OPERATOR_ACTS } from './operator-acts.ts'
import { TOPIC_ACTS } from './topic-acts.ts'
import { aLeader, anyHost, die, pause, reviveLater } from './world.ts'
import type { Fault } from './world.ts'

/** F-KILL, F-PWR, F-PAUSE, F-CLK. */
const PROCESS_FAULTS: Readonly<Record<string, Fault>> = {
  crash: (world) => die(world, anyHost(world), 'crash'),
  powerCut: (world) => die(world, anyHost(world), 'power cut'),
  blackout: (world) => {
    if (!world.random.chance(0.2) || world.scene.atlas.hasRot) return
    for (const host of world.cluster.hosts) die(world, host, 'power cut')
  },
  flicker: (world) => {
    // Back before anybody has noticed that it was gone (RP-12).
    const host = anyHost(world)
    if (!host.node.isUp || world.scene.atlas.isNeeded(host)) return
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
  clock: (world) => {
    const { time } = anyHost(world).node
    if (world.random.chance(0.5)) time.jumpWall(world.random.between(-1e10, 1e10))
    else time.setDrift(world.random.between(-1000, 1000))
  },
}

export const FAULTS: Readonly<Record<string, Fault>> = {
  ...PROCESS_FAULTS,
  ...NETWORK_FAULTS,
  ...DISK_FAULTS,
  ...DAMAGES,
  ...OPERATOR_ACTS,
  ...TOPIC_ACTS,
  ...HOSTILE_ACTS,
}

/** What seeds draw from. */
export const DRAWN_KINDS: readonly string[] = Object.keys(FAULTS)
