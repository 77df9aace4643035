/**
 * DrainBroker (API key 1001, Millrace's own): moves the replicas of one broker to others, some with each request; to be asked
 * again until nothing is left there, and the broker can be stopped and unregistered.
 */
import { int16, int32, message, string } from '../schema/fields.ts'
import type { Infer, InferInput } from '../schema/fields.ts'

export const DrainBrokerRequest = message(
  'DrainBrokerRequest',
  { versions: '0', flexible: '0+' },
  { brokerId: int32() },
)
export type DrainBrokerRequest = Infer<typeof DrainBrokerRequest>
export type DrainBrokerRequestInput = InferInput<typeof DrainBrokerRequest>

export const DrainBrokerResponse = message(
  'DrainBrokerResponse',
  { versions: '0', flexible: '0+' },
  {
    throttleTimeMs: int32(),
    errorCode: int16(),
    errorMessage: string({ nullable: '0+' }),
    startedCount: int32(), // partitions that begin to move
    leftCount: int32(), // partitions that still have a replica there
    stuckCount: int32(), // those of them for which there is no other broker
  },
)
export type DrainBrokerResponse = Infer<typeof DrainBrokerResponse>
export type DrainBrokerResponseInput = InferInput<typeof DrainBrokerResponse>
