/**
 * ListGroups (API key 16): the groups that a broker coordinates.
 *
 * v1 throttle time (KIP-124) · v2 throttles after the answer (KIP-219) · v3 flexible (KIP-482) · v4 by state (KIP-518) ·
 * v5 by type (KIP-848)
 */
import { OWN_TAG_FIRST } from '../schema/check.ts'
import { array, int16, int32, message, string, struct } from '../schema/fields.ts'
import type { Infer, InferInput } from '../schema/fields.ts'

export const ListGroupsRequest = message(
  'ListGroupsRequest',
  { versions: '0-5', flexible: '3+' },
  {
    statesFilter: array(string(), { versions: '4+', fallback: [] }), // empty: all
    typesFilter: array(string(), { versions: '5+', fallback: [] }), // empty: all
    // Ours: whose groups, where an address does not say it; -1: those of the broker that gets the request.
    brokerId: int32({ versions: '3+', tag: OWN_TAG_FIRST, ignorable: true, fallback: -1 }),
  },
)
export type ListGroupsRequest = Infer<typeof ListGroupsRequest>
export type ListGroupsRequestInput = InferInput<typeof ListGroupsRequest>

export const ListGroupsResponse = message(
  'ListGroupsResponse',
  { versions: '0-5', flexible: '3+' },
  {
    throttleTimeMs: int32({ versions: '1+', ignorable: true, fallback: 0 }),

    errorCode: int16(),
    groups: array(
      struct({
        groupId: string(),
        protocolType: string(),
        groupState: string({ versions: '4+', ignorable: true, fallback: '' }),
        groupType: string({ versions: '5+', ignorable: true, fallback: '' }),
      }),
    ),
  },
)
export type ListGroupsResponse = Infer<typeof ListGroupsResponse>
export type ListGroupsResponseInput = InferInput<typeof ListGroupsResponse>
