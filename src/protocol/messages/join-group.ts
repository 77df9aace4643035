/**
 * JoinGroup (API key 11): a member of a classic group takes part in the next generation. The answer comes when all have joined;
 * the leader's has what every member can do, so that it can assign.
 *
 * v1 rebalance time-out · v2 throttle time (KIP-124) · v3 throttles after the answer (KIP-219) · v4 a first join without an id
 * is sent back with one (KIP-394) · v5 static members (KIP-345) · v6 flexible (KIP-482) · v7 protocol type (KIP-559) ·
 * v8 reason (KIP-800) · v9 a leader that comes back may be told not to assign (KIP-814)
 */
import { array, bool, bytes, int16, int32, message, string, struct } from '../schema/fields.ts'
import type { Infer, InferInput } from '../schema/fields.ts'

export const JoinGroupRequest = message(
  'JoinGroupRequest',
  { versions: '0-9', flexible: '6+' },
  {
    groupId: string(),
    sessionTimeoutMs: int32(),
    rebalanceTimeoutMs: int32({ versions: '1+', ignorable: true, fallback: -1 }), // -1: as the session's
    memberId: string(), // empty when it has none yet
    groupInstanceId: string({ versions: '5+', nullable: '5+', fallback: null }),
    protocolType: string(),
    protocols: array(struct({ name: string(), metadata: bytes() })), // in the order of preference
    reason: string({ versions: '8+', nullable: '8+', ignorable: true, fallback: null }),
  },
)
export type JoinGroupRequest = Infer<typeof JoinGroupRequest>
export type JoinGroupRequestInput = InferInput<typeof JoinGroupRequest>

export const JoinGroupResponse = message(
  'JoinGroupResponse',
  { versions: '0-9', flexible: '6+' },
  {
    throttleTimeMs: int32({ versions: '2+', ignorable: true, fallback: 0 }),

    errorCode: int16(),
    generationId: int32({ fallback: -1 }),
    protocolType: string({ versions: '7+', nullable: '7+', ignorable: true, fallback: null }),
    protocolName: string({ nullable: '7+' }), // empty on error, from v7 on null
    leader: string(), // member id
    skipAssignment: bool({ versions: '9+', fallback: false }),
    memberId: string(),
    members: array(
      struct({
        // empty but for the leader
        memberId: string(),
        groupInstanceId: string({ versions: '5+', nullable: '5+', ignorable: true, fallback: null }),
        metadata: bytes(),
      }),
    ),
  },
)
export type JoinGroupResponse = Infer<typeof JoinGroupResponse>
export type JoinGroupResponseInput = InferInput<typeof JoinGroupResponse>
