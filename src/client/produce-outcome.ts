/**
 * What an answer to a batch means for it: a table from the protocol's errors, as pure functions, since the promise "once
 * and in order" rests on reading these right.
 */
import type { ErrorName } from '../protocol/errors.ts'
import { errorByCode } from '../protocol/errors.ts'

export type ProduceOutcome =
  /** In the log. */
  | { readonly kind: 'written' }
  /** Larger than the topic takes, by what it holds or by its setting. */
  | { readonly kind: 'too-large' }
  /** The sequence does not fit what the broker knows of the producer. */
  | { readonly kind: 'out-of-order' }
  /** The broker knows a later epoch of the producer. */
  | { readonly kind: 'fenced' }
  | { readonly kind: 'retriable'; readonly mayBeInLog: boolean; readonly isAboutLeader: boolean }
  | { readonly kind: 'final'; readonly mayBeInLog: boolean }

/**
 * Errors after which the batch of this very attempt is certainly not in the log. All others may come after the append: a
 * leader that lost its role, its disk or its patience while it waited for replicas answers NOT_LEADER_OR_FOLLOWER,
 * KAFKA_STORAGE_ERROR or REQUEST_TIMED_OUT for records that may well survive.
 */
const NOT_IN_LOG: ReadonlySet<ErrorName> = new Set<ErrorName>([
  'CORRUPT_MESSAGE',
  'INVALID_RECORD',
  'INVALID_REQUIRED_ACKS',
  'INVALID_TIMESTAMP',
  'INVALID_TOPIC_EXCEPTION',
  'INVALID_TXN_STATE',
  'LEADER_NOT_AVAILABLE',
  'NOT_ENOUGH_REPLICAS',
  'POLICY_VIOLATION',
  'TOPIC_AUTHORIZATION_FAILED',
  'CLUSTER_AUTHORIZATION_FAILED',
  'UNSUPPORTED_COMPRESSION_TYPE',
  'UNSUPPORTED_FOR_MESSAGE_FORMAT',
])

/** After these, the client looks for the leader again. */
const ABOUT_LEADER: ReadonlySet<ErrorName> = new Set<ErrorName>([
  'FENCED_LEADER_EPOCH',
  'KAFKA_STORAGE_ERROR',
  'LEADER_NOT_AVAILABLE',
  'NOT_LEADER_OR_FOLLOWER',
  'REPLICA_NOT_AVAILABLE',
  'UNKNOWN_LEADER_EPOCH',
  'UNKNOWN_TOPIC_ID',
  'INCONSISTENT_TOPIC_ID',
  'UNKNOWN_TOPIC_OR_PARTITION',
])

/**
 * What a leader answers that is cut off from its followers. It may be one no more, and would be the last to know: it goes on
 * answering so for as long as it is asked.
 */
const MAY_BE_CUT_OFF: ReadonlySet<ErrorName> = new Set<ErrorName>([
  'NOT_ENOUGH_REPLICAS',
  'NOT_ENOUGH_REPLICAS_AFTER_APPEND',
  'REQUEST_TIMED_OUT',
])

export function produceOutcome(errorCode: number): ProduceOutcome {
  const { name, retriable } = errorByCode(errorCode)
  switch (name) {
    case 'NONE':
    case 'DUPLICATE_SEQUENCE_NUMBER': // written before, too long ago for the broker to tell where
      return { kind: 'written' }
    case 'MESSAGE_TOO_LARGE':
    case 'RECORD_LIST_TOO_LARGE':
      return { kind: 'too-large' }
    case 'OUT_OF_ORDER_SEQUENCE_NUMBER':
    case 'UNKNOWN_PRODUCER_ID':
      return { kind: 'out-of-order' }
    case 'INVALID_PRODUCER_EPOCH':
    case 'PRODUCER_FENCED':
      return { kind: 'fenced' }
    default: {
      const mayBeInLog = !NOT_IN_LOG.has(name)
      return retriable
        ? {
            kind: 'retriable',
            mayBeInLog,
            isAboutLeader: isAboutLeader(errorCode) || MAY_BE_CUT_OFF.has(name),
          }
        : { kind: 'final', mayBeInLog }
    }
  }
}

/** Whether an answer to a produce or fetch request says that the client asked the wrong broker. */
export function isAboutLeader(errorCode: number): boolean {
  return ABOUT_LEADER.has(errorByCode(errorCode).name)
}
