/**
 * Fetch (API key 1): reads record batches from partitions, waiting for them if asked to. Followers replicate with it.
 *
 * v4 isolation level and aborted transactions (KIP-98) · v5 log start offset (KIP-107) · v6 KAFKA_STORAGE_ERROR
 * (KIP-112) · v7 fetch sessions (KIP-227) · v8 throttles after the answer (KIP-219) · v9 leader epoch for fencing
 * (KIP-320) · v10 Zstandard (KIP-110) · v11 rack and preferred read replica (KIP-392) · v12 flexible (KIP-482), last
 * fetched epoch and diverging epoch (KIP-595) · v13 topic ids instead of names (KIP-516) · v14 tiered storage error
 * (KIP-405) · v15 replica epoch (KIP-903) · v16 endpoints of current leaders (KIP-951) · v17 directory id (KIP-853) ·
 * v18 high watermark that the follower knows (KIP-1166)
 *
 * `durableOffset` is ours and between brokers only: what a follower has made durable, up to which the leader may count on it.
 * Kafka takes the fetch offset for that, which would make a follower wait for its disk before it asks for more.
 */
import { ZERO_UUID } from '../../bytes/uuid.ts'
import {
  array,
  int16,
  int32,
  int64,
  int64Bound,
  int8,
  message,
  records,
  string,
  struct,
  uuid,
} from '../schema/fields.ts'
import { OWN_TAG_FIRST } from '../schema/check.ts'
import type { Infer, InferInput } from '../schema/fields.ts'

export const FetchRequest = message(
  'FetchRequest',
  { versions: '4-18', flexible: '12+' },
  {
    clusterId: string({ versions: '12+', nullable: '12+', tag: 0, ignorable: true, fallback: null }),
    replicaId: int32({ versions: '0-14', fallback: -1 }), // broker id of a follower, -1 from a consumer
    replicaState: struct(
      {
        replicaId: int32({ fallback: -1 }),
        replicaEpoch: int64({ fallback: -1 }),
      },
      { versions: '15+', tag: 1 },
    ),
    maxWaitMs: int32(),
    minBytes: int32(),
    maxBytes: int32({ ignorable: true, fallback: 0x7fffffff }),
    isolationLevel: int8({ ignorable: true, fallback: 0 }), // 0 read uncommitted, 1 read committed
    sessionId: int32({ versions: '7+', ignorable: true, fallback: 0 }),
    sessionEpoch: int32({ versions: '7+', ignorable: true, fallback: -1 }), // -1 without a session
    topics: array(
      struct({
        topic: string({ versions: '0-12', ignorable: true, fallback: '' }),
        topicId: uuid({ versions: '13+', ignorable: true, fallback: ZERO_UUID }),
        partitions: array(
          struct({
            partition: int32(),
            currentLeaderEpoch: int32({ versions: '9+', ignorable: true, fallback: -1 }), // -1 skips fencing
            fetchOffset: int64(),
            lastFetchedEpoch: int32({ versions: '12+', fallback: -1 }), // -1 skips the check for divergence
            logStartOffset: int64({ versions: '5+', ignorable: true, fallback: -1 }), // of a follower
            partitionMaxBytes: int32(),
            replicaDirectoryId: uuid({ versions: '17+', tag: 0, ignorable: true }),
            highWatermark: int64Bound({ versions: '18+', tag: 1, ignorable: true }), // that the follower knows; null: none
            durableOffset: int64({ versions: '18+', tag: OWN_TAG_FIRST, ignorable: true, fallback: -1 }), // ours: a follower's durable end
          }),
        ),
      }),
    ),
    forgottenTopicsData: array(
      struct({
        topic: string({ versions: '7-12', ignorable: true, fallback: '' }),
        topicId: uuid({ versions: '13+', ignorable: true, fallback: ZERO_UUID }),
        partitions: array(int32()),
      }),
      { versions: '7+', fallback: [] },
    ),
    rackId: string({ versions: '11+', ignorable: true, fallback: '' }),
  },
)
export type FetchRequest = Infer<typeof FetchRequest>
export type FetchRequestInput = InferInput<typeof FetchRequest>

export const FetchResponse = message(
  'FetchResponse',
  { versions: '4-18', flexible: '12+' },
  {
    throttleTimeMs: int32({ ignorable: true, fallback: 0 }),
    errorCode: int16({ versions: '7+', ignorable: true, fallback: 0 }),
    sessionId: int32({ versions: '7+', fallback: 0 }),
    responses: array(
      struct({
        topic: string({ versions: '0-12', ignorable: true, fallback: '' }),
        topicId: uuid({ versions: '13+', ignorable: true, fallback: ZERO_UUID }),
        partitions: array(
          struct({
            partitionIndex: int32(),
            errorCode: int16(),
            highWatermark: int64(),
            lastStableOffset: int64({ ignorable: true, fallback: -1 }),
            logStartOffset: int64({ versions: '5+', ignorable: true, fallback: -1 }),
            divergingEpoch: struct(
              {
                epoch: int32({ fallback: -1 }),
                endOffset: int64({ fallback: -1 }),
              },
              { versions: '12+', tag: 0 },
            ),
            currentLeader: struct(
              {
                leaderId: int32({ fallback: -1 }),
                leaderEpoch: int32({ fallback: -1 }),
              },
              { versions: '12+', tag: 1 },
            ),
            snapshotId: struct(
              {
                endOffset: int64({ fallback: -1 }),
                epoch: int32({ fallback: -1 }),
              },
              { versions: '12+', tag: 2 },
            ),
            abortedTransactions: array(
              struct({
                producerId: int64(),
                firstOffset: int64(),
              }),
              { nullable: '4+', ignorable: true, fallback: [] },
            ),
            preferredReadReplica: int32({ versions: '11+', fallback: -1 }),
            records: records({ nullable: '0+' }), // whole batches; to be sent in pieces if need be
          }),
        ),
      }),
    ),
    nodeEndpoints: array(
      struct({
        nodeId: int32(),
        host: string(),
        port: int32(),
        rack: string({ nullable: '16+', fallback: null }),
      }),
      { versions: '16+', tag: 0 },
    ),
  },
)
export type FetchResponse = Infer<typeof FetchResponse>
export type FetchResponseInput = InferInput<typeof FetchResponse>
