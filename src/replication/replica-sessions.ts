/**
 * The followers that fetch from this broker, a session each.
 *
 * Who a follower is comes from its connection, which has proved it (rpc/peers.ts), never from the request: a client that
 * poses as a replica does not get here (docs/faults.md X4). Its incarnation comes with each request (KIP-903).
 *
 * Invariants:
 * - A node has one session at most: a new one ends the old one, whose positions were told before it.
 * - An incarnation that has been seen ends all older ones of the node.
 */
import { errorCode } from '../protocol/errors.ts'
import type { ErrorName } from '../protocol/errors.ts'
import { FINAL_EPOCH, INITIAL_EPOCH, NO_SESSION } from './fetch-sessions.ts'
import type { FetchSession, FetchSessions } from './fetch-sessions.ts'
import { ReplicaSession } from './replica-session.ts'
import type {
  ReplicaConnection,
  ReplicaFetchRequest,
  ReplicaFetchResponse,
  ReplicaSessionPorts,
} from './replica-session.ts'

export class ReplicaSessions {
  readonly #ports: ReplicaSessionPorts
  readonly #cache: FetchSessions<FetchSession>
  /** By node id. */
  readonly #sessions = new Map<number, ReplicaSession>()

  /** @param cache - Shared with the sessions of consumers: it gives ids. */
  constructor(ports: ReplicaSessionPorts, cache: FetchSessions<FetchSession>) {
    this.#ports = ports
    this.#cache = cache
  }

  /**
   * Answers a follower's fetch, at once or when there is something for it. The positions that it tells take effect in this
   * turn.
   *
   * @param nodeId - Of the other end of the connection.
   */
  serve(
    request: ReplicaFetchRequest,
    nodeId: number,
    connection: ReplicaConnection,
  ): ReplicaFetchResponse | Promise<ReplicaFetchResponse> {
    const { replicaId, replicaEpoch } = request.replicaState
    if (replicaId !== nodeId) return failed('CLUSTER_AUTHORIZATION_FAILED')
    const known = this.#sessions.get(nodeId)
    if (known !== undefined && known.from.brokerEpoch > replicaEpoch) return failed('STALE_BROKER_EPOCH')
    if (request.sessionEpoch === INITIAL_EPOCH || request.sessionEpoch === FINAL_EPOCH) {
      this.#end(known)
      if (request.sessionEpoch === FINAL_EPOCH) return failed('NONE')
      const session = new ReplicaSession(this.#ports, { nodeId, brokerEpoch: replicaEpoch })
      session.id = this.#cache.begin(session)
      this.#sessions.set(nodeId, session)
      return session.serve(request, connection)
    }
    if (known === undefined || known.id !== request.sessionId || known.from.brokerEpoch !== replicaEpoch)
      return failed('FETCH_SESSION_ID_NOT_FOUND')
    const found = this.#cache.next(request.sessionId, request.sessionEpoch)
    return typeof found === 'string' ? failed(found) : known.serve(request, connection)
  }

  /** Ends all sessions; requests that stand are answered. */
  close(): void {
    for (const session of this.#sessions.values()) this.#end(session)
  }

  #end(session: ReplicaSession | undefined): void {
    if (session === undefined) return
    this.#cache.end(session.id)
    this.#sessions.delete(session.from.nodeId)
    session.end()
  }
}

function failed(error: ErrorName): ReplicaFetchResponse {
  return {
    throttleTimeMs: 0,
    errorCode: errorCode(error),
    sessionId: NO_SESSION,
    responses: [],
    nodeEndpoints: [],
  }
}
