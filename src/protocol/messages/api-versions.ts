/**
 * ApiVersions (API key 18): which APIs, in which versions, and which features the broker has. The first request of a client.
 *
 * v1 throttle time (KIP-124) · v2 throttles after the answer (KIP-219) · v3 flexible (KIP-482), name of the client
 * software (KIP-511), features (KIP-584) · v4 features may begin at level 0 (KIP-584, KAFKA-17011)
 *
 * The answer's header never has tags, and a version that the broker does not serve is answered in v0: see frame.ts.
 */
import { array, bool, int16, int32, int64, message, string, struct } from '../schema/fields.ts'
import type { Infer, InferInput } from '../schema/fields.ts'

export const ApiVersionsRequest = message(
  'ApiVersionsRequest',
  { versions: '0-4', flexible: '3+' },
  {
    clientSoftwareName: string({ versions: '3+', ignorable: true, fallback: '' }),
    clientSoftwareVersion: string({ versions: '3+', ignorable: true, fallback: '' }),
  },
)
export type ApiVersionsRequest = Infer<typeof ApiVersionsRequest>
export type ApiVersionsRequestInput = InferInput<typeof ApiVersionsRequest>

export const ApiVersionsResponse = message(
  'ApiVersionsResponse',
  { versions: '0-4', flexible: '3+' },
  {
    errorCode: int16(),
    apiKeys: array(
      struct({
        apiKey: int16(),
        minVersion: int16(),
        maxVersion: int16(),
      }),
    ),
    throttleTimeMs: int32({ versions: '1+', ignorable: true, fallback: 0 }),
    supportedFeatures: array(
      struct({
        name: string(),
        minVersion: int16(), // clients of v3 and below fail on 0
        maxVersion: int16(),
      }),
      { versions: '3+', tag: 0, ignorable: true },
    ),
    finalizedFeaturesEpoch: int64({ versions: '3+', tag: 1, ignorable: true, fallback: -1 }), // -1: unknown
    finalizedFeatures: array(
      struct({
        name: string(),
        maxVersionLevel: int16(),
        minVersionLevel: int16(),
      }),
      { versions: '3+', tag: 2, ignorable: true },
    ),
    zkMigrationReady: bool({ versions: '3+', tag: 3, ignorable: true }),
  },
)
export type ApiVersionsResponse = Infer<typeof ApiVersionsResponse>
export type ApiVersionsResponseInput = InferInput<typeof ApiVersionsResponse>
