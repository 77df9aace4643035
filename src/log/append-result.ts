/** What a log answers to a leader's append. */
import type { SequenceError } from './producer-state.ts'

/** What happened to a batch that a leader was given. */
export type AppendResult =
  | ({ readonly kind: 'appended' } & AppendedOffsets)
  /** The producer sent it before: these are the offsets it got then. */
  | ({ readonly kind: 'duplicate' } & AppendedOffsets)
  | { readonly kind: 'rejected'; readonly error: AppendError; readonly message: string }

export interface AppendedOffsets {
  readonly baseOffset: number
  readonly lastOffset: number
  /** Ms since the epoch that the leader stamped; -1 when the producer's timestamps stand. */
  readonly appendTimeMs: number
}

/** Names of the protocol's error table. */
export type AppendError = SequenceError | 'KAFKA_STORAGE_ERROR' | 'NOT_LEADER_OR_FOLLOWER'
