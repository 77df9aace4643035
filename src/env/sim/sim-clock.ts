/**
 * A node's clock: true virtual time seen through drift and jumps (faults.md F-CLK).
 *
 * `SimTime` belongs to the machine and outlives a crash; `SimClock` is the port for one life of its process.
 * Invariant: monotonic time never goes back, whatever is done to the wall clock or the drift.
 */
import { assert, broken } from '../../base/assert.ts'
import type { Cancel, Clock } from '../clock.ts'
import type { SimProcess } from './sim-node.ts'
import type { Simulation } from './simulation.ts'

/** Quartz is within 100 ppm; a broken or migrated virtual machine may be off by much more. */
const DRIFT_PPM_MAX = 500_000
/** Next to nothing, and yet more than a rounding of virtual time. */
const HAIR_MS = 1e-7

export class SimTime {
  readonly #simulation: Simulation
  /** Seconds of the node's clock per true second. */
  #rate = 1
  #monotonicMs = 0
  /** True time at which `#monotonicMs` was right. */
  #sinceMs = 0
  #wallOffsetMs = 0

  constructor(simulation: Simulation) {
    this.#simulation = simulation
    this.#sinceMs = simulation.nowMs
    this.#wallOffsetMs = simulation.startWallMs + simulation.nowMs
  }

  get monotonicMs(): number {
    return this.#monotonicAt(this.#simulation.nowMs)
  }

  get wallMs(): number {
    return Math.floor(this.monotonicMs + this.#wallOffsetMs)
  }

  /** @param ppm - Parts per million the clock runs fast (or slow, negative). Timers already set keep their time. */
  setDrift(ppm: number): void {
    assert(Math.abs(ppm) <= DRIFT_PPM_MAX, `Drift is within ${DRIFT_PPM_MAX} ppm: got ${ppm}`)
    this.#monotonicMs = this.monotonicMs
    this.#sinceMs = this.#simulation.nowMs
    this.#rate = 1 + ppm / 1e6
  }

  /** Moves the wall clock, forward or back. */
  jumpWall(byMs: number): void {
    this.#wallOffsetMs += byMs
  }

  /**
   * True ms until this clock has advanced by `delayMs`. The sum of times may round to an instant a hair too early, at which
   * whoever looks at the clock would wait again, and again for no time at all.
   */
  trueDelay(delayMs: number): number {
    const { nowMs } = this.#simulation
    const wantedMs = this.#monotonicAt(nowMs) + delayMs
    let trueMs = delayMs / this.#rate
    while (this.#monotonicAt(nowMs + trueMs) < wantedMs) trueMs += HAIR_MS
    return trueMs
  }

  #monotonicAt(trueMs: number): number {
    return this.#monotonicMs + (trueMs - this.#sinceMs) * this.#rate
  }
}

export class SimClock implements Clock {
  readonly #process: SimProcess
  readonly #time: SimTime
  #turnTasks: (() => void)[] = []

  constructor(process: SimProcess, time: SimTime) {
    this.#process = process
    this.#time = time
  }

  wallTimeMs(): number {
    return this.#time.wallMs
  }

  monotonicMs(): number {
    return this.#time.monotonicMs
  }

  after(delayMs: number, task: () => void): Cancel {
    if (!(delayMs >= 0)) broken(`A delay is 0 or more: got ${delayMs}`)
    return this.#process.schedule(this.#time.trueDelay(delayMs), 'timer', task)
  }

  /**
   * A turn of a busy process lasts a seeded while, at times nothing at all: events that fall into it are what one
   * turn of a real event loop would have found ready together.
   */
  endOfTurn(task: () => void): void {
    this.#turnTasks.push(task)
    if (this.#turnTasks.length > 1) return
    const { node } = this.#process
    const turnMs = node.drawTurnMs()
    if (turnMs > 0) this.#process.schedule(turnMs, 'end of turn', this.#endTurn)
    else node.simulation.putOff(this.#process, 'end of turn', this.#endTurn)
  }

  readonly #endTurn = (): void => {
    const tasks = this.#turnTasks
    this.#turnTasks = []
    for (const run of tasks) run()
  }
}
