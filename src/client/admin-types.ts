/** What administration is given and gives back. Absent in an answer is null; the wire's sentinels stay inside. */
import type { TopicPartition } from './consumer-options.ts'

export interface AdminOptions {
  /** Time for the cluster to do it, in ms. Default: the client's `requestTimeoutMs`. */
  readonly timeoutMs?: number | undefined
  readonly signal?: AbortSignal | undefined
}

export interface ValidatingOptions extends AdminOptions {
  /** Only say whether it could be done. Default false. */
  readonly validateOnly?: boolean | undefined
}

export interface NewTopic {
  readonly name: string
  /** Default: the cluster's. */
  readonly partitions?: number | undefined
  /** Default: the cluster's. */
  readonly replicationFactor?: number | undefined
  /** Broker ids by partition, the preferred leader first; instead of `partitions` and `replicationFactor`. */
  readonly assignments?: readonly (readonly number[])[] | undefined
  readonly configs?: Readonly<Record<string, string | number | boolean>> | undefined
}

export interface CreatedTopic {
  readonly name: string
  /** Null when the broker has no ids. */
  readonly topicId: string | null
  /** Null when the broker does not tell. */
  readonly partitions: number | null
  readonly replicationFactor: number | null
}

export interface TopicListing {
  readonly name: string
  readonly topicId: string | null
  readonly partitions: number
  readonly replicationFactor: number
  readonly isInternal: boolean
}

export interface TopicDescription {
  readonly name: string
  readonly topicId: string | null
  readonly isInternal: boolean
  readonly partitions: readonly PartitionDescription[]
}

export interface PartitionDescription {
  readonly partition: number
  /** Broker id; null while there is no leader. */
  readonly leader: number | null
  readonly leaderEpoch: number
  readonly replicas: readonly number[]
  /** Replicas that hold everything committed, and take part in every acknowledgement. */
  readonly isr: readonly number[]
  /** Replicas outside the ISR that surely hold everything committed, and may lead (KIP-966). */
  readonly eligibleLeaderReplicas: readonly number[]
  /** Who was eligible last, where nobody is any more: the best start for an unclean election. */
  readonly lastKnownEligibleLeaders: readonly number[]
  /** Replicas whose broker, or whose log there, does not serve now. */
  readonly offlineReplicas: readonly number[]
}

export interface NewPartitions {
  readonly name: string
  /** Partitions in all, afterwards. */
  readonly count: number
  /** Broker ids of each new partition. */
  readonly assignments?: readonly (readonly number[])[] | undefined
}

export interface ConfigResource {
  readonly type: 'topic' | 'broker'
  /** Name of the topic or id of the broker; '' for the brokers' cluster-wide default. */
  readonly name: string
}

export interface DescribeConfigsOptions extends AdminOptions {
  /** Default: all keys. */
  readonly keys?: readonly string[] | undefined
  readonly includeSynonyms?: boolean | undefined
  readonly includeDocumentation?: boolean | undefined
}

export type ConfigSource = 'topic' | 'broker' | 'cluster-default' | 'static' | 'default' | 'other'

export interface ConfigEntry {
  readonly name: string
  /** Null when there is none, or it is secret. */
  readonly value: string | null
  readonly source: ConfigSource
  readonly isReadOnly: boolean
  readonly isSensitive: boolean
  readonly synonyms: readonly {
    readonly name: string
    readonly value: string | null
    readonly source: ConfigSource
  }[]
  readonly documentation: string | null
}

export interface ConfigDescription extends ConfigResource {
  readonly configs: readonly ConfigEntry[]
}

export interface ConfigChange extends ConfigResource {
  /** A value sets a key, null removes what was set; other keys keep what they have. */
  readonly set: Readonly<Record<string, string | number | boolean | null>>
}

/** What to look up: an end of the log, the record with the largest timestamp, or the first at or after a time in ms. */
export type OffsetSpec = 'earliest' | 'latest' | 'max-timestamp' | { readonly timestamp: number }

export interface ListOffsetsQuery extends TopicPartition {
  readonly at: OffsetSpec
}

export interface ListedOffset extends TopicPartition {
  /** Null: there is no such record. */
  readonly offset: number | null
  readonly timestamp: number | null
  readonly leaderEpoch: number | null
}

export interface ListOffsetsOptions extends AdminOptions {
  readonly isolation?: 'read_uncommitted' | 'read_committed' | undefined
}

export interface RecordDeletion extends TopicPartition {
  /** The first offset to keep; 'end' deletes all that is committed. */
  readonly before: number | 'end'
}

export interface RemainingRecords extends TopicPartition {
  /** Log start offset afterwards. */
  readonly logStartOffset: number
}
