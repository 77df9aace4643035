import { describe, expect, it } from 'vitest'
import { findClusterTargets } from '../../bench/cluster-targets.ts'
import type { Report } from '../../bench/report.ts'
import type { CaseResult } from '../../bench/runner.ts'
import { NO_CONDITIONS } from '../../bench/workload.ts'

type Figures = Readonly<Record<string, readonly [value: number, unit: string]>>

const caseOf = (workload: string, name: string, figures: Figures): CaseResult => ({
  workload,
  name,
  conditions: NO_CONDITIONS,
  repetitions: 1,
  metrics: Object.entries(figures).map(([metric, [median, unit]]) => {
    return { name: metric, unit, better: 'higher', median, min: median, max: median }
  }),
  latency: null,
  workHash: '',
})
const find = (text: string, ...cases: CaseResult[]) => {
  const get = (workload: string, name: string, metric: string, unit: string) =>
    cases
      .find((each) => each.workload === workload && each.name.startsWith(name))
      ?.metrics.find((each) => each.name === metric && each.unit === unit)?.median ?? null
  return findClusterTargets({ cases } as unknown as Report, get).find(({ target }) => target.includes(text))
}

describe('findClusterTargets()', () => {
  const os = caseOf('cluster-produce', '1 KiB, os', { throughput: [200, 'MB/s'] })
  const disk = caseOf('cluster-produce', '1 KiB, disk', { throughput: [169, 'MB/s'] })
  const skeletons = [
    caseOf('cluster-produce', 'replication skeleton, 64 KiB batches, os', { throughput: [300, 'MB/s'] }),
    caseOf('cluster-produce', 'replication skeleton, 256 KiB batches, os', { throughput: [410, 'MB/s'] }),
  ]

  it('holds disk against os of the same run', () => {
    expect(find('1 KiB, disk: at least 85 %', os, disk)).toMatchObject({
      measured: '84.5 %: 169 of 200 MB/s',
      isReached: false,
    })
    expect(find('1 KiB, disk: at least 85 %', disk)).toMatchObject({ measured: null, isReached: false })
  })

  it('holds a broker against the better of the batch sizes of bare replication, and only if both were run', () => {
    expect(find('1 KiB, os: at least 50 %', os, ...skeletons)).toMatchObject({
      measured: '48.8 %: 200 of 410 MB/s',
      isReached: false,
    })
    expect(find('1 KiB, os: at least 50 %', os, skeletons[0]!)).toMatchObject({ measured: null })
  })

  it('counts the memory of three brokers in MiB, the largest of all workloads', () => {
    const small = caseOf('cluster-produce', 'a', { 'brokers RSS peak': [300, 'MB'] })
    const large = caseOf('cluster-requests', 'b', { 'brokers RSS peak': [471.9, 'MB'] })
    expect(find('RSS of the three', small, large)).toMatchObject({
      measured: '450 MiB (cluster-requests, b)',
      isReached: false,
    })
    expect(find('RSS of the three', small)).toMatchObject({ isReached: true })
  })

  it('a bound is within itself', () => {
    const shutDown = caseOf('fail-over', 'leader shut down', { 'without acks': [200, 'ms'] })
    expect(find('leader shut down', shutDown)).toMatchObject({ isReached: true })
    const killed = caseOf('fail-over', 'leader killed, session time-out 9 s', {
      'without acks': [10_001, 'ms'],
    })
    expect(find('leader killed', killed)).toMatchObject({ measured: '10.0 s', isReached: false })
  })
})
