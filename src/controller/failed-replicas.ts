/**
 * Replicas whose broker cannot use their log: it failed, is damaged, or could not be opened. The broker is alive and says so
 * itself; what fencing does for all of a broker's replicas is done for these alone (docs/faults.md ST-2, ST-7, D3).
 *
 *   in sync, others are as well  ──► out of both sets; another leads
 *   the last that may lead       ──► stays what it is, offline: whoever else led would lack what was acknowledged
 *
 * Invariants:
 * - A replica that was given up is in neither set: what its log still holds nobody knows. It comes back as any other does,
 *   by catching up, in a new leader epoch: what it told of the old log, or may be telling now, says nothing of the one that
 *   takes its place (docs/faults.md RP-10).
 * - Nothing is decided in an epoch that is over: the broker asks again, with the epoch that it knows then.
 */
import type { PartitionImage } from '../metadata/cluster-image.ts'
import type { MetadataRecordInput } from '../metadata/records.ts'
import type { ErrorName } from '../protocol/errors.ts'
import type { Concern } from './concern.ts'
import { electionRules, isAvailable } from './elections.ts'
import { changeOf } from './partition-change.ts'
import type { ElectionRules } from './partition-change.ts'

export interface ResignReplicas {
  readonly brokerId: number
  readonly brokerEpoch: number
  readonly partitions: readonly {
    readonly topicId: string
    readonly partitionId: number
    readonly leaderEpoch: number
  }[]
}

export interface ReplicasResigned {
  readonly error: ErrorName
  readonly errorMessage: string | null
}

export const resignReplicas: Concern<ResignReplicas, ReplicasResigned> = {
  decide(request, context) {
    const { brokerId, brokerEpoch } = request
    const { image } = context
    const epoch = image.brokers.get(brokerId)?.epoch
    if (epoch !== brokerEpoch) {
      const message = `Broker ${brokerId} has epoch ${epoch ?? 'none'}, the request names ${brokerEpoch}`
      return { records: [], response: { error: 'STALE_BROKER_EPOCH', errorMessage: message } }
    }
    const rulesOf = electionRules(context, (id) => id !== brokerId && isAvailable(image, id))
    const records: MetadataRecordInput[] = []
    const seen = new Set<string>()
    for (const { topicId, partitionId, leaderEpoch } of request.partitions) {
      const key = `${topicId}:${partitionId}`
      const topic = image.topicsById.get(topicId)
      const partition = topic?.partitions[partitionId]
      if (topic === undefined || partition?.leaderEpoch !== leaderEpoch || seen.has(key)) continue
      seen.add(key)
      const rules = rulesOf(topic)
      const { leader, replicas } = partition
      if (leader === null && !countsOn(partition, brokerId)) continue
      if (!replicas.includes(brokerId) || !hasHeir(partition, brokerId, rules)) continue
      const isr = partition.isr.filter((id) => id !== brokerId)
      const change = changeOf(partition, { isr, uncleanId: brokerId }, rules)
      // To name the leader is to begin an epoch, also if it stays the same.
      const epoch = leader === null ? {} : { leader }
      records.push({ kind: 'partitionChange', topicId, partitionId, ...epoch, ...change })
    }
    return { records, response: { error: 'NONE', errorMessage: null } }
  },

  refuse: (_request, error, errorMessage) => ({ error, errorMessage }),
}

function countsOn({ isr, eligibleLeaderReplicas }: PartitionImage, brokerId: number): boolean {
  return isr.includes(brokerId) || eligibleLeaderReplicas.includes(brokerId)
}

/** Whether another has all that was acknowledged, or the topic would rather be led by one that has not. */
function hasHeir(
  { isr, eligibleLeaderReplicas, replicas }: PartitionImage,
  brokerId: number,
  { mayLead, allowsUnclean }: ElectionRules,
): boolean {
  const complete = [...isr, ...eligibleLeaderReplicas]
  const candidates = allowsUnclean ? replicas : complete
  return candidates.some((id) => id !== brokerId && mayLead(id))
}
