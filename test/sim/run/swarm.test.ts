/** Runs of lives that are made up: what is counted, what is looked into, how a run ends and what is said of it. */
import { describe, expect, it } from 'vitest'
import { MARKS } from '../life/marks.ts'
import { describeResult, isWell } from './result.ts'
import type { LifeSummary, LifeTask } from './lives.ts'
import { symptomOf } from './lives.ts'
import type { SwarmOrder } from './options.ts'
import { aFailure, aLife } from './support.ts'
import { runSwarm } from './swarm.ts'

const ORDER: SwarmOrder = {
  ...{
    kind: 'swarm',
    from: 1,
    seeds: 9,
    jobs: 2,
    groupChance: undefined,
    minutes: null,
    twice: 0,
    isVerbose: false,
  },
}

interface Run {
  readonly live: (task: LifeTask) => LifeSummary
  readonly order?: Partial<SwarmOrder>
  readonly signal?: AbortSignal
  readonly failuresMax?: number
}

/** @returns The result, all that was printed of failures, the seeds in the order in which they were lived, and the last words. */
async function run({ live, order = {}, ...ports }: Run) {
  const printed: string[] = []
  const seeds: number[] = []
  let nowMs = 0
  const whole = { ...ORDER, ...order }
  const result = await runSwarm(whole, {
    live: async (task) => {
      seeds.push(task.seed)
      nowMs += 1000
      return live(task)
    },
    now: () => nowMs,
    onFailure: (text) => printed.push(text),
    ...ports,
  })
  return { result, printed: printed.join('\n'), seeds, text: describeResult(whole, result) }
}

describe('A run of lives', () => {
  it('lives every seed once, and adds up what came of them', async () => {
    const { result, seeds, text } = await run({ live: ({ seed }) => aLife(seed, { cpuMs: 100 * seed }) })
    expect(seeds.toSorted((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9])
    expect(isWell(result)).toBe(true)
    expect(text).toContain('9 in 9 s by 2 processes')
    expect(text).toContain('0.15 h; 120× real time a core, 60× in all')
    expect(text).toContain('60.0 s simulated, 20.0 faults, 1,000 events, 100 records')
    expect(text).toContain('500 ms of a core, half below 500 ms')
    expect(text).toContain('at most 900 ms (seed 9)')
    expect(text).toContain('900 acknowledged and checked')
    expect(text).toContain('180: crash 180')
    expect(text).toMatch(/All went well: 9 of 9 lives from seed 1$/)
  })

  it('fails with a life that fails, and goes on after it', async () => {
    const { result, seeds, text } = await run({
      live: ({ seed }) => (seed === 3 ? aFailure(3, 'R2: something is lacking') : aLife(seed)),
    })
    expect(new Set(seeds).size).toBe(9)
    expect(isWell(result)).toBe(false)
    expect(text).toMatch(/1 FAILED: 9 of 9 lives from seed 1$/)
  })

  it('prints how to live it again whole and small, its weather, what happened, and what was violated', async () => {
    const { printed } = await run({
      live: (task) => {
        const acts = Array.from({ length: 20 }, (_, act) => act).filter(
          (act) => task.without?.has(act) !== true,
        )
        const fails = task.seed === 3 && acts.includes(4) && acts.includes(9)
        if (!fails) return aLife(task.seed)
        const failure = aFailure(3, 'R2: t0-0 lacks 7 records')
        return { ...failure, story: { ...failure.story!, acts } }
      },
    })
    expect(printed).toContain('Seed 3 FAILED in its storm: R2: t0-0 lacks 7 records')
    expect(printed).toContain('whole     npm run sim -- --seed 3\n')
    expect(printed).toContain('smallest  npm run sim -- --seed 3 --without 0-3,5-8,10-19 --producers 1')
    expect(printed).toContain('2 of 20 acts left after')
    expect(printed).toContain('weather of 3')
    expect(printed).toContain('    1.000  b1        dies')
    expect(printed).toContain('state of it all')
    for (const line of printed.split('\n')) expect(line.length).toBeLessThanOrEqual(120)
  })

  it('looks into a symptom once', async () => {
    let lives = 0
    const { printed, result } = await run({
      live: (task) => {
        lives++
        return task.seed < 3 ? aFailure(task.seed, `R2: ${task.seed} records are lacking`) : aLife(task.seed)
      },
    })
    expect(result.tally.failed).toBe(2)
    expect(printed.match(/smallest/g)).toHaveLength(1)
    expect(printed).toContain('The symptom is one that was looked into already')
    expect(lives).toBeGreaterThan(9)
  })

  it('says so when a life that failed does not fail again', async () => {
    const lived = new Set<number>()
    const { printed } = await run({
      live: ({ seed }) => {
        if (seed !== 3 || lived.has(seed)) return aLife(seed)
        lived.add(seed)
        return aFailure(3, 'R2: something is lacking')
      },
    })
    expect(printed).toContain('A second time it does not fail')
    expect(printed).not.toContain('smallest')
  })

  it('S7: finds a seed that gives two lives', async () => {
    let lives = 0
    const { result, printed, text } = await run({
      live: ({ seed }) => aLife(seed, { hash: seed === 2 ? `hash ${lives++}` : 'same' }),
      order: { twice: 3 },
    })
    expect(result.comparedCount).toBe(3)
    expect(result.tally.failed).toBe(1)
    expect(printed).toContain('S7: the same seed gave two lives')
    expect(text).toContain('3 seeds twice')
  })

  it('ends after so many failures', async () => {
    const { result, seeds, text } = await run({
      live: ({ seed }) => aFailure(seed, 'R2: something is lacking'),
      order: { seeds: 1000, jobs: 1 },
      failuresMax: 3,
    })
    expect(result.endedBy).toBe('failures')
    expect(Math.max(...seeds)).toBe(3)
    expect(text).toMatch(/3 FAILED: 3 of 1,000 lives from seed 1, then there were failures enough$/)
  })

  it('begins no life when the minutes are over, and says so', async () => {
    const { result, text } = await run({
      live: ({ seed }) => aLife(seed),
      order: { seeds: 1000, minutes: 0.1 },
    })
    expect(result.endedBy).toBe('time')
    expect(result.tally.lives).toBe(6)
    expect(isWell(result)).toBe(true)
    expect(text).toMatch(/All went well: 6 of 1,000 lives from seed 1, then time was up$/)
  })

  it('tells what it has seen when it is interrupted, and does not call that well', async () => {
    const interrupt = new AbortController()
    const { result, text } = await run({
      live: ({ seed }) => {
        if (seed === 5) interrupt.abort()
        return aLife(seed)
      },
      signal: interrupt.signal,
      order: { jobs: 1 },
    })
    expect(result.tally.lives).toBe(4)
    expect(isWell(result)).toBe(false)
    expect(text).toMatch(/None has failed: 4 of 9 lives from seed 1, then it was interrupted$/)
  })

  it('fails when a path was never taken that a run of this length must have taken', async () => {
    const all = new Map(MARKS.map(({ name, perSeed = 0 }) => [name, Math.max(1, perSeed)]))
    const order = { seeds: 100 }
    const well = await run({ live: ({ seed }) => aLife(seed, { marks: all }), order })
    expect(well.result.missingMarks).toEqual([])
    const { name } = MARKS[0]!
    const lacking = new Map([...all].filter(([each]) => each !== name))
    const { result, text } = await run({ live: ({ seed }) => aLife(seed, { marks: lacking }), order })
    expect(isWell(result)).toBe(false)
    expect(text).toContain(`NEVER, or too seldom for a run of this length: ${name}`)
    expect(text).toMatch(/FAILED: 100 of 100 lives from seed 1$/)
  })

  it('does not ask for paths of groups where there are none', async () => {
    const marks = new Map(
      MARKS.flatMap(({ name, perSeed = 0, ofGroups }) =>
        ofGroups === true ? [] : [[name, Math.max(1, perSeed)]],
      ),
    )
    const live = ({ seed }: LifeTask): LifeSummary => aLife(seed, { marks })
    expect((await run({ live, order: { seeds: 100, groupChance: 0 } })).result.missingMarks).toEqual([])
    expect((await run({ live, order: { seeds: 100 } })).result.missingMarks).not.toEqual([])
  })
})

describe('The symptom of a failure', () => {
  it.each([
    ['R2: t0-0 lacks 7 records', 'R2'],
    ['lost-write: t0-0: p0:17 is not there', 'lost-write'],
    ['duplicate: t0-0: p0:17 is there twice', 'duplicate'],
    ['Ran seed 7: the goal is not met by 61234.5 ms', 'storm: the goal is not met by # ms'],
    [
      'm2 ended with Cannot reach any of b1:9092, b2:9092: no answer',
      'storm: m# ended with Cannot reach any of',
    ],
  ])('of %j is %j', (failure, symptom) => {
    expect(symptomOf({ failure, phase: 'storm' })).toBe(symptom)
  })
})
