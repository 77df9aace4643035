/**
 * What the settings of a topic, and of the broker it is on, mean for its logs.
 */
import { DEFAULT_LOG_CONFIG, SEGMENT_BYTES_MAX } from '../log/log-config.ts'
import type { LogConfig } from '../log/log-config.ts'
import type { LogManagerOptions } from '../log/log-manager-options.ts'
import type { TopicConfig } from '../metadata/topic-config.ts'
import type { BrokerConfig } from './broker-config.ts'

type Upkeep =
  | 'tailCacheBytes'
  | 'retentionCheckMs'
  | 'checkpointMs'
  | 'cleanerIntervalMs'
  | 'cleanerMapBytes'
  | 'cleanerBytesPerSecond'

export function toLogConfig(topic: TopicConfig, broker: BrokerConfig): LogConfig {
  return {
    ...DEFAULT_LOG_CONFIG,
    durability: topic.durability,
    segmentBytes: Math.min(topic.segmentBytes, SEGMENT_BYTES_MAX),
    segmentMs: topic.segmentMs,
    retentionMs: topic.retentionMs,
    retentionBytes: topic.retentionBytes,
    indexIntervalBytes: topic.indexIntervalBytes,
    deletesOldSegments: topic.cleanupPolicy.includes('delete'),
    isCompacted: topic.cleanupPolicy.includes('compact'),
    deleteRetentionMs: topic.deleteRetentionMs,
    minCleanableDirtyRatio: topic.minCleanableDirtyRatio,
    minCompactionLagMs: topic.minCompactionLagMs,
    maxCompactionLagMs: boundOf(topic.maxCompactionLagMs),
    fileDeleteDelayMs: topic.fileDeleteDelayMs,
    producerIdExpirationMs: broker.producerIdExpirationMs,
  }
}

/** What of a broker's settings all its logs share: their cache, and what is done for them now and then. */
export function toUpkeep(broker: BrokerConfig): Pick<LogManagerOptions, Upkeep> {
  const { tailCacheBytes, retentionCheckMs, checkpointMs } = broker
  const { cleanerIntervalMs, cleanerMapBytes, cleanerBytesPerSecond } = broker
  return {
    ...{ tailCacheBytes, retentionCheckMs, checkpointMs },
    ...{ cleanerIntervalMs, cleanerMapBytes, cleanerBytesPerSecond },
  }
}

/** The largest values are Kafka's way to say "no bound". */
function boundOf(ms: number): number {
  return ms >= Number.MAX_SAFE_INTEGER ? Infinity : ms
}
