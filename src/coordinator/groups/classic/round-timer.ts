/** One delayed task at a time: starting it anew takes the place of the one before. */
import type { Cancel, Clock } from '../../../env/index.ts'

export class RoundTimer {
  readonly #clock: Pick<Clock, 'after'>
  #cancel: Cancel | null = null

  constructor(clock: Pick<Clock, 'after'>) {
    this.#clock = clock
  }

  /** Runs `task` in `delayMs`, unless started again or stopped before. */
  start(delayMs: number, task: () => void): void {
    this.stop()
    this.#cancel = this.#clock.after(delayMs, () => {
      this.#cancel = null
      task()
    })
  }

  stop(): void {
    this.#cancel?.()
    this.#cancel = null
  }
}
