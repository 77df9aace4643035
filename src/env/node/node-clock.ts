/**
 * The clock port over Node's timers.
 *
 * Timers keep the process alive on purpose: whoever waits for a retry or a linger expects it to happen even while
 * no socket is open. So an owner cancels its timers when it closes; a process that does not end after `close` has
 * found a timer that somebody forgot. Listeners and pending file work keep it alive as usual; the directory lock
 * does not.
 */
import { broken } from '../../base/assert.ts'
import type { Cancel, Clock } from '../clock.ts'

/** Node fires longer timers after 1 ms (faults.md ND-5). */
export const TIMER_MS_MAX = 2 ** 31 - 1

/** Rounds of one turn: more than any request needs, and an end to tasks that go on adding tasks. */
const ROUNDS_MAX = 8

export class NodeClock implements Clock {
  #turnTasks: (() => void)[] = []
  /** Rounds run in this turn; 0 between turns. */
  #round = 0

  wallTimeMs(): number {
    return Date.now()
  }

  monotonicMs(): number {
    return performance.now()
  }

  after(delayMs: number, task: () => void): Cancel {
    if (!(delayMs >= 0)) broken(`A delay is 0 or more: got ${delayMs}`)
    const dueMs = performance.now() + delayMs
    let timer: NodeJS.Timeout
    const wait = (leftMs: number) => {
      timer = setTimeout(onTimer, Math.min(Math.ceil(leftMs), TIMER_MS_MAX))
    }
    // Timers count from the loop's own time of the turn, so they may be early by what the turn had already taken.
    const onTimer = () => {
      const leftMs = dueMs - performance.now()
      if (leftMs > 0) wait(leftMs)
      else task()
    }
    wait(delayMs)
    return () => clearTimeout(timer)
  }

  /**
   * After the poll phase: every socket that was readable in this turn has been read by then. What the tasks and the promises
   * they settle add runs in the same turn, in rounds: answers are made in one and sent in the next, with no poll between.
   */
  endOfTurn(task: () => void): void {
    this.#turnTasks.push(task)
    if (this.#turnTasks.length === 1 && this.#round === 0) setImmediate(this.#runRound)
  }

  readonly #runRound = (): void => {
    if (this.#turnTasks.length === 0) {
      this.#round = 0
    } else if (this.#round === ROUNDS_MAX) {
      this.#round = 0
      setImmediate(this.#runRound)
    } else {
      this.#round++
      queueMicrotask(this.#scheduleRound)
      this.#runTurnTasks()
    }
  }

  /** Microtasks run to the end before the next tick does: a round sees all that the promises of the one before led to. */
  readonly #scheduleRound = (): void => process.nextTick(this.#runRound)

  #runTurnTasks(): void {
    const tasks = this.#turnTasks
    this.#turnTasks = []
    let index = 0
    try {
      for (; index < tasks.length; index++) tasks[index]!()
    } finally {
      // One task that throws must not take the others with it; they run in the next turn.
      const rest = tasks.slice(index + 1)
      if (rest.length > 0) for (const task of rest) this.endOfTurn(task)
    }
  }
}
