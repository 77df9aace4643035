/**
 * What replication needs of this broker's place in the cluster: fetchers for what it follows, sessions of those that follow
 * it, and the way to the controller for changes of in-sync sets.
 */
import type { Env } from '../env/index.ts'
import type { ClusterImage } from '../metadata/cluster-image.ts'
import { FetchSessions } from '../replication/fetch-sessions.ts'
import type { FetchSession } from '../replication/fetch-sessions.ts'
import type { Partition } from '../replication/partition.ts'
import { ReplicaFetchers } from '../replication/replica-fetchers.ts'
import { ReplicaSessions } from '../replication/replica-sessions.ts'
import type { Peers } from '../rpc/peers.ts'
import type { BrokerConfig } from './broker-config.ts'
import type { ControllerGateway } from './controller-gateway.ts'
import { IsrChanges } from './isr-changes.ts'
import type { ClusterLinks, PartitionRegistry } from './partition-registry.ts'

/** Partitions in all fetch sessions of consumers: some 200 bytes each. */
const SESSION_PARTITIONS_MAX = 100_000

export interface ReplicationLinksOptions {
  readonly config: BrokerConfig
  readonly image: () => ClusterImage
  readonly partitions: () => PartitionRegistry
  readonly brokerEpoch: () => number
  readonly controller: ControllerGateway
  /** Null for a broker that is alone. */
  readonly peers: Peers | null
}

export class ReplicationLinks implements ClusterLinks {
  readonly isr: IsrChanges
  readonly replicaLagMsMax: number
  readonly fetchSessions: FetchSessions<FetchSession>
  readonly replicaSessions: ReplicaSessions
  readonly #fetchers: ReplicaFetchers

  constructor(env: Pick<Env, 'clock' | 'random' | 'logger'>, options: ReplicationLinksOptions) {
    const { config, partitions, brokerEpoch, controller, peers } = options
    const { nodeId } = config
    this.replicaLagMsMax = config.replicaLagMsMax
    this.isr = new IsrChanges({
      ...{ clock: env.clock, nodeId, brokerEpoch },
      send: (request, timeoutMs) => controller.call('AlterPartition', request, timeoutMs),
    })
    this.#fetchers = new ReplicaFetchers(env, {
      ...{ nodeId, brokerEpoch },
      catchUpBytesPerSecond: config.catchUpBytesPerSecond < 0 ? Infinity : config.catchUpBytesPerSecond,
      linkTo: (leaderId) => ({
        call: (request, timeoutMs) => peers!.replica(leaderId).call('Fetch', request, { timeoutMs }),
      }),
    })
    this.fetchSessions = new FetchSessions(env, {
      sessionsMax: config.fetchSessionsMax,
      partitionsMax: SESSION_PARTITIONS_MAX,
    })
    this.replicaSessions = new ReplicaSessions(
      {
        clock: env.clock,
        findPartition: (topicId, index) => {
          const topic = partitions().findTopicName(topicId)
          return topic === undefined ? 'UNKNOWN_TOPIC_ID' : partitions().lookup(topic, index)
        },
      },
      this.fetchSessions,
    )
  }

  get fetchers(): ClusterLinks['fetchers'] {
    return {
      assign: (partition: Partition, leaderId: number) => this.#fetchers.assign(partition, leaderId),
      remove: (partition: Partition) => this.#fetchers.remove(partition),
    }
  }

  close(): void {
    this.#fetchers.close()
    this.replicaSessions.close()
  }
}
