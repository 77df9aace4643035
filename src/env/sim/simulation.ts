/**
 * The deterministic simulation: nodes, their disks, clocks and links under one scheduler with virtual time. A run
 * is a function of its seed (docs/simulation.md, faults.md 7).
 *
 * Loop: take the earliest event, set the virtual time, run it, let every promise chain it woke settle, do what was put off
 * to its end and let that settle, run the checks. Promise jobs have a fixed order, so what is nondeterministic in real life
 * (timers, completions of disk and network) is exactly what comes out of the heap.
 *
 * The real `setImmediate` below is how promise chains settle: it runs when the microtask queue is empty, however long the
 * chains were, and its own order against other real events does not matter because nothing else real is awaited inside a
 * simulation. A microtask of our own could not tell that the others are done. Between two immediates of one turn of Node's
 * event loop the microtasks settle as well, so that many wait at a time, and a turn is paid for once for all of them.
 */
import { assert, broken } from '../../base/assert.ts'
import type { Cancel } from '../clock.ts'
import type { Env } from '../index.ts'
import type { Logger } from '../logger.ts'
import { silentLogger } from '../logger.ts'
import { EventHeap } from './event-heap.ts'
import type { SimEvent } from './event-heap.ts'
import { Prng } from './prng.ts'
import { SimNetwork } from './sim-network.ts'
import { SimNode } from './sim-node.ts'
import type { SimProcess } from './sim-node.ts'
import { formatLabel, Trace } from './trace.ts'

export interface SimulationOptions {
  readonly seed: number | string
  /** Keeps every trace line, for comparing two runs; the hash is always kept. */
  readonly keepsTrace?: boolean
  /** Gets what the nodes log; the default drops it. */
  readonly logger?: Logger
  /** Wall clock of every node at the start, ms since the Unix epoch. */
  readonly startWallMs?: number
  /** Events after which a run is taken to be without end. */
  readonly eventsMax?: number
}

/** The first instant of 2026, UTC. */
const START_WALL_MS = 1_767_225_600_000
const EVENTS_MAX = 20_000_000
/** Events in one turn of the real event loop: what it costs is small in a share of so many. */
const EVENTS_PER_TURN = 32

/** Thrown by a run that cannot end: nothing left to do, or too many events. */
export class SimulationError extends Error {
  override readonly name = 'SimulationError'
  readonly code = 'SIMULATION_STUCK'
}

export class Simulation {
  readonly seed: number | string
  readonly trace: Trace
  readonly logger: Logger
  readonly startWallMs: number
  /** For the test's own draws; the adapters have streams of their own. */
  readonly workload: Prng
  readonly network: SimNetwork
  /** Called after every event with the settled state; must only read, and draw nothing. Throws to fail the run. */
  readonly checks: (() => void)[] = []
  /** Whose code ran in the last event; null: not one node's. Lets a check look at what may have changed alone. */
  actor: SimNode | null = null

  readonly #heap = new EventHeap()
  readonly #scheduling: Prng
  readonly #nodes = new Map<string, SimNode>()
  readonly #eventsMax: number
  #nowMs = 0
  #eventCount = 0
  #scheduledCount = 0
  #isRunning = false
  /** An event has happened and the checks have not run since. */
  #hasHappened = false
  #putOff: { readonly process: SimProcess; readonly what: string; readonly task: () => void }[] = []

  constructor(options: SimulationOptions) {
    this.seed = options.seed
    this.trace = new Trace(options.keepsTrace ?? false)
    this.logger = options.logger ?? silentLogger
    this.startWallMs = options.startWallMs ?? START_WALL_MS
    this.#eventsMax = options.eventsMax ?? EVENTS_MAX
    this.workload = this.stream('workload')
    this.#scheduling = this.stream('scheduling')
    this.network = new SimNetwork(this)
  }

  /** True time in virtual ms since the start; what a node's clock shows may differ. */
  get nowMs(): number {
    return this.#nowMs
  }

  get eventCount(): number {
    return this.#eventCount
  }

  get nodes(): Iterable<SimNode> {
    return this.#nodes.values()
  }

  /** A stream of draws that depends on the seed and `salt` alone. */
  stream(salt: string): Prng {
    return new Prng(this.seed, salt)
  }

  /** The node of that name; made, with an empty disk and running, when it is asked for first. */
  node(name: string): SimNode {
    let node = this.#nodes.get(name)
    if (node === undefined) {
      node = new SimNode(this, name)
      this.#nodes.set(name, node)
    }
    return node
  }

  /** What is still to come, for tests that look for leaks. */
  *pending(): IterableIterator<{ readonly timeMs: number; readonly label: string }> {
    for (const event of this.#heap.events())
      if (event.task !== null && event.process?.isAlive !== false)
        yield { timeMs: event.timeMs, label: formatLabel(event) }
  }

  findNode(name: string): SimNode | null {
    return this.#nodes.get(name) ?? null
  }

  /** The ports of the present life of a node. */
  env(name: string): Env {
    return this.node(name).env
  }

  /**
   * Puts an event on the heap, at least `delayMs` from now.
   *
   * @param what - Names it in the trace, and `about` what it works on. Best texts that exist: each new one costs a hash.
   * @param process - Whose code it runs; it does not happen once that life has ended, and waits while it is paused.
   */
  schedule(
    delayMs: number,
    what: string,
    task: () => void,
    process: SimProcess | null = null,
    about = '',
  ): Cancel {
    const event = this.#push(delayMs, what, task, process, about)
    return () => {
      event.task = null
    }
  }

  /** Lets an event that was held while its process was paused happen after all, `delayMs` from now. */
  reschedule(event: SimEvent, delayMs: number): void {
    if (event.task === null) return
    const { what, process, about } = event
    // The one that may be cancelled stays the one that was given out.
    this.#push(delayMs, what, () => event.task?.(), process, about)
  }

  #push(
    delayMs: number,
    what: string,
    task: () => void,
    process: SimProcess | null,
    about: string,
  ): SimEvent {
    if (!(delayMs >= 0)) broken(`An event lies in the future: ${what} in ${delayMs} ms`)
    const event: SimEvent = {
      timeMs: this.#nowMs + delayMs,
      tie: this.#scheduling.uint32(),
      sequence: this.#scheduledCount++,
      owner: process === null ? '' : process.label,
      what,
      about,
      process,
      task,
    }
    this.#heap.push(event)
    if (process !== null) process.node.scheduledCount++
    return event
  }

  /** Does something as a part of the present event, when all promises have settled that it woke; costs no event of its own. */
  putOff(process: SimProcess, what: string, task: () => void): void {
    this.#putOff.push({ process, what, task })
  }

  /** Runs all events up to virtual time `untilMs` and leaves the time there. */
  async run(untilMs: number): Promise<void> {
    await this.#drive(() => {
      if ((this.#heap.peek()?.timeMs ?? Infinity) <= untilMs) return false
      this.#nowMs = Math.max(this.#nowMs, untilMs)
      return true
    })
  }

  /**
   * Runs until the promise has settled, or the predicate holds after an event.
   *
   * @param limitMs - Virtual ms from now after which the goal counts as missed.
   * @throws {SimulationError} If it is missed, or if there is nothing left to do. @throws what the promise rejects with.
   */
  async runUntil<T>(goal: Promise<T> | (() => boolean), limitMs = Infinity): Promise<T> {
    const endMs = this.#nowMs + limitMs
    if (typeof goal === 'function') {
      await this.#drive(() => goal() || this.#failAt(endMs))
      return undefined as T
    }
    let isSettled = false
    const markSettled = () => {
      isSettled = true
    }
    goal.then(markSettled, markSettled)
    await this.#drive(() => isSettled || this.#failAt(endMs))
    return goal
  }

  /** @throws {SimulationError} If a goal that is not met now cannot be, or not by `endMs`. */
  #failAt(endMs: number): false {
    const next = this.#heap.peek()
    if (next === null)
      throw new SimulationError(`Ran seed ${this.seed}: nothing is left to do, the goal is not met`)
    if (next.timeMs > endMs)
      throw new SimulationError(`Ran seed ${this.seed}: the goal is not met by ${endMs.toFixed(3)} ms`)
    return false
  }

  /** Runs event after event, each on what the one before has settled to, until `isOver` holds or something throws. */
  async #drive(isOver: () => boolean): Promise<void> {
    // Two loops over one heap would interleave by real time.
    assert(!this.#isRunning, 'One run of a simulation at a time')
    this.#isRunning = true
    try {
      await new Promise<void>((resolve, reject) => {
        let waiting = 1
        let hasEnded = false
        const turn = () => {
          if (hasEnded) return
          try {
            if (this.#putOff.length > 0) this.#doPutOff()
            else {
              if (this.#hasHappened) {
                this.#hasHappened = false
                for (const check of this.checks) check()
              }
              hasEnded = this.#advance(isOver)
            }
          } catch (error) {
            hasEnded = true
            reject(error instanceof Error ? error : new Error(String(error)))
            return
          }
          if (hasEnded) {
            resolve()
            return
          }
          setImmediate(turn)
          if (waiting === EVENTS_PER_TURN) return
          waiting++
          setImmediate(turn)
        }
        setImmediate(turn)
      })
    } finally {
      this.#isRunning = false
    }
  }

  #doPutOff(): void {
    const all = this.#putOff
    this.#putOff = []
    if (!this.#hasHappened) this.actor = null
    this.#hasHappened = true
    for (const { process, what, task } of all) {
      const { node } = process
      if (this.actor !== node) this.actor = null
      if (node.isPaused) process.schedule(0, what, task)
      else if (process.isAlive) task()
    }
  }

  /** Goes on until an event has happened, or, before any does, the end is reached: then true. */
  #advance(isOver: () => boolean): boolean {
    while (!this.#hasHappened) {
      if (isOver()) return true
      this.#step()
    }
    return false
  }

  /** Takes the next event, and makes it happen unless it is cancelled, its process is over, or paused. */
  #step(): void {
    const event = this.#heap.pop()!
    const { task, process } = event
    if (task === null) return
    if (process !== null) {
      if (!process.isAlive) return
      if (process.node.isPaused) {
        process.node.hold(event)
        return
      }
    }
    this.#eventCount++
    if (this.#eventCount > this.#eventsMax) {
      throw new SimulationError(
        `Ran seed ${this.seed}: more than ${this.#eventsMax} events, the last ${formatLabel(event)}`,
      )
    }
    this.#nowMs = event.timeMs
    this.trace.add(event.timeMs, event)
    this.actor = process === null ? null : process.node
    this.#hasHappened = true
    task()
  }
}
