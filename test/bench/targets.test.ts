import { describe, expect, it } from 'vitest'
import type { Report } from '../../bench/report.ts'
import type { CaseResult } from '../../bench/runner.ts'
import { findTargets } from '../../bench/targets.ts'
import { NO_CONDITIONS } from '../../bench/workload.ts'

type Figures = Readonly<Record<string, readonly [value: number, unit: string, max?: number]>>

const caseOf = (workload: string, name: string, figures: Figures): CaseResult => ({
  workload,
  name,
  conditions: NO_CONDITIONS,
  repetitions: 1,
  metrics: Object.entries(figures).map(([metric, [median, unit, max]]) => {
    return { name: metric, unit, better: 'higher', median, min: median, max: max ?? median }
  }),
  latency: null,
  workHash: '',
})
const reportOf = (...cases: CaseResult[]): Report => ({
  version: 1,
  startedAt: '2026-11-21T00:00:00.000Z',
  isToy: false,
  environment: {
    processor: 'p',
    cores: 2,
    memoryGiB: 1,
    system: 's',
    volume: 'v',
    node: 'n',
    packageVersion: '0',
    commit: null,
    loadAverage: 0,
  },
  cases,
})
const find = (text: string, ...cases: CaseResult[]) =>
  findTargets(reportOf(...cases)).find(({ target }) => target.includes(text))

describe('findTargets()', () => {
  const produced = caseOf('produce', 'WebSocket, 1 KiB', {
    throughput: [90, 'MB/s'],
    records: [90_000, '1/s'],
  })
  const wire = caseOf('produce', 'WebSocket one way, 64 KiB', { throughput: [200, 'MB/s'] })

  it.each([
    [1000, 'yes', '45.0 %: 90.0 of 200 MB/s (raw WebSocket)'],
    [150, 'yes', '60.0 %: 90.0 of 150 MB/s (raw append and sync)'],
  ])(
    'holds produce against the lower limit of the same run (disk at %i MB/s)',
    (diskRate, reached, measured) => {
      const disk = caseOf('produce', 'append, group commit', { throughput: [diskRate, 'MB/s'] })
      expect(find('produce 1 KiB', produced, wire, disk)).toMatchObject({
        measured,
        isReached: reached === 'yes',
      })
    },
  )

  it('takes limits that another workload measured at another time for nothing', () => {
    const disk = caseOf('limits', 'append, group commit', { throughput: [1000, 'MB/s'] })
    expect(find('produce 1 KiB', produced, wire, disk)).toMatchObject({ measured: null, isReached: false })
  })

  it('holds consume against produce of the same size', () => {
    const tail = caseOf('consume-tail', '1 KiB', { records: [134_000, '1/s'] })
    expect(find('consume-tail 1 KiB', produced, tail)).toMatchObject({ isReached: false })
    expect(find('consume-tail 100 B', produced, tail)).toMatchObject({ measured: null })
  })

  it('counts the largest peak of memory in any repetition of any workload', () => {
    const small = caseOf('produce', 'a', { 'broker RSS peak': [100, 'MB'] })
    const large = caseOf('requests', 'b', { 'broker RSS peak': [200, 'MB', 600] })
    const attacked = caseOf('memory', 'c', { 'broker RSS peak': [700, 'MB'] })
    expect(find('RSS peak in every', small, large, attacked)).toMatchObject({
      measured: '600 MB (requests, b)',
      isReached: false,
    })
    expect(find('RSS peak with idle', small, large)).toMatchObject({ measured: null })
  })

  it('compares times in the units they are stated in, and a bound is not within itself', () => {
    const ack = caseOf('end-to-end', 'acknowledged, 100 B at 1 000/s', {
      p50: [999, 'µs'],
      p99: [5000, 'µs'],
    })
    expect(find('p50', ack)).toMatchObject({ measured: '0.999 ms', isReached: true })
    expect(find('p99', ack)).toMatchObject({ measured: '5.00 ms', isReached: false })
    const killed = caseOf('open', 'killed, nothing synced, 10 GiB, 100 partitions', { ready: [4000, 'ms'] })
    expect(find('nothing synced', killed)).toMatchObject({ measured: '4.00 s', isReached: true })
    expect(find('serving again, killed, 10 GiB', killed)).toMatchObject({ measured: null })
  })

  it('reaches nothing in a report of nothing', () => {
    const targets = findTargets(reportOf())
    expect(targets.length).toBeGreaterThan(15)
    expect(targets.every(({ measured, isReached }) => measured === null && !isReached)).toBe(true)
  })
})
