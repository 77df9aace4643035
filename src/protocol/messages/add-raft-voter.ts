/**
 * AddRaftVoter (API key 80): gives a node and its disk a vote in the metadata quorum (KIP-853).
 *
 * v1 says whether to answer before the change is committed; not served: here an answer means that it is.
 */
import { array, int16, int32, message, string, struct, uint16, uuid } from '../schema/fields.ts'
import type { Infer, InferInput } from '../schema/fields.ts'

export const AddRaftVoterRequest = message(
  'AddRaftVoterRequest',
  { versions: '0', flexible: '0+' },
  {
    clusterId: string({ nullable: '0+' }),
    timeoutMs: int32(),
    voterId: int32(),
    voterDirectoryId: uuid(),
    listeners: array(struct({ name: string(), host: string(), port: uint16() })),
  },
)
export type AddRaftVoterRequest = Infer<typeof AddRaftVoterRequest>
export type AddRaftVoterRequestInput = InferInput<typeof AddRaftVoterRequest>

export const AddRaftVoterResponse = message(
  'AddRaftVoterResponse',
  { versions: '0', flexible: '0+' },
  {
    throttleTimeMs: int32(),
    errorCode: int16(),
    errorMessage: string({ nullable: '0+', ignorable: true }),
  },
)
export type AddRaftVoterResponse = Infer<typeof AddRaftVoterResponse>
export type AddRaftVoterResponseInput = InferInput<typeof AddRaftVoterResponse>
