/**
 * DescribeConfigs (API key 32): the settings in force of topics and of this broker, with where each comes from.
 *
 * A sensitive value is never sent. A broker that is not this one cannot be asked about here: its static settings are
 * known to itself only.
 */
import type {
  DescribeConfigsRequest,
  DescribeConfigsResponseInput,
} from '../../protocol/messages/describe-configs.ts'
import { ALL_BROKERS, BROKER_RESOURCE, TOPIC_RESOURCE } from '../../metadata/cluster-image.ts'
import type { ClusterImage } from '../../metadata/cluster-image.ts'
import { describeConfig } from '../../metadata/config-codes.ts'
import { brokerLayers, explainConfig, topicLayers } from '../../metadata/config-resolution.ts'
import type { ConfigLayer } from '../../metadata/config-resolution.ts'
import type { ConfigTable } from '../../metadata/config-table.ts'
import { topicConfigs } from '../../metadata/topic-config.ts'
import { errorCode } from '../../protocol/errors.ts'
import type { ErrorName } from '../../protocol/errors.ts'
import { brokerTable } from '../broker-config.ts'
import type { BrokerServices } from '../services.ts'

type Request = DescribeConfigsRequest
type ResourceRequest = Request['resources'][number]
type ResourceResponse = DescribeConfigsResponseInput['results'][number]

export function handleDescribeConfigs(
  services: BrokerServices,
  request: Request,
): DescribeConfigsResponseInput {
  const image = services.image()
  return { results: request.resources.map((resource) => describe(services, image, resource, request)) }
}

function describe(
  services: BrokerServices,
  image: ClusterImage,
  resource: ResourceRequest,
  request: Request,
): ResourceResponse {
  const found = locate(services, image, resource)
  if ('error' in found) return answer(resource, found.error, found.message)
  const keys = resource.configurationKeys
  const definitions = found.table.definitions.filter(({ name }) => keys === null || keys.includes(name))
  const configs = definitions
    .map((definition) => explainConfig(definition, found.layers))
    .filter(({ source }) => !found.onlyDynamic || source === 'dynamic default broker')
    .map((explained) =>
      describeConfig(explained, {
        withSynonyms: request.includeSynonyms,
        withDocumentation: request.includeDocumentation,
      }),
    )
  return { ...answer(resource, 'NONE', null), configs }
}

type Located =
  | { readonly table: ConfigTable; readonly layers: readonly ConfigLayer[]; readonly onlyDynamic: boolean }
  | { readonly error: ErrorName; readonly message: string }

function locate(services: BrokerServices, image: ClusterImage, resource: ResourceRequest): Located {
  const { resourceType, resourceName } = resource
  const { nodeId, given } = services.config
  if (resourceType === TOPIC_RESOURCE) {
    if (!image.topicsByName.has(resourceName)) {
      return {
        error: 'UNKNOWN_TOPIC_OR_PARTITION',
        message: `There is no topic ${JSON.stringify(resourceName)}`,
      }
    }
    return {
      table: topicConfigs,
      layers: topicLayers(resourceName, image, nodeId, given),
      onlyDynamic: false,
    }
  }
  if (resourceType === BROKER_RESOURCE) {
    const isShared = resourceName === ALL_BROKERS
    if (!isShared && resourceName !== String(nodeId)) {
      const message = `Expected the id of the broker that is asked, ${nodeId}: found ${JSON.stringify(resourceName)}`
      return { error: 'INVALID_REQUEST', message }
    }
    return { table: brokerTable, layers: brokerLayers(image, nodeId, given), onlyDynamic: isShared }
  }
  const message = `Expected resource type ${TOPIC_RESOURCE} (topic) or ${BROKER_RESOURCE} (broker): found ${resourceType}`
  return { error: 'INVALID_REQUEST', message }
}

function answer(resource: ResourceRequest, error: ErrorName, errorMessage: string | null): ResourceResponse {
  const { resourceType, resourceName } = resource
  return { errorCode: errorCode(error), errorMessage, resourceType, resourceName, configs: [] }
}
