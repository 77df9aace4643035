/**
 * OffsetCommit (API key 8): how far a group has read.
 *
 * v2 retention of its own · v3 throttle time (KIP-124) · v4 throttles after the answer (KIP-219) · v5 without the retention
 * (KIP-211) · v6 leader epoch (KIP-320) · v7 static members (KIP-345) · v8 flexible (KIP-482) · v9 members of the consumer
 * protocol, STALE_MEMBER_EPOCH (KIP-848) · v10 topic ids instead of names (KIP-848)
 */
import { ZERO_UUID } from '../../bytes/uuid.ts'
import { array, int16, int32, int64, message, string, struct, uuid } from '../schema/fields.ts'
import type { Infer, InferInput } from '../schema/fields.ts'

export const OffsetCommitRequest = message(
  'OffsetCommitRequest',
  { versions: '2-10', flexible: '8+' },
  {
    groupId: string(),
    generationIdOrMemberEpoch: int32({ ignorable: true, fallback: -1 }), // negative: no member
    memberId: string({ ignorable: true, fallback: '' }),
    groupInstanceId: string({ versions: '7+', nullable: '7+', fallback: null }),
    retentionTimeMs: int64({ versions: '2-4', ignorable: true, fallback: -1 }), // -1: as the broker has it
    topics: array(
      struct({
        name: string({ versions: '0-9', ignorable: true, fallback: '' }),
        topicId: uuid({ versions: '10+', ignorable: true, fallback: ZERO_UUID }),
        partitions: array(
          struct({
            partitionIndex: int32(),
            committedOffset: int64(), // of the next record to be read
            committedLeaderEpoch: int32({ versions: '6+', ignorable: true, fallback: -1 }), // of the last that was read; -1 unknown
            committedMetadata: string({ nullable: '0+' }),
          }),
        ),
      }),
    ),
  },
)
export type OffsetCommitRequest = Infer<typeof OffsetCommitRequest>
export type OffsetCommitRequestInput = InferInput<typeof OffsetCommitRequest>

export const OffsetCommitResponse = message(
  'OffsetCommitResponse',
  { versions: '2-10', flexible: '8+' },
  {
    throttleTimeMs: int32({ versions: '3+', ignorable: true, fallback: 0 }),

    topics: array(
      struct({
        name: string({ versions: '0-9', ignorable: true, fallback: '' }),
        topicId: uuid({ versions: '10+', ignorable: true, fallback: ZERO_UUID }),
        partitions: array(struct({ partitionIndex: int32(), errorCode: int16() })),
      }),
    ),
  },
)
export type OffsetCommitResponse = Infer<typeof OffsetCommitResponse>
export type OffsetCommitResponseInput = InferInput<typeof OffsetCommitResponse>
