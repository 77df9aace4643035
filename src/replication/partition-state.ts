/**
 * What a partition is told of the cluster, and what it asks of it. The registry of the broker gives the state of each
 * committed image; the two ports are answered from the image in effect and by the controller.
 */
import type { AlterOutcome, IsrMember } from './isr-state.ts'

/** A partition as a committed image has it; a `PartitionImage` of `metadata` is one. */
export interface PartitionState {
  readonly leader: number | null
  readonly leaderEpoch: number
  readonly partitionEpoch: number
  readonly replicas: readonly number[]
  readonly isr: readonly number[]
  /** True from an unclean election until the leader has made up its mind about its log. */
  readonly isRecovering: boolean
}

/** A broker as the image in effect has it. */
export interface ReplicaBroker {
  /** Epoch of its registration. */
  readonly epoch: number
  readonly rack: string | null
  readonly isFenced: boolean
  readonly isInControlledShutdown: boolean
}

/** A leader's wish for its partition. */
export interface IsrChange {
  readonly topic: string
  readonly topicId: string
  readonly index: number
  readonly leaderEpoch: number
  /** The change may be applied in this partition epoch only. */
  readonly partitionEpoch: number
  readonly newIsr: readonly IsrMember[]
}

/** The way to the controller. */
export interface IsrPort {
  /**
   * Asks for other in-sync replicas, and says that the leader has recovered (KIP-704). Never rejects: what cannot be
   * told is `unknown`. Of a refusal `INELIGIBLE_REPLICA` is `refused`; `FENCED_LEADER_EPOCH`, `INVALID_UPDATE_VERSION`,
   * `NEW_LEADER_ELECTED`, `UNKNOWN_TOPIC_ID` and `INVALID_REQUEST` are `overtaken`; all others, `NOT_CONTROLLER` among
   * them, are `unknown`: a controller that lost its place may yet find its record committed.
   */
  alterPartition(change: IsrChange): Promise<AlterOutcome>
}

/** What a leader is made with. */
export interface LeaderOptions {
  readonly topic: string
  readonly topicId: string
  readonly index: number
  readonly nodeId: number
  readonly isr: IsrPort
  readonly findBroker: (id: number) => ReplicaBroker | undefined
  readonly replicaLagMsMax: number
}

/** What a partition is made with. */
export interface PartitionOptions extends LeaderOptions {
  /** The high watermark of an earlier life as it was written down: a lower bound, 0 when there is none. */
  readonly highWatermark: number
  readonly minInsyncReplicas: number
  /** Called when the log takes no more appends in this leader epoch: the controller must give a new one. */
  readonly onEpochSpent?: () => void
  /** Called when the log has failed: this replica serves nothing any more. */
  readonly onFailed?: () => void
  /** Called when a read of the log met damage: another should lead, and the log be fetched anew. */
  readonly onDamaged?: () => void
}

/** Replicas that must be in sync for a commit: never more than there are (KIP-966). */
export function effectiveMinIsr(minInsyncReplicas: number, replicaCount: number): number {
  return Math.min(minInsyncReplicas, replicaCount)
}
