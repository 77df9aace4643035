/**
 * DescribeGroups (API key 15): state and members of classic groups.
 *
 * v1 throttle time (KIP-124) · v2 throttles after the answer (KIP-219) · v3 authorized operations (KIP-430) · v4 static members
 * (KIP-345) · v5 flexible (KIP-482) · v6 GROUP_ID_NOT_FOUND for what is no group, error message (KIP-1043)
 */
import { array, bool, bytes, int16, int32, message, string, struct } from '../schema/fields.ts'
import type { Infer, InferInput } from '../schema/fields.ts'

export const DescribeGroupsRequest = message(
  'DescribeGroupsRequest',
  { versions: '0-6', flexible: '5+' },
  {
    groups: array(string()),
    includeAuthorizedOperations: bool({ versions: '3+', fallback: false }),
  },
)
export type DescribeGroupsRequest = Infer<typeof DescribeGroupsRequest>
export type DescribeGroupsRequestInput = InferInput<typeof DescribeGroupsRequest>

export const DescribeGroupsResponse = message(
  'DescribeGroupsResponse',
  { versions: '0-6', flexible: '5+' },
  {
    throttleTimeMs: int32({ versions: '1+', ignorable: true, fallback: 0 }),

    groups: array(
      struct({
        errorCode: int16(),
        errorMessage: string({ versions: '6+', nullable: '6+', fallback: null }),
        groupId: string(),
        groupState: string(),
        protocolType: string(),
        protocolData: string(), // name of the chosen protocol; empty unless stable
        members: array(
          struct({
            memberId: string(),
            groupInstanceId: string({ versions: '4+', nullable: '4+', ignorable: true, fallback: null }),
            clientId: string(),
            clientHost: string(),
            memberMetadata: bytes(), // empty unless stable
            memberAssignment: bytes(), // empty unless stable
          }),
        ),
        authorizedOperations: int32({ versions: '3+', fallback: -2147483648 }), // the fallback: was not asked for
      }),
    ),
  },
)
export type DescribeGroupsResponse = Infer<typeof DescribeGroupsResponse>
export type DescribeGroupsResponseInput = InferInput<typeof DescribeGroupsResponse>
