/**
 * The partitions this broker serves, kept in step with the cluster image.
 *
 * Control plane, but for `lookup` and `topicConfig`, which every produce and fetch calls.
 *
 * Invariants:
 * - `apply` runs for one delta at a time, in the order of the metadata log (metadata-follower.ts sees to it).
 * - A partition is served only with a log whose topic id is that of the image: data of a deleted topic never comes
 *   back under a new one of the same name (docs/faults.md RP-21).
 * - A log directory dies only because a committed record deleted its topic. A directory that no topic of the image
 *   claims is set aside and reported, never removed (docs/faults.md ST-5).
 */
import { assert } from '../base/assert.ts'
import { FileError } from '../env/index.ts'
import type { Cancel, Clock, Logger } from '../env/index.ts'
import type { LogConfig } from '../log/log-config.ts'
import { logDirectoryName, parseLogDirectoryName } from '../log/file-names.ts'
import type { LogManager } from '../log/log-manager.ts'
import type { PartitionLog } from '../log/partition-log.ts'
import { BROKER_RESOURCE, EMPTY_IMAGE, TOPIC_RESOURCE } from '../metadata/cluster-image.ts'
import type { ClusterImage, PartitionImage, TopicImage } from '../metadata/cluster-image.ts'
import { resolveTopicConfig, topicLayers } from '../metadata/config-resolution.ts'
import type { ConfigEntries } from '../metadata/config-table.ts'
import type { ImageDelta } from '../metadata/image-delta.ts'
import type { TopicConfig } from '../metadata/topic-config.ts'
import { Partition } from '../replication/partition.ts'
import type { StopReason } from '../replication/partition-events.ts'
import type { IsrPort } from '../replication/partition-state.ts'
import { hasOtherInSync, isCountedOn, isLedWithout } from './replica-standing.ts'

/** What replication needs of the rest of the cluster. */
export interface ClusterLinks {
  readonly isr: IsrPort
  /** `ReplicaFetchers`: fetches for the partitions that follow. */
  readonly fetchers: {
    assign(partition: Partition, leaderId: number): void
    remove(partition: Partition): void
  }
  /** Ms for which a follower may lack something before it is out of sync: `replica.lag.time.max.ms`. */
  readonly replicaLagMsMax: number
}

export interface PartitionRegistryOptions {
  readonly nodeId: number
  readonly logs: LogManager
  /** The broker's own static settings: defaults of topics are among them. */
  readonly staticEntries: ConfigEntries
  readonly toLogConfig: (config: TopicConfig) => LogConfig
  /** Called when a partition needs a new leader epoch: see `withSpentEpochs`. */
  readonly onEpochSpent: () => void
  /** Called when the log of a replica has failed or could not be opened: see `failed`. */
  readonly onReplicaFailed?: () => void
  /** Absent: this broker is alone, and has no replica but its own. */
  readonly cluster?: ClusterLinks
}

/** For a broker that is alone: nobody lags, nobody joins. */
const ALONE: ClusterLinks = {
  isr: { alterPartition: () => Promise.resolve({ kind: 'overtaken', error: 'NOT_CONTROLLER' }) },
  fetchers: { assign: () => undefined, remove: () => undefined },
  replicaLagMsMax: Infinity,
}

/** How often in a lag time followers are looked at: one that lags is found out after 1.5 of them at the latest. */
const REVIEWS_PER_LAG_TIME = 2

/** A topic as served here: an entry a partition, an error where there is none to serve. */
interface ServedTopic {
  readonly id: string
  config: TopicConfig
  readonly partitions: (Partition | StopReason)[]
  /** Why logs could not be opened, by partition. */
  readonly faults: Map<number, Error>
}

/** A replica that the cluster counts on and this broker cannot use. */
export interface FailedReplica {
  readonly topicId: string
  readonly partitionId: number
  /** As of the image in effect. */
  readonly leaderEpoch: number
}

/** A replica that this broker cannot serve. */
export interface OfflinePartition {
  readonly topic: string
  readonly index: number
  readonly reason: string
}

export class PartitionRegistry {
  readonly #ports: { readonly clock: Clock; readonly logger: Logger }
  readonly #options: PartitionRegistryOptions
  readonly #cluster: ClusterLinks
  /** Of the delta that is being applied, or was last. */
  #image: ClusterImage = EMPTY_IMAGE
  #cancelReview: Cancel = () => undefined
  readonly #topics = new Map<string, ServedTopic>()
  /** Invariant: the names of `#topics` by their ids, changed in the same turn. */
  readonly #namesById = new Map<string, string>()

  constructor(ports: { readonly clock: Clock; readonly logger: Logger }, options: PartitionRegistryOptions) {
    this.#ports = ports
    this.#options = options
    this.#cluster = options.cluster ?? ALONE
    if (Number.isFinite(this.#cluster.replicaLagMsMax)) this.#scheduleReview()
  }

  /** The partition as its leader serves it, or why it is not to be had here. */
  lookup(topic: string, index: number): Partition | StopReason {
    const found = this.lookupReplica(topic, index)
    return typeof found === 'string' || found.isLeader ? found : 'NOT_LEADER_OR_FOLLOWER'
  }

  /** The partition as this broker has it, as leader or as follower, or why it is not to be had here. */
  lookupReplica(topic: string, index: number): Partition | StopReason {
    const found = this.#topics.get(topic)?.partitions[index] ?? 'UNKNOWN_TOPIC_OR_PARTITION'
    return typeof found === 'string' ? found : (found.stopped ?? found)
  }

  /** The high watermark of a log: for its checkpoint, and the bound of retention (docs/faults.md R12). */
  highWatermarkOf(log: PartitionLog): number {
    const found = this.#topics.get(log.topic)?.partitions[log.partition]
    if (found !== undefined && typeof found !== 'string' && found.log === log) return found.highWatermark
    return this.#options.logs.checkpointedHighWatermark(log.topic, log.partition)
  }

  /**
   * The name of the topic that is served here under an id. The image would not do: it may name a topic whose name is
   * served for another one already (docs/faults.md RP-21).
   */
  findTopicName(topicId: string): string | undefined {
    return this.#namesById.get(topicId)
  }

  /** The settings in force for a topic that is served here; a topic found by `lookup` always is. */
  topicConfig(topic: string): TopicConfig {
    const served = this.#topics.get(topic)
    assert(served !== undefined, `Expected topic ${topic} to be served here`)
    return served.config
  }

  /** Whether this broker should serve a partition and cannot: its log failed, or could not be opened (yet). */
  isOffline(topic: string, index: number): boolean {
    return this.lookup(topic, index) === 'KAFKA_STORAGE_ERROR'
  }

  /** Partitions whose log takes appends only in a new leader epoch. */
  *withSpentEpochs(): IterableIterator<Partition> {
    for (const partition of this.partitions()) if (partition.isEpochSpent) yield partition
  }

  /** All partitions served here. */
  *partitions(): IterableIterator<Partition> {
    for (const { partitions } of this.#topics.values()) {
      for (const partition of partitions) if (typeof partition !== 'string') yield partition
    }
  }

  /** The same, for who looks at all of them again and again. */
  forEach(visit: (partition: Partition) => void): void {
    for (const { partitions } of this.#topics.values())
      for (const partition of partitions) if (typeof partition !== 'string') visit(partition)
  }

  /**
   * Replicas here that can be used no more, or not yet, while the image has them lead, in sync or eligible: the controller must
   * hear of it, or it would go on counting on them.
   */
  *failed(): IterableIterator<FailedReplica> {
    const { nodeId } = this.#options
    for (const partition of this.partitions()) {
      const image = isDamaged(partition) ? this.#imageOf(partition) : undefined
      // Without another in sync there is nobody to take over: what is not damaged is served on.
      if (image === undefined || !hasOtherInSync(image, nodeId)) continue
      const { topicId, index } = partition
      const { leaderEpoch } = image
      if (isCountedOn(image, nodeId) || leaderEpoch <= partition.followedEpoch)
        yield { topicId, partitionId: index, leaderEpoch }
    }
    for (const { topic: name, index } of this.offline()) {
      const topic = this.#image.topicsByName.get(name)
      const partition = topic?.partitions[index]
      if (topic === undefined || topic.id !== this.#topics.get(name)?.id || partition === undefined) continue
      const { leaderEpoch, leader } = partition
      if (leader === nodeId || isCountedOn(partition, nodeId))
        yield { topicId: topic.id, partitionId: index, leaderEpoch }
    }
  }

  /** Replicas that cannot be served here, since their log failed or could not be opened. */
  *offline(): IterableIterator<OfflinePartition> {
    for (const [topic, { partitions, faults }] of this.#topics) {
      for (const [index, partition] of partitions.entries()) {
        const reason =
          typeof partition === 'string' ? faults.get(index)?.message : partition.log.failure?.message
        if (reason !== undefined) yield { topic, index, reason }
      }
    }
  }

  /** Puts a committed change into effect. Failures concern single partitions and are logged, not thrown. */
  async apply(delta: ImageDelta): Promise<void> {
    this.#image = delta.after
    for (const topic of delta.deletedTopics) await this.#drop(topic)
    for (const topic of delta.createdTopics)
      await this.#serve(topic, delta.after, [...topic.partitions.keys()])
    for (const { after, partitions } of delta.changedTopics) await this.#serve(after, delta.after, partitions)
    this.#applyConfigs(delta)
    // A broker that came back may join in-sync sets that it has caught up with.
    if (delta.changedBrokers.length > 0) this.#reviewAll()
  }

  /**
   * Tries again to open the logs that the disk had no room for, or the process no handle (docs/faults.md ST-8, ST-9), and
   * begins those anew that are damaged and counted on no more (ST-2).
   * Runs between two deltas, as `apply` does.
   */
  async reopen(image: ClusterImage): Promise<void> {
    for (const [name, served] of this.#topics) {
      const topic = image.topicsByName.get(name)
      if (topic?.id !== served.id) continue
      const indexes: number[] = []
      for (const [index, error] of [...served.faults])
        if (error instanceof FileError || (await this.#replaceDamaged(topic, index, served)))
          indexes.push(index)
      for (const [index, partition] of served.partitions.entries())
        if (typeof partition !== 'string' && isDamaged(partition)) indexes.push(index)
      if (indexes.length > 0) await this.#serve(topic, image, indexes)
    }
  }

  /**
   * Sets aside the logs that no topic of the image claims. Called once, when the image is first complete.
   * Runs between two deltas, as `apply` does: one that gives a replica back would go on with a log that is about to go.
   */
  async setStraysAside(image: ClusterImage): Promise<void> {
    for (const log of this.#options.logs.logs()) {
      const topic = image.topicsByName.get(log.topic)
      const isClaimed =
        topic?.id === log.topicId &&
        topic.partitions[log.partition]?.replicas.includes(this.#options.nodeId) === true
      if (isClaimed) continue
      this.#ports.logger.warn('Setting aside a log that belongs to no topic of the cluster', {
        topic: log.topic,
        partition: log.partition,
        topicId: log.topicId,
      })
      await this.#options.logs.setAside(log.topic, log.partition)
    }
    for (const directory of [...this.#options.logs.quarantined.keys()]) {
      const { topic, partition } = parseLogDirectoryName(directory) ?? {}
      if (topic === undefined || partition === undefined) continue
      if (partition < (image.topicsByName.get(topic)?.partitions.length ?? 0)) continue
      this.#ports.logger.warn('Setting aside a damaged log that belongs to no topic of the cluster', {
        topic,
        partition,
      })
      await this.#options.logs.setAside(topic, partition)
    }
  }

  /** Ends the service of every partition: waiting requests are told, new ones refused. */
  stop(): void {
    this.#cancelReview()
    for (const partition of this.partitions()) this.#cluster.fetchers.remove(partition)
    for (const partition of this.partitions()) partition.stop('NOT_LEADER_OR_FOLLOWER')
  }

  async #drop(topic: TopicImage): Promise<void> {
    const served = this.#topics.get(topic.name)
    if (served?.id !== topic.id) return
    this.#topics.delete(topic.name)
    this.#namesById.delete(topic.id)
    const { logs } = this.#options
    for (const [index, partition] of served.partitions.entries()) {
      if (typeof partition !== 'string') {
        this.#cluster.fetchers.remove(partition)
        partition.stop('UNKNOWN_TOPIC_OR_PARTITION')
      }
      if (logs.get(topic.name, index)?.topicId === topic.id) {
        await this.#contained(topic.name, index, served, () => logs.remove(topic.name, index))
      } else if (logs.quarantined.has(logDirectoryName(topic.name, index))) {
        // Whose data it is cannot be told for sure, so it is kept; but its name must become free.
        await this.#contained(topic.name, index, served, () => logs.setAside(topic.name, index))
      }
    }
  }

  async #serve(topic: TopicImage, image: ClusterImage, indexes: readonly number[]): Promise<void> {
    const served = this.#topics.get(topic.name) ?? {
      id: topic.id,
      config: this.#resolve(topic.name, image),
      partitions: [],
      faults: new Map(),
    }
    this.#topics.set(topic.name, served)
    this.#namesById.set(topic.id, topic.name)
    const changing: Promise<void>[] = []
    for (const index of indexes) {
      const partition = await this.#servePartition(topic, index, served)
      served.partitions[index] = partition
      if (partition === 'KAFKA_STORAGE_ERROR') this.#options.onReplicaFailed?.()
      if (typeof partition === 'string') continue
      const whenChanged = partition.update(topic.partitions[index]!)
      if (whenChanged === undefined) this.#assign(partition)
      else changing.push(whenChanged.then(() => this.#assign(partition)))
    }
    await Promise.all(changing)
  }

  /** The partition with its log open, whoever leads it; or why it is not served here. */
  async #servePartition(
    topic: TopicImage,
    index: number,
    served: ServedTopic,
  ): Promise<Partition | StopReason> {
    const image = topic.partitions[index]!
    const current = served.partitions[index]
    const isServed = current !== undefined && typeof current !== 'string'
    if (!image.replicas.includes(this.#options.nodeId)) {
      if (isServed) await this.#giveUp(current, served)
      return 'NOT_LEADER_OR_FOLLOWER'
    }
    if (isServed && current.stopped === null) {
      if (!isDamaged(current) || !this.#mayReplace(current, image)) return current
      this.#cluster.fetchers.remove(current)
      current.stop('NOT_LEADER_OR_FOLLOWER')
      if (!(await this.#setDamagedAside(topic, index, served, current.log.damage!)))
        return 'KAFKA_STORAGE_ERROR'
    }
    const partition = await this.#contained(topic.name, index, served, () => this.#open(topic, index, served))
    return partition ?? 'KAFKA_STORAGE_ERROR'
  }

  /**
   * Sets a damaged log aside, so that a new one is fetched from the leader. Only once no image counts on this replica: whatever
   * is left in the old one is in the logs of others then, and its files are kept all the same.
   *
   * @returns Whether the name of the log is free.
   */
  async #replaceDamaged(topic: TopicImage, index: number, served: ServedTopic): Promise<boolean> {
    const { logs, nodeId } = this.#options
    const partition = topic.partitions[index]
    if (partition === undefined || !logs.quarantined.has(logDirectoryName(topic.name, index))) return false
    if (!isLedWithout(partition, nodeId)) return false
    return this.#setDamagedAside(topic, index, served, served.faults.get(index)!)
  }

  /**
   * As `#replaceDamaged`, for a log in which a read met damage. What a leader was told of it holds for the epoch in which it was
   * told: it could yet have the replica taken into the in-sync set by it (docs/faults.md RP-10).
   */
  #mayReplace(partition: Partition, image: PartitionImage): boolean {
    return isLedWithout(image, this.#options.nodeId) && image.leaderEpoch > partition.followedEpoch
  }

  async #setDamagedAside(
    topic: TopicImage,
    index: number,
    served: ServedTopic,
    error: Error,
  ): Promise<boolean> {
    this.#ports.logger.warn('Setting aside a damaged log: its records are fetched anew from the leader', {
      ...{ topic: topic.name, partition: index, leader: topic.partitions[index]!.leader, error },
    })
    const isFree = await this.#contained(topic.name, index, served, async () => {
      await this.#options.logs.setAside(topic.name, index)
      return true
    })
    return isFree === true
  }

  /** A read met damage: others are to lead and to count, where there are any. */
  #damaged(topicId: string, topic: string, index: number): void {
    const { nodeId, onReplicaFailed } = this.#options
    const found = this.#topics.get(topic)?.partitions[index]
    if (found === undefined || typeof found === 'string' || found.topicId !== topicId) return
    if (found.stopped !== null) return
    const image = this.#imageOf(found)
    const fields = { topic, partition: index, error: found.log.damage! }
    if (image !== undefined && hasOtherInSync(image, nodeId))
      this.#ports.logger.error('A log is damaged: it is given up for a copy of another replica', fields)
    else
      this.#ports.logger.error(
        'A log is damaged, and no other replica is in sync: what can be read of it is served on',
        fields,
      )
    onReplicaFailed?.()
  }

  #imageOf({ topicId, index }: Partition): PartitionImage | undefined {
    return this.#image.topicsById.get(topicId)?.partitions[index]
  }

  /** A committed record has taken the replica away: its log goes. */
  async #giveUp(partition: Partition, served: ServedTopic): Promise<void> {
    const { topic, index, log } = partition
    this.#cluster.fetchers.remove(partition)
    partition.stop('NOT_LEADER_OR_FOLLOWER')
    const { logs } = this.#options
    if (logs.get(topic, index) !== log) return
    await this.#contained(topic, index, served, () => logs.remove(topic, index))
  }

  #assign(partition: Partition): void {
    const { fetchers } = this.#cluster
    if (partition.isFollower && partition.leaderId !== null) fetchers.assign(partition, partition.leaderId)
    else fetchers.remove(partition)
  }

  async #open(topic: TopicImage, index: number, served: ServedTopic): Promise<Partition> {
    const { logs, toLogConfig, nodeId, onEpochSpent, onReplicaFailed } = this.#options
    let log = logs.get(topic.name, index)
    if (log !== undefined && log.topicId !== topic.id) {
      await logs.setAside(topic.name, index)
      log = undefined
    }
    log ??= await logs.create(topic.name, index, topic.id, toLogConfig(served.config))
    // A log that failed stays so until the next start recovers it (docs/faults.md D4).
    if (log.failure !== null) throw log.failure
    log.updateConfig(toLogConfig(served.config))
    const { name, id } = topic
    return new Partition(this.#ports, log, {
      topic: name,
      topicId: id,
      index,
      nodeId,
      highWatermark: logs.checkpointedHighWatermark(name, index),
      minInsyncReplicas: served.config.minInsyncReplicas,
      isr: this.#cluster.isr,
      findBroker: (brokerId) => this.#image.brokers.get(brokerId),
      replicaLagMsMax: this.#cluster.replicaLagMsMax,
      onEpochSpent,
      ...(onReplicaFailed === undefined ? {} : { onFailed: onReplicaFailed }),
      onDamaged: () => this.#damaged(id, name, index),
    })
  }

  #scheduleReview(): void {
    const delayMs = this.#cluster.replicaLagMsMax / REVIEWS_PER_LAG_TIME
    this.#cancelReview = this.#ports.clock.after(delayMs, () => {
      this.#reviewAll()
      this.#scheduleReview()
    })
  }

  #reviewAll(): void {
    for (const partition of this.partitions()) partition.reviewIsr()
  }

  #applyConfigs(delta: ImageDelta): void {
    const touchesAll = delta.changedConfigs.some(({ type }) => type === BROKER_RESOURCE)
    const names = touchesAll
      ? [...this.#topics.keys()]
      : delta.changedConfigs.filter(({ type }) => type === TOPIC_RESOURCE).map(({ name }) => name)
    for (const name of names) {
      const served = this.#topics.get(name)
      if (served === undefined) continue
      served.config = this.#resolve(name, delta.after)
      for (const partition of served.partitions) {
        if (typeof partition === 'string') continue
        partition.log.updateConfig(this.#options.toLogConfig(served.config))
        partition.updateMinInsyncReplicas(served.config.minInsyncReplicas)
      }
    }
  }

  #resolve(topic: string, image: ClusterImage): TopicConfig {
    return resolveTopicConfig(topicLayers(topic, image, this.#options.nodeId, this.#options.staticEntries))
  }

  /** Runs `task` for one partition; a failure is that partition's alone. */
  async #contained<T>(
    topic: string,
    partition: number,
    served: ServedTopic,
    task: () => Promise<T>,
  ): Promise<T | undefined> {
    try {
      const result = await task()
      served.faults.delete(partition)
      return result
    } catch (error) {
      served.faults.set(partition, error as Error)
      this.#ports.logger.error('Partition is offline: its log cannot be used', {
        topic,
        partition,
        error: error as Error,
      })
      return undefined
    }
  }
}

/** A read has met damage; what can be served still is. */
function isDamaged({ stopped, log }: Partition): boolean {
  return stopped === null && log.damage !== null
}
