import { describe, expect, it } from 'vitest'
import { drawCharts } from '../../bench/chart.ts'
import { diffReports, findCaseDifferences, UnlikeError } from '../../bench/diff.ts'
import { formatBytes, formatDuration, formatNumber, formatTable, spreadOf } from '../../bench/format.ts'
import { Histogram } from '../../bench/histogram.ts'
import { formatReport, type Report } from '../../bench/report.ts'
import type { CaseResult } from '../../bench/runner.ts'
import { NO_CONDITIONS } from '../../bench/workload.ts'

const latency = new Histogram()
for (let ns = 1000; ns < 2_000_000; ns += 500) latency.record(ns)

const caseResult = (over: Partial<CaseResult> = {}): CaseResult => ({
  workload: 'produce',
  name: 'one <partition>',
  conditions: { ...NO_CONDITIONS, durability: 'disk', acks: 'all', recordBytes: 100, inFlightMax: 5 },
  repetitions: 3,
  metrics: [{ name: 'throughput', unit: 'MB/s', better: 'higher', median: 200, min: 190, max: 210 }],
  latency: latency.toData(),
  workHash: '0123456789abcdef',
  ...over,
})
const reportOf = (result: CaseResult, environment: Partial<Report['environment']> = {}): Report => ({
  version: 1,
  startedAt: '2026-11-21T00:00:00.000Z',
  isToy: false,
  cases: [result],
  environment: {
    processor: 'a processor',
    cores: 2,
    memoryGiB: 24,
    system: 'linux 6 x64',
    volume: 'ext4',
    node: '20.19.0',
    packageVersion: '0.1.0',
    commit: 'abcdef0',
    loadAverage: 0.1,
    ...environment,
  },
})
const before = reportOf(caseResult())

describe('diffReports()', () => {
  it('compares two versions on one machine', () => {
    const throughput = { ...caseResult().metrics[0]!, median: 400, min: 390, max: 410 }
    const after = reportOf(caseResult({ metrics: [throughput] }), { node: '24.0.0', commit: 'fedcba9' })

    const table = diffReports(before, after)

    expect(table).toMatch(/200 \(190–210\)\s+400 \(390–410\)\s+MB\/s\s+×2\.00\s+better/)
  })

  it('calls a change within the spread no change', () => {
    const throughput = { ...caseResult().metrics[0]!, median: 205, min: 180, max: 230 }
    expect(diffReports(before, reportOf(caseResult({ metrics: [throughput] })))).toContain(
      'within the spread',
    )
  })

  it.each<[string, Report]>([
    ['cores: 2 against 4', reportOf(caseResult(), { cores: 4 })],
    ['volume: ext4 against tmpfs', reportOf(caseResult(), { volume: 'tmpfs' })],
    ['toy sizes: false against true', { ...before, isToy: true }],
    ['work: 0123456789abcdef against 00', reportOf(caseResult({ workHash: '00' }))],
    ['no case is in both reports', reportOf(caseResult({ name: 'another' }))],
    ...(
      [
        ['durability: disk against os', { durability: 'os' }],
        ['acks: all against 1', { acks: 1 }],
        ['recordBytes: 100 against 1024', { recordBytes: 1024 }],
        ['inFlightMax: 5 against null', { inFlightMax: null }],
      ] as const
    ).map(([difference, conditions]): [string, Report] => [
      `produce, one <partition>: ${difference}`,
      reportOf(caseResult({ conditions: { ...caseResult().conditions, ...conditions } })),
    ]),
  ])('refuses unlike runs and says %s', (difference, after) => {
    const compare = () => diffReports(before, after)
    expect(compare).toThrow(UnlikeError)
    expect(compare).toThrow(difference)
  })

  it('guards figures of two systems in one run by the same rule', () => {
    const peer = caseResult({ name: 'a peer', conditions: { ...caseResult().conditions, durability: 'os' } })
    expect(findCaseDifferences(caseResult(), peer)).toEqual([
      'produce, one <partition> and a peer: durability: disk against os',
    ])
    expect(findCaseDifferences(caseResult(), { ...peer, conditions: caseResult().conditions })).toEqual([])
  })
})

describe('formatReport()', () => {
  it('says on what and under which conditions a figure was measured', () => {
    const text = formatReport(before)
    for (const part of [
      'a processor, 2 cores, 24 GiB, ext4',
      'Node 20.19.0',
      'abcdef0',
      'disk, acks all, 100 B, 5 in flight',
      '200 (190–210)',
      '0123456789abcdef',
    ]) {
      expect(text).toContain(part)
    }
    expect(text).not.toContain('Toy')
    expect(formatReport({ ...before, isToy: true })).toContain('Toy sizes')
  })
})

describe('drawCharts()', () => {
  it('draws rates and latencies as well-formed SVG for light and dark pages', () => {
    const charts = drawCharts(before)

    expect(charts.map(({ name }) => name)).toEqual(['produce-throughput-mb-s', 'produce-latency'])
    for (const { svg } of charts) {
      expect(svg).toContain('prefers-color-scheme: dark')
      expect(svg).toContain('one &lt;partition>')
      expect(svg).not.toMatch(/NaN|Infinity|undefined/)
    }
  })

  it('draws a case of a single operation', () => {
    const single = new Histogram()
    single.record(0)
    const { svg } = drawCharts(reportOf(caseResult({ metrics: [], latency: single.toData() })))[0]!
    expect(svg).not.toMatch(/NaN|Infinity|undefined/)
  })
})

describe('the formats', () => {
  it('keep three digits and the unit that suits', () => {
    expect([0, 0.1234, 1.234, 12.34, 123.4, 1234.5, 1_234_567].map(formatNumber)).toEqual(
      ['0.00', '0.123', '1.23', '12.3', '123', '1 235', '1 234 567'], // prettier-ignore
    )
    expect([999, 1500, 2e6, 3e9].map(formatDuration)).toEqual(['999 ns', '1.50 µs', '2.00 ms', '3.00 s'])
    expect([100, 1024, 65_536, 2 ** 20, 2 ** 30].map(formatBytes)).toEqual([
      '100 B',
      '1 KiB',
      '64 KiB',
      '1 MiB',
      '1 GiB',
    ])
  })

  it('take the middle of an even number of runs', () => {
    expect(spreadOf([4, 1, 3, 2])).toEqual({ median: 2.5, min: 1, max: 4 })
    expect(spreadOf([10, 9, 2])).toEqual({ median: 9, min: 2, max: 10 })
  })

  it('align figures to the right', () => {
    expect(formatTable(['a', 'n'], [['x', '1'], ['long', '10']])).toBe('a      n\n----  --\nx      1\nlong  10') // prettier-ignore
  })
})
