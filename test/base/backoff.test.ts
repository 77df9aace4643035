import { expect, test } from 'vitest'
import { backoffMs } from '../../src/base/backoff.ts'

const OPTIONS = { initialMs: 10, maxMs: 1000 }

test('backoffMs() doubles from the first pause to the longest, and never grows past it', () => {
  const top = { below: (bound: number) => bound - 1 }
  const pauses = [1, 2, 3, 4, 8, 9, 1000].map((count) => Math.round(backoffMs(OPTIONS, count, top)))
  expect(pauses).toEqual([10, 20, 40, 80, 1000, 1000, 1000])
})

test('backoffMs() draws from the upper half of the pause (NW-5)', () => {
  expect(backoffMs(OPTIONS, 3, { below: () => 0 })).toBe(20)
  expect(backoffMs(OPTIONS, 3, { below: (bound) => bound / 2 })).toBe(30)
})
