/** Administration of topics: create, delete, list, describe, grow. Control plane. */
import type { RequestInputOf, ResponseOf } from '../protocol/apis.ts'
import { countOrNull, describePartition, failuresOf, idOrNull } from './admin-answers.ts'
import type { AdminRequests } from './admin-requests.ts'
import type {
  AdminOptions,
  CreatedTopic,
  NewPartitions,
  NewTopic,
  PartitionDescription,
  TopicDescription,
  TopicListing,
  ValidatingOptions,
} from './admin-types.ts'
import { ClientError, throwFailures } from './client-error.ts'

/** "The cluster's default" for a number of partitions or replicas. */
const UNSET = -1

/** Version of DeleteTopics from which topics are structures rather than a list of names (KIP-516). */
const STRUCTURES_SINCE_VERSION = 6

type Cursor = NonNullable<RequestInputOf<'DescribeTopicPartitions'>['cursor']>

export async function createTopics(
  requests: AdminRequests,
  topics: readonly NewTopic[],
  options: ValidatingOptions,
): Promise<CreatedTopic[]> {
  const attempted = 'Cannot create topics'
  const answer = await requests.change('CreateTopics', attempted, options, (timeoutMs) => ({
    topics: topics.map(({ name, partitions, replicationFactor, assignments, configs }) => ({
      name,
      numPartitions: assignments === undefined ? (partitions ?? UNSET) : UNSET,
      replicationFactor: assignments === undefined ? (replicationFactor ?? UNSET) : UNSET,
      assignments: (assignments ?? []).map((brokerIds, partitionIndex) => ({ partitionIndex, brokerIds })),
      configs: Object.entries(configs ?? {}).map(([key, value]) => ({ name: key, value: String(value) })),
    })),
    timeoutMs,
    validateOnly: options.validateOnly ?? false,
  }))
  throwFailures(
    attempted,
    failuresOf(answer.topics, ({ name }) => [name, `Cannot create topic '${name}'`]),
  )
  return answer.topics.map(({ name, topicId, numPartitions, replicationFactor }) => ({
    name,
    topicId: idOrNull(topicId),
    partitions: countOrNull(numPartitions),
    replicationFactor: countOrNull(replicationFactor),
  }))
}

export async function deleteTopics(
  requests: AdminRequests,
  names: readonly string[],
  options: AdminOptions,
): Promise<void> {
  const attempted = 'Cannot delete topics'
  const answer = await requests.change('DeleteTopics', attempted, options, (timeoutMs, ready) =>
    ready.version('DeleteTopics') >= STRUCTURES_SINCE_VERSION
      ? { topics: names.map((name) => ({ name })), timeoutMs }
      : { topicNames: names, timeoutMs },
  )
  const failures = failuresOf(answer.responses, ({ name }) => [
    name ?? '',
    `Cannot delete topic '${name ?? ''}'`,
  ])
  throwFailures(attempted, failures)
}

export async function listTopics(
  requests: AdminRequests,
  options: AdminOptions & { readonly includeInternal?: boolean },
): Promise<TopicListing[]> {
  const { topics } = await metadata(requests, null, options)
  return topics
    .filter(
      ({ name, errorCode, isInternal }) =>
        name !== null && errorCode === 0 && (options.includeInternal === true || !isInternal),
    )
    .map(({ name, topicId, partitions, isInternal }) => ({
      name: name!,
      topicId: idOrNull(topicId),
      partitions: partitions.length,
      replicationFactor: partitions[0]?.replicaNodes.length ?? 0,
      isInternal,
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
}

export async function describeTopics(
  requests: AdminRequests,
  names: readonly string[] | null,
  options: AdminOptions,
): Promise<TopicDescription[]> {
  if (names?.length === 0) return []
  const topics = await describedTopics(requests, names, options)
  const failures = failuresOf(topics, ({ name }) => [name ?? '', `Cannot describe topic '${name ?? ''}'`])
  throwFailures('Cannot describe topics', failures)
  const wanted = names ?? topics.map(({ name }) => name ?? '').sort()
  return wanted.map((name) => {
    const found = topics.find((topic) => topic.name === name)
    if (found === undefined)
      throw new ClientError(
        'CLIENT_PROTOCOL_VIOLATED',
        `Cannot describe topic '${name}': the answer leaves it out`,
      )
    const partitions = found.partitions.toSorted((a, b) => a.partition - b.partition)
    return { name, topicId: idOrNull(found.topicId), isInternal: found.isInternal, partitions }
  })
}

export async function createPartitions(
  requests: AdminRequests,
  topics: readonly NewPartitions[],
  options: ValidatingOptions,
): Promise<void> {
  const attempted = 'Cannot add partitions'
  const answer = await requests.change('CreatePartitions', attempted, options, (timeoutMs) => ({
    topics: topics.map(({ name, count, assignments }) => ({
      name,
      count,
      assignments: assignments?.map((brokerIds) => ({ brokerIds })) ?? null,
    })),
    timeoutMs,
    validateOnly: options.validateOnly ?? false,
  }))
  throwFailures(
    attempted,
    failuresOf(answer.results, ({ name }) => [name, `Cannot add partitions to '${name}'`]),
  )
}

/** A topic as either request tells it. */
interface DescribedTopic {
  readonly name: string | null
  readonly errorCode: number
  readonly topicId: string
  readonly isInternal: boolean
  readonly partitions: readonly PartitionDescription[]
}

/** By pages, with eligible leader replicas (KIP-966); from a broker that does not know that request, all at once. */
async function describedTopics(
  requests: AdminRequests,
  names: readonly string[] | null,
  options: AdminOptions,
): Promise<readonly DescribedTopic[]> {
  const found = new Map<string, DescribedTopic & { partitions: PartitionDescription[] }>()
  let cursor: Cursor | null = null
  try {
    do {
      const from: Cursor | null = cursor
      const topics = (names ?? []).map((name) => ({ name }))
      const page: ResponseOf<'DescribeTopicPartitions'> = await requests.ask(
        'DescribeTopicPartitions',
        'Cannot describe topics',
        options,
        () => ({ topics, cursor: from }),
      )
      for (const { name, errorCode, topicId, isInternal, partitions } of page.topics) {
        const described = partitions.map(describePartition)
        const before = found.get(name ?? '')
        // A topic that was deleted and made anew between two pages begins anew here, too.
        if (before?.topicId === topicId) before.partitions.push(...described)
        else found.set(name ?? '', { name, errorCode, topicId, isInternal, partitions: described })
      }
      cursor = page.nextCursor
    } while (cursor !== null)
    return [...found.values()]
  } catch (error) {
    if (!(error instanceof ClientError) || error.code !== 'CLIENT_UNSUPPORTED_BY_BROKER') throw error
    const { topics } = await metadata(requests, names, options)
    return topics.map((topic) => ({ ...topic, partitions: topic.partitions.map(describePartition) }))
  }
}

function metadata(
  requests: AdminRequests,
  names: readonly string[] | null,
  options: AdminOptions,
): Promise<ResponseOf<'Metadata'>> {
  const topics = names?.map((name) => ({ name })) ?? null
  return requests.ask('Metadata', 'Cannot list topics', options, () => ({
    topics,
    allowAutoTopicCreation: false,
  }))
}
