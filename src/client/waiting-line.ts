/**
 * Records in line for one topic: for its partitions to be known, or for room. First come, first served; who has waited too
 * long, or was called off, fails.
 *
 * Invariant: everybody waits for the same time at most, so deadlines ascend along the line.
 */
import { Deque } from '../base/deque.ts'
import type { SendGroup } from './producer-batch.ts'
import type { Delivery, ProducerRecord } from './producer-options.ts'

/** The records of one `send` or `sendAll`, of one topic when they are in line. */
export interface Waiting<K, V> {
  readonly records: readonly ProducerRecord<K, V>[]
  /** The first of `records` that has not entered a batch. */
  nextIndex: number
  readonly group: SendGroup | null
  readonly resolve: ((delivery: Delivery) => void) | null
  readonly reject: ((error: Error) => void) | null
  readonly outcome: Promise<unknown>
  /** When waiting ends, on the monotonic clock. */
  readonly deadlineMs: number
}

export class WaitingLine<K, V> {
  /** Those who were called off stay until it is their turn: taking them out would cost a walk along the line. */
  readonly #line = new Deque<Waiting<K, V>>()

  get count(): number {
    return this.#line.count
  }

  /** When the first in line gives up; Infinity without one. */
  get deadlineMs(): number {
    return this.#line.peek()?.deadlineMs ?? Infinity
  }

  push(waiting: Waiting<K, V>): void {
    this.#line.push(waiting)
  }

  peek(): Waiting<K, V> | undefined {
    return this.#line.peek()
  }

  shift(): void {
    this.#line.shift()
  }

  /** Fails everybody. */
  failAll(error: Error): void {
    for (let waiting = this.#line.shift(); waiting !== undefined; waiting = this.#line.shift())
      failWaiting(waiting, error)
  }

  /** Fails those whose time is over. */
  expire(nowMs: number, errorOf: () => Error): void {
    for (let waiting = this.#line.peek(); waiting !== undefined; waiting = this.#line.peek()) {
      if (waiting.deadlineMs > nowMs) return
      this.#line.shift()
      failWaiting(waiting, errorOf())
    }
  }

  /** What everybody in line waits for, failures made silent: they are told to the senders. */
  outcomes(): readonly Promise<unknown>[] {
    const outcomes: Promise<unknown>[] = []
    for (let left = this.#line.count; left > 0; left--) {
      const waiting = this.#line.shift()!
      this.#line.push(waiting)
      outcomes.push(waiting.outcome.catch(() => undefined))
    }
    return outcomes
  }
}

/** Gives up waiting for what has not entered a batch; harmless when that is nothing. */
export function failWaiting<K, V>(waiting: Waiting<K, V>, error: Error): void {
  const { records, nextIndex, group, reject } = waiting
  if (nextIndex === records.length) return
  if (group !== null) group.failed(records.length - nextIndex, error)
  else reject!(error)
  waiting.nextIndex = records.length
}
