/**
 * Administration of groups: which there are, who is in them, and their removal. Offsets: admin-group-offsets.ts. Control plane.
 *
 * Every group is asked for at its coordinator, several groups at a time. What a coordinator cannot answer yet, or another one
 * must, is asked again until the time is over; so is a removal whose answer was lost: what is gone then counts as removed.
 */
import type { RequestInputOf, ResponseOf } from '../protocol/apis.ts'
import { errorByCode } from '../protocol/errors.ts'
import { backoffMs } from '../base/backoff.ts'
import type {
  GroupDescription,
  GroupKind,
  GroupListing,
  GroupMember,
  ListGroupsOptions,
} from './admin-group-types.ts'
import type { AdminRequests } from './admin-requests.ts'
import type { AdminOptions } from './admin-types.ts'
import { abortable, pause } from './backoff.ts'
import type { ItemFailure } from './client-error.ts'
import { brokerError, ClientError, throwFailures, toError } from './client-error.ts'
import type { TopicPartition } from './consumer-options.ts'
import { readClassicAssignment } from './group/classic-assignment.ts'
import { GroupCoordinator } from './group/group-coordinator.ts'

/** Groups that are asked about at a time: enough to keep every coordinator busy, few enough to hold up nothing else. */
const GROUPS_AT_ONCE = 32
/** Members that an error names. */
const NAMED_MEMBERS_MAX = 5
/** Versions of ListGroups with states (KIP-518) and with types (KIP-848). */
const STATES_SINCE_VERSION = 4
const TYPES_SINCE_VERSION = 5
/** Type of groups of consumers. */
const CONSUMER_TYPE = 'consumer'

/** There is no group of the consumer protocol of that name, or the broker does not have that protocol. */
const NOT_OF_CONSUMER_PROTOCOL: ReadonlySet<string> = new Set([
  'GROUP_ID_NOT_FOUND',
  'UNSUPPORTED_VERSION',
  'CLIENT_UNSUPPORTED_BY_BROKER',
])

/** Asks all brokers; anew, all of them, when one cannot answer: what it coordinated may be elsewhere meanwhile. */
export async function listGroups(
  requests: AdminRequests,
  options: ListGroupsOptions,
): Promise<GroupListing[]> {
  const { cluster } = requests
  const { clock, random } = cluster.ports
  const attempted = 'Cannot list groups'
  await cluster.connect(options.signal)
  const deadlineMs = clock.monotonicMs() + requests.timeoutMs(options)
  for (let attempt = 1; ; attempt++) {
    const leftMs = Math.max(1, deadlineMs - clock.monotonicMs())
    const failures: ItemFailure[] = []
    const found = new Map<string, GroupListing>()
    await Promise.all(
      Array.from(cluster.nodes.keys(), async (brokerId) => {
        try {
          for (const listing of await groupsOf(requests, brokerId, options, leftMs))
            found.set(listing.groupId, listing)
        } catch (error) {
          failures.push(asFailure(`broker ${brokerId}`, error))
        }
      }),
    )
    if (failures.length === 0) return [...found.values()].sort((a, b) => compare(a.groupId, b.groupId))
    const mayPass = failures.every(({ error }) => error.retriable)
    if (!mayPass || clock.monotonicMs() >= deadlineMs) throwFailures(attempted, failures)
    await pause(clock, backoffMs(cluster.config.backoff, attempt, random), attempted, options.signal)
    await abortable(cluster.refresh(), attempted, options.signal).catch(() => undefined) // seen in the next attempt
  }
}

async function groupsOf(
  requests: AdminRequests,
  brokerId: number,
  { states = [], kinds = [], signal }: ListGroupsOptions,
  timeoutMs: number,
): Promise<GroupListing[]> {
  const attempted = `Cannot list the groups of broker ${brokerId}`
  const ready = await requests.link(brokerId).unthrottled(attempted, signal)
  const version = ready.version('ListGroups')
  if (states.length > 0 && version < STATES_SINCE_VERSION) {
    const message = `${attempted}: it does not tell their states`
    throw new ClientError('CLIENT_UNSUPPORTED_BY_BROKER', message)
  }
  const body = {
    ...(version >= STATES_SINCE_VERSION ? { statesFilter: [...states] } : {}),
    ...(version >= TYPES_SINCE_VERSION ? { typesFilter: [...kinds] } : {}),
    brokerId,
  }
  const answer = await ready.request('ListGroups', body, { signal, timeoutMs })
  if (answer.errorCode !== 0) throw brokerError(attempted, answer.errorCode)
  return answer.groups
    .map(({ groupId, protocolType, groupState, groupType }) => ({
      ...{ groupId, protocolType, coordinator: brokerId },
      kind: kindOf(groupType),
      state: groupState === '' ? null : groupState,
    }))
    .filter(({ kind }) => kinds.length === 0 || (kinds as readonly GroupKind[]).includes(kind))
}

/** Brokers that do not tell the type have but one. */
function kindOf(type: string): GroupKind {
  const kind = type.toLowerCase()
  return kind === '' || kind === 'classic' ? 'classic' : kind === 'consumer' ? 'consumer' : 'other'
}

export async function describeGroups(
  requests: AdminRequests,
  groupIds: readonly string[],
  options: AdminOptions,
): Promise<GroupDescription[]> {
  return forEachGroup(requests, 'Cannot describe groups', groupIds, options, (coordinator) =>
    describeGroup(requests, coordinator, options),
  )
}

async function describeGroup(
  requests: AdminRequests,
  coordinator: GroupCoordinator,
  options: AdminOptions,
): Promise<GroupDescription> {
  try {
    return await describeConsumerGroup(requests, coordinator, options)
  } catch (error) {
    if (!(error instanceof ClientError) || !NOT_OF_CONSUMER_PROTOCOL.has(error.code)) throw error
    return describeClassicGroup(requests, coordinator, options)
  }
}

async function describeConsumerGroup(
  requests: AdminRequests,
  coordinator: GroupCoordinator,
  options: AdminOptions,
): Promise<GroupDescription> {
  const { groupId } = coordinator
  const attempted = `Cannot describe group '${groupId}'`
  return repeated(requests, coordinator, attempted, options, async (timeoutMs) => {
    const body = { groupIds: [groupId], includeAuthorizedOperations: false }
    const sent = { timeoutMs, signal: options.signal }
    const answer = await coordinator.request('ConsumerGroupDescribe', () => body, sent)
    const group = only(answer.groups, attempted)
    if (coordinator.isPassing(group.errorCode)) return null
    if (group.errorCode !== 0) throw brokerError(attempted, group.errorCode, group.errorMessage)
    return {
      ...{ groupId, kind: 'consumer', state: group.groupState, protocolType: CONSUMER_TYPE },
      assignor: group.assignorName === '' ? null : group.assignorName,
      epoch: group.groupEpoch,
      coordinator: coordinator.nodeId!,
      members: group.members.map((one) => ({
        ...{ memberId: one.memberId, instanceId: one.instanceId, clientId: one.clientId },
        ...{ clientHost: one.clientHost, rack: one.rackId, epoch: one.memberEpoch },
        assignment: partitionsOf(one.assignment),
        target: partitionsOf(one.targetAssignment),
      })),
    }
  })
}

type WireAssignment = ResponseOf<'ConsumerGroupDescribe'>['groups'][number]['members'][number]['assignment']

function partitionsOf({ topicPartitions }: WireAssignment): TopicPartition[] {
  return topicPartitions
    .flatMap(({ topicName: topic, partitions }) => partitions.map((partition) => ({ topic, partition })))
    .sort(byPlace)
}

async function describeClassicGroup(
  requests: AdminRequests,
  coordinator: GroupCoordinator,
  options: AdminOptions,
): Promise<GroupDescription> {
  const { groupId } = coordinator
  const attempted = `Cannot describe group '${groupId}'`
  return repeated(requests, coordinator, attempted, options, async (timeoutMs) => {
    const sent = { timeoutMs, signal: options.signal }
    const answer = await coordinator.request('DescribeGroups', () => ({ groups: [groupId] }), sent)
    const group = only(answer.groups, attempted)
    if (coordinator.isPassing(group.errorCode)) return null
    // Brokers that have no error for it call a group dead that they do not know (before v6).
    const isMissing = group.errorCode === 0 && group.groupState === 'Dead'
    if (isMissing) throw new ClientError('GROUP_ID_NOT_FOUND', `${attempted}: there is no such group`)
    if (group.errorCode !== 0) throw brokerError(attempted, group.errorCode)
    const isOfConsumers = group.protocolType === CONSUMER_TYPE
    return {
      ...{ groupId, kind: 'classic', state: group.groupState, protocolType: group.protocolType },
      assignor: group.protocolData === '' ? null : group.protocolData,
      epoch: null,
      coordinator: coordinator.nodeId!,
      members: group.members.map((one): GroupMember => ({
        ...{ memberId: one.memberId, instanceId: one.groupInstanceId, clientId: one.clientId },
        ...{ clientHost: one.clientHost, rack: null, epoch: null, target: null },
        assignment: isOfConsumers
          ? (readClassicAssignment(one.memberAssignment)?.sort(byPlace) ?? null)
          : null,
      })),
    }
  })
}

export async function deleteGroups(
  requests: AdminRequests,
  groupIds: readonly string[],
  options: AdminOptions,
): Promise<void> {
  await forEachGroup(requests, 'Cannot delete groups', groupIds, options, async (coordinator) => {
    const { groupId } = coordinator
    const attempted = `Cannot delete group '${groupId}'`
    // Whether it may have been done by a request whose answer was lost, or did not tell.
    let isUnsure = false
    const code = await repeated(requests, coordinator, attempted, options, async (timeoutMs) => {
      const wasUnsure = isUnsure
      const bodyFor = (): RequestInputOf<'DeleteGroups'> => {
        isUnsure = true // from now on, it may be sent
        return { groupsNames: [groupId] }
      }
      const answer = await coordinator.request('DeleteGroups', bodyFor, { timeoutMs, signal: options.signal })
      const { errorCode } = only(answer.results, attempted)
      const { name } = errorByCode(errorCode)
      if (name === 'GROUP_ID_NOT_FOUND' && wasUnsure) return 0
      isUnsure = wasUnsure || name === 'COORDINATOR_NOT_AVAILABLE'
      return coordinator.isPassing(errorCode) ? null : errorCode
    })
    const { name } = errorByCode(code)
    if (name === 'NON_EMPTY_GROUP') throw await nonEmptyError(requests, coordinator, attempted, options)
    if (code !== 0) throw brokerError(attempted, code)
  })
}

/** What is told of a change that only an empty group allows: who is in it. */
export async function nonEmptyError(
  requests: AdminRequests,
  coordinator: GroupCoordinator,
  attempted: string,
  options: AdminOptions,
): Promise<ClientError> {
  // Who is in it is a courtesy: what is told is that somebody is.
  const group = await describeGroup(requests, coordinator, options).catch(() => null)
  const members = group?.members ?? []
  const named = members.slice(0, NAMED_MEMBERS_MAX).map(describeMember).join(', ')
  const rest = members.length > NAMED_MEMBERS_MAX ? ` and ${members.length - NAMED_MEMBERS_MAX} more` : ''
  const who = members.length === 0 ? '' : `: ${named}${rest}`
  return new ClientError('NON_EMPTY_GROUP', `${attempted}: it has members${who} (NON_EMPTY_GROUP)`)
}

function describeMember({ clientId, clientHost, memberId, instanceId }: GroupMember): string {
  const name = instanceId ?? (clientId === '' ? memberId : clientId)
  return `${name} at ${clientHost.replace(/^\//, '')}`
}

/** Asks for each group at its coordinator; the results are in the order of the groups. */
export async function forEachGroup<T>(
  requests: AdminRequests,
  attempted: string,
  groupIds: readonly string[],
  options: AdminOptions,
  ask: (coordinator: GroupCoordinator) => Promise<T>,
): Promise<T[]> {
  await requests.cluster.connect(options.signal)
  const results = new Map<string, T>()
  const failures: ItemFailure[] = []
  const waiting = [...new Set(groupIds)]
  const work = async (): Promise<void> => {
    for (let groupId = waiting.shift(); groupId !== undefined; groupId = waiting.shift()) {
      try {
        results.set(groupId, await ask(new GroupCoordinator(requests.cluster, groupId)))
      } catch (error) {
        failures.push(asFailure(groupId, error))
      }
    }
  }
  await Promise.all(Array.from({ length: GROUPS_AT_ONCE }, work))
  throwFailures(attempted, failures)
  return groupIds.map((groupId) => results.get(groupId)!)
}

/** Runs `attempt` until it returns something else than null, or the time is over. */
export function repeated<T>(
  requests: AdminRequests,
  coordinator: GroupCoordinator,
  attempted: string,
  options: AdminOptions,
  attempt: (timeoutMs: number) => Promise<T | null>,
): Promise<T> {
  const deadlineMs = requests.cluster.ports.clock.monotonicMs() + requests.timeoutMs(options)
  return coordinator.retried(attempted, { deadlineMs, signal: options.signal }, attempt)
}

/** The one answer to a question about one group. */
export function only<T>(answers: readonly T[], attempted: string): T {
  const [first] = answers
  if (first !== undefined) return first
  throw new ClientError('CLIENT_PROTOCOL_VIOLATED', `${attempted}: the answer leaves it out`)
}

/** A failure of one of several; what is none of the client's is thrown. */
function asFailure(item: string, thrown: unknown): ItemFailure {
  const error = toError(thrown)
  if (!(error instanceof ClientError)) throw error
  return { item, error }
}

function byPlace(a: TopicPartition, b: TopicPartition): number {
  return compare(a.topic, b.topic) || a.partition - b.partition
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
