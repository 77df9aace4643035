/**
 * The one way to run asynchronous work in order: a queue with concurrency 1 and a bound.
 *
 * Invariants: tasks run one at a time, in the order they were pushed; a rejected task rejects its own promise and
 * the next one still runs.
 */
import fastq from 'fastq'
import { broken } from './assert.ts'

export class SerialQueue {
  readonly #queue: fastq.queueAsPromised<() => Promise<unknown>>
  readonly #waitingMax: number

  /** @param waitingMax - Tasks that may wait; one more is a defect of the caller, who must apply back-pressure. */
  constructor(waitingMax: number) {
    this.#queue = fastq.promise((task: () => Promise<unknown>) => task(), 1)
    this.#waitingMax = waitingMax
  }

  /** Tasks that wait or run. */
  get depth(): number {
    return this.#queue.length() + this.#queue.running()
  }

  /** Runs `task` after all pushed before it; settles as the task does. */
  async run<T>(task: () => Promise<T>): Promise<T> {
    if (this.#queue.length() >= this.#waitingMax)
      broken(`Serial queue over its bound of ${this.#waitingMax} tasks`)
    return (await this.#queue.push(task)) as T
  }

  /** Resolves when everything pushed before the call has settled. */
  async idle(): Promise<void> {
    await this.#queue.push(() => Promise.resolve())
  }
}
