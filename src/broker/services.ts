/**
 * What a request handler may use. Handlers are functions of (services, request, context); they hold no state.
 */
import type { Clock, Logger, Transport } from '../env/index.ts'
import type { LogManager } from '../log/log-manager.ts'
import type { ClusterImage } from '../metadata/cluster-image.ts'
import type { ApiName, RequestOf, ResponseInputOf } from '../protocol/apis.ts'
import type { FetchSession, FetchSessions } from '../replication/fetch-sessions.ts'
import type { ReplicaSessions } from '../replication/replica-sessions.ts'
import type { ByteBudget } from '../rpc/byte-budget.ts'
import type { ServerChannel } from '../rpc/server-channel.ts'
import type { BrokerConfig } from './broker-config.ts'
import type { ControllerGateway } from './controller-gateway.ts'
import type { GroupCoordination } from './coordinator/group-coordination.ts'
import type { BrokerCounters } from './metrics.ts'
import type { PartitionRegistry } from './partition-registry.ts'
import type { ProducerIdSource } from './producer-id-source.ts'

export interface BrokerServices {
  readonly clusterId: string
  readonly config: BrokerConfig
  readonly clock: Clock
  readonly logger: Logger
  /** The cluster as of the last metadata record this broker has put into effect. Read it once a request. */
  readonly image: () => ClusterImage
  readonly partitions: PartitionRegistry
  /** The active controller, wherever it is. */
  readonly controller: ControllerGateway
  readonly producerIds: ProducerIdSource
  readonly groups: GroupCoordination
  readonly logs: LogManager
  readonly counters: BrokerCounters
  /** Of consumers and of followers. */
  readonly fetchSessions: FetchSessions<FetchSession>
  /** Who follows this broker. */
  readonly replicaSessions: ReplicaSessions
  /** Bytes of answers that peers have not taken; a fetch waits while it is used up. */
  readonly responseBudget: ByteBudget
}

export interface RequestContext {
  readonly apiVersion: number
  readonly clientId: string | null
  /** Where the client is, as the protocol shows it to others: a slash and its address. Never to be trusted. */
  readonly clientHost: string
  /** The listener the request came in by; metadata answers name its addresses. */
  readonly listenerName: string
  readonly transport: Transport
  /** Another broker has passed the request on: it is answered here, whatever the answer. */
  readonly isForwarded: boolean
  /** Bytes of records that the answer may hold; one batch always fits. */
  readonly answerBytesMax: number
  /** The connection the request came by: to close it (the only way to report an error of a request that wants no
   * answer), and to stop waiting when nobody is left to be answered. */
  readonly connection: Pick<ServerChannel, 'isEnding' | 'close' | 'watchEnd' | 'unwatchEnd'>
}

/** Null: the protocol wants no answer. */
export type Handler<K extends ApiName> = (
  services: BrokerServices,
  request: RequestOf<K>,
  context: RequestContext,
) => ResponseInputOf<K> | null | Promise<ResponseInputOf<K> | null>
