/**
 * A new leader epoch for partitions whose leader asks for one. A leader does so when its disk is full (docs/faults.md, "A full
 * disk", ST-8) and it has undone appends that a follower may have read: in the old epoch it could not write other batches at their
 * offsets, while the start offset of a new one tells followers what to cut. Another that is in sync leads from then on, if there
 * is one: it has everything that was acknowledged, and probably room.
 */
import type { MetadataRecordInput } from '../metadata/records.ts'
import type { ErrorName } from '../protocol/errors.ts'
import type { Concern } from './concern.ts'
import { electionRules, isListening } from './elections.ts'
import { changeOf } from './partition-change.ts'

export interface RenewLeaderEpochs {
  readonly brokerId: number
  readonly brokerEpoch: number
  /** With the epochs that are spent; one that has moved on, or has another leader, is left alone. */
  readonly partitions: readonly {
    readonly topicId: string
    readonly partitionId: number
    readonly leaderEpoch: number
  }[]
}

export interface LeaderEpochsRenewed {
  readonly error: ErrorName
  readonly errorMessage: string | null
}

export const renewLeaderEpochs: Concern<RenewLeaderEpochs, LeaderEpochsRenewed> = {
  decide(request, context) {
    const { image } = context
    const { brokerId, brokerEpoch } = request
    const epoch = image.brokers.get(brokerId)?.epoch
    if (epoch !== brokerEpoch) {
      const message = `Broker ${brokerId} has epoch ${epoch ?? 'none'}, the request names ${brokerEpoch}`
      return { records: [], response: { error: 'STALE_BROKER_EPOCH', errorMessage: message } }
    }
    const rulesOf = electionRules(context, (id) => id !== brokerId && isListening(context, id))
    const records = request.partitions.flatMap(
      ({ topicId, partitionId, leaderEpoch }): MetadataRecordInput[] => {
        const topic = image.topicsById.get(topicId)
        const partition = topic?.partitions[partitionId]
        if (topic === undefined || partition?.leader !== brokerId) return []
        if (partition.leaderEpoch !== leaderEpoch) return []
        // To name the leader is to begin an epoch, also if it stays the same.
        const change = changeOf(partition, {}, rulesOf(topic))
        return [{ kind: 'partitionChange', topicId, partitionId, leader: brokerId, ...change }]
      },
    )
    return { records, response: { error: 'NONE', errorMessage: null } }
  },

  refuse: (_request, error, errorMessage) => ({ error, errorMessage }),
}
