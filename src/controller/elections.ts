/**
 * Who leads a partition when a broker goes or comes back. A leader comes from the in-sync replicas; an unclean one, who
 * may lack acknowledged records, only where the topic allows it (faults.md R15). Every election raises the leader
 * epoch, also when the same broker wins: that fences whatever it promised before.
 */
import type { ClusterImage, PartitionImage, TopicImage } from '../metadata/cluster-image.ts'
import { configsOf, TOPIC_RESOURCE } from '../metadata/cluster-image.ts'
import { resolveTopicConfig } from '../metadata/config-resolution.ts'
import { NO_LEADER } from '../metadata/partition-fold.ts'
import type { MetadataRecordInput } from '../metadata/records.ts'
import { layersBelowTopic } from './concern.ts'
import type { DecisionContext } from './concern.ts'

/** Changes that take `brokerId` out of every leadership, and out of every in-sync set that has others. */
export function electWithout(
  brokerId: number,
  { image }: Pick<DecisionContext, 'image'>,
): MetadataRecordInput[] {
  return changesIn(image, (_topic, partition) => {
    const others = partition.isr.filter((id) => id !== brokerId)
    const isMember = others.length < partition.isr.length
    if (!isMember) return null
    // The last in-sync replica stays in the set: it alone has everything, and leads again once it is back.
    const isr = others.length > 0 ? others : null
    if (partition.leader !== brokerId) return isr === null ? null : { isr }
    const next = partition.replicas.find((id) => others.includes(id) && isAlive(image, id))
    return { leader: next ?? NO_LEADER, ...(isr === null ? {} : { isr }) }
  })
}

/** Changes that give `brokerId`, now alive, the partitions without a leader that it may lead. */
export function electBack(brokerId: number, context: DecisionContext): MetadataRecordInput[] {
  return changesIn(context.image, (topic, partition) => {
    if (partition.leader !== null || !partition.replicas.includes(brokerId)) return null
    if (partition.isr.includes(brokerId)) return { leader: brokerId }
    const isLastHope = partition.isr.every((id) => !isAlive(context.image, id))
    if (!isLastHope || !allowsUnclean(topic, context)) return null
    return { leader: brokerId, isr: [brokerId], leaderRecoveryState: 1 }
  })
}

type Change = Partial<
  Omit<Extract<MetadataRecordInput, { kind: 'partitionChange' }>, 'kind' | 'topicId' | 'partitionId'>
>

function changesIn(
  image: ClusterImage,
  decide: (topic: TopicImage, partition: PartitionImage) => Change | null,
): MetadataRecordInput[] {
  const records: MetadataRecordInput[] = []
  for (const topic of image.topicsById.values()) {
    for (const [partitionId, partition] of topic.partitions.entries()) {
      const change = decide(topic, partition)
      if (change !== null)
        records.push({ kind: 'partitionChange', topicId: topic.id, partitionId, ...change })
    }
  }
  return records
}

function isAlive(image: ClusterImage, brokerId: number): boolean {
  return image.brokers.get(brokerId)?.isFenced === false
}

function allowsUnclean(topic: TopicImage, context: DecisionContext): boolean {
  const entries = configsOf(context.image, { type: TOPIC_RESOURCE, name: topic.name })
  return resolveTopicConfig([{ source: 'dynamic topic', entries }, ...layersBelowTopic(context)])
    .uncleanLeaderElectionEnable
}
