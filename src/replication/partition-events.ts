/** What a partition tells those who serve it: why it refuses, and what has changed. */

/** Why a partition is not served here (any more); names of the protocol's error table. */
export type StopReason = 'UNKNOWN_TOPIC_OR_PARTITION' | 'NOT_LEADER_OR_FOLLOWER' | 'KAFKA_STORAGE_ERROR'

/** What a follower is told by one that has stopped: it comes again when the image says who leads. */
export function refusalOf(reason: StopReason): 'KAFKA_STORAGE_ERROR' | 'NOT_LEADER_OR_FOLLOWER' {
  return reason === 'KAFKA_STORAGE_ERROR' ? reason : 'NOT_LEADER_OR_FOLLOWER'
}

/** Why a request that names a leader epoch is refused; names of the protocol's error table. */
export type EpochFault = 'FENCED_LEADER_EPOCH' | 'UNKNOWN_LEADER_EPOCH'

/** Whoever serves a follower of this leader. Called in the turn of the change, before any consumer hears of it. */
export interface ReplicaWatcher {
  /** The log has grown. */
  appended(): void
  /** The high watermark or the log start has moved. */
  moved(): void
  /** The leader epoch is over, or the partition is served no more: what the follower told is forgotten. */
  ended(): void
}

/** Whoever fetches for this follower. */
export interface FollowerWatcher {
  /** The durable end or the log start has moved. */
  moved(): void
  /** The end of the log has gone back: a write was undone for lack of room. */
  rolledBack(): void
}
