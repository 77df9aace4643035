/**
 * DescribeTopicPartitions (API key 75): topics and partitions in pages (KIP-966), ordered by topic name, then index.
 * A page ends at a partition; the cursor of the answer names the next one.
 */
import type {
  DescribeTopicPartitionsRequest,
  DescribeTopicPartitionsResponseInput,
} from '../../protocol/messages/describe-topic-partitions.ts'
import { ZERO_UUID } from '../../bytes/uuid.ts'
import type { ClusterImage, TopicImage } from '../../metadata/cluster-image.ts'
import { findTopicNameProblem, isInternalTopic } from '../../metadata/topic-name.ts'
import { errorCode } from '../../protocol/errors.ts'
import type { BrokerServices } from '../services.ts'
import { describeLeader } from './metadata.ts'

type TopicResponse = DescribeTopicPartitionsResponseInput['topics'][number]
type Cursor = NonNullable<DescribeTopicPartitionsResponseInput['nextCursor']>

/** Partitions in one page, whatever the client asks for (Kafka's max.request.partition.size.limit). */
const PAGE_PARTITIONS_MAX = 2000

export function handleDescribeTopicPartitions(
  services: BrokerServices,
  request: DescribeTopicPartitionsRequest,
): DescribeTopicPartitionsResponseInput {
  const image = services.image()
  const from = request.cursor
  const wanted =
    request.topics.length === 0
      ? [...image.topicsByName.values()].map(({ name }) => name)
      : [...new Set(request.topics.map(({ name }) => name))]
  const names = wanted.sort().filter((name) => from === null || name >= from.topicName)
  let room = Math.min(Math.max(1, request.responsePartitionLimit), PAGE_PARTITIONS_MAX)
  const topics: TopicResponse[] = []
  let nextCursor: Cursor | null = null
  for (const name of names) {
    const topic = image.topicsByName.get(name)
    const startIndex = from !== null && name === from.topicName ? Math.max(0, from.partitionIndex) : 0
    if (room === 0) {
      nextCursor = { topicName: name, partitionIndex: startIndex }
      break
    }
    const answer =
      topic === undefined ? missing(name) : describe(services, image, topic, startIndex, startIndex + room)
    topics.push(answer)
    room -= answer.partitions.length
    const endIndex = startIndex + answer.partitions.length
    if (topic !== undefined && endIndex < topic.partitions.length) {
      nextCursor = { topicName: name, partitionIndex: endIndex }
      break
    }
  }
  return { topics, nextCursor }
}

function missing(name: string): TopicResponse {
  const error = findTopicNameProblem(name) === null ? 'UNKNOWN_TOPIC_OR_PARTITION' : 'INVALID_TOPIC_EXCEPTION'
  return { errorCode: errorCode(error), name, topicId: ZERO_UUID, partitions: [] }
}

function describe(
  services: BrokerServices,
  image: ClusterImage,
  topic: TopicImage,
  startIndex: number,
  endIndex: number,
): TopicResponse {
  return {
    errorCode: 0,
    name: topic.name,
    topicId: topic.id,
    isInternal: isInternalTopic(topic.name),
    partitions: topic.partitions.slice(startIndex, endIndex).map((partition, position) => ({
      partitionIndex: startIndex + position,
      replicaNodes: [...partition.replicas],
      isrNodes: [...partition.isr],
      eligibleLeaderReplicas: [...partition.eligibleLeaderReplicas],
      lastKnownElr: [...partition.lastKnownEligibleLeaders],
      ...describeLeader(services, image, topic, startIndex + position),
    })),
  }
}
