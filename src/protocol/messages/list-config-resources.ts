/**
 * ListConfigResources (API key 74): names of what has a configuration (KIP-714, there for client metrics only).
 *
 * v1 any kind of resource (KIP-1142)
 */
import { array, int16, int32, int8, message, string, struct } from '../schema/fields.ts'
import type { Infer, InferInput } from '../schema/fields.ts'

export const ListConfigResourcesRequest = message(
  'ListConfigResourcesRequest',
  { versions: '0-1', flexible: '0+' },
  {
    resourceTypes: array(int8(), { versions: '1+', fallback: [] }), // empty: all
  },
)
export type ListConfigResourcesRequest = Infer<typeof ListConfigResourcesRequest>
export type ListConfigResourcesRequestInput = InferInput<typeof ListConfigResourcesRequest>

export const ListConfigResourcesResponse = message(
  'ListConfigResourcesResponse',
  { versions: '0-1', flexible: '0+' },
  {
    throttleTimeMs: int32({ fallback: 0 }),
    errorCode: int16(),
    configResources: array(
      struct({
        resourceName: string(),
        resourceType: int8({ versions: '1+', ignorable: true, fallback: 16 }), // 16: client metrics
      }),
    ),
  },
)
export type ListConfigResourcesResponse = Infer<typeof ListConfigResourcesResponse>
export type ListConfigResourcesResponseInput = InferInput<typeof ListConfigResourcesResponse>
