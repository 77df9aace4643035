/** What administration of brokers, replicas and the metadata quorum gives back. Absent is null; the wire's sentinels stay inside. */
import type { AdminOptions } from './admin-types.ts'
import type { TopicPartition } from './consumer-options.ts'

export interface ClusterDescription {
  readonly clusterId: string
  /** Broker that is the active controller, as the broker asked believes; null while there is none. */
  readonly controllerId: number | null
  /** By id, fenced ones included. */
  readonly brokers: readonly BrokerDescription[]
}

export interface BrokerDescription {
  readonly id: number
  readonly host: string
  readonly port: number
  readonly rack: string | null
  /** Registered, but silent or not ready: it leads nothing and no client is sent to it. */
  readonly isFenced: boolean
}

export interface LogDirDescription {
  readonly brokerId: number
  readonly path: string
  /** Null when the broker does not tell. */
  readonly totalBytes: number | null
  readonly usableBytes: number | null
  readonly partitions: readonly (TopicPartition & {
    readonly sizeBytes: number
    /** Committed records that the replica lacks, by its leader's last word; null while it has heard none. */
    readonly offsetLag: number | null
    readonly isFuture: boolean
  })[]
}

/** One replica of a partition, as its own broker knows it. */
export interface ReplicaDescription extends TopicPartition {
  readonly brokerId: number
  /** Committed records that it lacks; 0 for the leader. Null: its broker does not answer, or cannot tell yet. */
  readonly lag: number | null
  /** Null when its broker does not answer. */
  readonly sizeBytes: number | null
}

/** The nodes that agree on the metadata log (KIP-595). */
export interface QuorumDescription {
  readonly leaderId: number | null
  readonly leaderEpoch: number
  /** Offset after the last metadata record that a majority has. */
  readonly highWatermark: number
  readonly voters: readonly QuorumReplica[]
  /** Nodes that follow the log without a vote. */
  readonly observers: readonly QuorumReplica[]
}

/** A node as the leader of the quorum knows it. Null: it has not heard of it. */
export interface QuorumReplica {
  readonly nodeId: number
  readonly directoryId: string | null
  readonly logEndOffset: number | null
  /** Wall-clock ms of the leader's machine; the time of the answer for the leader itself. */
  readonly lastFetchTimestamp: number | null
  readonly lastCaughtUpTimestamp: number | null
}

export interface ElectLeadersOptions extends AdminOptions {
  /**
   * `preferred` (default): the first replica, if it is in sync. `unclean`: where there is no leader, any live replica, which
   * loses every committed record that it lacks.
   */
  readonly election?: 'preferred' | 'unclean' | undefined
}

export interface ElectionResult extends TopicPartition {
  /** False: there was nothing to do, the wanted leader leads. */
  readonly isElected: boolean
}

export interface NewReassignment extends TopicPartition {
  /** Broker ids, the preferred leader first; null calls off the move that is under way. */
  readonly replicas: readonly number[] | null
}

export interface ReassignOptions extends AdminOptions {
  /** Whether the number of replicas may change. Default true. */
  readonly allowReplicationFactorChange?: boolean | undefined
}

/** A partition that moves: `replicas` are those that come and those that go included. */
export interface Reassignment extends TopicPartition {
  readonly replicas: readonly number[]
  readonly adding: readonly number[]
  readonly removing: readonly number[]
}

export interface DrainProgress {
  /** Partitions that begin to move with this call. */
  readonly startedCount: number
  /** Partitions that still have a replica there, those included that move away already. 0: the broker is empty. */
  readonly leftCount: number
  /** Those among them for which there is no other broker. */
  readonly stuckCount: number
}
