/**
 * Produce requests of one partition that wait for an offset to be safe: durable here (acks=1) or at every in-sync
 * replica (acks=all).
 *
 * Data plane: one object a request, no timer a request. Offsets arrive in ascending order, since the log assigns
 * them so; the queue is therefore served from its head.
 *
 * Invariants:
 * - Each waiter is told exactly once: null when its offset was reached, or why it never will be.
 * - One timer at most is armed, for the earliest deadline it knows of.
 */
import { Deque } from '../base/deque.ts'
import type { Cancel, Clock } from '../env/index.ts'

/** Why a batch was not acknowledged; names of the protocol's error table. */
export type AckFailure =
  | 'REQUEST_TIMED_OUT'
  | 'KAFKA_STORAGE_ERROR'
  | 'NOT_LEADER_OR_FOLLOWER'
  | 'UNKNOWN_TOPIC_OR_PARTITION'
  | 'NOT_ENOUGH_REPLICAS_AFTER_APPEND'

/** One batch that waits for its acknowledgement. */
export class AckWaiter {
  /** The log's end offset that must be safe: last offset of the batch plus 1. */
  readonly endOffset: number
  /** Monotonic ms. */
  readonly deadlineMs: number
  readonly settle: (failure: AckFailure | null) => void
  /**
   * Where the waiter stands in the queue. Invariant: at least `endOffset`, and ascending along the queue. It is
   * larger only for a duplicate, which asks for the offset of its original after later appends: it settles with
   * its elders, a little late but never early.
   */
  queueEndOffset: number

  constructor(endOffset: number, deadlineMs: number, settle: (failure: AckFailure | null) => void) {
    this.endOffset = endOffset
    this.deadlineMs = deadlineMs
    this.settle = settle
    this.queueEndOffset = endOffset
  }
}

export class WaitingAcks {
  readonly #clock: Clock
  #waiters = new Deque<AckWaiter>()
  #timer: Cancel | null = null
  #timerDeadlineMs = Infinity

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get count(): number {
    return this.#waiters.count
  }

  add(waiter: AckWaiter): void {
    const last = this.#waiters.peekLast()
    if (last !== undefined && last.queueEndOffset > waiter.endOffset)
      waiter.queueEndOffset = last.queueEndOffset
    this.#waiters.push(waiter)
    if (waiter.deadlineMs < this.#timerDeadlineMs) this.#arm(waiter.deadlineMs)
  }

  /** Settles every waiter whose offset is at or below `endOffset`. */
  reached(endOffset: number): void {
    for (;;) {
      const waiter = this.#waiters.peek()
      if (waiter === undefined || waiter.queueEndOffset > endOffset) return
      this.#waiters.shift()
      waiter.settle(null)
    }
  }

  /** Fails every waiter that needs an offset above `startOffset`: what lay there was cut from the log. */
  failFrom(startOffset: number, failure: AckFailure): void {
    this.#take((waiter) => waiter.endOffset > startOffset, failure)
  }

  /** Fails all, and leaves no timer behind. */
  failAll(failure: AckFailure): void {
    this.#timer?.()
    this.#timer = null
    this.#timerDeadlineMs = Infinity
    this.#take(() => true, failure)
  }

  #arm(deadlineMs: number): void {
    this.#timer?.()
    this.#timerDeadlineMs = deadlineMs
    const delayMs = Math.max(0, deadlineMs - this.#clock.monotonicMs())
    this.#timer = this.#clock.after(delayMs, () => this.#expire())
  }

  #expire(): void {
    this.#timer = null
    this.#timerDeadlineMs = Infinity
    const nowMs = this.#clock.monotonicMs()
    this.#take((waiter) => waiter.deadlineMs <= nowMs, 'REQUEST_TIMED_OUT')
  }

  /** Removes and fails the waiters that match, in order; arms the timer for those that stay. */
  #take(matches: (waiter: AckWaiter) => boolean, failure: AckFailure): void {
    const kept = new Deque<AckWaiter>()
    const taken: AckWaiter[] = []
    let nextDeadlineMs = Infinity
    for (let waiter = this.#waiters.shift(); waiter !== undefined; waiter = this.#waiters.shift()) {
      if (matches(waiter)) taken.push(waiter)
      else {
        kept.push(waiter)
        nextDeadlineMs = Math.min(nextDeadlineMs, waiter.deadlineMs)
      }
    }
    this.#waiters = kept
    if (nextDeadlineMs < this.#timerDeadlineMs) this.#arm(nextDeadlineMs)
    // Last, since whoever is told may add a new waiter.
    for (const waiter of taken) waiter.settle(failure)
  }
}
