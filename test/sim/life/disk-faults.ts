/**
 * Disks that are slow, stuck, full, or fail an operation (docs/faults.md F-SLOW, F-FULL, F-EIO). A broker that has to stop for it is
 * started again every half second until its disk is well.
 */
import type { DiskOperationKind } from '../../../src/env/sim/sim-disk.ts'
import { USUAL_LATENCY } from '../../../src/env/sim/sim-disk.ts'
import { DIRECTORY } from '../support/sim-cluster.ts'
import { METADATA_LOG } from './atlas.ts'
import { anyOf } from './weather.ts'
import { aLeader, anyHost, VOLUME_BYTES } from './world.ts'
import type { Fault } from './world.ts'

/** Which paths fail: any, those of the metadata log, those of partitions, the checkpoints beside them. */
const PLACES: readonly ((path: string) => boolean)[] = [
  () => true,
  (path) => path.includes(METADATA_LOG),
  (path) => !path.includes(METADATA_LOG) && path.slice(DIRECTORY.length + 1).includes('/'),
  (path) => !path.slice(DIRECTORY.length + 1).includes('/'),
]

export const DISK_FAULTS: Readonly<Record<string, Fault>> = {
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
  failingWrite: fails(['append', 'create', 'truncate']),
  failingSync: fails(['sync', 'sync-directory']),
  failingRead: fails(['read', 'open', 'stat', 'list']),
  failingRename: fails(['rename', 'remove']),
}

function fails(kinds: readonly DiskOperationKind[]): Fault {
  return (world) => {
    const { cluster, random, scene } = world
    const host = random.chance(0.5) ? aLeader(world) : anyHost(world)
    const kind = anyOf(random, kinds)
    const isSticky = random.chance(0.4)
    if (scene.atlas.isNeeded(host)) return
    const heal = host.node.disk.fail({
      ...{ kind, isSticky, path: anyOf(random, PLACES) },
      after: anyOf(random, [0, 0, 1 + random.below(20)]),
    })
    // What a failed sync leaves in the cache looks as if it were on the disk: it is emptied before the next start.
    host.node.disk.evictionChance = 1
    scene.mark(`disk: fails ${isSticky ? 'for good' : 'once'}`)
    cluster.simulation.schedule(random.between(100, isSticky ? 3000 : 10_000), 'disk is well', heal)
    scene.atEnd(heal)
  }
}
