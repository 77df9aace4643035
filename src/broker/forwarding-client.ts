/**
 * The requests of one client connection that other brokers must answer: each is passed on whole, its answer passed back; those
 * about several groups in parts (gathered-requests.ts).
 *
 * Data plane. The frame goes out as it came in, and the answer's as it came back: neither is copied or decoded here, but for
 * the request, to know whom it concerns.
 *
 * Invariants:
 * - The connection has at most one channel to another broker at a time, for itself (rpc/forward-channels.ts): its requests are
 *   answered in order anyway, and only a run of one kind is under way together (overlapping.ts).
 * - Such requests take effect in the order they came, also when the broker that must answer changes between two: the later
 *   waits until the earlier has its answer. A batch that failed is not overtaken (produce-guard.ts).
 * - Nothing is sent twice: whether to try again is for the client.
 * - When the connection ends, so does what stands for it elsewhere.
 */
import type { Clock } from '../env/index.ts'
import type { ApiName, RequestOf, ResponseInputOf } from '../protocol/apis.ts'
import { decodeResponse, encodeRequest } from '../protocol/frame.ts'
import { ChannelError } from '../rpc/client-channel.ts'
import type { ForwardKind, ForwardLease } from '../rpc/forward-channels.ts'
import type { ServerChannel } from '../rpc/server-channel.ts'
import type { AnswerRoom } from './answer-room.ts'
import { refuseProduce } from './handlers/produce.ts'
import { responseBudgetAvailable } from './handlers/fetch.ts'
import { overlaps } from './overlapping.ts'
import { GUARDED_MAX, ProduceGuard } from './produce-guard.ts'
import { gather, isGathered } from './gathered-requests.ts'
import type { GatheredRequest, Part } from './gathered-requests.ts'
import type { RoutedName, RoutedRequest } from './request-route.ts'
import type { BrokerServices, RequestContext } from './services.ts'
import { answerUnanswered } from './unanswered.ts'

/**
 * Time for an answer beyond what the request itself allows for waiting, in ms. A broker that is gone is noticed sooner, by
 * its connection; this is for one that lives and is stuck.
 */
const ANSWER_MS = 30_000

/** How long a SyncGroup may wait for the leader of its group, in ms: what clients give each other to rejoin, by default. */
const SYNC_MS = 300_000

/** An answer that another broker gave, as it came. */
export class PassedAnswer {
  /** Null: the client gets none. */
  readonly frame: Uint8Array | null
  /** Of a Produce: not every batch was taken. */
  readonly hasFailed: boolean

  constructor(frame: Uint8Array | null, hasFailed: boolean) {
    this.frame = frame
    this.hasFailed = hasFailed
  }
}

type Body = ResponseInputOf<ApiName> | null
export type Answer = Body | PassedAnswer

/** A request on its way. */
export interface Passage<R extends RoutedRequest = RoutedRequest> {
  readonly request: R
  /** The request as it came. */
  readonly frame: Uint8Array
  readonly context: RequestContext
  /** Answers it here, or a part of it. */
  readonly here: (part?: RequestOf<RoutedName>) => Body | Promise<Body>
}
type ProducePassage = Passage<Extract<RoutedRequest, { name: 'Produce' }>>

export interface ForwardingPorts {
  readonly clock: Clock
  readonly services: BrokerServices
  readonly acquire: (nodeId: number, kind: ForwardKind, signal: AbortSignal) => Promise<ForwardLease>
  /** The broker that must answer; null: this one. */
  readonly answererOf: (request: RoutedRequest) => number | null
  /** What to ask whom, where one broker cannot know all of it; null: one can. */
  readonly partsOf: (request: RoutedRequest) => readonly Part[] | null
  readonly answerRoom: AnswerRoom
}

/** The channel to another broker while something is under way on it. */
interface Way {
  readonly nodeId: number
  readonly kind: ForwardKind
  readonly giveUp: AbortController
  readonly lease: Promise<ForwardLease>
  granted: ForwardLease | null
  inFlight: number
}

export class ForwardingClient {
  readonly #ports: ForwardingPorts
  readonly #channel: ServerChannel
  readonly #guard = new ProduceGuard()
  #way: Way | null = null
  /** Who answers the requests that are under way, where those may be several; null: this broker. */
  #overlappingAt: number | null = null
  #overlappingCount = 0
  /** Requests that wait for those under way, since another broker must answer them. */
  readonly #waiting: { readonly passage: Passage; readonly start: () => void }[] = []

  constructor(ports: ForwardingPorts, channel: ServerChannel) {
    this.#ports = ports
    this.#channel = channel
    this.#watchEnd()
  }

  handle(passage: Passage): Answer | Promise<Answer> {
    if (overlaps(passage.request.name)) return this.#overlap(passage)
    const parts = this.#ports.partsOf(passage.request)
    if (parts !== null && isGathered(passage.request)) return this.#gather(passage, passage.request, parts)
    return this.#ask(passage, this.#ports.answererOf(passage.request))
  }

  #ask(passage: Passage, answerer: number | null): Answer | Promise<Answer> {
    return answerer === null ? passage.here() : this.#pass(passage, answerer)
  }

  /** Asks one broker after the other, since the connection has one channel at a time. */
  async #gather(passage: Passage, whole: GatheredRequest, parts: readonly Part[]): Promise<Answer> {
    const { header } = whole
    const answers: Body[] = []
    for (const { answerer, request } of parts) {
      const here = (): Body | Promise<Body> => passage.here(request.body)
      if (answerer === null) {
        answers.push(await here())
        continue
      }
      const pieces = encodeRequest(
        request.name,
        header.apiVersion,
        header.correlationId,
        header.clientId,
        request.body,
      )
      const answer = await this.#pass({ ...passage, request, frame: concat(pieces), here }, answerer)
      if (!(answer instanceof PassedAnswer)) answers.push(answer)
      else if (answer.frame === null)
        return answer // it has closed the connection
      else answers.push(decodeResponse(request.name, header.apiVersion, answer.frame).body)
    }
    return gather(whole, answers as never)
  }

  /** Asks at once if those that are under way are answered by the same broker, since the connection has one channel at a time. */
  #overlap(passage: Passage): Answer | Promise<Answer> {
    const answerer = this.#ports.answererOf(passage.request)
    if (this.#waiting.length === 0 && this.#mayStart(answerer)) return this.#start(passage, answerer)
    return new Promise((resolve, reject) => {
      const start = (): void => {
        // Asked again: it may have changed meanwhile, and nothing is under way elsewhere now.
        const now = this.#ports.answererOf(passage.request)
        new Promise<Answer>((settle) => settle(this.#start(passage, now))).then(resolve, reject)
      }
      this.#waiting.push({ passage, start })
    })
  }

  #mayStart(answerer: number | null): boolean {
    return this.#overlappingCount === 0 || this.#overlappingAt === answerer
  }

  #start(passage: Passage, answerer: number | null): Answer | Promise<Answer> {
    this.#overlappingAt = answerer
    this.#overlappingCount++
    const failed = (error: unknown): never => {
      this.#settled()
      throw error
    }
    const answered = (answer: Answer): Answer => {
      if (isProduce(passage)) this.#note(passage, answer)
      this.#settled()
      return answer
    }
    let answer: Answer | Promise<Answer>
    try {
      answer = isProduce(passage) ? this.#produce(passage, answerer) : this.#ask(passage, answerer)
    } catch (error) {
      return failed(error)
    }
    return answer instanceof Promise ? answer.then(answered, failed) : answered(answer)
  }

  #settled(): void {
    this.#overlappingCount--
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      if (!this.#mayStart(this.#ports.answererOf(next.passage.request))) return
      this.#waiting.shift()
      next.start()
    }
  }

  #produce(passage: ProducePassage, answerer: number | null): Answer | Promise<Answer> {
    const { request, context } = passage
    const { services, clock } = this.#ports
    return this.#guard.admits(request.body, clock.monotonicMs())
      ? this.#ask(passage, answerer)
      : refuseProduce(services, request.body, context, 'NOT_LEADER_OR_FOLLOWER')
  }

  #note({ request, context }: ProducePassage, answer: Answer): void {
    const body = answer instanceof PassedAnswer ? failureIn(answer, context.apiVersion) : answer
    if (body === null) return
    this.#guard.note(request.body, body as ResponseInputOf<'Produce'>, this.#ports.clock.monotonicMs())
    if (this.#guard.isOverrun) {
      this.#channel.close(`batches to more than ${GUARDED_MAX} partitions have failed`)
    }
  }

  async #pass(passage: Passage, answerer: number): Promise<Answer> {
    const { request, frame, context, here } = passage
    const { clock, services, answerRoom } = this.#ports
    const waitMs = waitOf(request)
    const isFetch = request.name === 'Fetch'
    const kind =
      isFetch || request.name === 'JoinGroup' || request.name === 'SyncGroup' ? 'standing' : 'brief'
    if (isFetch && services.responseBudget.isExhausted)
      await responseBudgetAvailable(services, clock.monotonicMs() + waitMs)
    const answerBytesMax = isFetch ? answerRoom.take(request.body.maxBytes) : 0
    const way = this.#wayTo(answerer, kind)
    way.inFlight++
    try {
      const { channel } = await way.lease
      const answer = await channel.call(
        'Forward',
        {
          ...{ listenerName: context.listenerName, answerBytesMax, request: frame },
          clientHost: context.clientHost,
        },
        { timeoutMs: waitMs + ANSWER_MS },
      )
      services.counters.forwardedCount++
      if (answer.closeReason !== null) this.#channel.close(answer.closeReason)
      return new PassedAnswer(answer.answer, answer.hasFailed)
    } catch (error) {
      if (!(error instanceof ChannelError)) throw error
      this.#abandon(way)
      return await answerUnanswered(services, request, context, error.wasSent, here as never)
    } finally {
      answerRoom.give(answerBytesMax)
      this.#left(way)
    }
  }

  #wayTo(nodeId: number, kind: ForwardKind): Way {
    const known = this.#way
    if (known !== null && known.nodeId === nodeId && known.kind === kind) return known
    const giveUp = new AbortController()
    const lease = this.#ports.acquire(nodeId, kind, giveUp.signal)
    const way: Way = { nodeId, kind, giveUp, lease, granted: null, inFlight: 0 }
    lease.then(
      (granted) => {
        if (giveUp.signal.aborted) granted.abandon()
        else way.granted = granted
      },
      () => undefined, // whoever waits for it hears
    )
    this.#way = way
    return way
  }

  #left(way: Way): void {
    way.inFlight--
    if (way.inFlight > 0 || way !== this.#way) return
    this.#way = null
    way.granted?.release()
  }

  /** Gives up what is under way. */
  #abandon(way: Way): void {
    if (way === this.#way) this.#way = null
    if (way.giveUp.signal.aborted) return
    way.giveUp.abort()
    way.granted?.abandon()
  }

  /** A fetch that stands elsewhere is answered at once when this broker stops; everything is given up when the client is gone. */
  #watchEnd(): void {
    this.#channel.watchEnd(() => {
      const way = this.#way
      if (way !== null && (this.#channel.isClosed || way.kind === 'standing')) this.#abandon(way)
      if (!this.#channel.isClosed) this.#watchEnd()
    })
  }
}

function concat(pieces: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(pieces.reduce((size, piece) => size + piece.length, 0))
  let position = 0
  for (const piece of pieces) {
    whole.set(piece, position)
    position += piece.length
  }
  return whole
}

function isProduce(passage: Passage): passage is ProducePassage {
  return passage.request.name === 'Produce'
}

/** What another broker has answered to a Produce, if not every batch was taken. */
function failureIn(
  { frame, hasFailed }: PassedAnswer,
  apiVersion: number,
): ResponseInputOf<'Produce'> | null {
  return hasFailed && frame !== null ? decodeResponse('Produce', apiVersion, frame).body : null
}

/** How long the request allows its answer to wait, in ms. */
function waitOf({ name, body }: RoutedRequest): number {
  switch (name) {
    case 'Produce':
    case 'DeleteRecords':
    case 'ListOffsets':
      return Math.max(0, body.timeoutMs)
    case 'Fetch':
      return Math.max(0, body.maxWaitMs)
    case 'JoinGroup':
      return Math.max(0, body.sessionTimeoutMs, body.rebalanceTimeoutMs)
    case 'SyncGroup':
      return SYNC_MS
    case 'DescribeConfigs':
    case 'DescribeLogDirs':
    case 'OffsetForLeaderEpoch':
    case 'ConsumerGroupDescribe':
    case 'ConsumerGroupHeartbeat':
    case 'DeleteGroups':
    case 'DescribeGroups':
    case 'Heartbeat':
    case 'LeaveGroup':
    case 'ListGroups':
    case 'OffsetCommit':
    case 'OffsetDelete':
    case 'OffsetFetch':
      return 0
  }
}
