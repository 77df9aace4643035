/**
 * InitProducerId (API key 22): hands out a producer id for idempotent and transactional producing (KIP-98).
 *
 * v1 throttles after the answer (KIP-219) · v2 flexible (KIP-482) · v3 goes on with a known producer id and epoch
 * (KIP-360) · v4 PRODUCER_FENCED (KIP-588) · v5 TRANSACTION_ABORTABLE (KIP-890)
 */
import { int16, int32, int64, message, string } from '../schema/fields.ts'
import type { Infer, InferInput } from '../schema/fields.ts'

export const InitProducerIdRequest = message(
  'InitProducerIdRequest',
  { versions: '0-5', flexible: '2+' },
  {
    transactionalId: string({ nullable: '0+' }), // null: idempotent only
    transactionTimeoutMs: int32(),
    producerId: int64({ versions: '3+', fallback: -1 }),
    producerEpoch: int16({ versions: '3+', fallback: -1 }),
  },
)
export type InitProducerIdRequest = Infer<typeof InitProducerIdRequest>
export type InitProducerIdRequestInput = InferInput<typeof InitProducerIdRequest>

export const InitProducerIdResponse = message(
  'InitProducerIdResponse',
  { versions: '0-5', flexible: '2+' },
  {
    throttleTimeMs: int32({ ignorable: true, fallback: 0 }),
    errorCode: int16(),
    producerId: int64({ fallback: -1 }),
    producerEpoch: int16(),
  },
)
export type InitProducerIdResponse = Infer<typeof InitProducerIdResponse>
export type InitProducerIdResponseInput = InferInput<typeof InitProducerIdResponse>
