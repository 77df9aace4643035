/**
 * What Millrace set out to reach, held against one run: each target against figures of the same report, so that a fast
 * machine does not make a slow broker look good. Medians count, but for memory, where the largest peak does.
 */
import { findClusterTargets } from './cluster-targets.ts'
import { formatNumber } from './format.ts'
import type { Report } from './report.ts'
import { atLeast, below, type Reader, type TargetResult } from './target.ts'

/** The machine's limits that writing is held against; they are measured in the same rounds. */
export const LIMIT_CASES = ['WebSocket one way, 64 KiB', 'append, group commit'] as const

/** Share of the lower of the machine's limits that the broker is to reach. */
const LIMIT_SHARE = 0.45
/** How much faster than writing reading is to be. */
const CONSUME_FACTOR = 1.5

/** All targets, in the order in which they are stated. */
export function findTargets(report: Report): TargetResult[] {
  const get: Reader = (workload, name, metric, unit) =>
    report.cases
      .find((each) => each.workload === workload && each.name.startsWith(name))
      ?.metrics.find((each) => each.name === metric && each.unit === unit)?.median ?? null
  return [
    ...produceTargets(get),
    ...consumeTargets(get),
    ...latencyTargets(get),
    ...startTargets(get),
    ...memoryTargets(report, get),
    ...openTargets(get),
    ...findClusterTargets(report, get),
  ]
}

function produceTargets(get: Reader): TargetResult[] {
  const [wire, disk] = LIMIT_CASES.map((name) => get('produce', name, 'throughput', 'MB/s')) as [
    number | null,
    number | null,
  ]
  const throughput = get('produce', 'WebSocket, 1 KiB', 'throughput', 'MB/s')
  const limit = wire === null || disk === null ? null : Math.min(wire, disk)
  const share = throughput === null || limit === null ? null : throughput / limit
  const lower = limit === wire ? 'raw WebSocket' : 'raw append and sync'
  return [
    {
      target: `produce 1 KiB: at least ${100 * LIMIT_SHARE} % of the lower of raw WebSocket (64 KiB) and raw append and sync`,
      measured:
        share === null
          ? null
          : `${formatNumber(100 * share)} %: ${formatNumber(throughput!)} of ${formatNumber(limit!)} MB/s (${lower})`,
      isReached: share !== null && share >= LIMIT_SHARE,
    },
    atLeast('produce 100 B', 1e6, 'records/s', get('produce', 'WebSocket, 100 B', 'records', '1/s')),
    atLeast(
      'one record a request, 256 in flight',
      1e5,
      'requests/s',
      get('requests', 'WebSocket, a record a request', 'records', '1/s'),
    ),
  ]
}

function consumeTargets(get: Reader): TargetResult[] {
  return ['consume-tail', 'consume-cold'].flatMap((workload) =>
    ['1 KiB', '100 B'].map((size) => {
      const consumed = get(workload, size, 'records', '1/s')
      const produced = get('produce', `WebSocket, ${size}`, 'records', '1/s')
      const factor = consumed === null || produced === null ? null : consumed / produced
      return {
        target: `${workload} ${size}: at least ${CONSUME_FACTOR} times produce`,
        measured:
          factor === null ? null : `${formatNumber(factor)} times: ${formatNumber(consumed!)} records/s`,
        isReached: factor !== null && factor >= CONSUME_FACTOR,
      }
    }),
  )
}

function latencyTargets(get: Reader): TargetResult[] {
  return [['p50', 1] as const, ['p99', 5] as const].map(([percentile, ms]) => {
    const us = get('end-to-end', 'acknowledged, 100 B', percentile, 'µs')
    return below(`produce to ack, 1 000 records/s: ${percentile}`, ms, 'ms', us === null ? null : us / 1e3)
  })
}

function startTargets(get: Reader): TargetResult[] {
  return [
    below('start to first ack, new process', 500, 'ms', get('startup', 'new process', 'first ack', 'ms')),
    below('start to first ack, in-process', 100, 'ms', get('startup', 'in-process', 'first ack', 'ms')),
  ]
}

function memoryTargets({ cases }: Report, get: Reader): TargetResult[] {
  const peaks = cases.flatMap(({ workload, name, metrics }) =>
    metrics
      .filter((metric) => metric.name === 'broker RSS peak')
      .map(({ max }) => ({ label: `${workload}, ${name}`, workload, max })),
  )
  const largest = (chosen: typeof peaks): (typeof peaks)[number] | null =>
    chosen.reduce<(typeof peaks)[number] | null>((a, b) => (a === null || b.max > a.max ? b : a), null)
  const working = largest(peaks.filter(({ workload }) => workload !== 'memory'))
  const attacked = largest(peaks.filter(({ workload }) => workload === 'memory'))
  return [
    below('idle RSS', 100, 'MB', get('memory', 'idle', 'broker RSS', 'MB')),
    below('RSS peak in every workload', 512, 'MB', working?.max ?? null, working?.label),
    below('RSS peak with idle and hostile connections', 512, 'MB', attacked?.max ?? null),
  ]
}

function openTargets(get: Reader): TargetResult[] {
  const ready = (name: string, seconds: number): TargetResult => {
    const ms = get('open', name, 'ready', 'ms')
    return below(`serving again, ${name}`, seconds, 's', ms === null ? null : ms / 1e3)
  }
  return [
    ready('clean, 10 GiB, 1 partition', 2),
    ready('clean, 10 GiB, 100 partitions', 2),
    ready('killed, 10 GiB, 100 partitions', 5),
    ready('killed, nothing synced, 10 GiB, 100 partitions', 5),
  ]
}
