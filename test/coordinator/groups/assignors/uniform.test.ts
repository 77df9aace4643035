/** G2 of faults.md, balance and stickiness of the `uniform` assignor. */
import { describe, expect, it } from 'vitest'
import type { AssignorInput } from '../../../../src/coordinator/groups/assignors/assignor.ts'
import { assignUniformly } from '../../../../src/coordinator/groups/assignors/uniform.ts'
import { NodeClock } from '../../../../src/env/node/node-clock.ts'
import { Prng } from '../../../../src/env/sim/prng.ts'
import { seedFromEnv } from '../../../support/seed.ts'
import { checkComplete, loadOf, member, movedFrom, next } from './support.ts'

const seed = seedFromEnv('uniform')

function alike(memberCount: number, counts: Readonly<Record<string, number>>): AssignorInput {
  const topicIds = Object.keys(counts)
  const members = Array.from({ length: memberCount }, (_, index) => member(`m${index}`, topicIds))
  return { members, partitionCounts: new Map(Object.entries(counts)) }
}

describe('assignUniformly() with equal subscriptions', () => {
  it('G2: gives each partition once, and shares that differ by one at most', () => {
    const input = alike(7, { a: 10, b: 1, c: 25 })

    const given = assignUniformly(input)

    checkComplete(input, given)
    const loads = [...given.values()].map(loadOf)
    expect(Math.max(...loads) - Math.min(...loads)).toBe(1)
  })

  it('spreads one topic over members instead of filling one after the other', () => {
    const given = assignUniformly(alike(2, { a: 2, b: 2 }))

    expect([...given.values()].map((assignment) => [...assignment.keys()])).toEqual([
      ['a', 'b'],
      ['a', 'b'],
    ])
  })

  it('leaves members beyond the number of partitions without any', () => {
    const given = assignUniformly(alike(5, { a: 3 }))

    expect([...given.values()].map(loadOf).sort()).toEqual([0, 0, 1, 1, 1])
  })

  it('gives nobody anything of topics that do not exist, and nothing to no members', () => {
    expect(assignUniformly({ members: [], partitionCounts: new Map() }).size).toBe(0)
    expect(
      loadOf(assignUniformly({ members: [member('m', ['x'])], partitionCounts: new Map() }).get('m')),
    ).toBe(0)
  })

  it('moves only what an added member must get, and of a removed member only its own', () => {
    const prng = new Prng(seed, 'sticky')
    for (let round = 0; round < 200; round++) {
      const counts = Object.fromEntries(['a', 'b', 'c'].map((topic) => [topic, prng.below(30)]))
      const input = alike(1 + prng.below(12), counts)
      const before = assignUniformly(input)
      const total = [...before.values()].reduce((sum, assignment) => sum + loadOf(assignment), 0)

      const grown = { ...input, members: [...next(input, before).members, member('new', ['a', 'b', 'c'])] }
      const after = assignUniformly(grown)
      checkComplete(grown, after)
      expect(movedFrom(before, after).length).toBe(Math.floor(total / grown.members.length))

      const gone = `m${prng.below(input.members.length)}`
      const shrunk = {
        ...input,
        members: next(input, before).members.filter(({ memberId }) => memberId !== gone),
      }
      const rest = assignUniformly(shrunk)
      if (shrunk.members.length > 0) {
        expect(movedFrom(before, rest).filter((owner) => owner !== gone)).toEqual([])
      }
    }
  })

  it('does the same whatever order members come in, and nothing when nothing changed', () => {
    const input = alike(9, { a: 31, b: 7 })
    const given = assignUniformly(input)

    expect(assignUniformly({ ...input, members: [...input.members].reverse() })).toEqual(given)
    expect(assignUniformly(next(input, given))).toEqual(given)
  })

  it('lets go of what is not there any more, and gives what two claim to one', () => {
    const current = new Map([
      ['a', [0, 1, 5]],
      ['gone', [0]],
    ])
    const members = [member('x', ['a'], current), member('y', ['a'], current)]
    const input = { members, partitionCounts: new Map([['a', 3]]) }

    checkComplete(input, assignUniformly(input))
  })
})

describe('assignUniformly() with differing subscriptions', () => {
  it('G2: each partition once to a subscriber, members with equal subscriptions within one, from any start', () => {
    const prng = new Prng(seed, 'heterogeneous')
    for (let round = 0; round < 150; round++) {
      const topicIds = Array.from({ length: 1 + prng.below(6) }, (_, index) => `t${index}`)
      const partitionCounts = new Map(topicIds.map((topicId) => [topicId, prng.below(15)]))
      const draw = () => topicIds.filter(() => prng.chance(0.5))
      let input: AssignorInput = {
        members: Array.from({ length: 1 + prng.below(9) }, (_, index) => member(`m${index}`, draw())),
        partitionCounts,
      }
      for (let change = 0; change < 4; change++) {
        const given = assignUniformly(input)
        checkComplete(input, given)
        for (const a of input.members) {
          for (const b of input.members) {
            // Nothing that `a` has could move to `b` and make them more even.
            const shared = [...given.get(a.memberId)!.keys()].some((topicId) => b.topicIds.includes(topicId))
            const difference = loadOf(given.get(a.memberId)) - loadOf(given.get(b.memberId))
            if (shared) expect(difference, `${a.memberId} ${b.memberId}`).toBeLessThan(2)
          }
        }
        const settled = next(input, given)
        expect(movedFrom(given, assignUniformly(settled))).toEqual([])
        const members = settled.members.map((each) =>
          prng.chance(0.3) ? { ...each, topicIds: draw() } : each,
        )
        input = { ...settled, members: [...members.slice(1), member(`n${round}-${change}`, draw())] }
      }
    }
  })

  it('takes from the one who has most, for a member that reads only some of the topics', () => {
    const first = {
      members: [member('x', ['a', 'b']), member('y', ['a', 'b'])],
      partitionCounts: new Map([
        ['a', 6],
        ['b', 6],
      ]),
    }
    const before = assignUniformly(first)
    const input = { ...first, members: [...next(first, before).members, member('z', ['a'])] }

    const after = assignUniformly(input)

    expect(loadOf(after.get('z'))).toBe(4)
    expect(movedFrom(before, after).length).toBe(4)
  })
})

describe('the cost of assignUniformly()', () => {
  it('is far below a second for 1,000 members with 10,000 partitions, of equal and of differing subscriptions', () => {
    const clock = new NodeClock()
    const topicIds = Array.from({ length: 100 }, (_, index) => `topic-${index}`)
    const partitionCounts = new Map(topicIds.map((topicId) => [topicId, 100]))
    const equal = Array.from({ length: 1000 }, (_, index) => member(`m${index}`, topicIds))
    const differing = Array.from({ length: 1000 }, (_, index) =>
      member(
        `m${index}`,
        topicIds.filter((_topicId, topic) => (topic + index) % 7 !== 0),
      ),
    )

    for (const members of [equal, differing]) {
      const input = { members, partitionCounts }
      const given = assignUniformly(input)
      const grown = {
        partitionCounts,
        members: [...next(input, given).members.slice(1), member('new', topicIds)],
      }
      const startMs = clock.monotonicMs()
      const after = assignUniformly(grown)
      const tookMs = clock.monotonicMs() - startMs
      console.log(`1,000 x 10,000: ${tookMs.toFixed(1)} ms`)
      expect(tookMs).toBeLessThan(1000)

      expect([...after.values()].reduce((sum, assignment) => sum + loadOf(assignment), 0)).toBe(10_000)
      expect(movedFrom(given, after).length).toBeLessThan(100)
    }
  })
})
