/**
 * The protocol's error codes: what a response says went wrong. Names and numbers are Kafka's, as of 4.3.
 *
 * Handlers return these as values; they are no exceptions. Retriable means that the same request may succeed later, or
 * after a look at fresh metadata, without anybody changing anything.
 */
import { assert } from '../base/assert.ts'

export interface ProtocolError {
  readonly name: ErrorName
  /** What goes over the wire: an int16. */
  readonly code: number
  readonly retriable: boolean
  /** For people: what happened, not what to do. */
  readonly description: string
}

export type ErrorName = (typeof ROWS)[number][1]

const RETRY = true
const FINAL = false

const ROWS = [
  [-1, 'UNKNOWN_SERVER_ERROR', FINAL, 'The broker failed in a way it did not expect'],
  [0, 'NONE', FINAL, 'Success'],
  [1, 'OFFSET_OUT_OF_RANGE', FINAL, 'The offset is not between the log start offset and the end of the log'],
  [2, 'CORRUPT_MESSAGE', RETRY, 'A record batch does not match its checksum, its size or its format'],
  [3, 'UNKNOWN_TOPIC_OR_PARTITION', RETRY, 'The broker has no such topic or partition'],
  [4, 'INVALID_FETCH_SIZE', FINAL, 'The number of bytes to fetch makes no sense'],
  [5, 'LEADER_NOT_AVAILABLE', RETRY, 'The partition has no leader now, an election may be on its way'],
  [6, 'NOT_LEADER_OR_FOLLOWER', RETRY, 'The broker does not lead the partition, or holds no replica of it'],
  [7, 'REQUEST_TIMED_OUT', RETRY, 'What the request asked for did not happen in the time it allowed'],
  [8, 'BROKER_NOT_AVAILABLE', FINAL, 'The broker is not there'],
  [9, 'REPLICA_NOT_AVAILABLE', RETRY, 'The broker holds no usable replica of the partition'],
  [10, 'MESSAGE_TOO_LARGE', FINAL, 'A record batch is larger than the topic accepts'],
  [11, 'STALE_CONTROLLER_EPOCH', FINAL, 'The request comes from a controller that has been replaced'],
  [12, 'OFFSET_METADATA_TOO_LARGE', FINAL, 'The text committed along with an offset is too long'],
  [13, 'NETWORK_EXCEPTION', RETRY, 'The connection broke before there was an answer'],
  [14, 'COORDINATOR_LOAD_IN_PROGRESS', RETRY, 'The coordinator is still reading its state'],
  [15, 'COORDINATOR_NOT_AVAILABLE', RETRY, 'There is no coordinator now'],
  [16, 'NOT_COORDINATOR', RETRY, 'The broker is not the coordinator of the group or the transaction'],
  [
    17,
    'INVALID_TOPIC_EXCEPTION',
    FINAL,
    'The topic has a name that is not allowed, or may not be used this way',
  ],
  [18, 'RECORD_LIST_TOO_LARGE', FINAL, 'A record batch is larger than a log segment'],
  [
    19,
    'NOT_ENOUGH_REPLICAS',
    RETRY,
    'Fewer replicas are in sync than the topic demands, nothing was written',
  ],
  [
    20,
    'NOT_ENOUGH_REPLICAS_AFTER_APPEND',
    RETRY,
    'The records were written, but to fewer in-sync replicas than the topic demands',
  ],
  [21, 'INVALID_REQUIRED_ACKS', FINAL, 'Acks must be 0, 1 or -1 (all)'],
  [22, 'ILLEGAL_GENERATION', FINAL, 'The generation is not the current one of the group'],
  [
    23,
    'INCONSISTENT_GROUP_PROTOCOL',
    FINAL,
    'The member supports no protocol that the other members support, too',
  ],
  [24, 'INVALID_GROUP_ID', FINAL, 'The group id is empty or not allowed'],
  [25, 'UNKNOWN_MEMBER_ID', FINAL, 'The coordinator does not know the member'],
  [26, 'INVALID_SESSION_TIMEOUT', FINAL, 'The session timeout is outside the bounds that the broker sets'],
  [27, 'REBALANCE_IN_PROGRESS', FINAL, 'The group is rebalancing, the member must join again'],
  [28, 'INVALID_COMMIT_OFFSET_SIZE', FINAL, 'The committed offsets are too large to be stored'],
  [29, 'TOPIC_AUTHORIZATION_FAILED', FINAL, 'The principal may not do this to the topic'],
  [30, 'GROUP_AUTHORIZATION_FAILED', FINAL, 'The principal may not do this to the group'],
  [31, 'CLUSTER_AUTHORIZATION_FAILED', FINAL, 'The principal may not do this to the cluster'],
  [32, 'INVALID_TIMESTAMP', FINAL, 'A timestamp is outside the bounds that the topic sets'],
  [33, 'UNSUPPORTED_SASL_MECHANISM', FINAL, 'The broker does not offer the SASL mechanism'],
  [34, 'ILLEGAL_SASL_STATE', FINAL, 'The request is not allowed at this point of the authentication'],
  [35, 'UNSUPPORTED_VERSION', FINAL, 'The broker does not serve this version of the API'],
  [36, 'TOPIC_ALREADY_EXISTS', FINAL, 'There is a topic of this name already'],
  [37, 'INVALID_PARTITIONS', FINAL, 'The number of partitions is not allowed'],
  [
    38,
    'INVALID_REPLICATION_FACTOR',
    FINAL,
    'The replication factor is below 1 or above the number of brokers',
  ],
  [39, 'INVALID_REPLICA_ASSIGNMENT', FINAL, 'The assignment of replicas to brokers is not allowed'],
  [40, 'INVALID_CONFIG', FINAL, 'A configuration key or value is not allowed'],
  [41, 'NOT_CONTROLLER', RETRY, 'The broker is not the active controller'],
  [42, 'INVALID_REQUEST', FINAL, 'The request contradicts itself or the protocol'],
  [43, 'UNSUPPORTED_FOR_MESSAGE_FORMAT', FINAL, 'The message format on disk cannot do this'],
  [44, 'POLICY_VIOLATION', FINAL, 'A policy of the cluster forbids the request'],
  [45, 'OUT_OF_ORDER_SEQUENCE_NUMBER', FINAL, 'The sequence does not follow the last one of the producer'],
  [46, 'DUPLICATE_SEQUENCE_NUMBER', FINAL, 'The sequence was used before, too long ago to tell its offset'],
  [47, 'INVALID_PRODUCER_EPOCH', FINAL, 'A producer with the same id and a later epoch has taken over'],
  [48, 'INVALID_TXN_STATE', FINAL, 'The transaction is in a state that does not allow this'],
  [49, 'INVALID_PRODUCER_ID_MAPPING', FINAL, 'The producer id does not belong to the transactional id'],
  [50, 'INVALID_TRANSACTION_TIMEOUT', FINAL, 'The transaction timeout is longer than the broker allows'],
  [51, 'CONCURRENT_TRANSACTIONS', RETRY, 'The transaction before this one is not finished yet'],
  [52, 'TRANSACTION_COORDINATOR_FENCED', FINAL, 'Another coordinator has taken over the transaction'],
  [53, 'TRANSACTIONAL_ID_AUTHORIZATION_FAILED', FINAL, 'The principal may not use the transactional id'],
  [54, 'SECURITY_DISABLED', FINAL, 'Security is switched off on this cluster'],
  [55, 'OPERATION_NOT_ATTEMPTED', FINAL, 'Nothing was tried, since another part of the request failed'],
  [56, 'KAFKA_STORAGE_ERROR', RETRY, 'The disk that holds the partition has failed'],
  [57, 'LOG_DIR_NOT_FOUND', FINAL, 'The broker has no such log directory'],
  [58, 'SASL_AUTHENTICATION_FAILED', FINAL, 'The credentials were not accepted'],
  [59, 'UNKNOWN_PRODUCER_ID', FINAL, 'The broker remembers nothing of the producer'],
  [60, 'REASSIGNMENT_IN_PROGRESS', FINAL, 'The replicas of the partition are being moved'],
  [61, 'DELEGATION_TOKEN_AUTH_DISABLED', FINAL, 'Delegation tokens are switched off'],
  [62, 'DELEGATION_TOKEN_NOT_FOUND', FINAL, 'There is no such delegation token'],
  [
    63,
    'DELEGATION_TOKEN_OWNER_MISMATCH',
    FINAL,
    'The principal neither owns nor may renew the delegation token',
  ],
  [
    64,
    'DELEGATION_TOKEN_REQUEST_NOT_ALLOWED',
    FINAL,
    'Delegation tokens cannot be managed over this connection',
  ],
  [
    65,
    'DELEGATION_TOKEN_AUTHORIZATION_FAILED',
    FINAL,
    'The principal may not do this to the delegation token',
  ],
  [66, 'DELEGATION_TOKEN_EXPIRED', FINAL, 'The delegation token has run out'],
  [67, 'INVALID_PRINCIPAL_TYPE', FINAL, 'The kind of principal is not supported'],
  [68, 'NON_EMPTY_GROUP', FINAL, 'The group still has members'],
  [69, 'GROUP_ID_NOT_FOUND', FINAL, 'There is no such group'],
  [70, 'FETCH_SESSION_ID_NOT_FOUND', RETRY, 'The broker has forgotten the fetch session'],
  [71, 'INVALID_FETCH_SESSION_EPOCH', RETRY, 'The request is not the next one of the fetch session'],
  [72, 'LISTENER_NOT_FOUND', RETRY, 'The leader has no listener that matches the one asked through'],
  [73, 'TOPIC_DELETION_DISABLED', FINAL, 'Topics cannot be deleted on this cluster'],
  [74, 'FENCED_LEADER_EPOCH', RETRY, 'The client knows an older leader epoch than the broker'],
  [75, 'UNKNOWN_LEADER_EPOCH', RETRY, 'The client knows a later leader epoch than the broker'],
  [
    76,
    'UNSUPPORTED_COMPRESSION_TYPE',
    FINAL,
    'The compression cannot be used with this version of the request',
  ],
  [77, 'STALE_BROKER_EPOCH', FINAL, 'The broker has registered again since it sent this'],
  [78, 'OFFSET_NOT_AVAILABLE', RETRY, 'The new leader has not yet learnt how far the log is committed'],
  [79, 'MEMBER_ID_REQUIRED', FINAL, 'The member must join again with the member id of this answer'],
  [80, 'PREFERRED_LEADER_NOT_AVAILABLE', RETRY, 'The preferred leader cannot lead now'],
  [81, 'GROUP_MAX_SIZE_REACHED', FINAL, 'The group has as many members as it may have'],
  [82, 'FENCED_INSTANCE_ID', FINAL, 'Another member has taken over the static instance id'],
  [83, 'ELIGIBLE_LEADERS_NOT_AVAILABLE', RETRY, 'No replica that may lead the partition is available'],
  [84, 'ELECTION_NOT_NEEDED', RETRY, 'The partition is led as it should be'],
  [85, 'NO_REASSIGNMENT_IN_PROGRESS', FINAL, 'The replicas of the partition are not being moved'],
  [86, 'GROUP_SUBSCRIBED_TO_TOPIC', FINAL, 'A member of the group still reads the topic'],
  [87, 'INVALID_RECORD', FINAL, 'A record breaks a rule, and its batch was refused'],
  [88, 'UNSTABLE_OFFSET_COMMIT', RETRY, 'A transaction over the offsets is still open'],
  [89, 'THROTTLING_QUOTA_EXCEEDED', RETRY, 'A quota is used up for now'],
  [90, 'PRODUCER_FENCED', FINAL, 'A newer producer has the same transactional id'],
  [91, 'RESOURCE_NOT_FOUND', FINAL, 'The request names something that is not there'],
  [92, 'DUPLICATE_RESOURCE', FINAL, 'The request names the same thing twice'],
  [93, 'UNACCEPTABLE_CREDENTIAL', FINAL, 'The credential does not satisfy the rules'],
  [94, 'INCONSISTENT_VOTER_SET', FINAL, 'Sender and receiver disagree about the voters of the quorum'],
  [95, 'INVALID_UPDATE_VERSION', FINAL, 'The update is based on a version that is not the current one'],
  [96, 'FEATURE_UPDATE_FAILED', FINAL, 'The feature levels could not be changed'],
  [97, 'PRINCIPAL_DESERIALIZATION_FAILURE', FINAL, 'The principal of a forwarded request cannot be read'],
  [98, 'SNAPSHOT_NOT_FOUND', FINAL, 'There is no such snapshot'],
  [99, 'POSITION_OUT_OF_RANGE', FINAL, 'The position is not within the snapshot'],
  [100, 'UNKNOWN_TOPIC_ID', RETRY, 'The broker knows no topic with this id'],
  [101, 'DUPLICATE_BROKER_REGISTRATION', FINAL, 'A live broker has the same id'],
  [102, 'BROKER_ID_NOT_REGISTERED', FINAL, 'No broker with this id has registered'],
  [103, 'INCONSISTENT_TOPIC_ID', RETRY, 'The topic id belongs to another topic of the same name'],
  [104, 'INCONSISTENT_CLUSTER_ID', FINAL, 'The request is meant for another cluster'],
  [105, 'TRANSACTIONAL_ID_NOT_FOUND', FINAL, 'There is no such transactional id'],
  [
    106,
    'FETCH_SESSION_TOPIC_ID_ERROR',
    RETRY,
    'The fetch session began without topic ids and goes on with them, or the reverse',
  ],
  [107, 'INELIGIBLE_REPLICA', FINAL, 'A replica that was to join the in-sync set may not'],
  [108, 'NEW_LEADER_ELECTED', FINAL, 'The change of the in-sync set was made, and another replica leads now'],
  [
    109,
    'OFFSET_MOVED_TO_TIERED_STORAGE',
    FINAL,
    'The offset is in tiered storage and no longer on this disk',
  ],
  [110, 'FENCED_MEMBER_EPOCH', FINAL, 'The coordinator has fenced the member, it must join again'],
  [111, 'UNRELEASED_INSTANCE_ID', FINAL, 'Another live member holds the static instance id'],
  [112, 'UNSUPPORTED_ASSIGNOR', FINAL, 'The coordinator has no such assignor'],
  [113, 'STALE_MEMBER_EPOCH', FINAL, 'The member must ask for its current epoch and try again'],
  [
    114,
    'MISMATCHED_ENDPOINT_TYPE',
    FINAL,
    'The request went to a broker and is for a controller, or the reverse',
  ],
  [115, 'UNSUPPORTED_ENDPOINT_TYPE', FINAL, 'The kind of endpoint is not known'],
  [116, 'UNKNOWN_CONTROLLER_ID', FINAL, 'There is no controller with this id'],
  [117, 'UNKNOWN_SUBSCRIPTION_ID', FINAL, 'The telemetry subscription is not the current one'],
  [118, 'TELEMETRY_TOO_LARGE', FINAL, 'The pushed metrics are larger than the broker accepts'],
  [119, 'INVALID_REGISTRATION', FINAL, 'The controller refuses the registration of the broker'],
  [
    120,
    'TRANSACTION_ABORTABLE',
    FINAL,
    'The transaction failed, and the producer can go on after aborting it',
  ],
  [
    121,
    'INVALID_RECORD_STATE',
    FINAL,
    'The record of the share group is in a state that does not allow this',
  ],
  [122, 'SHARE_SESSION_NOT_FOUND', RETRY, 'The broker has forgotten the share session'],
  [123, 'INVALID_SHARE_SESSION_EPOCH', RETRY, 'The request is not the next one of the share session'],
  [124, 'FENCED_STATE_EPOCH', FINAL, 'The share coordinator knows a later state epoch'],
  [125, 'INVALID_VOTER_KEY', FINAL, 'The voter is known by another directory id than the request says'],
  [126, 'DUPLICATE_VOTER', FINAL, 'The voter is in the quorum already'],
  [127, 'VOTER_NOT_FOUND', FINAL, 'The voter is not in the quorum'],
  [128, 'INVALID_REGULAR_EXPRESSION', FINAL, 'The regular expression cannot be used'],
  [129, 'REBOOTSTRAP_REQUIRED', FINAL, 'The client must start over from its bootstrap addresses'],
  [130, 'STREAMS_INVALID_TOPOLOGY', FINAL, 'The topology of the Streams application is not valid'],
  [131, 'STREAMS_INVALID_TOPOLOGY_EPOCH', FINAL, 'The epoch of the topology is not valid'],
  [132, 'STREAMS_TOPOLOGY_FENCED', FINAL, 'The topology is older than the one of the group'],
  [133, 'SHARE_SESSION_LIMIT_REACHED', RETRY, 'The broker has as many share sessions as it may have'],
] as const

const byName = new Map<string, ProtocolError>()
const byCode = new Map<number, ProtocolError>()
for (const [code, name, retriable, description] of ROWS) {
  const error = { name, code, retriable, description }
  byName.set(name, error)
  byCode.set(code, error)
}
assert(
  byName.size === ROWS.length && byCode.size === ROWS.length,
  'The error table has a name or a code twice',
)

/** All errors, by ascending code. */
export const errors: readonly ProtocolError[] = [...byCode.values()]

/** The row of an error. */
export function errorByName(name: ErrorName): ProtocolError {
  return byName.get(name)!
}

/** The code of an error: what goes over the wire. */
export function errorCode(name: ErrorName): number {
  return byName.get(name)!.code
}

/** The row of a code off the wire; a code that a newer broker may have added is `UNKNOWN_SERVER_ERROR`. */
export function errorByCode(code: number): ProtocolError {
  return byCode.get(code) ?? byCode.get(-1)!
}
