/**
 * OffsetFetch (API key 9): how far groups have read.
 *
 * v2 all topics (null), error of the whole · v3 throttle time (KIP-124) · v4 throttles after the answer (KIP-219) · v5 leader
 * epoch (KIP-320) · v6 flexible (KIP-482) · v7 waits for open transactions on demand (KIP-447) · v8 several groups
 * (KIP-709) · v9 members of the consumer protocol (KIP-848) · v10 topic ids instead of names (KIP-848)
 */
import { ZERO_UUID } from '../../bytes/uuid.ts'
import { array, bool, int16, int32, int64, message, string, struct, uuid } from '../schema/fields.ts'
import type { Infer, InferInput } from '../schema/fields.ts'

export const OffsetFetchRequest = message(
  'OffsetFetchRequest',
  { versions: '1-10', flexible: '6+' },
  {
    groupId: string({ versions: '0-7', fallback: '' }),
    topics: array(struct({ name: string(), partitionIndexes: array(int32()) }), {
      versions: '0-7',
      nullable: '2-7',
      fallback: [],
    }), // null: all
    groups: array(
      struct({
        groupId: string(),
        memberId: string({ versions: '9+', nullable: '9+', ignorable: true, fallback: null }),
        memberEpoch: int32({ versions: '9+', ignorable: true, fallback: -1 }), // negative: no member of the consumer protocol
        topics: array(
          struct({
            // null: all
            name: string({ versions: '8-9', ignorable: true, fallback: '' }),
            topicId: uuid({ versions: '10+', ignorable: true, fallback: ZERO_UUID }),
            partitionIndexes: array(int32()),
          }),
          { nullable: '8+' },
        ),
      }),
      { versions: '8+', fallback: [] },
    ),
    requireStable: bool({ versions: '7+', fallback: false }),
  },
)
export type OffsetFetchRequest = Infer<typeof OffsetFetchRequest>
export type OffsetFetchRequestInput = InferInput<typeof OffsetFetchRequest>

export const OffsetFetchResponse = message(
  'OffsetFetchResponse',
  { versions: '1-10', flexible: '6+' },
  {
    throttleTimeMs: int32({ versions: '3+', ignorable: true, fallback: 0 }),

    topics: array(
      struct({
        name: string(),
        partitions: array(
          struct({
            partitionIndex: int32(),
            committedOffset: int64(), // -1 none
            committedLeaderEpoch: int32({ versions: '5-7', ignorable: true, fallback: -1 }),
            metadata: string({ nullable: '0-7' }),
            errorCode: int16(),
          }),
        ),
      }),
      { versions: '0-7', fallback: [] },
    ),
    errorCode: int16({ versions: '2-7', ignorable: true, fallback: 0 }),
    groups: array(
      struct({
        groupId: string(),
        topics: array(
          struct({
            name: string({ versions: '8-9', ignorable: true, fallback: '' }),
            topicId: uuid({ versions: '10+', ignorable: true, fallback: ZERO_UUID }),
            partitions: array(
              struct({
                partitionIndex: int32(),
                committedOffset: int64(), // -1 none
                committedLeaderEpoch: int32({ ignorable: true, fallback: -1 }),
                metadata: string({ nullable: '8+' }),
                errorCode: int16(),
              }),
            ),
          }),
        ),
        errorCode: int16({ fallback: 0 }),
      }),
      { versions: '8+', fallback: [] },
    ),
  },
)
export type OffsetFetchResponse = Infer<typeof OffsetFetchResponse>
export type OffsetFetchResponseInput = InferInput<typeof OffsetFetchResponse>
