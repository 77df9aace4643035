/** What each act does: begins, holds, and puts right again. Every act leaves its broker running and healed. */
import { spawnSync } from 'node:child_process'
import { rmSync, statfsSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { NodeLinks } from '../support/cluster-processes.ts'
import type { TcpProxy } from '../support/tcp-proxy.ts'
import { damage } from './damage.ts'
import type { Act, Cut, NetworkFault } from './plan.ts'
import { TOPIC } from './scene.ts'
import type { Scene } from './scene.ts'
import type { Tally } from './tally.ts'
import { Tracer } from './tracer.ts'

/** A fault of the disk that has hit nothing within this long does not come any more: the broker writes nothing. */
const HIT_MS_MAX = 3000
/** A broker whose disk has failed is gone within this long: it hands over what it leads. */
const STOP_MS_MAX = 20_000
/** Exit code of `millrace start` when its broker had to stop. */
const FAILED_EXIT_CODE = 1
const BALLAST = 'ballast'

type OfKind<K extends Act['kind']> = Extract<Act, { kind: K }>

/** @returns Whether it had an effect: one that had none counts for nothing, and is tried again later. */
export async function perform(scene: Scene, tally: Tally, act: Act): Promise<boolean> {
  switch (act.kind) {
    case 'kill all':
      return killAll(scene, tally, act.holdMs)
    case 'power cut of all':
      return cutPower(scene, tally, scene.nodeIds)
    case 'power cut':
      return withVictim(scene, act, (nodeId) => cutPower(scene, tally, [nodeId]))
    case 'kill':
      return withVictim(scene, act, (nodeId) => kill(scene, tally, nodeId, act))
    case 'pause':
      return withVictim(scene, act, (nodeId) => stall(scene, tally, nodeId, act))
    case 'restart':
      return withVictim(scene, act, (nodeId) => restart(scene, tally, nodeId, act))
    case 'partition':
      return withVictim(scene, act, (nodeId) => cutOff(scene, tally, nodeId, act))
    case 'network':
      return withVictim(scene, act, (nodeId) => disturb(scene, tally, nodeId, act))
    case 'disk':
      return withVictim(scene, act, (nodeId) =>
        act.fault === 'full disk' ? fill(scene, tally, nodeId, act) : harmDisk(scene, tally, nodeId, act),
      )
    case 'corruption':
      return withVictim(scene, act, (nodeId) => corrupt(scene, tally, nodeId, act))
  }
}

async function withVictim(
  scene: Scene,
  act: Extract<Act, { victim: unknown }>,
  work: (nodeId: number) => Promise<boolean>,
): Promise<boolean> {
  const nodeId = await scene.take(act.victim)
  if (nodeId === null) return false
  try {
    return await work(nodeId)
  } finally {
    scene.release(nodeId)
  }
}

async function kill(scene: Scene, tally: Tally, nodeId: number, act: OfKind<'kill'>): Promise<boolean> {
  await scene.kill(nodeId)
  tally.add('kills')
  await pause(act.holdMs)
  if (act.times === 2) {
    await scene.broker(nodeId).killWhileStarting(1)
    tally.add('kills')
  }
  await scene.restart(nodeId)
  return true
}

async function killAll(scene: Scene, tally: Tally, holdMs: number): Promise<boolean> {
  await Promise.all(scene.nodeIds.map((nodeId) => scene.kill(nodeId)))
  tally.add('kills', scene.nodeIds.length)
  await pause(holdMs)
  await Promise.all(scene.nodeIds.map((nodeId) => scene.restart(nodeId)))
  return true
}

async function stall(scene: Scene, tally: Tally, nodeId: number, act: OfKind<'pause'>): Promise<boolean> {
  scene.broker(nodeId).pause()
  tally.add('pauses')
  await pause(act.holdMs)
  scene.broker(nodeId).resume()
  return true
}

async function restart(scene: Scene, tally: Tally, nodeId: number, act: OfKind<'restart'>): Promise<boolean> {
  scene.takeDown(nodeId)
  await scene.step(`a clean stop of broker ${nodeId}`, scene.broker(nodeId).stop())
  tally.add('restarts')
  await pause(act.holdMs)
  await scene.restart(nodeId)
  return true
}

async function cutOff(
  scene: Scene,
  tally: Tally,
  nodeId: number,
  act: OfKind<'partition'>,
): Promise<boolean> {
  const links = scene.cluster.linksOf(nodeId)
  cut(nodeId, links, act.cut)
  tally.add('partitions')
  if (act.cut === 'out' || act.cut === 'in') tally.add('one-way partitions')
  await pause(act.holdMs)
  for (const proxy of proxiesOf(links)) proxy.heal()
  return true
}

function cut(nodeId: number, { peers, clients }: NodeLinks, from: Cut): void {
  if (from === 'all' || from === 'clients') clients.cut()
  if (from === 'all' || from === 'peers') for (const { proxy } of peers) proxy.cut()
  if (from !== 'out' && from !== 'in') return
  // What the opener of a connection sends goes there, what the other one sends comes back.
  for (const link of peers) link.proxy.cut((link.from === nodeId) === (from === 'out') ? 'there' : 'back')
}

async function disturb(scene: Scene, tally: Tally, nodeId: number, act: OfKind<'network'>): Promise<boolean> {
  const proxies = proxiesOf(scene.cluster.linksOf(nodeId))
  for (const [index, proxy] of proxies.entries()) disturbLink(proxy, act.fault, act.victim.draw + index)
  tally.add('network faults')
  await pause(act.holdMs)
  for (const proxy of proxies) proxy.heal()
  return true
}

function disturbLink(proxy: TcpProxy, fault: NetworkFault, draw: number): void {
  switch (fault) {
    case 'reset':
      proxy.reset()
      return
    case 'delay':
      proxy.delay(5 + (draw % 100))
      return
    case 'slivers':
      proxy.sliver()
      return
    case 'half-open':
      proxy.vanish(draw % 2 === 0 ? 'there' : 'back')
  }
}

async function harmDisk(scene: Scene, tally: Tally, nodeId: number, act: OfKind<'disk'>): Promise<boolean> {
  if (act.fault === 'full disk') return false
  const isFatal = act.fault === 'failing sync' || act.fault === 'failing write'
  if (isFatal) scene.takeDown(nodeId)
  const broker = scene.broker(nodeId)
  const tracer = Tracer.attach(broker.pid, act.fault)
  const hasHit = await Promise.race([tracer.hit, pause(HIT_MS_MAX, false)])
  if (hasHit) tally.add('disk faults')
  if (hasHit && isFatal) {
    // The disk stays as it is until the broker has stopped: of the first calls that fail one may concern a checkpoint alone.
    const what = `the stop of broker ${nodeId}, whose disk has failed`
    const { code, signal } = await scene.step(what, broker.exited, STOP_MS_MAX)
    if (code !== FAILED_EXIT_CODE)
      throw new Error(`Waiting for ${what}: it ended with ${code ?? signal}, wanted ${FAILED_EXIT_CODE}`)
  } else if (hasHit) await pause(act.holdMs)
  await tracer.detach()
  if (!isFatal) return hasHit
  if (!hasHit) await scene.kill(nodeId)
  await scene.restart(nodeId)
  return hasHit
}

/** Takes all the room there is, and gives it back. */
async function fill(scene: Scene, tally: Tally, nodeId: number, act: OfKind<'disk'>): Promise<boolean> {
  const { directory } = scene.broker(nodeId)
  const { bavail, bsize } = statfsSync(directory)
  const ballast = join(directory, BALLAST)
  try {
    spawnSync('fallocate', ['--length', String(bavail * bsize), ballast])
    // What the broker has freed or the first call could not have; it ends at the last block.
    spawnSync('dd', [
      'if=/dev/zero',
      `of=${ballast}`,
      'oflag=append',
      'conv=notrunc',
      'bs=4096',
      'status=none',
    ])
    tally.add('disk faults')
    await pause(act.holdMs)
  } finally {
    rmSync(ballast, { force: true })
  }
  return true
}

async function corrupt(
  scene: Scene,
  tally: Tally,
  nodeId: number,
  act: OfKind<'corruption'>,
): Promise<boolean> {
  await scene.isWhole()
  const isKilled = act.seed % 2 === 0
  if (isKilled && act.damage !== 'bits') await scene.kill(nodeId)
  else {
    scene.takeDown(nodeId)
    await scene.step(`a clean stop of broker ${nodeId}`, scene.broker(nodeId).stop())
  }
  const { directory } = scene.broker(nodeId)
  const saved = scene.savedCheckpoints(nodeId)
  const damaged = await damage(act.damage, { directory, topic: TOPIC, seed: act.seed, saved })
  if (act.damage === 'indexes') for (const { path } of damaged) scene.damagedCaches.add(path)
  await scene.restart(nodeId)
  if (damaged.length === 0) return false
  tally.add('corruptions')
  tally.add('damaged files', damaged.length)
  await scene.isWhole()
  scene.saveCheckpoints()
  return true
}

/** The machines of these brokers lose their power: what was not synced is gone (test/support/loop-disk.ts). */
async function cutPower(scene: Scene, tally: Tally, nodeIds: readonly number[]): Promise<boolean> {
  const disks = nodeIds.map((nodeId) => scene.disks[nodeId - 1]!)
  for (const nodeId of nodeIds) scene.broker(nodeId).pause()
  const snapshots = await Promise.all(disks.map((disk) => disk.snapshot()))
  await Promise.all(nodeIds.map((nodeId) => scene.kill(nodeId)))
  await Promise.all(disks.map((disk, index) => disk.restore(snapshots[index]!)))
  tally.add('power cuts', nodeIds.length)
  await Promise.all(nodeIds.map((nodeId) => scene.restart(nodeId)))
  return true
}

function proxiesOf({ peers, clients }: NodeLinks): readonly TcpProxy[] {
  return [...peers.map(({ proxy }) => proxy), clients]
}
