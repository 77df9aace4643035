/**
 * A consumer that shares partitions with the other members of its group (KIP-848): it reads what the group assigns to it, and
 * commits what the application has handled.
 *
 * At least once: a record counts as handled when the loop asks for the next one, or its handler has resolved; what was handled
 * and not committed is handled again, by whoever gets the partition after a crash.
 *
 * Invariants:
 * - Nothing of a partition is handed out before it is owned, or after it began to be given back.
 * - A member that was given up has lost everything before it joins again, and cannot commit what it read before (G3).
 */
import type { Cancel } from '../../env/index.ts'
import { abortable } from '../backoff.ts'
import { ClientError, toError } from '../client-error.ts'
import { wholeNumber } from '../client-options.ts'
import type { Cluster } from '../cluster.ts'
import { Consumer } from '../consumer.ts'
import type { ReadOptions } from '../consumer.ts'
import { checkStart } from '../consumer-options.ts'
import type { ConsumerBatch, ConsumerRecord, StartPosition, TopicPartition } from '../consumer-options.ts'
import { GroupCoordinator } from './group-coordinator.ts'
import { checkSubscription, groupConfig } from './group-options.ts'
import type { GroupConfig, GroupConsumerOptions, Subscription } from './group-options.ts'
import { Membership } from './membership.ts'
import { GroupOffsets, notAMember } from './offsets.ts'
import type { CommittedOffset, OffsetOptions, OffsetToCommit } from './offsets.ts'
import { Progress } from './progress.ts'
import type { Hand, Owned } from './progress.ts'
import { Rebalance } from './rebalance.ts'
import { runWorkers } from './workers.ts'
import type { RecordHandler } from './workers.ts'

export interface RunOptions extends ReadOptions {
  /** Partitions whose records are handled at the same time. Default 8. */
  readonly concurrency?: number
}

/** How far a member is behind in a partition, in offsets: compaction and markers make it more than the records that are left. */
export interface PartitionLag extends TopicPartition {
  /** Offset of the next record that is neither handled nor in hand; null while it is not known. */
  readonly position: number | null
  readonly committed: number | null
  readonly end: number
  /** `end` minus what is committed, else minus the position. */
  readonly lag: number
}

const DEFAULT_CONCURRENCY = 8

export class GroupConsumer<K = Uint8Array | null, V = Uint8Array | null> {
  readonly #cluster: Cluster
  readonly #config: GroupConfig
  readonly #engine: Consumer<K, V>
  readonly #membership: Membership
  readonly #offsets: GroupOffsets
  readonly #progress: Progress
  readonly #rebalance: Rebalance
  readonly #onClosed: (consumer: GroupConsumer<K, V>) => void
  readonly #closing = new AbortController()
  /** Fires some time after the consumer began to close: what is not committed by then is not. */
  readonly #commitsEnd = new AbortController()
  #isSubscribed = false
  #isSettled = false
  #readyWaiters: (() => void)[] = []
  #failure: Error | null = null
  /** What was in hand for too long, since when this member has left its group. */
  #overdue: Hand | null = null
  #hasLeft = false
  #cancelCommit: Cancel = () => undefined
  #closed: Promise<void> | null = null

  /** @param onClosed - Tells the owner, once. */
  constructor(
    cluster: Cluster,
    options: GroupConsumerOptions<K, V>,
    onClosed: (consumer: GroupConsumer<K, V>) => void,
  ) {
    const config = groupConfig(options)
    this.#cluster = cluster
    this.#config = config
    this.#onClosed = onClosed
    const { topics, ...engineOptions } = options
    if (topics !== undefined) checkSubscription(topics)
    this.#engine = new Consumer<K, V>(cluster, engineOptions, () => undefined)
    const coordinator = new GroupCoordinator(cluster, config.group)
    this.#membership = new Membership(coordinator, config, {
      onTarget: (target) => this.#rebalance.aim(target),
      onFenced: () => this.#rebalance.lose(),
      onFailed: (error) => this.#failed(error),
    })
    this.#offsets = new GroupOffsets(coordinator, this.#membership, config.instanceId)
    this.#progress = new Progress(cluster.ports.clock, config.handlerTimeoutMs, (owned) =>
      this.#tooSlow(owned),
    )
    this.#rebalance = new Rebalance({
      ...{ cluster, config, from: options.from ?? 'end', engine: this.#engine, signal: this.#closing.signal },
      ...{ membership: this.#membership, offsets: this.#offsets, progress: this.#progress },
      commitDone: (partitions) => this.#commitDone(partitions),
      onSettled: () => this.#settled(),
      onFailed: (error) => this.#failed(error),
    })
    if (topics !== undefined) this.subscribe(topics)
    if (config.isAuto) this.#scheduleCommit()
  }

  get group(): string {
    return this.#config.group
  }

  /** Names this member in descriptions of the group. */
  get memberId(): string {
    return this.#membership.memberId
  }

  get isClosed(): boolean {
    return this.#closing.signal.aborted
  }

  /** What it owns now. */
  get assignment(): readonly TopicPartition[] {
    return this.#progress.all().map(({ topic, partition }) => ({ topic, partition }))
  }

  /**
   * Joins the group, or changes what this member wants of it. Partitions come, and go, in the background.
   *
   * @throws {ClientError} `CLIENT_BAD_ARGUMENT`, `CLIENT_CLOSED`. What the broker does not like about it ends the loop.
   */
  subscribe(to: Subscription): void {
    this.#checkOpen()
    checkSubscription(to)
    this.#isSubscribed = true
    this.#isSettled = false
    this.#membership.subscribe(to)
  }

  /**
   * Resolves when this member has what the group gave it at first, be it nothing, and knows where to begin.
   *
   * @throws {ClientError} Why that will not be.
   */
  async ready(options: ReadOptions = {}): Promise<void> {
    this.#checkOpen()
    if (!this.#isSettled) {
      const settled = new Promise<void>((resolve) => this.#readyWaiters.push(resolve))
      await abortable(settled, 'Cannot join the group', options.signal)
    }
    this.#checkOpen()
    await this.#engine.ready(options)
  }

  /** Records one by one; the one before counts as handled when the next one is asked for. */
  records(options: ReadOptions = {}): AsyncIterableIterator<ConsumerRecord<K, V>> {
    this.#checkOpen()
    return this.#loop(this.#engine.records(options), (record) => [record.offset, record.offset + 1])
  }

  /** Batches, each of one partition: the fast way. The one before counts as handled when the next one is asked for. */
  batches(options: ReadOptions = {}): AsyncIterableIterator<ConsumerBatch<K, V>> {
    this.#checkOpen()
    return this.#loop(this.#engine.batches(options), (batch) => [batch.records[0]!.offset, batch.nextOffset])
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<ConsumerRecord<K, V>> {
    return this.records()
  }

  /**
   * Gives records to a handler, several partitions at a time, each partition's in order, until the signal fires or the consumer
   * is closed. Resolves when the last handler has ended and, if commits are automatic, what was handled is committed.
   *
   * @throws What the handler threw, once the others have ended; its record will be handled again. {ClientError} as a loop does.
   */
  async run(handler: RecordHandler<K, V>, options: RunOptions = {}): Promise<void> {
    const concurrency = wholeNumber('concurrency', options.concurrency ?? DEFAULT_CONCURRENCY, 1)
    this.#checkSubscribed()
    try {
      await runWorkers<K, V>(
        {
          batches: (signal) => this.#engine.batches({ signal }),
          hold: (partition) => this.#hold(partition),
          unhold: (owned) => this.#unhold(owned),
          begin: (owned, offset) => this.#progress.begin(owned, offset),
          finish: (hand, nextOffset) => {
            this.#progress.finish(hand, nextOffset)
            this.#handled(hand)
          },
          release: (hand) => {
            this.#progress.release(hand)
            this.#handled(hand)
          },
          seek: (owned, to) => {
            if (this.#isReadable(owned)) this.#engine.seek(owned, to)
          },
        },
        handler,
        concurrency,
        options.signal,
      )
    } finally {
      if (!this.isClosed) await this.#commitDone(this.#progress.all())
    }
    if (this.#failure !== null) throw this.#failure
  }

  /**
   * Commits offsets, after all commits that were asked for before.
   *
   * @param offsets - Of the next records to be read; default: what was handled so far of all that is owned.
   * @throws {ClientError} `CLIENT_NOT_A_MEMBER` if the group has given this member up; `CLIENT_BAD_ARGUMENT` for a partition
   *   that it does not own; `CLIENT_TIMED_OUT`: it may or may not be committed; and the protocol's.
   */
  async commit(offsets?: readonly OffsetToCommit[], options: OffsetOptions = {}): Promise<void> {
    if (this.#hasLeft) this.#checkOpen() // a listener may commit until the end
    const wanted =
      offsets === undefined
        ? this.#progress.toCommit(this.#progress.all())
        : offsets.map((one) => ({ ...one, owned: this.#owned(one, 'commit') }))
    for (const { offset } of wanted) checkStart(offset)
    await this.#offsets.commit(wanted, options)
    this.#progress.noteCommitted(wanted)
  }

  /**
   * What the group has committed in the partitions that this member owns.
   *
   * @throws {ClientError}
   */
  async committed(options: OffsetOptions = {}): Promise<CommittedOffset[]> {
    this.#checkOpen()
    return this.#offsets.committed(this.#progress.all(), options)
  }

  /** How far this member is behind. @throws {ClientError} As the loop does. */
  async lag(options: ReadOptions = {}): Promise<PartitionLag[]> {
    this.#checkOpen()
    const ends = await this.#engine.endOffsets(options)
    return ends.flatMap(({ topic, partition, offset: end }) => {
      const owned = this.#progress.get({ topic, partition })
      if (owned === null) return []
      const { committed, done } = owned
      const position = this.position({ topic, partition })
      return [{ topic, partition, position, committed, end, lag: Math.max(0, end - (committed ?? done ?? position ?? end)) }] // prettier-ignore
    })
  }

  /**
   * Goes on elsewhere in a partition that is owned; what was fetched ahead of it is dropped.
   *
   * @throws {ClientError} `CLIENT_BAD_ARGUMENT` if it is not owned, `CLIENT_CLOSED`.
   */
  seek(partition: TopicPartition, to: StartPosition): void {
    this.#checkOpen()
    checkStart(to)
    const owned = this.#owned(partition, 'seek')
    this.#engine.seek(partition, to)
    this.#progress.seek(owned, typeof to === 'number' ? to : null)
  }

  /** Hands out nothing more of these partitions, until `resume` or until they are given back. The member keeps them. */
  pause(partitions: readonly TopicPartition[] = this.assignment): void {
    for (const partition of partitions) {
      const owned = this.#owned(partition, 'pause')
      owned.isPaused = true
      if (this.#isReadable(owned)) this.#engine.pause([partition])
    }
  }

  resume(partitions: readonly TopicPartition[] = this.assignment): void {
    for (const partition of partitions) {
      const owned = this.#owned(partition, 'resume')
      owned.isPaused = false
      if (this.#isReadable(owned) && !owned.isHeld) this.#engine.resume([partition])
    }
  }

  /** Offset of the next record that the loop gets; null while it is not known yet. */
  position(partition: TopicPartition): number | null {
    const { isLeaving, done } = this.#owned(partition, 'tell the position')
    return isLeaving ? done : this.#engine.position(partition)
  }

  /**
   * Ends the loop, commits what was handled if that is automatic, gives everything back and leaves the group. What is in hand now
   * counts as not handled: to finish it first, leave the loop, or fire the signal of `run` and await it. Never rejects.
   */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    this.#cancelCommit()
    this.#closing.abort()
    this.#progress.releaseAll() // whoever holds something now has not finished it
    const { ports, config } = this.#cluster
    const cancelEnd = ports.clock.after(config.requestTimeoutMs, () => this.#commitsEnd.abort())
    try {
      await this.#rebalance.idle()
      if (this.#failure === null) await this.#rebalance.giveAllBack()
    } catch (thrown) {
      const fields = { group: this.group, error: toError(thrown) }
      ports.logger.warn('A listener failed while its group was left', fields)
    }
    cancelEnd()
    this.#hasLeft = true
    await this.#engine.close()
    await this.#membership.close()
    this.#progress.close()
    this.#wakeReady()
    this.#onClosed(this)
  }

  #loop<T extends TopicPartition>(
    inner: AsyncIterableIterator<T>,
    offsetsOf: (item: T) => [offset: number, nextOffset: number],
  ): AsyncIterableIterator<T> {
    let hand: Hand | null = null
    let nextOffset = 0
    const settle = (): void => {
      if (hand !== null) this.#progress.finish(hand, nextOffset)
      hand = null
    }
    const letGo = (): void => {
      if (hand !== null) this.#progress.release(hand)
      hand = null
    }
    const next = async (): Promise<IteratorResult<T, undefined>> => {
      settle()
      this.#handled(this.#overdue)
      for (;;) {
        if (!this.isClosed) this.#checkSubscribed()
        const result = await inner.next()
        if (result.done === true) {
          if (this.#failure !== null) throw this.#failure
          return { done: true, value: undefined }
        }
        const [offset, afterwards] = offsetsOf(result.value)
        const owned = this.#progress.get(result.value)
        hand = owned === null ? null : this.#progress.begin(owned, offset)
        nextOffset = afterwards
        if (hand !== null) return result
      }
    }
    return {
      next,
      return: async () => {
        letGo()
        await inner.return?.()
        return { done: true, value: undefined }
      },
      [Symbol.asyncIterator]() {
        return this
      },
    }
  }

  /** Whether it is read: from it being taken until it begins to be given back. */
  #isReadable(owned: Owned): boolean {
    return !owned.isLeaving && !this.isClosed
  }

  #hold(partition: TopicPartition): Owned | null {
    const owned = this.#progress.get(partition)
    if (owned === null || !this.#isReadable(owned)) return null
    owned.isHeld = true
    this.#engine.pause([partition])
    return owned
  }

  #unhold(owned: Owned): void {
    owned.isHeld = false
    if (this.#isReadable(owned) && !owned.isPaused) this.#engine.resume([owned])
  }

  #owned(partition: TopicPartition, what: string): Owned {
    const owned = this.#progress.get(partition)
    if (owned !== null) return owned
    const attempted = `Cannot ${what} in ${partition.topic}-${partition.partition}`
    if (this.#membership.epoch === 0 && this.#isSubscribed) throw notAMember(attempted)
    const message = `${attempted}: this member of group '${this.group}' does not own it`
    throw new ClientError('CLIENT_BAD_ARGUMENT', message)
  }

  /** Of these partitions, what is done, if that is not the application's business; a failure is told where it matters. */
  async #commitDone(partitions: readonly Owned[]): Promise<void> {
    const { signal } = this.#commitsEnd
    try {
      if (!this.#config.isAuto) {
        await abortable(this.#offsets.settled(), 'Cannot commit', signal)
        return
      }
      for (const owned of partitions) {
        // Where a group begins is committed as well: or else its next member would begin at another end of the log. Not the
        // position: that is past a record which the loop is about to get.
        if (!owned.isLeaving) owned.done ??= this.#engine.startOf(owned)
      }
      const offsets = this.#progress.toCommit(partitions)
      const options = { timeoutMs: this.#config.handlerTimeoutMs, signal }
      await abortable(this.#offsets.commit(offsets, options), 'Cannot commit', signal)
      this.#progress.noteCommitted(offsets)
    } catch (thrown) {
      const error = toError(thrown)
      const fields = { group: this.group, error }
      this.#cluster.ports.logger.warn('Cannot commit what was handled: it may be handled again', fields)
      const isPassing =
        error instanceof ClientError && (error.retriable || error.code === 'CLIENT_NOT_A_MEMBER')
      if (!isPassing && !this.isClosed) this.#failed(error)
    }
  }

  #scheduleCommit(): void {
    this.#cancelCommit = this.#cluster.ports.clock.after(this.#config.commitIntervalMs, () => {
      const isDue = this.#membership.epoch > 0 && !this.isClosed
      const committing = isDue ? this.#commitDone(this.#progress.all()) : Promise.resolve()
      void committing.then(() => {
        if (!this.isClosed) this.#scheduleCommit()
      })
    })
  }

  #tooSlow(owned: Owned): void {
    const { topic, partition } = owned
    const { handlerTimeoutMs, group } = this.#config
    const message =
      'A record was in hand for too long: this member leaves its group until it asks for the next'
    this.#cluster.ports.logger.warn(message, { group, topic, partition, handlerTimeoutMs })
    this.#overdue = { owned, number: owned.hand }
    this.#rebalance.lose()
    void this.#membership.suspend()
  }

  /** The application is done with something: if that was overdue, it may be a member again. */
  #handled(hand: Hand | null): void {
    if (hand === null || hand.number !== this.#overdue?.number) return
    this.#overdue = null
    this.#membership.resume()
  }

  #settled(): void {
    this.#isSettled = true
    this.#wakeReady()
  }

  #wakeReady(): void {
    for (const resolve of this.#readyWaiters.splice(0)) resolve()
  }

  #failed(thrown: unknown): void {
    this.#failure ??= toError(thrown)
    void this.close()
  }

  #checkSubscribed(): void {
    this.#checkOpen()
    if (this.#isSubscribed) return
    throw new ClientError(
      'CLIENT_BAD_ARGUMENT',
      'Cannot read: the consumer has not subscribed to anything yet',
    )
  }

  #checkOpen(): void {
    if (this.#failure !== null) throw this.#failure
    if (this.isClosed) throw new ClientError('CLIENT_CLOSED', 'Cannot use the consumer: it is closed')
  }
}
