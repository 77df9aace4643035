import { describe, expect, it } from 'vitest'
import fc from 'fast-check'
import { Histogram } from '../../bench/histogram.ts'

const SEED = Number(process.env['SEED'] ?? 20261121)
const durations = fc.array(
  fc.oneof(
    fc.nat(2000),
    fc.nat(2 ** 31 - 1),
    fc.maxSafeNat().map((n) => n % 2 ** 43),
  ),
  {
    minLength: 1,
  },
)
const histogramOf = (values: readonly number[]): Histogram => {
  const histogram = new Histogram()
  for (const value of values) histogram.record(value)
  return histogram
}

describe('Histogram', () => {
  it(`percentile() is the true one or at most 1/256 above it (seed ${SEED})`, () => {
    const check = fc.property(durations, fc.integer({ min: 1, max: 1000 }), (values, thousandth) => {
      const percent = thousandth / 10
      const sorted = values.toSorted((a, b) => a - b)
      const exact = sorted[Math.max(1, Math.ceil((percent / 100) * values.length)) - 1]!

      const found = histogramOf(values).percentile(percent)

      expect(found).toBeGreaterThanOrEqual(exact)
      expect(found).toBeLessThanOrEqual(Math.ceil(exact * (1 + 1 / 256)))
    })
    fc.assert(check, { seed: SEED, numRuns: 500 })
  })

  it('keeps least, greatest, mean and count exact', () => {
    const histogram = histogramOf([1_000_001, 3, 2 ** 40 + 1])

    expect(histogram).toMatchObject({ count: 3, minNs: 3, maxNs: 2 ** 40 + 1 })
    expect(histogram.meanNs).toBe((1_000_001 + 3 + 2 ** 40 + 1) / 3)
    expect(histogram.percentile(100)).toBe(2 ** 40 + 1)
  })

  it(`merge() and the way through data equal recording into one (seed ${SEED})`, () => {
    const check = fc.property(durations, durations, (a, b) => {
      const merged = Histogram.fromData(structuredClone(histogramOf(a).toData()))
      merged.merge(histogramOf(b))

      expect(merged.toData()).toEqual(histogramOf([...a, ...b]).toData())
    })
    fc.assert(check, { seed: SEED, numRuns: 100 })
  })

  it('is empty without complaint', () => {
    const empty = Histogram.fromData(new Histogram().toData())
    expect(empty).toMatchObject({ count: 0, minNs: 0, maxNs: 0, meanNs: 0 })
    expect(empty.percentile(99)).toBe(0)
    empty.merge(histogramOf([7]))
    expect(empty.minNs).toBe(7)
  })

  it('counts a duration past its range as the longest one', () => {
    expect(histogramOf([2 ** 50]).maxNs).toBe(2 ** 43 - 1)
  })
})
