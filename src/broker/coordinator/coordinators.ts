/**
 * Who coordinates what, and the shards of what this broker does: joins the runtime of shards to the partitions of one internal
 * topic that are served here, and to the metadata in effect.
 *
 * A partition of the topic that this broker leads, in the epoch in which it leads it, has a shard; so leadership is
 * followed, not decided here. It changes with each committed image, after the partitions have taken that; a log that could
 * not be opened at once, and is opened later, is found when somebody asks.
 */
import type { NoShard, Shard } from '../../coordinator/runtime.ts'
import { CoordinatorRuntime } from '../../coordinator/runtime.ts'
import type { ShardContext } from '../../coordinator/shard-context.ts'
import type { Clock, Logger, Random } from '../../env/index.ts'
import type { ClusterImage } from '../../metadata/cluster-image.ts'
import type { ImageDelta } from '../../metadata/image-delta.ts'
import type { PartitionRegistry } from '../partition-registry.ts'
import { partitionOfKey } from './partition-of-key.ts'
import { ReplicaLog } from './replica-log.ts'

export interface CoordinatorsPorts {
  readonly clock: Clock
  readonly logger: Logger
  readonly random: Random
}

export interface CoordinatorsOptions<S extends Shard> {
  /** Name of the internal topic. */
  readonly topic: string
  readonly image: () => ClusterImage
  readonly partitions: Pick<PartitionRegistry, 'lookup' | 'topicConfig'>
  readonly createShard: (index: number, write: ShardContext['write']) => S
  /** How long a write may take to be committed, in ms. */
  readonly writeTimeoutMs: number
}

export class Coordinators<S extends Shard> {
  readonly #options: CoordinatorsOptions<S>
  readonly #runtime: CoordinatorRuntime<S>
  #isClosed = false

  constructor(ports: CoordinatorsPorts, options: CoordinatorsOptions<S>) {
    this.#options = options
    const { createShard, writeTimeoutMs } = options
    this.#runtime = new CoordinatorRuntime(ports, { createShard, writeTimeoutMs })
  }

  /** Shards led here that do not answer yet. */
  get loadingCount(): number {
    return this.#runtime.loadingCount
  }

  /** Follows a change of metadata, in order, once the partitions served here have taken it and it is in effect. */
  apply({ after, createdTopics, changedTopics, deletedTopics }: ImageDelta): void {
    const touched = [...createdTopics, ...deletedTopics, ...changedTopics.map((changed) => changed.after)]
    const { topic } = this.#options
    if (!touched.some(({ name }) => name === topic)) return
    const count = after.topicsByName.get(topic)?.partitions.length ?? 0
    for (let index = 0; index < count; index++) this.#follow(index)
    for (const { log } of [...this.#runtime.led()]) if (log.index >= count) this.#runtime.resign(log.index)
  }

  /** The broker that coordinates what goes by a key, as far as this one knows; null: none for the moment. */
  findCoordinator(key: string): number | null {
    const { image, topic } = this.#options
    const partitions = image().topicsByName.get(topic)?.partitions
    if (partitions === undefined) return null
    return partitions[partitionOfKey(key, partitions.length)]?.leader ?? null
  }

  /** The shard that a key belongs to, or what whoever asks for it here is told. */
  findShard(key: string): S | NoShard {
    const { image, topic: name } = this.#options
    const topic = image().topicsByName.get(name)
    if (topic === undefined || this.#isClosed) return 'NOT_COORDINATOR'
    const index = partitionOfKey(key, topic.partitions.length)
    this.#follow(index)
    return this.#runtime.findShard(index)
  }

  /** All shards that answer here. */
  shards(): IterableIterator<S> {
    return this.#runtime.shards()
  }

  /** Ends all shards: whoever waits is told to look for the coordinator again. */
  close(): void {
    this.#isClosed = true
    this.#runtime.close()
  }

  /** Brings the shard of a partition in step with who leads that here. */
  #follow(index: number): void {
    if (this.#isClosed) return
    const { partitions, topic } = this.#options
    const found = partitions.lookup(topic, index)
    const log = this.#runtime.findLog(index)
    if (typeof found === 'string') {
      if (log !== undefined) this.#runtime.resign(index)
      return
    }
    const isSame =
      log instanceof ReplicaLog && log.partition === found && log.leaderEpoch === found.leaderEpoch
    if (isSame) return
    const batchBytesMax = (): number => partitions.topicConfig(topic).maxMessageBytes
    this.#runtime.lead(new ReplicaLog(found, batchBytesMax))
  }
}
