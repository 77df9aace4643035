/**
 * Administration: topics, configurations, offsets and the cluster itself. Control plane.
 *
 * Methods that take several items do all of them, and throw one `ClientError` when some failed: its `failures` name them,
 * its `code` is that of the first. What has no name there was done.
 *
 * Requests that change something go to the controller (any broker forwards them) and are tried again while the answer says
 * that nothing was done and a later try may succeed (NOT_CONTROLLER and the like).
 */
import { backoffMs } from '../base/backoff.ts'
import type { ApiName, RequestInputOf, ResponseOf } from '../protocol/apis.ts'
import {
  configEntry,
  countOrNull,
  describePartition,
  describeResource,
  failuresOf,
  groupBy,
  idOrNull,
  RESOURCE_TYPES,
  timestampFor,
  wasSentToWrongBroker,
} from './admin-answers.ts'
import type {
  AdminOptions,
  ClusterDescription,
  ConfigChange,
  ConfigDescription,
  ConfigResource,
  CreatedTopic,
  DescribeConfigsOptions,
  ListedOffset,
  ListOffsetsOptions,
  ListOffsetsQuery,
  LogDirDescription,
  NewPartitions,
  NewTopic,
  RecordDeletion,
  RemainingRecords,
  TopicDescription,
  TopicListing,
  ValidatingOptions,
} from './admin-types.ts'
import { abortable, pause } from './backoff.ts'
import type { BrokerLink } from './broker-link.ts'
import type { ItemFailure } from './client-error.ts'
import { brokerError, ClientError, throwFailures } from './client-error.ts'
import type { Cluster } from './cluster.ts'
import { lookUpOffsets } from './offset-lookup.ts'

/** "The cluster's default" for a number of partitions or replicas, and "the high watermark" for deletions. */
const UNSET = -1
const SET = 0
const DELETE = 1

/** Room that the request's time-out leaves the answer to come back after the cluster's own time is over, in ms. */
const ANSWER_GRACE_MS = 5_000

export class Admin {
  readonly #cluster: Cluster

  constructor(cluster: Cluster) {
    this.#cluster = cluster
  }

  /** Creates topics; they can be used at once when it resolves. @throws {ClientError} `TOPIC_ALREADY_EXISTS` and others. */
  async createTopics(topics: readonly NewTopic[], options: ValidatingOptions = {}): Promise<CreatedTopic[]> {
    const attempted = 'Cannot create topics'
    const answer = await this.#change('CreateTopics', attempted, options, (timeoutMs) => ({
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

  /** @throws {ClientError} `UNKNOWN_TOPIC_OR_PARTITION` and others. */
  async deleteTopics(names: readonly string[], options: AdminOptions = {}): Promise<void> {
    const attempted = 'Cannot delete topics'
    const byName = await this.#knowsNames()
    const answer = await this.#change('DeleteTopics', attempted, options, (timeoutMs) =>
      byName ? { topics: names.map((name) => ({ name })), timeoutMs } : { topicNames: names, timeoutMs },
    )
    const failures = failuresOf(answer.responses, ({ name }) => [
      name ?? '',
      `Cannot delete topic '${name ?? ''}'`,
    ])
    throwFailures(attempted, failures)
  }

  /** Every topic of the cluster, by name. */
  async listTopics(
    options: AdminOptions & { readonly includeInternal?: boolean } = {},
  ): Promise<TopicListing[]> {
    const { topics } = await this.#metadata(null, options)
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

  /** Topics with their partitions, in the order of the names. @throws {ClientError} `UNKNOWN_TOPIC_OR_PARTITION` and others. */
  async describeTopics(names: readonly string[], options: AdminOptions = {}): Promise<TopicDescription[]> {
    if (names.length === 0) return []
    const { topics } = await this.#metadata(names, options)
    const failures = failuresOf(topics, ({ name }) => [name ?? '', `Cannot describe topic '${name ?? ''}'`])
    throwFailures('Cannot describe topics', failures)
    return names.map((name) => {
      const found = topics.find((topic) => topic.name === name)
      if (found === undefined)
        throw new ClientError(
          'CLIENT_PROTOCOL_VIOLATED',
          `Cannot describe topic '${name}': the answer leaves it out`,
        )
      const partitions = found.partitions.map(describePartition).sort((a, b) => a.partition - b.partition)
      return { name, topicId: idOrNull(found.topicId), isInternal: found.isInternal, partitions }
    })
  }

  /** Adds partitions to topics. @throws {ClientError} `INVALID_PARTITIONS` and others. */
  async createPartitions(topics: readonly NewPartitions[], options: ValidatingOptions = {}): Promise<void> {
    const attempted = 'Cannot add partitions'
    const answer = await this.#change('CreatePartitions', attempted, options, (timeoutMs) => ({
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

  /** Configurations in the order of the resources. */
  async describeConfigs(
    resources: readonly ConfigResource[],
    options: DescribeConfigsOptions = {},
  ): Promise<ConfigDescription[]> {
    const found: ConfigDescription[] = []
    for (const [link, some] of await this.#byOwner(resources, options)) {
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

  /** Sets and removes single keys; what is not named stays as it is. @throws {ClientError} `INVALID_CONFIG` and others. */
  async alterConfigs(changes: readonly ConfigChange[], options: ValidatingOptions = {}): Promise<void> {
    for (const [link, some] of await this.#byOwner(changes, options)) {
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

  /** Deletes records from the beginning of partitions, in the order given. */
  async deleteRecords(
    deletions: readonly RecordDeletion[],
    options: AdminOptions = {},
  ): Promise<RemainingRecords[]> {
    await this.#discover(deletions, options)
    const { requestTimeoutMs } = this.#cluster.config
    const timeoutMs = options.timeoutMs ?? requestTimeoutMs
    const groups = new Map<BrokerLink, RecordDeletion[]>()
    for (const deletion of deletions) {
      const link = this.#cluster.findLeaderLink(deletion.topic, deletion.partition, 'requests')
      if (link === null)
        throw new ClientError(
          'LEADER_NOT_AVAILABLE',
          `Cannot delete records of ${deletion.topic}-${deletion.partition}: it has no leader now`,
          { retriable: true },
        )
      groups.set(link, [...(groups.get(link) ?? []), deletion])
    }
    const remaining: RemainingRecords[] = []
    const failures: ItemFailure[] = []
    await Promise.all(
      [...groups].map(async ([link, some]) => {
        const topics = groupBy(some, ({ topic }) => topic)
        const body = {
          topics: [...topics].map(([name, parts]) => ({
            name,
            partitions: parts.map(({ partition, before }) => ({
              partitionIndex: partition,
              offset: before === 'end' ? UNSET : before,
            })),
          })),
          timeoutMs,
        }
        const answer = await link.request('DeleteRecords', body, {
          signal: options.signal,
          timeoutMs: timeoutMs + ANSWER_GRACE_MS,
        })
        for (const { name, partitions } of answer.topics) {
          for (const { partitionIndex, lowWatermark, errorCode } of partitions) {
            const item = `${name}-${partitionIndex}`
            if (errorCode === 0)
              remaining.push({ topic: name, partition: partitionIndex, logStartOffset: lowWatermark })
            else failures.push({ item, error: brokerError(`Cannot delete records of ${item}`, errorCode) })
          }
        }
      }),
    )
    if (failures.some(({ error }) => error.retriable)) this.#cluster.refreshSoon()
    throwFailures('Cannot delete records', failures)
    return deletions.flatMap(({ topic, partition }) =>
      remaining.filter((one) => one.topic === topic && one.partition === partition),
    )
  }

  /** Offsets in the order of the queries. */
  async listOffsets(
    queries: readonly ListOffsetsQuery[],
    options: ListOffsetsOptions = {},
  ): Promise<ListedOffset[]> {
    await this.#discover(queries, options)
    const timeoutMs = options.timeoutMs ?? this.#cluster.config.requestTimeoutMs
    const asked = queries.map(({ topic, partition, at }) => ({
      topic,
      partition,
      timestamp: timestampFor(at),
    }))
    const answers = await lookUpOffsets(this.#cluster, asked, {
      isReadCommitted: options.isolation === 'read_committed',
      deadlineMs: this.#cluster.ports.clock.monotonicMs() + timeoutMs,
      signal: options.signal,
    })
    const failures = answers.flatMap(({ query, error }) =>
      error === null ? [] : [{ item: `${query.topic}-${query.partition}`, error }],
    )
    throwFailures('Cannot look up offsets', failures)
    return answers.map(({ query: { topic, partition }, offset, timestamp, leaderEpoch }) => ({
      topic,
      partition,
      offset: countOrNull(offset),
      timestamp: countOrNull(timestamp),
      leaderEpoch: countOrNull(leaderEpoch),
    }))
  }

  async describeCluster(options: AdminOptions = {}): Promise<ClusterDescription> {
    const link = await this.#cluster.anyLink(options.signal)
    const body = { includeClusterAuthorizedOperations: false }
    const answer = await link.request('DescribeCluster', body, { signal: options.signal })
    if (answer.errorCode !== 0)
      throw brokerError('Cannot describe the cluster', answer.errorCode, answer.errorMessage)
    const brokers = answer.brokers
      .map(({ brokerId, host, port, rack }) => ({ id: brokerId, host, port, rack }))
      .sort((a, b) => a.id - b.id)
    return { clusterId: answer.clusterId, controllerId: countOrNull(answer.controllerId), brokers }
  }

  /** Log directories of the brokers. @param brokerIds - Default: all. */
  async describeLogDirs(
    brokerIds: readonly number[] | null = null,
    options: AdminOptions = {},
  ): Promise<LogDirDescription[]> {
    await this.#cluster.connect(options.signal)
    const ids = brokerIds ?? [...this.#cluster.nodes.keys()].sort((a, b) => a - b)
    const found = await Promise.all(
      ids.map(async (brokerId) => {
        const answer = await this.#link(brokerId).request(
          'DescribeLogDirs',
          { topics: null },
          { signal: options.signal },
        )
        const attempted = `Cannot describe the log directories of broker ${brokerId}`
        if (answer.errorCode !== 0) throw brokerError(attempted, answer.errorCode)
        return answer.results.map(({ errorCode, logDir, topics, totalBytes, usableBytes }) => {
          if (errorCode !== 0) throw brokerError(`${attempted}, ${logDir}`, errorCode)
          const partitions = topics.flatMap(({ name, partitions: parts }) =>
            parts.map(({ partitionIndex, partitionSize, offsetLag, isFutureKey }) => ({
              topic: name,
              partition: partitionIndex,
              sizeBytes: partitionSize,
              offsetLag,
              isFuture: isFutureKey,
            })),
          )
          return {
            brokerId,
            path: logDir,
            totalBytes: countOrNull(totalBytes),
            usableBytes: countOrNull(usableBytes),
            partitions,
          }
        })
      }),
    )
    return found.flat()
  }

  /** Sends a change to the controller until it is done, refused, or its time is over. */
  async #change<A extends ApiName & ('CreateTopics' | 'CreatePartitions' | 'DeleteTopics')>(
    api: A,
    attempted: string,
    options: AdminOptions,
    bodyFor: (timeoutMs: number) => RequestInputOf<A>,
  ): Promise<ResponseOf<A>> {
    const { ports, config } = this.#cluster
    const timeoutMs = options.timeoutMs ?? config.requestTimeoutMs
    const deadlineMs = ports.clock.monotonicMs() + timeoutMs
    for (let attempt = 1; ; attempt++) {
      const link = await this.#cluster.controllerLink(options.signal)
      const leftMs = Math.max(1, Math.ceil(deadlineMs - ports.clock.monotonicMs()))
      const answer = await link.request(api, bodyFor(leftMs), {
        signal: options.signal,
        timeoutMs: leftMs + ANSWER_GRACE_MS,
      })
      if (!wasSentToWrongBroker(answer) || ports.clock.monotonicMs() >= deadlineMs) return answer
      await pause(ports.clock, backoffMs(config.backoff, attempt, ports.random), attempted, options.signal)
      await abortable(this.#cluster.refresh(), attempted, options.signal)
    }
  }

  #metadata(names: readonly string[] | null, options: AdminOptions): Promise<ResponseOf<'Metadata'>> {
    const topics = names?.map((name) => ({ name })) ?? null
    return this.#cluster
      .anyLink(options.signal)
      .then((link) =>
        link.request('Metadata', { topics, allowAutoTopicCreation: false }, { signal: options.signal }),
      )
  }

  /** Whether the controller takes topics to delete as structures (v6) rather than as a list of names. */
  async #knowsNames(): Promise<boolean> {
    const ready = await (await this.#cluster.controllerLink()).connect()
    return ready.version('DeleteTopics') >= 6
  }

  /** Makes topics known to the cluster, so that their leaders can be found. */
  async #discover(items: readonly { readonly topic: string }[], options: AdminOptions): Promise<void> {
    const { clock } = this.#cluster.ports
    const deadlineMs = clock.monotonicMs() + (options.timeoutMs ?? this.#cluster.config.requestTimeoutMs)
    for (const name of new Set(items.map(({ topic }) => topic))) {
      await this.#cluster.topic(name, { mayCreate: false, deadlineMs, signal: options.signal })
    }
  }

  /** Topics go to any broker, a broker's own configuration to that broker. */
  async #byOwner<R extends ConfigResource>(
    resources: readonly R[],
    options: AdminOptions,
  ): Promise<Map<BrokerLink, R[]>> {
    const anyLink = await this.#cluster.controllerLink(options.signal)
    return groupBy(resources, ({ type, name }) =>
      type === 'topic' || name === '' ? anyLink : this.#link(Number(name)),
    )
  }

  #link(brokerId: number): BrokerLink {
    const link = this.#cluster.findLink(brokerId, 'requests')
    if (link !== null) return link
    const known = [...this.#cluster.nodes.keys()].join(', ')
    throw new ClientError(
      'CLIENT_BAD_ARGUMENT',
      `Cannot reach broker ${brokerId}: the cluster has brokers ${known}`,
    )
  }
}
