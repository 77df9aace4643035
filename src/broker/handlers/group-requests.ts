/**
 * Requests about one group: OffsetCommit (8), JoinGroup (11), Heartbeat (12), LeaveGroup (13), SyncGroup (14), OffsetDelete (47)
 * and ConsumerGroupHeartbeat (68, KIP-848). The shard that holds the group answers; a broker that does not coordinate it says
 * so, and the client looks for the one that does.
 *
 * JoinGroup and SyncGroup may wait for other members, for minutes. Later requests of the connection wait with them, as in Kafka;
 * the wait ends with the connection, and when the broker stops.
 */
import type { GroupClient, GroupShard } from '../../coordinator/groups/group-shard.ts'
import { CoordinatorFailure } from '../../coordinator/shard-context.ts'
import type { RequestOf, ResponseInputOf } from '../../protocol/apis.ts'
import type { ErrorName } from '../../protocol/errors.ts'
import type { Handler, RequestContext } from '../services.ts'
import { refuseGroupRequest } from './group-refusals.ts'
import type { GroupApi } from './group-refusals.ts'

/** Requests that name one group. */
type OneGroupApi = {
  [A in GroupApi]: 'groupId' extends keyof RequestOf<A> ? (A extends 'OffsetFetch' ? never : A) : never
}[GroupApi]

/** How a shard answers a request. */
type Ask<A extends OneGroupApi> = (
  shard: GroupShard,
  request: RequestOf<A>,
  client: GroupClient,
) => Promise<ResponseInputOf<A>>

export const oneGroupHandlers: { readonly [A in OneGroupApi]: Handler<A> } = {
  OffsetCommit: askGroup('OffsetCommit', (shard, request, client) => shard.offsetCommit(request, client)),
  JoinGroup: waitFor('JoinGroup', (shard, request, client) => shard.joinGroup(request, client)),
  Heartbeat: askGroup('Heartbeat', (shard, request) => shard.heartbeat(request)),
  LeaveGroup: askGroup('LeaveGroup', (shard, request, client) => shard.leaveGroup(request, client)),
  SyncGroup: waitFor('SyncGroup', (shard, request, client) => shard.syncGroup(request, client)),
  OffsetDelete: askGroup('OffsetDelete', (shard, request) => shard.offsetDelete(request)),
  ConsumerGroupHeartbeat: askGroup('ConsumerGroupHeartbeat', (shard, request, client) =>
    shard.consumerGroupHeartbeat(request, client),
  ),
}

function askGroup<A extends OneGroupApi>(api: A, ask: Ask<A>): Handler<A> {
  return async ({ groups }, request, context) => {
    // What is decoded can be encoded: both forms hold the same fields.
    const refuse = (error: ErrorName): ResponseInputOf<A> =>
      refuseGroupRequest(api, request, error, context.apiVersion) as unknown as ResponseInputOf<A>
    const shard = groups.findShard(request.groupId)
    return typeof shard === 'string'
      ? refuse(shard)
      : answerOr(ask(shard, request, clientOf(context)), refuse)
  }
}

/** As `askGroup`, for an answer that may come late: nobody is left to wait for it when the connection ends. */
function waitFor<A extends OneGroupApi>(api: A, ask: Ask<A>): Handler<A> {
  const handle = askGroup(api, ask)
  return async (services, request, context) => {
    const answer = Promise.resolve(handle(services, request, context))
    const late = refuseGroupRequest(api, request, 'NOT_COORDINATOR', context.apiVersion)
    return (await untilEnd(context, answer)) ?? (late as unknown as ResponseInputOf<A>)
  }
}

/** The answer, or `refuse`'s if the shard cannot give one any more. */
export async function answerOr<R>(answer: Promise<R>, refuse: (error: ErrorName) => R): Promise<R> {
  try {
    return await answer
  } catch (error) {
    if (!(error instanceof CoordinatorFailure)) throw error
    return refuse(error.error)
  }
}

function clientOf({ apiVersion, clientId, clientHost }: RequestContext): GroupClient {
  return { apiVersion, clientId: clientId ?? '', clientHost }
}

/** The answer, or null as soon as nobody waits for it any more. */
function untilEnd<R>({ connection }: RequestContext, answer: Promise<R>): Promise<R | null> {
  if (connection.isEnding) return Promise.resolve(null)
  return new Promise((resolve, reject) => {
    const ended = (): void => resolve(null)
    connection.watchEnd(ended)
    void answer.then(resolve, reject).finally(() => connection.unwatchEnd(ended))
  })
}
