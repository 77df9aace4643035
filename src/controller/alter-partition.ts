/**
 * AlterPartition: the leader of a partition changes its in-sync set (KIP-497, KIP-841, KIP-903).
 *
 * What the leader knows may be old, so everything is checked here, against the newest state there is:
 * - it is the registered incarnation, and leads in the present epoch (faults.md R6, MQ-12);
 * - it knows the present state of the partition, or wants what is so already: a request whose answer was lost can be sent
 *   again;
 * - who is to be in sync is alive, not about to stop, and the very incarnation that caught up (R14, RP-8, RP-9).
 */
import type { ClusterImage, PartitionImage } from '../metadata/cluster-image.ts'
import type { MetadataRecordInput } from '../metadata/records.ts'
import type { RequestOf, ResponseOf } from '../protocol/apis.ts'
import { errorCode } from '../protocol/errors.ts'
import type { ErrorName } from '../protocol/errors.ts'
import type { Concern, DecisionContext } from './concern.ts'
import { electionRules, isAvailable } from './elections.ts'
import { changeOf, stateAfter } from './partition-change.ts'
import type { ElectionRules } from './partition-change.ts'

type AlterPartitionRequest = RequestOf<'AlterPartition'>
type AlterPartitionResponse = ResponseOf<'AlterPartition'>
type PartitionRequest = AlterPartitionRequest['topics'][number]['partitions'][number]
type PartitionResult = AlterPartitionResponse['topics'][number]['partitions'][number]

const RECOVERED = 0
const RECOVERING = 1

export const alterPartition: Concern<AlterPartitionRequest, AlterPartitionResponse> = {
  decide(request, context) {
    const { image } = context
    const epoch = image.brokers.get(request.brokerId)?.epoch
    if (epoch !== request.brokerEpoch)
      return { records: [], response: alterPartition.refuse(request, 'STALE_BROKER_EPOCH', '') }
    const records: MetadataRecordInput[] = []
    const seen = new Set<string>()
    const rulesOf = electionRules(context)
    const topics = request.topics.map(({ topicId, partitions }) => {
      const topic = image.topicsById.get(topicId)
      const results = partitions.map((wanted): PartitionResult => {
        const { partitionIndex } = wanted
        const key = `${topicId}:${partitionIndex}`
        const partition = topic?.partitions[partitionIndex]
        if (topic === undefined) return failed(partitionIndex, 'UNKNOWN_TOPIC_ID')
        if (partition === undefined) return failed(partitionIndex, 'UNKNOWN_TOPIC_OR_PARTITION')
        if (seen.has(key)) return failed(partitionIndex, 'INVALID_REQUEST')
        seen.add(key)
        return decideOne(request.brokerId, wanted, partition, rulesOf(topic), context, (change) =>
          records.push({ kind: 'partitionChange', topicId, partitionId: partitionIndex, ...change }),
        )
      })
      return { topicId, partitions: results }
    })
    return { records, response: { throttleTimeMs: 0, errorCode: 0, topics } }
  },

  refuse: (_request, error) => ({ throttleTimeMs: 0, errorCode: errorCode(error), topics: [] }),
}

function decideOne(
  brokerId: number,
  wanted: PartitionRequest,
  partition: PartitionImage,
  rules: ElectionRules,
  { image }: DecisionContext,
  write: (change: NonNullable<ReturnType<typeof changeOf>>) => void,
): PartitionResult {
  const index = wanted.partitionIndex
  const isr = wanted.newIsrWithEpochs.map((member) => member.brokerId)
  const error = findProblem(brokerId, wanted, isr, partition)
  if (error !== null) return failed(index, error)
  const isSo = isr.length === partition.isr.length && isr.every((id) => partition.isr.includes(id))
  const hasRecovered = wanted.leaderRecoveryState === RECOVERED
  if (isSo && hasRecovered !== partition.isRecovering) return result(index, partition)
  if (wanted.partitionEpoch < partition.partitionEpoch) return failed(index, 'INVALID_UPDATE_VERSION')
  // A leader that is about to stop may take others in: that is how it gets rid of its leadership.
  const others = wanted.newIsrWithEpochs.filter((member) => member.brokerId !== brokerId)
  if (others.some((member) => !isEligible(image, member))) return failed(index, 'INELIGIBLE_REPLICA')
  const change = changeOf(partition, { isr, hasRecovered }, rules)
  if (change !== null) write(change)
  const after = stateAfter(partition, change)
  // The set was changed, but who asked leads no more, or in another epoch: it learns the rest from the metadata.
  if (after.leaderEpoch !== partition.leaderEpoch) return failed(index, 'NEW_LEADER_ELECTED')
  return result(index, after)
}

function findProblem(
  brokerId: number,
  wanted: PartitionRequest,
  isr: readonly number[],
  { leader, leaderEpoch, partitionEpoch, replicas, isRecovering }: PartitionImage,
): ErrorName | null {
  // The asker has seen more than this controller, which must have been replaced.
  if (wanted.leaderEpoch > leaderEpoch || wanted.partitionEpoch > partitionEpoch) return 'NOT_CONTROLLER'
  if (wanted.leaderEpoch < leaderEpoch) return 'FENCED_LEADER_EPOCH'
  if (leader !== brokerId) return 'INVALID_REQUEST'
  if (!isr.includes(brokerId) || new Set(isr).size < isr.length) return 'INVALID_REQUEST'
  if (isr.some((id) => !replicas.includes(id))) return 'INVALID_REQUEST'
  const state = wanted.leaderRecoveryState
  if (state !== RECOVERED && state !== RECOVERING) return 'INVALID_REQUEST'
  // A leader that does not know yet what it has cannot say who has the same.
  if (state === RECOVERING && (!isRecovering || isr.length > 1)) return 'INVALID_REQUEST'
  return null
}

function isEligible(
  image: ClusterImage,
  { brokerId, brokerEpoch }: PartitionRequest['newIsrWithEpochs'][number],
): boolean {
  return isAvailable(image, brokerId) && image.brokers.get(brokerId)?.epoch === brokerEpoch
}

function result(
  partitionIndex: number,
  state: Pick<PartitionImage, 'leader' | 'leaderEpoch' | 'isr' | 'isRecovering' | 'partitionEpoch'>,
): PartitionResult {
  return {
    partitionIndex,
    errorCode: 0,
    leaderId: state.leader ?? -1,
    leaderEpoch: state.leaderEpoch,
    isr: [...state.isr],
    leaderRecoveryState: state.isRecovering ? RECOVERING : RECOVERED,
    partitionEpoch: state.partitionEpoch,
  }
}

function failed(partitionIndex: number, error: ErrorName): PartitionResult {
  return {
    partitionIndex,
    errorCode: errorCode(error),
    leaderId: -1,
    leaderEpoch: -1,
    isr: [],
    leaderRecoveryState: RECOVERED,
    partitionEpoch: -1,
  }
}
