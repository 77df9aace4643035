/**
 * LeaveGroup (API key 13): takes members out of a classic group at once, without waiting for their sessions to end.
 *
 * v1 throttle time (KIP-124) · v2 throttles after the answer (KIP-219) · v3 several, and static ones by instance id
 * (KIP-345) · v4 flexible (KIP-482) · v5 reason (KIP-800)
 */
import { array, int16, int32, message, string, struct } from '../schema/fields.ts'
import type { Infer, InferInput } from '../schema/fields.ts'

export const LeaveGroupRequest = message(
  'LeaveGroupRequest',
  { versions: '0-5', flexible: '4+' },
  {
    groupId: string(),
    memberId: string({ versions: '0-2', fallback: '' }),
    members: array(
      struct({
        memberId: string(), // empty: whoever has the instance id
        groupInstanceId: string({ nullable: '3+', fallback: null }),
        reason: string({ versions: '5+', nullable: '5+', ignorable: true, fallback: null }),
      }),
      { versions: '3+', fallback: [] },
    ),
  },
)
export type LeaveGroupRequest = Infer<typeof LeaveGroupRequest>
export type LeaveGroupRequestInput = InferInput<typeof LeaveGroupRequest>

export const LeaveGroupResponse = message(
  'LeaveGroupResponse',
  { versions: '0-5', flexible: '4+' },
  {
    throttleTimeMs: int32({ versions: '1+', ignorable: true, fallback: 0 }),

    errorCode: int16(),
    members: array(
      struct({
        memberId: string(),
        groupInstanceId: string({ nullable: '3+' }),
        errorCode: int16(),
      }),
      { versions: '3+', fallback: [] },
    ),
  },
)
export type LeaveGroupResponse = Infer<typeof LeaveGroupResponse>
export type LeaveGroupResponseInput = InferInput<typeof LeaveGroupResponse>
