/**
 * Which broker must answer a request of a client that may have come to any: the leader of its partitions, as far as this
 * broker knows, the coordinator of its groups, or the broker that it names.
 *
 * A request goes to one broker as a whole. One whose partitions are led by several goes to the one that leads most of them,
 * which answers NOT_LEADER_OR_FOLLOWER for the others, with the right leader. (Those about several groups: gathered-requests.ts.) It is not split: clients send to each leader what
 * it leads, so such a request shows that its client has not heard of a move yet, which that answer tells it; and of a
 * split request each part would wait for the slowest broker, while a lost part left the fate of the whole unclear.
 *
 * Pure functions of what this broker knows. Data plane.
 */
import { BROKER_RESOURCE } from '../metadata/cluster-image.ts'
import type { ClusterImage, TopicImage } from '../metadata/cluster-image.ts'
import type { ApiName } from '../protocol/apis.ts'
import type { RequestFrame } from '../protocol/frame.ts'
import { GROUP_APIS } from './handlers/group-refusals.ts'
import type { GroupApi } from './handlers/group-refusals.ts'
import type { PartitionRegistry } from './partition-registry.ts'

export interface RoutePorts {
  readonly nodeId: number
  readonly image: () => ClusterImage
  readonly partitions: Pick<PartitionRegistry, 'lookupReplica'>
  /** The broker that coordinates a group, if that is known. */
  readonly findCoordinator: (groupId: string) => number | null
}

/** A request of a client, decoded. */
export type ClientRequest = Extract<RequestFrame, { kind: 'served' }>

/** Requests that only one broker can answer. The others any broker answers, by itself or through the controller. */
const ROUTED = [
  'DeleteRecords',
  'DescribeConfigs',
  'DescribeLogDirs',
  'Fetch',
  'ListGroups',
  'ListOffsets',
  'OffsetForLeaderEpoch',
  'Produce',
  ...GROUP_APIS,
] as const satisfies readonly ApiName[]
export type RoutedName = (typeof ROUTED)[number]
export type RoutedRequest = Extract<ClientRequest, { name: RoutedName }>

const ROUTED_NAMES: ReadonlySet<ApiName> = new Set(ROUTED)

/** Versions from which topics are named by id (KIP-516). */
const IDS_IN_PRODUCE_SINCE = 13
const IDS_IN_FETCH_SINCE = 13
/** Version from which a consumer names its rack (KIP-392). */
const RACKS_SINCE_VERSION = 11
const FULL_FETCH_EPOCH_LAST = 0

export function isRouted(request: ClientRequest): request is RoutedRequest {
  return ROUTED_NAMES.has(request.name)
}

/** @returns The broker that must answer; null: this one, or none is known that could do better. */
export function findAnswerer(ports: RoutePorts, request: RoutedRequest): number | null {
  switch (request.name) {
    case 'Produce':
    case 'ListOffsets':
    case 'OffsetForLeaderEpoch':
    case 'DeleteRecords':
      return answererOf(ports, leadersOf(ports.image(), request))
    case 'Fetch':
      return answererOf(ports, leadersForFetch(ports, request))
    case 'DescribeLogDirs': {
      const { brokerId, topics } = request.body
      if (brokerId >= 0) return findOther(ports, brokerId)
      if (topics === null) return null
      return answererOf(ports, leadersWithoutReplica(ports, topics))
    }
    case 'ListGroups':
      return findOther(ports, request.body.brokerId)
    case 'DescribeConfigs': {
      const { resources } = request.body
      const named = resources.filter(({ resourceType }) => resourceType === BROKER_RESOURCE)
      const ids = new Set(named.map(({ resourceName }) => resourceName).filter((name) => name !== ''))
      const [id] = ids
      return ids.size !== 1 || id === String(ports.nodeId) ? null : findBroker(ports.image(), id!)
    }
    default:
      return answererOf(ports, coordinatorsOf(ports, request))
  }
}

/** The broker that was named, if it is another one. */
function findOther({ nodeId, image }: RoutePorts, brokerId: number): number | null {
  return brokerId !== nodeId && image().brokers.has(brokerId) ? brokerId : null
}

/** The broker that leads most of the partitions; in doubt this one, then the one that was named first. */
function answererOf({ nodeId }: RoutePorts, leaders: readonly number[]): number | null {
  const [first] = leaders
  if (first === undefined) return null
  if (leaders.every((leader) => leader === first)) return first === nodeId ? null : first
  const counts = new Map<number, number>()
  for (const leader of leaders) counts.set(leader, (counts.get(leader) ?? 0) + 1)
  let answerer = nodeId
  for (const [leader, count] of counts) if (count > (counts.get(answerer) ?? 0)) answerer = leader
  return answerer === nodeId ? null : answerer
}

/** One for each group of the request that has a coordinator. */
function coordinatorsOf(
  { findCoordinator }: RoutePorts,
  request: Extract<RoutedRequest, { name: GroupApi }>,
): number[] {
  return groupsOf(request).flatMap((groupId) => findCoordinator(groupId) ?? [])
}

function groupsOf(request: Extract<RoutedRequest, { name: GroupApi }>): readonly string[] {
  switch (request.name) {
    case 'DescribeGroups':
      return request.body.groups
    case 'DeleteGroups':
      return request.body.groupsNames
    case 'ConsumerGroupDescribe':
      return request.body.groupIds
    case 'OffsetFetch': {
      const { groupId, groups } = request.body
      return groups.length > 0 ? groups.map((each) => each.groupId) : [groupId]
    }
    default:
      return [request.body.groupId]
  }
}

/** One for each partition of the request that has a leader. */
function leadersOf(
  image: ClusterImage,
  request: Exclude<RoutedRequest, { name: GroupApi | 'DescribeConfigs' | 'DescribeLogDirs' | 'ListGroups' }>,
): number[] {
  const leaders: number[] = []
  const { header } = request
  switch (request.name) {
    case 'Produce':
      for (const { name, topicId, partitionData } of request.body.topicData) {
        const topic = findTopic(image, header.apiVersion >= IDS_IN_PRODUCE_SINCE, name, topicId)
        for (const { index } of partitionData) pushLeader(leaders, topic, index)
      }
      break
    case 'Fetch':
      for (const { topic: name, topicId, partitions } of request.body.topics) {
        const topic = findTopic(image, header.apiVersion >= IDS_IN_FETCH_SINCE, name, topicId)
        for (const { partition } of partitions) pushLeader(leaders, topic, partition)
      }
      break
    case 'ListOffsets':
    case 'DeleteRecords':
      for (const { name, partitions } of request.body.topics)
        for (const { partitionIndex } of partitions)
          pushLeader(leaders, image.topicsByName.get(name), partitionIndex)
      break
    case 'OffsetForLeaderEpoch':
      for (const { topic: name, partitions } of request.body.topics)
        for (const { partition } of partitions) pushLeader(leaders, image.topicsByName.get(name), partition)
  }
  return leaders
}

/**
 * As `leadersOf`; none for a fetch that is answered here whoever leads: one that goes on with a session, which is known here
 * or nowhere, and one of a consumer that names its rack, and so takes what followers have, of partitions with a replica here.
 */
function leadersForFetch(ports: RoutePorts, request: Extract<RoutedRequest, { name: 'Fetch' }>): number[] {
  const { header, body } = request
  if (body.sessionEpoch > FULL_FETCH_EPOCH_LAST) return []
  const image = ports.image()
  if (header.apiVersion >= RACKS_SINCE_VERSION && body.rackId !== '') {
    const isHere = body.topics.some((wanted) => {
      const topic = findTopic(image, header.apiVersion >= IDS_IN_FETCH_SINCE, wanted.topic, wanted.topicId)
      return wanted.partitions.some(({ partition }) => hasReplica(ports, topic, partition))
    })
    if (isHere) return []
  }
  return leadersOf(image, request)
}

/** Leaders of the partitions, or none when this broker has a replica of any. */
function leadersWithoutReplica(
  ports: RoutePorts,
  topics: readonly { readonly topic: string; readonly partitions: readonly number[] }[],
): number[] {
  const image = ports.image()
  const leaders: number[] = []
  for (const { topic: name, partitions } of topics) {
    const topic = image.topicsByName.get(name)
    for (const index of partitions) {
      if (hasReplica(ports, topic, index)) return []
      pushLeader(leaders, topic, index)
    }
  }
  return leaders
}

function findTopic(
  image: ClusterImage,
  isById: boolean,
  name: string,
  topicId: string,
): TopicImage | undefined {
  return isById ? image.topicsById.get(topicId) : image.topicsByName.get(name)
}

function pushLeader(leaders: number[], topic: TopicImage | undefined, index: number): void {
  const leader = topic?.partitions[index]?.leader ?? null
  if (leader !== null) leaders.push(leader)
}

function hasReplica({ partitions }: RoutePorts, topic: TopicImage | undefined, index: number): boolean {
  return topic !== undefined && typeof partitions.lookupReplica(topic.name, index) !== 'string'
}

function findBroker(image: ClusterImage, name: string): number | null {
  for (const id of image.brokers.keys()) if (String(id) === name) return id
  return null
}
