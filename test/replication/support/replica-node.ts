/**
 * A node of a replication test: real logs on a simulated disk, the broker's registry, sessions and fetchers; and one life of
 * it, from a start to a death.
 */
import type { Env } from '../../../src/env/index.ts'
import { MemoryFileSystem } from '../../../src/env/memory/memory-file-system.ts'
import type { SimNode } from '../../../src/env/sim/sim-node.ts'
import { MetadataFollower } from '../../../src/broker/metadata-follower.ts'
import { PartitionRegistry } from '../../../src/broker/partition-registry.ts'
import { DEFAULT_LOG_CONFIG } from '../../../src/log/log-config.ts'
import type { LogConfig } from '../../../src/log/log-config.ts'
import { LogManager } from '../../../src/log/log-manager.ts'
import { EMPTY_IMAGE } from '../../../src/metadata/cluster-image.ts'
import type { ClusterImage } from '../../../src/metadata/cluster-image.ts'
import { compareImages } from '../../../src/metadata/image-delta.ts'
import type { TopicConfig } from '../../../src/metadata/topic-config.ts'
import { FetchSessions } from '../../../src/replication/fetch-sessions.ts'
import type { Partition } from '../../../src/replication/partition.ts'
import type { IsrPort } from '../../../src/replication/partition-state.ts'
import { ReplicaFetchers } from '../../../src/replication/replica-fetchers.ts'
import type { FetchLink } from '../../../src/replication/replica-fetcher.ts'
import { ReplicaSessions } from '../../../src/replication/replica-sessions.ts'
import { TOPIC } from './oracle-controller.ts'

export const HOME = '/data/node'

export interface NodeSettings {
  readonly segmentBytes: number
  readonly tailCacheBytes: number
  readonly checkpointMs: number
  readonly replicaLagMsMax: number
  readonly catchUpBytesPerSecond: number
}

export interface LifePorts {
  readonly settings: NodeSettings
  readonly isr: (life: NodeLife) => IsrPort
  readonly linkTo: (life: NodeLife, leaderId: number) => FetchLink
  readonly onEpochSpent: (life: NodeLife) => void
  readonly onError: (error: unknown) => void
}

export class NodeLife {
  readonly id: number
  readonly env: Env
  readonly logs: LogManager
  readonly registry: PartitionRegistry
  readonly sessions: ReplicaSessions
  readonly follower: MetadataFollower
  readonly #node: SimNode
  readonly #generation: number
  readonly #ports: LifePorts
  /** Of its registration; -1 before. */
  brokerEpoch = -1
  #image: ClusterImage = EMPTY_IMAGE

  private constructor(node: SimNode, id: number, ports: LifePorts, logs: (life: NodeLife) => LogManager) {
    this.#node = node
    this.#generation = node.generation
    this.#ports = ports
    this.id = id
    this.env = node.env
    this.logs = logs(this)
    const { settings } = ports
    const fetchers = new ReplicaFetchers(this.env, {
      nodeId: id,
      brokerEpoch: () => this.brokerEpoch,
      linkTo: (leaderId) => ports.linkTo(this, leaderId),
      catchUpBytesPerSecond: settings.catchUpBytesPerSecond,
    })
    this.registry = new PartitionRegistry(this.env, {
      nodeId: id,
      logs: this.logs,
      staticEntries: new Map(),
      toLogConfig: (topic) => toLogConfig(topic, settings),
      onEpochSpent: () => ports.onEpochSpent(this),
      cluster: { isr: ports.isr(this), fetchers, replicaLagMsMax: settings.replicaLagMsMax },
    })
    this.follower = new MetadataFollower((delta) => this.registry.apply(delta))
    const cache = new FetchSessions<never>(this.env, { sessionsMax: 100, partitionsMax: 1000 })
    const findPartition = (topicId: string, index: number) => {
      const name = this.registry.findTopicName(topicId)
      return name === undefined ? 'UNKNOWN_TOPIC_ID' : this.registry.lookupReplica(name, index)
    }
    this.sessions = new ReplicaSessions({ clock: this.env.clock, findPartition }, cache)
  }

  /** Opens the logs of the present life of `node`. */
  static async begin(node: SimNode, id: number, ports: LifePorts): Promise<NodeLife> {
    let life: NodeLife | null = null
    const { settings } = ports
    const { env } = node
    const logs = await LogManager.open(env, {
      directory: HOME,
      nodeId: id,
      memoryFiles: new MemoryFileSystem(env),
      configFor: () => toLogConfig(null, settings),
      highWatermarkOf: (log) => life?.registry.highWatermarkOf(log) ?? 0,
      tailCacheBytes: settings.tailCacheBytes,
      checkpointMs: settings.checkpointMs,
    })
    life = new NodeLife(node, id, ports, () => logs)
    logs.startMaintenance()
    return life
  }

  get isAlive(): boolean {
    return this.#node.isUp && this.#node.generation === this.#generation
  }

  /** Runs `task` in a turn of this life: never if it is over, later if it is paused. */
  inTurn(task: () => void): void {
    if (this.isAlive) this.env.clock.after(0, task)
  }

  /** Takes an image; older ones than it has are left out. */
  learn(image: ClusterImage): void {
    if (image.endOffset <= this.#image.endOffset) return
    const delta = compareImages(this.#image, image)
    this.#image = image
    this.follower.follow(delta).catch((error: unknown) => this.#ports.onError(error))
  }

  /** What this node has of a partition, whoever leads it; null if nothing. */
  partition(index: number): Partition | null {
    const found = this.registry.lookupReplica(TOPIC, index)
    return typeof found === 'string' ? null : found
  }
}

function toLogConfig(topic: TopicConfig | null, settings: NodeSettings): LogConfig {
  return {
    ...DEFAULT_LOG_CONFIG,
    durability: topic?.durability ?? 'disk',
    segmentBytes: settings.segmentBytes,
    tailCacheBytes: settings.tailCacheBytes,
    indexIntervalBytes: 0,
    fileDeleteDelayMs: 10,
  }
}
