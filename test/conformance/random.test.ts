/**
 * What every adapter of the randomness port promises: `src/env/random.ts` as claims.
 */
import { describe, expect, test } from 'vitest'
import { browserEnv } from '../../src/env/browser/browser-env.ts'
import { NodeRandom } from '../../src/env/node/node-random.ts'
import type { Random } from '../../src/env/random.ts'
import { Simulation } from '../../src/env/sim/simulation.ts'
import { drawUuid } from '../../src/env/uuid.ts'

const subjects: Record<string, () => Random> = {
  node: () => new NodeRandom(),
  browser: () => browserEnv().random,
  sim: () => new Simulation({ seed: process.env['SEED'] ?? 11 }).env('a').random,
}

for (const [name, make] of Object.entries(subjects)) {
  describe(`Random (${name})`, () => {
    test('below() stays in its range and reaches all of it evenly', () => {
      const random = make()
      const counts = new Array<number>(7).fill(0)
      for (let draw = 0; draw < 70_000; draw++) counts[random.below(7)]!++
      // Ten thousand each; five standard deviations are 463.
      for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(463 * 1.5)
      for (let draw = 0; draw < 1000; draw++) expect(random.below(1)).toBe(0)
      let largest = 0
      for (let draw = 0; draw < 1000; draw++) largest = Math.max(largest, random.below(2 ** 31))
      expect(largest).toBeGreaterThan(2 ** 30)
      expect(largest).toBeLessThan(2 ** 31)
    })

    test('below() refuses bounds out of range', () => {
      const random = make()
      for (const bound of [0, -1, 1.5, 2 ** 31 + 1, NaN]) expect(() => random.below(bound)).toThrow()
    })

    test('uuid() gives 22 characters of base64url, never twice, never with a leading dash', () => {
      const random = make()
      const seen = new Set<string>()
      for (let draw = 0; draw < 5000; draw++) {
        const uuid = random.uuid()
        expect(uuid).toMatch(/^[A-Za-z0-9_][A-Za-z0-9_-]{20}[AQgw]$/)
        seen.add(uuid)
      }
      expect(seen.size).toBe(5000)
    })
  })
}

test('drawUuid() draws again for reserved ids and for a leading dash', () => {
  const draws = [new Uint8Array(16), new Uint8Array(16), new Uint8Array(16), new Uint8Array(16)]
  draws[1]![15] = 1
  draws[2]![0] = 0xf8
  draws[3]!.set([1, 2, 3])
  expect(drawUuid((bytes) => bytes.set(draws.shift()!))).toBe(
    Buffer.from([1, 2, 3, ...new Uint8Array(13)]).toString('base64url'),
  )
})
