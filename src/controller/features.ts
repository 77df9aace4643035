/**
 * Levels of the cluster's features. A new cluster starts at the highest level this version has; an older one is raised
 * by hand, once no broker is left that would not understand the records of the new level. Levels never fall: records
 * of the higher level may be in the log.
 */
import { quote } from '../metadata/config-table.ts'
import { FEATURES, MILLRACE_VERSION } from '../metadata/features.ts'
import type { MetadataRecordInput } from '../metadata/records.ts'
import type { ErrorName } from '../protocol/errors.ts'
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
  decide(_request, { image }) {
    if (image.features.has(MILLRACE_VERSION)) return { records: [], response: null }
    const records = [...FEATURES].map(([name, { max }]): MetadataRecordInput => ({
      kind: 'featureLevel',
      name,
      featureLevel: max,
    }))
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
