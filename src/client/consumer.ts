/**
 * The consumer: reads partitions from positions it is given, without a group. `for await` over the consumer gives records,
 * over `batches()` batches, which is the fast way; fetching goes on meanwhile, within a bound.
 *
 * Invariants:
 * - One loop at a time: two would share the positions and each see half of the log.
 * - A position moves when a record (or a batch) is handed to the loop; what the loop has not taken is handed out again.
 * - Records of a partition come in ascending order of offset, none below the position asked for.
 */
import { backoffMs } from '../base/backoff.ts'
import { onAbort } from '../base/on-abort.ts'
import type { CodecName } from '../records/compression/codec.ts'
import { CodecSet } from '../records/compression/codec-set.ts'
import { AssignedPartition, UNKNOWN } from './assigned-partition.ts'
import { abortable, pause } from './backoff.ts'
import { abortedError, ClientError, codecError, toError } from './client-error.ts'
import type { Cluster } from './cluster.ts'
import type {
  Assignment,
  ConsumerBatch,
  ConsumerConfig,
  ConsumerOptions,
  ConsumerRecord,
  StartPosition,
  TopicPartition,
} from './consumer-options.ts'
import { checkStart, consumerConfig } from './consumer-options.ts'
import { Fetcher } from './fetcher.ts'
import { batchLoop, recordLoop } from './consumer-loops.ts'
import type { Current, LoopSource } from './consumer-loops.ts'
import type { OffsetQuery } from './offset-lookup.ts'
import { LATEST, lookUpOffsets } from './offset-lookup.ts'
import type { LookUp } from './start-lookup.ts'
import { lookUpStarts } from './start-lookup.ts'

export interface ReadOptions {
  /** Ends the loop with `CLIENT_ABORTED`. */
  readonly signal?: AbortSignal | undefined
}

/**
 * Bytes that a loop gets before what has come meanwhile is looked at: without it a loop that never waits would keep
 * everything else from running until all that was fetched ahead is read. Some 2 ms of work.
 */
const TURN_BYTES_MAX = 2 * 1024 * 1024

/** Numbers consumers, since each has its own connections. */
let nextConsumerId = 0

export class Consumer<K = Uint8Array | null, V = Uint8Array | null> {
  readonly #cluster: Cluster
  readonly #config: ConsumerConfig<K, V>
  readonly #topics: readonly string[]
  readonly #fetcher: Fetcher
  readonly #codecs = new CodecSet({ canWrite: false })
  readonly #onClosed: (consumer: Consumer<K, V>) => void
  readonly #unwatch: () => void
  readonly #closing = new AbortController()
  #partitions: AssignedPartition[] = []
  /** The partition that is looked at next, so that each has its turn. */
  #turn = 0
  /** Left over from a loop that ended, or whose partition was paused, within a batch. */
  #leftovers: Current<K, V>[] = []
  #isIterating = false
  #wake: (() => void) | null = null
  /** Finding out where to begin: the topics' partitions, and positions by time or end. */
  #starting: Promise<void> | null = null
  #mustStartAgain = false
  /** The application has changed what is to be found out: an error of the attempt under way does not count. */
  #isStartOutdated = false
  #startError: Error | null = null
  #hasFoundTopics = false
  /** Bytes of the chunks that the loop has finished in this turn. */
  #turnBytes = 0
  readonly #source: LoopSource<K, V> = {
    claim: () => this.#claim(),
    release: () => (this.#isIterating = false),
    next: (signal) => this.#next(signal),
    isServable: (current) => this.#isServable(current),
    keep: (current) => this.#keep(current),
  }

  /** @param onClosed - Tells the owner, once. */
  constructor(
    cluster: Cluster,
    options: ConsumerOptions<K, V>,
    onClosed: (consumer: Consumer<K, V>) => void,
  ) {
    this.#cluster = cluster
    this.#config = consumerConfig(options)
    this.#topics = [...new Set(options.topics ?? [])]
    this.#onClosed = onClosed
    this.#fetcher = new Fetcher(cluster, this.#config, String(nextConsumerId++), () => this.#progressed())
    this.#unwatch = cluster.watch(() => this.#learned())
    this.#start()
  }

  get isClosed(): boolean {
    return this.#closing.signal.aborted
  }

  get assignment(): readonly TopicPartition[] {
    return this.#partitions.map(({ topic, partition }) => ({ topic, partition }))
  }

  /**
   * Resolves when every partition knows where it begins; from then on `from: 'end'` misses nothing.
   *
   * @throws {ClientError} Why that cannot be found out; the loop would throw it, too.
   */
  async ready(options: ReadOptions = {}): Promise<void> {
    while (this.#starting !== null) await abortable(this.#starting, 'Cannot start to consume', options.signal)
    if (this.#startError !== null) throw this.#startError
    this.#checkOpen()
  }

  /** Replaces the assignment. Partitions that were assigned before start over as well. */
  assign(assignments: readonly Assignment[]): void {
    this.#checkAssignable()
    for (const { from } of assignments) if (from !== undefined) checkStart(from)
    for (const partition of this.#partitions) partition.jump(UNKNOWN) // answers under way are not for the new ones
    this.#leftovers = []
    this.#partitions = assignments.map(
      ({ topic, partition, from }) =>
        new AssignedPartition(topic, partition, from ?? this.#config.from, this.#config.partitionBytesMax),
    )
    this.#startAnew()
  }

  /** Adds to what was assigned; the others keep their places. A partition that is assigned already starts over. */
  assignMore(assignments: readonly Assignment[]): void {
    this.#checkAssignable()
    this.unassign(assignments)
    for (const { from } of assignments) if (from !== undefined) checkStart(from)
    for (const { topic, partition, from } of assignments) {
      const start = from ?? this.#config.from
      this.#partitions.push(new AssignedPartition(topic, partition, start, this.#config.partitionBytesMax))
    }
    this.#startAnew()
  }

  /** Takes partitions away; the others keep their places. A loop gets nothing more of them. */
  unassign(partitions: readonly TopicPartition[]): void {
    this.#checkOpen()
    const isLeft = ({ topic, partition }: TopicPartition): boolean =>
      !partitions.some((one) => one.topic === topic && one.partition === partition)
    for (const one of this.#partitions) if (!isLeft(one)) one.jump(UNKNOWN) // what is under way or decoded is not wanted
    this.#partitions = this.#partitions.filter(isLeft)
    this.#dropStaleLeftovers()
    this.#fetcher.assign(this.#partitions)
    this.#wakeUp()
  }

  /**
   * Reads on from another place. What was fetched ahead of the partition is dropped.
   *
   * @throws {ClientError} `CLIENT_BAD_ARGUMENT` for a partition that is not assigned; `CLIENT_CLOSED`.
   */
  seek({ topic, partition }: TopicPartition, to: StartPosition): void {
    this.#checkOpen()
    checkStart(to)
    this.#get(topic, partition).seek(to)
    this.#dropStaleLeftovers()
    this.#startAnew()
  }

  /** Hands out nothing more of these partitions until `resume`; what was fetched is kept. */
  pause(partitions: readonly TopicPartition[] = this.assignment): void {
    for (const { topic, partition } of partitions) this.#get(topic, partition).isPaused = true
  }

  resume(partitions: readonly TopicPartition[] = this.assignment): void {
    for (const { topic, partition } of partitions) this.#get(topic, partition).resume()
    this.#progressed()
  }

  /** Offset of the next record that the loop gets; null while it is not known yet. */
  position({ topic, partition }: TopicPartition): number | null {
    const { position } = this.#get(topic, partition)
    return position === UNKNOWN ? null : position
  }

  /** Where the partition was begun to be read, or was last sent to by a seek; null while that is not known yet. */
  startOf({ topic, partition }: TopicPartition): number | null {
    const { startOffset } = this.#get(topic, partition)
    return startOffset === UNKNOWN ? null : startOffset
  }

  /**
   * Where the assigned partitions end now: the offset behind the last committed record.
   *
   * @throws {ClientError} As the loop does.
   */
  async endOffsets(options: ReadOptions = {}): Promise<(TopicPartition & { readonly offset: number })[]> {
    await this.ready(options)
    const answers = await this.#lookUp(
      this.assignment.map((one) => ({ ...one, timestamp: LATEST })),
      options.signal,
    )
    return answers.map(({ query, offset, error }) => {
      if (error !== null) throw error
      return { topic: query.topic, partition: query.partition, offset }
    })
  }

  /** Records one by one. Leaving the loop keeps the place; a later loop goes on there. */
  records(options: ReadOptions = {}): AsyncIterableIterator<ConsumerRecord<K, V>> {
    return recordLoop(this.#source, options.signal)
  }

  /** Batches, each of one partition: the fast way. A batch counts as read when the loop gets it. */
  batches(options: ReadOptions = {}): AsyncIterableIterator<ConsumerBatch<K, V>> {
    return batchLoop(this.#source, options.signal)
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<ConsumerRecord<K, V>> {
    return this.records()
  }

  /** Ends the loop and closes the consumer's connections. */
  async close(): Promise<void> {
    if (this.isClosed) return
    this.#closing.abort()
    this.#unwatch()
    this.#fetcher.close()
    this.#wakeUp()
    this.#onClosed(this)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** The next records, however long it takes; null at the end. */
  async #next(signal: AbortSignal | undefined): Promise<Current<K, V> | null> {
    for (;;) {
      if (signal?.aborted === true) throw abortedError('Cannot read on', signal)
      if (this.isClosed) return null
      if (this.#startError !== null) throw this.#startError
      if (this.#turnBytes >= TURN_BYTES_MAX) {
        await this.#endTurn()
        continue
      }
      const found = this.#find()
      if (found instanceof Promise) await found
      else if (found !== null) return found
      else if (this.#hasEnded()) return null
      else await this.#sleep(signal)
    }
  }

  async #load(codec: CodecName, { topic, partition, position }: AssignedPartition): Promise<void> {
    try {
      await this.#codecs.load(codec)
    } catch (thrown) {
      throw codecError(`Cannot read ${topic}-${partition} at offset ${position}`, toError(thrown))
    }
  }

  /** Decodes the next records of the partition whose turn it is; a promise when a codec must be loaded first. */
  #find(): Current<K, V> | Promise<unknown> | null {
    const place = this.#leftovers.findIndex((current) => this.#isServable(current))
    if (place >= 0) return this.#leftovers.splice(place, 1)[0]!
    const count = this.#partitions.length
    for (let step = 0; step < count; step++) {
      const partition = this.#partitions[(this.#turn + step) % count]!
      if (partition.isPaused || this.#leftovers.some((current) => current.partition === partition)) continue
      for (let chunk = partition.currentChunk(); chunk !== null; chunk = partition.currentChunk()) {
        const missing = chunk.findMissingCodec(this.#codecs)
        if (missing !== null) return this.#load(missing, partition)
        const records = chunk.read({ ...this.#config, codecs: this.#codecs })
        if (chunk.isRead) {
          this.#turnBytes += chunk.size
          partition.currentChunk() // drops it
          this.#fetcher.schedule()
        }
        if (records.length === 0) {
          partition.position = chunk.nextOffset
          continue
        }
        const { topic, highWatermark, nextOffset } = chunk
        const batch = { topic, partition: partition.partition, records, nextOffset, highWatermark }
        this.#turn = (this.#turn + step + 1) % count
        return { partition, generation: partition.generation, batch, index: 0 }
      }
      if (partition.error !== null) throw partition.error
    }
    return null
  }

  #endTurn(): Promise<void> {
    return new Promise((resolve) => {
      this.#cluster.ports.clock.endOfTurn(() => {
        this.#turnBytes = 0
        resolve()
      })
    })
  }

  #isServable({ partition, generation }: Current<K, V>): boolean {
    return partition.generation === generation && !partition.isPaused && !this.isClosed
  }

  #keep(current: Current<K, V>): void {
    if (current.partition.generation === current.generation) this.#leftovers.push(current)
  }

  #dropStaleLeftovers(): void {
    this.#leftovers = this.#leftovers.filter(
      ({ partition, generation }) => partition.generation === generation,
    )
  }

  #hasEnded(): boolean {
    if (!this.#config.untilEnd || this.#starting !== null || this.#leftovers.length > 0) return false
    return this.#partitions.every(
      ({ position, endOffset }) => endOffset !== UNKNOWN && position !== UNKNOWN && position >= endOffset,
    )
  }

  #claim(): void {
    this.#checkOpen()
    if (this.#isIterating) {
      throw new ClientError(
        'CLIENT_BAD_ARGUMENT',
        'Cannot start a second loop over a consumer: it has one already',
      )
    }
    this.#isIterating = true
  }

  async #sleep(signal: AbortSignal | undefined): Promise<void> {
    let forget = (): void => undefined
    await new Promise<void>((resolve) => {
      this.#wake = resolve
      forget = onAbort(signal, resolve)
    })
    forget()
    this.#wake = null
    this.#turnBytes = 0
  }

  #wakeUp(): void {
    this.#wake?.()
  }

  #progressed(): void {
    // A partition that was out of range was sent back to an end of the log: that must be looked up.
    if (this.#partitions.some(({ position }) => position === UNKNOWN)) this.#start()
    this.#fetcher.schedule()
    this.#wakeUp()
  }

  #learned(): void {
    if (this.#hasFoundTopics && this.#starting === null && this.#hasNewPartitions()) this.#start()
    this.#fetcher.schedule()
  }

  #hasNewPartitions(): boolean {
    return this.#topics.some((topic) => {
      const info = this.#cluster.findTopic(topic)
      return (
        info !== null && info.partitions.length > this.#partitions.filter((one) => one.topic === topic).length
      )
    })
  }

  /** The application moved: what stood in its way counts no more. */
  #startAnew(): void {
    this.#isStartOutdated = this.#starting !== null
    this.#start()
  }

  /** Finds out what is not known yet, in the background. */
  #start(): void {
    if (this.isClosed) return
    if (this.#starting !== null) {
      this.#mustStartAgain = true
      return
    }
    this.#startError = null
    this.#mustStartAgain = false
    this.#starting = this.#findStarts()
      .catch((thrown: unknown) => {
        if (!this.#isStartOutdated) this.#startError = toError(thrown)
      })
      .finally(() => {
        this.#starting = null
        this.#isStartOutdated = false
        if (this.#mustStartAgain && this.#startError === null) this.#start()
        this.#fetcher.assign(this.#partitions)
        this.#wakeUp()
      })
  }

  async #findStarts(): Promise<void> {
    const signal = this.#closing.signal
    const { clock, random } = this.#cluster.ports
    const { requestTimeoutMs, backoff } = this.#cluster.config
    for (let attempt = 1; ; attempt++) {
      // Each time anew: `assign` may have brought other topics meanwhile.
      const deadlineMs = clock.monotonicMs() + requestTimeoutMs
      for (const topic of new Set([...this.#topics, ...this.#partitions.map((one) => one.topic)])) {
        await this.#cluster.topic(topic, { mayCreate: false, deadlineMs, signal })
      }
      this.#addPartitions()
      this.#fetcher.assign(this.#partitions) // those that know where they begin need not wait for the others
      const { untilEnd } = this.#config
      const lookUp: LookUp = (queries) => this.#lookUp(queries, signal)
      if (!(await lookUpStarts(this.#cluster, this.#partitions, untilEnd, lookUp))) return
      await pause(clock, backoffMs(backoff, attempt, random), 'Cannot start to consume', signal)
    }
  }

  /** Takes on partitions of the consumer's topics that it does not have; those added later are read from the beginning. */
  #addPartitions(): void {
    for (const topic of this.#topics) {
      const known = this.#partitions.filter((one) => one.topic === topic).length
      const count = this.#cluster.findTopic(topic)?.partitions.length ?? 0
      const from = this.#hasFoundTopics ? 'beginning' : this.#config.from
      for (let partition = known; partition < count; partition++) {
        this.#partitions.push(new AssignedPartition(topic, partition, from, this.#config.partitionBytesMax))
      }
    }
    this.#hasFoundTopics = true
  }

  #lookUp(
    queries: readonly OffsetQuery[],
    signal: AbortSignal | undefined,
  ): ReturnType<typeof lookUpOffsets> {
    const deadlineMs = this.#cluster.ports.clock.monotonicMs() + this.#cluster.config.requestTimeoutMs
    const { isReadCommitted } = this.#config
    return queries.length === 0
      ? Promise.resolve([])
      : lookUpOffsets(this.#cluster, queries, { isReadCommitted, deadlineMs, signal })
  }

  #get(topic: string, partition: number): AssignedPartition {
    const found = this.#partitions.find((one) => one.topic === topic && one.partition === partition)
    if (found !== undefined) return found
    throw new ClientError(
      'CLIENT_BAD_ARGUMENT',
      `Cannot use ${topic}-${partition}: it is not assigned to this consumer`,
    )
  }

  #checkAssignable(): void {
    this.#checkOpen()
    if (this.#topics.length === 0) return
    const message = 'Cannot assign partitions: the consumer was made for whole topics'
    throw new ClientError('CLIENT_BAD_ARGUMENT', message)
  }

  #checkOpen(): void {
    if (this.isClosed) throw new ClientError('CLIENT_CLOSED', 'Cannot use the consumer: it is closed')
  }
}
