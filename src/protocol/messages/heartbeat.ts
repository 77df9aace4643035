/**
 * Heartbeat (API key 12): a member of a classic group is alive, and learns whether it must join anew.
 *
 * v1 throttle time (KIP-124) · v2 throttles after the answer (KIP-219) · v3 static members (KIP-345) · v4 flexible (KIP-482)
 */
import { int16, int32, message, string } from '../schema/fields.ts'
import type { Infer, InferInput } from '../schema/fields.ts'

export const HeartbeatRequest = message(
  'HeartbeatRequest',
  { versions: '0-4', flexible: '4+' },
  {
    groupId: string(),
    generationId: int32(),
    memberId: string(),
    groupInstanceId: string({ versions: '3+', nullable: '3+', fallback: null }),
  },
)
export type HeartbeatRequest = Infer<typeof HeartbeatRequest>
export type HeartbeatRequestInput = InferInput<typeof HeartbeatRequest>

export const HeartbeatResponse = message(
  'HeartbeatResponse',
  { versions: '0-4', flexible: '4+' },
  {
    throttleTimeMs: int32({ versions: '1+', ignorable: true, fallback: 0 }),

    errorCode: int16(),
  },
)
export type HeartbeatResponse = Infer<typeof HeartbeatResponse>
export type HeartbeatResponseInput = InferInput<typeof HeartbeatResponse>
