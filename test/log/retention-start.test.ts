/** Retention by age after a start with a wall clock that is wrong, or after a long rest (docs/faults.md S8, ST-15, F-CLK). */
import { describe, expect, it } from 'vitest'
import type { Env } from '../../src/env/index.ts'
import { MemoryFileSystem } from '../../src/env/memory/memory-file-system.ts'
import { LogManager } from '../../src/log/log-manager.ts'
import { append, logConfig, simulate, TOPIC_ID, whenDurable } from './support.ts'

const YEARS_MS = 10 * 365 * 86_400_000
const HOUR_MS = 3_600_000
const CONFIG = logConfig({ segmentBytes: 300, retentionMs: HOUR_MS })

function open(env: Env): Promise<LogManager> {
  return LogManager.open(env, {
    directory: '/data/log',
    nodeId: 1,
    memoryFiles: new MemoryFileSystem({ clock: env.clock }),
    configFor: () => CONFIG,
    retentionCheckMs: 60_000,
  })
}

/** A life that ends, and the next one, which begins with a wall clock that is ahead by `aheadMs`. */
async function restarted(end: 'clean' | 'crash', aheadMs: number) {
  const { simulation, env } = simulate(`start ${end}`)
  const node = simulation.node('a')
  const first = await simulation.runUntil(open(env))
  const log = await simulation.runUntil(first.create('orders', 0, TOPIC_ID, CONFIG))
  for (let index = 0; index < 20; index++) append(log, { timestampMs: env.clock.wallTimeMs() })
  await simulation.runUntil(whenDurable(log, 20))
  await simulation.runUntil(end === 'clean' ? first.close() : first.checkpoint())
  node.crash()
  const next = node.restart()
  node.time.jumpWall(aheadMs)
  const manager = await simulation.runUntil(open(next))
  manager.startMaintenance()
  return { simulation, node, log: manager.get('orders', 0)! }
}

describe('A start with a wall clock far ahead', () => {
  it.each(['clean', 'crash'] as const)(
    'S8 ST-15: deletes nothing by age if the clock is put right within the hour, after a stop by %s',
    async (end) => {
      const { simulation, node, log } = await restarted(end, YEARS_MS)
      await simulation.run(simulation.nowMs + 0.8 * HOUR_MS)
      expect(log.logStartOffset).toBe(0)
      node.time.jumpWall(-YEARS_MS)
      await simulation.run(simulation.nowMs + 0.1 * HOUR_MS)
      expect(log.logStartOffset).toBe(0)
      await simulation.run(simulation.nowMs + 0.3 * HOUR_MS)
      expect(log.logStartOffset, 'and what is really old goes').toBe(20)
    },
  )

  it('ST-15: deletes what is old an hour later, if it really was away for so long', async () => {
    const { simulation, log } = await restarted('clean', 24 * HOUR_MS)
    await simulation.run(simulation.nowMs + 0.9 * HOUR_MS)
    expect(log.logStartOffset).toBe(0)
    await simulation.run(simulation.nowMs + 0.2 * HOUR_MS)
    expect(log.logStartOffset).toBe(20)
  })
})
