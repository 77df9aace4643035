/** The same log on a real file system: what the simulation says of it holds there too. */
import { mkdtempSync, rmSync, truncateSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { MemoryFileSystem } from '../../src/env/memory/memory-file-system.ts'
import { nodeEnv } from '../../src/env/node/index.ts'
import { dumpSegment } from '../../src/log/dump.ts'
import { LogManager } from '../../src/log/log-manager.ts'
import { append, logConfig, readAll, TOPIC_ID, whenDurable } from './support.ts'

const env = nodeEnv({ logLevel: 'error' })
let home: string

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'millrace-log-'))
})
afterEach(() => rmSync(home, { recursive: true, force: true }))

function open(): Promise<LogManager> {
  const config = logConfig({ segmentBytes: 20_000, tailCacheBytes: 0 })
  const memoryFiles = new MemoryFileSystem({ clock: env.clock })
  return LogManager.open(env, { directory: home, nodeId: 1, memoryFiles, configFor: () => config })
}

describe('A log on a real file system', () => {
  it('appends, rolls, reads, truncates, closes and opens again with the same bytes', async () => {
    let manager = await open()
    const log = await manager.create(
      'orders',
      0,
      TOPIC_ID,
      logConfig({ segmentBytes: 20_000, tailCacheBytes: 0 }),
    )
    for (let index = 0; index < 400; index++)
      append(log, { valueBytes: index, producerId: 1, baseSequence: index })
    await whenDurable(log, 400)
    await log.truncateTo(300)
    for (let index = 300; index < 350; index++)
      append(log, { valueBytes: index, producerId: 1, baseSequence: index }, 1)
    await whenDurable(log, 350)
    const bytes = await readAll(log)
    await manager.close()
    manager = await open()
    expect(manager.wasClosedCleanly).toBe(true)
    const again = manager.get('orders', 0)!
    expect(Buffer.compare(await readAll(again), bytes)).toBe(0)
    expect(again.producers().find(1)?.lastSequence).toBe(349)
    expect(again.segmentCount).toBeGreaterThan(3)
    await manager.close()
  })

  it('ST-1: cuts a torn tail, and `dump` shows each batch and the fault', async () => {
    let manager = await open()
    let log = await manager.create('orders', 0, TOPIC_ID, logConfig())
    for (let index = 0; index < 10; index++) append(log, { valueBytes: 100 })
    await whenDurable(log, 10)
    await log.abandon()
    await manager.remove('short', 0)
    const path = join(home, 'orders-0', '00000000000000000000.log')
    truncateSync(path, statSync(path).size - 5)
    const kinds: string[] = []
    for await (const item of dumpSegment(env.files, path)) kinds.push(item.kind)
    expect(kinds).toEqual([...Array<string>(9).fill('batch'), 'fault'])
    await manager.close()
    rmSync(join(home, '.kafka_cleanshutdown'), { force: true })
    rmSync(join(home, 'recovery-point-offset-checkpoint'), { force: true })
    manager = await open()
    log = manager.get('orders', 0)!
    expect(log.logEndOffset).toBe(9)
    expect(log.recoveryCut).toMatchObject({ path, offset: 9 })
    await manager.close()
  })
})
