/**
 * Changes of settings: IncrementalAlterConfigs (KIP-339), which changes the keys it names, and the older AlterConfigs,
 * which replaces all keys of a resource. Each resource succeeds or fails as a whole and on its own.
 *
 * Keys and values are checked against the tables of metadata/; nothing else is stored, so nothing a client sends here
 * can name a file, a class or an address (faults.md X9, X10).
 */
import {
  APPEND_OPERATION,
  DELETE_OPERATION,
  SET_OPERATION,
  SUBTRACT_OPERATION,
} from '../metadata/config-codes.ts'
import { brokerConfigs } from '../metadata/broker-config.ts'
import {
  ALL_BROKERS,
  BROKER_RESOURCE,
  configsOf,
  resourceKey,
  TOPIC_RESOURCE,
} from '../metadata/cluster-image.ts'
import type { ConfigResource, PartitionImage } from '../metadata/cluster-image.ts'
import { checkTopicConfig, explainConfig } from '../metadata/config-resolution.ts'
import { ConfigError, quote, splitList } from '../metadata/config-table.ts'
import type { ConfigEntries, ConfigTable } from '../metadata/config-table.ts'
import { ImageBuilder } from '../metadata/image-builder.ts'
import { ITEMS_PER_REQUEST_MAX } from '../metadata/limits.ts'
import { decodeMetadataRecord, encodeMetadataRecord } from '../metadata/records.ts'
import type { MetadataRecordInput } from '../metadata/records.ts'
import { topicConfigs } from '../metadata/topic-config.ts'
import type { RequestOf, ResponseOf } from '../protocol/apis.ts'
import { layersBelowTopic, outcomeOf, Refusal, repeated, SUCCESS } from './concern.ts'
import type { Concern, DecisionContext, Outcome } from './concern.ts'
import { changesIn, isAvailable } from './elections.ts'

type IncrementalRequest = RequestOf<'IncrementalAlterConfigs'>
type IncrementalResponse = ResponseOf<'IncrementalAlterConfigs'>
type LegacyRequest = RequestOf<'AlterConfigs'>
type LegacyResponse = ResponseOf<'AlterConfigs'>
type Operation = IncrementalRequest['resources'][number]['configs'][number]

interface ResourceRequest<C> {
  readonly resourceType: number
  readonly resourceName: string
  readonly configs: readonly C[]
}

export const incrementalAlterConfigs: Concern<IncrementalRequest, IncrementalResponse> = {
  decide: (request, context) => decideAll(request, context, applyOperations),
  refuse: refuseAll,
}

export const alterConfigs: Concern<LegacyRequest, LegacyResponse> = {
  decide: (request, context) => decideAll(request, context, (_before, configs) => replaceAll(configs)),
  refuse: refuseAll,
}

const MIN_INSYNC_REPLICAS = topicConfigs.shape.minInsyncReplicas.name

type Change<C> = (before: ConfigEntries, configs: readonly C[], target: Target) => ConfigEntries

/** A resource that exists, with what its settings are checked against. */
interface Target {
  readonly resource: ConfigResource
  readonly table: ConfigTable
  /** The value in force of a list that the resource itself does not set, for APPEND and SUBTRACT. */
  readonly inherited: (name: string) => string
}

function decideAll<C extends { readonly name: string }>(
  request: { readonly resources: readonly ResourceRequest<C>[]; readonly validateOnly: boolean },
  context: DecisionContext,
  change: Change<C>,
): { records: MetadataRecordInput[]; response: IncrementalResponse } {
  const records: MetadataRecordInput[] = []
  const duplicates = repeated(request.resources.map(keyOf))
  const responses = request.resources.map((item) => {
    try {
      if (request.resources.length > ITEMS_PER_REQUEST_MAX) {
        throw new Refusal(
          'POLICY_VIOLATION',
          `The request names ${request.resources.length} resources, at most ${ITEMS_PER_REQUEST_MAX} are allowed`,
        )
      }
      if (duplicates.has(keyOf(item)))
        throw new Refusal('INVALID_REQUEST', 'The resource is named more than once')
      const changes = decideOne(item, context, change)
      if (!request.validateOnly) for (const record of changes) records.push(record)
      return resultOf(item, SUCCESS)
    } catch (error) {
      if (error instanceof Refusal) return resultOf(item, outcomeOf(error.error, error.message))
      if (error instanceof ConfigError) return resultOf(item, outcomeOf('INVALID_CONFIG', error.message))
      throw error
    }
  })
  return {
    records: [...records, ...partitionChangesBy(records, context)],
    response: { throttleTimeMs: 0, responses },
  }
}

/**
 * A lower `min.insync.replicas` lets the high watermark move past replicas that were eligible up to then: in the same batch
 * they cease to be (faults.md R2).
 */
function partitionChangesBy(
  records: readonly MetadataRecordInput[],
  { image, settings }: DecisionContext,
): MetadataRecordInput[] {
  if (!records.some((record) => record.kind === 'config' && record.name === MIN_INSYNC_REPLICAS)) return []
  const builder = new ImageBuilder(image)
  for (const record of records) builder.replay(decodeMetadataRecord(encodeMetadataRecord(record)))
  const after = builder.finish(image.endOffset + records.length, image.epoch).image
  const context = { image: after, settings }
  return changesIn(
    context,
    (id) => isAvailable(after, id),
    ({ eligibleLeaderReplicas: elr }) => (elr.length > 0 ? {} : null),
  )
}

function decideOne<C extends { readonly name: string }>(
  item: ResourceRequest<C>,
  context: DecisionContext,
  change: Change<C>,
): MetadataRecordInput[] {
  const target = findTarget(item, context)
  const { resource, table } = target
  if (item.configs.length > table.definitions.length) {
    throw new Refusal(
      'INVALID_REQUEST',
      `${item.configs.length} settings are given, a ${table.resource} has ${table.definitions.length}`,
    )
  }
  const twice = [...repeated(item.configs.map(({ name }) => name))]
  if (twice.length > 0)
    throw new Refusal('INVALID_REQUEST', `Setting ${quote(twice[0]!)} is given more than once`)
  const before = configsOf(context.image, resource)
  const after = change(before, item.configs, target)
  check(target, before, after, context)
  return changesBetween(resource, before, after)
}

function findTarget(
  { resourceType, resourceName: name }: ResourceRequest<unknown>,
  context: DecisionContext,
): Target {
  const { image, settings } = context
  if (resourceType === TOPIC_RESOURCE) {
    if (!image.topicsByName.has(name))
      throw new Refusal('UNKNOWN_TOPIC_OR_PARTITION', `There is no topic ${quote(name)}`)
    const inherited = (key: string): string =>
      explainConfig(topicConfigs.get(key), layersBelowTopic(context)).value
    return { resource: { type: TOPIC_RESOURCE, name }, table: topicConfigs, inherited }
  }
  if (resourceType === BROKER_RESOURCE) {
    if (name !== ALL_BROKERS && (!/^\d{1,10}$/.test(name) || !image.brokers.has(Number(name)))) {
      throw new Refusal(
        'INVALID_REQUEST',
        `There is no broker ${quote(name)}; an empty name stands for all brokers`,
      )
    }
    const inherited = (key: string): string =>
      settings.staticEntries.get(key) ?? brokerConfigs.get(key).fallback
    // Broker ids are kept in their shortest form, so that 01 and 1 are one resource.
    const resourceName = name === ALL_BROKERS ? name : String(Number(name))
    return { resource: { type: BROKER_RESOURCE, name: resourceName }, table: brokerConfigs, inherited }
  }
  throw new Refusal(
    'INVALID_REQUEST',
    `Resource type ${resourceType} has no settings here, only topics (2) and brokers (4) have`,
  )
}

function applyOperations(
  before: ConfigEntries,
  operations: readonly Operation[],
  target: Target,
): ConfigEntries {
  const after = new Map(before)
  for (const { name, configOperation, value } of operations) {
    if (configOperation === DELETE_OPERATION) {
      target.table.get(name)
      after.delete(name)
      continue
    }
    if (value === null) throw new Refusal('INVALID_REQUEST', `Cannot set ${quote(name)}: it has no value`)
    if (configOperation === SET_OPERATION) {
      after.set(name, value)
    } else if (configOperation === APPEND_OPERATION || configOperation === SUBTRACT_OPERATION) {
      const definition = target.table.get(name)
      if (definition.type !== 'list')
        throw new Refusal('INVALID_CONFIG', `Cannot append to or subtract from ${name}: it is no list`)
      const items = splitList(before.get(name) ?? target.inherited(name))
      after.set(name, combine(items, splitList(value), configOperation === APPEND_OPERATION))
    } else {
      throw new Refusal(
        'INVALID_REQUEST',
        `There is no operation ${configOperation}: 0 sets, 1 deletes, 2 appends, 3 subtracts`,
      )
    }
  }
  return after
}

function combine(items: readonly string[], given: readonly string[], appends: boolean): string {
  if (!appends) return items.filter((item) => !given.includes(item)).join(',')
  return [...items, ...given.filter((item) => !items.includes(item))].join(',')
}

function replaceAll(
  configs: readonly { readonly name: string; readonly value: string | null }[],
): ConfigEntries {
  const after = new Map<string, string>()
  for (const { name, value } of configs) {
    if (value === null) throw new Refusal('INVALID_REQUEST', `Cannot set ${quote(name)}: it has no value`)
    after.set(name, value)
  }
  return after
}

function check(target: Target, before: ConfigEntries, after: ConfigEntries, context: DecisionContext): void {
  const { resource } = target
  const isAnotherMin = before.get(MIN_INSYNC_REPLICAS) !== after.get(MIN_INSYNC_REPLICAS)
  if (resource.type === TOPIC_RESOURCE) {
    const { minInsyncReplicas } = checkTopicConfig(after, layersBelowTopic(context))
    if (isAnotherMin && after.has(MIN_INSYNC_REPLICAS)) {
      const { partitions } = context.image.topicsByName.get(resource.name)!
      checkMinInsyncReplicas(minInsyncReplicas, Math.min(...partitions.map(replicationFactorOf)))
    }
    return
  }
  if (isAnotherMin && resource.name !== ALL_BROKERS) {
    const reason = 'it must be the same for all brokers, whose resource name is empty'
    throw new Refusal('INVALID_CONFIG', `Cannot change ${MIN_INSYNC_REPLICAS} for one broker: ${reason}`)
  }
  if (isAnotherMin && !after.has(MIN_INSYNC_REPLICAS)) {
    const reason =
      'brokers would then read it from configurations that may differ, set it to another value instead'
    throw new Refusal('INVALID_CONFIG', `Cannot remove ${MIN_INSYNC_REPLICAS} of all brokers: ${reason}`)
  }
  for (const [name, value] of after) {
    if (before.get(name) === value) continue
    target.table.check(name, value)
    if (target.table.get(name).update === 'read-only') {
      throw new Refusal(
        'INVALID_REQUEST',
        `Cannot change ${name} while brokers run: set it in their configuration and restart them`,
      )
    }
  }
}

/** Without the replicas that a move adds. */
function replicationFactorOf({ replicas, addingReplicas }: PartitionImage): number {
  return replicas.length - addingReplicas.length
}

/** @throws {Refusal} `INVALID_CONFIG` if no write with acks=all could ever be acknowledged. */
export function checkMinInsyncReplicas(minInsyncReplicas: number, replicationFactor: number): void {
  if (minInsyncReplicas <= replicationFactor) return
  const problem = `the topic has ${replicationFactor} replicas, so no write with acks=all could succeed`
  throw new Refusal('INVALID_CONFIG', `Cannot set ${MIN_INSYNC_REPLICAS} to ${minInsyncReplicas}: ${problem}`)
}

function changesBetween(
  resource: ConfigResource,
  before: ConfigEntries,
  after: ConfigEntries,
): MetadataRecordInput[] {
  const record = (name: string, value: string | null): MetadataRecordInput => ({
    kind: 'config',
    resourceType: resource.type,
    resourceName: resource.name,
    name,
    value,
  })
  const removed = [...before.keys()].filter((name) => !after.has(name)).map((name) => record(name, null))
  const set = [...after].filter(([name, value]) => before.get(name) !== value)
  return [...removed, ...set.map(([name, value]) => record(name, value))]
}

function keyOf({ resourceType, resourceName }: { resourceType: number; resourceName: string }): string {
  return resourceKey({ type: resourceType as ConfigResource['type'], name: resourceName })
}

function resultOf({ resourceType, resourceName }: ResourceRequest<unknown>, outcome: Outcome) {
  return { ...outcome, resourceType, resourceName }
}

function refuseAll(
  request: { readonly resources: readonly ResourceRequest<unknown>[] },
  error: Parameters<typeof outcomeOf>[0],
  message: string,
): IncrementalResponse {
  return {
    throttleTimeMs: 0,
    responses: request.resources.map((item) => resultOf(item, outcomeOf(error, message))),
  }
}
