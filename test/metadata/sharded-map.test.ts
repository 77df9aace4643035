/** The persistent map behind the image. */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { ShardedMap } from '../../src/metadata/sharded-map.ts'

const seed = Number(process.env['SEED'] ?? 1)

it(`behaves as a Map, and leaves the map it came from as it was (seed ${seed})`, () => {
  const key = fc.oneof(fc.string({ maxLength: 3 }), fc.constantFrom('__proto__', 'constructor', 'toString'))
  const step = fc.record({ key, value: fc.option(fc.integer(), { nil: undefined }) })
  fc.assert(
    fc.property(fc.array(fc.array(step)), (batches) => {
      let map = ShardedMap.empty<number>()
      const model = new Map<string, number>()
      for (const batch of batches) {
        const before = map
        const contentBefore = [...before]
        const draft = map.edit()
        for (const { key: name, value } of batch) {
          if (value === undefined) {
            draft.delete(name)
            model.delete(name)
          } else {
            draft.set(name, value)
            model.set(name, value)
          }
          expect(draft.size).toBe(model.size)
        }
        map = draft.freeze()
        expect([...before]).toEqual(contentBefore)
        expect(new Map(map)).toEqual(model)
        expect(map.size).toBe(model.size)
        for (const name of model.keys()) expect(map.get(name)).toBe(model.get(name))
      }
    }),
    { seed, numRuns: 200 },
  )
})

it('is itself when a draft changes nothing', () => {
  const draft = ShardedMap.empty<number>().edit()
  draft.set('a', 1)
  const map = draft.freeze()
  expect(map.edit().freeze()).toBe(map)
})
