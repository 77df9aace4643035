/**
 * Records of one partition on their way: built, sent as one record batch, perhaps sent again, settled together.
 *
 * Hot path: a record costs what `BatchBuilder.append` costs, plus a small object when somebody waits for it alone.
 *
 * Invariants: records are appended until the batch is sealed and never after; `settle` or `fail` is called once.
 */
import type { ClientError } from './client-error.ts'
import type { BatchBuilder } from '../records/batch-builder.ts'
import type { DeliveredRange, Delivery } from './producer-options.ts'

/** Who a batch is numbered by; the sequence counts per partition. */
export interface ProducerIdentity {
  readonly producerId: number
  readonly producerEpoch: number
}

/** The records of one `sendAll`, which may be spread over many batches. */
export class SendGroup {
  readonly promise: Promise<readonly DeliveredRange[]>
  readonly #ranges: DeliveredRange[] = []
  /** Records without an outcome, and 1 more until all were handed to a batch. */
  #unsettledCount = 1
  #error: Error | null = null
  #resolve!: (ranges: readonly DeliveredRange[]) => void
  #reject!: (error: Error) => void

  constructor() {
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  expect(count: number): void {
    this.#unsettledCount += count
  }

  delivered(range: DeliveredRange): void {
    this.#ranges.push(range)
    this.#settled(range.count)
  }

  failed(count: number, error: Error): void {
    this.#error ??= error
    this.#settled(count)
  }

  /** All records were handed over. */
  handedOver(): void {
    this.#settled(1)
  }

  #settled(count: number): void {
    this.#unsettledCount -= count
    if (this.#unsettledCount > 0) return
    if (this.#error === null) this.#resolve(this.#ranges)
    else this.#reject(this.#error)
  }
}

/** Who waits for one record alone. A list of these takes less memory than arrays of their parts: most batches have one. */
interface Waiter {
  readonly index: number
  readonly timestamp: number
  readonly resolve: (delivery: Delivery) => void
  readonly reject: (error: Error) => void
  next: Waiter | null
}

interface GroupShare {
  readonly group: SendGroup
  readonly firstIndex: number
  count: number
}

export class ProducerBatch {
  readonly topic: string
  readonly partition: number
  readonly builder: BatchBuilder
  /** On the monotonic clock: when its first record came. Delivery time counts from here. */
  readonly createdAtMs: number
  /** The sealed batch; null while records may be appended. */
  bytes: Uint8Array | null = null
  recordCount = 0
  /** Bytes that count against the producer's bound. */
  bufferedBytes = 0
  /** Set when it is first sent, if the producer is idempotent. */
  identity: ProducerIdentity | null = null
  baseSequence = -1
  /** Place among the batches of its partition, from the first time it is sent; retries go by it. */
  order = -1
  attemptCount = 0
  /** An attempt ended in a way that leaves open whether the batch is in the log. Never goes back to false. */
  mayBeInLog = false
  /** Why the last attempt came to nothing. */
  lastFailure: ClientError | null = null
  #firstWaiter: Waiter | null = null
  #lastWaiter: Waiter | null = null
  #shares: GroupShare[] | null = null
  #watchers: (() => void)[] | null = null

  constructor(topic: string, partition: number, builder: BatchBuilder, createdAtMs: number) {
    this.topic = topic
    this.partition = partition
    this.builder = builder
    this.createdAtMs = createdAtMs
  }

  /** Bytes of the batch: exact once it is sealed, before compression until then. */
  get sizeBytes(): number {
    return this.bytes?.length ?? this.builder.sizeBytes
  }

  /** Notes who waits for the record with this index alone. */
  awaitOne(
    index: number,
    timestamp: number,
    resolve: (delivery: Delivery) => void,
    reject: (error: Error) => void,
  ): void {
    const waiter: Waiter = { index, timestamp, resolve, reject, next: null }
    if (this.#lastWaiter === null) this.#firstWaiter = waiter
    else this.#lastWaiter.next = waiter
    this.#lastWaiter = waiter
  }

  /** Notes that the record with this index belongs to a group. */
  awaitGroup(group: SendGroup, index: number): void {
    this.#shares ??= []
    const last = this.#shares[this.#shares.length - 1]
    if (last?.group === group && last.firstIndex + last.count === index) last.count++
    else this.#shares.push({ group, firstIndex: index, count: 1 })
  }

  /** Calls `watcher` when the batch is settled, however that ends. */
  whenSettled(watcher: () => void): void {
    this.#watchers ??= []
    this.#watchers.push(watcher)
  }

  /**
   * Tells everybody that the records are in the log.
   *
   * @param baseOffset - Offset of the first record, -1 if unknown.
   * @param appendTimeMs - The topic's append time, -1 if it keeps the records' own.
   */
  settle(baseOffset: number, appendTimeMs: number): void {
    const { topic, partition } = this
    for (let waiter = this.#firstWaiter; waiter !== null; waiter = waiter.next) {
      waiter.resolve({
        topic,
        partition,
        offset: baseOffset < 0 ? -1 : baseOffset + waiter.index,
        timestamp: appendTimeMs < 0 ? waiter.timestamp : appendTimeMs,
      })
    }
    for (const { group, firstIndex, count } of this.#shares ?? []) {
      group.delivered({ topic, partition, baseOffset: baseOffset < 0 ? -1 : baseOffset + firstIndex, count })
    }
    this.#notify()
  }

  fail(error: Error): void {
    for (let waiter = this.#firstWaiter; waiter !== null; waiter = waiter.next) waiter.reject(error)
    for (const { group, count } of this.#shares ?? []) group.failed(count, error)
    this.#notify()
  }

  /** Moves what is waited for to two batches that hold this one's records, split before record `splitIndex`. */
  moveWaiters(head: ProducerBatch, tail: ProducerBatch, splitIndex: number): void {
    for (let waiter = this.#firstWaiter; waiter !== null; waiter = waiter.next) {
      const { index, timestamp, resolve, reject } = waiter
      const [target, first] = index < splitIndex ? [head, 0] : [tail, splitIndex]
      target.awaitOne(index - first, timestamp, resolve, reject)
    }
    for (const { group, firstIndex, count } of this.#shares ?? []) {
      for (let index = firstIndex; index < firstIndex + count; index++) {
        if (index < splitIndex) head.awaitGroup(group, index)
        else tail.awaitGroup(group, index - splitIndex)
      }
    }
    for (const watcher of this.#watchers ?? []) {
      let left = 2
      const settled = (): void => {
        left--
        if (left === 0) watcher()
      }
      head.whenSettled(settled)
      tail.whenSettled(settled)
    }
  }

  #notify(): void {
    if (this.#watchers === null) return
    for (const watcher of this.#watchers) watcher()
    this.#watchers = null
  }
}
