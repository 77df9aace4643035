/**
 * RenewLeaderEpochs (API key 1000, Millrace's own): the leader of partitions asks the controller for new epochs, since it had
 * to undo appends that a follower may have read. Between brokers only.
 */
import { array, int16, int32, int64, message, string, struct, uuid } from '../schema/fields.ts'
import type { Infer, InferInput } from '../schema/fields.ts'

export const RenewLeaderEpochsRequest = message(
  'RenewLeaderEpochsRequest',
  { versions: '0', flexible: '0+' },
  {
    brokerId: int32(),
    brokerEpoch: int64(),
    partitions: array(struct({ topicId: uuid(), partitionId: int32(), leaderEpoch: int32() })),
  },
)
export type RenewLeaderEpochsRequest = Infer<typeof RenewLeaderEpochsRequest>
export type RenewLeaderEpochsRequestInput = InferInput<typeof RenewLeaderEpochsRequest>

export const RenewLeaderEpochsResponse = message(
  'RenewLeaderEpochsResponse',
  { versions: '0', flexible: '0+' },
  { throttleTimeMs: int32(), errorCode: int16(), errorMessage: string({ nullable: '0+' }) },
)
export type RenewLeaderEpochsResponse = Infer<typeof RenewLeaderEpochsResponse>
export type RenewLeaderEpochsResponseInput = InferInput<typeof RenewLeaderEpochsResponse>
