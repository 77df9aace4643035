/**
 * What the coming and going of a broker does to partitions, one change for each partition it touches. Who leads then is
 * decided in partition-change.ts (faults.md R15, RP-11, RP-12).
 */
import type { ClusterImage, PartitionImage, TopicImage } from '../metadata/cluster-image.ts'
import { configsOf, TOPIC_RESOURCE } from '../metadata/cluster-image.ts'
import { explainConfig } from '../metadata/config-resolution.ts'
import type { ConfigLayer } from '../metadata/config-resolution.ts'
import { parseConfig } from '../metadata/config-table.ts'
import { PARTITIONS_PER_MOVE_MAX } from '../metadata/limits.ts'
import type { MetadataRecordInput } from '../metadata/records.ts'
import { topicConfigs } from '../metadata/topic-config.ts'
import { layersBelowTopic } from './concern.ts'
import type { Concern, DecisionContext } from './concern.ts'
import { changeOf } from './partition-change.ts'
import type { ElectionRules, PartitionTarget } from './partition-change.ts'

/** Whether new leaderships and replicas may go to the broker. */
export function isAvailable(image: ClusterImage, brokerId: number): boolean {
  const broker = image.brokers.get(brokerId)
  return broker !== undefined && !broker.isFenced && !broker.isInControlledShutdown
}

/** Whether it is available, and hears of what is decided. */
export function isListening({ image, isDeaf }: DecisionContext, brokerId: number): boolean {
  return isAvailable(image, brokerId) && !isDeaf(brokerId)
}

/**
 * The rules of election for the partitions of one topic after another.
 *
 * @param mayLead - Which brokers may be given leaderships; default those that are available.
 */
export function electionRules(
  context: Pick<DecisionContext, 'image' | 'settings'>,
  mayLead = (brokerId: number): boolean => isAvailable(context.image, brokerId),
): (topic: Pick<TopicImage, 'name'>) => ElectionRules {
  const below = layersBelowTopic(context)
  const { minInsyncReplicas, uncleanLeaderElectionEnable } = topicConfigs.shape
  const rulesOf = (layers: readonly ConfigLayer[]): ElectionRules => ({
    mayLead,
    minInsyncReplicas: parseConfig(minInsyncReplicas, explainConfig(minInsyncReplicas, layers).value),
    allowsUnclean: parseConfig(
      uncleanLeaderElectionEnable,
      explainConfig(uncleanLeaderElectionEnable, layers).value,
    ),
  })
  const withoutOwn = rulesOf(below)
  let last: { readonly name: string; readonly rules: ElectionRules } | null = null
  return ({ name }) => {
    if (last?.name === name) return last.rules
    const entries = configsOf(context.image, { type: TOPIC_RESOURCE, name })
    const rules = entries.size === 0 ? withoutOwn : rulesOf([{ source: 'dynamic topic', entries }, ...below])
    last = { name, rules }
    return rules
  }
}

/**
 * The broker is gone, or here in a new process that has to be let in again: it leads nothing and is in sync nowhere.
 *
 * @param isUnclean - It lost what it had in memory, so it is not eligible anywhere, either.
 */
export function electWithout(
  brokerId: number,
  isUnclean: boolean,
  context: DecisionContext,
): MetadataRecordInput[] {
  const mayLead = (id: number): boolean => id !== brokerId && isAvailable(context.image, id)
  return changesIn(context, mayLead, ({ isr, eligibleLeaderReplicas: elr, leader }) => {
    const concerns = isr.includes(brokerId) || leader === brokerId || (isUnclean && elr.includes(brokerId))
    if (!concerns) return null
    return { isr: isr.filter((id) => id !== brokerId), ...(isUnclean ? { uncleanId: brokerId } : {}) }
  })
}

/** The broker stops soon: others lead and it is in sync no more, wherever another one can lead. */
export function electAway(brokerId: number, context: DecisionContext): MetadataRecordInput[] {
  const mayLead = (id: number): boolean => id !== brokerId && isAvailable(context.image, id)
  return changesIn(context, mayLead, ({ isr }) => {
    const others = isr.filter((id) => id !== brokerId)
    return others.length < isr.length && others.some(mayLead) ? { isr: others } : null
  })
}

/**
 * The broker does not hear that it leads, or who does: others lead wherever one that is in sync can. Elections of other kinds do
 * not ask for so much, since somebody who is deaf is better than nobody; this sets right what they did.
 */
export const relieveBroker: Concern<{ readonly brokerId: number }, { readonly movedCount: number }> = {
  decide({ brokerId }, context) {
    const mayLead = (id: number): boolean => isListening(context, id)
    const records = changesIn(context, mayLead, ({ leader, isr }) =>
      leader === brokerId && isr.some((id) => id !== brokerId && mayLead(id)) ? {} : null,
    )
    return { records, response: { movedCount: records.length } }
  },
  refuse: () => ({ movedCount: 0 }),
}

/** The broker is alive again: it leads what nobody leads and it may. */
export function electBack(brokerId: number, context: DecisionContext): MetadataRecordInput[] {
  const mayLead = (id: number): boolean => id === brokerId || isAvailable(context.image, id)
  return changesIn(context, mayLead, ({ leader, replicas }) =>
    leader === null && replicas.includes(brokerId) ? {} : null,
  )
}

/**
 * Gives partitions back to their first replica, where that is in sync and alive (`auto.leader.rebalance.enable`); some at a
 * time.
 */
export const balanceLeaders: Concern<null, null> = {
  decide(_request, context) {
    let count = 0
    const mayLead = (id: number): boolean => isListening(context, id)
    const records = changesIn(context, mayLead, ({ leader, replicas, isr }) => {
      const preferred = replicas[0]!
      const isDue = leader !== preferred && isr.includes(preferred) && mayLead(preferred)
      if (!isDue || count >= PARTITIONS_PER_MOVE_MAX) return null
      count++
      return { election: 'preferred' }
    })
    return { records, response: null }
  },
  refuse: () => null,
}

/** One record for each partition that `targetOf` wants to change and that does change. */
export function changesIn(
  context: Pick<DecisionContext, 'image' | 'settings'>,
  mayLead: (brokerId: number) => boolean,
  targetOf: (partition: PartitionImage, topic: TopicImage) => PartitionTarget | null,
): MetadataRecordInput[] {
  const records: MetadataRecordInput[] = []
  const rulesOf = electionRules(context, mayLead)
  for (const topic of context.image.topicsById.values()) {
    for (const [partitionId, partition] of topic.partitions.entries()) {
      const target = targetOf(partition, topic)
      if (target === null) continue
      const change = changeOf(partition, target, rulesOf(topic))
      if (change !== null)
        records.push({ kind: 'partitionChange', topicId: topic.id, partitionId, ...change })
    }
  }
  return records
}
