/**
 * The answers that refuse a whole request about groups: this broker is not their coordinator, or not yet, or it cannot tell
 * whether what was asked has happened.
 */
import { joinFault, syncFault } from '../../coordinator/groups/classic/answers.ts'
import type { ApiName, RequestOf, ResponseOf } from '../../protocol/apis.ts'
import { errorCode } from '../../protocol/errors.ts'
import type { ErrorName } from '../../protocol/errors.ts'

/** Requests that only the coordinator of their groups can answer. */
export const GROUP_APIS = [
  'ConsumerGroupDescribe',
  'ConsumerGroupHeartbeat',
  'DeleteGroups',
  'DescribeGroups',
  'Heartbeat',
  'JoinGroup',
  'LeaveGroup',
  'OffsetCommit',
  'OffsetDelete',
  'OffsetFetch',
  'SyncGroup',
] as const satisfies readonly ApiName[]
export type GroupApi = (typeof GROUP_APIS)[number]

/** Version of OffsetFetch from which the answer as a whole has room for an error, and from which it is about several groups. */
const FETCH_ERROR_SINCE_VERSION = 2
const FETCH_SEVERAL_SINCE_VERSION = 8

type Refusals = {
  readonly [A in GroupApi]: (request: RequestOf<A>, error: ErrorName, apiVersion: number) => ResponseOf<A>
}

const refusals: Refusals = {
  JoinGroup: ({ memberId }, error, apiVersion) => joinFault(error, memberId, apiVersion),
  SyncGroup: (_request, error) => syncFault(error),
  Heartbeat: (_request, error) => ({ throttleTimeMs: 0, errorCode: errorCode(error) }),
  LeaveGroup: (_request, error) => ({ throttleTimeMs: 0, errorCode: errorCode(error), members: [] }),
  OffsetCommit: ({ topics }, error) => ({
    throttleTimeMs: 0,
    topics: topics.map(({ name, topicId, partitions }) => ({
      ...{ name, topicId },
      partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, errorCode: errorCode(error) })),
    })),
  }),
  OffsetDelete: (_request, error) => ({ errorCode: errorCode(error), throttleTimeMs: 0, topics: [] }),
  OffsetFetch: ({ topics, groups }, error, apiVersion) => {
    const code = errorCode(error)
    if (apiVersion >= FETCH_SEVERAL_SINCE_VERSION) {
      const refused = groups.map(({ groupId }) => ({ groupId, topics: [], errorCode: code }))
      return { throttleTimeMs: 0, topics: [], errorCode: 0, groups: refused }
    }
    if (apiVersion >= FETCH_ERROR_SINCE_VERSION) {
      return { throttleTimeMs: 0, topics: [], errorCode: code, groups: [] }
    }
    const refused = (topics ?? []).map(({ name, partitionIndexes }) => ({
      name,
      partitions: partitionIndexes.map((partitionIndex) => ({
        ...{ partitionIndex, committedOffset: -1, committedLeaderEpoch: -1, metadata: '', errorCode: code },
      })),
    }))
    return { throttleTimeMs: 0, topics: refused, errorCode: 0, groups: [] }
  },
  DescribeGroups: ({ groups }, error) => ({
    throttleTimeMs: 0,
    groups: groups.map((groupId) => ({
      ...{ errorCode: errorCode(error), errorMessage: null, groupId, groupState: '', protocolType: '' },
      ...{ protocolData: '', members: [], authorizedOperations: NOT_ASKED },
    })),
  }),
  DeleteGroups: ({ groupsNames }, error) => ({
    throttleTimeMs: 0,
    results: groupsNames.map((groupId) => ({ groupId, errorCode: errorCode(error) })),
  }),
  ConsumerGroupHeartbeat: (_request, error) => ({
    ...{ throttleTimeMs: 0, errorCode: errorCode(error), errorMessage: null },
    ...{ memberId: null, memberEpoch: 0, heartbeatIntervalMs: 0, assignment: null },
  }),
  ConsumerGroupDescribe: ({ groupIds }, error) => ({
    throttleTimeMs: 0,
    groups: groupIds.map((groupId) => ({
      ...{ errorCode: errorCode(error), errorMessage: null, groupId, groupState: '', groupEpoch: 0 },
      ...{ assignmentEpoch: 0, assignorName: '', members: [], authorizedOperations: NOT_ASKED },
    })),
  }),
}

/** In place of the operations that a client may do, when it did not ask which. */
const NOT_ASKED = -2_147_483_648

/** The answer to a request when nothing of it was done, or when what was done is not known. */
export function refuseGroupRequest<A extends GroupApi>(
  api: A,
  request: RequestOf<A>,
  error: ErrorName,
  apiVersion: number,
): ResponseOf<A> {
  return refusals[api](request, error, apiVersion)
}
