/**
 * One sweep over all connections in place of a timer for each and every bound: at 5,000 connections a sweep takes
 * well under a millisecond, and receiving a message need not touch a timer. A deadline is thus found at most a
 * quarter of itself late. The sweep does not keep the process alive; the sockets do.
 */
import type { Clock } from '../clock.ts'

export interface Watched {
  /** Acts on whatever deadline of it has passed at `nowMs` (monotonic). */
  checkDeadlines(nowMs: number): void
}

const SWEEP_MS_MAX = 1_000
const SWEEP_MS_MIN = 5

export class Deadlines {
  readonly #clock: Clock
  readonly #watched = new Set<Watched>()
  readonly #sweepMs: number
  #timer: NodeJS.Timeout | null = null

  /** @param shortestMs - The shortest of the deadlines to be watched. */
  constructor(clock: Clock, shortestMs: number) {
    this.#clock = clock
    this.#sweepMs = Math.min(SWEEP_MS_MAX, Math.max(SWEEP_MS_MIN, shortestMs / 4))
  }

  add(watched: Watched): void {
    this.#watched.add(watched)
    this.#timer ??= setInterval(() => this.#sweep(), this.#sweepMs).unref()
  }

  remove(watched: Watched): void {
    this.#watched.delete(watched)
    if (this.#watched.size > 0 || this.#timer === null) return
    clearInterval(this.#timer)
    this.#timer = null
  }

  #sweep(): void {
    const nowMs = this.#clock.monotonicMs()
    for (const watched of this.#watched) watched.checkDeadlines(nowMs)
  }
}
