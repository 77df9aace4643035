/**
 * ApiVersions (API key 18): what this broker speaks. The first request of almost every client, and the one by which
 * all others choose their versions.
 *
 * - Version 3 and later name the client's software; a name that is none is refused (KIP-511).
 * - A feature whose lowest level is 0 is left out below version 4: older Java clients fail on it.
 */
import type { ApiVersionsRequest, ApiVersionsResponseInput } from '../../protocol/messages/api-versions.ts'
import { clientApiList } from '../../protocol/apis.ts'
import { errorCode } from '../../protocol/errors.ts'
import type { BrokerServices, RequestContext } from '../services.ts'

const SOFTWARE_SINCE_VERSION = 3
const SOFTWARE = /^[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?$/

const ADVERTISED = clientApiList.map(({ key, advertised }) => ({
  apiKey: key,
  minVersion: advertised.first,
  maxVersion: advertised.last,
}))

export function handleApiVersions(
  services: BrokerServices,
  request: ApiVersionsRequest,
  context: RequestContext,
): ApiVersionsResponseInput {
  const isNamed = [request.clientSoftwareName, request.clientSoftwareVersion].every((text) =>
    SOFTWARE.test(text),
  )
  if (context.apiVersion >= SOFTWARE_SINCE_VERSION && !isNamed) {
    return {
      errorCode: errorCode('INVALID_REQUEST'),
      apiKeys: [],
      supportedFeatures: [],
      finalizedFeatures: [],
    }
  }
  return {
    errorCode: 0,
    apiKeys: ADVERTISED,
    supportedFeatures: [],
    finalizedFeatures: [],
    finalizedFeaturesEpoch: services.image().endOffset,
  }
}
