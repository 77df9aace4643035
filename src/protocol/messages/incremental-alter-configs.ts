/**
 * IncrementalAlterConfigs (API key 44): changes single keys of the configuration of topics and brokers (KIP-339).
 *
 * v1 flexible (KIP-482)
 */
import { array, bool, int16, int32, int8, message, string, struct } from '../schema/fields.ts'
import type { Infer, InferInput } from '../schema/fields.ts'

export const IncrementalAlterConfigsRequest = message(
  'IncrementalAlterConfigsRequest',
  { versions: '0-1', flexible: '1+' },
  {
    resources: array(
      struct({
        resourceType: int8(), // 2 topic, 4 broker, 8 broker logger
        resourceName: string(),
        configs: array(
          struct({
            name: string(),
            configOperation: int8(), // 0 set, 1 delete, 2 append, 3 subtract
            value: string({ nullable: '0+' }),
          }),
        ),
      }),
    ),
    validateOnly: bool(),
  },
)
export type IncrementalAlterConfigsRequest = Infer<typeof IncrementalAlterConfigsRequest>
export type IncrementalAlterConfigsRequestInput = InferInput<typeof IncrementalAlterConfigsRequest>

export const IncrementalAlterConfigsResponse = message(
  'IncrementalAlterConfigsResponse',
  { versions: '0-1', flexible: '1+' },
  {
    throttleTimeMs: int32({ fallback: 0 }),
    responses: array(
      struct({
        errorCode: int16(),
        errorMessage: string({ nullable: '0+' }),
        resourceType: int8(),
        resourceName: string(),
      }),
    ),
  },
)
export type IncrementalAlterConfigsResponse = Infer<typeof IncrementalAlterConfigsResponse>
export type IncrementalAlterConfigsResponseInput = InferInput<typeof IncrementalAlterConfigsResponse>
