/**
 * DescribeConfigs (API key 32): the configuration of topics and brokers, and where each value comes from (KIP-133).
 *
 * v1 source and synonyms (KIP-226) · v2 throttles after the answer (KIP-219) · v3 type and documentation (KIP-569) ·
 * v4 flexible (KIP-482)
 */
import { array, bool, int16, int32, int8, message, string, struct } from '../schema/fields.ts'
import type { Infer, InferInput } from '../schema/fields.ts'

export const DescribeConfigsRequest = message(
  'DescribeConfigsRequest',
  { versions: '1-4', flexible: '4+' },
  {
    resources: array(
      struct({
        resourceType: int8(), // 2 topic, 4 broker, 8 broker logger
        resourceName: string(),
        configurationKeys: array(string(), { nullable: '0+' }), // null: all
      }),
    ),
    includeSynonyms: bool({ fallback: false }),
    includeDocumentation: bool({ versions: '3+', fallback: false }),
  },
)
export type DescribeConfigsRequest = Infer<typeof DescribeConfigsRequest>
export type DescribeConfigsRequestInput = InferInput<typeof DescribeConfigsRequest>

export const DescribeConfigsResponse = message(
  'DescribeConfigsResponse',
  { versions: '1-4', flexible: '4+' },
  {
    throttleTimeMs: int32({ fallback: 0 }),
    results: array(
      struct({
        errorCode: int16(),
        errorMessage: string({ nullable: '0+' }),
        resourceType: int8(),
        resourceName: string(),
        configs: array(
          struct({
            name: string(),
            value: string({ nullable: '0+' }),
            readOnly: bool(),
            configSource: int8({ ignorable: true, fallback: -1 }),
            isSensitive: bool(),
            synonyms: array(
              struct({
                name: string(),
                value: string({ nullable: '0+' }),
                source: int8(),
              }),
              { ignorable: true, fallback: [] },
            ),
            configType: int8({ versions: '3+', ignorable: true, fallback: 0 }),
            documentation: string({ versions: '3+', nullable: '0+', ignorable: true, fallback: '' }),
          }),
        ),
      }),
    ),
  },
)
export type DescribeConfigsResponse = Infer<typeof DescribeConfigsResponse>
export type DescribeConfigsResponseInput = InferInput<typeof DescribeConfigsResponse>
