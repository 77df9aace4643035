/**
 * FindCoordinator (API key 10): which broker answers for a group or for a transactional id.
 *
 * v1 kind of key, throttle time, error message · v2 throttles after the answer (KIP-219) · v3 flexible (KIP-482) ·
 * v4 several keys at once (KIP-699) · v5 TRANSACTION_ABORTABLE (KIP-890) · v6 share groups (KIP-932)
 */
import { array, int16, int32, int8, message, string, struct } from '../schema/fields.ts'
import type { Infer, InferInput } from '../schema/fields.ts'

export const FindCoordinatorRequest = message(
  'FindCoordinatorRequest',
  { versions: '0-6', flexible: '3+' },
  {
    key: string({ versions: '0-3', fallback: '' }),
    keyType: int8({ versions: '1+', fallback: 0 }), // 0 group, 1 transaction, 2 share
    coordinatorKeys: array(string(), { versions: '4+', fallback: [] }),
  },
)
export type FindCoordinatorRequest = Infer<typeof FindCoordinatorRequest>
export type FindCoordinatorRequestInput = InferInput<typeof FindCoordinatorRequest>

export const FindCoordinatorResponse = message(
  'FindCoordinatorResponse',
  { versions: '0-6', flexible: '3+' },
  {
    throttleTimeMs: int32({ versions: '1+', ignorable: true, fallback: 0 }),

    errorCode: int16({ versions: '0-3', fallback: 0 }),
    errorMessage: string({ versions: '1-3', nullable: '1-3', ignorable: true, fallback: '' }),
    nodeId: int32({ versions: '0-3', fallback: 0 }), // -1 on error
    host: string({ versions: '0-3', fallback: '' }),
    port: int32({ versions: '0-3', fallback: 0 }), // -1 on error
    coordinators: array(
      struct({
        key: string(),
        nodeId: int32(), // -1 on error
        host: string(),
        port: int32(), // -1 on error
        errorCode: int16(),
        errorMessage: string({ nullable: '4+', ignorable: true, fallback: '' }),
      }),
      { versions: '4+', fallback: [] },
    ),
  },
)
export type FindCoordinatorResponse = Infer<typeof FindCoordinatorResponse>
export type FindCoordinatorResponseInput = InferInput<typeof FindCoordinatorResponse>
