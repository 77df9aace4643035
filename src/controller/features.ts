/**
 * Levels of the cluster's features. A new cluster starts at the highest level this version has; an older one is raised
 * by hand, once no broker is left that would not understand the records of the new level. Levels never fall: records
 * of the higher level may be in the log.
 *
 * The first records also set `min.insync.replicas` for all brokers, and it stays set (configs.ts): whether a replica outside
 * the in-sync set has everything hangs on it, so the controller and all leaders must read one value, in one order with the
 * changes of the sets. What the configuration of each broker says could differ (KIP-966).
 */
import { ALL_BROKERS, BROKER_RESOURCE, configsOf } from '../metadata/cluster-image.ts'
import { explainConfig } from '../metadata/config-resolution.ts'
import { quote } from '../metadata/config-table.ts'
import { FEATURES, MILLRACE_VERSION } from '../metadata/features.ts'
import type { MetadataRecordInput } from '../metadata/records.ts'
import { topicConfigs } from '../metadata/topic-config.ts'
import type { ErrorName } from '../protocol/errors.ts'
import { layersBelowTopic } from './concern.ts'
import type { Concern, DecisionContext } from './concern.ts'

export interface UpdateFeature {
  readonly name: string
  readonly level: number
}

export interface FeatureUpdated {
  readonly error: ErrorName
  readonly errorMessage: string | null
}

/** The first records of a new metadata log; none in one that has them. */
export const formatCluster: Concern<null, null> = {
  decide(_request, context) {
    const { image } = context
    const features = [...FEATURES].map(([name, { max }]): MetadataRecordInput => ({
      kind: 'featureLevel',
      name,
      featureLevel: max,
    }))
    const { minInsyncReplicas } = topicConfigs.shape
    const setting: MetadataRecordInput = {
      kind: 'config',
      resourceType: BROKER_RESOURCE,
      resourceName: ALL_BROKERS,
      name: minInsyncReplicas.name,
      value: explainConfig(minInsyncReplicas, layersBelowTopic(context)).value,
    }
    const hasSetting = configsOf(image, { type: BROKER_RESOURCE, name: ALL_BROKERS }).has(
      minInsyncReplicas.name,
    )
    const records = [
      ...(image.features.has(MILLRACE_VERSION) ? [] : features),
      ...(hasSetting ? [] : [setting]),
    ]
    return { records, response: null }
  },
  refuse: () => null,
}

export const updateFeature: Concern<UpdateFeature, FeatureUpdated> = {
  decide(request, context) {
    const problem = findProblem(request, context)
    if (problem !== null)
      return { records: [], response: updateFeature.refuse(request, 'FEATURE_UPDATE_FAILED', problem) }
    const isAtLevel = context.image.features.get(request.name) === request.level
    const record: MetadataRecordInput = {
      kind: 'featureLevel',
      name: request.name,
      featureLevel: request.level,
    }
    return { records: isAtLevel ? [] : [record], response: { error: 'NONE', errorMessage: null } }
  },

  refuse: (_request, error, errorMessage) => ({ error, errorMessage }),
}

function findProblem({ name, level }: UpdateFeature, { image }: DecisionContext): string | null {
  const supported = FEATURES.get(name)
  if (supported === undefined) return `There is no feature ${quote(name)}`
  if (!Number.isInteger(level) || level < supported.min || level > supported.max) {
    return `Feature ${name} has levels from ${supported.min} to ${supported.max}, not ${level}`
  }
  const current = image.features.get(name) ?? 0
  if (level < current) return `Feature ${name} is at level ${current} and cannot fall to ${level}`
  const behind = [...image.brokers.values()].filter(
    (broker) => !broker.features.some((feature) => feature.name === name && feature.max >= level),
  )
  if (behind.length > 0)
    return `Broker ${behind.map(({ id }) => id).join(', ')} does not support level ${level} of ${name}`
  return null
}
