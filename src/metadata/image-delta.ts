/**
 * What changed from one image to the next, so that a broker can put the change into effect without comparing
 * everything. A delta may span many records: what came and went inside it is in neither image and not in the delta,
 * while epochs show what happened in between (faults.md MQ-13).
 */
import type { ClusterImage, ConfigResource, TopicImage } from './cluster-image.ts'
import { resourceOfKey } from './cluster-image.ts'

export interface ImageDelta {
  readonly before: ClusterImage
  readonly after: ClusterImage
  /** In the image after, not before. A topic that was made anew under its old name is here, the old in `deleted`. */
  readonly createdTopics: readonly TopicImage[]
  readonly deletedTopics: readonly TopicImage[]
  readonly changedTopics: readonly TopicChange[]
  /** Resources whose settings changed, among them deleted topics. */
  readonly changedConfigs: readonly ConfigResource[]
  /** Ids of brokers that registered, changed or left, in ascending order. */
  readonly changedBrokers: readonly number[]
}

export interface TopicChange {
  readonly before: TopicImage
  readonly after: TopicImage
  /** Indexes of partitions that are new or differ, in ascending order. */
  readonly partitions: readonly number[]
}

/** What records touched, by key; whether it differs in the end is found by comparing. */
export interface TouchedKeys {
  readonly topicIds: ReadonlySet<string>
  readonly brokers: ReadonlySet<number>
  /** Keys of `resourceKey`. */
  readonly configs: ReadonlySet<string>
}

export function makeDelta(before: ClusterImage, after: ClusterImage, touched: TouchedKeys): ImageDelta {
  const createdTopics: TopicImage[] = []
  const deletedTopics: TopicImage[] = []
  const changedTopics: TopicChange[] = []
  for (const id of touched.topicIds) {
    const old = before.topicsById.get(id)
    const now = after.topicsById.get(id)
    if (old === undefined) {
      if (now !== undefined) createdTopics.push(now)
    } else if (now === undefined) {
      deletedTopics.push(old)
    } else {
      const partitions = [...now.partitions.keys()].filter(
        (index) => now.partitions[index] !== old.partitions[index],
      )
      if (partitions.length > 0) changedTopics.push({ before: old, after: now, partitions })
    }
  }
  return {
    before,
    after,
    createdTopics,
    deletedTopics,
    changedTopics,
    changedConfigs: [...touched.configs].map(resourceOfKey),
    changedBrokers: [...touched.brokers].sort((a, b) => a - b),
  }
}

/**
 * The delta between any two images, for a listener that starts late or jumped over a snapshot. Costs as much as the
 * images are large.
 */
export function compareImages(before: ClusterImage, after: ClusterImage): ImageDelta {
  const differing = <K, V>(a: Iterable<[K, V]>, b: Iterable<[K, V]>): Set<K> => {
    const old = new Map(a)
    const keys = new Set<K>()
    for (const [key, value] of b) {
      if (old.get(key) !== value) keys.add(key)
      old.delete(key)
    }
    for (const key of old.keys()) keys.add(key)
    return keys
  }
  return makeDelta(before, after, {
    topicIds: differing(before.topicsById, after.topicsById),
    brokers: differing(before.brokers, after.brokers),
    configs: differing(before.configs, after.configs),
  })
}
