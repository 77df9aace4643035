/**
 * Which value of a setting is in force, and why. A topic's setting comes from the strongest layer that has it:
 *
 *   the topic itself > this broker, changed at run time > all brokers, changed at run time
 *     > this broker's configuration > the built-in default
 *
 * In the layers of brokers a topic's setting goes by its synonyms (`retention.ms` is `log.retention.ms` there).
 */
import { ALL_BROKERS, BROKER_RESOURCE, configsOf, TOPIC_RESOURCE } from './cluster-image.ts'
import type { ClusterImage } from './cluster-image.ts'
import { ConfigError, parseConfig } from './config-table.ts'
import type { ConfigDefinition, ConfigEntries, ConfigOf, ConfigShape, ConfigSource } from './config-table.ts'
import { topicConfigs } from './topic-config.ts'
import type { TopicConfig } from './topic-config.ts'

/** Settings from one source. Layers are given strongest first; `default` is implied and never given. */
export interface ConfigLayer {
  readonly source: Exclude<ConfigSource, 'default'>
  readonly entries: ConfigEntries
}

/** One value that a setting has or would have. */
export interface ConfigCandidate {
  /** The key it was found under: the setting's own or a synonym. */
  readonly name: string
  readonly value: string
  readonly source: ConfigSource
}

export interface ExplainedConfig {
  readonly definition: ConfigDefinition<unknown>
  /** Text of the value in force. */
  readonly value: string
  readonly source: ConfigSource
  /** Every value that was set and the default, strongest first; the first is in force. */
  readonly candidates: readonly ConfigCandidate[]
}

/** Says what is in force for `definition`, and what it would be if that were removed. */
export function explainConfig(
  definition: ConfigDefinition<unknown>,
  layers: readonly ConfigLayer[],
): ExplainedConfig {
  const candidates: ConfigCandidate[] = []
  for (const { source, entries } of layers) {
    for (const { name, factor } of namesIn(definition, source)) {
      const text = entries.get(name)
      if (text === undefined) continue
      candidates.push({ name, value: factor === 1 ? text.trim() : multiplied(text, factor), source })
    }
  }
  const defaultName = definition.synonyms[0]?.name ?? definition.name
  candidates.push({ name: defaultName, value: definition.fallback, source: 'default' })
  const { value, source } = candidates[0]!
  return { definition, value, source, candidates }
}

function namesIn(
  definition: ConfigDefinition<unknown>,
  source: ConfigSource,
): readonly { readonly name: string; readonly factor: number }[] {
  const isTopicSettingInBrokerLayer = source !== 'dynamic topic' && definition.synonyms.length > 0
  return isTopicSettingInBrokerLayer ? definition.synonyms : [{ name: definition.name, factor: 1 }]
}

/** `text` in the unit of `factor`, as text in the unit of 1; below zero stays "no limit". */
function multiplied(text: string, factor: number): string {
  const trimmed = text.trim()
  if (!/^[+-]?\d{1,20}$/.test(trimmed)) return trimmed // left for the parser to refuse, with the text as it was
  const count = BigInt(trimmed.replace('+', ''))
  return (count < 0n ? -1n : count * BigInt(factor)).toString()
}

/**
 * The typed settings of a topic.
 *
 * @throws {ConfigError} `CONFIG_INVALID` if a layer holds a value that was never checked.
 */
export function resolveTopicConfig(layers: readonly ConfigLayer[]): TopicConfig {
  return resolveConfigs(topicConfigs.shape, layers)
}

/** As `resolveTopicConfig`, for a topic's own settings over the built-in defaults. */
export function parseTopicConfig(entries: ConfigEntries): TopicConfig {
  return resolveTopicConfig([{ source: 'dynamic topic', entries }])
}

/** The typed settings of any table. @throws {ConfigError} `CONFIG_INVALID`. */
export function resolveConfigs<S extends ConfigShape>(shape: S, layers: readonly ConfigLayer[]): ConfigOf<S> {
  const resolved = Object.entries(shape).map(([property, definition]) => {
    const { candidates } = explainConfig(definition, layers)
    const { name, value } = candidates[0]!
    return [property, parseConfig(definition, value, name)]
  })
  return Object.fromEntries(resolved) as ConfigOf<S>
}

/**
 * Checks a topic's own settings, alone and against each other.
 *
 * @throws {ConfigError} `CONFIG_UNKNOWN`, `CONFIG_INVALID`.
 */
export function checkTopicConfig(entries: ConfigEntries, brokerLayers: readonly ConfigLayer[]): TopicConfig {
  for (const [name, value] of entries) topicConfigs.check(name, value)
  const config = resolveTopicConfig([{ source: 'dynamic topic', entries }, ...brokerLayers])
  if (config.minCompactionLagMs > config.maxCompactionLagMs) {
    throw new ConfigError(
      'CONFIG_INVALID',
      'min.compaction.lag.ms',
      `Cannot set min.compaction.lag.ms to ${config.minCompactionLagMs}: it must be at most max.compaction.lag.ms, which is ${config.maxCompactionLagMs}`,
    )
  }
  return config
}

/** Where a topic's settings come from, strongest first. */
export function topicLayers(
  topic: string,
  image: ClusterImage,
  nodeId: number,
  staticEntries: ConfigEntries,
): readonly ConfigLayer[] {
  return [
    { source: 'dynamic topic', entries: configsOf(image, { type: TOPIC_RESOURCE, name: topic }) },
    ...brokerLayers(image, nodeId, staticEntries),
  ]
}

/** Where a broker's settings, and with them the defaults of topics, come from, strongest first. */
export function brokerLayers(
  image: ClusterImage,
  nodeId: number,
  staticEntries: ConfigEntries,
): readonly ConfigLayer[] {
  return [
    { source: 'dynamic broker', entries: configsOf(image, { type: BROKER_RESOURCE, name: String(nodeId) }) },
    {
      source: 'dynamic default broker',
      entries: configsOf(image, { type: BROKER_RESOURCE, name: ALL_BROKERS }),
    },
    { source: 'static broker', entries: staticEntries },
  ]
}
