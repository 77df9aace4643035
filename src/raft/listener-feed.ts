/**
 * Feeds the listener with what is committed, and answers the appends that wait for it.
 *
 * Invariants:
 * - The listener is fed from the log alone, at start and in life by the same loop, so live and replayed state cannot
 *   differ (M6). It gets every committed batch once, in order.
 * - An append resolves after the listener had its batch; one that was not committed never resolves.
 */
import { assert } from '../base/assert.ts'
import type { PartitionLog } from '../log/partition-log.ts'
import { committedBatches } from './log-reader.ts'
import type { QuorumError } from './metadata-quorum.ts'
import type { QuorumListener, QuorumSnapshot } from './metadata-quorum.ts'

/** Bytes of log handed to a listener between two looks at the event loop; at least one batch. */
const DELIVERY_BYTES = 1024 * 1024

interface Waiter {
  readonly lastOffset: number
  readonly resolve: (lastOffset: number) => void
  readonly reject: (error: QuorumError) => void
}

export interface FeedHost {
  /** The listener has had `count` more records in `bytes`; it may be time for a snapshot. */
  delivered(listener: QuorumListener, count: number, bytes: number, timestampMs: number): void
  /** The listener, or the log, has failed. */
  failed(problem: string, cause: unknown): void
}

export class ListenerFeed {
  readonly #log: PartitionLog
  readonly #host: FeedHost
  #listener: QuorumListener | null = null
  /** Where replay begins; let go of once the listener has it. */
  #snapshot: QuorumSnapshot | null
  /** Offset of the next batch the listener gets. Invariant: at most the high watermark. */
  #nextOffset: number
  #highWatermark: number
  /** Appends not yet committed and delivered, by offset. */
  readonly #waiters: Waiter[] = []
  #delivery: Promise<void> = Promise.resolve()
  #isDelivering = false
  /** While the log is replaced nothing is read from it. */
  #isHeld = false
  #isStopped = false

  constructor(log: PartitionLog, snapshot: QuorumSnapshot | null, host: FeedHost) {
    this.#log = log
    this.#snapshot = snapshot
    this.#nextOffset = snapshot?.endOffset ?? 0
    this.#highWatermark = this.#nextOffset
    this.#host = host
  }

  get listener(): QuorumListener | null {
    return this.#listener
  }

  /** Offset below which all is committed and, if there is a listener, seen by it. */
  get seenOffset(): number {
    return this.#listener === null ? this.#highWatermark : this.#nextOffset
  }

  get waitingCount(): number {
    return this.#waiters.length
  }

  /** Resolves when the listener has all that is committed now. */
  async subscribe(listener: QuorumListener, throwIfFailed: () => void): Promise<void> {
    assert(this.#listener === null, 'The quorum has one listener, which passes on what others want to know')
    const caughtUpOffset = this.#highWatermark
    if (this.#snapshot !== null) listener.onSnapshot(this.#snapshot)
    this.#snapshot = null
    this.#listener = listener
    while (this.#nextOffset < caughtUpOffset) {
      await this.deliver()
      throwIfFailed()
    }
  }

  /** Settles with the append of the record at `lastOffset`. */
  committed(lastOffset: number): Promise<number> {
    return new Promise((resolve, reject) => this.#waiters.push({ lastOffset, resolve, reject }))
  }

  /** Resolves when every append so far was answered, one way or the other. */
  async answered(): Promise<void> {
    const last = this.#waiters.at(-1)
    if (last === undefined) return
    await new Promise<unknown>((resolve) => {
      this.#waiters.push({ lastOffset: last.lastOffset, resolve, reject: resolve })
    })
  }

  commit(highWatermark: number): void {
    assert(highWatermark >= this.#highWatermark, 'The high watermark never falls')
    this.#highWatermark = highWatermark
    void this.deliver()
  }

  /** What was appended at `fromOffset` and after it is gone, or no longer this node's to answer for. */
  rolledBack(fromOffset: number, error: QuorumError): void {
    this.#listener?.onRolledBack(fromOffset)
    this.#reject(fromOffset, error)
  }

  fail(error: QuorumError): void {
    this.#isStopped = true
    this.#listener?.onFailed(error)
    this.#reject(-1, error)
  }

  /** Nothing is delivered any more. */
  async stop(error: QuorumError): Promise<void> {
    await this.#delivery
    this.#isStopped = true
    this.#reject(-1, error)
  }

  /** Lets `replace` put a snapshot in place of the log, and goes on from it. */
  async replaceLog(replace: () => Promise<QuorumSnapshot | null>): Promise<void> {
    this.#isHeld = true
    try {
      await this.#delivery
      const snapshot = await replace()
      if (snapshot === null || this.#isStopped) return
      assert(snapshot.endOffset > this.#nextOffset, 'A snapshot that is installed leads ahead')
      this.#nextOffset = snapshot.endOffset
      this.#highWatermark = Math.max(this.#highWatermark, snapshot.endOffset)
      if (this.#listener === null) this.#snapshot = snapshot
      else this.#listener.onSnapshot(snapshot)
    } finally {
      this.#isHeld = false
    }
    void this.deliver()
  }

  /** Feeds the listener up to the high watermark; one run at a time. Never rejects. */
  deliver(): Promise<void> {
    if (!this.#isDelivering && !this.#isHeld) this.#delivery = this.#deliverAll()
    return this.#delivery
  }

  async #deliverAll(): Promise<void> {
    this.#isDelivering = true
    try {
      if (this.#listener !== null) await this.#deliverBatches(this.#listener)
      this.#answer()
    } catch (error) {
      this.#host.failed('a committed batch could not be taken', error)
    } finally {
      this.#isDelivering = false
    }
  }

  async #deliverBatches(listener: QuorumListener): Promise<void> {
    // All is read again after each wait: more may have been committed, or the quorum have failed.
    while (this.#nextOffset < this.#highWatermark && !this.#hasStopped() && !this.#isHeld) {
      const slice = await this.#log.read(this.#nextOffset, this.#highWatermark, DELIVERY_BYTES, true)
      if (this.#hasStopped()) return
      let count = 0
      let timestampMs = 0
      for (const batch of committedBatches(slice, this.#nextOffset)) {
        listener.onCommit(batch)
        this.#nextOffset = batch.endOffset
        count += batch.endOffset - batch.baseOffset
        timestampMs = batch.timestampMs
      }
      this.#host.delivered(listener, count, slice.bytes, timestampMs)
      this.#answer()
    }
  }

  #hasStopped(): boolean {
    return this.#isStopped
  }

  /** Resolves the appends that are committed and that the listener, if there is one, has seen. */
  #answer(): void {
    while (this.#waiters.length > 0 && this.#waiters[0]!.lastOffset < this.seenOffset) {
      const { resolve, lastOffset } = this.#waiters.shift()!
      resolve(lastOffset)
    }
  }

  #reject(fromOffset: number, error: QuorumError): void {
    const firstIndex = this.#waiters.findIndex((waiter) => waiter.lastOffset >= fromOffset)
    if (firstIndex !== -1) for (const waiter of this.#waiters.splice(firstIndex)) waiter.reject(error)
  }
}
