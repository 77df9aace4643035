/**
 * AlterConfigs (API key 33): replaces the whole configuration of topics and brokers (KIP-133).
 *
 * v1 throttles after the answer (KIP-219) · v2 flexible (KIP-482)
 */
import { array, bool, int16, int32, int8, message, string, struct } from '../schema/fields.ts'
import type { Infer, InferInput } from '../schema/fields.ts'

export const AlterConfigsRequest = message(
  'AlterConfigsRequest',
  { versions: '0-2', flexible: '2+' },
  {
    resources: array(
      struct({
        resourceType: int8(), // 2 topic, 4 broker
        resourceName: string(),
        configs: array(
          struct({
            name: string(),
            value: string({ nullable: '0+' }),
          }),
        ),
      }),
    ),
    validateOnly: bool(),
  },
)
export type AlterConfigsRequest = Infer<typeof AlterConfigsRequest>
export type AlterConfigsRequestInput = InferInput<typeof AlterConfigsRequest>

export const AlterConfigsResponse = message(
  'AlterConfigsResponse',
  { versions: '0-2', flexible: '2+' },
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
export type AlterConfigsResponse = Infer<typeof AlterConfigsResponse>
export type AlterConfigsResponseInput = InferInput<typeof AlterConfigsResponse>
