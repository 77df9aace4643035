/**
 * What a process in this process is paused by: everything that comes to it from outside (timers, messages, ends of disk
 * operations) passes its gate. While the gate is shut they wait, and then come one a turn, in order.
 *
 * What it has begun in its present turn goes on to its end, and it shares one thread with everybody else: a pause is not the
 * lack of a processor.
 */
import type { Clock } from '../clock.ts'

export class Gate {
  readonly #clock: Pick<Clock, 'after'>
  #isShut = false
  #isDraining = false
  #held: { readonly run: () => void; readonly isMessage: boolean }[] = []

  constructor(clock: Pick<Clock, 'after'>) {
    this.#clock = clock
  }

  get isShut(): boolean {
    return this.#isShut
  }

  /** @param isMessage - It comes over a connection, so it dies with the process. */
  pass(run: () => void, isMessage = false): void {
    if (this.#isShut || this.#held.length > 0) this.#held.push({ run, isMessage })
    else run()
  }

  shut(): void {
    this.#isShut = true
  }

  open(): void {
    this.#isShut = false
    this.#drain()
  }

  /** Opens for the end of the process: messages that waited are lost with it. */
  openForTheEnd(): void {
    this.#held = this.#held.filter(({ isMessage }) => !isMessage)
    this.open()
  }

  /** One a turn, so that the promises of each settle before the next. */
  #drain(): void {
    if (this.#isDraining || this.#isShut || this.#held.length === 0) return
    this.#isDraining = true
    this.#clock.after(0, () => {
      this.#isDraining = false
      if (this.#isShut) return
      this.#held.shift()?.run()
      this.#drain()
    })
  }
}

/** The clock of a process that may be paused: its timers wait while it is. Time goes on meanwhile. */
export function gatedClock(clock: Clock, gate: Gate): Clock {
  return {
    wallTimeMs: () => clock.wallTimeMs(),
    monotonicMs: () => clock.monotonicMs(),
    after: (delayMs, task) => {
      let isCancelled = false
      const cancel = clock.after(delayMs, () =>
        gate.pass(() => {
          if (!isCancelled) task()
        }),
      )
      return () => {
        isCancelled = true
        cancel()
      }
    },
    endOfTurn: (task) => clock.endOfTurn(() => gate.pass(task)),
  }
}
