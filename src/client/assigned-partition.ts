/**
 * One partition as a consumer reads it: where the application is, what was fetched ahead, and what stands in the way.
 *
 * Invariants: `position <= fetchOffset`; what lies between them is in `chunks`. `generation` grows with every jump of the
 * position, so that an answer to a fetch from before the jump is known and dropped.
 */
import { Deque } from '../base/deque.ts'
import type { ClientError } from './client-error.ts'
import type { StartPosition } from './consumer-options.ts'
import type { FetchedChunk } from './fetched-chunk.ts'
import { ReadSource } from './read-source.ts'

/** `position`, while it has to be looked up. */
export const UNKNOWN = -1
/** `askedGeneration`, while no fetch is under way. */
export const NOT_ASKED = -1

export class AssignedPartition {
  readonly topic: string
  readonly partition: number
  /** Where to begin, while `position` is unknown. */
  start: StartPosition
  /** Offset of the next record for the application, or `UNKNOWN`. */
  position = UNKNOWN
  /** `position` after the last jump: nothing below it was handed out since. */
  startOffset = UNKNOWN
  /** Offset of the next fetch, or `UNKNOWN`. */
  fetchOffset = UNKNOWN
  /** Leader epoch of the last batch that was fetched, by which a truncated log shows; -1 for none. */
  lastFetchedEpoch = -1
  readonly source = new ReadSource()
  generation = 0
  /** Generation for which a fetch is under way, or `NOT_ASKED`. */
  askedGeneration = NOT_ASKED
  /** The application has just come here, by a seek or a resume: its fetch must not stand behind a long poll. */
  isAwaited = true
  isPaused = false
  chunks = new Deque<FetchedChunk>()
  bufferedBytes = 0
  /** Highest that was told since the log was last found cut, or `UNKNOWN`. */
  highWatermark = UNKNOWN
  /** What stops the partition until the application seeks. */
  error: ClientError | null = null
  /** No fetch before this, on the monotonic clock. */
  notBeforeMs = 0
  failureCount = 0
  /** Since when no broker knows the partition, on the monotonic clock; Infinity while one does. */
  unknownSinceMs = Infinity
  /** Bytes to ask for; more than usual where a batch did not fit. */
  fetchBytesMax: number
  /** Where `untilEnd` stops, or `UNKNOWN`. */
  endOffset = UNKNOWN

  constructor(topic: string, partition: number, start: StartPosition, fetchBytesMax: number) {
    this.topic = topic
    this.partition = partition
    this.start = start
    this.fetchBytesMax = fetchBytesMax
    if (typeof start === 'number') this.jump(start)
  }

  /** Forgets what was fetched ahead and reads on from `start`. */
  seek(start: StartPosition): void {
    this.start = start
    this.jump(typeof start === 'number' ? start : UNKNOWN)
  }

  resume(): void {
    this.isPaused = false
    this.isAwaited = true
  }

  jump(offset: number): void {
    this.generation++
    this.isAwaited = true
    this.position = offset
    this.startOffset = offset
    this.fetchOffset = offset
    this.lastFetchedEpoch = -1
    this.chunks = new Deque()
    this.bufferedBytes = 0
    this.error = null
    this.notBeforeMs = 0
    this.failureCount = 0
  }

  /** The chunk that is read next; drops those that were read. */
  currentChunk(): FetchedChunk | null {
    for (;;) {
      const chunk = this.chunks.peek()
      if (chunk === undefined) return null
      if (!chunk.isRead) return chunk
      this.chunks.shift()
      this.bufferedBytes -= chunk.size
    }
  }
}
