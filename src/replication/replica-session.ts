/**
 * What one follower fetches from this broker: its partitions, what it was sent of each, and its request that waits.
 *
 * A follower names only what changed, and so only those partitions cost anything: a partition that has news for the follower
 * puts itself into the queue, and an answer is what the queue holds, as much as fits. Two requests may stand, so that each
 * answer with records costs one request and no answer without:
 *
 *   follower                     leader
 *   fetch 1 (at 100)  ─────────► stands: there is nothing at 100
 *                     ◄───────── answers 1 with 100 … 109, in the turn of the append
 *   fetch 2           ─────────► stands; the next records could be sent by it before 100 … 109 are durable
 *   100 … 109 durable
 *   fetch 3 (durable 110) ─────► moves the high watermark; stands behind 2
 *                     ◄───────── answers 2 with 110 … 119
 *   110 … 119 durable
 *   fetch 4 (durable 120) ─────► moves the high watermark; stands behind 3
 *
 * A request that takes partitions in has all older ones answered first: a follower ignores of their answers what concerns
 * partitions that it asked for later. A request may ask for what was just sent. It is not sent again: answers arrive in order, so the follower has it by the
 * time that the next one comes. A follower that could not take what it was sent says so by taking the partition out of the
 * session and in again; forgotten partitions are therefore taken before wanted ones.
 *
 * News of the high watermark alone waits `HIGH_WATERMARK_NEWS_MS` for company: it decides nothing but what readers of a
 * follower may see, and would otherwise cost a second round trip for each record of a quiet topic.
 *
 * Invariants:
 * - At most `STANDING_MAX` requests stand, but for those that wait for a cold read; one more has the oldest answered.
 *   They are answered in their order.
 * - No answer is begun while another waits for a cold read.
 * - An entry is in the queue if and only if it has something to say: records, another high watermark or log start, an error.
 * - What is read is sent only if the partition is still led in the epoch in which the follower asked.
 *
 * Data plane: an object for each partition of an answer, nothing a batch.
 */
import { Deque } from '../base/deque.ts'
import { FileError } from '../env/index.ts'
import type { Cancel, Clock } from '../env/index.ts'
import { LogError } from '../log/log-error.ts'
import type { LogSlice } from '../log/log-slice.ts'
import type { RequestOf, ResponseInputOf } from '../protocol/apis.ts'
import type { ErrorName } from '../protocol/errors.ts'
import type { ReplicaIdentity } from './leader-state.ts'
import type { Partition } from './partition.ts'
import { AnswerBuilder } from './replica-answer.ts'
import { ReplicaEntry } from './replica-entry.ts'
import type { ReplicaEntryHost } from './replica-entry.ts'

export type ReplicaFetchRequest = RequestOf<'Fetch'>
export type ReplicaFetchResponse = ResponseInputOf<'Fetch'>

/** Ms that a high watermark waits for records to travel with. */
const HIGH_WATERMARK_NEWS_MS = 5

/** One for the next records, and one more that only told what is durable. */
const STANDING_MAX = 2

/** What the session asks of the broker. */
export interface ReplicaSessionPorts {
  readonly clock: Clock
  /** The partition as it is served here, or the protocol's error. */
  readonly findPartition: (topicId: string, index: number) => Partition | ErrorName
}

/** A request that waits for news. */
interface Standing {
  readonly bytesMax: number
  readonly answer: (response: ReplicaFetchResponse) => void
  readonly cancel: Cancel
}

/** Whether the other end is still there to be answered. */
export interface ReplicaConnection {
  readonly isEnding: boolean
  watchEnd(watcher: () => void): void
  unwatchEnd(watcher: () => void): void
}

export class ReplicaSession implements ReplicaEntryHost {
  readonly isPrivileged = true
  readonly from: ReplicaIdentity
  /** Set when the cache has given it. */
  id = 0
  readonly #ports: ReplicaSessionPorts
  readonly #entries = new Map<string, Map<number, ReplicaEntry>>()
  #size = 0
  readonly #queue = new Deque<ReplicaEntry>()
  #urgentCount = 0
  /** Oldest first. */
  readonly #standing = new Deque<Standing>()
  /** An answer that waits for a cold read; resolves when it is given. */
  #reading: Promise<unknown> | null = null
  #isWakeScheduled = false
  /** A high watermark has moved: 'waiting' for company, or 'due'. */
  #marks: 'none' | 'waiting' | 'due' = 'none'
  /** Requests that stand and are to be answered whether or not there is news; the oldest are. */
  #dueCount = 0
  #isEnded = false

  constructor(ports: ReplicaSessionPorts, from: ReplicaIdentity) {
    this.#ports = ports
    this.from = from
  }

  get size(): number {
    return this.#size
  }

  /** Followers' sessions are not put out. */
  evicted(): void {
    this.end()
  }

  /** The session is over: nothing is watched any more, and a request that stands is answered with nothing. */
  end(): void {
    if (this.#isEnded) return
    this.#isEnded = true
    for (const entries of this.#entries.values()) for (const entry of entries.values()) entry.release()
    this.#entries.clear()
    this.#allDue()
  }

  /** Serves the next request of the session. What it tells takes effect in this turn, whenever it is answered. */
  serve(
    request: ReplicaFetchRequest,
    connection: ReplicaConnection,
  ): ReplicaFetchResponse | Promise<ReplicaFetchResponse> {
    if (this.#beginsAnew(request)) this.#answerAllNow()
    for (const topic of request.forgottenTopicsData)
      for (const index of topic.partitions) this.#forget(topic.topicId, index)
    for (const topic of request.topics) {
      for (const partition of topic.partitions) {
        const found = this.#ports.findPartition(topic.topicId, partition.partition)
        this.#entryOf(topic.topicId, partition.partition).told(partition, found, this.from)
      }
    }
    return this.#answerOrWait(request, connection)
  }

  /** Puts an entry that has something to say into the queue. */
  enqueue(entry: ReplicaEntry, isUrgent: boolean): void {
    if (this.#isEnded) return
    if (isUrgent && !entry.isUrgent) {
      entry.isUrgent = true
      this.#urgentCount++
    }
    if (!entry.isQueued) {
      entry.isQueued = true
      this.#queue.push(entry)
    }
    if (isUrgent) this.#wakeAtEndOfTurn()
    else this.#wakeLater()
  }

  #answerOrWait(
    request: ReplicaFetchRequest,
    connection: ReplicaConnection,
  ): ReplicaFetchResponse | Promise<ReplicaFetchResponse> {
    const bytesMax = Math.max(0, request.maxBytes)
    const isDue = this.#isEnded || connection.isEnding
    // One that takes less must not stand before one that takes more.
    if ((this.#standing.peek()?.bytesMax ?? bytesMax) !== bytesMax) this.#allDue()
    const isAlone = this.#reading === null && this.#standing.count === 0
    if (isAlone && (isDue || this.#hasNews(bytesMax))) return this.#collect(bytesMax)
    return new Promise((resolve) => {
      const expire = (): void => this.#allDue()
      const cancelTimer = this.#ports.clock.after(Math.max(0, request.maxWaitMs), expire)
      connection.watchEnd(expire)
      const cancel = (): void => {
        cancelTimer()
        connection.unwatchEnd(expire)
      }
      this.#standing.push({ bytesMax, answer: resolve, cancel })
      if (isDue) this.#allDue()
      else this.#answerDue()
    })
  }

  #hasNews(bytesMax: number): boolean {
    return this.#queue.count > 0 && ((this.#urgentCount > 0 && bytesMax > 0) || this.#marks === 'due')
  }

  #wakeAtEndOfTurn(): void {
    if (this.#isWakeScheduled || this.#standing.count === 0) return
    this.#isWakeScheduled = true
    this.#ports.clock.endOfTurn(() => {
      this.#isWakeScheduled = false
      this.#answerDue()
    })
  }

  #wakeLater(): void {
    if (this.#marks !== 'none') return
    this.#marks = 'waiting'
    this.#ports.clock.after(HIGH_WATERMARK_NEWS_MS, () => {
      if (this.#marks !== 'waiting') return
      this.#marks = 'due'
      this.#answerDue()
    })
  }

  /** All that stands has stood long enough, or has nobody left who waits for it. */
  #allDue(): void {
    this.#dueCount = this.#standing.count
    this.#answerDue()
  }

  /** Answers what stands as long as there is a reason to. */
  #answerDue(): void {
    while (this.#reading === null && this.#standing.count > 0) {
      const isRoom = this.#standing.count <= STANDING_MAX
      if (isRoom && this.#dueCount === 0 && !this.#hasNews(this.#standing.peek()!.bytesMax)) break
      this.#answerOldest()
    }
  }

  /** Whether the request takes partitions out or in: what older requests are answered does not concern those any more. */
  #beginsAnew({ forgottenTopicsData, topics }: ReplicaFetchRequest): boolean {
    if (forgottenTopicsData.length > 0) return true
    for (const { topicId, partitions } of topics) {
      const entries = this.#entries.get(topicId)
      for (const { partition } of partitions) if (entries?.has(partition) !== true) return true
    }
    return false
  }

  /** Answers all that stands in this turn: with nothing, behind a cold read. */
  #answerAllNow(): void {
    this.#allDue()
    for (let standing = this.#standing.shift(); standing !== undefined; standing = this.#standing.shift()) {
      standing.cancel()
      standing.answer(new AnswerBuilder(this.id).response)
    }
    this.#dueCount = 0
  }

  #answerOldest(): void {
    const standing = this.#standing.shift()!
    if (this.#dueCount > 0) this.#dueCount--
    standing.cancel()
    const response = this.#collect(standing.bytesMax)
    if (response instanceof Promise) void response.then(standing.answer)
    else standing.answer(response)
  }

  /** Takes from the queue what fits into one answer. Synchronous as long as the tail caches have what is wanted. */
  #collect(bytesMax: number): ReplicaFetchResponse | Promise<ReplicaFetchResponse> {
    const answers = new AnswerBuilder(this.id)
    // Whoever is not sent all of its records goes to the end of the queue: no partition starves another.
    for (
      let turns = this.#queue.count;
      turns > 0 && !(answers.bytes > 0 && answers.bytes >= bytesMax);
      turns--
    ) {
      const entry = this.#dequeue()
      if (entry.isGone) continue
      try {
        const slice = bytesMax === 0 ? null : entry.read(bytesMax - answers.bytes, answers.bytes === 0)
        if (slice instanceof Promise) return this.#collectRest(answers, entry, slice, bytesMax, turns - 1)
        this.#add(answers, entry, slice)
      } catch (error) {
        this.#fault(answers, entry, error)
      }
    }
    this.#marks = this.#queue.count === 0 ? 'none' : 'due'
    return answers.response
  }

  /** As `#collect`, from the first read that was not in memory. Requests that come meanwhile wait for it. */
  #collectRest(
    answers: AnswerBuilder,
    first: ReplicaEntry,
    firstSlice: Promise<LogSlice>,
    bytesMax: number,
    turns: number,
  ): Promise<ReplicaFetchResponse> {
    const rest = async (): Promise<ReplicaFetchResponse> => {
      let entry = first
      let slice: LogSlice | Promise<LogSlice> | null = firstSlice
      for (let turnsLeft = turns; ; turnsLeft--) {
        const { leaderEpoch, partition, nextOffset } = entry
        try {
          const read: LogSlice | null = slice instanceof Promise ? await slice : slice
          // Re-read: meanwhile the follower may have told another position, or the partition may be led by another.
          const isStale =
            entry.partition !== partition ||
            entry.leaderEpoch !== leaderEpoch ||
            entry.nextOffset !== nextOffset
          if (!entry.isGone) this.#add(answers, entry, isStale ? null : read)
        } catch (error) {
          this.#fault(answers, entry, error)
        }
        if (turnsLeft <= 0 || this.#queue.count === 0 || answers.bytes >= bytesMax) break
        entry = this.#dequeue()
        try {
          slice = entry.read(bytesMax - answers.bytes, answers.bytes === 0)
        } catch (error) {
          slice = null
          this.#fault(answers, entry, error)
        }
      }
      this.#marks = this.#queue.count === 0 ? 'none' : 'due'
      return answers.response
    }
    const reading = rest()
    this.#reading = reading
    const done = (): void => {
      this.#reading = null
      this.#answerDue()
    }
    reading.then(done, done)
    return reading
  }

  #add(answers: AnswerBuilder, entry: ReplicaEntry, slice: LogSlice | null): void {
    answers.add(entry.topicId, entry.answer(slice), slice?.bytes ?? 0)
    if (entry.error === null && entry.verdict === null && entry.hasRecords) this.enqueue(entry, true)
  }

  #fault(answers: AnswerBuilder, entry: ReplicaEntry, error: unknown): void {
    // The disk failed, or what is wanted was deleted under the read: the follower asks again.
    if (!(error instanceof LogError || error instanceof FileError)) throw error
    entry.error = error.code === 'LOG_OFFSET_OUT_OF_RANGE' ? 'OFFSET_OUT_OF_RANGE' : 'KAFKA_STORAGE_ERROR'
    answers.add(entry.topicId, entry.answer(null), 0)
  }

  #dequeue(): ReplicaEntry {
    const entry = this.#queue.shift()!
    entry.isQueued = false
    if (entry.isUrgent) this.#urgentCount--
    entry.isUrgent = false
    return entry
  }

  #entryOf(topicId: string, index: number): ReplicaEntry {
    let entries = this.#entries.get(topicId)
    if (entries === undefined) this.#entries.set(topicId, (entries = new Map<number, ReplicaEntry>()))
    let entry = entries.get(index)
    if (entry === undefined) {
      entries.set(index, (entry = new ReplicaEntry(this, topicId, index)))
      this.#size++
    }
    return entry
  }

  #forget(topicId: string, index: number): void {
    const entries = this.#entries.get(topicId)
    const entry = entries?.get(index)
    if (entries === undefined || entry === undefined) return
    entry.release()
    entry.isGone = true
    entries.delete(index)
    if (entries.size === 0) this.#entries.delete(topicId)
    this.#size--
  }
}
