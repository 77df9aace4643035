/**
 * AlterPartitionReassignments (API key 45): moves partitions to other brokers, or calls that off (KIP-455).
 *
 * v1 says whether the number of replicas may change (KIP-860)
 */
import { array, bool, int16, int32, message, string, struct } from '../schema/fields.ts'
import type { Infer, InferInput } from '../schema/fields.ts'

export const AlterPartitionReassignmentsRequest = message(
  'AlterPartitionReassignmentsRequest',
  { versions: '0-1', flexible: '0+' },
  {
    timeoutMs: int32({ fallback: 60_000 }),
    allowReplicationFactorChange: bool({ versions: '1+', fallback: true }),
    topics: array(
      struct({
        name: string(),
        partitions: array(
          struct({
            partitionIndex: int32(),
            replicas: array(int32(), { nullable: '0+', fallback: null }), // null: as it was before the move under way
          }),
        ),
      }),
    ),
  },
)
export type AlterPartitionReassignmentsRequest = Infer<typeof AlterPartitionReassignmentsRequest>
export type AlterPartitionReassignmentsRequestInput = InferInput<typeof AlterPartitionReassignmentsRequest>

export const AlterPartitionReassignmentsResponse = message(
  'AlterPartitionReassignmentsResponse',
  { versions: '0-1', flexible: '0+' },
  {
    throttleTimeMs: int32(),
    allowReplicationFactorChange: bool({ versions: '1+', ignorable: true, fallback: true }),
    errorCode: int16(),
    errorMessage: string({ nullable: '0+' }),
    responses: array(
      struct({
        name: string(),
        partitions: array(
          struct({
            partitionIndex: int32(),
            errorCode: int16(),
            errorMessage: string({ nullable: '0+' }),
          }),
        ),
      }),
    ),
  },
)
export type AlterPartitionReassignmentsResponse = Infer<typeof AlterPartitionReassignmentsResponse>
export type AlterPartitionReassignmentsResponseInput = InferInput<typeof AlterPartitionReassignmentsResponse>
