/**
 * Writes of one shard in one leader epoch: into its log, into its state, and acknowledged when committed.
 *
 *   write ─► refused? ─► state (replay) ─► open batch ── next round ──► log ── high watermark ──► resolved
 *
 * Group commit: the writes between two rounds (append-rounds.ts) become one batch, which is in the log whole or not at all. So
 * a thousand members that commit in one turn cost one append and one round of replication.
 *
 * Invariants (docs/faults.md G4, G5, CG-2):
 * - The state is the fold of the log and of the open batch. Should the batch not come into the log, or what was appended be
 *   undone (full disk), then the state is wrong: the writer ends, and the shard with it.
 * - What is refused is not replayed.
 * - A write resolves only when the high watermark has passed it while this broker leads in the epoch of the append.
 * - Writes resolve in the order in which they were made, those without records too.
 * - A write with records that is not known to be committed in time ends the shard: its fate is open, and the next shard finds
 *   out what the log says.
 */
import { broken } from '../base/assert.ts'
import { Deque } from '../base/deque.ts'
import type { Cancel, Clock } from '../env/index.ts'
import type { ErrorName } from '../protocol/errors.ts'
import { BatchBuilder } from '../records/batch-builder.ts'
import { BATCH_HEADER_BYTES } from '../records/batch-header.ts'
import type { AppendRounds } from './append-rounds.ts'
import { recordBytesMax } from './batch-size.ts'
import type { CoordinatorLog } from './coordinator-log.ts'
import { encodeCoordinatorRecord } from './records/coordinator-record.ts'
import type { CoordinatorRecord } from './records/coordinator-record.ts'
import { CoordinatorFailure } from './shard-context.ts'
import { tooLargeFailure, writeFailure } from './write-failure.ts'

/**
 * Bytes of one shard that may be written and not committed. What comes on top is refused with COORDINATOR_NOT_AVAILABLE, and
 * clients come back: as much as 100,000 commits, and two of the largest batches.
 */
export const UNCOMMITTED_BYTES_MAX = 16_777_216

/** Room for a few commits; a batch is retained by the tail cache, so it should not be much larger than what is in it. */
const BUILDER_BYTES = 1024

export interface ShardWriterOptions {
  /** The state has every record below it, and no other. */
  readonly endOffset: number
  /** How long a write may take to be committed, in ms. */
  readonly timeoutMs: number
  /** Applies a record to the state. */
  readonly replay: (record: CoordinatorRecord) => void
  /** Called once, in the turn in which it happens, when the shard must end. */
  readonly onEnd: (reason: string) => void
}

interface Waiter {
  /** What the high watermark must reach. Ascending along the queue. */
  readonly endOffset: number
  /** Monotonic ms. Ascending along the queue. */
  readonly deadlineMs: number
  /** Whether it has records of its own. */
  readonly hasRecords: boolean
  readonly resolve: () => void
  readonly reject: (failure: CoordinatorFailure) => void
}

export class ShardWriter {
  readonly #clock: Clock
  readonly #rounds: AppendRounds
  readonly #log: CoordinatorLog
  readonly #options: ShardWriterOptions
  readonly #waiters = new Deque<Waiter>()
  /** Appended and not committed. */
  readonly #batches = new Deque<{ readonly endOffset: number; readonly bytes: number }>()
  #batchBytes = 0
  readonly #open = new BatchBuilder(BUILDER_BYTES)
  /** Wall clock, ms; of the open batch. */
  #openTimestamp = 0
  /** Where the log must end, or something was lost. Invariant: without the open batch. */
  #appendedEndOffset: number
  /** A log that keeps nothing on disk may have committed a batch before it says where that is. */
  #isAppending = false
  #cancelTimer: Cancel | null = null
  /** Set once; what every later write is told. */
  #ended: ErrorName | null = null

  /** @param ports - `rounds`: those of all shards of the broker. */
  constructor(
    { clock, rounds }: { readonly clock: Clock; readonly rounds: AppendRounds },
    log: CoordinatorLog,
    options: ShardWriterOptions,
  ) {
    this.#clock = clock
    this.#rounds = rounds
    this.#log = log
    this.#options = options
    this.#appendedEndOffset = options.endOffset
    log.watch(() => this.#look())
  }

  /** Bytes written and not committed. */
  get uncommittedBytes(): number {
    return this.#batchBytes + (this.#open.recordCount === 0 ? 0 : this.#open.sizeBytes)
  }

  /** As `ShardContext.write`. */
  async write(records: readonly CoordinatorRecord[]): Promise<void> {
    this.#look()
    if (this.#ended !== null) throw this.#failure(this.#ended)
    if (records.length > 0) this.#take(records)
    await this.#committed(records.length > 0)
  }

  /** Ends all writes with an error; what is open is dropped. */
  close(error: ErrorName): void {
    if (this.#ended !== null) return
    this.#ended = error
    this.#log.unwatch()
    this.#cancelTimer?.()
    this.#open.clear()
    for (let waiter = this.#waiters.shift(); waiter !== undefined; waiter = this.#waiters.shift())
      waiter.reject(this.#failure(error))
  }

  /** Puts the records into the state and the open batch, or throws and does neither. */
  #take(records: readonly CoordinatorRecord[]): void {
    const log = this.#log
    const fault = log.findAppendFault()
    if (fault !== null) throw writeFailure(fault, `Cannot write to the log of the coordinator: ${fault}`)
    const encoded = records.map((record) => encodeCoordinatorRecord(record))
    const bytes = recordBytesMax(encoded)
    if (BATCH_HEADER_BYTES + bytes > log.batchBytesMax) {
      throw tooLargeFailure(records, BATCH_HEADER_BYTES + bytes, log.batchBytesMax)
    }
    if (this.uncommittedBytes + bytes > UNCOMMITTED_BYTES_MAX) {
      const message = `Cannot write ${bytes} bytes: ${this.uncommittedBytes} are not committed yet, wanted at most ${UNCOMMITTED_BYTES_MAX} in all`
      throw writeFailure('REQUEST_TIMED_OUT', message)
    }
    if (this.#open.sizeBytes + bytes > log.batchBytesMax) {
      this.#flush()
      if (this.#ended !== null) throw this.#failure(this.#ended)
    }
    if (this.#open.recordCount === 0) {
      this.#openTimestamp = this.#clock.wallTimeMs()
      this.#rounds.join(() => this.#flush())
    }
    for (const { key, value } of encoded) this.#open.append({ key, value, timestamp: this.#openTimestamp })
    this.#replay(records)
  }

  /** A record that its own state does not take is a defect; the batch it is in must not come into the log. */
  #replay(records: readonly CoordinatorRecord[]): void {
    try {
      for (const record of records) this.#options.replay(record)
    } catch (error) {
      this.#end('UNKNOWN_SERVER_ERROR', `a record cannot be replayed: ${(error as Error).message}`)
      throw error
    }
  }

  /** Appends the open batch, if there is one. */
  #flush(): void {
    if (this.#ended !== null || this.#open.recordCount === 0) return
    this.#look()
    if (this.#hasEnded()) return
    const batch = this.#open.seal()
    const bytes = batch.length
    this.#isAppending = true
    const result = this.#log.append(batch)
    this.#isAppending = false
    if (result.kind === 'rejected') {
      this.#end('NOT_COORDINATOR', `the log refused a batch: ${result.error}, ${result.message}`)
      return
    }
    if (result.baseOffset !== this.#appendedEndOffset)
      broken(
        `Expected nobody else to append to the log of a coordinator: appended at ${result.baseOffset}, its end was ${this.#appendedEndOffset}`,
      )
    this.#appendedEndOffset = result.endOffset
    this.#batches.push({ endOffset: result.endOffset, bytes })
    this.#batchBytes += bytes
    this.#look()
  }

  /** Waits until all that was written so far is committed. */
  #committed(hasRecords: boolean): Promise<void> | undefined {
    const endOffset = this.#appendedEndOffset + this.#open.recordCount
    if (this.#waiters.count === 0 && this.#log.highWatermark >= endOffset) return undefined
    return new Promise((resolve, reject) => {
      const deadlineMs = this.#clock.monotonicMs() + this.#options.timeoutMs
      this.#waiters.push({ endOffset, deadlineMs, hasRecords, resolve, reject })
      if (this.#cancelTimer === null) this.#arm()
    })
  }

  /** Takes note of what happened to the log. */
  #look(): void {
    if (this.#ended !== null || this.#isAppending) return
    const { isLed, logEndOffset, highWatermark } = this.#log
    if (!isLed) {
      this.#end('NOT_COORDINATOR', 'another broker leads the partition, or this one in a later epoch')
      return
    }
    if (logEndOffset !== this.#appendedEndOffset) {
      this.#end(
        'NOT_COORDINATOR',
        `what was appended is gone: the log ends at ${logEndOffset}, and ended at ${this.#appendedEndOffset}`,
      )
      return
    }
    for (let batch = this.#batches.peek(); batch !== undefined; batch = this.#batches.peek()) {
      if (batch.endOffset > highWatermark) break
      this.#batches.shift()
      this.#batchBytes -= batch.bytes
    }
    for (let waiter = this.#waiters.peek(); waiter !== undefined; waiter = this.#waiters.peek()) {
      if (waiter.endOffset > highWatermark) break
      this.#waiters.shift()
      waiter.resolve()
    }
  }

  #hasEnded(): boolean {
    return this.#ended !== null
  }

  #end(error: ErrorName, reason: string): void {
    if (this.#ended !== null) return
    this.close(error)
    this.#options.onEnd(reason)
  }

  #arm(): void {
    const head = this.#waiters.peek()
    if (head === undefined) return
    const delayMs = Math.max(0, head.deadlineMs - this.#clock.monotonicMs())
    this.#cancelTimer = this.#clock.after(delayMs, () => {
      this.#cancelTimer = null
      this.#expire()
    })
  }

  #expire(): void {
    this.#look()
    const nowMs = this.#clock.monotonicMs()
    for (let waiter = this.#waiters.peek(); waiter !== undefined; waiter = this.#waiters.peek()) {
      if (waiter.deadlineMs > nowMs) break
      if (waiter.hasRecords) {
        this.#end('COORDINATOR_NOT_AVAILABLE', `a write was not committed in ${this.#options.timeoutMs} ms`)
        return
      }
      this.#waiters.shift()
      waiter.reject(this.#failure('COORDINATOR_NOT_AVAILABLE'))
    }
    this.#arm()
  }

  #failure(error: ErrorName): CoordinatorFailure {
    const { index, leaderEpoch } = this.#log
    const message = `Cannot tell that a write to shard ${index} is committed in leader epoch ${leaderEpoch}: ${error}`
    return new CoordinatorFailure(error, message)
  }
}
