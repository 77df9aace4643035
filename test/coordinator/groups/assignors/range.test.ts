/** G2 of faults.md and co-partitioning of the `range` assignor. */
import { describe, expect, it } from 'vitest'
import { assignByRange } from '../../../../src/coordinator/groups/assignors/range.ts'
import { Prng } from '../../../../src/env/sim/prng.ts'
import { seedFromEnv } from '../../../support/seed.ts'
import { checkComplete, member } from './support.ts'

const seed = seedFromEnv('range')

describe('assignByRange()', () => {
  it('cuts each topic into contiguous ranges, the first members getting one more', () => {
    const members = ['x', 'y', 'z'].map((id) => member(id, ['a']))

    const given = assignByRange({ members, partitionCounts: new Map([['a', 8]]) })

    expect(given.get('x')!.get('a')).toEqual([0, 1, 2])
    expect(given.get('y')!.get('a')).toEqual([3, 4, 5])
    expect(given.get('z')!.get('a')).toEqual([6, 7])
  })

  it('gives the same partitions of topics with as many partitions and the same subscribers to one member', () => {
    const members = ['x', 'y', 'z'].map((id) => member(id, ['orders', 'payments']))
    const partitionCounts = new Map([
      ['orders', 10],
      ['payments', 10],
    ])

    const given = assignByRange({ members, partitionCounts })

    for (const assignment of given.values())
      expect(assignment.get('orders')).toEqual(assignment.get('payments'))
  })

  it('keeps the ranges of a static member that comes back under a new member id', () => {
    const partitionCounts = new Map([['a', 6]])
    const before = assignByRange({
      members: [
        member('m1', ['a'], undefined, 'i1'),
        member('m2', ['a'], undefined, 'i2'),
        member('a', ['a']),
      ],
      partitionCounts,
    })
    const after = assignByRange({
      members: [
        member('zz', ['a'], undefined, 'i1'),
        member('m2', ['a'], undefined, 'i2'),
        member('a', ['a']),
      ],
      partitionCounts,
    })

    expect(after.get('zz')).toEqual(before.get('m1'))
    expect(after.get('m2')).toEqual(before.get('m2'))
    expect(after.get('a')).toEqual(before.get('a'))
  })

  it('G2: gives each partition once to a subscriber, whoever subscribes to what', () => {
    const prng = new Prng(seed, 'range')
    for (let round = 0; round < 200; round++) {
      const topicIds = Array.from({ length: 1 + prng.below(5) }, (_, index) => `t${index}`)
      const members = Array.from({ length: 1 + prng.below(8) }, (_, index) =>
        member(
          `m${index}`,
          topicIds.filter(() => prng.chance(0.6)),
          undefined,
          prng.chance(0.3) ? `i${index}` : null,
        ),
      )
      const input = {
        members,
        partitionCounts: new Map(topicIds.map((topicId) => [topicId, prng.below(20)])),
      }

      checkComplete(input, assignByRange(input))
    }
  })
})
