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
import { throwFailures } from './client-error.ts'

const SET = 0
const DELETE = 1

export async function describeConfigs(
  requests: AdminRequests,
  resources: readonly ConfigResource[],
  options: DescribeConfigsOptions,
): Promise<ConfigDescription[]> {
  const found: ConfigDescription[] = []
  for (const [brokerId, some] of await byOwner(requests, resources, options)) {
    const body = {
      resources: some.map(({ type, name }) => ({
        resourceType: RESOURCE_TYPES[type],
        resourceName: name,
        configurationKeys: options.keys ?? null,
      })),
      includeSynonyms: options.includeSynonyms ?? false,
      ...(options.includeDocumentation === true ? { includeDocumentation: true } : {}),
    }
    const answer =
      brokerId === null
        ? await requests.ask('DescribeConfigs', 'Cannot describe configurations', options, () => body)
        : await requests.link(brokerId).request('DescribeConfigs', body, { signal: options.signal })
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
  for (const [brokerId, some] of await byOwner(requests, changes, options)) {
    const body = {
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
    }
    const answer =
      brokerId === null
        ? await requests.change('IncrementalAlterConfigs', 'Cannot alter configurations', options, () => body)
        : await requests.link(brokerId).request('IncrementalAlterConfigs', body, { signal: options.signal })
    throwFailures(
      'Cannot alter configurations',
      failuresOf(answer.responses, (one) => [
        one.resourceName,
        `Cannot alter the configuration of ${describeResource(one)}`,
      ]),
    )
  }
}

/** A broker's own configuration goes to that broker, everything else to any: its key is null. */
async function byOwner<R extends ConfigResource>(
  requests: AdminRequests,
  resources: readonly R[],
  options: AdminOptions,
): Promise<Map<number | null, R[]>> {
  await requests.cluster.connect(options.signal)
  return groupBy(resources, ({ type, name }) => (type === 'topic' || name === '' ? null : Number(name)))
}
