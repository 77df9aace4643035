/**
 * Groups on this broker: finds the coordinator of a group, makes the topic of groups when the first client asks, and holds the
 * shards of which this broker is the coordinator.
 */
import { GroupShard } from '../../coordinator/groups/group-shard.ts'
import type { CommittedPlace } from '../../coordinator/groups/offset-store.ts'
import type { NoShard } from '../../coordinator/runtime.ts'
import type { Clock, Logger, Random } from '../../env/index.ts'
import type { ClusterImage } from '../../metadata/cluster-image.ts'
import type { ImageDelta } from '../../metadata/image-delta.ts'
import { CONSUMER_OFFSETS_TOPIC } from '../../metadata/topic-name.ts'
import type { BrokerConfig } from '../broker-config.ts'
import type { ControllerGateway } from '../controller-gateway.ts'
import { toGroupConfig } from '../group-settings.ts'
import type { PartitionRegistry } from '../partition-registry.ts'
import { Coordinators } from './coordinators.ts'
import type { GroupCensus } from '../group-metrics.ts'
import { OffsetsTopic } from './offsets-topic.ts'

export interface GroupCoordinationPorts {
  readonly clock: Clock
  readonly logger: Logger
  readonly random: Random
}

export interface GroupCoordinationParts {
  readonly config: BrokerConfig
  readonly image: () => ClusterImage
  readonly partitions: PartitionRegistry
  readonly controller: ControllerGateway
}

export class GroupCoordination {
  readonly #topic: OffsetsTopic
  readonly #coordinators: Coordinators<GroupShard>

  constructor(
    ports: GroupCoordinationPorts,
    { config, image, partitions, controller }: GroupCoordinationParts,
  ) {
    const groupConfig = toGroupConfig(config)
    const { clock, logger, random } = ports
    this.#topic = new OffsetsTopic({ logger, config, image, controller })
    const batchBytesMax = (): number => partitions.topicConfig(CONSUMER_OFFSETS_TOPIC).maxMessageBytes
    this.#coordinators = new Coordinators(ports, {
      ...{ topic: CONSUMER_OFFSETS_TOPIC, image, partitions, writeTimeoutMs: config.offsetsCommitTimeoutMs },
      createShard: (_index, write) =>
        new GroupShard({ clock, logger, random, config: groupConfig, image, batchBytesMax, write }),
    })
  }

  /** Shards led here that do not answer yet. */
  get loadingCount(): number {
    return this.#coordinators.loadingCount
  }

  /** Follows a change of metadata, in order, in the turn in which it is in effect. */
  apply(delta: ImageDelta): void {
    this.#coordinators.apply(delta)
    for (const shard of this.#coordinators.shards()) shard.topicsChanged(delta)
  }

  /** Makes the topic of groups unless it is there; resolves when that is done or has failed. */
  ensureTopic(): Promise<void> {
    return this.#topic.ensure()
  }

  /** The id of the broker that coordinates a group, as far as is known here. */
  findCoordinator(groupId: string): number | null {
    return this.#coordinators.findCoordinator(groupId)
  }

  /** The shard that a group belongs to, or what whoever asks for the group here is told. */
  findShard(groupId: string): GroupShard | NoShard {
    return this.#coordinators.findShard(groupId)
  }

  /** All shards that answer here. */
  shards(): IterableIterator<GroupShard> {
    return this.#coordinators.shards()
  }

  /** What groups there are here, and what they have committed, for metrics. */
  census(): GroupCensus {
    const countByState = new Map<string, number>()
    for (const shard of this.#coordinators.shards()) {
      for (const { kind, stateName } of shard.groups()) {
        const key = `${kind} ${stateName}`
        countByState.set(key, (countByState.get(key) ?? 0) + 1)
      }
    }
    const groups = Array.from(countByState, ([key, count]) => {
      const [kind, state] = key.split(' ') as [string, string]
      return { kind, state, count }
    })
    return { groups, loadingCount: this.#coordinators.loadingCount, offsets: this.#committed() }
  }

  /** Ends all shards: whoever waits is told to look for the coordinator again. */
  close(): void {
    this.#coordinators.close()
  }

  *#committed(): IterableIterator<CommittedPlace> {
    for (const shard of this.#coordinators.shards()) yield* shard.committedOffsets()
  }
}
