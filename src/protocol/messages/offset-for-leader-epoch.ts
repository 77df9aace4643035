/**
 * OffsetForLeaderEpoch (API key 23): where a leader epoch ends, so that followers and consumers find out where their log
 * and the leader's part (KIP-101, KIP-279).
 *
 * v2 current leader epoch for fencing (KIP-320) · v3 replica id (KIP-320) · v4 flexible (KIP-482)
 */
import { array, int16, int32, int64, message, string, struct } from '../schema/fields.ts'
import type { Infer, InferInput } from '../schema/fields.ts'

export const OffsetForLeaderEpochRequest = message(
  'OffsetForLeaderEpochRequest',
  { versions: '2-4', flexible: '4+' },
  {
    replicaId: int32({ versions: '3+', ignorable: true, fallback: -2 }), // -1 a consumer, -2 may see the uncommitted end
    topics: array(
      struct({
        topic: string(),
        partitions: array(
          struct({
            partition: int32(),
            currentLeaderEpoch: int32({ ignorable: true, fallback: -1 }), // -1 skips fencing
            leaderEpoch: int32(),
          }),
        ),
      }),
    ),
  },
)
export type OffsetForLeaderEpochRequest = Infer<typeof OffsetForLeaderEpochRequest>
export type OffsetForLeaderEpochRequestInput = InferInput<typeof OffsetForLeaderEpochRequest>

export const OffsetForLeaderEpochResponse = message(
  'OffsetForLeaderEpochResponse',
  { versions: '2-4', flexible: '4+' },
  {
    throttleTimeMs: int32({ ignorable: true, fallback: 0 }),
    topics: array(
      struct({
        topic: string(),
        partitions: array(
          struct({
            errorCode: int16(),
            partition: int32(),
            leaderEpoch: int32({ ignorable: true, fallback: -1 }), // the largest one not above the one asked for
            endOffset: int64({ fallback: -1 }),
          }),
        ),
      }),
    ),
  },
)
export type OffsetForLeaderEpochResponse = Infer<typeof OffsetForLeaderEpochResponse>
export type OffsetForLeaderEpochResponseInput = InferInput<typeof OffsetForLeaderEpochResponse>
