/**
 * The producer: takes records, puts them into batches by partition, and says where each one is once it is safe.
 *
 * Hot path: `sendAll` costs a record the look-up of its topic, the choice of a partition and its encoding into the open
 * batch; `send` one promise more. Batches leave at the end of the turn, so what a loop sends goes together.
 *
 * Invariants:
 * - Records of one topic enter their partitions in the order of the calls; those that must wait (for metadata, for room)
 *   wait in line, and later ones behind them.
 * - Bytes in batches stay within `bufferBytesMax`, but for the one record that is larger than that alone.
 */
import { onAbort } from '../base/on-abort.ts'
import type { Cancel } from '../env/index.ts'
import type { Codec } from '../records/compression/codec.ts'
import { CodecSet } from '../records/compression/codec-set.ts'
import { abortable, pause } from './backoff.ts'
import { BuilderPool } from './builder-pool.ts'
import { abortedError, ClientError, codecError, toError } from './client-error.ts'
import type { Cluster } from './cluster.ts'
import { lineTimedOut, sendError } from './delivery-errors.ts'
import { PartitionQueue } from './partition-queue.ts'
import { ProduceSender } from './produce-sender.ts'
import { ProducerBatch, SendGroup } from './producer-batch.ts'
import type { DeliveredRange, Delivery, ProducerOptions, ProducerRecord } from './producer-options.ts'
import type { ProducerConfig } from './producer-options.ts'
import { producerConfig } from './producer-options.ts'
import { RecordEncoder } from './record-encoder.ts'
import type { Payload } from './serde.ts'
import type { Waiting } from './waiting-line.ts'
import { failWaiting, WaitingLine } from './waiting-line.ts'

/** Room that a batch begins with, in bytes; it doubles from there, and its memory is used again. */
const INITIAL_BATCH_BYTES = 16 * 1024

export interface SendOptions {
  /** Gives up waiting. A record that is in a batch already may still be written. */
  readonly signal?: AbortSignal | undefined
}

/** A topic as the producer uses it. */
interface TopicSlot<K, V> {
  readonly name: string
  /** By partition; empty until the topic is known. */
  queues: PartitionQueue[]
  /** Where records without a key go, for one batch at a time; -1: to be drawn. */
  stickyPartition: number
  /** Who waits for metadata or room. */
  readonly line: WaitingLine<K, V>
  isLookingUp: boolean
}

export class Producer<K = Payload, V = Payload> {
  readonly #cluster: Cluster
  readonly #config: ProducerConfig<K, V>
  readonly #sender: ProduceSender
  readonly #pool: BuilderPool
  readonly #codecs = new CodecSet()
  readonly #encoder: RecordEncoder<K, V>
  readonly #slots = new Map<string, TopicSlot<K, V>>()
  /** Topics in whose line somebody waits for room, in turn. */
  readonly #crowded = new Set<TopicSlot<K, V>>()
  #bufferedBytes = 0
  /** What no record can be sent without: a codec that loads. */
  #preparing: Promise<void> | null
  /** Why there will be none. */
  #codecError: ClientError | null = null
  #cancelLineTimer: Cancel | null = null
  #flushCount = 0
  #closing: Promise<void> | null = null
  #isClosed = false
  readonly #unwatch: () => void
  readonly #onClosed: (producer: Producer<K, V>) => void

  /** @param onClosed - Tells the owner, once. */
  constructor(
    cluster: Cluster,
    options: ProducerOptions<K, V>,
    onClosed: (producer: Producer<K, V>) => void,
  ) {
    this.#cluster = cluster
    this.#config = producerConfig(options)
    this.#onClosed = onClosed
    this.#pool = new BuilderPool(Math.min(INITIAL_BATCH_BYTES, this.#config.batchBytesMax))
    this.#encoder = new RecordEncoder(this.#config.serializeKey, this.#config.serializeValue)
    this.#sender = new ProduceSender(cluster, this.#config, this.#pool, this.#codecs, (batch, isMemoryFree) =>
      this.#settled(batch, isMemoryFree),
    )
    const { compression } = this.#config
    this.#preparing = compression === 'none' ? null : this.#prepare(this.#codecs.load(compression))
    this.#unwatch = cluster.watch(() => this.#learned())
  }

  /** Bytes in batches without an outcome. */
  get bufferedBytes(): number {
    return this.#bufferedBytes
  }

  /**
   * Sends one record.
   *
   * @returns Where it is, once it is as safe as `acks` asks. Waits for room when `bufferBytesMax` is used up, at most
   *   `lineTimeoutMs`.
   * @throws {ClientError} `CLIENT_TIMED_OUT` after that: the record was not sent. `CLIENT_DELIVERY_TIMED_OUT`, `CLIENT_DELIVERY_UNKNOWN`, `MESSAGE_TOO_LARGE` and other names of
   *   the protocol, `UNKNOWN_TOPIC_OR_PARTITION`, `CLIENT_CANNOT_CONNECT`, `CLIENT_BAD_ARGUMENT`, `CLIENT_BAD_FORMAT`,
   *   `CLIENT_ABORTED`, `CLIENT_CLOSED`.
   */
  send(record: ProducerRecord<K, V>, options: SendOptions = {}): Promise<Delivery> {
    const promise = new Promise<Delivery>(captureSettlers)
    const resolve = capturedResolve
    const reject = capturedReject
    const { signal } = options
    if (this.#isRefused(reject, signal)) return promise
    const slot = this.#slot(record.topic)
    if (this.#mustWait(slot)) {
      const waiting: Waiting<K, V> = {
        records: [record],
        nextIndex: 0,
        group: null,
        resolve,
        reject,
        outcome: promise,
        deadlineMs: this.#lineDeadlineMs(),
      }
      this.#queueUp(slot, waiting, signal)
    } else {
      const nowMs = this.#cluster.ports.clock.wallTimeMs()
      this.#append(slot, record, nowMs, null, resolve, reject)
    }
    return signal === undefined
      ? promise
      : abortable(promise, `Cannot tell the outcome of a send to '${record.topic}'`, signal)
  }

  /**
   * Sends many records: the fast way, with one promise for all.
   *
   * @returns Where they are, as ranges: within a partition, records have consecutive offsets in the order given. Settles
   *   when all records have an outcome.
   * @throws {ClientError} As `send`; the first failure, when the others have their outcome too.
   */
  sendAll(
    records: readonly ProducerRecord<K, V>[],
    options: SendOptions = {},
  ): Promise<readonly DeliveredRange[]> {
    const { signal } = options
    const group = new SendGroup()
    if (!this.#isRefused((error) => group.failed(0, error), signal)) {
      group.expect(records.length)
      const deadlineMs = this.#lineDeadlineMs()
      const outcome = group.promise
      this.#enter(
        { records, nextIndex: 0, group, resolve: null, reject: null, outcome, deadlineMs },
        null,
        signal,
      )
    }
    group.handedOver()
    return abortable(group.promise, 'Cannot tell the outcome of a send', signal)
  }

  /** Resolves when every record sent before has an outcome; how it ended is told by `send` and `sendAll`. */
  async flush(options: SendOptions = {}): Promise<void> {
    this.#flushCount++
    this.#sender.isFlushing = true
    try {
      await abortable(this.#settlement(), 'Cannot flush', options.signal)
    } finally {
      this.#flushCount--
      this.#sender.isFlushing = this.#flushCount > 0
    }
  }

  /**
   * Takes no more records, waits up to `closeTimeoutMs` for those under way, and fails the rest with `CLIENT_CLOSED`.
   * Calling it again waits for the first call.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  /** Fails everything without an outcome with `CLIENT_ABORTED` and closes. What is on its way may still be written. */
  async abort(reason?: unknown): Promise<void> {
    this.#closing ??= Promise.resolve()
    this.#shut(new ClientError('CLIENT_ABORTED', 'Cannot send: the producer was aborted', { cause: reason }))
    await this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    const { clock } = this.#cluster.ports
    const timer = new AbortController()
    const late = pause(clock, this.#config.closeTimeoutMs, 'Cannot close', timer.signal).catch(
      () => undefined,
    )
    await Promise.race([this.flush(), late])
    timer.abort()
    this.#shut(
      new ClientError(
        'CLIENT_CLOSED',
        'Cannot send: the producer was closed before the record had an outcome',
      ),
    )
  }

  #shut(error: ClientError): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#cancelLineTimer?.()
    this.#unwatch()
    for (const slot of this.#slots.values()) {
      slot.line.failAll(error)
      for (const queue of slot.queues) {
        for (const batch of queue.batches()) {
          queue.drop(batch)
          batch.fail(error)
        }
      }
    }
    this.#sender.close()
    this.#bufferedBytes = 0
    this.#onClosed(this)
  }

  #isRefused(reject: (error: Error) => void, signal: AbortSignal | undefined): boolean {
    if (signal?.aborted === true) reject(abortedError('Cannot send', signal))
    else if (this.#closing !== null)
      reject(new ClientError('CLIENT_CLOSED', 'Cannot send: the producer is closed'))
    else if (this.#codecError !== null) reject(this.#codecError)
    else return false
    return true
  }

  #slot(topic: string): TopicSlot<K, V> {
    let slot = this.#slots.get(topic)
    if (slot === undefined) {
      slot = { name: topic, queues: [], stickyPartition: -1, line: new WaitingLine(), isLookingUp: false }
      this.#slots.set(topic, slot)
      this.#updateQueues(slot)
    }
    return slot
  }

  #mustWait(slot: TopicSlot<K, V>): boolean {
    return (
      slot.queues.length === 0 ||
      slot.line.count > 0 ||
      this.#bufferedBytes >= this.#config.bufferBytesMax ||
      this.#preparing !== null
    )
  }

  /**
   * Puts records into batches until one must wait; the rest gets in line, each behind its own topic.
   *
   * @param own - The slot whose turn it is: its line does not make it wait. Null for newcomers.
   */
  #enter(waiting: Waiting<K, V>, own: TopicSlot<K, V> | null, signal?: AbortSignal): void {
    const { records, group, resolve, reject } = waiting
    const nowMs = this.#cluster.ports.clock.wallTimeMs()
    let slot: TopicSlot<K, V> | null = null
    for (; waiting.nextIndex < records.length; waiting.nextIndex++) {
      const record = records[waiting.nextIndex]!
      if (slot?.name !== record.topic) slot = this.#slot(record.topic)
      if (slot === own ? this.#bufferedBytes >= this.#config.bufferBytesMax : this.#mustWait(slot)) break
      this.#append(slot, record, nowMs, group, resolve, reject)
    }
    if (waiting.nextIndex < records.length && own === null) this.#queueUpByTopic(waiting, signal)
  }

  #queueUpByTopic(waiting: Waiting<K, V>, signal: AbortSignal | undefined): void {
    const byTopic = new Map<string, ProducerRecord<K, V>[]>()
    for (const record of waiting.records.slice(waiting.nextIndex)) {
      const records = byTopic.get(record.topic)
      if (records === undefined) byTopic.set(record.topic, [record])
      else records.push(record)
    }
    for (const [topic, records] of byTopic)
      this.#queueUp(this.#slot(topic), { ...waiting, records, nextIndex: 0 }, signal)
  }

  #queueUp(slot: TopicSlot<K, V>, waiting: Waiting<K, V>, signal: AbortSignal | undefined): void {
    slot.line.push(waiting)
    this.#watchLines(waiting.deadlineMs)
    if (signal !== undefined) {
      const forget = onAbort(signal, () => failWaiting(waiting, abortedError('Cannot send', signal)))
      waiting.outcome.then(forget, forget)
    }
    if (slot.queues.length === 0) this.#lookUp(slot)
    else this.#crowded.add(slot)
  }

  #lineDeadlineMs(): number {
    return this.#cluster.ports.clock.monotonicMs() + this.#config.lineTimeoutMs
  }

  /** Fails those whose time in line is over, and comes back for the next. */
  #expireLines(): void {
    const nowMs = this.#cluster.ports.clock.monotonicMs()
    let nextMs = Infinity
    for (const slot of this.#slots.values()) {
      const isKnown = slot.queues.length > 0
      slot.line.expire(nowMs, () => lineTimedOut(slot.name, isKnown, this.#bufferedBytes, this.#config))
      nextMs = Math.min(nextMs, slot.line.deadlineMs)
    }
    if (nextMs < Infinity) this.#watchLines(nextMs)
  }

  /** One timer for all lines: all who wait have the same time, so the first to come is the first to go. */
  #watchLines(atMs: number): void {
    if (this.#cancelLineTimer !== null) return
    const { clock } = this.#cluster.ports
    this.#cancelLineTimer = clock.after(Math.max(0, atMs - clock.monotonicMs()), () => {
      this.#cancelLineTimer = null
      this.#expireLines()
    })
  }

  #lookUp(slot: TopicSlot<K, V>): void {
    if (slot.isLookingUp) return
    slot.isLookingUp = true
    const { mayCreateTopics } = this.#config
    const deadlineMs = this.#lineDeadlineMs()
    this.#cluster
      .topic(slot.name, { mayCreate: mayCreateTopics, deadlineMs })
      .then(
        () => this.#updateQueues(slot),
        (thrown: unknown) => slot.line.failAll(toError(thrown)),
      )
      .finally(() => {
        slot.isLookingUp = false
        this.#admit()
      })
  }

  /** Adds queues for partitions that are new. */
  #updateQueues(slot: TopicSlot<K, V>): void {
    const info = this.#cluster.findTopic(slot.name)
    if (info === null) return
    for (let partition = slot.queues.length; partition < info.partitions.length; partition++) {
      slot.queues.push(new PartitionQueue(slot.name, partition))
    }
    if (slot.line.count > 0) this.#crowded.add(slot)
  }

  #learned(): void {
    for (const slot of this.#slots.values()) if (slot.queues.length > 0) this.#updateQueues(slot)
    this.#sender.learned()
  }

  /** Lets in those in line, a topic after the other, while there is room. */
  #admit(): void {
    if (this.#preparing !== null || this.#isClosed) return
    for (const slot of this.#crowded) {
      if (slot.queues.length === 0) {
        this.#crowded.delete(slot)
        if (slot.line.count > 0) this.#lookUp(slot)
        continue
      }
      for (let waiting = slot.line.peek(); waiting !== undefined; waiting = slot.line.peek()) {
        this.#enter(waiting, slot)
        if (waiting.nextIndex < waiting.records.length) break
        slot.line.shift()
      }
      this.#crowded.delete(slot)
      if (slot.line.count === 0) continue
      this.#crowded.add(slot) // behind the others
      return
    }
  }

  #append(
    slot: TopicSlot<K, V>,
    record: ProducerRecord<K, V>,
    nowMs: number,
    group: SendGroup | null,
    resolve: ((delivery: Delivery) => void) | null,
    reject: ((error: Error) => void) | null,
  ): void {
    let queue: PartitionQueue | null = null
    try {
      const input = this.#encoder.encode(record, nowMs)
      queue = this.#chooseQueue(slot, record, input.key)
      const { sizeMax } = this.#encoder
      let batch = queue.open
      if (batch !== null && batch.builder.sizeBytes + sizeMax > this.#config.batchBytesMax) {
        queue.open = batch = null
        this.#sender.schedule()
        if (queue.partition === slot.stickyPartition) slot.stickyPartition = -1
      }
      batch ??= this.#begin(queue)
      const { builder } = batch
      const before = batch.recordCount === 0 ? 0 : builder.sizeBytes
      builder.append(input)
      const index = batch.recordCount++
      const grown = builder.sizeBytes - before
      batch.bufferedBytes += grown
      this.#bufferedBytes += grown
      if (index === 0) this.#sender.activate(queue)
      if (group !== null) batch.awaitGroup(group, index)
      else batch.awaitOne(index, input.timestamp, resolve!, reject!)
    } catch (thrown) {
      const error = sendError(record.topic, toError(thrown))
      if (queue?.open?.recordCount === 0) queue.drop(queue.open)
      if (group !== null) group.failed(1, error)
      else reject!(error)
    }
  }

  #begin(queue: PartitionQueue): ProducerBatch {
    const nowMs = this.#cluster.ports.clock.monotonicMs()
    const batch = new ProducerBatch(queue.topic, queue.partition, this.#pool.take(), nowMs)
    queue.add(batch)
    return batch
  }

  #chooseQueue(slot: TopicSlot<K, V>, record: ProducerRecord<K, V>, key: Uint8Array | null): PartitionQueue {
    const { queues } = slot
    const chosen = record.partition ?? this.#config.partitioner(slot.name, key, queues.length)
    if (chosen === null) return queues[this.#sticky(slot)]!
    const queue = queues[chosen]
    if (queue !== undefined) return queue
    throw new ClientError(
      'CLIENT_BAD_ARGUMENT',
      `Cannot send to partition ${chosen} of '${slot.name}': it has partitions 0 to ${queues.length - 1}`,
    )
  }

  /** The partition for records without a key: the same while its batch is open, then another, drawn (KIP-480). */
  #sticky(slot: TopicSlot<K, V>): number {
    const { queues, stickyPartition } = slot
    if (stickyPartition >= 0 && queues[stickyPartition]!.open !== null) return stickyPartition
    const count = queues.length
    if (count === 1) return 0
    const { random } = this.#cluster.ports
    let drawn = random.below(count)
    // Not the one just used, and one with a leader if the first draws find one.
    for (let draw = 0; draw < count; draw++) {
      const leaderId = this.#cluster.findPartition(slot.name, drawn)?.leaderId ?? -1
      if (drawn !== stickyPartition && leaderId >= 0) break
      drawn = (drawn + 1) % count
    }
    slot.stickyPartition = drawn
    return drawn
  }

  #settled(batch: ProducerBatch, isMemoryFree: boolean): void {
    this.#bufferedBytes -= batch.bufferedBytes
    if (batch.bytes !== null) this.#pool.give(batch.builder, isMemoryFree ? batch.bytes : null)
    if (this.#crowded.size > 0) this.#admit()
  }

  /** Settles when all that was sent before has an outcome. */
  async #settlement(): Promise<void> {
    const outcomes: Promise<unknown>[] = []
    for (const { line, queues } of this.#slots.values()) {
      outcomes.push(...line.outcomes())
      for (const queue of queues) {
        for (const batch of queue.batches())
          outcomes.push(new Promise<void>((resolve) => batch.whenSettled(resolve)))
      }
    }
    this.#sender.schedule()
    await Promise.all(outcomes)
  }

  #prepare(loading: Promise<Codec>): Promise<void> {
    return loading.then(
      (codec) => {
        this.#sender.codec = codec
        this.#preparing = null
        this.#admit()
      },
      (thrown: unknown) => {
        this.#codecError = codecError('Cannot send', toError(thrown))
        for (const slot of this.#slots.values()) slot.line.failAll(this.#codecError)
      },
    )
  }
}

let capturedResolve: (delivery: Delivery) => void
let capturedReject: (error: Error) => void

/** The executor of every promise of `send`: one function for all, where a closure for each would be made otherwise. */
function captureSettlers(resolve: (delivery: Delivery) => void, reject: (error: Error) => void): void {
  capturedResolve = resolve
  capturedReject = reject
}
