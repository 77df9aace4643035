/**
 * What one follower fetches from this broker: its partitions, what it was sent of each, and its request that waits.
 *
 * A follower names only what changed, and so only those partitions cost anything: a partition that has news for the follower
 * puts itself into the queue, and an answer is what the queue holds, as much as fits. Two requests may be under way:
 *
 *   follower                     leader
 *   fetch 1 (at 100)  ─────────► stands: there is nothing at 100
 *                     ◄───────── answers 1 with 100 … 109, in the turn of the append
 *   fetch 2 (at 110)  ─────────► stands
 *   100 … 109 durable
 *   fetch 3 (durable 110) ─────► answers 2 at once, with what there is; moves the high watermark; 3 stands
 *
 * If 3 and the answer to 2 with data cross, 3 asks for what was just sent. It is not sent again: answers arrive in order,
 * so the follower has it by the time that the answer to 3 comes. A follower that could not take what it was sent says so
 * by taking the partition out of the session and in again; forgotten partitions are therefore taken before wanted ones.
 *
 * News of the high watermark alone waits `HIGH_WATERMARK_NEWS_MS` for company: it decides nothing but what readers of a
 * follower may see, and would otherwise cost a second round trip for each record of a quiet topic.
 *
 * Invariants:
 * - One request stands at most; a newer one has it answered first.
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
  #standing: Standing | null = null
  /** An answer that waits for a cold read; resolves when it is given. */
  #reading: Promise<unknown> | null = null
  #isWakeScheduled = false
  /** A high watermark has moved: 'waiting' for company, or 'due'. */
  #marks: 'none' | 'waiting' | 'due' = 'none'
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
    this.#answerStanding()
  }

  /** Serves the next request of the session. What it tells takes effect in this turn, whenever it is answered. */
  serve(
    request: ReplicaFetchRequest,
    connection: ReplicaConnection,
  ): ReplicaFetchResponse | Promise<ReplicaFetchResponse> {
    this.#answerStanding()
    for (const topic of request.forgottenTopicsData)
      for (const index of topic.partitions) this.#forget(topic.topicId, index)
    for (const topic of request.topics) {
      for (const partition of topic.partitions) {
        const found = this.#ports.findPartition(topic.topicId, partition.partition)
        this.#entryOf(topic.topicId, partition.partition).told(partition, found, this.from)
      }
    }
    if (this.#reading === null) return this.#answerOrWait(request, connection)
    return this.#reading.then(() => this.#answerOrWait(request, connection))
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
    this.#answerStanding()
    const bytesMax = Math.max(0, request.maxBytes)
    const waitMs = Math.max(0, request.maxWaitMs)
    if (this.#isEnded || connection.isEnding || this.#hasNews(bytesMax)) return this.#collect(bytesMax)
    return new Promise((resolve) => {
      const expire = (): void => this.#answerStanding()
      const cancelTimer = this.#ports.clock.after(waitMs, expire)
      connection.watchEnd(expire)
      const cancel = (): void => {
        cancelTimer()
        connection.unwatchEnd(expire)
      }
      this.#standing = { bytesMax, answer: resolve, cancel }
    })
  }

  #hasNews(bytesMax: number): boolean {
    return this.#queue.count > 0 && ((this.#urgentCount > 0 && bytesMax > 0) || this.#marks === 'due')
  }

  #wakeAtEndOfTurn(): void {
    if (this.#isWakeScheduled || this.#standing === null) return
    this.#isWakeScheduled = true
    this.#ports.clock.endOfTurn(() => {
      this.#isWakeScheduled = false
      if (this.#standing !== null && this.#hasNews(this.#standing.bytesMax)) this.#answerStanding()
    })
  }

  #wakeLater(): void {
    if (this.#marks !== 'none') return
    this.#marks = 'waiting'
    this.#ports.clock.after(HIGH_WATERMARK_NEWS_MS, () => {
      if (this.#marks !== 'waiting') return
      this.#marks = 'due'
      if (this.#standing !== null && this.#hasNews(this.#standing.bytesMax)) this.#answerStanding()
    })
  }

  #answerStanding(): void {
    const standing = this.#standing
    if (standing === null) return
    this.#standing = null
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
      if (this.#reading === reading) this.#reading = null
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
