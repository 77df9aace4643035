/**
 * What a cluster of three brokers set out to reach, with three replicas, acks all and one producer process. Where bare
 * replication is the measure, it is that of the same workload, run in the same rounds.
 */
import { SKELETON_BATCH_BYTES, skeletonName } from './limits/skeleton-names.ts'
import type { Report } from './report.ts'
import { atLeast, atLeastShare, atMost, below, type Reader, type TargetResult } from './target.ts'

/** Of the throughput with `os` that `disk` is to have. */
const DISK_SHARE = 0.85
/** Of bare replication. */
const SKELETON_SHARE = 0.5
/** Of reading assigned partitions. */
const GROUP_SHARE = 0.9
const MIB = 2 ** 20
const RSS_MEBIBYTES_MAX = 450

/** All targets, in the order in which they are stated. */
export function findClusterTargets(report: Report, get: Reader): TargetResult[] {
  return [
    ...produceTargets(get),
    ...latencyTargets(get),
    ...costTargets(report, get),
    ...lifeTargets(get),
    ...groupTargets(get),
  ]
}

function produceTargets(get: Reader): TargetResult[] {
  const produced = (name: string) => get('cluster-produce', name, 'throughput', 'MB/s')
  const records = (workload: string, name: string) => get(workload, name, 'records', '1/s')
  return [
    atLeast('cluster produce 100 B, os', 2e6, 'records/s', records('cluster-produce', '100 B, os')),
    atLeast('cluster produce 1 KiB, os', 260, 'MB/s', produced('1 KiB, os')),
    ...['100 B', '1 KiB'].map((size) =>
      atLeastShare(
        `cluster produce ${size}, disk`,
        'that with os',
        DISK_SHARE,
        'MB/s',
        produced(`${size}, disk`),
        produced(`${size}, os`),
      ),
    ),
    ...(['os', 'disk'] as const).flatMap((durability) => {
      const ceilings = SKELETON_BATCH_BYTES.map((bytes) => produced(skeletonName(bytes, durability)))
      const ceiling = ceilings.includes(null) ? null : Math.max(...ceilings.map((value) => value!))
      return ['100 B', '1 KiB'].map((size) =>
        atLeastShare(
          `cluster produce ${size}, ${durability}`,
          'bare replication, the better of its batch sizes',
          SKELETON_SHARE,
          'MB/s',
          produced(`${size}, ${durability}`),
          ceiling,
        ),
      )
    }),
    atLeast('cluster consume 100 B', 2.5e6, 'records/s', records('cluster-consume', '100 B')),
    atLeast('cluster consume 1 KiB', 800, 'MB/s', get('cluster-consume', '1 KiB', 'throughput', 'MB/s')),
    atLeast(
      'cluster, one record a request, 256 in flight',
      1.5e5,
      'requests/s',
      records('cluster-requests', 'a record a request, os'),
    ),
  ]
}

function latencyTargets(get: Reader): TargetResult[] {
  const wanted = [
    ['acknowledged, 100 B at 1 000/s, os', 'p50', 0.35],
    ['acknowledged, 100 B at 1 000/s, os', 'p99', 1],
    ['acknowledged, 100 B at 1 000/s, disk', 'p50', 0.8],
    ['acknowledged, 100 B at 1 000/s, disk', 'p99', 2.5],
    ['acknowledged, 1 KiB at 5 000/s, os', 'p99', 2.5],
    ['consumed, 100 B at 1 000/s, os', 'p50', 0.45],
    ['consumed, 100 B at 1 000/s, os', 'p99', 1.3],
  ] as const
  return wanted.map(([name, percentile, ms]) => {
    const us = get('cluster-end-to-end', name, percentile, 'µs')
    return atMost(`cluster, ${name}: ${percentile}`, ms, 'ms', us === null ? null : us / 1e3)
  })
}

function costTargets({ cases }: Report, get: Reader): TargetResult[] {
  const peaks = cases.flatMap(({ workload, name, metrics }) =>
    metrics
      .filter((metric) => metric.name === 'brokers RSS peak')
      .map(({ max }) => ({ mebibytes: (max * 1e6) / MIB, label: `${workload}, ${name}` })),
  )
  peaks.sort((a, b) => b.mebibytes - a.mebibytes)
  const [largest] = peaks
  return [
    atMost('RSS of the three brokers under load', RSS_MEBIBYTES_MAX, 'MiB', largest?.mebibytes ?? null, largest?.label),
    idle(get, '100 partitions', 3),
    below('idle cluster, 100 partitions: RSS of a broker', 110, 'MB', get('cluster-idle', '100 partitions', 'largest broker RSS', 'MB')),
    idle(get, '2 000 partitions', 15),
  ] // prettier-ignore
}

function idle(get: Reader, name: string, percent: number): TargetResult {
  const cores = get('cluster-idle', name, 'busiest broker', 'cores')
  return below(
    `idle cluster, ${name}: CPU of a broker`,
    percent,
    '% of a core',
    cores === null ? null : 100 * cores,
  )
}

function lifeTargets(get: Reader): TargetResult[] {
  const seconds = (workload: string, name: string, metric: string): number | null => {
    const ms = get(workload, name, metric, 'ms')
    return ms === null ? null : ms / 1e3
  }
  return [
    atMost('cluster of three in one process: first ack', 1, 's', seconds('cluster-startup', 'in-process, new', 'first ack')),
    atMost('restart of three brokers to first ack', 1, 's', seconds('cluster-startup', 'three processes, again', 'first ack')),
    atMost('start of three brokers with 2 000 partitions', 10, 's', seconds('cluster-idle', '2 000 partitions', 'all in sync')),
    atMost('leader killed, session time-out 9 s: without acks', 10, 's', seconds('fail-over', 'leader killed, session time-out 9 s', 'without acks')),
    atMost('leader shut down: without acks', 200, 'ms', get('fail-over', 'leader shut down', 'without acks', 'ms')),
  ] // prettier-ignore
}

function groupTargets(get: Reader): TargetResult[] {
  const commitUs = get('groups', '10 groups', 'p99', 'µs')
  const cores = get('groups', '1000 groups', 'busiest broker', 'cores')
  const read = (name: string) => get('cluster-consume', name, 'throughput', 'MB/s')
  return [
    ...['1 KiB', '100 B'].map((size) =>
      atLeastShare(`a group of one reads ${size}`, 'assigned partitions', GROUP_SHARE, 'MB/s', read(`by a group of one, ${size}`), read(size)),
    ),
    atMost('10 members join, 30 partitions: all assigned', 1000, 'ms', get('groups', '10 members join', 'all assigned', 'ms')),
    atMost('a member killed, session time-out 6 s: replaced', 7000, 'ms', get('groups', 'a member killed', 'replaced', 'ms')),
    below('1 000 groups that commit every second: CPU of a broker', 30, '% of a core', cores === null ? null : 100 * cores),
    below('10 groups, 100 commits a second, disk: p99', 10, 'ms', commitUs === null ? null : commitUs / 1e3),
  ] // prettier-ignore
}
