/**
 * Moves the replicas of one broker to others: to take it out of the cluster (`broker decommission`), or because it is gone
 * for too long. Each replica goes to a broker without one of the partition, in a rack that has none if there is one, and
 * among those to the one that holds fewest.
 */
import type { ClusterImage, PartitionImage } from '../metadata/cluster-image.ts'
import { liveBrokers } from '../metadata/cluster-image.ts'
import { PARTITIONS_PER_MOVE_MAX } from '../metadata/limits.ts'
import type { MetadataRecordInput } from '../metadata/records.ts'
import type { ErrorName } from '../protocol/errors.ts'
import type { Concern } from './concern.ts'
import { electionRules } from './elections.ts'
import { changeOf } from './partition-change.ts'
import { moveTo } from './reassignments.ts'

export interface DrainBroker {
  readonly brokerId: number
}

export interface BrokerDrained {
  readonly error: ErrorName
  readonly errorMessage: string | null
  /** Partitions that begin to move with this decision. */
  readonly startedCount: number
  /** Partitions that hold a replica there, those included that move away already. None: it can be unregistered. */
  readonly leftCount: number
  /** Partitions among them for which no other broker is left. */
  readonly stuckCount: number
}

/** Begins to move up to `PARTITIONS_PER_MOVE_MAX` partitions; to be asked again until none is left. */
export const drainBroker: Concern<DrainBroker, BrokerDrained> = {
  decide(request, context) {
    const { image } = context
    const { brokerId } = request
    if (!image.brokers.has(brokerId)) {
      const response = drainBroker.refuse(
        request,
        'BROKER_ID_NOT_REGISTERED',
        `There is no broker ${brokerId}`,
      )
      return { records: [], response }
    }
    const loads = replicaCounts(image)
    const rulesOf = electionRules(context)
    const records: MetadataRecordInput[] = []
    let leftCount = 0
    let stuckCount = 0
    for (const topic of image.topicsById.values()) {
      for (const [partitionId, partition] of topic.partitions.entries()) {
        if (!partition.replicas.includes(brokerId)) continue
        leftCount++
        if (partition.removingReplicas.includes(brokerId)) continue
        const substitute = findSubstitute(partition, brokerId, image, loads)
        if (substitute === null) stuckCount++
        if (substitute === null || records.length >= PARTITIONS_PER_MOVE_MAX) continue
        const kept = partition.replicas.filter((id) => !partition.removingReplicas.includes(id))
        const replicas = kept.map((id) => (id === brokerId ? substitute : id))
        const change = changeOf(partition, moveTo(partition, replicas, image), rulesOf(topic))
        if (change === null) continue
        loads.set(substitute, (loads.get(substitute) ?? 0) + 1)
        records.push({ kind: 'partitionChange', topicId: topic.id, partitionId, ...change })
      }
    }
    const startedCount = records.length
    return { records, response: { error: 'NONE', errorMessage: null, startedCount, leftCount, stuckCount } }
  },

  refuse: (_request, error, errorMessage) => ({
    error,
    errorMessage,
    startedCount: 0,
    leftCount: 0,
    stuckCount: 0,
  }),
}

function replicaCounts(image: ClusterImage): Map<number, number> {
  const counts = new Map<number, number>()
  for (const topic of image.topicsById.values())
    for (const { replicas } of topic.partitions)
      for (const id of replicas) counts.set(id, (counts.get(id) ?? 0) + 1)
  return counts
}

/** Who takes over the replica of `brokerId`; null if every live broker has one. */
function findSubstitute(
  { replicas, removingReplicas }: PartitionImage,
  brokerId: number,
  image: ClusterImage,
  loads: ReadonlyMap<number, number>,
): number | null {
  const kept = replicas.filter((id) => id !== brokerId && !removingReplicas.includes(id))
  const racks = new Set(kept.map((id) => image.brokers.get(id)?.rack ?? null).filter((rack) => rack !== null))
  let best: { readonly id: number; readonly sharesRack: boolean; readonly load: number } | null = null
  for (const { id, rack } of liveBrokers(image)) {
    if (id === brokerId || kept.includes(id)) continue
    const candidate = { id, sharesRack: rack !== null && racks.has(rack), load: loads.get(id) ?? 0 }
    const isBetter =
      best === null ||
      (candidate.sharesRack === best.sharesRack ? candidate.load < best.load : !candidate.sharesRack)
    if (isBetter) best = candidate
  }
  return best?.id ?? null
}
