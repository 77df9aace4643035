/**
 * ListConfigResources (API key 74): names of the resources of a kind that can have settings (KIP-1142). Version 0 asks
 * for client-metrics resources, of which there are none.
 */
import type {
  ListConfigResourcesRequest,
  ListConfigResourcesResponseInput,
} from '../../protocol/messages/list-config-resources.ts'
import { BROKER_RESOURCE, TOPIC_RESOURCE } from '../../metadata/cluster-image.ts'
import { errorCode } from '../../protocol/errors.ts'
import type { BrokerServices, RequestContext } from '../services.ts'

const BROKER_LOGGER_RESOURCE = 8
const CLIENT_METRICS_RESOURCE = 16
const GROUP_RESOURCE = 32
const KNOWN_TYPES: readonly number[] = [
  TOPIC_RESOURCE,
  BROKER_RESOURCE,
  BROKER_LOGGER_RESOURCE,
  CLIENT_METRICS_RESOURCE,
  GROUP_RESOURCE,
]

export function handleListConfigResources(
  services: BrokerServices,
  request: ListConfigResourcesRequest,
  context: RequestContext,
): ListConfigResourcesResponseInput {
  const asked = context.apiVersion === 0 ? [CLIENT_METRICS_RESOURCE] : request.resourceTypes
  if (!asked.every((type) => KNOWN_TYPES.includes(type))) {
    return { errorCode: errorCode('UNSUPPORTED_VERSION'), configResources: [] }
  }
  const types = new Set(asked.length === 0 ? KNOWN_TYPES : asked)
  const image = services.image()
  const brokerIds = [...image.brokers.keys()].map(String)
  const resources = [
    ...[...image.topicsByName.keys()].map((name) => ({ resourceName: name, resourceType: TOPIC_RESOURCE })),
    ...brokerIds.map((id) => ({ resourceName: id, resourceType: BROKER_RESOURCE })),
    ...brokerIds.map((id) => ({ resourceName: id, resourceType: BROKER_LOGGER_RESOURCE })),
  ]
  return { errorCode: 0, configResources: resources.filter(({ resourceType }) => types.has(resourceType)) }
}
