/**
 * Fetches from one leader broker what this broker follows there, in one session over one channel.
 *
 * A fetch tells the leader where each log ends and what of it is durable: it *is* the acknowledgement. It leaves at the end
 * of the turn in which something changed, so that everything one answer brought, and one sync made durable, goes in one
 * request. See replica-session.ts for how two requests share the way.
 *
 * Invariants:
 * - Requests beyond the first are sent only if there is something to tell that the leader does not know: what it has sent it
 *   knows, what is durable it does not.
 * - Requests of a session carry consecutive epochs in the order in which they leave; after any failure a new session begins, once
 *   all requests of the old one have ended.
 * - An answer changes a partition only if its request told what is still true of it (`FetchedPartition.validFrom`).
 * - While more than `PENDING_BYTES_MAX` wait for the disk the leader is asked for no records: memory is bounded.
 *
 * Data plane: costs what changed, not what is followed.
 */
import { backoffMs } from '../base/backoff.ts'
import type { Cancel, Clock, Logger, Random } from '../env/index.ts'
import type { RequestInputOf, ResponseOf } from '../protocol/apis.ts'
import { errorByCode } from '../protocol/errors.ts'
import type { CatchUpThrottle } from './catch-up-throttle.ts'
import { FetchedPartition } from './fetched-partition.ts'
import { INITIAL_EPOCH, NO_SESSION } from './fetch-sessions.ts'
import type { FetchPosition } from './leader-state.ts'
import type { Partition } from './partition.ts'

/** Requests to one leader: the `replica` channel of `Peers`, in the highest version. */
export interface FetchLink {
  /** Rejects when there is no answer. Answers come in the order of the calls. */
  call(request: RequestInputOf<'Fetch'>, timeoutMs: number): Promise<ResponseOf<'Fetch'>>
}

export interface ReplicaFetcherOptions {
  readonly nodeId: number
  /** Of this broker's registration. */
  readonly brokerEpoch: () => number
  readonly link: FetchLink
  readonly throttle: CatchUpThrottle
}

export interface ReplicaFetcherPorts {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

type TopicRequest = RequestInputOf<'Fetch'>['topics'][number]
type PartitionRequest = TopicRequest['partitions'][number]
type Forgotten = { readonly topicId: string; readonly partitions: number[] }

/** How long a fetch without news stands at the leader, in ms: an idle pair of brokers exchanges two messages in that time. */
const WAIT_MS = 500
/** More than a fetch may stand; a link that says nothing for so long is dead. */
const TIMEOUT_MS = 10_000
/** Two stand at the leader; the third has it answer one of them. */
const IN_FLIGHT_MAX = 3
/** Bytes of one answer, and of one partition in it. */
const ANSWER_BYTES_MAX = 4 * 2 ** 20
const PARTITION_BYTES_MAX = 2 ** 20
/** Bytes appended and not yet durable, over all partitions of a leader: what a stalled disk may pile up. */
const PENDING_BYTES_MAX = 32 * 2 ** 20
/** After a failure of the link or the session, in ms. The link has pauses of its own. */
const PAUSE = { initialMs: 20, maxMs: 1000 }

export class ReplicaFetcher {
  readonly #clock: Clock
  readonly #random: Random
  readonly #logger: Logger
  readonly #options: ReplicaFetcherOptions
  readonly #entries = new Map<string, Map<number, FetchedPartition>>()
  #size = 0
  /** Have, or may have, something to tell. */
  readonly #changed = new Set<FetchedPartition>()
  /** Have batches that are not durable. */
  readonly #unsettled = new Set<FetchedPartition>()
  /** Held back by the throttle. */
  readonly #throttled = new Set<FetchedPartition>()
  #forgotten: Forgotten[] = []
  #sessionId = NO_SESSION
  #sessionEpoch = INITIAL_EPOCH
  /** Counts sessions; what an older one brings is ignored. */
  #generation = 0
  #requestNumber = 0
  #inFlight = 0
  #toldBytesMax = 0
  #failureCount = 0
  #isResting = false
  #isScheduled = false
  #isClosed = false
  #cancelRest: Cancel = () => undefined

  constructor(ports: ReplicaFetcherPorts, options: ReplicaFetcherOptions) {
    this.#clock = ports.clock
    this.#random = ports.random
    this.#logger = ports.logger
    this.#options = options
  }

  /** Partitions that are fetched. */
  get size(): number {
    return this.#size
  }

  /** Fetches a partition in its present leader epoch from now on. */
  add(partition: Partition): void {
    const { topicId, index } = partition
    const known = this.#find(topicId, index)
    if (known?.partition === partition) {
      known.follow(partition.leaderEpoch)
      return
    }
    if (known !== undefined) this.remove(known.partition)
    const host = {
      clock: this.#clock,
      random: this.#random,
      logger: this.#logger,
      changed: (entry: FetchedPartition) => this.#tell(entry),
    }
    const entry = new FetchedPartition(host, partition)
    const entries = this.#entries.get(topicId) ?? new Map<number, FetchedPartition>()
    this.#entries.set(topicId, entries.set(index, entry))
    this.#size++
    partition.followerWatcher = entry
    this.#tell(entry)
  }

  remove(partition: Partition): void {
    const { topicId, index } = partition
    const entries = this.#entries.get(topicId)
    const entry = entries?.get(index)
    if (entries === undefined || entry?.partition !== partition) return
    entries.delete(index)
    if (entries.size === 0) this.#entries.delete(topicId)
    this.#size--
    for (const set of [this.#changed, this.#unsettled, this.#throttled]) set.delete(entry)
    partition.followerWatcher = null
    entry.remove()
    if (!entry.isInSession) return
    this.#forgotten.push({ topicId, partitions: [index] })
    this.#schedule()
  }

  close(): void {
    this.#isClosed = true
    this.#cancelRest()
    for (const entries of this.#entries.values()) {
      for (const entry of entries.values()) {
        entry.partition.followerWatcher = null
        entry.remove()
      }
    }
    this.#entries.clear()
  }

  #find(topicId: string, index: number): FetchedPartition | undefined {
    return this.#entries.get(topicId)?.get(index)
  }

  #tell(entry: FetchedPartition): void {
    this.#changed.add(entry)
    this.#schedule()
  }

  /** At the end of the turn: what one answer or one sync changed goes in one request. */
  #schedule(): void {
    if (this.#isScheduled || this.#isClosed) return
    this.#isScheduled = true
    this.#clock.endOfTurn(() => {
      this.#isScheduled = false
      this.#send()
    })
  }

  #send(): void {
    if (this.#isClosed || this.#isResting || this.#inFlight >= IN_FLIGHT_MAX) return
    if (this.#size === 0 && this.#forgotten.length === 0) return
    const beginsSession = this.#sessionId === NO_SESSION
    if (beginsSession && this.#inFlight > 0) return
    if (beginsSession) this.#tellAll()
    const bytesMax = this.#pendingBytes() > PENDING_BYTES_MAX ? 0 : ANSWER_BYTES_MAX
    const requestNumber = this.#requestNumber + 1
    const { topics, forgotten } = this.#gather(requestNumber)
    const hasNews = topics.length > 0 || forgotten.length > 0 || bytesMax !== this.#toldBytesMax
    if (!hasNews && (this.#inFlight > 0 || beginsSession)) return
    this.#requestNumber = requestNumber
    this.#toldBytesMax = bytesMax
    const { nodeId, brokerEpoch, link } = this.#options
    const request: RequestInputOf<'Fetch'> = {
      replicaState: { replicaId: nodeId, replicaEpoch: brokerEpoch() },
      maxWaitMs: WAIT_MS,
      minBytes: 1,
      maxBytes: bytesMax,
      sessionId: this.#sessionId,
      sessionEpoch: this.#sessionEpoch,
      topics,
      forgottenTopicsData: forgotten,
    }
    if (!beginsSession) this.#sessionEpoch = nextEpoch(this.#sessionEpoch)
    this.#inFlight++
    const generation = this.#generation
    link.call(request, TIMEOUT_MS).then(
      (response) => this.#answered(generation, requestNumber, response),
      (error: unknown) => this.#unanswered(generation, error),
    )
  }

  /** What changed since the leader was told, by topic. */
  #gather(requestNumber: number): { topics: TopicRequest[]; forgotten: readonly Forgotten[] } {
    const topics: { topicId: string; partitions: PartitionRequest[] }[] = []
    const forgotten = this.#forgotten
    this.#forgotten = []
    for (const entry of this.#changed) {
      const { topicId, index } = entry.partition
      const position = entry.position()
      if (entry.isInSession && (position === null || entry.mustBeginAnew)) {
        forgotten.push({ topicId, partitions: [index] })
        entry.isInSession = false
      }
      if (position === null) continue
      const bytesMax = this.#bytesMaxOf(entry)
      if (!entry.isNews(position, bytesMax, this.#inFlight === 0)) continue
      entry.tell(position, bytesMax, requestNumber)
      const last = topics.at(-1)
      if (last?.topicId === topicId) last.partitions.push(requestOf(index, position, bytesMax))
      else topics.push({ topicId, partitions: [requestOf(index, position, bytesMax)] })
    }
    this.#changed.clear()
    return { topics, forgotten }
  }

  #tellAll(): void {
    this.#forgotten = []
    for (const entries of this.#entries.values()) {
      for (const entry of entries.values()) {
        entry.sessionLost()
        this.#changed.add(entry)
      }
    }
  }

  #bytesMaxOf(entry: FetchedPartition): number {
    const { throttle, nodeId } = this.#options
    if (!throttle.isExhausted || entry.partition.isr.includes(nodeId)) return PARTITION_BYTES_MAX
    if (this.#throttled.size === 0) throttle.whenAvailable(() => this.#unthrottle())
    this.#throttled.add(entry)
    return 0
  }

  #unthrottle(): void {
    for (const entry of this.#throttled) this.#changed.add(entry)
    this.#throttled.clear()
    this.#schedule()
  }

  #pendingBytes(): number {
    let bytes = 0
    for (const entry of this.#unsettled) {
      const { pendingBytes } = entry.partition.log
      if (pendingBytes === 0) this.#unsettled.delete(entry)
      bytes += pendingBytes
    }
    return bytes
  }

  #answered(generation: number, requestNumber: number, response: ResponseOf<'Fetch'>): void {
    this.#inFlight--
    if (this.#isClosed) return
    if (generation !== this.#generation) {
      this.#schedule()
      return
    }
    if (response.errorCode !== 0) {
      this.#fail(errorByCode(response.errorCode).name)
      return
    }
    this.#failureCount = 0
    if (this.#sessionId === NO_SESSION) {
      this.#sessionId = response.sessionId
      this.#sessionEpoch = 1
    }
    for (const topic of response.responses) {
      for (const answer of topic.partitions) {
        const entry = this.#find(topic.topicId, answer.partitionIndex)
        if (entry === undefined || requestNumber < entry.validFrom) continue
        const bytes = entry.take(answer)
        if (bytes === 0) continue
        this.#unsettled.add(entry)
        if (!entry.partition.isr.includes(this.#options.nodeId)) this.#options.throttle.take(bytes)
      }
    }
    this.#schedule()
  }

  #unanswered(generation: number, error: unknown): void {
    this.#inFlight--
    if (this.#isClosed) return
    if (generation === this.#generation) this.#fail(error instanceof Error ? error.message : String(error))
    else this.#schedule()
  }

  /** The session is over; a new one begins after a pause. */
  #fail(reason: string): void {
    this.#generation++
    this.#sessionId = NO_SESSION
    this.#sessionEpoch = INITIAL_EPOCH
    this.#failureCount++
    const pauseMs = backoffMs(PAUSE, this.#failureCount, this.#random)
    this.#logger.debug('Fetching from a leader pauses', { reason, againInMs: pauseMs })
    this.#isResting = true
    this.#cancelRest()
    this.#cancelRest = this.#clock.after(pauseMs, () => {
      this.#isResting = false
      this.#schedule()
    })
  }
}

const EPOCH_MAX = 2 ** 31 - 1

function nextEpoch(epoch: number): number {
  return epoch === EPOCH_MAX ? 1 : epoch + 1
}

function requestOf(index: number, position: FetchPosition, bytesMax: number): PartitionRequest {
  return {
    partition: index,
    currentLeaderEpoch: position.leaderEpoch,
    fetchOffset: position.fetchOffset,
    lastFetchedEpoch: position.lastFetchedEpoch,
    logStartOffset: position.logStartOffset,
    partitionMaxBytes: bytesMax,
    durableOffset: position.durableOffset,
  }
}
