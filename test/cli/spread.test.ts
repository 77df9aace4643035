/** Where `topic reassign --spread` puts replicas: even, over racks, with few moves. */
import { describe, expect, it } from 'vitest'
import { spread } from '../../cli/spread.ts'
import { Prng } from '../../src/env/sim/prng.ts'
import { seedFromEnv } from '../support/seed.ts'

const brokers = (...racks: (string | null)[]) =>
  racks.map((rack, index) => ({ id: index + 1, rack, otherReplicas: 0 }))

function counts(plan: readonly (readonly number[])[], ids: readonly number[]): number[] {
  return ids.map((id) => plan.filter((replicas) => replicas.includes(id)).length)
}

describe('spread()', () => {
  it('moves nothing where everything is even already', () => {
    const current = [
      [1, 2],
      [2, 3],
      [3, 1],
    ]
    expect(spread(current, brokers(null, null, null), 2)).toEqual(current)
  })

  it('fills a broker that was added, and takes no more than it must', () => {
    const current = [
      [1, 2, 3],
      [2, 3, 1],
      [3, 1, 2],
      [1, 2, 3],
    ]
    const plan = spread(current, brokers(null, null, null, null), 3)
    expect(counts(plan, [1, 2, 3, 4])).toEqual([3, 3, 3, 3])
    const moved = plan.flatMap((replicas, index) => replicas.filter((id) => !current[index]!.includes(id)))
    expect(moved).toEqual([4, 4, 4])
  })

  it('puts replicas into as many racks as there are', () => {
    const plan = spread(
      [
        [1, 2],
        [2, 1],
      ],
      brokers('a', 'a', 'b'),
      3,
    )
    for (const replicas of plan) expect([...replicas].sort()).toEqual([1, 2, 3])
    const two = spread([[1], [1], [2], [2]], brokers('a', 'a', 'b', 'b'), 2)
    for (const replicas of two) expect(replicas.filter((id) => id <= 2)).toHaveLength(1)
  })

  it('leaves brokers that may hold nothing, and takes off what is too much', () => {
    const plan = spread(
      [
        [1, 2, 3],
        [3, 2, 1],
      ],
      brokers(null, null),
      1,
    )
    expect(plan.flat().sort()).toEqual([1, 2])
  })

  it('prefers who holds least of other topics', () => {
    const places = [3, 0, 2].map((otherReplicas, index) => ({ id: index + 1, rack: null, otherReplicas }))
    expect(spread([[1]], places, 2)).toEqual([[1, 2]])
  })

  it('is even for any beginning: replicas differ by one at most, each partition has as many as wanted', () => {
    const prng = new Prng(String(seedFromEnv('spread')), 'spread')
    for (let round = 0; round < 300; round++) {
      const places = brokers(...Array.from({ length: 1 + prng.below(8) }, () => null))
      const factor = 1 + prng.below(places.length)
      const current = Array.from({ length: 1 + prng.below(20) }, () => {
        const ids = new Set(Array.from({ length: 1 + prng.below(5) }, () => 1 + prng.below(10)))
        return [...ids]
      })
      const plan = spread(current, places, factor)
      const held = counts(
        plan,
        places.map(({ id }) => id),
      )
      expect(Math.max(...held) - Math.min(...held)).toBeLessThanOrEqual(1)
      for (const replicas of plan) expect(new Set(replicas).size).toBe(factor)
      expect(plan).toHaveLength(current.length)
    }
  })
})
