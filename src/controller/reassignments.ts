/**
 * Moves of partitions between brokers (KIP-455): AlterPartitionReassignments and ListPartitionReassignments.
 *
 *   replicas 1 2 3 ── to 1 4 5 ──> replicas 1 4 5 2 3, adding 4 5, removing 2 3 ── 4 and 5 in sync ──> replicas 1 4 5
 *
 * While a move is under way the old replicas stay, so it never lowers what an acknowledgement means. The leader's
 * AlterPartition that takes the last new replica into the in-sync set ends it in the same change (partition-change.ts).
 */
import type { ClusterImage, PartitionImage, TopicImage } from '../metadata/cluster-image.ts'
import { quote } from '../metadata/config-table.ts'
import { ITEMS_PER_REQUEST_MAX, REPLICAS_PER_PARTITION_MAX } from '../metadata/limits.ts'
import type { MetadataRecordInput } from '../metadata/records.ts'
import type { RequestOf, ResponseOf } from '../protocol/apis.ts'
import { outcomeOf, Refusal, SUCCESS } from './concern.ts'
import type { Concern } from './concern.ts'
import { electionRules } from './elections.ts'
import { changeOf } from './partition-change.ts'
import type { PartitionTarget } from './partition-change.ts'

type AlterRequest = RequestOf<'AlterPartitionReassignments'>
type AlterResponse = ResponseOf<'AlterPartitionReassignments'>
type ListRequest = RequestOf<'ListPartitionReassignments'>
type ListResponse = ResponseOf<'ListPartitionReassignments'>
type TopicMoves = ListResponse['topics'][number]

export const alterPartitionReassignments: Concern<AlterRequest, AlterResponse> = {
  decide(request, context) {
    const { image } = context
    const { allowReplicationFactorChange } = request
    const count = request.topics.reduce((sum, { partitions }) => sum + partitions.length, 0)
    if (count > ITEMS_PER_REQUEST_MAX) {
      const message = `The request names ${count} partitions, at most ${ITEMS_PER_REQUEST_MAX} are allowed`
      return {
        records: [],
        response: alterPartitionReassignments.refuse(request, 'POLICY_VIOLATION', message),
      }
    }
    const rulesOf = electionRules(context)
    const records: MetadataRecordInput[] = []
    const seen = new Set<string>()
    const responses = request.topics.map(({ name, partitions }) => {
      const topic = image.topicsByName.get(name)
      const results = partitions.map(({ partitionIndex, replicas }) => {
        try {
          const partition = topic?.partitions[partitionIndex]
          if (topic === undefined || partition === undefined)
            throw new Refusal(
              'UNKNOWN_TOPIC_OR_PARTITION',
              `There is no partition ${quote(name)}-${partitionIndex}`,
            )
          const key = `${topic.id}:${partitionIndex}`
          if (seen.has(key)) throw new Refusal('INVALID_REQUEST', 'The partition is named more than once')
          seen.add(key)
          const rules = rulesOf(topic)
          const target =
            replicas === null
              ? moveBack(partition)
              : moveTo(partition, replicas, image, allowReplicationFactorChange)
          const change = changeOf(partition, target, rules)
          if (change !== null)
            records.push({
              kind: 'partitionChange',
              topicId: topic.id,
              partitionId: partitionIndex,
              ...change,
            })
          return { partitionIndex, ...SUCCESS }
        } catch (error) {
          if (!(error instanceof Refusal)) throw error
          return { partitionIndex, ...outcomeOf(error.error, error.message) }
        }
      })
      return { name, partitions: results }
    })
    return { records, response: { throttleTimeMs: 0, allowReplicationFactorChange, ...SUCCESS, responses } }
  },

  refuse: ({ allowReplicationFactorChange }, error, message) => ({
    throttleTimeMs: 0,
    allowReplicationFactorChange,
    ...outcomeOf(error, message),
    responses: [],
  }),
}

/**
 * The beginning of a move to `replicas`. One that is under way is replaced: what has been added and is wanted no more goes.
 *
 * @throws {Refusal} `INVALID_REPLICA_ASSIGNMENT`, `INVALID_REPLICATION_FACTOR`.
 */
export function moveTo(
  partition: PartitionImage,
  replicas: readonly number[],
  image: ClusterImage,
  allowsFactorChange = true,
): PartitionTarget {
  const refuse = (problem: string): never => {
    throw new Refusal('INVALID_REPLICA_ASSIGNMENT', `Cannot move the partition: ${problem}`)
  }
  if (replicas.length === 0) refuse('no broker is named')
  if (replicas.length > REPLICAS_PER_PARTITION_MAX)
    refuse(`${replicas.length} brokers are named, at most ${REPLICAS_PER_PARTITION_MAX} are allowed`)
  if (new Set(replicas).size < replicas.length) refuse('a broker is named twice')
  const unknown = replicas.filter((id) => !image.brokers.has(id))
  if (unknown.length > 0) refuse(`there is no broker ${unknown.join(', ')}`)
  const { addingReplicas: alreadyAdding } = partition
  const factor = partition.replicas.length - alreadyAdding.length
  if (!allowsFactorChange && replicas.length !== factor) {
    const message = `The partition has ${factor} replicas and is to have ${replicas.length}, which the request forbids`
    throw new Refusal('INVALID_REPLICATION_FACTOR', message)
  }
  const removingReplicas = partition.replicas.filter((id) => !replicas.includes(id))
  const addingReplicas = replicas.filter(
    (id) => !partition.replicas.includes(id) || alreadyAdding.includes(id),
  )
  if (replicas.length + removingReplicas.length > 2 * REPLICAS_PER_PARTITION_MAX)
    refuse('too many replicas are on their way already, call that move off first')
  return { replicas: [...replicas, ...removingReplicas], addingReplicas, removingReplicas }
}

/**
 * The end of a move: the replicas are again those from before it.
 *
 * @throws {Refusal} `NO_REASSIGNMENT_IN_PROGRESS`; `INVALID_REPLICA_ASSIGNMENT` if none of those has everything.
 */
function moveBack(partition: PartitionImage): PartitionTarget {
  const { addingReplicas, removingReplicas } = partition
  if (addingReplicas.length === 0 && removingReplicas.length === 0)
    throw new Refusal('NO_REASSIGNMENT_IN_PROGRESS', 'The partition is not being moved')
  const isOld = (id: number): boolean => !addingReplicas.includes(id)
  const replicas = partition.replicas.filter(isOld)
  const isr = partition.isr.filter(isOld)
  if (isr.length === 0 && !partition.eligibleLeaderReplicas.some(isOld)) {
    const problem = 'only replicas that were added surely have everything'
    throw new Refusal('INVALID_REPLICA_ASSIGNMENT', `Cannot call the move off: ${problem}`)
  }
  return { replicas, isr, addingReplicas: [], removingReplicas: [] }
}

/** The moves under way, of all partitions or of those that the request names. */
export function listPartitionReassignments(request: ListRequest, image: ClusterImage): ListResponse {
  const topics: TopicMoves[] = []
  const add = (topic: TopicImage | undefined, indexes: Iterable<number>): void => {
    if (topic === undefined) return
    const partitions = [...new Set(indexes)].flatMap((partitionIndex) => {
      const partition = topic.partitions[partitionIndex]
      if (partition === undefined) return []
      const { replicas, addingReplicas, removingReplicas } = partition
      if (addingReplicas.length === 0 && removingReplicas.length === 0) return []
      return {
        partitionIndex,
        replicas: [...replicas],
        addingReplicas: [...addingReplicas],
        removingReplicas: [...removingReplicas],
      }
    })
    if (partitions.length > 0) topics.push({ name: topic.name, partitions })
  }
  if (request.topics === null) {
    for (const topic of image.topicsByName.values()) add(topic, topic.partitions.keys())
  } else {
    for (const { name, partitionIndexes } of request.topics)
      add(image.topicsByName.get(name), partitionIndexes)
  }
  return { throttleTimeMs: 0, ...SUCCESS, topics }
}
