/**
 * Metadata (API key 3): brokers, and topics with their partitions and leaders.
 *
 * - Addresses are as client-addresses.ts says; a broker without the listener that was asked is not shown.
 * - A partition that this broker leads and cannot serve, since its log failed or could not be opened, has no leader to be
 *   shown: LEADER_NOT_AVAILABLE, and the replica here is offline.
 * - Version 0 asks for all topics with an empty list, later ones with null.
 * - A missing topic is created when both the request and the configuration allow it. Unlike Kafka, which answers
 *   LEADER_NOT_AVAILABLE and lets the client ask again, the answer waits until the topic can be used. The broker's own topics
 *   are not created so, since they need settings of their own (coordinator/offsets-topic.ts).
 */
import { ZERO_UUID } from '../../bytes/uuid.ts'
import type { ClusterImage, TopicImage } from '../../metadata/cluster-image.ts'
import { liveBrokers } from '../../metadata/cluster-image.ts'
import { findTopicNameProblem, isInternalTopic } from '../../metadata/topic-name.ts'
import type { RequestOf, ResponseInputOf } from '../../protocol/apis.ts'
import { errorCode } from '../../protocol/errors.ts'
import { findClientAddress } from '../client-addresses.ts'
import type { PartitionRegistry } from '../partition-registry.ts'
import type { BrokerServices, RequestContext } from '../services.ts'

type Request = RequestOf<'Metadata'>
type Response = ResponseInputOf<'Metadata'>
type TopicResponse = Response['topics'][number]
type WantedTopic = NonNullable<Request['topics']>[number]

/** Version from which a topic may be asked for by its id alone (KIP-516). */
const TOPIC_IDS_SINCE_VERSION = 12
/** Version from which a client says whether a missing topic may be created; older ones always want it. */
const CREATION_FLAG_SINCE_VERSION = 4
const NO_LEADER = -1
/** Time for the creation of missing topics, in ms: as long as clients wait for an answer. */
const CREATION_TIMEOUT_MS = 30_000

export async function handleMetadata(
  services: BrokerServices,
  request: Request,
  context: RequestContext,
): Promise<Response> {
  const asksForAll = context.apiVersion === 0 ? (request.topics?.length ?? 0) === 0 : request.topics === null
  const wanted = asksForAll ? [] : (request.topics ?? [])
  const failures = await createMissing(services, wanted, request, context)
  const image = services.image()
  const topics = asksForAll
    ? [...image.topicsByName.values()].map((topic) => describe(services, image, topic))
    : wanted.map((topic) => describeWanted(services, image, topic, failures, context.apiVersion))
  const brokers = liveBrokers(image).flatMap((broker) => {
    const address = findClientAddress(services.config, context, broker)
    return address === null ? [] : [{ nodeId: broker.id, ...address, rack: broker.rack }]
  })
  return {
    throttleTimeMs: 0,
    brokers,
    clusterId: services.clusterId,
    controllerId: services.controller.leaderId ?? services.config.nodeId,
    topics,
    errorCode: 0,
  }
}

/** Creates the topics that are missing and may be created; returns the error code of each attempt. */
async function createMissing(
  services: BrokerServices,
  wanted: readonly WantedTopic[],
  request: Request,
  context: RequestContext,
): Promise<ReadonlyMap<string, number>> {
  const isWelcome =
    services.config.autoCreateTopicsEnable &&
    (context.apiVersion < CREATION_FLAG_SINCE_VERSION || request.allowAutoTopicCreation)
  const image = services.image()
  const names = wanted.flatMap(({ name, topicId }) =>
    name === null || topicId !== ZERO_UUID || image.topicsByName.has(name) ? [] : [name],
  )
  const creatable = names.filter((name) => findTopicNameProblem(name) === null && !isInternalTopic(name))
  if (!isWelcome || creatable.length === 0) return new Map()
  // With the cluster's defaults.
  const given = { numPartitions: -1, replicationFactor: -1, assignments: [], configs: [] }
  const { topics } = await services.controller.call(
    'CreateTopics',
    {
      topics: creatable.map((name) => ({ name, ...given })),
      timeoutMs: CREATION_TIMEOUT_MS,
      validateOnly: false,
    },
    CREATION_TIMEOUT_MS,
  )
  return new Map(topics.map((topic) => [topic.name, topic.errorCode]))
}

function describeWanted(
  services: BrokerServices,
  image: ClusterImage,
  { name, topicId }: WantedTopic,
  failures: ReadonlyMap<string, number>,
  apiVersion: number,
): TopicResponse {
  const isById = topicId !== ZERO_UUID
  if (apiVersion < TOPIC_IDS_SINCE_VERSION && (isById || name === null)) {
    // Versions 10 and 11 have room for an id and cannot ask by it; nor can their answer leave the name out.
    return missing(name ?? '', topicId, errorCode('INVALID_REQUEST'))
  }
  const topic = isById ? image.topicsById.get(topicId) : image.topicsByName.get(name ?? '')
  if (topic !== undefined) return describe(services, image, topic)
  const isBadName = !isById && findTopicNameProblem(name ?? '') !== null
  const unknown = isById ? 'UNKNOWN_TOPIC_ID' : 'UNKNOWN_TOPIC_OR_PARTITION'
  const code = failures.get(name ?? '') ?? errorCode(isBadName ? 'INVALID_TOPIC_EXCEPTION' : unknown)
  return missing(name, topicId, code)
}

function missing(name: string | null, topicId: string, code: number): TopicResponse {
  return { errorCode: code, name, topicId, isInternal: false, partitions: [] }
}

function describe(services: BrokerServices, image: ClusterImage, topic: TopicImage): TopicResponse {
  return {
    errorCode: 0,
    name: topic.name,
    topicId: topic.id,
    isInternal: isInternalTopic(topic.name),
    partitions: topic.partitions.map((partition, index) => ({
      partitionIndex: index,
      replicaNodes: [...partition.replicas],
      isrNodes: [...partition.isr],
      ...describeLeader(services, image, topic, index),
    })),
  }
}

/** Who leads a partition, as far as this broker can tell, and which of its replicas cannot serve. */
export function describeLeader(
  {
    config,
    partitions,
  }: { readonly config: { readonly nodeId: number }; readonly partitions: PartitionRegistry },
  image: ClusterImage,
  topic: TopicImage,
  index: number,
) {
  const { leader, leaderEpoch, replicas } = topic.partitions[index]!
  const isDown = (id: number): boolean => image.brokers.get(id)?.isFenced ?? true
  const isOfflineHere = leader === config.nodeId && partitions.isOffline(topic.name, index)
  const hasLeader = leader !== null && !isOfflineHere
  return {
    errorCode: errorCode(hasLeader ? 'NONE' : 'LEADER_NOT_AVAILABLE'),
    leaderId: hasLeader ? leader : NO_LEADER,
    leaderEpoch,
    offlineReplicas: replicas.filter((id) => isDown(id) || (isOfflineHere && id === config.nodeId)),
  }
}
