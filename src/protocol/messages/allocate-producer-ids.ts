/**
 * AllocateProducerIds (API key 67): a broker takes a block of producer ids (KIP-730). Between brokers only.
 */
import { int16, int32, int64, message } from '../schema/fields.ts'
import type { Infer, InferInput } from '../schema/fields.ts'

export const AllocateProducerIdsRequest = message(
  'AllocateProducerIdsRequest',
  { versions: '0', flexible: '0+' },
  {
    brokerId: int32(),
    brokerEpoch: int64({ fallback: -1 }),
  },
)
export type AllocateProducerIdsRequest = Infer<typeof AllocateProducerIdsRequest>
export type AllocateProducerIdsRequestInput = InferInput<typeof AllocateProducerIdsRequest>

export const AllocateProducerIdsResponse = message(
  'AllocateProducerIdsResponse',
  { versions: '0', flexible: '0+' },
  {
    throttleTimeMs: int32(),
    errorCode: int16(),
    producerIdStart: int64(),
    producerIdLen: int32(),
  },
)
export type AllocateProducerIdsResponse = Infer<typeof AllocateProducerIdsResponse>
export type AllocateProducerIdsResponseInput = InferInput<typeof AllocateProducerIdsResponse>
