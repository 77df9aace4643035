/**
 * Metrics of the groups that this broker coordinates, under the names that kafka_exporter gives them. Computed when somebody
 * asks, and only then.
 *
 * The coordinator knows what a group has committed; the leader of a partition knows where its log ends. Lag is told where one
 * broker is both; elsewhere the committed offset is told by the one and the end by the other, and whoever collects from all
 * brokers has both.
 *
 * Names of groups come from clients: their number and length are bounded here, and what is left out is counted
 * (docs/faults.md X25).
 */
import type { CommittedPlace } from '../coordinator/groups/offset-store.ts'
import type { Partition } from '../replication/partition.ts'
import type { MetricFamily, MetricSample } from './metric-family.ts'

/** The groups that this broker coordinates. */
export interface GroupCensus {
  readonly groups: readonly { readonly kind: string; readonly state: string; readonly count: number }[]
  /** Partitions of groups that are led here and not read yet. */
  readonly loadingCount: number
  /** Iterated once, at once. */
  readonly offsets: Iterable<CommittedPlace>
}

/** Committed offsets that are told, each in up to two samples: an answer of some megabytes. */
export const GROUP_OFFSETS_MAX = 10_000
/** Longer names of groups are left out: as long as those of topics may be, in UTF-16 units. */
export const GROUP_NAME_LENGTH_MAX = 249

export function groupFamilies(
  { groups, loadingCount, offsets }: GroupCensus,
  findPartition: (topic: string, index: number) => Pick<Partition, 'highWatermark'> | null,
): MetricFamily[] {
  const committed: MetricSample[] = []
  const lags: MetricSample[] = []
  let hiddenCount = 0
  for (const { groupId, topic, partition, offset } of offsets) {
    if (committed.length >= GROUP_OFFSETS_MAX || groupId.length > GROUP_NAME_LENGTH_MAX) {
      hiddenCount++
      continue
    }
    const labels = { consumergroup: groupId, partition, topic }
    committed.push({ labels, value: offset })
    const end = findPartition(topic, partition)?.highWatermark
    // A log that was cut ends before what was committed: nothing is left to read.
    if (end !== undefined) lags.push({ labels, value: Math.max(0, end - offset) })
  }
  const gauge = (name: string, help: string, samples: readonly MetricSample[]): MetricFamily => ({
    ...{ name, type: 'gauge', help, samples },
  })
  return [
    gauge(
      'millrace_groups',
      'Groups that this broker coordinates, by protocol and state.',
      groups.map(({ kind, state, count }) => ({ labels: { protocol: kind, state }, value: count })),
    ),
    gauge(
      'millrace_group_partitions_loading',
      'Partitions of groups that are led here and cannot answer yet.',
      [{ labels: {}, value: loadingCount }],
    ),
    gauge(
      'kafka_consumergroup_current_offset',
      'Committed offset, of groups that this broker coordinates.',
      committed,
    ),
    gauge(
      'kafka_consumergroup_lag',
      'Offsets between the committed one and the end, of partitions that this broker leads besides.',
      lags,
    ),
    gauge(
      'millrace_group_offsets_hidden',
      'Committed offsets that are not told: there are too many, or the name of the group is too long.',
      [{ labels: {}, value: hiddenCount }],
    ),
  ]
}
