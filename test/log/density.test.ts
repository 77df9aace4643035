/** Offsets in a log have no gaps, whatever it goes through short of compaction (docs/faults.md R10, R5). */
import { expect, it } from 'vitest'
import { assignOffsets, readBatchHeader } from '../../src/records/batch-header.ts'
import type { PartitionLog } from '../../src/log/partition-log.ts'
import { seedFromEnv } from '../support/seed.ts'
import { append, makeBatch, openLog, readAll, simulate } from './support.ts'

const SEED = seedFromEnv('density')

async function check(log: PartitionLog): Promise<void> {
  const bytes = await readAll(log)
  let next = log.logStartOffset
  let epoch = 0
  for (let at = 0; at < bytes.length;) {
    const header = readBatchHeader(bytes, at)
    if (at === 0) expect(header.baseOffset).toBeLessThanOrEqual(next)
    else expect(header.baseOffset, 'R10: begins where the last one ended').toBe(next)
    expect(header.recordCount, 'R10: an offset for each record').toBe(header.lastOffsetDelta + 1)
    expect(header.leaderEpoch, 'R5: epochs rise').toBeGreaterThanOrEqual(epoch)
    epoch = header.leaderEpoch
    next = header.baseOffset + header.recordCount
    at += header.batchSize
  }
  expect(next).toBe(log.logEndOffset)
}

it('R10 R5: offsets are dense and epochs rise along a log, through rolls, cuts, a full disk, crashes and power cuts', async () => {
  for (let seed = SEED; seed < SEED + 10; seed++) {
    const { simulation } = simulate(seed)
    const node = simulation.node('a')
    const random = simulation.stream('life')
    const reopen = () => simulation.runUntil(openLog(node.env, { segmentBytes: 500, tailCacheBytes: 300 }))
    let log = await reopen()
    let epoch = 0
    for (let step = 0; step < 60; step++) {
      const kind = random.below(12)
      if (kind === 0) epoch++
      else if (kind === 1) {
        const end = log.logEndOffset
        await simulation.runUntil(log.truncateTo(end - random.below(Math.min(end, 6) + 1)))
        epoch++
      } else if (kind === 2) {
        if (random.chance(0.5)) node.crash()
        else node.powerCut()
        node.restart()
        log = await reopen()
        epoch++
      } else if (kind === 3) {
        node.disk.freeBytes = random.below(400)
        for (let count = 0; count < 4; count++) append(log, { records: 2 }, epoch)
        await simulation.run(simulation.nowMs + 5)
        node.disk.freeBytes = 2 ** 40
        await simulation.run(simulation.nowMs + 600)
        epoch++
      } else append(log, { records: 1 + random.below(5) }, epoch)
      if (random.chance(0.3)) await simulation.run(simulation.nowMs + random.between(0, 5))
      if (log.logEndOffset > log.logStartOffset && random.chance(0.2)) await simulation.runUntil(check(log))
    }
    await simulation.run(simulation.nowMs + 1000)
    await simulation.runUntil(check(log))
  }
})

it('R10: a batch that leaves a gap, or repeats an offset, is taken from no leader', async () => {
  const { simulation, env } = simulate('gap')
  const log = await simulation.runUntil(openLog(env))
  append(log, { records: 3 })
  for (const baseOffset of [0, 2, 4]) {
    const batch = makeBatch()
    // As a leader of the present epoch sends it, so that nothing but its place is wrong.
    assignOffsets(batch, 0, baseOffset, 0)
    expect(() => log.appendAsFollower(batch)).toThrow(expect.objectContaining({ code: 'LOG_BAD_BATCH' }))
  }
  expect(log.logEndOffset).toBe(3)
})
