/** RemoveRaftVoter (API key 81): takes the vote in the metadata quorum from a node and its disk (KIP-853). */
import { int16, int32, message, string, uuid } from '../schema/fields.ts'
import type { Infer, InferInput } from '../schema/fields.ts'

export const RemoveRaftVoterRequest = message(
  'RemoveRaftVoterRequest',
  { versions: '0', flexible: '0+' },
  { clusterId: string({ nullable: '0+' }), voterId: int32(), voterDirectoryId: uuid() },
)
export type RemoveRaftVoterRequest = Infer<typeof RemoveRaftVoterRequest>
export type RemoveRaftVoterRequestInput = InferInput<typeof RemoveRaftVoterRequest>

export const RemoveRaftVoterResponse = message(
  'RemoveRaftVoterResponse',
  { versions: '0', flexible: '0+' },
  {
    throttleTimeMs: int32(),
    errorCode: int16(),
    errorMessage: string({ nullable: '0+', ignorable: true }),
  },
)
export type RemoveRaftVoterResponse = Infer<typeof RemoveRaftVoterResponse>
export type RemoveRaftVoterResponseInput = InferInput<typeof RemoveRaftVoterResponse>
