/**
 * OffsetDelete (API key 47): forgets what a group committed for partitions of topics that it does not read (KIP-496).
 *
 * Never flexible.
 */
import { array, int16, int32, message, string, struct } from '../schema/fields.ts'
import type { Infer, InferInput } from '../schema/fields.ts'

export const OffsetDeleteRequest = message(
  'OffsetDeleteRequest',
  { versions: '0', flexible: 'none' },
  {
    groupId: string(),
    topics: array(struct({ name: string(), partitions: array(struct({ partitionIndex: int32() })) })),
  },
)
export type OffsetDeleteRequest = Infer<typeof OffsetDeleteRequest>
export type OffsetDeleteRequestInput = InferInput<typeof OffsetDeleteRequest>

export const OffsetDeleteResponse = message(
  'OffsetDeleteResponse',
  { versions: '0', flexible: 'none' },
  {
    errorCode: int16(),
    throttleTimeMs: int32({ ignorable: true, fallback: 0 }),
    topics: array(
      struct({ name: string(), partitions: array(struct({ partitionIndex: int32(), errorCode: int16() })) }),
    ),
  },
)
export type OffsetDeleteResponse = Infer<typeof OffsetDeleteResponse>
export type OffsetDeleteResponseInput = InferInput<typeof OffsetDeleteResponse>
