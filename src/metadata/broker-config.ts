/**
 * The settings of a broker that touch topics and the cluster: the defaults of every topic setting, under the names
 * Kafka gives them, and what governs creation. The broker's own table (listeners, directories, limits) joins this one
 * in the broker layer.
 *
 * Defaults of topic settings can be changed while brokers run (for one broker, or for all with an empty resource
 * name); the others are read from the broker's configuration when it starts.
 */
import { booleanConfig, ConfigTable, intConfig, longConfig } from './config-table.ts'
import type { ConfigDefinition, ConfigOf } from './config-table.ts'
import { PARTITIONS_PER_TOPIC_MAX } from './limits.ts'
import { topicConfigs } from './topic-config.ts'

/** Settings that the controller reads. */
export const clusterConfigShape = {
  numPartitions: intConfig({
    name: 'num.partitions',
    min: 1,
    max: PARTITIONS_PER_TOPIC_MAX,
    fallback: '1',
    update: 'read-only',
    documentation: 'Partitions of a topic that is created without saying how many.',
  }),
  defaultReplicationFactor: intConfig({
    name: 'default.replication.factor',
    min: 1,
    max: 32_767,
    fallback: '1',
    update: 'read-only',
    documentation: 'Replicas of each partition of a topic that is created without saying how many.',
  }),
  autoCreateTopicsEnable: booleanConfig({
    name: 'auto.create.topics.enable',
    fallback: 'true',
    update: 'read-only',
    documentation:
      'Whether asking for the metadata of a missing topic creates it, when the client allows that.',
  }),
  deleteTopicEnable: booleanConfig({
    name: 'delete.topic.enable',
    fallback: 'true',
    update: 'read-only',
    documentation: 'Whether topics can be deleted.',
  }),
  brokerSessionTimeoutMs: intConfig({
    name: 'broker.session.timeout.ms',
    min: 100,
    fallback: '9000',
    update: 'read-only',
    documentation:
      'A broker that the controller has not heard of for this long, in ms, is taken for dead, and others lead in its place.',
  }),
  brokerHeartbeatIntervalMs: intConfig({
    name: 'broker.heartbeat.interval.ms',
    min: 10,
    fallback: '2000',
    update: 'read-only',
    documentation:
      'How often a broker shows the controller that it lives, in ms; several times in broker.session.timeout.ms.',
  }),
  autoLeaderRebalanceEnable: booleanConfig({
    name: 'auto.leader.rebalance.enable',
    fallback: 'true',
    update: 'read-only',
    documentation: 'Whether partitions are given back to their first replica once that is in sync again.',
  }),
  leaderImbalanceCheckIntervalSeconds: intConfig({
    name: 'leader.imbalance.check.interval.seconds',
    min: 1,
    fallback: '300',
    update: 'read-only',
    documentation: 'How often that is looked at, in seconds.',
  }),
  brokerReplacementDelayMs: longConfig({
    name: 'broker.replacement.delay.ms',
    min: -1,
    fallback: '-1',
    update: 'read-only',
    documentation:
      'How long a broker must be gone, in ms, before its replicas are made anew on other brokers; -1 never, which leaves it to an operator.',
  }),
} as const

export type ClusterConfig = ConfigOf<typeof clusterConfigShape>

/**
 * One broker key for every synonym of a topic setting. The definition is the topic's own, under the broker's name; a
 * synonym in another unit (`log.retention.hours`) has no default, since the one in ms has it.
 */
export const topicDefaultDefinitions: readonly ConfigDefinition<unknown>[] = topicConfigs.definitions.flatMap(
  (definition) =>
    definition.synonyms.map(({ name, factor }): ConfigDefinition<unknown> => {
      const documentation = `Default of the topic setting ${definition.name}.`
      if (factor === 1) return { ...definition, name, documentation, synonyms: [] }
      return {
        ...longConfig({
          name,
          min: -1,
          fallback: '-1',
          update: 'read-only',
          documentation: `${documentation} Counts in units of ${factor} ms; the key in ms wins.`,
        }),
        fallback: '',
      }
    }),
)

/** Joins `own` (a broker's further settings) with the settings of this file. */
export function brokerConfigTable(
  own: Readonly<Record<string, ConfigDefinition<unknown>>> = {},
): ConfigTable {
  const topicDefaults = Object.fromEntries(topicDefaultDefinitions.map((each) => [each.name, each]))
  return new ConfigTable('broker', { ...clusterConfigShape, ...topicDefaults, ...own })
}

/** The settings of this file alone; AlterConfigs of a broker is checked against it. */
export const brokerConfigs: ConfigTable = brokerConfigTable()
