/**
 * SyncGroup (API key 14): a member of a classic group asks what it was assigned; the leader's request says it.
 *
 * v1 throttle time (KIP-124) · v2 throttles after the answer (KIP-219) · v3 static members (KIP-345) · v4 flexible (KIP-482) ·
 * v5 protocol type and name (KIP-559)
 */
import { array, bytes, int16, int32, message, string, struct } from '../schema/fields.ts'
import type { Infer, InferInput } from '../schema/fields.ts'

export const SyncGroupRequest = message(
  'SyncGroupRequest',
  { versions: '0-5', flexible: '4+' },
  {
    groupId: string(),
    generationId: int32(),
    memberId: string(),
    groupInstanceId: string({ versions: '3+', nullable: '3+', fallback: null }),
    protocolType: string({ versions: '5+', nullable: '5+', ignorable: true, fallback: null }),
    protocolName: string({ versions: '5+', nullable: '5+', ignorable: true, fallback: null }),
    assignments: array(struct({ memberId: string(), assignment: bytes() })), // empty but from the leader
  },
)
export type SyncGroupRequest = Infer<typeof SyncGroupRequest>
export type SyncGroupRequestInput = InferInput<typeof SyncGroupRequest>

export const SyncGroupResponse = message(
  'SyncGroupResponse',
  { versions: '0-5', flexible: '4+' },
  {
    throttleTimeMs: int32({ versions: '1+', ignorable: true, fallback: 0 }),

    errorCode: int16(),
    protocolType: string({ versions: '5+', nullable: '5+', ignorable: true, fallback: null }),
    protocolName: string({ versions: '5+', nullable: '5+', ignorable: true, fallback: null }),
    assignment: bytes(),
  },
)
export type SyncGroupResponse = Infer<typeof SyncGroupResponse>
export type SyncGroupResponseInput = InferInput<typeof SyncGroupResponse>
