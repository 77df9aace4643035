/**
 * What a broker shows of its inside to whoever watches it within its process: the simulation's checks, a console, a test. To
 * look at, never to change: everything here belongs to the broker.
 */
import type { Controller } from '../controller/controller.ts'
import type { LogManager } from '../log/log-manager.ts'
import type { RaftQuorum } from '../raft/raft-quorum.ts'
import type { PartitionRegistry } from './partition-registry.ts'

export interface BrokerView {
  readonly partitions: Pick<PartitionRegistry, 'partitions' | 'forEach' | 'lookupReplica'>
  /** Its image is the newest committed one known here; `Broker.image` follows as soon as that is in effect. */
  readonly controller: Pick<Controller, 'image' | 'isActive'>
  readonly quorum: Pick<RaftQuorum, 'role' | 'leaderEpoch' | 'highWatermark' | 'logEndOffset' | 'describe'>
  readonly logs: Pick<LogManager, 'logs' | 'quarantined' | 'failure'>
}
