/**
 * Requests about several groups: OffsetFetch (9, of several since KIP-709), DescribeGroups (15), ListGroups (16), DeleteGroups (42)
 * and ConsumerGroupDescribe (69, KIP-848). Each group is asked for at its shard, and succeeds or fails on its own; clients
 * ask each coordinator for the groups that it has.
 *
 * ListGroups names the groups that this broker coordinates; while one of its shards loads it would be incomplete, and says so.
 */
import { ZERO_UUID } from '../../bytes/uuid.ts'
import type { GroupShard } from '../../coordinator/groups/group-shard.ts'
import type { RequestOf, ResponseInputOf, ResponseOf } from '../../protocol/apis.ts'
import { errorByCode, errorCode } from '../../protocol/errors.ts'
import type { ErrorName } from '../../protocol/errors.ts'
import type { BrokerServices, RequestContext } from '../services.ts'
import { refuseGroupRequest } from './group-refusals.ts'
import { answerOr } from './group-requests.ts'

type FetchedGroup = ResponseOf<'OffsetFetch'>['groups'][number]

/** Versions of OffsetFetch from which the whole answer has room for an error, and from which it is about several groups. */
const FETCH_ERROR_SINCE_VERSION = 2
const FETCH_SEVERAL_SINCE_VERSION = 8

/** Asks the shard of a group, or tells why it cannot be asked. */
function ask<R>(
  { groups }: BrokerServices,
  groupId: string,
  answer: (shard: GroupShard) => Promise<R>,
  refuse: (error: ErrorName) => R,
): Promise<R> {
  const shard = groups.findShard(groupId)
  return typeof shard === 'string' ? Promise.resolve(refuse(shard)) : answerOr(answer(shard), refuse)
}

export async function handleOffsetFetch(
  services: BrokerServices,
  request: RequestOf<'OffsetFetch'>,
  { apiVersion }: RequestContext,
): Promise<ResponseInputOf<'OffsetFetch'>> {
  const isSeveral = apiVersion >= FETCH_SEVERAL_SINCE_VERSION
  const queries = isSeveral ? request.groups : [onlyQuery(request)]
  const groups = await Promise.all(
    queries.map((query) =>
      ask<FetchedGroup>(
        services,
        query.groupId,
        (shard) => shard.offsetFetch(query, apiVersion),
        (error) => ({ groupId: query.groupId, topics: [], errorCode: errorCode(error) }),
      ),
    ),
  )
  if (isSeveral) return { throttleTimeMs: 0, groups }
  const { topics, errorCode: code } = groups[0]!
  if (code === errorCode('NONE') || apiVersion >= FETCH_ERROR_SINCE_VERSION)
    return { throttleTimeMs: 0, topics, errorCode: code }
  return refuseGroupRequest('OffsetFetch', request, errorByCode(code).name, apiVersion)
}

/** What an earlier version asks, in the form of those about several groups. */
function onlyQuery({ groupId, topics }: RequestOf<'OffsetFetch'>) {
  const wanted = topics?.map((topic) => ({ ...topic, topicId: ZERO_UUID })) ?? null
  return { groupId, memberId: null, memberEpoch: -1, topics: wanted }
}

export async function handleDescribeGroups(
  services: BrokerServices,
  { groups: groupIds }: RequestOf<'DescribeGroups'>,
  { apiVersion }: RequestContext,
): Promise<ResponseInputOf<'DescribeGroups'>> {
  const groups = groupIds.map((groupId) =>
    ask(
      services,
      groupId,
      (shard) => shard.describeGroup(groupId, apiVersion),
      (error) => {
        const request = { groups: [groupId], includeAuthorizedOperations: false }
        return refuseGroupRequest('DescribeGroups', request, error, apiVersion).groups[0]!
      },
    ),
  )
  return { throttleTimeMs: 0, groups: await Promise.all(groups) }
}

export async function handleConsumerGroupDescribe(
  services: BrokerServices,
  { groupIds }: RequestOf<'ConsumerGroupDescribe'>,
  { apiVersion }: RequestContext,
): Promise<ResponseInputOf<'ConsumerGroupDescribe'>> {
  const groups = groupIds.map((groupId) =>
    ask<ResponseInputOf<'ConsumerGroupDescribe'>['groups'][number]>(
      services,
      groupId,
      (shard) => shard.consumerGroupDescribe(groupId),
      (error) => {
        const request = { groupIds: [groupId], includeAuthorizedOperations: false }
        return refuseGroupRequest('ConsumerGroupDescribe', request, error, apiVersion).groups[0]!
      },
    ),
  )
  return { throttleTimeMs: 0, groups: await Promise.all(groups) }
}

export async function handleDeleteGroups(
  services: BrokerServices,
  { groupsNames }: RequestOf<'DeleteGroups'>,
): Promise<ResponseInputOf<'DeleteGroups'>> {
  const results = groupsNames.map(async (groupId) => {
    const error = await ask<ErrorName>(
      services,
      groupId,
      (shard) => shard.deleteGroup(groupId),
      (refusal) => refusal,
    )
    return { groupId, errorCode: errorCode(error) }
  })
  return { throttleTimeMs: 0, results: await Promise.all(results) }
}

export async function handleListGroups(
  { groups }: BrokerServices,
  request: RequestOf<'ListGroups'>,
): Promise<ResponseInputOf<'ListGroups'>> {
  const refuse = (error: ErrorName): ResponseInputOf<'ListGroups'> => {
    return { throttleTimeMs: 0, errorCode: errorCode(error), groups: [] }
  }
  if (groups.loadingCount > 0) return refuse('COORDINATOR_LOAD_IN_PROGRESS')
  const list = async (): Promise<ResponseInputOf<'ListGroups'>> => {
    const listed = await Promise.all(Array.from(groups.shards(), (shard) => shard.listGroups(request)))
    return { throttleTimeMs: 0, errorCode: errorCode('NONE'), groups: listed.flat() }
  }
  return answerOr(list(), refuse)
}
