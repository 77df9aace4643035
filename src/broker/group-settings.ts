/**
 * Settings about groups and committed offsets, as a broker reads them when it starts. Names and defaults are Kafka's, but for
 * the sizes of groups, which Kafka does not bound.
 */
import { DEFAULT_GROUP_CONFIG, MIGRATION_POLICIES } from '../coordinator/group-config.ts'
import type { GroupConfig } from '../coordinator/group-config.ts'
import { intConfig, listConfig, wordConfig } from '../metadata/config-table.ts'
import type { ConfigOf } from '../metadata/config-table.ts'
import { PARTITIONS_PER_TOPIC_MAX } from '../metadata/limits.ts'

const MINUTE_MS = 60_000
const DEFAULTS = DEFAULT_GROUP_CONFIG
/** 66 years: as ms far below what numbers hold. */
const MINUTES_MAX = 35_000_000

export const groupSettingsShape = {
  offsetsTopicPartitions: intConfig({
    name: 'offsets.topic.num.partitions',
    min: 1,
    max: PARTITIONS_PER_TOPIC_MAX,
    fallback: '16',
    update: 'read-only',
    documentation:
      'Partitions of `__consumer_offsets` when it is created, with the first group; groups are spread over them, so that many brokers share the work of coordinating. They cannot be added to later.',
  }),
  offsetsTopicReplicationFactor: intConfig({
    name: 'offsets.topic.replication.factor',
    min: 1,
    max: 32_767,
    fallback: '3',
    update: 'read-only',
    documentation:
      'Replicas of `__consumer_offsets` when it is created; a cluster of fewer brokers has as many as it has brokers. It is not created while too few of them are up.',
  }),
  offsetsTopicSegmentBytes: intConfig({
    name: 'offsets.topic.segment.bytes',
    min: 1_048_576,
    fallback: '104857600',
    update: 'read-only',
    documentation: 'Size of a segment of `__consumer_offsets`, in bytes, when it is created.',
  }),
  offsetsCommitTimeoutMs: intConfig({
    name: 'offsets.commit.timeout.ms',
    min: 1,
    fallback: '5000',
    update: 'read-only',
    documentation:
      'How long a change of a group or of its offsets may take to be on all in-sync replicas, in ms, before the client is told to try again.',
  }),
  offsetMetadataBytesMax: intConfig({
    name: 'offset.metadata.max.bytes',
    min: 0,
    max: 32_767,
    fallback: String(DEFAULTS.offsetMetadataBytesMax),
    update: 'read-only',
    documentation: 'What a client may attach to a committed offset, in bytes.',
  }),
  offsetsRetentionMinutes: intConfig({
    name: 'offsets.retention.minutes',
    min: 1,
    max: MINUTES_MAX,
    fallback: String(DEFAULTS.offsetsRetentionMs / MINUTE_MS),
    update: 'read-only',
    documentation: 'How long the offsets of a group without members are kept, in minutes.',
  }),
  offsetsRetentionCheckMs: intConfig({
    name: 'offsets.retention.check.interval.ms',
    min: 1,
    fallback: String(DEFAULTS.offsetsRetentionCheckMs),
    update: 'read-only',
    documentation: 'How often that is looked at, in ms.',
  }),
  sessionTimeoutMsMin: intConfig({
    name: 'group.min.session.timeout.ms',
    min: 1,
    fallback: String(DEFAULTS.sessionTimeoutMsMin),
    update: 'read-only',
    documentation: 'Shortest session time-out that a member of a classic group may ask for, in ms.',
  }),
  sessionTimeoutMsMax: intConfig({
    name: 'group.max.session.timeout.ms',
    min: 1,
    fallback: String(DEFAULTS.sessionTimeoutMsMax),
    update: 'read-only',
    documentation: 'Longest session time-out that a member of a classic group may ask for, in ms.',
  }),
  initialRebalanceDelayMs: intConfig({
    name: 'group.initial.rebalance.delay.ms',
    min: 0,
    fallback: String(DEFAULTS.initialRebalanceDelayMs),
    update: 'read-only',
    documentation:
      'How long a classic group that was empty waits for more members before it assigns partitions, in ms.',
  }),
  groupSizeMax: intConfig({
    name: 'group.max.size',
    min: 1,
    max: DEFAULTS.groupSizeMax,
    fallback: String(DEFAULTS.groupSizeMax),
    update: 'read-only',
    documentation: 'Members that a classic group may have.',
  }),
  consumerSessionTimeoutMs: intConfig({
    name: 'group.consumer.session.timeout.ms',
    min: 1,
    fallback: String(DEFAULTS.consumerSessionTimeoutMs),
    update: 'read-only',
    documentation:
      'A member of the consumer protocol that was silent for this long, in ms, is taken for dead.',
  }),
  consumerHeartbeatIntervalMs: intConfig({
    name: 'group.consumer.heartbeat.interval.ms',
    min: 1,
    fallback: String(DEFAULTS.consumerHeartbeatIntervalMs),
    update: 'read-only',
    documentation:
      'How often members of the consumer protocol are told to send heartbeats, in ms; several times in a session.',
  }),
  consumerGroupSizeMax: intConfig({
    name: 'group.consumer.max.size',
    min: 1,
    max: DEFAULTS.consumerGroupSizeMax,
    fallback: String(DEFAULTS.consumerGroupSizeMax),
    update: 'read-only',
    documentation: 'Members that a group of the consumer protocol may have.',
  }),
  consumerAssignors: listConfig({
    name: 'group.consumer.assignors',
    words: ['uniform', 'range'],
    fallback: DEFAULTS.consumerAssignors.join(),
    update: 'read-only',
    documentation:
      'Ways to spread partitions over the members of a group of the consumer protocol; the first is the default.',
  }),
  consumerMigrationPolicy: wordConfig({
    name: 'group.consumer.migration.policy',
    words: MIGRATION_POLICIES,
    fallback: DEFAULTS.consumerMigrationPolicy,
    update: 'read-only',
    documentation:
      'Which way a group may go between the classic and the consumer protocol while members are online: `upgrade` to the consumer protocol when a member of that joins, `downgrade` when the last one has left, `bidirectional` both, `disabled` neither: it has to be empty once.',
  }),
  consumerRegexRefreshMs: intConfig({
    name: 'group.consumer.regex.refresh.interval.ms',
    min: 10_000,
    fallback: String(DEFAULTS.consumerRegexRefreshMs),
    update: 'read-only',
    documentation: 'How old the topics that a regular expression matched may get, in ms.',
  }),
} as const

export type GroupSettings = ConfigOf<typeof groupSettingsShape>

/** What the state machines of groups read of it. */
export function toGroupConfig(settings: GroupSettings): GroupConfig {
  return {
    sessionTimeoutMsMin: settings.sessionTimeoutMsMin,
    sessionTimeoutMsMax: settings.sessionTimeoutMsMax,
    initialRebalanceDelayMs: settings.initialRebalanceDelayMs,
    groupSizeMax: settings.groupSizeMax,
    consumerSessionTimeoutMs: settings.consumerSessionTimeoutMs,
    consumerHeartbeatIntervalMs: settings.consumerHeartbeatIntervalMs,
    consumerGroupSizeMax: settings.consumerGroupSizeMax,
    consumerAssignors: settings.consumerAssignors,
    consumerMigrationPolicy: settings.consumerMigrationPolicy,
    consumerRegexRefreshMs: settings.consumerRegexRefreshMs,
    offsetMetadataBytesMax: settings.offsetMetadataBytesMax,
    offsetsRetentionMs: settings.offsetsRetentionMinutes * MINUTE_MS,
    offsetsRetentionCheckMs: settings.offsetsRetentionCheckMs,
  }
}
