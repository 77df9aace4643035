/**
 * ResignReplicas (API key 1003, Millrace's own): a broker gives up replicas whose logs have failed or could not be opened, so that
 * others lead, and nobody counts on what is in them. Between brokers only. Kafka's way (AssignReplicasToDirs and the failed
 * directories of a heartbeat) speaks of whole directories, of which a broker here has one.
 */
import { array, int16, int32, int64, message, string, struct, uuid } from '../schema/fields.ts'
import type { Infer, InferInput } from '../schema/fields.ts'

export const ResignReplicasRequest = message(
  'ResignReplicasRequest',
  { versions: '0', flexible: '0+' },
  {
    brokerId: int32(),
    brokerEpoch: int64(),
    partitions: array(struct({ topicId: uuid(), partitionId: int32(), leaderEpoch: int32() })),
  },
)
export type ResignReplicasRequest = Infer<typeof ResignReplicasRequest>
export type ResignReplicasRequestInput = InferInput<typeof ResignReplicasRequest>

export const ResignReplicasResponse = message(
  'ResignReplicasResponse',
  { versions: '0', flexible: '0+' },
  { throttleTimeMs: int32(), errorCode: int16(), errorMessage: string({ nullable: '0+' }) },
)
export type ResignReplicasResponse = Infer<typeof ResignReplicasResponse>
export type ResignReplicasResponseInput = InferInput<typeof ResignReplicasResponse>
