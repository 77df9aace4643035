/**
 * Kafka's numbers for where a setting comes from, what it is, and what is done to it; and a setting the way
 * DescribeConfigs and CreateTopics show it.
 */
import type { ExplainedConfig } from './config-resolution.ts'
import type { ConfigSource, ConfigType } from './config-table.ts'

export const configSourceCodes: Readonly<Record<ConfigSource, number>> = {
  'dynamic topic': 1,
  'dynamic broker': 2,
  'dynamic default broker': 3,
  'static broker': 4,
  default: 5,
}

export const configTypeCodes: Readonly<Record<ConfigType, number>> = {
  boolean: 1,
  string: 2,
  int: 3,
  long: 5,
  double: 6,
  list: 7,
}

/** Operations of IncrementalAlterConfigs. */
export const SET_OPERATION = 0
export const DELETE_OPERATION = 1
export const APPEND_OPERATION = 2
export const SUBTRACT_OPERATION = 3

/** One entry of a DescribeConfigs response; a CreateTopics response has the first five fields. */
export interface DescribedConfig {
  readonly name: string
  /** Null for a sensitive setting. */
  readonly value: string | null
  readonly readOnly: boolean
  readonly configSource: number
  readonly isSensitive: boolean
  readonly synonyms: { readonly name: string; readonly value: string | null; readonly source: number }[]
  readonly configType: number
  readonly documentation: string | null
}

export function describeConfig(
  explained: ExplainedConfig,
  options: { readonly withSynonyms: boolean; readonly withDocumentation: boolean },
): DescribedConfig {
  const { definition, candidates } = explained
  const shown = (value: string): string | null => (definition.isSensitive ? null : value)
  return {
    name: definition.name,
    value: shown(explained.value),
    readOnly: definition.update === 'read-only',
    configSource: configSourceCodes[explained.source],
    isSensitive: definition.isSensitive,
    synonyms: options.withSynonyms
      ? candidates.map(({ name, value, source }) => ({
          name,
          value: shown(value),
          source: configSourceCodes[source],
        }))
      : [],
    configType: configTypeCodes[definition.type],
    documentation: options.withDocumentation ? definition.documentation : null,
  }
}
