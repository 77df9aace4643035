/**
 * Folds metadata records into the next image: the `replay` of the state machine, and the only way an image comes to
 * be. It trusts no record: each is checked against the state it changes, so that a damaged or crafted log or snapshot
 * is refused instead of being put into effect (faults.md X21, ST-5).
 *
 * A builder holds drafts of what changes and shares the rest: one record costs its own topic, not the cluster.
 * `finish` freezes them. After an error the builder is of no use, and the image it started from is as it was.
 */
import { assert, assertNever } from '../base/assert.ts'
import { ZERO_UUID } from '../bytes/uuid.ts'
import type {
  BrokerImage,
  ClusterImage,
  ConfigResource,
  PartitionImage,
  TopicImage,
} from './cluster-image.ts'
import { BROKER_RESOURCE, resourceKey, TOPIC_RESOURCE } from './cluster-image.ts'
import { FEATURES } from './features.ts'
import { makeDelta } from './image-delta.ts'
import type { ImageDelta } from './image-delta.ts'
import { PARTITIONS_PER_TOPIC_MAX } from './limits.ts'
import { MetadataError } from './metadata-error.ts'
import { changePartition, newPartition } from './partition-fold.ts'
import type { MetadataRecord, RecordOfKind } from './records.ts'
import { findTopicNameProblem, topicCollisionKey } from './topic-name.ts'

/** A topic in the making: the list is the builder's own. */
interface TopicDraft {
  readonly name: string
  readonly id: string
  readonly partitions: PartitionImage[]
}

export class ImageBuilder {
  readonly #base: ClusterImage
  readonly #brokers: Map<number, BrokerImage>
  readonly #topicsById
  readonly #topicsByName
  readonly #collisionKeys
  readonly #configs
  readonly #features: Map<string, number>
  #nextProducerId: number
  #partitionCount: number

  readonly #topicDrafts = new Map<string, TopicDraft>()
  readonly #configDrafts = new Map<string, Map<string, string>>()
  readonly #changedBrokers = new Set<number>()
  /** Resources whose settings changed, also those of topics that are gone. */
  readonly #changedConfigs = new Set<string>()

  constructor(base: ClusterImage) {
    this.#base = base
    this.#brokers = new Map(base.brokers)
    this.#topicsById = base.topicsById.edit()
    this.#topicsByName = base.topicsByName.edit()
    this.#collisionKeys = base.collisionKeys.edit()
    this.#configs = base.configs.edit()
    this.#features = new Map(base.features)
    this.#nextProducerId = base.nextProducerId
    this.#partitionCount = base.partitionCount
  }

  /**
   * Folds one record in.
   *
   * @throws {MetadataError} `METADATA_RECORD_INVALID` if it breaks a rule of the image.
   */
  replay(record: MetadataRecord): void {
    switch (record.kind) {
      case 'registerBroker':
        this.#registerBroker(record)
        break
      case 'unregisterBroker':
        this.#unregisterBroker(record)
        break
      case 'brokerRegistrationChange':
        this.#changeBroker(record)
        break
      case 'topic':
        this.#createTopic(record)
        break
      case 'partition':
        this.#createPartition(record)
        break
      case 'partitionChange':
        this.#changePartition(record)
        break
      case 'removeTopic':
        this.#removeTopic(record)
        break
      case 'config':
        this.#setConfig(record)
        break
      case 'featureLevel':
        this.#setFeature(record)
        break
      case 'producerIds':
        this.#takeProducerIds(record)
        break
      case 'noOp':
        break
      default:
        assertNever(record)
    }
  }

  /**
   * The image with all that was replayed, and what changed.
   *
   * @param endOffset - Offset after the last record replayed.
   * @param epoch - Controller epoch of that record.
   */
  finish(endOffset: number, epoch: number): { readonly image: ClusterImage; readonly delta: ImageDelta } {
    assert(
      endOffset >= this.#base.endOffset,
      `Image cannot go back from ${this.#base.endOffset} to ${endOffset}`,
    )
    for (const draft of this.#topicDrafts.values()) {
      if (draft.partitions.length === 0) throw invalid(`topic ${draft.name} has no partition`)
      const topic: TopicImage = Object.freeze({ ...draft, partitions: Object.freeze(draft.partitions) })
      this.#topicsById.set(topic.id, topic)
      this.#topicsByName.set(topic.name, topic)
    }
    for (const [key, entries] of this.#configDrafts) {
      if (entries.size === 0) this.#configs.delete(key)
      else this.#configs.set(key, entries)
    }
    const image: ClusterImage = Object.freeze({
      endOffset,
      epoch,
      brokers: this.#brokers,
      topicsById: this.#topicsById.freeze(),
      topicsByName: this.#topicsByName.freeze(),
      collisionKeys: this.#collisionKeys.freeze(),
      configs: this.#configs.freeze(),
      features: this.#features,
      nextProducerId: this.#nextProducerId,
      partitionCount: this.#partitionCount,
    })
    const touched = {
      topicIds: this.#touchedTopics,
      brokers: this.#changedBrokers,
      configs: this.#changedConfigs,
    }
    return { image, delta: makeDelta(this.#base, image, touched) }
  }

  readonly #touchedTopics = new Set<string>()

  #registerBroker(record: RecordOfKind<'registerBroker'>): void {
    const { brokerId: id, brokerEpoch: epoch } = record
    const previous = this.#brokers.get(id)
    if (id < 0) throw invalid(`broker id is ${id}, must be at least 0`)
    if (previous !== undefined && epoch <= previous.epoch) {
      throw invalid(`broker ${id} registers with epoch ${epoch}, which must be above ${previous.epoch}`)
    }
    if (record.incarnationId === ZERO_UUID) throw invalid(`broker ${id} registers without an incarnation id`)
    this.#setBroker({
      id,
      incarnationId: record.incarnationId,
      epoch,
      listeners: record.endPoints,
      features: record.features.map(({ name, minSupportedVersion, maxSupportedVersion }) => ({
        name,
        min: minSupportedVersion,
        max: maxSupportedVersion,
      })),
      rack: record.rack,
      isFenced: record.fenced,
      isInControlledShutdown: record.inControlledShutdown,
      logDirs: record.logDirs,
    })
  }

  #unregisterBroker({ brokerId, brokerEpoch }: RecordOfKind<'unregisterBroker'>): void {
    this.#getBroker(brokerId, brokerEpoch)
    this.#brokers.delete(brokerId)
    this.#changedBrokers.add(brokerId)
  }

  #changeBroker(record: RecordOfKind<'brokerRegistrationChange'>): void {
    const broker = this.#getBroker(record.brokerId, record.brokerEpoch)
    this.#setBroker({
      ...broker,
      isFenced: record.fenced === 0 ? broker.isFenced : record.fenced === 1,
      isInControlledShutdown: broker.isInControlledShutdown || record.inControlledShutdown === 1,
      logDirs: record.logDirs.length === 0 ? broker.logDirs : record.logDirs,
    })
  }

  #createTopic({ name, topicId }: RecordOfKind<'topic'>): void {
    const problem = findTopicNameProblem(name)
    if (problem !== null)
      throw invalid(`topic name ${JSON.stringify(name.slice(0, 300))} is not allowed: ${problem}`)
    if (topicId === ZERO_UUID) throw invalid(`topic ${name} has no id`)
    if (this.#topicsByName.has(name)) throw invalid(`topic ${name} is there already`)
    if (this.#topicsById.has(topicId)) throw invalid(`topic id ${topicId} of ${name} is taken`)
    const draft: TopicDraft = { name, id: topicId, partitions: [] }
    this.#topicDrafts.set(topicId, draft)
    this.#topicsById.set(topicId, draft) // replaced by the frozen one in finish()
    this.#topicsByName.set(name, draft)
    this.#collisionKeys.set(topicCollisionKey(name), name)
    this.#touchedTopics.add(topicId)
  }

  #createPartition(record: RecordOfKind<'partition'>): void {
    const topic = this.#draftTopic(record.topicId)
    const index = record.partitionId
    if (index !== topic.partitions.length || index >= PARTITIONS_PER_TOPIC_MAX) {
      throw invalid(
        `partition ${index} of ${topic.name} must be number ${topic.partitions.length} and below ${PARTITIONS_PER_TOPIC_MAX}`,
      )
    }
    topic.partitions.push(newPartition(topic.name, record))
    this.#partitionCount++
  }

  #changePartition(record: RecordOfKind<'partitionChange'>): void {
    const topic = this.#draftTopic(record.topicId)
    const before = topic.partitions[record.partitionId]
    if (before === undefined) throw invalid(`there is no partition ${record.partitionId} of ${topic.name}`)
    topic.partitions[record.partitionId] = changePartition(topic.name, before, record)
  }

  #removeTopic({ topicId }: RecordOfKind<'removeTopic'>): void {
    const topic = this.#topicDrafts.get(topicId) ?? this.#topicsById.get(topicId)
    if (topic === undefined) throw invalid(`there is no topic with id ${topicId}`)
    this.#topicDrafts.delete(topicId)
    this.#topicsById.delete(topicId)
    this.#topicsByName.delete(topic.name)
    this.#collisionKeys.delete(topicCollisionKey(topic.name))
    this.#partitionCount -= topic.partitions.length
    this.#touchedTopics.add(topicId)
    const key = resourceKey({ type: TOPIC_RESOURCE, name: topic.name })
    this.#configDrafts.delete(key)
    if (this.#configs.has(key)) this.#changedConfigs.add(key)
    this.#configs.delete(key)
  }

  #setConfig({ resourceType, resourceName, name, value }: RecordOfKind<'config'>): void {
    if (resourceType !== TOPIC_RESOURCE && resourceType !== BROKER_RESOURCE) {
      throw invalid(`there are no settings of resource type ${resourceType}`)
    }
    const resource: ConfigResource = { type: resourceType, name: resourceName }
    if (resource.type === TOPIC_RESOURCE && !this.#topicsByName.has(resource.name)) {
      throw invalid(`setting ${name} is for a topic that is not there`)
    }
    if (resource.type === BROKER_RESOURCE && !/^(\d{1,10})?$/.test(resource.name)) {
      throw invalid(`setting ${name} is for a broker whose id is no number`)
    }
    const entries = this.#draftConfigs(resourceKey(resource))
    if (value === null) entries.delete(name)
    else entries.set(name, value)
  }

  #setFeature({ name, featureLevel: level }: RecordOfKind<'featureLevel'>): void {
    const supported = FEATURES.get(name)
    if (supported === undefined || level < 0 || level > supported.max) {
      const known = supported === undefined ? 'is unknown' : `goes up to ${supported.max}`
      throw invalid(`feature ${name} is at level ${level}, but here it ${known}: a newer version wrote it`)
    }
    if (level === 0) this.#features.delete(name)
    else this.#features.set(name, level)
  }

  #takeProducerIds({ nextProducerId }: RecordOfKind<'producerIds'>): void {
    if (nextProducerId < this.#nextProducerId) {
      throw invalid(`next producer id goes back from ${this.#nextProducerId} to ${nextProducerId}`)
    }
    this.#nextProducerId = nextProducerId
  }

  #setBroker(broker: BrokerImage): void {
    this.#brokers.set(broker.id, Object.freeze(broker))
    this.#changedBrokers.add(broker.id)
  }

  #getBroker(id: number, epoch: number): BrokerImage {
    const broker = this.#brokers.get(id)
    if (broker === undefined) throw invalid(`there is no broker ${id}`)
    if (broker.epoch !== epoch)
      throw invalid(`broker ${id} has epoch ${broker.epoch}, the record names ${epoch}`)
    return broker
  }

  #draftTopic(id: string): TopicDraft {
    const draft = this.#topicDrafts.get(id)
    if (draft !== undefined) return draft
    const topic = this.#topicsById.get(id)
    if (topic === undefined) throw invalid(`there is no topic with id ${id}`)
    const copy: TopicDraft = { name: topic.name, id, partitions: [...topic.partitions] }
    this.#topicDrafts.set(id, copy)
    this.#touchedTopics.add(id)
    return copy
  }

  #draftConfigs(key: string): Map<string, string> {
    let draft = this.#configDrafts.get(key)
    if (draft === undefined) {
      draft = new Map(this.#configs.get(key))
      this.#configDrafts.set(key, draft)
      this.#changedConfigs.add(key)
    }
    return draft
  }
}

function invalid(problem: string): MetadataError {
  return new MetadataError('METADATA_RECORD_INVALID', `Cannot apply a metadata record: ${problem}`)
}
