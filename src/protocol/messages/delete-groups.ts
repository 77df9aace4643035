/**
 * DeleteGroups (API key 42): deletes groups without members, and their offsets.
 *
 * v1 throttles after the answer (KIP-219) · v2 flexible (KIP-482)
 */
import { array, int16, int32, message, string, struct } from '../schema/fields.ts'
import type { Infer, InferInput } from '../schema/fields.ts'

export const DeleteGroupsRequest = message(
  'DeleteGroupsRequest',
  { versions: '0-2', flexible: '2+' },
  {
    groupsNames: array(string()),
  },
)
export type DeleteGroupsRequest = Infer<typeof DeleteGroupsRequest>
export type DeleteGroupsRequestInput = InferInput<typeof DeleteGroupsRequest>

export const DeleteGroupsResponse = message(
  'DeleteGroupsResponse',
  { versions: '0-2', flexible: '2+' },
  {
    throttleTimeMs: int32({ fallback: 0 }),
    results: array(struct({ groupId: string(), errorCode: int16() })),
  },
)
export type DeleteGroupsResponse = Infer<typeof DeleteGroupsResponse>
export type DeleteGroupsResponseInput = InferInput<typeof DeleteGroupsResponse>
