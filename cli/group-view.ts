/**
 * A group as its coordinator and the leaders of its partitions know it together: who is in it, what it has committed, and how
 * far that is from the end of each log.
 */
import type { Client, GroupDescription, GroupMember, TopicPartition } from '../src/index.ts'
import { CommandError, codeOf } from './errors.ts'
import { EXIT } from './exit-codes.ts'
import { nearestName } from './nearest.ts'

/** Where a log begins and ends; null while the partition has no leader to tell. */
export interface LogRange {
  readonly startOffset: number | null
  readonly endOffset: number | null
}

/** Turns the protocol's way to say that a group is missing into a sentence with the nearest name there is. */
export async function withGroup<T>(client: Client, groupId: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (codeOf(error) !== 'GROUP_ID_NOT_FOUND') throw error
    throw await groupMissing(client, groupId)
  }
}

async function groupMissing(client: Client, groupId: string): Promise<CommandError> {
  const names = await client
    .admin()
    .listGroups()
    .then((groups) => groups.map((group) => group.groupId))
    .catch((): string[] => []) // The suggestion is a courtesy; what is told is that the group is missing.
  const nearest = nearestName(groupId, names)
  const advice =
    nearest === null ? 'See what there is with `millrace group list`' : `Did you mean ${nearest}?`
  return new CommandError(
    EXIT.notFound,
    `Cannot find group ${JSON.stringify(groupId)}: no broker coordinates it`,
    advice,
  )
}

/** @throws {CommandError} With the nearest name, if there is no such group. */
export async function getGroup(client: Client, groupId: string): Promise<GroupDescription> {
  const [group] = await withGroup(client, groupId, () => client.admin().describeGroups([groupId]))
  return group!
}

/** Null if there is no such group. */
export async function findGroup(client: Client, groupId: string): Promise<GroupDescription | null> {
  try {
    return (await client.admin().describeGroups([groupId]))[0]!
  } catch (error) {
    if (codeOf(error) !== 'GROUP_ID_NOT_FOUND') throw error
    return null
  }
}

/** How a person calls a member: its own name, else its client's, else its id. */
export function memberName({ instanceId, clientId, memberId }: GroupMember): string {
  return instanceId ?? (clientId === '' ? memberId : clientId)
}

/** Its address, as brokers of Kafka tell it with a slash. */
export function memberHost({ clientHost }: GroupMember): string {
  return clientHost.replace(/^\//, '')
}

/** Identifies a partition in maps. */
export function placeOf({ topic, partition }: TopicPartition): string {
  return `${topic}-${partition}`
}

/** Asks the leaders where logs begin and end. What is gone meanwhile is left out. */
export async function findRanges(
  client: Client,
  partitions: readonly TopicPartition[],
): Promise<ReadonlyMap<string, LogRange>> {
  const admin = client.admin()
  const asked: TopicPartition[] = []
  const ranges = new Map<string, LogRange>()
  for (const topic of new Set(partitions.map((one) => one.topic))) {
    const leaders = await leadersOf(client, topic)
    for (const { partition } of partitions.filter((one) => one.topic === topic)) {
      if (!leaders.has(partition)) continue
      if (leaders.get(partition) === null)
        ranges.set(placeOf({ topic, partition }), { startOffset: null, endOffset: null })
      else asked.push({ topic, partition })
    }
  }
  if (asked.length === 0) return ranges
  const [starts, ends] = await Promise.all([
    admin.listOffsets(asked.map((one) => ({ ...one, at: 'earliest' as const }))),
    admin.listOffsets(asked.map((one) => ({ ...one, at: 'latest' as const }))),
  ])
  for (const [index, one] of asked.entries())
    ranges.set(placeOf(one), { startOffset: starts[index]!.offset, endOffset: ends[index]!.offset })
  return ranges
}

/** Leaders by partition; none for a topic that was deleted meanwhile. */
async function leadersOf(client: Client, topic: string): Promise<ReadonlyMap<number, number | null>> {
  try {
    const [described] = await client.admin().describeTopics([topic])
    return new Map(described!.partitions.map(({ partition, leader }) => [partition, leader]))
  } catch (error) {
    if (codeOf(error) !== 'UNKNOWN_TOPIC_OR_PARTITION') throw error
    return new Map()
  }
}
