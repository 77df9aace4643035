/**
 * Virtual time of a world as its users meet it: it moves while somebody waits for something in it, and else stands still.
 *
 * Waits may overlap: code that runs inside one may begin others. One loop serves them all. It stops when the last has
 * ended, at the very event that ended it, so that a run stays a function of the seed.
 *
 * Invariant: whoever waited goes on before the next event happens.
 *
 * A promise of the world that is awaited outside of a wait would never settle. That cannot be seen in general, but its signs
 * can: the process of a client asks something of its machine while time stands still, and for a while of real time nobody
 * waits in the world. Then a warning says what to do, and virtual time moves on by itself, up to its usual limit: a test that
 * failed with such an `await` pending (`await using` has them at the end of a block) shows its own error and not a time-out.
 */
import type { Cancel, Clock } from '../env/clock.ts'
import type { Logger } from '../env/logger.ts'
import type { Simulation } from '../env/sim/simulation.ts'
import { WorldError } from './world-error.ts'

/** What may be waited for: a promise, a function that makes one, or a condition, which is tested after every event. */
export type Goal<T> = PromiseLike<T> | (() => PromiseLike<T>) | (() => boolean)

export interface VirtualTimeOptions {
  /** Virtual ms after which a wait has failed, unless it says so itself. */
  readonly limitMs: number
  /** Real ms that the world may stand still with something asked of it. */
  readonly stallMs: number
  /** The outside: the only place where real time counts. */
  readonly real: RealPorts
  /** How much the processes of clients have asked of their machines so far: any number that grows with it. */
  readonly asked: () => number
  /** The state of the world, for the message of a wait that failed. */
  readonly describe: () => string
}

/** What a world needs of the real process that it runs in. */
export interface RealPorts {
  readonly clock: Pick<Clock, 'after'>
  readonly logger: Pick<Logger, 'warn'>
}

interface Wait {
  /** Tested after every event; null for a promise, which ends the wait by itself. */
  readonly isReached: (() => boolean) | null
  readonly succeed: () => void
  readonly fail: (error: Error) => void
}

const WHAT_TO_DO =
  'it moves only while run(), clock.advance() or another method of the world is awaited; write `await world.run(promise)`, or put the body of the test into `await world.run(async () => { … })`, and close the world when the test is over'

export class VirtualTime {
  readonly #simulation: Simulation
  readonly #options: VirtualTimeOptions
  readonly #waits = new Set<Wait>()
  #isMoving = false
  /** A wait has ended, and whoever waited has not gone on yet. */
  #hasEnded = false
  /** How much had been asked when the last wait ended: whoever waited for it may have asked more since. */
  #askedCount = 0
  #cancelWatch: Cancel = () => undefined
  #hasWarned = false
  #isClosed = false

  constructor(simulation: Simulation, options: VirtualTimeOptions) {
    this.#simulation = simulation
    this.#options = options
  }

  get nowMs(): number {
    return this.#simulation.nowMs
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  /**
   * Lets time go on until the goal is reached.
   *
   * @throws {WorldError} `WORLD_TIMED_OUT`, `WORLD_CLOSED`. What the promise rejects with, or the function or an event throws.
   */
  run<T>(goal: Goal<T>, limitMs: number = this.#options.limitMs): Promise<T> {
    const awaited = typeof goal === 'function' ? goal() : goal
    const promise = typeof awaited === 'boolean' ? null : awaited
    const isReached = promise === null ? (goal as () => boolean) : null
    return this.#wait<T>(isReached, promise, limitMs)
  }

  /** Lets `ms` of time pass. */
  advance(ms: number): Promise<void> {
    let hasPassed = false
    this.#simulation.schedule(ms, 'world advanced', () => {
      hasPassed = true
    })
    return this.#wait<undefined>(() => hasPassed, null, Infinity)
  }

  /** Nothing happens any more; who waits is told. */
  close(): void {
    this.#isClosed = true
    this.#cancelWatch()
    for (const wait of [...this.#waits]) wait.fail(closedError())
  }

  checkOpen(): void {
    if (this.#isClosed) throw closedError()
  }

  #wait<T>(isReached: (() => boolean) | null, promise: PromiseLike<T> | null, limitMs: number): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      let cancelLimit: Cancel = () => undefined
      const end = (tell: () => void) => {
        if (!this.#waits.delete(wait)) return
        cancelLimit()
        this.#hasEnded = true
        this.#askedCount = this.#options.asked()
        tell()
      }
      const wait: Wait = {
        isReached,
        succeed: () => end(() => resolve(undefined as T)),
        fail: (error) => end(() => reject(error)),
      }
      this.#waits.add(wait)
      if (this.#isClosed) {
        wait.fail(closedError())
        return
      }
      // What it rejects with is passed on as it is.
      const settled = () => end(() => resolve(promise as PromiseLike<T>))
      promise?.then(settled, settled)
      if (limitMs !== Infinity)
        cancelLimit = this.#simulation.schedule(limitMs, 'limit of a wait', () =>
          wait.fail(this.#lateError(limitMs)),
        )
      if (!this.#isMoving) void this.#move()
    })
  }

  async #move(): Promise<void> {
    this.#isMoving = true
    this.#cancelWatch()
    try {
      // Each round begins by letting promises settle: whoever waited goes on there.
      while (this.#waits.size > 0) await this.#simulation.runUntil(() => this.#testWaits())
    } catch (error) {
      for (const wait of [...this.#waits]) wait.fail(error as Error)
    } finally {
      this.#isMoving = false
      if (!this.#isClosed) this.#watch()
    }
  }

  /** Whether to pause between two events: a wait has ended. */
  #testWaits(): boolean {
    for (const wait of [...this.#waits]) {
      if (wait.isReached === null) continue
      try {
        if (wait.isReached()) wait.succeed()
      } catch (error) {
        wait.fail(error as Error)
      }
    }
    const hasEnded = this.#hasEnded
    this.#hasEnded = false
    return hasEnded
  }

  /** From now on time stands still; see that nobody waits for it without knowing. */
  #watch(): void {
    const { real, stallMs, limitMs, asked } = this.#options
    if (stallMs === Infinity) return
    this.#cancelWatch = real.clock.after(stallMs, () => {
      const isAsked = asked() > this.#askedCount
      if (asked() === 0 || (this.#hasWarned && !isAsked)) return
      this.#hasWarned = true
      real.logger.warn(
        `Virtual time has stood still for ${stallMs} ms with clients in the world of seed ${this.#simulation.seed}: ${WHAT_TO_DO}`,
      )
      if (!isAsked) return
      // Until somebody waits in the right way.
      this.run(() => this.#waits.size > 1, limitMs).catch(() => undefined)
    })
  }

  #lateError(limitMs: number): WorldError {
    return new WorldError(
      'WORLD_TIMED_OUT',
      `Ran the world of seed ${this.#simulation.seed}: what was waited for did not come within ${limitMs} ms of virtual time; raise limitMs, or see whether it waits for a process that was killed or for a clock or a socket of the real world. The world:\n${this.#options.describe()}`,
    )
  }
}

function closedError(): WorldError {
  return new WorldError('WORLD_CLOSED', 'The world is closed: begin another one with simulate()')
}
