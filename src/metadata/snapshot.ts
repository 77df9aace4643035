/**
 * An image as records, and back. A snapshot is the shortest log that folds into the image: features first (they say
 * whether the rest can be understood), then brokers, topics with their partitions, settings, and the producer ids.
 *
 * The order is one for equal images, whatever their history, so equal images have equal snapshots, and a hash of the
 * snapshot is a hash of the image (faults.md M6). The file the records go into is raft/snapshot-file.ts's affair.
 */
import { crc32c } from '../bytes/crc32c.ts'
import type { BrokerImage, ClusterImage, PartitionImage } from './cluster-image.ts'
import { EMPTY_IMAGE, resourceOfKey } from './cluster-image.ts'
import { ImageBuilder } from './image-builder.ts'
import { NO_LEADER } from './partition-fold.ts'
import { decodeMetadataRecord, encodeMetadataRecord } from './records.ts'
import type { MetadataRecordInput } from './records.ts'

/** The records of `image`, made one by one as they are taken. */
export function* snapshotRecords(image: ClusterImage): IterableIterator<MetadataRecordInput> {
  for (const [name, featureLevel] of sorted(image.features))
    yield { kind: 'featureLevel', name, featureLevel }
  const brokers = [...image.brokers.values()].sort((a, b) => a.id - b.id)
  for (const broker of brokers) yield registration(broker)
  for (const [name, topic] of sorted(image.topicsByName)) {
    yield { kind: 'topic', name, topicId: topic.id }
    for (const [index, partition] of topic.partitions.entries())
      yield partitionRecord(topic.id, index, partition)
  }
  for (const [key, entries] of sorted(image.configs)) {
    const { type: resourceType, name: resourceName } = resourceOfKey(key)
    for (const [name, value] of sorted(entries))
      yield { kind: 'config', resourceType, resourceName, name, value }
  }
  if (image.nextProducerId > 0)
    yield { kind: 'producerIds', brokerId: -1, nextProducerId: image.nextProducerId }
}

/** The encoded records of `image`. */
export function* encodeSnapshot(image: ClusterImage): IterableIterator<Uint8Array> {
  for (const record of snapshotRecords(image)) yield encodeMetadataRecord(record)
}

/**
 * The image that a snapshot holds.
 *
 * @param endOffset - The snapshot's end offset: the image is the fold of all records before it.
 * @param epoch - Epoch of the last of those records.
 * @throws {MetadataError} `METADATA_RECORD_CORRUPT`, `METADATA_RECORD_INVALID`.
 */
export function decodeSnapshot(
  records: Iterable<Uint8Array>,
  endOffset: number,
  epoch: number,
): ClusterImage {
  const builder = new ImageBuilder(EMPTY_IMAGE)
  for (const bytes of records) builder.replay(decodeMetadataRecord(bytes))
  return builder.finish(endOffset, epoch).image
}

/** Equal for equal images, on any node, by replay or from a snapshot (M6). Not proof against forgery. */
export function imageHash(image: ClusterImage): string {
  let crc = 0
  let size = 0
  for (const bytes of encodeSnapshot(image)) {
    crc = crc32c(bytes, 0, bytes.length, crc)
    size += bytes.length
  }
  return `${(crc >>> 0).toString(16).padStart(8, '0')}-${size}@${image.endOffset}`
}

/** Entries by key in code unit order: the same on every machine, unlike a locale's. */
function sorted<V>(entries: Iterable<readonly [string, V]>): (readonly [string, V])[] {
  return [...entries].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
}

function registration(broker: BrokerImage): MetadataRecordInput {
  return {
    kind: 'registerBroker',
    brokerId: broker.id,
    incarnationId: broker.incarnationId,
    brokerEpoch: broker.epoch,
    endPoints: broker.listeners,
    features: broker.features.map(({ name, min, max }) => ({
      name,
      minSupportedVersion: min,
      maxSupportedVersion: max,
    })),
    rack: broker.rack,
    fenced: broker.isFenced,
    inControlledShutdown: broker.isInControlledShutdown,
    logDirs: broker.logDirs,
  }
}

function partitionRecord(
  topicId: string,
  partitionId: number,
  partition: PartitionImage,
): MetadataRecordInput {
  const orNull = (replicas: readonly number[]): readonly number[] | null =>
    replicas.length === 0 ? null : replicas
  return {
    kind: 'partition',
    partitionId,
    topicId,
    replicas: partition.replicas,
    isr: partition.isr,
    removingReplicas: partition.removingReplicas,
    addingReplicas: partition.addingReplicas,
    leader: partition.leader ?? NO_LEADER,
    leaderRecoveryState: partition.isRecovering ? 1 : 0,
    leaderEpoch: partition.leaderEpoch,
    partitionEpoch: partition.partitionEpoch,
    directories: partition.directories,
    eligibleLeaderReplicas: orNull(partition.eligibleLeaderReplicas),
    lastKnownElr: orNull(partition.lastKnownEligibleLeaders),
  }
}
