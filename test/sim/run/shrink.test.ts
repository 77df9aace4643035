/** The shrinker on failures made up for it: what is left is what the failure needs. */
import { describe, expect, it } from 'vitest'
import type { Cuts } from '../life/life.ts'
import { shrink } from './shrink.ts'
import type { Failing } from './shrink.ts'

const LIFE: Failing = {
  acts: Array.from({ length: 45 }, (_, index) => index),
  actCount: 45,
  producers: 4,
  consumers: 2,
  hasGroup: true,
  stormMs: 10_000,
}

/** A world in which acts happen every 200 ms, and that fails if the predicate says so. */
function failing(isFailing: (acts: ReadonlySet<number>, cuts: Cuts) => boolean) {
  const tried: Cuts[] = []
  const fails = async (cuts: Cuts): Promise<readonly number[] | null> => {
    tried.push(cuts)
    const acts = LIFE.acts.filter(
      (act) => cuts.without?.has(act) !== true && act * 200 < (cuts.stormMs ?? 10_000),
    )
    return isFailing(new Set(acts), cuts) ? acts : null
  }
  return { fails, tried }
}

describe('shrink', () => {
  it('leaves the acts that the failure needs, and no client that it does not', async () => {
    const { fails } = failing((acts) => acts.has(7) && acts.has(31))
    const { cuts, actsLeft, isDone } = await shrink(LIFE, {}, { fails, isTimeUp: () => false })
    expect(actsLeft).toEqual([7, 31])
    expect(cuts).toMatchObject({ hasGroup: false, hasOperator: false, producers: 1, consumers: 0 })
    expect(cuts.stormMs).toBeLessThan(10_000)
    expect(isDone).toBe(true)
  })

  it('leaves no act at all when the failure needs none', async () => {
    const { fails } = failing(() => true)
    expect((await shrink(LIFE, {}, { fails, isTimeUp: () => false })).actsLeft).toEqual([])
  })

  it('keeps a group, an operator and producers that the failure needs', async () => {
    const { fails } = failing(
      (acts, { hasGroup, hasOperator, producers = 4 }) =>
        acts.has(3) && hasGroup !== false && hasOperator !== false && producers >= 3,
    )
    const { cuts, actsLeft } = await shrink(LIFE, {}, { fails, isTimeUp: () => false })
    expect(actsLeft).toEqual([3])
    expect(cuts).toMatchObject({ producers: 3, consumers: 0 })
    expect(cuts.hasGroup).toBeUndefined()
    expect(cuts.hasOperator).toBeUndefined()
  })

  it('goes on from cuts that were made already', async () => {
    const { fails, tried } = failing((acts) => acts.has(7))
    const already = { without: new Set([0, 1]), hasGroup: false }
    const life = { ...LIFE, acts: LIFE.acts.slice(2) }
    const { cuts, actsLeft } = await shrink(life, already, { fails, isTimeUp: () => false })
    expect(actsLeft).toEqual([7])
    expect(cuts.without).toEqual(new Set(LIFE.acts.filter((act) => act !== 7)))
    expect(tried.every(({ hasGroup }) => hasGroup === false)).toBe(true)
  })

  it('tries nothing twice, and far fewer lives than there are sets of acts', async () => {
    const { fails, tried } = failing((acts) => acts.has(7) && acts.has(8) && acts.has(31))
    const { actsLeft } = await shrink(LIFE, {}, { fails, isTimeUp: () => false })
    expect(actsLeft).toEqual([7, 8, 31])
    const keys = tried.map(({ without, ...rest }) => JSON.stringify([rest, [...(without ?? [])].sort()]))
    expect(new Set(keys).size).toBe(keys.length)
    expect(tried.length).toBeLessThan(150)
  })

  it('ends when time is up, with what it has by then', async () => {
    const { fails, tried } = failing((acts) => acts.has(7))
    const { actsLeft, isDone, tries } = await shrink(LIFE, {}, { fails, isTimeUp: () => tried.length >= 6 })
    expect(tries).toBe(6)
    expect(isDone).toBe(false)
    expect(actsLeft).toContain(7)
  })

  it('changes nothing when only the whole life fails', async () => {
    const { fails } = failing(() => false)
    const { cuts, actsLeft } = await shrink(LIFE, {}, { fails, isTimeUp: () => false })
    expect(cuts).toEqual({})
    expect(actsLeft).toEqual(LIFE.acts)
  })
})
