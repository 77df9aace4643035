/**
 * Requests about several groups by a client that came to any broker: each coordinator is asked about its own groups, and the
 * answers become one. ListGroups is about the groups of all brokers, where all have one address and no client can ask each.
 *
 *   client ──> DescribeGroups a, b, c ──> here: a │ broker 2: b │ broker 3: c ──> one answer, in the order asked
 *
 * Unlike a request about partitions (request-route.ts) these may be split: each group is answered by itself, nothing waits, and
 * a part that was lost is an error of its own groups alone. A list has one error for all; with one it names no groups, since an
 * incomplete list looks like a whole one.
 *
 * Pure functions. Bounded by the brokers, and by what the request names.
 */
import { errorCode } from '../protocol/errors.ts'
import type { RequestOf, ResponseInputOf } from '../protocol/apis.ts'
import type { RoutedRequest, RoutePorts } from './request-route.ts'

const GATHERED = [
  'ConsumerGroupDescribe',
  'DeleteGroups',
  'DescribeGroups',
  'ListGroups',
  'OffsetFetch',
] as const
type GatheredName = (typeof GATHERED)[number]
export type GatheredRequest = Extract<RoutedRequest, { name: GatheredName }>
type AboutGroups = Exclude<GatheredRequest, { name: 'ListGroups' }>

/** What one broker is asked. */
export interface Part {
  /** Null: this broker. */
  readonly answerer: number | null
  readonly request: GatheredRequest
}

/**
 * @param isOneAddress - The client knows one address for all brokers.
 * @returns What to ask whom; null: the request is for one broker as it is.
 */
export function partsOf(
  ports: RoutePorts,
  request: RoutedRequest,
  isOneAddress: boolean,
): readonly Part[] | null {
  if (!isGathered(request)) return null
  const answererOf = (nodeId: number): number | null => (nodeId === ports.nodeId ? null : nodeId)
  if (request.name === 'ListGroups') {
    if (request.body.brokerId >= 0 || !isOneAddress) return null
    const live = [...ports.image().brokers.values()].filter(({ isFenced }) => !isFenced)
    return live.map(({ id }) => ({ answerer: answererOf(id), request }))
  }
  const byAnswerer = new Map<number | null, string[]>()
  for (const groupId of new Set(idsOf(request))) {
    // Whoever it is that coordinates none says so.
    const answerer = answererOf(ports.findCoordinator(groupId) ?? ports.nodeId)
    const ids = byAnswerer.get(answerer)
    if (ids === undefined) byAnswerer.set(answerer, [groupId])
    else ids.push(groupId)
  }
  if (byAnswerer.size < 2) return null
  return Array.from(byAnswerer, ([answerer, ids]) => ({ answerer, request: about(request, new Set(ids)) }))
}

/** One answer of those to the parts. */
export function gather(
  request: GatheredRequest,
  answers: readonly ResponseInputOf<GatheredName>[],
): ResponseInputOf<GatheredName> {
  // Each answer is one to the request's own name; the compiler cannot follow that through a union.
  switch (request.name) {
    case 'ListGroups': {
      const lists = answers as readonly ResponseInputOf<'ListGroups'>[]
      const failed = lists.find((each) => each.errorCode !== errorCode('NONE'))
      if (failed !== undefined) return { errorCode: failed.errorCode, groups: [] }
      // One that has moved meanwhile may be named twice.
      const groups = new Map(lists.flatMap((each) => each.groups.map((group) => [group.groupId, group])))
      return { errorCode: errorCode('NONE'), groups: [...groups.values()] }
    }
    case 'DeleteGroups': {
      const results = (answers as readonly ResponseInputOf<'DeleteGroups'>[]).flatMap((each) => each.results)
      return { results: inOrder(request, results) }
    }
    case 'DescribeGroups':
      return { groups: inOrder(request, groupsIn(answers as readonly ResponseInputOf<'DescribeGroups'>[])) }
    case 'ConsumerGroupDescribe':
      return {
        groups: inOrder(request, groupsIn(answers as readonly ResponseInputOf<'ConsumerGroupDescribe'>[])),
      }
    case 'OffsetFetch':
      return {
        groups: inOrder(request, groupsIn(answers as readonly { groups: readonly FetchedGroup[] }[])),
      }
  }
}

type FetchedGroup = NonNullable<ResponseInputOf<'OffsetFetch'>['groups']>[number]

function groupsIn<G>(answers: readonly { readonly groups: readonly G[] }[]): readonly G[] {
  return answers.flatMap(({ groups }) => groups)
}

/** As the request named them; what nobody answered for is left out. */
function inOrder<G extends { readonly groupId: string }>(request: AboutGroups, groups: readonly G[]): G[] {
  const byId = new Map(groups.map((group) => [group.groupId, group]))
  return [...new Set(idsOf(request))].flatMap((groupId) => byId.get(groupId) ?? [])
}

export function isGathered(request: RoutedRequest): request is GatheredRequest {
  return (GATHERED as readonly string[]).includes(request.name)
}

/** Ids of the groups; of an OffsetFetch in a version about one group none, since it is for one broker anyway. */
function idsOf(request: AboutGroups): readonly string[] {
  switch (request.name) {
    case 'DescribeGroups':
      return request.body.groups
    case 'DeleteGroups':
      return request.body.groupsNames
    case 'ConsumerGroupDescribe':
      return request.body.groupIds
    case 'OffsetFetch':
      return request.body.groups.map(({ groupId }) => groupId)
  }
}

/** The same request about some of its groups. */
function about(request: AboutGroups, ids: ReadonlySet<string>): AboutGroups {
  const some = (all: readonly string[]): string[] => all.filter((id) => ids.has(id))
  switch (request.name) {
    case 'DescribeGroups':
      return { ...request, body: { ...request.body, groups: some(request.body.groups) } }
    case 'DeleteGroups':
      return { ...request, body: { ...request.body, groupsNames: some(request.body.groupsNames) } }
    case 'ConsumerGroupDescribe':
      return { ...request, body: { ...request.body, groupIds: some(request.body.groupIds) } }
    case 'OffsetFetch': {
      const body: RequestOf<'OffsetFetch'> = {
        ...request.body,
        groups: request.body.groups.filter(({ groupId }) => ids.has(groupId)),
      }
      return { ...request, body }
    }
  }
}
