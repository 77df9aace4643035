/**
 * More partitions for topics that exist (CreatePartitions). Records that are there stay where they are; keys that
 * clients hash over the number of partitions move, which is the asker's affair. Not so in the topics of the broker's own
 * state: groups would lose what they committed, so those keep the partitions they have.
 */
import { liveBrokers } from '../metadata/cluster-image.ts'
import type { TopicImage } from '../metadata/cluster-image.ts'
import { quote } from '../metadata/config-table.ts'
import { ITEMS_PER_REQUEST_MAX, PARTITIONS_PER_TOPIC_MAX } from '../metadata/limits.ts'
import type { MetadataRecordInput } from '../metadata/records.ts'
import { isInternalTopic } from '../metadata/topic-name.ts'
import type { RequestOf, ResponseOf } from '../protocol/apis.ts'
import { outcomeOf, Refusal, repeated, SUCCESS } from './concern.ts'
import type { Concern, DecisionContext } from './concern.ts'
import { checkAssignment, checkedGrowth, newPartitionRecord, placeReplicas } from './placement.ts'

type CreatePartitionsRequest = RequestOf<'CreatePartitions'>
type CreatePartitionsResponse = ResponseOf<'CreatePartitions'>
type TopicRequest = CreatePartitionsRequest['topics'][number]

export const createPartitions: Concern<CreatePartitionsRequest, CreatePartitionsResponse> = {
  decide(request, context) {
    const records: MetadataRecordInput[] = []
    const duplicates = repeated(request.topics.map((topic) => topic.name))
    let addedCount = 0
    const results = request.topics.map((topic) => {
      try {
        if (request.topics.length > ITEMS_PER_REQUEST_MAX) {
          throw new Refusal(
            'POLICY_VIOLATION',
            `The request names ${request.topics.length} topics, at most ${ITEMS_PER_REQUEST_MAX} are allowed`,
          )
        }
        if (duplicates.has(topic.name))
          throw new Refusal('INVALID_REQUEST', 'The topic is named more than once')
        const added = grow(topic, context, addedCount)
        addedCount += added.length
        if (!request.validateOnly) for (const record of added) records.push(record)
        return { name: topic.name, ...SUCCESS }
      } catch (error) {
        if (!(error instanceof Refusal)) throw error
        return { name: topic.name, ...outcomeOf(error.error, error.message) }
      }
    })
    return { records, response: { throttleTimeMs: 0, results } }
  },

  refuse(request, error, message) {
    const results = request.topics.map(({ name }) => ({ name, ...outcomeOf(error, message) }))
    return { throttleTimeMs: 0, results }
  },
}

function grow(request: TopicRequest, context: DecisionContext, addedCount: number): MetadataRecordInput[] {
  const { image } = context
  const topic = image.topicsByName.get(request.name)
  if (topic === undefined)
    throw new Refusal('UNKNOWN_TOPIC_OR_PARTITION', `There is no topic ${quote(request.name)}`)
  if (isInternalTopic(topic.name)) {
    const reason = 'its records belong to partitions by a hash over their number'
    throw new Refusal('INVALID_TOPIC_EXCEPTION', `Topic ${quote(topic.name)} is the broker’s own: ${reason}`)
  }
  const currentCount = topic.partitions.length
  const wanted = request.count
  if (wanted === currentCount)
    throw new Refusal('INVALID_PARTITIONS', `The topic has ${currentCount} partitions already`)
  if (wanted < currentCount) {
    throw new Refusal(
      'INVALID_PARTITIONS',
      `The topic has ${currentCount} partitions, their number cannot fall to ${wanted}`,
    )
  }
  if (wanted > PARTITIONS_PER_TOPIC_MAX) {
    throw new Refusal(
      'INVALID_PARTITIONS',
      `Number of partitions is ${wanted}, at most ${PARTITIONS_PER_TOPIC_MAX} are allowed in a topic`,
    )
  }
  checkedGrowth(image, addedCount, wanted - currentCount)
  const assignments =
    request.assignments === null ? placed(topic, wanted, context) : given(topic, request, context)
  return assignments.map((replicas, index) =>
    newPartitionRecord(image, topic.id, currentCount + index, replicas),
  )
}

function given(
  topic: TopicImage,
  request: TopicRequest,
  { image }: DecisionContext,
): readonly (readonly number[])[] {
  const currentCount = topic.partitions.length
  const assignments = (request.assignments ?? []).map(({ brokerIds }) => brokerIds)
  const wantedCount = request.count - currentCount
  if (assignments.length !== wantedCount) {
    throw new Refusal(
      'INVALID_REPLICA_ASSIGNMENT',
      `${wantedCount} partitions are added, but ${assignments.length} assignments are given`,
    )
  }
  const replicationFactor = topic.partitions[0]!.replicas.length
  for (const [index, replicas] of assignments.entries()) {
    checkAssignment(image, replicas, currentCount + index)
    if (replicas.length !== replicationFactor) {
      throw new Refusal(
        'INVALID_REPLICA_ASSIGNMENT',
        `Partition ${currentCount + index} has ${replicas.length} replicas, the topic has ${replicationFactor}`,
      )
    }
  }
  return assignments
}

/** New partitions go on where the placement of the first ones left off. */
function placed(
  topic: TopicImage,
  count: number,
  { image }: DecisionContext,
): readonly (readonly number[])[] {
  const brokers = liveBrokers(image)
  const { replicas } = topic.partitions[0]!
  if (replicas.length > brokers.length) {
    throw new Refusal(
      'INVALID_REPLICATION_FACTOR',
      `The topic has ${replicas.length} replicas, but only ${brokers.length} of ${image.brokers.size} brokers are alive`,
    )
  }
  const start = Math.max(
    0,
    brokers.findIndex((broker) => broker.id === replicas[0]),
  )
  const firstIndex = topic.partitions.length
  return placeReplicas(brokers, {
    start,
    firstIndex,
    partitionCount: count - firstIndex,
    replicationFactor: replicas.length,
  })
}
