/**
 * What the broker counts, and its text for Prometheus. Topic metrics carry the names that kafka_exporter gives them,
 * so that existing dashboards work; the broker's own begin with `millrace_`.
 *
 * Labels come from the cluster image, so no client can make them many (docs/faults.md X25); those of groups are bounded in
 * group-metrics.ts.
 */
import type { ClusterImage, PartitionImage } from '../metadata/cluster-image.ts'
import { liveBrokers } from '../metadata/cluster-image.ts'
import type { Partition } from '../replication/partition.ts'
import { groupFamilies } from './group-metrics.ts'
import type { GroupCensus } from './group-metrics.ts'
import { renderFamily } from './metric-family.ts'
import type { MetricFamily } from './metric-family.ts'

/** Running totals since the start; plain numbers, bumped where things happen. */
export class BrokerCounters {
  requestCount = 0
  /** Requests that ended in a defect of ours. */
  failureCount = 0
  /** Connections closed because of what the peer sent. */
  violationCount = 0
  /** Requests that another broker has answered. */
  forwardedCount = 0
  producedBytes = 0
  fetchedBytes = 0
}

export interface MetricsSources {
  readonly image: ClusterImage
  readonly counters: BrokerCounters
  readonly connectionCount: number
  readonly requestBytes: number
  readonly responseBytes: number
  /** Partitions that this broker leads and cannot serve. */
  readonly offlineCount: number
  readonly hasDirectoryFailed: boolean
  readonly groups: GroupCensus
  readonly findPartition: (topic: string, index: number) => Partition | null
}

/** All metrics in Prometheus' text format 0.0.4. */
export function renderMetrics(sources: MetricsSources): string {
  return [
    ...brokerFamilies(sources),
    ...groupFamilies(sources.groups, sources.findPartition),
    ...topicFamilies(sources),
  ]
    .map(renderFamily)
    .join('')
}

function brokerFamilies({ image, counters, ...now }: MetricsSources): MetricFamily[] {
  const single = (name: string, type: MetricFamily['type'], help: string, value: number): MetricFamily => ({
    name,
    type,
    help,
    samples: [{ labels: {}, value }],
  })
  return [
    single('kafka_brokers', 'gauge', 'Brokers that are alive.', liveBrokers(image).length),
    single('millrace_connections', 'gauge', 'Open connections.', now.connectionCount),
    single('millrace_request_bytes', 'gauge', 'Bytes of requests not answered yet.', now.requestBytes),
    single('millrace_response_bytes', 'gauge', 'Bytes of answers lying at slow readers.', now.responseBytes),
    single(
      'millrace_offline_partitions',
      'gauge',
      'Partitions led here that cannot be served.',
      now.offlineCount,
    ),
    single(
      'millrace_offline_log_directories',
      'gauge',
      'Data directories out of service.',
      Number(now.hasDirectoryFailed),
    ),
    single('millrace_requests_total', 'counter', 'Requests begun.', counters.requestCount),
    single(
      'millrace_request_failures_total',
      'counter',
      'Requests that met a defect.',
      counters.failureCount,
    ),
    single(
      'millrace_violations_total',
      'counter',
      'Connections closed for bad input.',
      counters.violationCount,
    ),
    single(
      'millrace_forwarded_requests_total',
      'counter',
      'Requests passed on to another broker.',
      counters.forwardedCount,
    ),
    single('millrace_produced_bytes_total', 'counter', 'Bytes of batches appended.', counters.producedBytes),
    single('millrace_fetched_bytes_total', 'counter', 'Bytes of batches answered.', counters.fetchedBytes),
  ]
}

function topicFamilies({ image, findPartition }: MetricsSources): MetricFamily[] {
  const topics = [...image.topicsByName.values()]
  const perPartition = (
    name: string,
    help: string,
    valueOf: (image: PartitionImage, partition: Partition | null) => number | null,
  ): MetricFamily => ({
    name,
    type: 'gauge',
    help,
    samples: topics.flatMap((topic) =>
      topic.partitions.flatMap((partition, index) => {
        const value = valueOf(partition, findPartition(topic.name, index))
        return value === null ? [] : [{ labels: { partition: index, topic: topic.name }, value }]
      }),
    ),
  })
  return [
    {
      name: 'kafka_topic_partitions',
      type: 'gauge',
      help: 'Partitions of the topic.',
      samples: topics.map(({ name, partitions }) => ({ labels: { topic: name }, value: partitions.length })),
    },
    perPartition(
      'kafka_topic_partition_current_offset',
      'Offset after the last committed record.',
      (_, partition) => partition?.highWatermark ?? null,
    ),
    perPartition(
      'kafka_topic_partition_oldest_offset',
      'Log start offset.',
      (_, partition) => partition?.log.logStartOffset ?? null,
    ),
    perPartition('kafka_topic_partition_leader', 'Broker id of the leader.', ({ leader }) => leader ?? -1),
    perPartition(
      'kafka_topic_partition_leader_is_preferred',
      'Whether the preferred replica leads.',
      ({ leader, replicas }) => Number(leader === replicas[0]),
    ),
    perPartition('kafka_topic_partition_replicas', 'Replicas.', ({ replicas }) => replicas.length),
    perPartition('kafka_topic_partition_in_sync_replica', 'In-sync replicas.', ({ isr }) => isr.length),
    perPartition(
      'kafka_topic_partition_under_replicated_partition',
      'Whether replicas are missing from the in-sync set.',
      ({ isr, replicas }) => Number(isr.length < replicas.length),
    ),
  ]
}
