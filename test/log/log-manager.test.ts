/** What a data directory promises: identity, lock, marks, deletion, and the life of its logs. */
import { describe, expect, it } from 'vitest'
import type { Env } from '../../src/env/index.ts'
import { MemoryFileSystem } from '../../src/env/memory/memory-file-system.ts'
import { CLEAN_SHUTDOWN } from '../../src/log/file-names.ts'
import { LogManager } from '../../src/log/log-manager.ts'
import type { LogManagerOptions } from '../../src/log/log-manager-options.ts'
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

  it('M10: is nobody’s if what says whose it is cannot be believed', async () => {
    const { simulation, env } = simulate('rotten identity')
    await simulation.runUntil(open(env).then((manager) => manager.close()))
    const path = `${HOME}/meta.properties`
    const text = Buffer.from(simulation.node('a').disk.contents(path)!).toString()
    simulation.node('a').disk.flipBit(path, text.indexOf('directory.id=') + 20, 7)
    await expect(simulation.runUntil(open(env))).rejects.toThrow(/meta.properties cannot be read/)
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

  it('RP-12: was not closed cleanly, as far as the cluster is concerned, if a log is missing that was there then', async () => {
    await inSimulation('missing', async (env) => {
      let manager = await open(env)
      for (const topic of ['kept', 'deleted', 'taken', 'empty']) {
        const log = await manager.create(topic, 0, TOPIC_ID, logConfig())
        if (topic === 'empty') continue
        append(log)
        await whenDurable(log, 1)
      }
      await manager.remove('deleted', 0)
      await manager.close(7)
      const take = async (topic: string): Promise<void> => {
        for (const name of await env.files.list(`${HOME}/${topic}-0`))
          await env.files.remove(`${HOME}/${topic}-0/${name}`)
        await env.files.remove(`${HOME}/${topic}-0`)
      }
      await take('empty')
      manager = await open(env)
      expect(manager.cleanBrokerEpoch).toBe(7)
      await manager.close(7)
      await take('taken')
      manager = await open(env)
      expect(manager.cleanBrokerEpoch).toBe(-1)
      expect(manager.wasClosedCleanly).toBe(true)
      expect([...manager.logs()].map(({ topic }) => topic)).toEqual(['kept'])
      // That life knows of nothing that it lacks.
      await manager.close(8)
      expect((await open(env)).cleanBrokerEpoch).toBe(8)
    })
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

  it('R9: reads of a log that took the place of a corrupt one never meet the files of that one', async () => {
    await inSimulation('in its place', async (env) => {
      const config = logConfig({ segmentBytes: 300, tailCacheBytes: 0 })
      let manager = await open(env, { configFor: () => config })
      const bad = await manager.create('orders', 0, TOPIC_ID, config)
      for (let index = 0; index < 20; index++) append(bad, { valueBytes: 10 })
      await whenDurable(bad, 20)
      await manager.close()
      await env.files.remove(`${HOME}/${CLEAN_SHUTDOWN}`)
      const names = (await env.files.list(`${HOME}/orders-0`)).filter((name) => name.endsWith('.log')).sort()
      await env.files.remove(`${HOME}/orders-0/${names.at(-1)!}`)
      manager = await open(env, { configFor: () => config })
      expect([...manager.quarantined.keys()]).toEqual(['orders-0'])
      await manager.setAside('orders', 0)
      const anew = await manager.create('orders', 0, TOPIC_ID, config)
      for (let index = 0; index < 20; index++) append(anew, { valueBytes: 50 + index })
      await whenDurable(anew, 20)
      const sizes = []
      for (let offset = 0; offset < 20; offset++) sizes.push((await anew.read(offset, 20, 1, true)).bytes)
      expect(new Set(sizes).size).toBe(20)
      await manager.close()
    })
  })

  it.each([
    ['a sync of one log', { kind: 'sync' as const, path: (path: string) => path.includes('/a-0/') }],
    ['a write of one log', { kind: 'append' as const, path: (path: string) => path.includes('/a-0/') }],
    ['a checkpoint', { kind: 'sync' as const, path: (path: string) => path.includes('checkpoint.tmp') }],
  ])('D4 ST-7: ends all its logs in the turn in which %s fails, and for good', async (_, fault) => {
    await inSimulation(`failed ${_}`, async (env, { simulation }) => {
      const manager = await open(env)
      const a = await manager.create('a', 0, TOPIC_ID, logConfig())
      const b = await manager.create('b', 0, TOPIC_ID, logConfig())
      const inMemory = await manager.create('c', 0, TOPIC_ID, logConfig({ durability: 'memory' }))
      append(a)
      append(b)
      await Promise.all([whenDurable(a, 1), whenDurable(b, 1)])
      const told: string[] = []
      a.onFailed = () => told.push('a')
      b.onFailed = () => told.push('b')
      simulation.node('a').disk.fail(fault)
      const failed = new Promise<void>((resolve) => {
        manager.onDirectoryFailed = ({ code }) => {
          told.push(code)
          resolve()
        }
      })
      append(a)
      const begun = manager.checkpoint().catch(() => undefined)
      await failed
      await begun
      expect(told.sort()).toEqual(['LOG_DIRECTORY_FAILED', 'a', 'b'])
      expect(manager.failure).toMatchObject({ code: 'LOG_DIRECTORY_FAILED' })
      const refused = { kind: 'rejected', error: 'KAFKA_STORAGE_ERROR' }
      expect([append(a), append(b)]).toMatchObject([refused, refused])
      expect(append(inMemory)).toMatchObject({ kind: 'appended' })
      expect(b.read(0, 1, 1_000, true)).toMatchObject({ endOffset: 1 })
      const { operationCount } = simulation.node('a').disk
      for (const work of [
        () => manager.create('d', 0, TOPIC_ID, logConfig()),
        () => manager.remove('b', 0),
        () => a.deleteRecordsBefore(1),
      ])
        await expect(work()).rejects.toMatchObject({ code: 'LOG_DIRECTORY_FAILED' })
      await manager.checkpoint().catch(() => undefined)
      expect(simulation.node('a').disk.operationCount).toBe(operationCount)
      await expect(manager.close()).rejects.toMatchObject({ code: 'LOG_NOT_CLOSED_CLEANLY' })
      const again = await open(env)
      expect(again.wasClosedCleanly).toBe(false)
      expect(again.get('b', 0)?.logEndOffset).toBe(1)
      await again.close()
    })
  })

  it('ST-8: saves what a full disk lets it save, says so, and is given back when it is closed', async () => {
    await inSimulation('full at close', async (env, { simulation }) => {
      const manager = await open(env)
      for (const topic of ['a', 'b']) {
        const log = await manager.create(topic, 0, TOPIC_ID, logConfig())
        append(log, { producerId: 1 })
        await whenDurable(log, 1)
      }
      const { disk } = simulation.node('a')
      const volume = disk.freeBytes
      disk.freeBytes = 0
      await expect(manager.close()).rejects.toMatchObject({
        code: 'LOG_NOT_CLOSED_CLEANLY',
        message: expect.stringContaining('the next start checks the logs') as string,
      })
      disk.freeBytes = volume
      const again = await open(env)
      expect(again.wasClosedCleanly).toBe(false)
      expect(again.logs().map(({ logEndOffset }) => logEndOffset)).toEqual([1, 1])
      await again.close()
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

  it('D6 RP-22: a cut below the high watermark lowers it on disk, too, before the log grows anew', async () => {
    const { simulation, env } = simulate('high watermark')
    let highWatermark = 0
    const options = { highWatermarkOf: () => highWatermark }
    await simulation.runUntil(
      (async () => {
        const manager = await open(env, options)
        const log = await manager.create('t', 0, TOPIC_ID, logConfig())
        for (let count = 0; count < 5; count++) append(log)
        await whenDurable(log, log.logEndOffset)
        highWatermark = log.logEndOffset
        await manager.checkpoint()
        log.onCut = () => (highWatermark = Math.min(highWatermark, log.durableEndOffset))
        await log.truncateTo(2)
        for (let count = 0; count < 5; count++) append(log)
        await whenDurable(log, log.logEndOffset)
      })(),
    )
    simulation.node('a').powerCut({ names: 'lost' })
    const again = await simulation.runUntil(open(simulation.node('a').restart(), options))
    expect(again.checkpointedHighWatermark('t', 0)).toBe(2)
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
