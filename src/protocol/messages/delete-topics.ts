/**
 * DeleteTopics (API key 20): deletes topics and all that is in them.
 *
 * v1 throttle time (KIP-124) · v2 throttles after the answer (KIP-219) · v3 TOPIC_DELETION_DISABLED (KIP-322) ·
 * v4 flexible (KIP-482) · v5 error message, THROTTLING_QUOTA_EXCEEDED (KIP-599) · v6 by name or by topic id (KIP-516)
 */
import { ZERO_UUID } from '../../bytes/uuid.ts'
import { array, int16, int32, message, string, struct, uuid } from '../schema/fields.ts'
import type { Infer, InferInput } from '../schema/fields.ts'

export const DeleteTopicsRequest = message(
  'DeleteTopicsRequest',
  { versions: '1-6', flexible: '4+' },
  {
    topics: array(
      struct({
        name: string({ nullable: '6+', fallback: null }), // null when the id is given
        topicId: uuid({ fallback: ZERO_UUID }),
      }),
      { versions: '6+', fallback: [] },
    ),
    topicNames: array(string(), { versions: '0-5', ignorable: true, fallback: [] }),
    timeoutMs: int32(),
  },
)
export type DeleteTopicsRequest = Infer<typeof DeleteTopicsRequest>
export type DeleteTopicsRequestInput = InferInput<typeof DeleteTopicsRequest>

export const DeleteTopicsResponse = message(
  'DeleteTopicsResponse',
  { versions: '1-6', flexible: '4+' },
  {
    throttleTimeMs: int32({ ignorable: true, fallback: 0 }),
    responses: array(
      struct({
        name: string({ nullable: '6+' }),
        topicId: uuid({ versions: '6+', ignorable: true, fallback: ZERO_UUID }),
        errorCode: int16(),
        errorMessage: string({ versions: '5+', nullable: '5+', ignorable: true, fallback: null }),
      }),
    ),
  },
)
export type DeleteTopicsResponse = Infer<typeof DeleteTopicsResponse>
export type DeleteTopicsResponseInput = InferInput<typeof DeleteTopicsResponse>
