/**
 * Sends the batches of a producer: gathers once a turn what may leave, one request per broker, keeps the number of
 * requests in flight, and decides by each outcome what becomes of a batch. Order and numbers are `PartitionQueue`'s.
 *
 * Hot path per request, not per record.
 *
 * Invariants:
 * - What is sent on one connection is sent without an await between choosing a batch and handing it to the connection, so
 *   that batches of a partition reach the broker in the order chosen.
 * - Every batch settles: by an answer, or when its delivery time is over and nothing of it is in flight (a request in
 *   flight ends by its own time-out).
 */
import type { CodecSet } from '../records/compression/codec-set.ts'
import type { Codec } from '../records/compression/codec.ts'
import type { Cancel } from '../env/index.ts'
import type { Settler } from '../rpc/client-channel.ts'
import { ChannelError } from '../rpc/client-channel.ts'
import { backoffMs } from '../base/backoff.ts'
import type { BrokerLink, ReadyLink } from './broker-link.ts'
import { splitBatch } from './batch-split.ts'
import type { BuilderPool } from './builder-pool.ts'
import { brokerError, ClientError, toError } from './client-error.ts'
import type { Cluster } from './cluster.ts'
import { deliveryTimedOut, deliveryUnknown, describeBatch } from './delivery-errors.ts'
import type { PartitionQueue } from './partition-queue.ts'
import { produceOutcome } from './produce-outcome.ts'
import type { PartitionAnswer, ProduceAnswer, SentBatch } from './produce-request.ts'
import { ProduceRequest } from './produce-request.ts'
import type { ProducerBatch } from './producer-batch.ts'
import { IdentitySource } from './producer-identity.ts'
import type { ProducerConfig } from './producer-options.ts'

/** Bytes of batches in one request: enough to fill a link, small beside what a broker accepts (100 MiB). */
const REQUEST_BYTES_MAX = 1024 * 1024
/** Share of the request's time-out that the broker may wait for replicas: its answer must arrive before we give up. */
const ACK_WAIT_SHARE = 0.8
const WIRE_ACKS = { all: -1, 1: 1, 0: 0 } as const
const NO_OFFSET = -1

type SenderConfig = Pick<
  ProducerConfig<never, never>,
  'acks' | 'deliveryTimeoutMs' | 'idempotent' | 'inFlightMax' | 'lingerMs'
>

/** Where a partition's batches go, as metadata has it. */
interface Route {
  readonly target: Target
  readonly topicId: string
}

/** A broker as this producer uses it. */
class Target {
  readonly link: BrokerLink
  inFlightCount = 0
  isConnecting = false
  unwatch: () => void = () => undefined

  constructor(link: BrokerLink) {
    this.link = link
  }
}

export class ProduceSender {
  readonly #cluster: Cluster
  readonly #config: SenderConfig
  readonly #pool: BuilderPool
  readonly #onSettled: (batch: ProducerBatch, isMemoryFree: boolean) => void
  readonly #identities: IdentitySource
  readonly #codecs: CodecSet
  /** Compresses; set before the first batch is added, and loaded in the set of codecs. */
  codec: Codec | null = null
  /** Somebody waits for everything to leave. */
  isFlushing = false
  /** Queues with something to send. */
  readonly #active = new Set<PartitionQueue>()
  readonly #targets = new Map<BrokerLink, Target>()
  /** Leaders that could not be reached when that was last tried. */
  readonly #unreachable = new WeakSet<BrokerLink>()
  /** Known until metadata changes. */
  readonly #routes = new Map<PartitionQueue, Route>()
  /** What a round of `#drain` sends; empty between rounds. */
  readonly #requests = new Map<Target, ProduceRequest>()
  #isDrainScheduled = false
  #isAcquiring = false
  #isClosed = false
  #cancelTimer: Cancel | null = null
  #timerAtMs = Infinity

  /** @param onSettled - Gives back the room of a batch, and its memory if nobody reads it any more. */
  constructor(
    cluster: Cluster,
    config: SenderConfig,
    pool: BuilderPool,
    codecs: CodecSet,
    onSettled: (batch: ProducerBatch, isMemoryFree: boolean) => void,
  ) {
    this.#cluster = cluster
    this.#config = config
    this.#pool = pool
    this.#codecs = codecs
    this.#onSettled = onSettled
    this.#identities = new IdentitySource(cluster)
  }

  /** The queue has something to send. Cheap when it is known. */
  activate(queue: PartitionQueue): void {
    this.#active.add(queue)
    this.schedule()
  }

  /** Looks at the end of the turn what may be sent. */
  schedule(): void {
    if (this.#isDrainScheduled || this.#isClosed) return
    this.#isDrainScheduled = true
    this.#cluster.ports.clock.endOfTurn(() => {
      this.#isDrainScheduled = false
      if (!this.#isClosed) this.#drain()
    })
  }

  /** What the cluster knows has changed. */
  learned(): void {
    this.#routes.clear()
    for (const target of this.#targets.values()) if (target.link.isClosed) this.#forget(target)
    this.schedule()
  }

  close(): void {
    this.#isClosed = true
    this.#identities.close()
    this.#cancelTimer?.()
    this.#cancelTimer = null
    for (const target of this.#targets.values()) target.unwatch()
    this.#targets.clear()
  }

  #drain(): void {
    const nowMs = this.#cluster.ports.clock.monotonicMs()
    if (this.#config.idempotent && this.#identities.current === null) this.#acquireIdentity()
    this.#cluster.keepFresh(nowMs)
    const requests = this.#requests
    let wakeAtMs = Infinity
    for (;;) {
      for (const queue of this.#active) {
        if (queue.isIdle) this.#active.delete(queue)
        else wakeAtMs = Math.min(wakeAtMs, this.#choose(queue, nowMs))
      }
      if (requests.size === 0) break
      for (const [target, request] of requests) this.#send(target, request)
      requests.clear()
    }
    this.#armTimer(wakeAtMs)
  }

  /** Puts the queue's next batch into its leader's request if it may leave; returns when to look again at the latest. */
  #choose(queue: PartitionQueue, nowMs: number): number {
    const { deliveryTimeoutMs, idempotent, lingerMs } = this.#config
    this.#expire(queue, nowMs)
    const expiresAtMs = queue.oldestUnsentAtMs + deliveryTimeoutMs
    if (idempotent && queue.needsIdentity && !this.#giveIdentity(queue)) return expiresAtMs
    const batch = queue.next({ nowMs, lingerMs, isFlushing: this.isFlushing }, idempotent)
    if (batch === null) {
      if (queue.notBeforeMs > nowMs) return Math.min(queue.notBeforeMs, expiresAtMs)
      const lingersUntilMs = lingerMs > 0 ? queue.oldestUnsentAtMs + lingerMs : Infinity
      return lingersUntilMs > nowMs ? Math.min(expiresAtMs, lingersUntilMs) : expiresAtMs
    }
    const route = this.#routes.get(queue) ?? this.#findRoute(queue)
    if (route === null) {
      this.#postpone(queue, 1)
      this.#cluster.refreshSoon()
      return queue.notBeforeMs
    }
    const { target } = route
    const ready = target.link.ready
    if (ready === null) {
      this.#connect(target)
      return expiresAtMs
    }
    const throttleMs = ready.throttleMs()
    if (throttleMs > 0) return nowMs + throttleMs
    if (ready.channel.isCongested) return expiresAtMs
    let request = this.#requests.get(target)
    if (request === undefined) {
      if (target.inFlightCount >= this.#config.inFlightMax) return expiresAtMs
      request = new ProduceRequest()
      this.#requests.set(target, request)
    }
    // One batch a partition and request: the rest goes into the next round of `#drain`.
    if (request.size === 0 || request.size + batch.sizeBytes <= REQUEST_BYTES_MAX)
      request.add(queue, batch, route.topicId)
    return expiresAtMs
  }

  #findRoute(queue: PartitionQueue): Route | null {
    const { topic, partition } = queue
    const info = this.#cluster.findTopic(topic)
    const link = this.#cluster.findLeaderLink(topic, partition, 'requests')
    if (info === null || link === null) return null
    let target = this.#targets.get(link)
    if (target === undefined) {
      target = new Target(link)
      target.unwatch = link.watch(() => this.schedule())
      this.#targets.set(link, target)
    }
    const route = { target, topicId: info.topicId }
    this.#routes.set(queue, route)
    return route
  }

  #connect(target: Target): void {
    if (target.isConnecting) return
    target.isConnecting = true
    target.link.connect().then(
      () => {
        target.isConnecting = false // the link's watcher schedules
        this.#unreachable.delete(target.link)
      },
      (error: unknown) => {
        target.isConnecting = false
        this.#forget(target)
        if (this.#isClosed) return
        // Once for each time that it is gone; the tries go on.
        if (!this.#unreachable.has(target.link)) {
          this.#unreachable.add(target.link)
          this.#cluster.ports.logger.warn('Cannot reach the leader of a partition; trying again', {
            error: toError(error),
          })
        }
        this.#cluster.refreshSoon()
        for (const queue of this.#active)
          if (this.#findRoute(queue)?.target.link === target.link) this.#postpone(queue, 1)
        this.schedule()
      },
    )
  }

  #forget(target: Target): void {
    target.unwatch()
    this.#targets.delete(target.link)
    this.#routes.clear()
  }

  #send(target: Target, request: ProduceRequest): void {
    const ready = target.link.ready!
    const { acks, idempotent } = this.#config
    request.forEach(({ queue, batch }) => {
      queue.sent(batch, idempotent)
      this.#seal(batch)
    })
    const { requestTimeoutMs } = this.#cluster.config
    const body = request.body(WIRE_ACKS[acks], Math.ceil(requestTimeoutMs * ACK_WAIT_SHARE))
    try {
      const version = ready.version('Produce', request.versionMax)
      if (acks === 0) {
        ready.channel.send('Produce', version, body)
        // What the connection took counts as delivered, at an offset that nobody will tell.
        request.forEach(({ queue, batch }) => this.#written(queue, batch, NO_OFFSET, NO_OFFSET))
      } else {
        const settler = new Outstanding(target, ready, request, this.#finished)
        ready.channel.start('Produce', version, body, requestTimeoutMs, settler)
        target.inFlightCount++
      }
    } catch (thrown) {
      this.#failed(request, target.link.requestError(toError(thrown)))
    }
  }

  /** A request has its answer, or will have none. */
  readonly #finished = (
    { target, ready, request }: Outstanding,
    answer: ProduceAnswer | null,
    error: Error | null,
  ): void => {
    target.inFlightCount--
    if (this.#isClosed) return
    if (answer === null) this.#failed(request, target.link.requestError(error!))
    else {
      ready.honourThrottle(answer)
      this.#handle(answer, request, target.link)
    }
    this.schedule()
  }

  #failed(request: ProduceRequest, error: Error): void {
    request.forEach(({ queue, batch }) => this.#unanswered(queue, batch, error))
    if (error instanceof ClientError && error.retriable) this.#cluster.refreshSoon()
  }

  #seal(batch: ProducerBatch): void {
    if (batch.bytes !== null) return
    const { identity, baseSequence } = batch
    batch.bytes = batch.builder.seal({
      codec: this.codec,
      ...(identity === null ? {} : { ...identity, baseSequence }),
    })
  }

  #handle(answer: ProduceAnswer, request: ProduceRequest, link: BrokerLink): void {
    let wrongLeaderCount = 0
    request.match(answer, (sent, one) => {
      if (this.#settle(answer, sent, one)) wrongLeaderCount++
    })
    if (wrongLeaderCount > 0) this.#cluster.refreshSoon(link)
  }

  /** Returns whether the client should look for the leader again. */
  #settle(answer: ProduceAnswer, { queue, batch }: SentBatch, one: PartitionAnswer | null): boolean {
    if (one === null) {
      const message = `Cannot tell whether ${describeBatch(batch)} was written: the broker's answer leaves it out`
      this.#unanswered(queue, batch, new ClientError('CLIENT_PROTOCOL_VIOLATED', message))
      return false
    }
    const { currentLeader } = one
    const hasNews =
      currentLeader.leaderId >= 0 &&
      this.#cluster.learnLeader(queue.topic, queue.partition, currentLeader, answer.nodeEndpoints)
    return this.#decide(queue, batch, one) && !hasNews
  }

  /** Does with a batch what its answer says; returns whether the client should look for the leader again. */
  #decide(queue: PartitionQueue, batch: ProducerBatch, one: PartitionAnswer): boolean {
    const outcome = produceOutcome(one.errorCode)
    const error = (): ClientError =>
      brokerError(`Cannot write ${describeBatch(batch)}`, one.errorCode, one.errorMessage)
    switch (outcome.kind) {
      case 'written':
        this.#written(queue, batch, one.errorCode === 0 ? one.baseOffset : NO_OFFSET, one.logAppendTimeMs)
        return false
      case 'too-large':
        this.#tooLarge(queue, batch, error())
        return false
      case 'out-of-order':
        // By itself: its predecessor is on its way again, or fails.
        if (queue.hasGapBefore(batch)) this.#again(queue, batch)
        else this.#lostTrack(queue, batch, error())
        return false
      case 'fenced':
        this.#identities.abandon(batch.identity)
        this.#lostTrack(queue, batch, error())
        return false
      case 'retriable':
        batch.mayBeInLog ||= outcome.mayBeInLog
        this.#retry(queue, batch, error())
        return outcome.isAboutLeader
      case 'final':
        batch.mayBeInLog ||= outcome.mayBeInLog
        this.#fail(queue, batch, error())
        return false
    }
  }

  /** No answer came; the request may have arrived all the same. */
  #unanswered(queue: PartitionQueue, batch: ProducerBatch, error: Error): void {
    const wasSent = !(error.cause instanceof ChannelError) || error.cause.wasSent
    batch.mayBeInLog ||= wasSent
    if (error instanceof ClientError && error.retriable && !this.#isClosed) this.#retry(queue, batch, error)
    else this.#fail(queue, batch, error)
  }

  #written(queue: PartitionQueue, batch: ProducerBatch, baseOffset: number, appendTimeMs: number): void {
    queue.acknowledged(batch)
    batch.settle(baseOffset, appendTimeMs)
    // An answer to the only attempt says that the broker has read all of it, so no socket still holds the memory.
    this.#onSettled(batch, this.#config.acks !== 0 && batch.attemptCount === 1)
  }

  #retry(queue: PartitionQueue, batch: ProducerBatch, cause: ClientError): void {
    batch.lastFailure = cause
    const nowMs = this.#cluster.ports.clock.monotonicMs()
    if (nowMs - batch.createdAtMs >= this.#config.deliveryTimeoutMs) {
      this.#fail(queue, batch, deliveryTimedOut(batch, this.#config.deliveryTimeoutMs))
      return
    }
    this.#again(queue, batch)
    this.#postpone(queue, batch.attemptCount)
  }

  #again(queue: PartitionQueue, batch: ProducerBatch): void {
    queue.retry(batch)
    this.#active.add(queue)
  }

  /** The broker's memory of the producer does not fit ours though nothing before the batch is missing. */
  #lostTrack(queue: PartitionQueue, batch: ProducerBatch, cause: ClientError): void {
    queue.lostTrack()
    if (!batch.mayBeInLog) this.#again(queue, batch)
    else this.#fail(queue, batch, deliveryUnknown(batch, cause))
  }

  #tooLarge(queue: PartitionQueue, batch: ProducerBatch, error: ClientError): void {
    if (batch.recordCount < 2 || batch.mayBeInLog) {
      this.#fail(queue, batch, error)
      return
    }
    const [head, tail] = splitBatch(batch, this.#pool, this.#codecs)
    queue.replace(batch, head, tail)
    this.#active.add(queue)
  }

  #fail(queue: PartitionQueue, batch: ProducerBatch, error: Error): void {
    queue.drop(batch)
    batch.fail(error)
    this.#onSettled(batch, false)
  }

  /** Fails what waited too long and is not in flight: at the very time for which `#choose` has the timer set. */
  #expire(queue: PartitionQueue, nowMs: number): void {
    if (nowMs < queue.oldestUnsentAtMs + this.#config.deliveryTimeoutMs) return
    for (const batch of queue.unsent()) {
      if (nowMs < batch.createdAtMs + this.#config.deliveryTimeoutMs) break
      this.#fail(queue, batch, deliveryTimedOut(batch, this.#config.deliveryTimeoutMs))
    }
  }

  #giveIdentity(queue: PartitionQueue): boolean {
    const identity = this.#identities.after(queue.identity)
    if (identity === null) {
      this.#acquireIdentity()
      return false
    }
    for (const batch of queue.startOver(identity)) {
      batch.fail(deliveryUnknown(batch, null))
      this.#onSettled(batch, false)
    }
    return true
  }

  #acquireIdentity(): void {
    if (this.#isAcquiring) return
    this.#isAcquiring = true
    this.#identities.acquire().then(
      () => {
        this.#isAcquiring = false
        this.schedule()
      },
      (thrown: unknown) => {
        this.#isAcquiring = false
        if (!this.#isClosed) this.failAll(toError(thrown))
      },
    )
  }

  /** Fails everything that waits to be sent; what is in flight gets its answer. */
  failAll(error: Error): void {
    for (const queue of this.#active) for (const batch of queue.unsent()) this.#fail(queue, batch, error)
    this.#active.clear()
  }

  #postpone(queue: PartitionQueue, failureCount: number): void {
    const { clock, random } = this.#cluster.ports
    queue.notBeforeMs = clock.monotonicMs() + backoffMs(this.#cluster.config.backoff, failureCount, random)
  }

  #armTimer(atMs: number): void {
    if (atMs >= this.#timerAtMs) return
    this.#cancelTimer?.()
    const { clock } = this.#cluster.ports
    this.#timerAtMs = atMs
    this.#cancelTimer = clock.after(Math.max(0, atMs - clock.monotonicMs()), () => {
      this.#timerAtMs = Infinity
      this.#cancelTimer = null
      this.schedule()
    })
  }
}

/** A request without an answer. */
class Outstanding implements Settler<'Produce'> {
  readonly target: Target
  readonly ready: ReadyLink
  readonly request: ProduceRequest
  readonly #finished: (self: Outstanding, answer: ProduceAnswer | null, error: Error | null) => void

  constructor(
    target: Target,
    ready: ReadyLink,
    request: ProduceRequest,
    finished: (self: Outstanding, answer: ProduceAnswer | null, error: Error | null) => void,
  ) {
    this.target = target
    this.ready = ready
    this.request = request
    this.#finished = finished
  }

  answered(answer: ProduceAnswer): void {
    this.#finished(this, answer, null)
  }

  failed(error: Error): void {
    this.#finished(this, null, error)
  }
}
