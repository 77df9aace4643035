/**
 * A call that is made when something is the matter, one at a time, and again after a pause that grows for as long as it is refused.
 * Control plane.
 *
 * Invariant: whatever was the matter at the last `now` is seen by a call that begins after it, unless it was stopped.
 */
import type { BackoffOptions } from '../base/backoff.ts'
import { backoffMs } from '../base/backoff.ts'
import type { Cancel, Env } from '../env/index.ts'

export interface InsistentCallOptions {
  /** Between two calls that are refused, in ms. */
  readonly pause: BackoffOptions
  /** Does what is to be done, if anything is. @returns The name of the error it was refused with, or null. */
  readonly call: () => Promise<string | null>
  readonly onRefused: (error: string, againInMs: number) => void
  /** It rejected, which only a defect makes it do. */
  readonly onDefect: (error: Error) => void
}

export class InsistentCall {
  readonly #env: Pick<Env, 'clock' | 'random'>
  readonly #options: InsistentCallOptions
  #isUnderWay = false
  /** Something more is the matter since the call under way began. */
  #isWanted = false
  #isStopped = false
  #failureCount = 0
  #cancel: Cancel = () => undefined

  constructor(env: Pick<Env, 'clock' | 'random'>, options: InsistentCallOptions) {
    this.#env = env
    this.#options = options
  }

  /** Calls at once, or as soon as the call under way has ended. */
  now(): void {
    this.#isWanted = true
    if (!this.#isUnderWay) this.#go()
  }

  /** Nothing is called any more; a call under way ends by itself. */
  stop(): void {
    this.#isStopped = true
    this.#cancel()
  }

  #go(): void {
    if (this.#isStopped) return
    this.#cancel()
    this.#isWanted = false
    this.#isUnderWay = true
    this.#options.call().then(
      (error) => this.#ended(error),
      (error: unknown) => this.#options.onDefect(error as Error),
    )
  }

  #ended(error: string | null): void {
    this.#isUnderWay = false
    this.#failureCount = error === null ? 0 : this.#failureCount + 1
    if (this.#isStopped) return
    if (error !== null) {
      const againInMs = backoffMs(this.#options.pause, this.#failureCount, this.#env.random)
      this.#options.onRefused(error, againInMs)
      this.#cancel = this.#env.clock.after(againInMs, () => this.#go())
    } else if (this.#isWanted) this.#go()
  }
}
