/** What the start after a failed sync makes of pages that the cache shows and the disk does not have (docs/faults.md ST-7, D1, D4). */
import { describe, expect, it } from 'vitest'
import type { Env } from '../../src/env/index.ts'
import { MemoryFileSystem } from '../../src/env/memory/memory-file-system.ts'
import { CLEAN_SHUTDOWN, NO_FAILURE } from '../../src/log/file-names.ts'
import { LogManager } from '../../src/log/log-manager.ts'
import type { PartitionLog } from '../../src/log/partition-log.ts'
import { verifyDirectory } from '../../src/log/verify.ts'
import { append, logConfig, readAll, simulate, TOPIC_ID, whenDurable } from './support.ts'

const HOME = '/data/log'
const CONFIG = logConfig({ segmentBytes: 300 })

function open(env: Env): Promise<LogManager> {
  const memoryFiles = new MemoryFileSystem({ clock: env.clock })
  return LogManager.open(env, { directory: HOME, nodeId: 1, memoryFiles, configFor: () => CONFIG })
}

interface Life {
  readonly world: ReturnType<typeof simulate>
  /** What was acknowledged before the sync failed. */
  readonly bytes: Uint8Array
}

/** A log of some segments, synced and checkpointed in part; then a sync fails, and the process dies with the cache as it is. */
async function untilFailedSync(seed: string, failing: (path: string) => boolean): Promise<Life> {
  const world = simulate(seed)
  const { simulation, env } = world
  const node = simulation.node('a')
  node.disk.evictionChance = 0
  const manager = await simulation.runUntil(open(env))
  const log = await simulation.runUntil(manager.create('orders', 0, TOPIC_ID, CONFIG))
  for (let index = 0; index < 7; index++) {
    append(log, { timestampMs: index })
    await simulation.runUntil(whenDurable(log, log.logEndOffset))
    if (index === 3) await simulation.runUntil(manager.checkpoint())
  }
  const failed = new Promise<void>((resolve) => (manager.onDirectoryFailed = () => resolve()))
  const bytes = await simulation.runUntil(readAll(log))
  node.disk.fail({ kind: 'sync', path: failing })
  const batches = Array.from({ length: 5 }, (_, index) => append(log, { timestampMs: 10 + index, tag: 7 }))
  expect(batches.every(({ kind }) => kind === 'appended')).toBe(true)
  await simulation.runUntil(failed)
  await simulation.runUntil(manager.abandon())
  node.crash()
  return { world, bytes }
}

async function reopened({
  world,
}: Life): Promise<{ readonly manager: LogManager; readonly log: PartitionLog }> {
  const { simulation } = world
  const manager = await simulation.runUntil(open(simulation.node('a').restart()))
  return { manager, log: manager.get('orders', 0)! }
}

describe('A start after a failed sync', () => {
  it('ST-7 D1: what it says is durable survives a power cut, though the cache showed what the disk had lost', async () => {
    let shown = 0
    for (let seed = 0; seed < 20; seed++) {
      const life = await untilFailedSync(`lost pages ${seed}`, (path) => path.endsWith('.log'))
      const { simulation } = life.world
      const first = await reopened(life)
      const { durableEndOffset } = first.log
      const bytes = await simulation.runUntil(readAll(first.log))
      expect(Buffer.compare(bytes.subarray(0, life.bytes.length), life.bytes)).toBe(0)
      if (durableEndOffset > 7) shown++
      simulation.node('a').powerCut({ data: 'lost', names: 'lost' })
      const second = await reopened(life)
      expect(second.log.durableEndOffset).toBe(durableEndOffset)
      expect(Buffer.compare(await simulation.runUntil(readAll(second.log)), bytes)).toBe(0)
      await simulation.runUntil(second.manager.close())
      const { files } = simulation.node('a').env
      await simulation.runUntil(
        (async () => {
          for await (const { faults } of verifyDirectory(files, HOME)) expect(faults).toEqual([])
        })(),
      )
    }
    expect(shown, 'the cache must have shown something that was not on the disk').toBeGreaterThan(10)
  })

  it('ST-7: cut short at any step, is begun over by the next one', async () => {
    for (let step = 1; ; step++) {
      const life = await untilFailedSync('cut short', (path) => path.endsWith('.log'))
      const { simulation } = life.world
      const node = simulation.node('a')
      const firstStep = node.disk.operationCount
      node.disk.onOperation = (number) => {
        if (number === firstStep + step) node.crash()
      }
      const env = node.restart()
      const opening = open(env)
      opening.catch(() => undefined)
      const end = await simulation.runUntil(
        Promise.race([
          opening.then(() => 'open'),
          new Promise((resolve) => simulation.schedule(60_000, 'end', () => resolve('dead'))),
        ]),
      )
      node.disk.onOperation = () => undefined
      if (end === 'open') {
        expect(step).toBeGreaterThan(20)
        return
      }
      const again = await reopened(life)
      const { durableEndOffset } = again.log
      node.powerCut({ data: 'lost', names: 'lost' })
      expect((await reopened(life)).log.durableEndOffset).toBe(durableEndOffset)
    }
  })

  it('writes nothing anew where nothing had failed', async () => {
    const { simulation, env } = simulate('kill')
    const node = simulation.node('a')
    const manager = await simulation.runUntil(open(env))
    const log = await simulation.runUntil(manager.create('orders', 0, TOPIC_ID, CONFIG))
    for (let index = 0; index < 7; index++) append(log)
    await simulation.runUntil(whenDurable(log, 7))
    node.crash()
    const renamed: string[] = []
    node.disk.onOperation = (_number, kind, path) => {
      if (kind === 'rename' && path.endsWith('.log.tmp')) renamed.push(path)
    }
    await simulation.runUntil(open(node.restart()))
    expect(renamed).toEqual([])
  })

  it('ST-7: believes nothing of a directory whose mark is missing, whatever took it away', async () => {
    const { simulation, env } = simulate('no mark')
    const manager = await simulation.runUntil(open(env))
    await simulation.runUntil(manager.create('orders', 0, TOPIC_ID, CONFIG))
    await simulation.runUntil(manager.close())
    for (const name of [NO_FAILURE, CLEAN_SHUTDOWN])
      await simulation.runUntil(env.files.remove(`${HOME}/${name}`))
    let renamed = 0
    simulation.node('a').disk.onOperation = (_number, kind, path) => {
      if (kind === 'rename' && path.endsWith('.log.tmp')) renamed++
    }
    await simulation.runUntil(open(env))
    expect(renamed).toBe(1)
    expect(simulation.node('a').disk.contents(`${HOME}/${NO_FAILURE}`)).not.toBeNull()
  })
})
