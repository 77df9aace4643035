/**
 * DeleteRecords (API key 21): moves the log start offset of partitions forward (KIP-107).
 *
 * v1 throttles after the answer (KIP-219) · v2 flexible (KIP-482)
 */
import { array, int16, int32, int64, message, string, struct } from '../schema/fields.ts'
import type { Infer, InferInput } from '../schema/fields.ts'

export const DeleteRecordsRequest = message(
  'DeleteRecordsRequest',
  { versions: '0-2', flexible: '2+' },
  {
    topics: array(
      struct({
        name: string(),
        partitions: array(
          struct({
            partitionIndex: int32(),
            offset: int64(), // the first one to keep, -1: the high watermark
          }),
        ),
      }),
    ),
    timeoutMs: int32(),
  },
)
export type DeleteRecordsRequest = Infer<typeof DeleteRecordsRequest>
export type DeleteRecordsRequestInput = InferInput<typeof DeleteRecordsRequest>

export const DeleteRecordsResponse = message(
  'DeleteRecordsResponse',
  { versions: '0-2', flexible: '2+' },
  {
    throttleTimeMs: int32({ fallback: 0 }),
    topics: array(
      struct({
        name: string(),
        partitions: array(
          struct({
            partitionIndex: int32(),
            lowWatermark: int64(), // the smallest log start offset of the replicas
            errorCode: int16(),
          }),
        ),
      }),
    ),
  },
)
export type DeleteRecordsResponse = Infer<typeof DeleteRecordsResponse>
export type DeleteRecordsResponseInput = InferInput<typeof DeleteRecordsResponse>
