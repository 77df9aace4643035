/** The planted bugs are what they should be; `npm run sim -- --planted` shows that each is caught. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { afterAll, describe, expect, it } from 'vitest'
import { PLANTED_BUGS } from './bugs/index.ts'
import { compile } from './catch.ts'
import { isAsExpected } from './expectation.ts'
import { plant, StalePlantedBugError } from './planted-bug.ts'
import type { PlantedBug } from './planted-bug.ts'
import { INVARIANTS, SCENARIOS, TOP_SCENARIOS } from './promises.ts'

const directory = mkdtempSync(`${tmpdir()}/planted-`)
afterAll(() => rmSync(directory, { recursive: true }))

const BUG: PlantedBug = {
  id: 'of-this-test',
  file: 'src/raft/voter-set.ts',
  find: '/ 2) + 1',
  replace: '/ 2)',
  what: 'half is a majority',
  breaks: ['M1'],
  scenarios: [],
  catcher: { test: null },
}

describe('Planted bugs', () => {
  it.each(PLANTED_BUGS)('$id fits the code as it is, and compiles', (bug) => {
    compile(bug, directory)
  })

  it('have names of their own, and break what is known', () => {
    const ids = PLANTED_BUGS.map(({ id }) => id)
    expect(ids.filter((id, index) => ids.indexOf(id) !== index)).toEqual([])
    for (const { id, breaks, scenarios } of PLANTED_BUGS) {
      expect(breaks.length, id).toBeGreaterThan(0)
      expect(
        breaks.filter((each) => !INVARIANTS.includes(each)),
        id,
      ).toEqual([])
      expect(
        scenarios.filter((each) => !SCENARIOS.includes(each)),
        id,
      ).toEqual([])
    }
  })

  it('name tests that there are', () => {
    for (const { id, catcher } of PLANTED_BUGS) {
      if (catcher.test === null) continue
      const { file, name } = catcher.test
      expect(existsSync(file), `${id}: ${file}`).toBe(true)
      expect(readFileSync(file, 'utf8').includes(name), `${id}: “${name}” in ${file}`).toBe(true)
    }
  })

  it('break every invariant that is checked, and what a naive implementation gets wrong first', () => {
    const broken = new Set(PLANTED_BUGS.flatMap(({ breaks }) => breaks))
    expect(INVARIANTS.filter((each) => !broken.has(each))).toEqual([])
    const reached = new Set(PLANTED_BUGS.flatMap(({ scenarios }) => scenarios))
    expect(TOP_SCENARIOS.filter((each) => !reached.has(each))).toEqual([])
  })
})

describe('A planted bug', () => {
  it('is in the code after it was planted, once', () => {
    const source = readFileSync(BUG.file, 'utf8')
    expect(plant(BUG, source)).toBe(source.replace('/ 2) + 1', '/ 2)'))
  })

  it('is stale when its text is not there, or is there twice', () => {
    expect(() => plant(BUG, 'nothing of it')).toThrow(StalePlantedBugError)
    expect(() => plant(BUG, '/ 2) + 1 / 2) + 1')).toThrow('occurs 2 times')
  })

  it('is caught as expected when the message names what it breaks, by letters or in words', () => {
    const bug = { breaks: ['R13', 'R2', 'R1'], scenarios: ['RP-6'] }
    expect(isAsExpected('R2: t0-0 is acknowledged up to 12', bug)).toBe(true)
    expect(isAsExpected('lost: t0-0: p0:1 was acknowledged', bug)).toBe(true)
    expect(isAsExpected('RP-6: counts a follower as soon as it is proposed', bug)).toBe(true)
    expect(isAsExpected('G1: t0-0 is given to m1', bug)).toBe(false)
  })
})
