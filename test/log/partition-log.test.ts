/** What a log promises while nothing fails. */
import { describe, expect, it } from 'vitest'
import type { PartitionLog } from '../../src/log/partition-log.ts'
import { append, DIRECTORY, openLog, readAll, simulate, whenDurable } from './support.ts'

describe('PartitionLog', () => {
  it('gives offsets in the turn of the append and reads them back at once', async () => {
    const { simulation, env } = simulate(1)
    const log = await simulation.runUntil(openLog(env))
    const first = append(log, { records: 3 })
    const second = append(log, { records: 2 })
    expect(first).toMatchObject({ kind: 'appended', baseOffset: 0, lastOffset: 2 })
    expect(second).toMatchObject({ kind: 'appended', baseOffset: 3, lastOffset: 4 })
    expect(log.logEndOffset).toBe(5)
    expect(log.durableEndOffset).toBe(0)
    expect(log.read(0, Infinity, 1e6, true)).toMatchObject({ startOffset: 0, endOffset: 5 })
  })

  it('reads the same bytes from memory, from files, and after a restart', async () => {
    const { simulation, env } = simulate(2)
    const work = async () => {
      let log: PartitionLog = await openLog(env, { segmentBytes: 500, tailCacheBytes: 0 })
      for (let index = 0; index < 40; index++) append(log, { tag: index, valueBytes: index * 3 })
      const fromMemory = await readAll(log)
      await whenDurable(log, 40)
      const fromFiles = await readAll(log)
      expect(log.segmentCount).toBeGreaterThan(5)
      await log.close()
      log = await openLog(env, { segmentBytes: 500 }, { wasClosedCleanly: true, recoveryPoint: 40 })
      const afterRestart = await readAll(log)
      expect(Buffer.compare(fromMemory, fromFiles)).toBe(0)
      expect(Buffer.compare(fromMemory, afterRestart)).toBe(0)
      expect(log.recoveryCut).toBeNull()
    }
    await simulation.runUntil(work())
    expect(simulation.node('a').disk.find(`${DIRECTORY}/00000000000000000000.log`)).not.toBeNull()
  })
})
