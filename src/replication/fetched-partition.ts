/**
 * One partition that a fetcher fetches: what its leader was told of it, and whether it may be fetched now.
 *
 *   fetching ── error, bad bytes ──► resting (a pause that grows) ──► fetching
 *      ├────── logs have parted ───► cut by epoch ──────────────────► fetching
 *      └────── behind log start ───► dropped, begun anew ───────────► fetching
 *
 * Each way back to fetching takes the partition out of the session and in again, and answers to requests from before
 * do not count any more (docs/faults.md RP-19).
 */
import type { Cancel, Clock, Logger, Random } from '../env/index.ts'
import { backoffMs } from '../base/backoff.ts'
import { LogError } from '../log/log-error.ts'
import type { ResponseOf } from '../protocol/apis.ts'
import { errorByCode } from '../protocol/errors.ts'
import type { FetchPosition } from './leader-state.ts'
import type { Partition } from './partition.ts'
import type { FollowerWatcher } from './partition-events.ts'

export type PartitionAnswer = ResponseOf<'Fetch'>['responses'][number]['partitions'][number]

/** Pause after an error of one partition, in ms. The first is short: mostly the leader is a moment behind the image. */
const PAUSE = { initialMs: 20, maxMs: 1000 }

const NONE = -1
const NO_BYTES = new Uint8Array(0)

/** What an entry asks of its fetcher. */
export interface FetchedPartitionHost {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** There is something to tell the leader: a position, or that the partition is in or out. */
  changed(entry: FetchedPartition): void
}

export class FetchedPartition implements FollowerWatcher {
  readonly partition: Partition
  readonly #host: FetchedPartitionHost
  /** Whether the session at the leader has it. */
  isInSession = false
  /** The leader must forget what it knows of it before it takes it anew. */
  mustBeginAnew = false
  /** Answers to requests with a smaller number do not concern what is fetched now. */
  validFrom = Infinity
  #leaderEpoch: number
  #isResting = false
  #isGone = false
  #failureCount = 0
  #cancelRest: Cancel = () => undefined
  /** What the leader was told last. */
  #told: FetchPosition | null = null
  #toldBytesMax = NONE

  constructor(host: FetchedPartitionHost, partition: Partition) {
    this.#host = host
    this.partition = partition
    this.#leaderEpoch = partition.leaderEpoch
  }

  get leaderEpoch(): number {
    return this.#leaderEpoch
  }

  /** Where to fetch from; null while it is not to be fetched. */
  position(): FetchPosition | null {
    if (this.#isGone || this.#isResting || this.partition.stopped !== null) return null
    const position = this.partition.fetchPosition()
    return position?.leaderEpoch === this.#leaderEpoch ? position : null
  }

  /**
   * Whether `position` is news to the leader.
   *
   * @param isOnlyRequest - No other stands at the leader: this one says also where the log ends, which the leader can infer.
   */
  isNews(position: FetchPosition, bytesMax: number, isOnlyRequest: boolean): boolean {
    const told = this.#told
    return (
      !this.isInSession ||
      this.mustBeginAnew ||
      told === null ||
      (isOnlyRequest && told.fetchOffset !== position.fetchOffset) ||
      told.durableOffset !== position.durableOffset ||
      told.logStartOffset !== position.logStartOffset ||
      bytesMax !== this.#toldBytesMax
    )
  }

  /** Notes what the request of that number tells. */
  tell(position: FetchPosition, bytesMax: number, requestNumber: number): void {
    if (!this.isInSession || this.mustBeginAnew) this.validFrom = requestNumber
    this.isInSession = true
    this.mustBeginAnew = false
    this.#told = position
    this.#toldBytesMax = bytesMax
  }

  /** The session is lost: the next one begins with everything. */
  sessionLost(): void {
    this.isInSession = false
    this.mustBeginAnew = false
    this.validFrom = Infinity
  }

  /** The leader goes on in another epoch. */
  follow(leaderEpoch: number): void {
    if (leaderEpoch === this.#leaderEpoch) return
    this.#leaderEpoch = leaderEpoch
    this.#failureCount = 0
    this.#resume()
  }

  /** It is fetched no more. */
  remove(): void {
    this.#isGone = true
    this.validFrom = Infinity
    this.#cancelRest()
  }

  /**
   * Takes the leader's answer to a request from `validFrom` on.
   *
   * @returns Bytes that were appended.
   */
  take(answer: PartitionAnswer): number {
    const position = this.position()
    if (position === null) return 0
    const { name } = errorByCode(answer.errorCode)
    if (name === 'OFFSET_OUT_OF_RANGE' && answer.logStartOffset > position.fetchOffset) {
      this.#operate(this.partition.restartAt(answer.logStartOffset))
      return 0
    }
    if (name !== 'NONE') {
      this.#rest(name)
      return 0
    }
    if (answer.divergingEpoch.epoch >= 0) {
      this.#operate(this.partition.truncateByEpoch(answer.divergingEpoch))
      return 0
    }
    const batches = answer.records instanceof Uint8Array ? answer.records : NO_BYTES
    try {
      const { highWatermark, logStartOffset } = answer
      const operation = this.partition.appendAsFollower(batches, highWatermark, logStartOffset)
      if (operation !== undefined) {
        this.#operate(operation)
        return 0
      }
    } catch (error) {
      if (!(error instanceof LogError)) throw error
      this.#rest(error.message)
      return 0
    }
    this.#failureCount = 0
    if (batches.length > 0) this.#host.changed(this)
    return batches.length
  }

  moved(): void {
    this.#host.changed(this)
  }

  rolledBack(): void {
    this.#beginAnew()
  }

  #rest(reason: string): void {
    this.#failureCount++
    const pauseMs = backoffMs(PAUSE, this.#failureCount, this.#host.random)
    const { topic, index } = this.partition
    const fields = { partition: `${topic}-${index}`, reason, againInMs: pauseMs }
    this.#host.logger.debug('Fetching a partition pauses', fields)
    this.#isResting = true
    this.#beginAnew()
    this.#cancelRest()
    this.#cancelRest = this.#host.clock.after(pauseMs, () => this.#resume())
  }

  #operate(operation: Promise<void>): void {
    const leaderEpoch = this.#leaderEpoch
    this.#isResting = true
    this.#beginAnew()
    this.#cancelRest()
    void operation.then(() => {
      if (leaderEpoch === this.#leaderEpoch) this.#resume()
    })
  }

  #resume(): void {
    this.#cancelRest()
    this.#isResting = false
    this.#beginAnew()
  }

  #beginAnew(): void {
    this.mustBeginAnew = this.isInSession
    this.validFrom = Infinity
    if (!this.#isGone) this.#host.changed(this)
  }
}
