/**
 * What is taken from a disk for good: rot, a lost disk, one restored from an old copy (docs/faults.md F-ROT, F-DISK, D3, D5, ST-2
 * to ST-5, ST-14, M10). On one machine at a time, so that good copies stay (atlas.ts); then whoever runs the cluster does what has
 * to be done by hand (docs/operations.md):
 *
 *   the broker refuses to start with its metadata  ──►  an empty disk in its place
 *   a disk without the id that its vote belongs to ──►  the vote is taken away and given anew
 *   rot that no broker has read yet                ──►  `millrace verify` finds it: the log is removed, and fetched anew
 */
import type { Prng } from '../../../src/env/sim/prng.ts'
import { DIRECTORY, PORT } from '../support/sim-cluster.ts'
import type { Host } from '../support/sim-cluster.ts'
import { directoryId, METADATA_LOG, namesIn } from './atlas.ts'
import type { Scene } from './scene.ts'
import { anyOf } from './weather.ts'
import { aLeader, anyHost } from './world.ts'
import type { Fault, World } from './world.ts'

/** A machine that is down is counted on by nobody after this, in ms, if others are well. */
const SPARE_MS_MAX = 10_000
/** It is whole again within this, after the storm at the latest. */
const WHOLE_MS_MAX = 100_000
const SECTOR_BYTES = 512
export const VOTERS = 'controller.quorum.voters'

/** Why a broker does not start with its disk, whatever it tries: somebody must give it another. */
const REFUSALS: ReadonlySet<string> = new Set([
  'LOG_WRONG_TOPIC',
  'QUORUM_STATE_CORRUPT',
  'QUORUM_SNAPSHOT_CORRUPT',
  'QUORUM_LOG_CORRUPT',
  'LOG_CORRUPT',
  'LOG_DIRECTORY_MISMATCH',
])

/** Damage that may still be where it was made. */
interface Damage {
  /** Name of the log's directory, or of a file. */
  readonly name: string
  readonly isThere: () => boolean
}

export const DAMAGES: Readonly<Record<string, Fault>> = {
  rotSegment: (world) =>
    damage(world, 'rot in a segment', (host) => rot(host, world.random, segmentsOf(host))),
  rotCache: (world) =>
    damage(world, 'rot in what is derived', (host) => rot(host, world.random, cachesOf(host))),
  rotMetadata: (world) =>
    damage(world, 'rot in metadata', (host) => rot(host, world.random, metadataFilesOf(host))),
  rotLive: (world) => {
    const { random, scene } = world
    const host = random.chance(0.5) ? aLeader(world) : anyHost(world)
    const name = 'rot under a running broker'
    if (!scene.atlas.hasHeirs(host) || !scene.atlas.claim(name)) return
    scene.work(name, async () => {
      try {
        const damages = rot(host, random, closedSegmentsOf(host))
        if (damages.length > 0) {
          scene.atlas.rots(host)
          scene.mark(`${name}: made`)
        }
        await repair(world, host, damages)
      } finally {
        scene.atlas.giveBack()
      }
    })
  },
  lostDisk: (world) =>
    damage(world, 'lost disk', (host) => {
      world.cluster.wipe(host)
      return []
    }),
  oldDisk: (world) => {
    const host = anyHost(world)
    if (world.scene.atlas.isRotten(host)) return
    const backup = host.node.disk.backUp()
    const restore = (): void =>
      damage(
        world,
        'old disk',
        () => {
          host.node.disk.restore(backup)
          return []
        },
        host,
      )
    world.cluster.simulation.schedule(world.random.between(100, 6000), 'an old copy comes back', restore)
  },
}

function damage(
  world: World,
  name: string,
  harm: (host: Host) => readonly Damage[],
  host: Host = anyHost(world),
): void {
  const { cluster, random, scene } = world
  if (scene.isOver || host.broker === null || host.isClosing || !scene.atlas.claim(name)) return
  scene.work(name, async () => {
    try {
      await scene.endLife(host, anyOf(random, ['close', 'crash', 'power cut'] as const))
      const isSpare = (): boolean => scene.atlas.isSpare(host) && !scene.atlas.isEligible(host)
      if (await scene.until(isSpare, SPARE_MS_MAX)) {
        const damages = harm(host)
        if (damages.length > 0) scene.atlas.rots(host)
        scene.mark(`${name}: made`)
        void cluster.revive(host)
        await comeBack(scene, host)
        await repair(world, host, damages)
      } else {
        scene.mark(`${name}: called off`)
        if (!host.node.isUp) void cluster.revive(host)
      }
      await scene.until(() => scene.atlas.isWhole(host), WHOLE_MS_MAX)
    } finally {
      scene.atlas.giveBack()
    }
  })
}

/** What is there of the damage is looked for after a while, if no broker has found it. */
async function repair(world: World, host: Host, damages: readonly Damage[]): Promise<void> {
  const { cluster, random, scene } = world
  const left = (): readonly Damage[] => damages.filter(({ isThere }) => isThere())
  if (damages.length === 0) return
  await scene.until(() => left().length === 0 || scene.isOver, random.between(1000, 5000))
  if (left().length === 0) scene.mark('rot: gone by itself')
  while (left().length > 0) {
    if (!(await scene.until(() => scene.atlas.isDispensable(host), WHOLE_MS_MAX))) continue
    await scene.endLife(host, 'crash')
    if (await scene.until(() => scene.atlas.isSpare(host), SPARE_MS_MAX)) {
      for (const { name } of left()) remove(host, name)
      scene.mark('rot: found by an operator')
    }
    if (!host.node.isUp) void cluster.revive(host)
    await comeBack(scene, host)
    await scene.until(() => scene.atlas.isWhole(host), WHOLE_MS_MAX)
  }
}

/** It serves again, and votes if it did; on another disk if this one cannot be believed. */
async function comeBack(scene: Scene, host: Host): Promise<void> {
  const { cluster } = scene
  const refusal = (): string | null => {
    const { code } = (host.failure ?? {}) as { code?: string }
    return code !== undefined && REFUSALS.has(code) ? code : null
  }
  for (;;) {
    await scene.until(() => host.broker !== null || refusal() !== null, WHOLE_MS_MAX)
    const code = refusal()
    if (host.broker !== null || code === null) break
    scene.mark(`refused to start: ${code}`)
    cluster.kill(host, 'crash')
    if (await scene.until(() => scene.atlas.isSpare(host), SPARE_MS_MAX)) cluster.wipe(host)
    if (!host.node.isUp) void cluster.revive(host)
  }
  await restoreVote(scene, host)
}

/** A vote belongs to a disk (KIP-853): another disk of that node has none. */
async function restoreVote(scene: Scene, host: Host): Promise<void> {
  const { voters } = await scene.insist(() => scene.admin.describeQuorum(), WHOLE_MS_MAX)
  const voter = voters.find(({ nodeId }) => nodeId === host.id)
  if (voter === undefined || voter.directoryId === directoryId(host)) return
  await changeVoter(scene, host, 'remove')
  await changeVoter(scene, host, 'add')
  scene.mark('vote: given to a new disk')
}

/**
 * Insists until it is so. A change that was carried out without an answer is refused the next time. A new voter is named in the
 * settings of all first, as they say of themselves: one that starts and has no vote finds who leads by these alone.
 */
export async function changeVoter(scene: Scene, host: Host, change: 'add' | 'remove'): Promise<void> {
  if (change === 'add') for (const other of scene.cluster.hosts) nameVoter(scene, other, host)
  const done = change === 'add' ? 'DUPLICATE_VOTER' : 'VOTER_NOT_FOUND'
  await scene
    .insist(
      () =>
        change === 'add'
          ? scene.admin.addVoter(host.id, { timeoutMs: 5000 })
          : scene.admin.removeVoter(host.id),
      WHOLE_MS_MAX,
      (code) => code === done,
    )
    .catch((error: unknown) => {
      if ((error as { code?: string }).code !== done) throw error
    })
}

function nameVoter({ cluster }: Scene, at: Host, { id, name }: Host): void {
  const named = at.settings[VOTERS] ?? cluster.settings[VOTERS] ?? ''
  if (named.split(',').some((each) => each.startsWith(`${id}@`))) return
  at.settings = { ...at.settings, [VOTERS]: `${named},${id}@${name}:${PORT}` }
}

/** Flips bits, zeroes a sector, or cuts off the end, of one of the files. */
function rot(host: Host, random: Prng, paths: readonly string[]): readonly Damage[] {
  const { disk } = host.node
  const sizeOf = (path: string): number => disk.contents(`${DIRECTORY}/${path}`)?.length ?? 0
  const full = paths.filter((path) => sizeOf(path) > 0)
  if (full.length === 0) return []
  const name = anyOf(random, full)
  const path = `${DIRECTORY}/${name}`
  const inode = disk.find(path)
  const size = sizeOf(name)
  const position = random.below(size)
  const kind = anyOf(random, ['flip', 'flip', 'zero', 'cut'] as const)
  if (kind === 'flip') disk.flipBit(path, position, random.below(8))
  else if (kind === 'zero') disk.zero(path, position - (position % SECTOR_BYTES), SECTOR_BYTES)
  else disk.cutOff(path, position)
  const from = kind === 'zero' ? position - (position % SECTOR_BYTES) : position
  const rotten = disk.contents(path)!.slice(from, kind === 'flip' ? from + 1 : from + SECTOR_BYTES)
  const isThere = (): boolean => {
    // A start that writes the ends of logs anew puts a copy in its place, rot and all.
    const file = disk.find(path)
    const isSame = file === inode || (file?.kind === 'file' && file.isRotten)
    const now = isSame ? disk.contents(path) : null
    if (now === null) return false
    if (kind === 'cut') return now.length === position
    return now.length > from && Buffer.from(now.slice(from, from + rotten.length)).equals(rotten)
  }
  return isPartitionLog(name) ? [{ name: name.split('/')[0]!, isThere }] : []
}

function isPartitionLog(name: string): boolean {
  return name.endsWith('.log') && !name.startsWith(METADATA_LOG)
}

/** Names of files below the data directory. */
function filesOf(host: Host): readonly string[] {
  return namesIn(host).flatMap((name) => {
    const inode = host.node.disk.find(`${DIRECTORY}/${name}`)
    if (inode?.kind !== 'directory') return [name]
    return /-(stray|delete)$/.test(name) ? [] : namesIn(host, name).map((inner) => `${name}/${inner}`)
  })
}

function segmentsOf(host: Host): readonly string[] {
  return filesOf(host).filter(isPartitionLog)
}

/** Those that are not written to any more, in logs that have several. */
function closedSegmentsOf(host: Host): readonly string[] {
  const segments = segmentsOf(host)
  return segments.filter((name, index) => segments[index + 1]?.split('/')[0] === name.split('/')[0])
}

function metadataFilesOf(host: Host): readonly string[] {
  return filesOf(host).filter((name) => name.startsWith(METADATA_LOG) || name === 'meta.properties')
}

/** Everything that a broker can make again from its logs, or do without (D5). */
function cachesOf(host: Host): readonly string[] {
  return filesOf(host).filter(
    (name) => !name.startsWith(METADATA_LOG) && !name.endsWith('.log') && name !== 'meta.properties',
  )
}

/** By hand, while the broker is down. */
function remove(host: Host, name: string): void {
  const directory = host.node.disk.find(DIRECTORY)
  if (directory?.kind !== 'directory') return
  directory.live.delete(name)
  directory.durable.delete(name)
}
