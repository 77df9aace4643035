/**
 * A new leader epoch for partitions whose leader asks for one, without a change of leader. A leader does so when it had to
 * undo appends that a follower may have read (docs/faults.md, "A full disk"): in the old epoch it could not write other
 * batches at their offsets; the start offset of a new one tells followers what to cut.
 */
import type { MetadataRecordInput } from '../metadata/records.ts'
import type { ErrorName } from '../protocol/errors.ts'
import type { Concern } from './concern.ts'

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
  decide(request, { image }) {
    const { brokerId, brokerEpoch } = request
    const epoch = image.brokers.get(brokerId)?.epoch
    if (epoch !== brokerEpoch) {
      const message = `Broker ${brokerId} has epoch ${epoch ?? 'none'}, the request names ${brokerEpoch}`
      return { records: [], response: { error: 'STALE_BROKER_EPOCH', errorMessage: message } }
    }
    const records = request.partitions.flatMap(
      ({ topicId, partitionId, leaderEpoch }): MetadataRecordInput[] => {
        const partition = image.topicsById.get(topicId)?.partitions[partitionId]
        if (partition?.leader !== brokerId || partition.leaderEpoch !== leaderEpoch) return []
        return [{ kind: 'partitionChange', topicId, partitionId, leader: brokerId }]
      },
    )
    return { records, response: { error: 'NONE', errorMessage: null } }
  },

  refuse: (_request, error, errorMessage) => ({ error, errorMessage }),
}
