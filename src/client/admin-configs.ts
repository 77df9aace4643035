/** Administration of configurations: of topics by any broker, of a broker by itself. Control plane. */
import { configEntry, describeResource, failuresOf, groupBy, RESOURCE_TYPES } from './admin-answers.ts'
import type { AdminRequests } from './admin-requests.ts'
import type {
  AdminOptions,
  ConfigChange,
  ConfigDescription,
  ConfigResource,
  DescribeConfigsOptions,
  ValidatingOptions,
} from './admin-types.ts'
import type { BrokerLink } from './broker-link.ts'
import { throwFailures } from './client-error.ts'

const SET = 0
const DELETE = 1

export async function describeConfigs(
  requests: AdminRequests,
  resources: readonly ConfigResource[],
  options: DescribeConfigsOptions,
): Promise<ConfigDescription[]> {
  const found: ConfigDescription[] = []
  for (const [link, some] of await byOwner(requests, resources, options)) {
    const answer = await link.request(
      'DescribeConfigs',
      {
        resources: some.map(({ type, name }) => ({
          resourceType: RESOURCE_TYPES[type],
          resourceName: name,
          configurationKeys: options.keys ?? null,
        })),
        includeSynonyms: options.includeSynonyms ?? false,
        ...(options.includeDocumentation === true ? { includeDocumentation: true } : {}),
      },
      { signal: options.signal },
    )
    throwFailures(
      'Cannot describe configurations',
      failuresOf(answer.results, (one) => [
        one.resourceName,
        `Cannot describe the configuration of ${describeResource(one)}`,
      ]),
    )
    for (const { resourceType, resourceName, configs } of answer.results) {
      found.push({
        type: resourceType === RESOURCE_TYPES.topic ? 'topic' : 'broker',
        name: resourceName,
        configs: configs.map(configEntry),
      })
    }
  }
  return resources.map(({ type, name }) => {
    const one = found.find((description) => description.type === type && description.name === name)
    return one ?? { type, name, configs: [] }
  })
}

export async function alterConfigs(
  requests: AdminRequests,
  changes: readonly ConfigChange[],
  options: ValidatingOptions,
): Promise<void> {
  for (const [link, some] of await byOwner(requests, changes, options)) {
    const answer = await link.request(
      'IncrementalAlterConfigs',
      {
        resources: some.map(({ type, name, set }) => ({
          resourceType: RESOURCE_TYPES[type],
          resourceName: name,
          configs: Object.entries(set).map(([key, value]) => ({
            name: key,
            configOperation: value === null ? DELETE : SET,
            value: value === null ? null : String(value),
          })),
        })),
        validateOnly: options.validateOnly ?? false,
      },
      { signal: options.signal },
    )
    throwFailures(
      'Cannot alter configurations',
      failuresOf(answer.responses, (one) => [
        one.resourceName,
        `Cannot alter the configuration of ${describeResource(one)}`,
      ]),
    )
  }
}

/** Topics go to any broker, a broker's own configuration to that broker. */
async function byOwner<R extends ConfigResource>(
  requests: AdminRequests,
  resources: readonly R[],
  options: AdminOptions,
): Promise<Map<BrokerLink, R[]>> {
  const anyLink = await requests.cluster.controllerLink(options.signal)
  return groupBy(resources, ({ type, name }) =>
    type === 'topic' || name === '' ? anyLink : requests.link(Number(name)),
  )
}
