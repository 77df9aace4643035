/**
 * What a client of a coordinator is told when a write to the coordinator's own log fails: Kafka's choice, so that clients do
 * what they do there. Nearly always it is to look for the coordinator again.
 */
import type { ErrorName } from '../protocol/errors.ts'
import type { CoordinatorRecord } from './records/coordinator-record.ts'
import { CoordinatorFailure } from './shard-context.ts'

/** @param error - Why the log did not take it, or will not tell whether it is committed. */
export function writeFailure(error: ErrorName, message: string): CoordinatorFailure {
  return new CoordinatorFailure(coordinatorError(error), message)
}

/** The records are more than the topic takes in a batch, so they can never be written at once. */
export function tooLargeFailure(
  records: readonly CoordinatorRecord[],
  bytes: number,
  bytesMax: number,
): CoordinatorFailure {
  const isCommit = records.every(({ kind }) => kind === 'OffsetCommit')
  return new CoordinatorFailure(
    isCommit ? 'INVALID_COMMIT_OFFSET_SIZE' : 'UNKNOWN_SERVER_ERROR',
    `Cannot write ${records.length} records at once: they take up to ${bytes} bytes, wanted at most ${bytesMax}`,
  )
}

function coordinatorError(error: ErrorName): ErrorName {
  switch (error) {
    case 'UNKNOWN_TOPIC_OR_PARTITION':
    case 'NOT_ENOUGH_REPLICAS':
    case 'NOT_ENOUGH_REPLICAS_AFTER_APPEND':
    case 'REQUEST_TIMED_OUT':
      return 'COORDINATOR_NOT_AVAILABLE'
    case 'NOT_LEADER_OR_FOLLOWER':
    case 'KAFKA_STORAGE_ERROR':
      return 'NOT_COORDINATOR'
    default:
      return 'UNKNOWN_SERVER_ERROR'
  }
}
