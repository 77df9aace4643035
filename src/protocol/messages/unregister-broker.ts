/**
 * UnregisterBroker (API key 64): removes a broker that is gone for good (KIP-631).
 */
import { int16, int32, message, string } from '../schema/fields.ts'
import type { Infer, InferInput } from '../schema/fields.ts'

export const UnregisterBrokerRequest = message(
  'UnregisterBrokerRequest',
  { versions: '0', flexible: '0+' },
  { brokerId: int32() },
)
export type UnregisterBrokerRequest = Infer<typeof UnregisterBrokerRequest>
export type UnregisterBrokerRequestInput = InferInput<typeof UnregisterBrokerRequest>

export const UnregisterBrokerResponse = message(
  'UnregisterBrokerResponse',
  { versions: '0', flexible: '0+' },
  {
    throttleTimeMs: int32(),
    errorCode: int16(),
    errorMessage: string({ nullable: '0+' }),
  },
)
export type UnregisterBrokerResponse = Infer<typeof UnregisterBrokerResponse>
export type UnregisterBrokerResponseInput = InferInput<typeof UnregisterBrokerResponse>
