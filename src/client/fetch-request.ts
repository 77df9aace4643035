/** What a consumer sends to fetch: partitions by topic, in the form that the version of the request has. */
import type { RequestInputOf } from '../protocol/apis.ts'
import type { AssignedPartition } from './assigned-partition.ts'
import type { Cluster, TopicInfo } from './cluster.ts'
import type { ConsumerConfig } from './consumer-options.ts'

/** From the next version on topics go by id; from this one on brokers look at the epochs of what was fetched. */
export const LAST_VERSION_WITH_NAMES = 12
/** Version from which a consumer names its rack. */
const RACKS_SINCE_VERSION = 11

const CONSUMER_REPLICA_ID = -1

export interface AskedTopic {
  readonly info: TopicInfo
  readonly partitions: readonly AssignedPartition[]
}

export interface FetchTerms {
  /** Of the request. */
  readonly version: number
  /** Bytes of the answer, soft by a batch. */
  readonly maxBytes: number
  /** How long the broker may wait for records, in ms. */
  readonly maxWaitMs: number
  /** The broker may answer as a follower, or say who is closer. */
  readonly namesRack: boolean
}

/** Groups partitions by topic. The cluster must know the topics. */
export function topicsOf(cluster: Cluster, partitions: readonly AssignedPartition[]): readonly AskedTopic[] {
  const topics = new Map<string, { info: TopicInfo; partitions: AssignedPartition[] }>()
  for (const partition of partitions) {
    const known = topics.get(partition.topic)
    if (known !== undefined) known.partitions.push(partition)
    else topics.set(partition.topic, { info: cluster.findTopic(partition.topic)!, partitions: [partition] })
  }
  return [...topics.values()]
}

export function fetchRequest(
  config: Pick<ConsumerConfig<never, never>, 'isReadCommitted' | 'minBytes' | 'rack'>,
  topics: readonly AskedTopic[],
  { version, maxBytes, maxWaitMs, namesRack }: FetchTerms,
): RequestInputOf<'Fetch'> {
  const { minBytes, isReadCommitted, rack } = config
  const sendsEpochs = version >= LAST_VERSION_WITH_NAMES
  return {
    ...{ replicaId: CONSUMER_REPLICA_ID, maxWaitMs, minBytes, maxBytes },
    isolationLevel: isReadCommitted ? 1 : 0,
    ...(namesRack && rack !== null && version >= RACKS_SINCE_VERSION ? { rackId: rack } : {}),
    topics: topics.map(({ info, partitions }) => ({
      topic: info.name,
      topicId: info.topicId,
      partitions: partitions.map((one) => ({
        partition: one.partition,
        currentLeaderEpoch: info.partitions[one.partition]!.leaderEpoch,
        fetchOffset: one.fetchOffset,
        ...(sendsEpochs ? { lastFetchedEpoch: one.lastFetchedEpoch } : {}),
        partitionMaxBytes: one.fetchBytesMax,
      })),
    })),
  }
}
