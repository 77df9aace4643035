/**
 * The clock port over a browser's timers. The end of a turn is a message to oneself: `MessageChannel` comes right
 * after what is ready now, where `setTimeout(0)` is held back to 4 ms once it is nested, and to a second in a
 * page in the background.
 */
import { assert } from '../../base/assert.ts'
import type { Cancel, Clock } from '../clock.ts'

/** Longer timers fire at once (faults.md ND-5 holds in browsers too). */
const TIMER_MS_MAX = 2 ** 31 - 1

interface Port {
  onmessage: ((event: unknown) => void) | null
  postMessage(message: unknown): void
  /** Node's, for tests: an open port keeps its process alive. */
  unref?(): void
  ref?(): void
}

/** The part of the platform that is used. */
export interface BrowserTimers {
  setTimeout(task: () => void, delayMs: number): unknown
  clearTimeout(timer: unknown): void
  readonly performance: { now(): number }
  readonly Date: { now(): number }
  readonly MessageChannel: new () => { readonly port1: Port; readonly port2: Port }
}

export class BrowserClock implements Clock {
  readonly #timers: BrowserTimers
  #ports: { readonly port1: Port; readonly port2: Port } | null = null
  #turnTasks: (() => void)[] = []

  constructor(timers: BrowserTimers) {
    this.#timers = timers
  }

  wallTimeMs(): number {
    return this.#timers.Date.now()
  }

  monotonicMs(): number {
    return this.#timers.performance.now()
  }

  after(delayMs: number, task: () => void): Cancel {
    assert(delayMs >= 0, `A delay is 0 or more: got ${delayMs}`)
    const dueMs = this.monotonicMs() + delayMs
    let timer: unknown
    const wait = (leftMs: number) => {
      timer = this.#timers.setTimeout(onTimer, Math.min(Math.ceil(leftMs), TIMER_MS_MAX))
    }
    const onTimer = () => {
      const leftMs = dueMs - this.monotonicMs()
      if (leftMs > 0) wait(leftMs)
      else task()
    }
    wait(delayMs)
    return () => this.#timers.clearTimeout(timer)
  }

  endOfTurn(task: () => void): void {
    this.#turnTasks.push(task)
    if (this.#turnTasks.length > 1) return
    this.#ports ??= this.#openPorts()
    this.#ports.port1.ref?.()
    this.#ports.port2.postMessage(null)
  }

  #openPorts(): { readonly port1: Port; readonly port2: Port } {
    const channel = new this.#timers.MessageChannel()
    channel.port1.onmessage = () => {
      channel.port1.unref?.()
      this.#runTurnTasks()
    }
    return channel
  }

  #runTurnTasks(): void {
    const tasks = this.#turnTasks
    this.#turnTasks = []
    let count = 0
    try {
      for (const task of tasks) {
        count++
        task()
      }
    } finally {
      // One task that throws must not take the others with it; they run in the next turn.
      for (const task of tasks.slice(count)) this.endOfTurn(task)
    }
  }
}
