/** Administration of replicas: who leads, where they are, how far each is. Control plane. */
import { errorByCode } from '../protocol/errors.ts'
import { failuresOf, groupBy } from './admin-answers.ts'
import { logDirsOf } from './admin-cluster.ts'
import type {
  ElectionResult,
  ElectLeadersOptions,
  LogDirDescription,
  NewReassignment,
  Reassignment,
  ReassignOptions,
  ReplicaDescription,
} from './admin-cluster-types.ts'
import type { AdminRequests } from './admin-requests.ts'
import type { AdminOptions, TopicDescription } from './admin-types.ts'
import { brokerError, throwFailures } from './client-error.ts'
import type { TopicPartition } from './consumer-options.ts'

const ELECTION_TYPES = { preferred: 0, unclean: 1 } as const

export async function electLeaders(
  requests: AdminRequests,
  partitions: readonly TopicPartition[] | null,
  options: ElectLeadersOptions,
): Promise<ElectionResult[]> {
  const attempted = 'Cannot elect leaders'
  const topics = partitions === null ? null : [...groupBy(partitions, ({ topic }) => topic)]
  const answer = await requests.change('ElectLeaders', attempted, options, (timeoutMs) => ({
    electionType: ELECTION_TYPES[options.election ?? 'preferred'],
    topicPartitions:
      topics?.map(([topic, some]) => ({ topic, partitions: some.map(({ partition }) => partition) })) ?? null,
    timeoutMs,
  }))
  const results = answer.replicaElectionResults.flatMap(({ topic, partitionResult }) =>
    partitionResult.map((one) => ({ topic, ...one })),
  )
  const isNeedless = ({ errorCode }: { readonly errorCode: number }): boolean =>
    errorByCode(errorCode).name === 'ELECTION_NOT_NEEDED'
  if (answer.errorCode !== 0) throw brokerError(attempted, answer.errorCode, results[0]?.errorMessage)
  throwFailures(
    attempted,
    failuresOf(
      results.filter((one) => !isNeedless(one)),
      ({ topic, partitionId }) => [
        `${topic}-${partitionId}`,
        `Cannot elect a leader for ${topic}-${partitionId}`,
      ],
    ),
  )
  return results.map((one) => ({ topic: one.topic, partition: one.partitionId, isElected: !isNeedless(one) }))
}

export async function alterPartitionReassignments(
  requests: AdminRequests,
  moves: readonly NewReassignment[],
  options: ReassignOptions,
): Promise<void> {
  const attempted = 'Cannot move partitions'
  const topics = [...groupBy(moves, ({ topic }) => topic)].map(([name, some]) => ({
    name,
    partitions: some.map(({ partition, replicas }) => ({ partitionIndex: partition, replicas })),
  }))
  const { allowReplicationFactorChange = true } = options
  const answer = await requests.change('AlterPartitionReassignments', attempted, options, (timeoutMs) => ({
    // Left out where it says what older versions mean, too, which have no room for it.
    ...(allowReplicationFactorChange ? {} : { allowReplicationFactorChange }),
    topics,
    timeoutMs,
  }))
  if (answer.errorCode !== 0) throw brokerError(attempted, answer.errorCode, answer.errorMessage)
  const results = answer.responses.flatMap(({ name, partitions }) =>
    partitions.map((one) => ({ name, ...one })),
  )
  throwFailures(
    attempted,
    failuresOf(results, ({ name, partitionIndex }) => [
      `${name}-${partitionIndex}`,
      `Cannot move ${name}-${partitionIndex}`,
    ]),
  )
}

export async function listPartitionReassignments(
  requests: AdminRequests,
  partitions: readonly TopicPartition[] | null,
  options: AdminOptions,
): Promise<Reassignment[]> {
  const attempted = 'Cannot list the partitions that move'
  const topics =
    partitions === null
      ? null
      : [...groupBy(partitions, ({ topic }) => topic)].map(([name, some]) => ({
          name,
          partitionIndexes: some.map(({ partition }) => partition),
        }))
  const answer = await requests.ask('ListPartitionReassignments', attempted, options, (timeoutMs) => ({
    topics,
    timeoutMs,
  }))
  if (answer.errorCode !== 0) throw brokerError(attempted, answer.errorCode, answer.errorMessage)
  return answer.topics.flatMap(({ name, partitions: moving }) =>
    moving.map(({ partitionIndex, replicas, addingReplicas, removingReplicas }) => ({
      ...{ topic: name, partition: partitionIndex, replicas },
      ...{ adding: addingReplicas, removing: removingReplicas },
    })),
  )
}

/** Asks every broker that holds one of them; what a broker does not tell is null. */
export async function describeReplicas(
  requests: AdminRequests,
  topics: readonly TopicDescription[],
  options: AdminOptions,
): Promise<ReplicaDescription[]> {
  const replicas = topics.flatMap(({ name, partitions }) =>
    partitions.flatMap((one) =>
      one.replicas.map((brokerId) => ({
        topic: name,
        brokerId,
        partition: one.partition,
        leader: one.leader,
      })),
    ),
  )
  const brokerIds = [...new Set(replicas.map(({ brokerId }) => brokerId))]
  await requests.cluster.connect(options.signal)
  const told = new Map<string, { readonly sizeBytes: number; readonly offsetLag: number | null }>()
  await Promise.all(
    brokerIds.map(async (brokerId) => {
      // A broker that is down, or gone since: its replicas stay unknown, and the caller is told so by null.
      const dirs = await logDirsOf(requests, brokerId, options).catch((): LogDirDescription[] => [])
      for (const { partitions } of dirs)
        for (const one of partitions)
          if (!one.isFuture) told.set(`${brokerId} ${one.topic}-${one.partition}`, one)
    }),
  )
  return replicas.map(({ topic, brokerId, partition, leader }) => {
    const found = told.get(`${brokerId} ${topic}-${partition}`)
    const lag = found === undefined ? null : brokerId === leader ? 0 : found.offsetLag
    return { topic, partition, brokerId, lag, sizeBytes: found?.sizeBytes ?? null }
  })
}
