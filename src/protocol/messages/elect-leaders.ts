/**
 * ElectLeaders (API key 43): elects the preferred leader of partitions, or any live replica where none that is in sync is
 * left (KIP-460).
 *
 * v1 kinds of election (KIP-460) · v2 flexible (KIP-482)
 */
import { array, int16, int32, int8, message, string, struct } from '../schema/fields.ts'
import type { Infer, InferInput } from '../schema/fields.ts'

export const ElectLeadersRequest = message(
  'ElectLeadersRequest',
  { versions: '0-2', flexible: '2+' },
  {
    electionType: int8({ versions: '1+' }), // 0 preferred, 1 unclean
    topicPartitions: array(
      struct({
        topic: string(),
        partitions: array(int32()),
      }),
      { nullable: '0+' }, // null: all
    ),
    timeoutMs: int32({ fallback: 60_000 }),
  },
)
export type ElectLeadersRequest = Infer<typeof ElectLeadersRequest>
export type ElectLeadersRequestInput = InferInput<typeof ElectLeadersRequest>

export const ElectLeadersResponse = message(
  'ElectLeadersResponse',
  { versions: '0-2', flexible: '2+' },
  {
    throttleTimeMs: int32(),
    errorCode: int16({ versions: '1+' }),
    replicaElectionResults: array(
      struct({
        topic: string(),
        partitionResult: array(
          struct({
            partitionId: int32(),
            errorCode: int16(),
            errorMessage: string({ nullable: '0+' }),
          }),
        ),
      }),
    ),
  },
)
export type ElectLeadersResponse = Infer<typeof ElectLeadersResponse>
export type ElectLeadersResponseInput = InferInput<typeof ElectLeadersResponse>
