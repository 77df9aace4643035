/**
 * BrokerRegistration (API key 62): a broker process joins the cluster (KIP-631). Between brokers only.
 *
 * v2 data directories (KIP-858) · v3 epoch before a clean shutdown (KIP-966) · v4 features whose lowest level is 0. Version
 * 4 is the only one here: all brokers of a cluster speak it.
 */
import { array, bool, int16, int32, int64, message, string, struct, uint16, uuid } from '../schema/fields.ts'
import type { Infer, InferInput } from '../schema/fields.ts'

export const BrokerRegistrationRequest = message(
  'BrokerRegistrationRequest',
  { versions: '4', flexible: '4+' },
  {
    brokerId: int32(),
    clusterId: string(),
    incarnationId: uuid(),
    listeners: array(
      struct({
        name: string(),
        host: string(),
        port: uint16(),
        securityProtocol: int16(),
      }),
    ),
    features: array(
      struct({
        name: string(),
        minSupportedVersion: int16(),
        maxSupportedVersion: int16(),
      }),
    ),
    rack: string({ nullable: '0+' }),
    isMigratingZkBroker: bool({ versions: '1+', fallback: false }),
    logDirs: array(uuid(), { versions: '2+', ignorable: true }),
    previousBrokerEpoch: int64({ versions: '3+', ignorable: true, fallback: -1 }), // -1: it did not stop cleanly
  },
)
export type BrokerRegistrationRequest = Infer<typeof BrokerRegistrationRequest>
export type BrokerRegistrationRequestInput = InferInput<typeof BrokerRegistrationRequest>

export const BrokerRegistrationResponse = message(
  'BrokerRegistrationResponse',
  { versions: '4', flexible: '4+' },
  {
    throttleTimeMs: int32(),
    errorCode: int16(),
    brokerEpoch: int64({ fallback: -1 }),
  },
)
export type BrokerRegistrationResponse = Infer<typeof BrokerRegistrationResponse>
export type BrokerRegistrationResponseInput = InferInput<typeof BrokerRegistrationResponse>
