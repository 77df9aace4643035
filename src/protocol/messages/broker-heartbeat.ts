/**
 * BrokerHeartbeat (API key 63): a broker shows the controller that it lives, and what it wants (KIP-631). Between brokers
 * only.
 *
 * v1 directories that failed (KIP-858). Version 2, about directories that take no new partitions, is not served: there is
 * nothing to cordon off here.
 */
import { array, bool, int16, int32, int64, message, uuid } from '../schema/fields.ts'
import type { Infer, InferInput } from '../schema/fields.ts'

export const BrokerHeartbeatRequest = message(
  'BrokerHeartbeatRequest',
  { versions: '0-1', flexible: '0+' },
  {
    brokerId: int32(),
    brokerEpoch: int64({ fallback: -1 }),
    currentMetadataOffset: int64(), // of the last record in effect
    wantFence: bool(),
    wantShutDown: bool(),
    offlineLogDirs: array(uuid(), { versions: '1+', tag: 0 }),
  },
)
export type BrokerHeartbeatRequest = Infer<typeof BrokerHeartbeatRequest>
export type BrokerHeartbeatRequestInput = InferInput<typeof BrokerHeartbeatRequest>

export const BrokerHeartbeatResponse = message(
  'BrokerHeartbeatResponse',
  { versions: '0-1', flexible: '0+' },
  {
    throttleTimeMs: int32(),
    errorCode: int16(),
    isCaughtUp: bool({ fallback: false }),
    isFenced: bool({ fallback: true }),
    shouldShutDown: bool(),
  },
)
export type BrokerHeartbeatResponse = Infer<typeof BrokerHeartbeatResponse>
export type BrokerHeartbeatResponseInput = InferInput<typeof BrokerHeartbeatResponse>
