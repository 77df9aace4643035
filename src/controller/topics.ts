/**
 * Creation and deletion of topics (CreateTopics, DeleteTopics, and creation on first use).
 *
 * Each topic of a request succeeds or fails on its own; all that succeed are created in one batch. Limits keep a client
 * from growing the metadata without bound (faults.md X26): they are checked before anything is built.
 */
import { ZERO_UUID } from '../bytes/uuid.ts'
import type { ClusterImage } from '../metadata/cluster-image.ts'
import { liveBrokers, TOPIC_RESOURCE } from '../metadata/cluster-image.ts'
import { describeConfig } from '../metadata/config-codes.ts'
import { checkTopicConfig, explainConfig } from '../metadata/config-resolution.ts'
import { ConfigError, quote } from '../metadata/config-table.ts'
import type { ConfigEntries } from '../metadata/config-table.ts'
import {
  ITEMS_PER_REQUEST_MAX,
  PARTITIONS_PER_TOPIC_MAX,
  REPLICAS_PER_PARTITION_MAX,
} from '../metadata/limits.ts'
import type { MetadataRecordInput } from '../metadata/records.ts'
import { topicConfigs } from '../metadata/topic-config.ts'
import { findTopicNameProblem, isInternalTopic, topicCollisionKey } from '../metadata/topic-name.ts'
import type { RequestOf, ResponseOf } from '../protocol/apis.ts'
import { layersBelowTopic, outcomeOf, Refusal, repeated, SUCCESS } from './concern.ts'
import type { Concern, DecisionContext, Outcome } from './concern.ts'
import { checkMinInsyncReplicas } from './configs.ts'
import {
  checkAssignment,
  checkedGrowth,
  LeaderTally,
  newPartitionRecord,
  placeReplicas,
} from './placement.ts'

type CreateTopicsRequest = RequestOf<'CreateTopics'>
type CreateTopicsResponse = ResponseOf<'CreateTopics'>
type CreatableTopic = CreateTopicsRequest['topics'][number]
type CreateTopicResult = CreateTopicsResponse['topics'][number]

/** A request may leave a number to the cluster's default. */
const USE_DEFAULT = -1

export const createTopics: Concern<CreateTopicsRequest, CreateTopicsResponse> = {
  decide(request, context) {
    const records: MetadataRecordInput[] = []
    const duplicates = repeated(request.topics.map((topic) => topic.name))
    const batch: CreationBatch = {
      collisionKeys: new Map(),
      partitionCount: 0,
      leaders: new LeaderTally(context.image),
    }
    const results = firstOfEachName(request.topics).map((topic) =>
      attempt(topic.name, () => {
        if (request.topics.length > ITEMS_PER_REQUEST_MAX) {
          throw new Refusal(
            'POLICY_VIOLATION',
            `The request names ${request.topics.length} topics, at most ${ITEMS_PER_REQUEST_MAX} are allowed`,
          )
        }
        if (duplicates.has(topic.name))
          throw new Refusal('INVALID_REQUEST', `The request names topic ${quote(topic.name)} more than once`)
        const { topicRecords, result } = create(topic, context, batch)
        if (request.validateOnly) return { ...result, topicId: ZERO_UUID }
        for (const record of topicRecords) records.push(record)
        return result
      }),
    )
    return { records, response: { throttleTimeMs: 0, topics: results } }
  },

  refuse(request, error, message) {
    const topics = firstOfEachName(request.topics).map(({ name }) => failure(name, outcomeOf(error, message)))
    return { throttleTimeMs: 0, topics }
  },
}

/** What the topics before this one in a request have taken. */
interface CreationBatch {
  readonly collisionKeys: Map<string, string>
  partitionCount: number
  readonly leaders: LeaderTally
}

function create(
  topic: CreatableTopic,
  context: DecisionContext,
  batch: CreationBatch,
): { topicRecords: readonly MetadataRecordInput[]; result: CreateTopicResult } {
  const { image, random } = context
  checkName(topic.name, image, batch)
  const config = checkedConfigs(topic, context)
  const assignments =
    topic.assignments.length > 0
      ? givenAssignments(topic, image)
      : placedAssignments(topic, context, batch.leaders)
  if (config.has('min.insync.replicas'))
    checkMinInsyncReplicas(Number(config.get('min.insync.replicas')), assignments[0]!.length)
  batch.partitionCount += checkedGrowth(image, batch.partitionCount, assignments.length)
  batch.collisionKeys.set(topicCollisionKey(topic.name), topic.name)
  batch.leaders.add(assignments)
  let topicId = random.uuid()
  while (image.topicsById.has(topicId)) topicId = random.uuid()
  const topicRecords: MetadataRecordInput[] = [
    { kind: 'topic', name: topic.name, topicId },
    ...[...config].map(([name, value]): MetadataRecordInput => ({
      kind: 'config',
      resourceType: TOPIC_RESOURCE,
      resourceName: topic.name,
      name,
      value,
    })),
    ...assignments.map((replicas, index) => newPartitionRecord(image, topicId, index, replicas)),
  ]
  const result: CreateTopicResult = {
    name: topic.name,
    topicId,
    ...SUCCESS,
    topicConfigErrorCode: 0,
    numPartitions: assignments.length,
    replicationFactor: assignments[0]!.length,
    configs: describe(config, context),
  }
  return { topicRecords, result }
}

function checkName(name: string, image: ClusterImage, batch: CreationBatch): void {
  const problem = findTopicNameProblem(name)
  if (problem !== null)
    throw new Refusal('INVALID_TOPIC_EXCEPTION', `Topic name ${quote(name)} is not allowed: ${problem}`)
  if (image.topicsByName.has(name))
    throw new Refusal('TOPIC_ALREADY_EXISTS', `Topic ${quote(name)} already exists`)
  const key = topicCollisionKey(name)
  const other = image.collisionKeys.get(key) ?? batch.collisionKeys.get(key)
  if (other !== undefined) {
    throw new Refusal(
      'INVALID_TOPIC_EXCEPTION',
      `Topic name ${quote(name)} differs from topic ${quote(other)} only in dots and underscores, which metrics cannot tell apart`,
    )
  }
}

function checkedConfigs(topic: CreatableTopic, context: DecisionContext): ConfigEntries {
  const entries = new Map<string, string>()
  for (const { name, value } of topic.configs) {
    if (value === null) throw new Refusal('INVALID_CONFIG', `Cannot set ${quote(name)}: it has no value`)
    if (entries.has(name)) throw new Refusal('INVALID_CONFIG', `Cannot set ${quote(name)}: it is given twice`)
    entries.set(name, value)
  }
  checkTopicConfig(entries, layersBelowTopic(context))
  return entries
}

function givenAssignments(topic: CreatableTopic, image: ClusterImage): readonly (readonly number[])[] {
  if (topic.numPartitions !== USE_DEFAULT || topic.replicationFactor !== USE_DEFAULT) {
    throw new Refusal(
      'INVALID_REQUEST',
      'Both an assignment and a partition count or replication factor are given; with an assignment both must be -1',
    )
  }
  if (topic.assignments.length > PARTITIONS_PER_TOPIC_MAX) throw tooManyPartitions(topic.assignments.length)
  const sorted = [...topic.assignments].sort((a, b) => a.partitionIndex - b.partitionIndex)
  const replicationFactor = sorted[0]!.brokerIds.length
  for (const [index, { partitionIndex, brokerIds }] of sorted.entries()) {
    if (partitionIndex !== index) {
      throw new Refusal(
        'INVALID_REPLICA_ASSIGNMENT',
        `Partitions must be numbered from 0 without a gap: partition ${index} is missing or given twice`,
      )
    }
    checkAssignment(image, brokerIds, index)
    if (brokerIds.length !== replicationFactor) {
      throw new Refusal(
        'INVALID_REPLICA_ASSIGNMENT',
        `Partition ${index} has ${brokerIds.length} replicas, partition 0 has ${replicationFactor}: all must have as many`,
      )
    }
  }
  return sorted.map(({ brokerIds }) => brokerIds)
}

function placedAssignments(
  topic: CreatableTopic,
  { image, random, settings }: DecisionContext,
  leaders: LeaderTally,
): readonly (readonly number[])[] {
  const { numPartitions, defaultReplicationFactor } = settings.cluster
  const partitionCount = topic.numPartitions === USE_DEFAULT ? numPartitions : topic.numPartitions
  const replicationFactor =
    topic.replicationFactor === USE_DEFAULT ? defaultReplicationFactor : topic.replicationFactor
  if (partitionCount < 1)
    throw new Refusal(
      'INVALID_PARTITIONS',
      `Number of partitions is ${partitionCount}, must be at least 1 or -1 for the default`,
    )
  if (partitionCount > PARTITIONS_PER_TOPIC_MAX) throw tooManyPartitions(partitionCount)
  if (replicationFactor < 1) {
    throw new Refusal(
      'INVALID_REPLICATION_FACTOR',
      `Replication factor is ${replicationFactor}, must be at least 1 or -1 for the default`,
    )
  }
  if (replicationFactor > REPLICAS_PER_PARTITION_MAX) {
    throw new Refusal(
      'INVALID_REPLICATION_FACTOR',
      `Replication factor is ${replicationFactor}, at most ${REPLICAS_PER_PARTITION_MAX} is allowed`,
    )
  }
  const brokers = liveBrokers(image)
  if (replicationFactor > brokers.length) {
    throw new Refusal(
      'INVALID_REPLICATION_FACTOR',
      `Replication factor is ${replicationFactor}, but only ${brokers.length} of ${image.brokers.size} brokers are alive`,
    )
  }
  return placeReplicas(brokers, {
    start: leaders.drawLeast(brokers, random),
    firstIndex: 0,
    partitionCount,
    replicationFactor,
  })
}

function tooManyPartitions(count: number): Refusal {
  return new Refusal(
    'INVALID_PARTITIONS',
    `Number of partitions is ${count}, at most ${PARTITIONS_PER_TOPIC_MAX} are allowed in a topic`,
  )
}

function describe(
  config: ConfigEntries,
  context: DecisionContext,
): NonNullable<CreateTopicResult['configs']> {
  const layers = [{ source: 'dynamic topic', entries: config } as const, ...layersBelowTopic(context)]
  return topicConfigs.definitions.map((definition) => {
    const explained = explainConfig(definition, layers)
    const shown = describeConfig(explained, { withSynonyms: false, withDocumentation: false })
    const { name, value, readOnly, configSource, isSensitive } = shown
    return { name, value, readOnly, configSource, isSensitive }
  })
}

function attempt(name: string, task: () => CreateTopicResult): CreateTopicResult {
  try {
    return task()
  } catch (error) {
    if (error instanceof Refusal) return failure(name, outcomeOf(error.error, error.message))
    if (error instanceof ConfigError) return failure(name, outcomeOf('INVALID_CONFIG', error.message))
    throw error
  }
}

function failure(name: string, outcome: Outcome): CreateTopicResult {
  return {
    name,
    topicId: ZERO_UUID,
    ...outcome,
    topicConfigErrorCode: 0,
    numPartitions: -1,
    replicationFactor: -1,
    configs: [],
  }
}

function firstOfEachName(topics: readonly CreatableTopic[]): readonly CreatableTopic[] {
  return [...new Map(topics.map((topic) => [topic.name, topic])).values()]
}

type DeleteTopicsRequest = RequestOf<'DeleteTopics'>
type DeleteTopicsResponse = ResponseOf<'DeleteTopics'>
type DeleteTopicResult = DeleteTopicsResponse['responses'][number]

export const deleteTopics: Concern<DeleteTopicsRequest, DeleteTopicsResponse> = {
  decide(request, context) {
    const records: MetadataRecordInput[] = []
    const targets = deletionTargets(request)
    const duplicateNames = repeated(targets.flatMap(({ name }) => (name === null ? [] : [name])))
    const duplicateIds = repeated(targets.flatMap(({ topicId }) => (topicId === ZERO_UUID ? [] : [topicId])))
    const deleted = new Set<string>()
    const responses = targets.map(({ name, topicId }): DeleteTopicResult => {
      try {
        if (name !== null && duplicateNames.has(name))
          throw new Refusal('INVALID_REQUEST', 'The topic is named more than once')
        if (duplicateIds.has(topicId))
          throw new Refusal('INVALID_REQUEST', 'The topic id is given more than once')
        const topic = findDeletable(name, topicId, targets.length, context)
        if (isInternalTopic(topic.name)) {
          const reason = `Topic ${quote(topic.name)} is the broker’s own: it holds the state of groups or transactions`
          throw new Refusal('INVALID_TOPIC_EXCEPTION', reason)
        }
        if (!deleted.has(topic.id)) records.push({ kind: 'removeTopic', topicId: topic.id })
        deleted.add(topic.id)
        return { name: topic.name, topicId: topic.id, ...SUCCESS }
      } catch (error) {
        if (!(error instanceof Refusal)) throw error
        return { name, topicId, ...outcomeOf(error.error, error.message) }
      }
    })
    return { records, response: { throttleTimeMs: 0, responses } }
  },

  refuse(request, error, message) {
    const responses = deletionTargets(request).map((target) => ({ ...target, ...outcomeOf(error, message) }))
    return { throttleTimeMs: 0, responses }
  },
}

function findDeletable(
  name: string | null,
  topicId: string,
  count: number,
  { image, settings }: DecisionContext,
) {
  if (count > ITEMS_PER_REQUEST_MAX) {
    throw new Refusal(
      'POLICY_VIOLATION',
      `The request names ${count} topics, at most ${ITEMS_PER_REQUEST_MAX} are allowed`,
    )
  }
  if (!settings.cluster.deleteTopicEnable)
    throw new Refusal('TOPIC_DELETION_DISABLED', 'Topics cannot be deleted: delete.topic.enable is false')
  if (name !== null && topicId !== ZERO_UUID)
    throw new Refusal('INVALID_REQUEST', 'Either a topic name or a topic id must be given, not both')
  if (name === null && topicId === ZERO_UUID)
    throw new Refusal('INVALID_REQUEST', 'Neither a topic name nor a topic id is given')
  if (name === null) {
    const topic = image.topicsById.get(topicId)
    if (topic === undefined) throw new Refusal('UNKNOWN_TOPIC_ID', `There is no topic with id ${topicId}`)
    return topic
  }
  const topic = image.topicsByName.get(name)
  if (topic === undefined) throw new Refusal('UNKNOWN_TOPIC_OR_PARTITION', `There is no topic ${quote(name)}`)
  return topic
}

/** Version 6 lists names and ids, earlier ones names. */
function deletionTargets(request: DeleteTopicsRequest): readonly { name: string | null; topicId: string }[] {
  return [
    ...request.topics.map(({ name, topicId }) => ({ name, topicId })),
    ...request.topicNames.map((name) => ({ name, topicId: ZERO_UUID })),
  ]
}
