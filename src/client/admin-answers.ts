/** Reads the answers to administrative requests into what the application gets. Control plane. */
import { ZERO_UUID } from '../bytes/uuid.ts'
import type { ResponseOf } from '../protocol/apis.ts'
import { errorByCode } from '../protocol/errors.ts'
import type { ConfigDescription, ConfigSource, OffsetSpec, PartitionDescription } from './admin-types.ts'
import type { ItemFailure } from './client-error.ts'
import { brokerError } from './client-error.ts'
import { EARLIEST, LATEST, MAX_TIMESTAMP } from './offset-lookup.ts'

/** Kinds of resources that have a configuration, on the wire. */
export const RESOURCE_TYPES = { topic: 2, broker: 4 } as const

/** Where a value comes from, by its number on the wire. */
const SOURCES: readonly ConfigSource[] = ['other', 'topic', 'broker', 'cluster-default', 'static', 'default']

interface ItemAnswer {
  readonly errorCode: number
  readonly errorMessage?: string | null
}

export function failuresOf<T extends ItemAnswer>(
  answers: readonly T[],
  describe: (one: T) => readonly [item: string, attempted: string],
): ItemFailure[] {
  return answers
    .filter(({ errorCode }) => errorCode !== 0)
    .map((one) => {
      const [item, attempted] = describe(one)
      return { item, error: brokerError(attempted, one.errorCode, one.errorMessage ?? null) }
    })
}

/** Nothing was done, because the broker is not the controller: with that error for the whole, or for every item. */
export function wasSentToWrongBroker(answer: object): boolean {
  if ('errorCode' in answer) return isNotController(Number(answer.errorCode))
  const items = Object.values(answer).find((value): value is ItemAnswer[] => Array.isArray(value)) ?? []
  return items.length > 0 && items.every(({ errorCode }) => isNotController(errorCode))
}

function isNotController(errorCode: number | undefined): boolean {
  return errorCode !== undefined && errorByCode(errorCode).name === 'NOT_CONTROLLER'
}

type PartitionAnswer =
  | ResponseOf<'Metadata'>['topics'][number]['partitions'][number]
  | ResponseOf<'DescribeTopicPartitions'>['topics'][number]['partitions'][number]

export function describePartition(one: PartitionAnswer): PartitionDescription {
  return {
    partition: one.partitionIndex,
    leader: countOrNull(one.leaderId),
    leaderEpoch: one.leaderEpoch,
    replicas: one.replicaNodes,
    isr: one.isrNodes,
    eligibleLeaderReplicas: 'eligibleLeaderReplicas' in one ? (one.eligibleLeaderReplicas ?? []) : [],
    lastKnownEligibleLeaders: 'lastKnownElr' in one ? (one.lastKnownElr ?? []) : [],
    offlineReplicas: one.offlineReplicas,
  }
}

export function configEntry(
  one: ResponseOf<'DescribeConfigs'>['results'][number]['configs'][number],
): ConfigDescription['configs'][number] {
  return {
    name: one.name,
    value: one.value,
    source: SOURCES[one.configSource] ?? 'other',
    isReadOnly: one.readOnly,
    isSensitive: one.isSensitive,
    synonyms: one.synonyms.map(({ name, value, source }) => ({
      name,
      value,
      source: SOURCES[source] ?? 'other',
    })),
    documentation: one.documentation === '' ? null : one.documentation,
  }
}

export function describeResource({
  resourceType,
  resourceName,
}: {
  resourceType: number
  resourceName: string
}): string {
  return `${resourceType === RESOURCE_TYPES.topic ? 'topic' : 'broker'} '${resourceName}'`
}

export function timestampFor(at: OffsetSpec): number {
  if (typeof at === 'object') return at.timestamp
  return at === 'earliest' ? EARLIEST : at === 'latest' ? LATEST : MAX_TIMESTAMP
}

export function idOrNull(topicId: string): string | null {
  return topicId === ZERO_UUID ? null : topicId
}

export function groupBy<T, Key>(items: readonly T[], keyOf: (item: T) => Key): Map<Key, T[]> {
  const groups = new Map<Key, T[]>()
  for (const item of items) {
    const group = groups.get(keyOf(item))
    if (group === undefined) groups.set(keyOf(item), [item])
    else group.push(item)
  }
  return groups
}

export function countOrNull(count: number): number | null {
  return count < 0 ? null : count
}
