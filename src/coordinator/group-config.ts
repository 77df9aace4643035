/**
 * What operators may set about groups. Each field names Kafka's setting and has its default, but for the sizes of groups,
 * which Kafka leaves unbounded.
 */

export interface GroupConfig {
  /** `group.min.session.timeout.ms`: shortest session of a classic member. */
  readonly sessionTimeoutMsMin: number
  /** `group.max.session.timeout.ms`: longest session of a classic member. */
  readonly sessionTimeoutMsMax: number
  /** `group.initial.rebalance.delay.ms`: how long the first rebalance of an empty classic group waits for more members. */
  readonly initialRebalanceDelayMs: number
  /** `group.max.size`: members of a classic group. */
  readonly groupSizeMax: number
  /** `group.consumer.session.timeout.ms`: session of a member of the consumer protocol. */
  readonly consumerSessionTimeoutMs: number
  /** `group.consumer.heartbeat.interval.ms`: how often such a member is told to send heartbeats. */
  readonly consumerHeartbeatIntervalMs: number
  /** `group.consumer.max.size`: members of a group of the consumer protocol. */
  readonly consumerGroupSizeMax: number
  /** `group.consumer.assignors`: names of the assignors on offer; the first is the default. Never empty. */
  readonly consumerAssignors: readonly string[]
  /** `group.consumer.migration.policy`: which way groups may go between the protocols while members are online. */
  readonly consumerMigrationPolicy: ConsumerMigrationPolicy
  /** `group.consumer.regex.refresh.interval.ms`: how old the topics matched by a regular expression may get. */
  readonly consumerRegexRefreshMs: number
  /** `offset.metadata.max.bytes`: what a client may attach to a committed offset. */
  readonly offsetMetadataBytesMax: number
  /** `offsets.retention.minutes`, in ms: how long the offsets of a group without members are kept. */
  readonly offsetsRetentionMs: number
  /** `offsets.retention.check.interval.ms`: how often that is looked at. */
  readonly offsetsRetentionCheckMs: number
}

/**
 * `upgrade`: a classic group becomes one of the consumer protocol when a member of that joins. `downgrade`: the other way, when
 * the last such member is gone. `bidirectional`: both. `disabled`: a group has to be empty once to change its protocol.
 */
export type ConsumerMigrationPolicy = (typeof MIGRATION_POLICIES)[number]

export const MIGRATION_POLICIES = ['disabled', 'upgrade', 'downgrade', 'bidirectional'] as const

export function mayUpgrade({ consumerMigrationPolicy: policy }: GroupConfig): boolean {
  return policy === 'upgrade' || policy === 'bidirectional'
}

export function mayDowngrade({ consumerMigrationPolicy: policy }: GroupConfig): boolean {
  return policy === 'downgrade' || policy === 'bidirectional'
}

/** Enough for any group we know of; ten thousand members with 10 KB each to tell take 100 MB of an answer to their leader. */
const GROUP_SIZE_MAX = 10_000

export const DEFAULT_GROUP_CONFIG: GroupConfig = {
  sessionTimeoutMsMin: 6_000,
  sessionTimeoutMsMax: 1_800_000,
  initialRebalanceDelayMs: 3_000,
  groupSizeMax: GROUP_SIZE_MAX,
  consumerSessionTimeoutMs: 45_000,
  consumerHeartbeatIntervalMs: 5_000,
  consumerGroupSizeMax: GROUP_SIZE_MAX,
  consumerAssignors: ['uniform', 'range'],
  consumerMigrationPolicy: 'bidirectional',
  consumerRegexRefreshMs: 600_000,
  offsetMetadataBytesMax: 4_096,
  offsetsRetentionMs: 10_080 * 60_000,
  offsetsRetentionCheckMs: 600_000,
}
