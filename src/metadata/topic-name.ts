/**
 * What a topic may be called: Kafka's rules, checked wherever a name enters (a request, a metadata record, a
 * snapshot), since a name becomes part of a directory's name (faults.md X21).
 *
 * Names like `__proto__` are legal in Kafka and are ordinary here: names are only ever keys of a Map, never of an
 * object (X22).
 */

/**
 * Longest name in characters. A partition's directory is `<topic>-<partition>`; file systems allow 255 bytes, which
 * leaves a dash and five digits (`PARTITIONS_PER_TOPIC_MAX` has five).
 */
export const TOPIC_NAME_LENGTH_MAX = 249

/** The metadata log's own directory is `__cluster_metadata-0`: a topic of this name would write into it. */
export const CLUSTER_METADATA_TOPIC = '__cluster_metadata'

export const CONSUMER_OFFSETS_TOPIC = '__consumer_offsets'
export const TRANSACTION_STATE_TOPIC = '__transaction_state'

const internalTopics: ReadonlySet<string> = new Set([CONSUMER_OFFSETS_TOPIC, TRANSACTION_STATE_TOPIC])

/** Topics that the broker keeps its own state in; clients see them marked. */
export function isInternalTopic(name: string): boolean {
  return internalTopics.has(name)
}

/** @returns Why `name` cannot name a topic, as a sentence without its subject, or null when it can. */
export function findTopicNameProblem(name: string): string | null {
  if (name === '') return 'it is empty'
  if (name.length > TOPIC_NAME_LENGTH_MAX) {
    return `it has ${name.length} characters, at most ${TOPIC_NAME_LENGTH_MAX} are allowed`
  }
  if (name === '.' || name === '..') return 'it names a directory'
  if (!/^[a-zA-Z0-9._-]+$/.test(name))
    return 'only ASCII letters, digits, dots, underscores and dashes are allowed'
  if (name === CLUSTER_METADATA_TOPIC) return 'it is the name of the metadata log'
  return null
}

/**
 * The form in which two names must differ: metric names write a dot as an underscore, so `a.b` and `a_b` would be
 * one metric. Kafka refuses the second of them, and so do we.
 */
export function topicCollisionKey(name: string): string {
  return name.replaceAll('.', '_')
}
