/** Administration of the cluster's nodes: brokers, their disks, the metadata quorum, and a broker's way out. Control plane. */
import type { ResponseOf } from '../protocol/apis.ts'
import { countOrNull, idOrNull } from './admin-answers.ts'
import type {
  ClusterDescription,
  DrainProgress,
  LogDirDescription,
  QuorumDescription,
  QuorumReplica,
} from './admin-cluster-types.ts'
import type { AdminRequests } from './admin-requests.ts'
import type { AdminOptions } from './admin-types.ts'
import { brokerError, ClientError } from './client-error.ts'

/** Version from which fenced brokers can be asked for (KIP-1073). */
const FENCED_SINCE_VERSION = 2
const METADATA_TOPIC = '__cluster_metadata'

export async function describeCluster(
  requests: AdminRequests,
  options: AdminOptions,
): Promise<ClusterDescription> {
  const attempted = 'Cannot describe the cluster'
  const answer = await requests.ask('DescribeCluster', attempted, options, (_timeoutMs, ready) => ({
    includeClusterAuthorizedOperations: false,
    includeFencedBrokers: ready.version('DescribeCluster') >= FENCED_SINCE_VERSION,
  }))
  if (answer.errorCode !== 0) throw brokerError(attempted, answer.errorCode, answer.errorMessage)
  const brokers = answer.brokers
    .map(({ brokerId, host, port, rack, isFenced }) => ({ id: brokerId, host, port, rack, isFenced }))
    .sort((a, b) => a.id - b.id)
  return { clusterId: answer.clusterId, controllerId: countOrNull(answer.controllerId), brokers }
}

export async function describeLogDirs(
  requests: AdminRequests,
  brokerIds: readonly number[] | null,
  options: AdminOptions,
): Promise<LogDirDescription[]> {
  await requests.cluster.connect(options.signal)
  const ids = brokerIds ?? [...requests.cluster.nodes.keys()].sort((a, b) => a - b)
  const found = await Promise.all(ids.map((id) => logDirsOf(requests, id, options)))
  return found.flat()
}

/** @throws {ClientError} `CLIENT_BAD_ARGUMENT` if no live broker has that id. */
export async function logDirsOf(
  requests: AdminRequests,
  brokerId: number,
  options: AdminOptions,
): Promise<LogDirDescription[]> {
  const attempted = `Cannot describe the log directories of broker ${brokerId}`
  const answer = await requests.link(brokerId).request(
    'DescribeLogDirs',
    { topics: null, brokerId },
    {
      signal: options.signal,
      timeoutMs: requests.timeoutMs(options),
    },
  )
  if (answer.errorCode !== 0) throw brokerError(attempted, answer.errorCode)
  return answer.results.map(({ errorCode, logDir, topics, totalBytes, usableBytes }) => {
    if (errorCode !== 0) throw brokerError(`${attempted}, ${logDir}`, errorCode)
    const partitions = topics.flatMap(({ name, partitions: parts }) =>
      parts.map(({ partitionIndex, partitionSize, offsetLag, isFutureKey }) => ({
        topic: name,
        partition: partitionIndex,
        sizeBytes: partitionSize,
        offsetLag: countOrNull(offsetLag),
        isFuture: isFutureKey,
      })),
    )
    return {
      brokerId,
      path: logDir,
      totalBytes: countOrNull(totalBytes),
      usableBytes: countOrNull(usableBytes),
      partitions,
    }
  })
}

export async function describeQuorum(
  requests: AdminRequests,
  options: AdminOptions,
): Promise<QuorumDescription> {
  const attempted = 'Cannot describe the metadata quorum'
  const answer = await requests.ask('DescribeQuorum', attempted, options, () => ({
    topics: [{ topicName: METADATA_TOPIC, partitions: [{ partitionIndex: 0 }] }],
  }))
  if (answer.errorCode !== 0) throw brokerError(attempted, answer.errorCode, answer.errorMessage)
  const partition = answer.topics[0]?.partitions[0]
  if (partition === undefined)
    throw new ClientError('CLIENT_PROTOCOL_VIOLATED', `${attempted}: the answer leaves it out`)
  if (partition.errorCode !== 0) throw brokerError(attempted, partition.errorCode, partition.errorMessage)
  return {
    leaderId: countOrNull(partition.leaderId),
    leaderEpoch: partition.leaderEpoch,
    highWatermark: partition.highWatermark,
    voters: partition.currentVoters.map(quorumReplica).sort((a, b) => a.nodeId - b.nodeId),
    observers: partition.observers.map(quorumReplica).sort((a, b) => a.nodeId - b.nodeId),
  }
}

type ReplicaState =
  ResponseOf<'DescribeQuorum'>['topics'][number]['partitions'][number]['currentVoters'][number]

function quorumReplica(state: ReplicaState): QuorumReplica {
  return {
    nodeId: state.replicaId,
    directoryId: idOrNull(state.replicaDirectoryId),
    logEndOffset: countOrNull(state.logEndOffset),
    lastFetchTimestamp: countOrNull(state.lastFetchTimestamp),
    lastCaughtUpTimestamp: countOrNull(state.lastCaughtUpTimestamp),
  }
}

export async function drainBroker(
  requests: AdminRequests,
  brokerId: number,
  options: AdminOptions,
): Promise<DrainProgress> {
  const attempted = `Cannot move the replicas of broker ${brokerId} away`
  const answer = await requests.change('DrainBroker', attempted, options, () => ({ brokerId }))
  if (answer.errorCode !== 0) throw brokerError(attempted, answer.errorCode, answer.errorMessage)
  const { startedCount, leftCount, stuckCount } = answer
  return { startedCount, leftCount, stuckCount }
}

export async function unregisterBroker(
  requests: AdminRequests,
  brokerId: number,
  options: AdminOptions,
): Promise<void> {
  const attempted = `Cannot remove broker ${brokerId}`
  const answer = await requests.change('UnregisterBroker', attempted, options, () => ({ brokerId }))
  if (answer.errorCode !== 0) throw brokerError(attempted, answer.errorCode, answer.errorMessage)
}
