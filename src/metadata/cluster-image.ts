/**
 * The whole state of the cluster at one offset of the metadata log, immutable. Whoever decides anything reads one
 * image and never sees it change. image-builder.ts folds records into the next one.
 *
 * Invariants (faults.md M6, M9):
 * - An image is a function of the records before `endOffset` and nothing else: no clock, no randomness.
 * - `topicsById` and `topicsByName` hold the same topics; partitions of a topic are dense from 0.
 * - The leader of a partition is in its in-sync set, which lies within its replicas.
 * - Broker, leader and partition epochs and `nextProducerId` only rise from one image to the next.
 */
import { ShardedMap } from './sharded-map.ts'
import type { ConfigEntries } from './config-table.ts'

export interface ClusterImage {
  /** Offset after the last record folded in; 0 before the first. */
  readonly endOffset: number
  /** Epoch of the controller that wrote that record; 0 before the first. */
  readonly epoch: number
  readonly brokers: ReadonlyMap<number, BrokerImage>
  readonly topicsById: ShardedMap<TopicImage>
  readonly topicsByName: ShardedMap<TopicImage>
  /** Name of the topic that has each form in which dots and underscores are one (topic-name.ts). */
  readonly collisionKeys: ShardedMap<string>
  /** Settings of each resource that has any, by `resourceKey`. */
  readonly configs: ShardedMap<ConfigEntries>
  /** Level of each feature, by name. */
  readonly features: ReadonlyMap<string, number>
  /** Producer ids below this one have been handed out (P4). */
  readonly nextProducerId: number
  /** Partitions of all topics. */
  readonly partitionCount: number
}

export interface BrokerImage {
  readonly id: number
  /** Chosen anew by each process of this broker. */
  readonly incarnationId: string
  /** Offset of the record that registered this incarnation. */
  readonly epoch: number
  readonly listeners: readonly ListenerImage[]
  readonly features: readonly { readonly name: string; readonly min: number; readonly max: number }[]
  readonly rack: string | null
  /** A fenced broker leads nothing and is shown to no client. */
  readonly isFenced: boolean
  readonly isInControlledShutdown: boolean
  /** Directory ids. */
  readonly logDirs: readonly string[]
}

export interface ListenerImage {
  readonly name: string
  readonly host: string
  readonly port: number
  /** Kafka's number: 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL. */
  readonly securityProtocol: number
}

export interface TopicImage {
  readonly name: string
  /** Never used again for another topic, also not for one of the same name (M9). */
  readonly id: string
  /** By partition index. */
  readonly partitions: readonly PartitionImage[]
}

export interface PartitionImage {
  /** Broker id, or null while no replica can lead. */
  readonly leader: number | null
  /** Rises with every election, even when the same broker wins. */
  readonly leaderEpoch: number
  /** Rises with every change. */
  readonly partitionEpoch: number
  /** Broker ids, the preferred leader first. */
  readonly replicas: readonly number[]
  /** Broker ids; empty only without a leader. */
  readonly isr: readonly number[]
  readonly removingReplicas: readonly number[]
  readonly addingReplicas: readonly number[]
  /** True from an unclean election until the leader has made up its mind about its log. */
  readonly isRecovering: boolean
  /** Directory id of each replica. */
  readonly directories: readonly string[]
  /** Replicas outside the ISR that have everything committed (KIP-966); none while the ISR is large enough. */
  readonly eligibleLeaderReplicas: readonly number[]
  /** Who led last, while nobody leads. */
  readonly lastKnownEligibleLeaders: readonly number[]
}

/** Kinds of resource that have settings, with Kafka's numbers. */
export type ConfigResourceType = 2 | 4
export const TOPIC_RESOURCE = 2
export const BROKER_RESOURCE = 4
/** Resource name of the settings that all brokers share. */
export const ALL_BROKERS = ''

export interface ConfigResource {
  readonly type: ConfigResourceType
  /** Topic name, broker id in decimal, or `ALL_BROKERS`. */
  readonly name: string
}

export const EMPTY_IMAGE: ClusterImage = {
  endOffset: 0,
  epoch: 0,
  brokers: new Map(),
  topicsById: ShardedMap.empty(),
  topicsByName: ShardedMap.empty(),
  collisionKeys: ShardedMap.empty(),
  configs: ShardedMap.empty(),
  features: new Map(),
  nextProducerId: 0,
  partitionCount: 0,
}

const noEntries: ConfigEntries = new Map()

export function resourceKey(resource: ConfigResource): string {
  return `${resource.type}:${resource.name}`
}

export function resourceOfKey(key: string): ConfigResource {
  const separatorIndex = key.indexOf(':')
  return {
    type: Number(key.slice(0, separatorIndex)) as ConfigResourceType,
    name: key.slice(separatorIndex + 1),
  }
}

/** Settings of a resource; empty when it has none. */
export function configsOf(image: ClusterImage, resource: ConfigResource): ConfigEntries {
  return image.configs.get(resourceKey(resource)) ?? noEntries
}

/** Brokers that may lead and be placed on, by id in ascending order. */
export function liveBrokers(image: ClusterImage): readonly BrokerImage[] {
  return [...image.brokers.values()]
    .filter((broker) => !broker.isFenced && !broker.isInControlledShutdown)
    .sort((a, b) => a.id - b.id)
}
