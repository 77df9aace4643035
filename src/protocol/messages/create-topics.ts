/**
 * CreateTopics (API key 19): creates topics, or checks whether it could.
 *
 * v2 throttle time (KIP-124) · v3 throttles after the answer (KIP-219) · v4 -1 takes the broker's default number of
 * partitions and replicas (KIP-464) · v5 flexible (KIP-482), the answer tells partitions, replicas and configuration
 * (KIP-525) · v6 THROTTLING_QUOTA_EXCEEDED (KIP-599) · v7 topic id in the answer (KIP-516)
 */
import { ZERO_UUID } from '../../bytes/uuid.ts'
import { array, bool, int16, int32, int8, message, string, struct, uuid } from '../schema/fields.ts'
import type { Infer, InferInput } from '../schema/fields.ts'

export const CreateTopicsRequest = message(
  'CreateTopicsRequest',
  { versions: '2-7', flexible: '5+' },
  {
    topics: array(
      struct({
        name: string(),
        numPartitions: int32(), // -1: the default, or as many as are assigned
        replicationFactor: int16(), // -1: the default, or as assigned
        assignments: array(
          struct({
            partitionIndex: int32(),
            brokerIds: array(int32()), // the first one is the preferred leader
          }),
        ),
        configs: array(
          struct({
            name: string(),
            value: string({ nullable: '0+' }),
          }),
        ),
      }),
    ),
    timeoutMs: int32({ fallback: 60000 }),
    validateOnly: bool({ fallback: false }),
  },
)
export type CreateTopicsRequest = Infer<typeof CreateTopicsRequest>
export type CreateTopicsRequestInput = InferInput<typeof CreateTopicsRequest>

export const CreateTopicsResponse = message(
  'CreateTopicsResponse',
  { versions: '2-7', flexible: '5+' },
  {
    throttleTimeMs: int32({ ignorable: true, fallback: 0 }),
    topics: array(
      struct({
        name: string(),
        topicId: uuid({ versions: '7+', ignorable: true, fallback: ZERO_UUID }),
        errorCode: int16(),
        errorMessage: string({ nullable: '0+', ignorable: true }),
        topicConfigErrorCode: int16({ versions: '5+', tag: 0, ignorable: true }), // why configs is null
        numPartitions: int32({ versions: '5+', ignorable: true, fallback: -1 }),
        replicationFactor: int16({ versions: '5+', ignorable: true, fallback: -1 }),
        configs: array(
          struct({
            name: string(),
            value: string({ nullable: '5+' }),
            readOnly: bool(),
            configSource: int8({ ignorable: true, fallback: -1 }),
            isSensitive: bool(),
          }),
          { versions: '5+', nullable: '5+', ignorable: true, fallback: [] },
        ),
      }),
    ),
  },
)
export type CreateTopicsResponse = Infer<typeof CreateTopicsResponse>
export type CreateTopicsResponseInput = InferInput<typeof CreateTopicsResponse>
