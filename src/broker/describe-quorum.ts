/**
 * What DescribeQuorum (KIP-595, KIP-836) tells: how far each replica of the metadata log is. Its one partition is
 * `__cluster_metadata-0`; only the active controller knows. Times are wall-clock ms of its machine.
 */
import type { Clock } from '../env/index.ts'
import type { ClusterImage } from '../metadata/cluster-image.ts'
import type { RequestOf, ResponseOf } from '../protocol/apis.ts'
import { errorCode } from '../protocol/errors.ts'
import type { QuorumDescription } from '../raft/raft-options.ts'

const METADATA_TOPIC = '__cluster_metadata'
const NONE = -1

type Request = RequestOf<'DescribeQuorum'>
type Response = ResponseOf<'DescribeQuorum'>
type Partition = Response['topics'][number]['partitions'][number]
type ReplicaState = Partition['currentVoters'][number]

/**
 * @param quorum - Null where this node is not the active controller: every partition is then answered with
 *   NOT_LEADER_OR_FOLLOWER, and the whole with NOT_CONTROLLER.
 */
export function describeQuorum(
  request: Request,
  quorum: QuorumDescription | null,
  image: ClusterImage | null,
  clock: Clock | null,
): Response {
  return {
    errorCode: errorCode(quorum === null ? 'NOT_CONTROLLER' : 'NONE'),
    errorMessage: null,
    topics: request.topics.map(({ topicName, partitions }) => ({
      topicName,
      partitions: partitions.map(({ partitionIndex }) => {
        const isKnown = topicName === METADATA_TOPIC && partitionIndex === 0
        if (!isKnown) return unknown(partitionIndex, 'UNKNOWN_TOPIC_OR_PARTITION')
        if (quorum === null || clock === null) return unknown(partitionIndex, 'NOT_LEADER_OR_FOLLOWER')
        return described(quorum, clock)
      }),
    })),
    nodes: [...(image?.brokers.values() ?? [])].map(({ id, listeners }) => ({
      nodeId: id,
      listeners: listeners.map(({ name, host, port }) => ({ name, host, port })),
    })),
  }
}

function described(quorum: QuorumDescription, clock: Clock): Partition {
  const wallOf = (monotonicMs: number): number =>
    Number.isFinite(monotonicMs) ? Math.round(clock.wallTimeMs() - clock.monotonicMs() + monotonicMs) : NONE
  const replicas = new Map(
    quorum.replicas.map((replica): [string, ReplicaState] => [
      `${replica.id} ${replica.directoryId}`,
      {
        replicaId: replica.id,
        replicaDirectoryId: replica.directoryId,
        logEndOffset: replica.logEndOffset,
        lastFetchTimestamp: wallOf(replica.lastFetchMs),
        lastCaughtUpTimestamp: wallOf(replica.lastCaughtUpMs),
      },
    ]),
  )
  const currentVoters = quorum.voters.map(({ id, directoryId }): ReplicaState => {
    const key = `${id} ${directoryId}`
    const seen = replicas.get(key)
    replicas.delete(key)
    if (seen !== undefined) return seen
    const isLeader = id === quorum.leaderId
    const nowMs = isLeader ? Math.round(clock.wallTimeMs()) : NONE
    return {
      ...{ replicaId: id, replicaDirectoryId: directoryId },
      logEndOffset: isLeader ? quorum.durableEndOffset : NONE,
      ...{ lastFetchTimestamp: nowMs, lastCaughtUpTimestamp: nowMs },
    }
  })
  return {
    partitionIndex: 0,
    errorCode: 0,
    errorMessage: null,
    leaderId: quorum.leaderId ?? NONE,
    leaderEpoch: quorum.leaderEpoch,
    highWatermark: quorum.highWatermark,
    currentVoters,
    observers: [...replicas.values()],
  }
}

function unknown(
  partitionIndex: number,
  error: 'UNKNOWN_TOPIC_OR_PARTITION' | 'NOT_LEADER_OR_FOLLOWER',
): Partition {
  return {
    partitionIndex,
    errorCode: errorCode(error),
    errorMessage: null,
    ...{ leaderId: NONE, leaderEpoch: NONE, highWatermark: NONE, currentVoters: [], observers: [] },
  }
}
