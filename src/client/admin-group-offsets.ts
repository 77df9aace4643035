/**
 * Administration of what groups have committed: read, set and forgotten at their coordinators. Control plane.
 *
 * Topics are named, not told by id: who sets offsets means the topics that have the names now.
 */
import type { RequestInputOf } from '../protocol/apis.ts'
import { errorByCode } from '../protocol/errors.ts'
import { groupBy } from './admin-answers.ts'
import type { GroupOffsets, ListGroupOffsetsOptions } from './admin-group-types.ts'
import { forEachGroup, nonEmptyError, repeated } from './admin-groups.ts'
import type { AdminRequests } from './admin-requests.ts'
import type { AdminOptions } from './admin-types.ts'
import type { ReadyLink } from './broker-link.ts'
import type { ItemFailure } from './client-error.ts'
import { brokerError, throwFailures } from './client-error.ts'
import type { TopicPartition } from './consumer-options.ts'
import { GroupCoordinator } from './group/group-coordinator.ts'
import type { CommittedOffset, OffsetToCommit } from './group/offsets.ts'

/** Last versions of OffsetFetch and OffsetCommit that name topics. */
const FETCH_BY_NAME_VERSION_MAX = 9
const COMMIT_BY_NAME_VERSION_MAX = 9
/** First version of OffsetFetch that asks about several groups, and only in that form (KIP-709). */
const FETCH_SEVERAL_SINCE_VERSION = 8
const NO_OFFSET = -1
/** Generation of who is no member. */
const NOBODY = -1
/** What one request commits, in bytes: well within what the coordinator's log takes in one batch, 1 MiB by default. */
const COMMIT_BYTES_MAX = 262_144
/** Of a committed offset without its texts, at most. */
const OFFSET_BYTES = 100

export async function listGroupOffsets(
  requests: AdminRequests,
  groupIds: readonly string[],
  options: ListGroupOffsetsOptions,
): Promise<GroupOffsets[]> {
  return forEachGroup(requests, 'Cannot list committed offsets', groupIds, options, async (coordinator) => {
    const { groupId } = coordinator
    const attempted = `Cannot list what group '${groupId}' has committed`
    const bodyFor = (ready: ReadyLink) => fetchBody(ready, groupId, options.partitions)
    return repeated(requests, coordinator, attempted, options, async (timeoutMs) => {
      const sent = { timeoutMs, signal: options.signal, versionMax: FETCH_BY_NAME_VERSION_MAX }
      const answer = await coordinator.request('OffsetFetch', bodyFor, sent)
      const group = answer.groups[0] ?? answer
      if (coordinator.isPassing(group.errorCode)) return null
      if (group.errorCode !== 0) throw brokerError(attempted, group.errorCode)
      const offsets: CommittedOffset[] = []
      for (const { name: topic, partitions } of group.topics) {
        for (const { partitionIndex: partition, committedOffset, metadata, errorCode } of partitions) {
          if (coordinator.isPassing(errorCode)) return null
          if (errorCode !== 0) throw brokerError(`${attempted} in ${topic}-${partition}`, errorCode)
          const isNone = committedOffset === NO_OFFSET
          const [offset, words] = isNone ? [null, null] : [committedOffset, metadata]
          offsets.push({ topic, partition, offset, metadata: words })
        }
      }
      offsets.sort((a, b) => (a.topic === b.topic ? a.partition - b.partition : a.topic < b.topic ? -1 : 1))
      return { groupId, offsets }
    })
  })
}

function fetchBody(
  ready: ReadyLink,
  groupId: string,
  partitions: readonly TopicPartition[] | undefined,
): RequestInputOf<'OffsetFetch'> {
  const topics =
    partitions === undefined
      ? null
      : Array.from(byTopic(partitions), ([name, some]) => ({
          name,
          partitionIndexes: some.map(({ partition }) => partition),
        }))
  const isSeveral = ready.version('OffsetFetch', FETCH_BY_NAME_VERSION_MAX) >= FETCH_SEVERAL_SINCE_VERSION
  return isSeveral ? { groups: [{ groupId, topics }], requireStable: true } : { groupId, topics }
}

export async function alterGroupOffsets(
  requests: AdminRequests,
  groupId: string,
  offsets: readonly OffsetToCommit[],
  options: AdminOptions,
): Promise<void> {
  await requests.cluster.connect(options.signal)
  const attempted = `Cannot set offsets of group '${groupId}'`
  const coordinator = new GroupCoordinator(requests.cluster, groupId)
  const failures: ItemFailure[] = []
  for (const some of pieces(groupId, offsets)) {
    const body = {
      ...{ groupId, generationIdOrMemberEpoch: NOBODY, memberId: '', groupInstanceId: null },
      topics: Array.from(byTopic(some), ([name, places]) => ({
        name,
        partitions: places.map(({ partition, offset, metadata }) => ({
          partitionIndex: partition,
          committedOffset: offset,
          committedMetadata: metadata ?? '',
        })),
      })),
    }
    const topics = await repeated(requests, coordinator, attempted, options, async (timeoutMs) => {
      const sent = { timeoutMs, signal: options.signal, versionMax: COMMIT_BY_NAME_VERSION_MAX }
      const answer = await coordinator.request('OffsetCommit', () => body, sent)
      const isPassing = ({ errorCode }: { errorCode: number }): boolean => coordinator.isPassing(errorCode)
      return answer.topics.some(({ partitions }) => partitions.some(isPassing)) ? null : answer.topics
    })
    for (const { name, partitions } of topics) {
      for (const { partitionIndex, errorCode } of partitions) {
        if (errorCode === 0) continue
        // Nobody is no member: so the group has some.
        if (errorByCode(errorCode).name === 'UNKNOWN_MEMBER_ID')
          throw await nonEmptyError(requests, coordinator, attempted, options)
        const item = `${name}-${partitionIndex}`
        failures.push({ item, error: brokerError(`${attempted} in ${item}`, errorCode) })
      }
    }
  }
  throwFailures(attempted, failures)
}

/** Cuts what is to be committed into requests that a coordinator can write at once. */
function* pieces(groupId: string, offsets: readonly OffsetToCommit[]): IterableIterator<OffsetToCommit[]> {
  let piece: OffsetToCommit[] = []
  let bytes = 0
  for (const one of offsets) {
    // A character takes at most three bytes of UTF-8 for each unit of text.
    const size = OFFSET_BYTES + 3 * (groupId.length + one.topic.length + (one.metadata?.length ?? 0))
    if (piece.length > 0 && bytes + size > COMMIT_BYTES_MAX) {
      yield piece
      piece = []
      bytes = 0
    }
    piece.push(one)
    bytes += size
  }
  if (piece.length > 0) yield piece
}

export async function deleteGroupOffsets(
  requests: AdminRequests,
  groupId: string,
  partitions: readonly TopicPartition[],
  options: AdminOptions,
): Promise<void> {
  await requests.cluster.connect(options.signal)
  const attempted = `Cannot delete offsets of group '${groupId}'`
  const coordinator = new GroupCoordinator(requests.cluster, groupId)
  const topics = Array.from(byTopic(partitions), ([name, some]) => ({
    name,
    partitions: some.map(({ partition }) => ({ partitionIndex: partition })),
  }))
  const answer = await repeated(requests, coordinator, attempted, options, async (timeoutMs) => {
    const sent = { timeoutMs, signal: options.signal }
    const found = await coordinator.request('OffsetDelete', () => ({ groupId, topics }), sent)
    return coordinator.isPassing(found.errorCode) ? null : found
  })
  if (errorByCode(answer.errorCode).name === 'NON_EMPTY_GROUP')
    throw await nonEmptyError(requests, coordinator, attempted, options)
  if (answer.errorCode !== 0) throw brokerError(attempted, answer.errorCode)
  const failures = answer.topics.flatMap(({ name, partitions: answers }) =>
    answers.flatMap(({ partitionIndex, errorCode }) => {
      const item = `${name}-${partitionIndex}`
      return errorCode === 0 ? [] : [{ item, error: brokerError(`${attempted} in ${item}`, errorCode) }]
    }),
  )
  throwFailures(attempted, failures)
}

function byTopic<T extends TopicPartition>(items: readonly T[]): Map<string, T[]> {
  return groupBy(items, ({ topic }) => topic)
}
