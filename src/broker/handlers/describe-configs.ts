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
import { explainConfig } from '../../metadata/config-resolution.ts'
import type { ConfigLayer, ExplainedConfig } from '../../metadata/config-resolution.ts'
import type { ConfigSource, ConfigTable, ConfigType } from '../../metadata/config-table.ts'
import { topicConfigs } from '../../metadata/topic-config.ts'
import { errorCode } from '../../protocol/errors.ts'
import type { ErrorName } from '../../protocol/errors.ts'
import { brokerTable } from '../broker-config.ts'
import { brokerLayers, topicLayers } from '../partition-registry.ts'
import type { BrokerServices } from '../services.ts'

type Request = DescribeConfigsRequest
type ResourceRequest = Request['resources'][number]
type ResourceResponse = DescribeConfigsResponseInput['results'][number]

/** Codes of Kafka's ConfigSource. */
const SOURCE_CODES: Readonly<Record<ConfigSource, number>> = {
  'dynamic topic': 1,
  'dynamic broker': 2,
  'dynamic default broker': 3,
  'static broker': 4,
  default: 5,
}
/** Codes of Kafka's ConfigType. */
const TYPE_CODES: Readonly<Record<ConfigType, number>> = {
  boolean: 1,
  string: 2,
  int: 3,
  long: 5,
  double: 6,
  list: 7,
}

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
    .map((explained) => describeConfig(explained, request))
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

function describeConfig(
  explained: ExplainedConfig,
  request: Request,
): NonNullable<ResourceResponse['configs']>[number] {
  const { definition, value, source, candidates } = explained
  const shown = (text: string): string | null => (definition.isSensitive ? null : text)
  return {
    name: definition.name,
    value: shown(value),
    readOnly: definition.update === 'read-only',
    configSource: SOURCE_CODES[source],
    isSensitive: definition.isSensitive,
    synonyms: request.includeSynonyms
      ? candidates.map((each) => ({
          name: each.name,
          value: shown(each.value),
          source: SOURCE_CODES[each.source],
        }))
      : [],
    configType: TYPE_CODES[definition.type],
    documentation: request.includeDocumentation ? definition.documentation : null,
  }
}

function answer(resource: ResourceRequest, error: ErrorName, errorMessage: string | null): ResourceResponse {
  const { resourceType, resourceName } = resource
  return { errorCode: errorCode(error), errorMessage, resourceType, resourceName, configs: [] }
}
