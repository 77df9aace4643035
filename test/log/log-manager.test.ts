/** What a data directory promises: identity, lock, marks, deletion, and the life of its logs. */
import { describe, expect, it } from 'vitest'
import type { Env } from '../../src/env/index.ts'
import { MemoryFileSystem } from '../../src/env/memory/memory-file-system.ts'
import { LogManager, type LogManagerOptions } from '../../src/log/log-manager.ts'
import { append, logConfig, readAll, simulate, TOPIC_ID, whenDurable } from './support.ts'

const HOME = '/data/log'
const OTHER_TOPIC_ID = 'b3RoZXItdG9waWMtaWQtLQ'

function open(env: Env, overrides: Partial<LogManagerOptions> = {}): Promise<LogManager> {
  const options = {
    directory: HOME,
    nodeId: 1,
    memoryFiles: new MemoryFileSystem({ clock: env.clock }),
    ...overrides,
  }
  return LogManager.open(env, options)
}

async function inSimulation(
  seed: string,
  work: (env: Env, world: ReturnType<typeof simulate>) => Promise<void>,
): Promise<void> {
  const world = simulate(seed)
  await world.simulation.runUntil(work(world.env, world))
}

describe('A data directory', () => {
  it('ST-14: refuses another node and another cluster, naming both', async () => {
    await inSimulation('identity', async (env) => {
      const first = await open(env, { clusterId: 'cluster-one' })
      await first.close()
      await expect(open(env, { nodeId: 2 })).rejects.toThrow(/belongs to node 1, and this is node 2/)
      await expect(open(env, { clusterId: 'cluster-two' })).rejects.toThrow(
        /cluster cluster-one, and this is cluster cluster-two/,
      )
      const again = await open(env)
      expect([again.clusterId, again.directoryId]).toEqual(['cluster-one', first.directoryId])
    })
  })

  it('ST-14: is open in one process at a time', async () => {
    await inSimulation('lock', async (env) => {
      const manager = await open(env)
      await expect(open(env)).rejects.toMatchObject({ code: 'FILE_LOCKED' })
      await manager.close()
      await (await open(env)).close()
    })
  })

  it('ST-13: says that it was closed cleanly only right after a clean close', async () => {
    const { simulation, env } = simulate('clean')
    const manager = await simulation.runUntil(open(env))
    expect(manager.wasClosedCleanly).toBe(false)
    await simulation.runUntil(manager.close())
    expect((await simulation.runUntil(open(env))).wasClosedCleanly).toBe(true)
    simulation.node('a').powerCut({ names: 'lost' })
    expect((await simulation.runUntil(open(simulation.node('a').restart()))).wasClosedCleanly).toBe(false)
  })

  it('opens a long log after a clean stop without reading its data', async () => {
    await inSimulation('fast', async (env, { simulation }) => {
      const config = logConfig({ segmentBytes: 20_000, indexIntervalBytes: 1_000 })
      const manager = await open(env)
      const log = await manager.create('orders', 0, TOPIC_ID, config)
      for (let index = 0; index < 500; index++) append(log, { valueBytes: 1_000 })
      await whenDurable(log, 500)
      await manager.close()
      const disk = simulation.node('a').disk
      const names = await env.files.list(`${HOME}/orders-0`)
      // Rot inside closed segments would be found by anything that reads them.
      for (const name of names.filter((candidate) => candidate.endsWith('.log')).slice(0, -1)) {
        disk.flipBit(`${HOME}/orders-0/${name}`, 9_000, 1)
      }
      const again = await open(env, { configFor: () => config })
      expect([...again.quarantined.keys()]).toEqual([])
      expect(again.get('orders', 0)?.logEndOffset).toBe(500)
    })
  })

  it('D3: keeps a corrupt log apart, and serves the others', async () => {
    await inSimulation('quarantine', async (env) => {
      let manager = await open(env)
      for (const topic of ['good', 'bad']) {
        const log = await manager.create(topic, 0, TOPIC_ID, logConfig())
        append(log)
        await whenDurable(log, 1)
      }
      await manager.close()
      await env.files.remove(`${HOME}/bad-0/00000000000000000000.log`)
      manager = await open(env)
      expect([...manager.quarantined.keys()]).toEqual(['bad-0'])
      expect(manager.get('good', 0)?.logEndOffset).toBe(1)
      await expect(manager.create('bad', 0, TOPIC_ID, logConfig())).rejects.toMatchObject({
        code: 'LOG_CORRUPT',
      })
    })
  })

  it('RP-21: deletes by rename first, frees the name at once, and never gives old records to a new topic', async () => {
    await inSimulation('delete', async (env) => {
      const config = logConfig({ fileDeleteDelayMs: 1_000 })
      const manager = await open(env)
      const log = await manager.create('orders', 0, TOPIC_ID, config)
      append(log)
      await expect(manager.create('orders', 0, OTHER_TOPIC_ID, config)).rejects.toMatchObject({
        code: 'LOG_WRONG_TOPIC',
      })
      await manager.remove('orders', 0)
      const names = await env.files.list(HOME)
      expect(names.filter((name) => /^orders-0\.[0-9a-f]{32}-delete$/.test(name))).toHaveLength(1)
      const anew = await manager.create('orders', 0, OTHER_TOPIC_ID, config)
      expect(anew.logEndOffset).toBe(0)
      await new Promise<void>((resolve) => env.clock.after(2_000, resolve))
      expect((await env.files.list(HOME)).filter((name) => name.endsWith('-delete'))).toEqual([])
      await manager.setAside('orders', 0)
      await manager.remove('orders', 0)
      await manager.close()
      const again = await open(env)
      expect(again.logs()).toEqual([])
      expect((await env.files.list(HOME)).filter((name) => name.endsWith('-stray'))).toHaveLength(1)
    })
  })

  it('keeps logs of durability memory off the disk', async () => {
    await inSimulation('memory', async (env) => {
      const manager = await open(env)
      const log = await manager.create(
        'orders',
        0,
        TOPIC_ID,
        logConfig({ durability: 'memory', segmentBytes: 300, tailCacheBytes: 0 }),
      )
      for (let index = 0; index < 20; index++) append(log)
      await whenDurable(log, 20)
      expect((await readAll(log)).length).toBe(log.sizeBytes)
      expect((await env.files.list(HOME)).filter((name) => name.startsWith('orders'))).toEqual([])
      await manager.checkpoint()
      await manager.close()
      expect((await open(env)).logs()).toEqual([])
    })
  })

  it('S8 ST-15: a wall clock that jumps ten years ahead deletes nothing; periodic work does the rest', async () => {
    await inSimulation('clock', async (env, { simulation }) => {
      const config = logConfig({ segmentBytes: 300, retentionMs: 3_600_000 })
      const manager = await open(env, { retentionCheckMs: 60_000, checkpointMs: 5_000 })
      const log = await manager.create('orders', 0, TOPIC_ID, config)
      for (let index = 0; index < 20; index++) append(log, { timestampMs: env.clock.wallTimeMs() })
      await whenDurable(log, 20)
      manager.startMaintenance()
      simulation.node('a').time.jumpWall(10 * 365 * 86_400_000)
      await new Promise<void>((resolve) => env.clock.after(600_000, resolve))
      expect(log.logStartOffset).toBe(0)
      expect(log.recoveryPoint).toBe(20)
      simulation.node('a').time.jumpWall(-10 * 365 * 86_400_000)
      await new Promise<void>((resolve) => env.clock.after(4_000_000, resolve))
      expect(log.logStartOffset).toBe(20)
      await manager.close()
    })
  })
})
