/**
 * Random lives of whole clusters (life/life.ts), the first few seeds of many: `npm run sim` runs thousands.
 *
 * SEED=… runs that one first seed; SIM_SEEDS=… says how many, one after the other; SIM_GROUPS=1 gives each of them a group, not
 * one in five; MARKS=1 prints how often each path was taken.
 */
import { describe, expect, it } from 'vitest'
import { seedFromEnv } from '../support/seed.ts'
import { formatFailure, runLife } from './life/life.ts'
import { MarkCounts } from './life/marks.ts'

const FIRST_SEED = seedFromEnv('cluster swarm')
const SEED_COUNT = Number(process.env['SIM_SEEDS'] ?? '10')
const OPTIONS = process.env['SIM_GROUPS'] === undefined ? {} : { groupChance: 1 }
/** A long run goes on after a failure, to tell whether it is one or many. */
const FAILURES_MAX = 5

describe('A cluster in any weather', () => {
  it(`keeps its promises: ${SEED_COUNT} seeds`, async () => {
    const failures: string[] = []
    const marks = new MarkCounts()
    for (let seed = FIRST_SEED; seed < FIRST_SEED + SEED_COUNT && failures.length < FAILURES_MAX; seed++) {
      const report = await runLife(seed, OPTIONS)
      if (report.failure !== null) failures.push(formatFailure(report))
      marks.add(report.marks)
    }
    expect(failures.join('\n\n')).toBe('')
    if (process.env['MARKS'] !== undefined) console.log(marks.format())
    expect(marks.missing(), marks.format()).toEqual([])
  }, 3_600_000)

  it('S7: does the same with the same seed', async () => {
    const [first, second] = [await runLife(FIRST_SEED, OPTIONS), await runLife(FIRST_SEED, OPTIONS)]
    expect(second.hash).toBe(first.hash)
  }, 100_000)
})
