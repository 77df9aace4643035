import { describe, expect, it } from 'vitest'
import { contestsOf, formatComparison, requireAlike, SEPARATOR } from '../../bench/comparison.ts'
import { UnlikeError } from '../../bench/diff.ts'
import type { CaseResult } from '../../bench/runner.ts'
import { NO_CONDITIONS, type Conditions } from '../../bench/workload.ts'

const resultOf = (system: string, records: number, conditions: Partial<Conditions> = {}): CaseResult => ({
  workload: 'compare',
  name: `${system}${SEPARATOR}produce 100 B`,
  conditions: {
    ...NO_CONDITIONS,
    durability: 'os',
    acks: 'all',
    recordBytes: 100,
    replicas: 3,
    transport: 'TCP',
    ...conditions,
  },
  repetitions: 3,
  metrics: [
    { name: 'records', unit: '1/s', better: 'higher', median: records, min: records - 10, max: records + 10 },
  ],
  latency: null,
  workHash: '',
})

describe('requireAlike()', () => {
  it.each<[string, Partial<Conditions>]>([
    ['durability: os against disk', { durability: 'disk' }],
    ['replicas: 3 against 1', { replicas: 1 }],
    ['recordBytes: 100 against 1024', { recordBytes: 1024 }],
    ['partitions: null against 6', { partitions: 6 }],
    ['transport: TCP against WebSocket', { transport: 'WebSocket' }],
    ['ratePerSecond: null against 1000', { ratePerSecond: 1000 }],
  ])('refuses systems whose conditions differ and says %s', (difference, conditions) => {
    const compare = () => requireAlike([resultOf('ours', 100), resultOf('theirs', 100, conditions)])
    expect(compare).toThrow(UnlikeError)
    expect(compare).toThrow(difference)
  })

  it('lets a system promise less than the first, and the first never less than another', () => {
    const ours = resultOf('ours', 100)
    const majority = resultOf('theirs', 100, { acks: 'majority' })
    expect(() => requireAlike([ours, majority])).not.toThrow()
    expect(() => requireAlike([majority, ours])).toThrow('acks: majority against all')
  })

  it('has nothing against a system alone', () => {
    expect(() => requireAlike([])).not.toThrow()
    expect(() => requireAlike([resultOf('ours', 100)])).not.toThrow()
  })
})

describe('formatComparison()', () => {
  it('shows medians, spread, who acknowledges, and the ratio to the first', () => {
    const text = formatComparison([resultOf('ours', 200), resultOf('theirs', 100, { acks: 'majority' })])
    expect(text).toContain('produce 100 B')
    expect(text).toMatch(/ours +all +200 \(190–210\) +×1\.00/)
    expect(text).toMatch(/theirs +majority +100 \(90\.0–110\) +×0\.500/)
  })

  it('keeps apart what was measured apart, and leaves other workloads alone', () => {
    const consumed = { ...resultOf('ours', 300), name: `ours${SEPARATOR}consume 100 B` }
    const other = { ...resultOf('ours', 1), workload: 'produce' }
    const contests = contestsOf([resultOf('ours', 200), consumed, other])
    expect(contests.map(({ what, results }) => [what, results.length])).toEqual([
      ['produce 100 B', 1],
      ['consume 100 B', 1],
    ])
  })
})
