/**
 * A consumer's fetch session (KIP-227): the partitions it reads, where, and what it was told of each; so that its requests
 * name only what changed, and so do the answers.
 *
 * A session is known by a number that other clients could guess. All they could do with it is to make its consumer begin
 * anew: the session of a follower is none of theirs, whatever number they name (docs/faults.md X4).
 */
import type { RequestOf, ResponseInputOf } from '../../protocol/apis.ts'
import type { ErrorName } from '../../protocol/errors.ts'
import type { RequestContext } from '../services.ts'
import { FINAL_EPOCH, INITIAL_EPOCH, NO_SESSION } from '../../replication/fetch-sessions.ts'
import type { FetchSession, FetchSessions } from '../../replication/fetch-sessions.ts'

type Request = RequestOf<'Fetch'>
type PartitionRequest = Request['topics'][number]['partitions'][number]
type PartitionResponse = ResponseInputOf<'Fetch'>['responses'][number]['partitions'][number]

/** One partition that a fetch wants. */
export interface Wanted {
  /** As the request named it: by name, or by id since version 13. */
  readonly topic: string
  readonly topicId: string
  request: PartitionRequest
  /** What the consumer was told last, or -1. */
  highWatermark: number
  logStartOffset: number
}

/** What a request is to be served with. */
export interface OpenedFetch {
  readonly wanted: readonly Wanted[]
  /** 0: none. */
  readonly sessionId: number
  readonly session: ConsumerSession | null
  /** The session goes on: partitions without news are left out of the answer. */
  readonly isIncremental: boolean
}

/** Version from which there are sessions. */
const SESSIONS_SINCE_VERSION = 7
const NOT_TOLD = -1

export class ConsumerSession implements FetchSession {
  readonly isPrivileged = false
  readonly #wanted = new Map<string, Wanted>()

  get size(): number {
    return this.#wanted.size
  }

  get wanted(): readonly Wanted[] {
    return [...this.#wanted.values()]
  }

  evicted(): void {
    this.#wanted.clear()
  }

  update(request: Request): void {
    for (const wanted of allOf(request)) {
      const key = keyOf(wanted.topic, wanted.topicId, wanted.request.partition)
      const known = this.#wanted.get(key)
      if (known === undefined) this.#wanted.set(key, wanted)
      else known.request = wanted.request
    }
    for (const { topic, topicId, partitions } of request.forgottenTopicsData)
      for (const index of partitions) this.#wanted.delete(keyOf(topic, topicId, index))
  }

  /**
   * Notes what the consumer is told.
   *
   * @returns Whether it is news. What had records goes to the end: the next answer begins with the others.
   */
  told(wanted: Wanted, answer: PartitionResponse, bytes: number): boolean {
    const isNews = bytes > 0 || isNotable(answer) || hasMoved(wanted, answer)
    wanted.highWatermark = answer.highWatermark
    wanted.logStartOffset = answer.logStartOffset ?? NOT_TOLD
    const key = keyOf(wanted.topic, wanted.topicId, wanted.request.partition)
    if (bytes > 0 && this.#wanted.delete(key)) this.#wanted.set(key, wanted)
    return isNews
  }
}

/** Finds, begins or ends the session that a request names. */
export function openFetch(
  sessions: FetchSessions<FetchSession>,
  request: Request,
  { apiVersion, isForwarded }: Pick<RequestContext, 'apiVersion' | 'isForwarded'>,
): OpenedFetch | ErrorName {
  const { sessionId, sessionEpoch } = request
  // What was passed on has no connection that a session could go on with: it is served as if there were no room for one.
  if (apiVersion < SESSIONS_SINCE_VERSION || isForwarded) return withoutSession(request)
  const known = sessions.peek(sessionId)
  if (sessionEpoch === INITIAL_EPOCH || sessionEpoch === FINAL_EPOCH) {
    if (known instanceof ConsumerSession) sessions.end(sessionId)
    if (sessionEpoch === FINAL_EPOCH) return withoutSession(request)
    const session = new ConsumerSession()
    session.update(request)
    return { wanted: session.wanted, sessionId: sessions.begin(session), session, isIncremental: false }
  }
  if (!(known instanceof ConsumerSession)) return 'FETCH_SESSION_ID_NOT_FOUND'
  const found = sessions.next(sessionId, sessionEpoch)
  if (typeof found === 'string') return found
  if (!sessions.mayGrow(request.topics.reduce((sum, { partitions }) => sum + partitions.length, 0))) {
    // The consumer sends a full fetch, and is served without a session if there is still no room.
    sessions.end(sessionId)
    return 'FETCH_SESSION_ID_NOT_FOUND'
  }
  known.update(request)
  return { wanted: known.wanted, sessionId, session: known, isIncremental: true }
}

function withoutSession(request: Request): OpenedFetch {
  return { wanted: allOf(request), sessionId: NO_SESSION, session: null, isIncremental: false }
}

function allOf(request: Request): Wanted[] {
  return request.topics.flatMap(({ topic, topicId, partitions }) =>
    partitions.map((partition) => ({
      topic,
      topicId,
      request: partition,
      highWatermark: NOT_TOLD,
      logStartOffset: NOT_TOLD,
    })),
  )
}

function keyOf(topic: string, topicId: string, index: number): string {
  return `${topicId} ${topic} ${index}`
}

function isNotable(answer: PartitionResponse): boolean {
  const { errorCode, divergingEpoch, preferredReadReplica } = answer
  return errorCode !== 0 || (divergingEpoch?.epoch ?? -1) >= 0 || (preferredReadReplica ?? -1) >= 0
}

function hasMoved(wanted: Wanted, answer: PartitionResponse): boolean {
  return answer.highWatermark !== wanted.highWatermark || answer.logStartOffset !== wanted.logStartOffset
}
