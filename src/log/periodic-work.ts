/**
 * Work that comes again and again, or once and later, until it is stopped. Control plane.
 *
 * Invariants: after `stop` nothing begins any more; a failure ends neither the work nor the process, it is logged.
 */
import type { Cancel, Clock, Logger } from '../env/index.ts'

export class PeriodicWork {
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #timers = new Set<Cancel>()
  #isStopped = false

  constructor(ports: { readonly clock: Clock; readonly logger: Logger }) {
    this.#clock = ports.clock
    this.#logger = ports.logger
  }

  /** Runs `work` again and again, `intervalMs` after the last run ended. */
  every(intervalMs: number, work: () => Promise<unknown>): void {
    this.once(intervalMs, async () => {
      try {
        await work()
      } catch (error) {
        this.#logger.error('Did the periodic work on the logs: it is tried again', { error: error as Error })
      }
      this.every(intervalMs, work)
    })
  }

  /** Runs `task`, which must not reject, after `delayMs`. */
  once(delayMs: number, task: () => Promise<void>): void {
    if (this.#isStopped) return
    const cancel = this.#clock.after(delayMs, () => {
      this.#timers.delete(cancel)
      void task()
    })
    this.#timers.add(cancel)
  }

  stop(): void {
    this.#isStopped = true
    for (const cancel of this.#timers) cancel()
    this.#timers.clear()
  }
}
