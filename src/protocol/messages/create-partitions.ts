/**
 * CreatePartitions (API key 37): gives topics more partitions (KIP-195).
 *
 * v1 throttles after the answer (KIP-219) · v2 flexible (KIP-482) · v3 THROTTLING_QUOTA_EXCEEDED (KIP-599)
 */
import { array, bool, int16, int32, message, string, struct } from '../schema/fields.ts'
import type { Infer, InferInput } from '../schema/fields.ts'

export const CreatePartitionsRequest = message(
  'CreatePartitionsRequest',
  { versions: '0-3', flexible: '2+' },
  {
    topics: array(
      struct({
        name: string(),
        count: int32(), // partitions in all, afterwards
        assignments: array(
          struct({
            brokerIds: array(int32()), // of one new partition; the first one is the preferred leader
          }),
          { nullable: '0+' },
        ), // null: as the controller likes
      }),
    ),
    timeoutMs: int32(),
    validateOnly: bool(),
  },
)
export type CreatePartitionsRequest = Infer<typeof CreatePartitionsRequest>
export type CreatePartitionsRequestInput = InferInput<typeof CreatePartitionsRequest>

export const CreatePartitionsResponse = message(
  'CreatePartitionsResponse',
  { versions: '0-3', flexible: '2+' },
  {
    throttleTimeMs: int32({ fallback: 0 }),
    results: array(
      struct({
        name: string(),
        errorCode: int16(),
        errorMessage: string({ nullable: '0+', fallback: null }),
      }),
    ),
  },
)
export type CreatePartitionsResponse = Infer<typeof CreatePartitionsResponse>
export type CreatePartitionsResponseInput = InferInput<typeof CreatePartitionsResponse>
