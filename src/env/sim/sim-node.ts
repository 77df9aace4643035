/**
 * A simulated machine (`SimNode`) and one life of the process on it (`SimProcess`).
 *
 * Nodes share nothing but the simulation. A crash ends the life: its later events are ignored, what its code
 * still asks of its ports never answers, and its locks and connections are gone. The disk stays with the node.
 * `restart` begins the next life with fresh ports.
 */
import { assert } from '../../base/assert.ts'
import type { Cancel } from '../clock.ts'
import type { Env } from '../index.ts'
import type { LogFields, Logger } from '../logger.ts'
import type { PowerCutModes } from './disk-image.ts'
import type { SimEvent } from './event-heap.ts'
import type { Prng } from './prng.ts'
import { SimClock, SimTime } from './sim-clock.ts'
import { SimDisk } from './sim-disk.ts'
import { SimFileSystem } from './sim-files.ts'
import type { Simulation } from './simulation.ts'

/** About what a loaded broker spends in one turn of its event loop. */
const TURN_MS_MAX = 0.1

export class SimProcess {
  readonly node: SimNode
  readonly generation: number
  /** Names it in traces. */
  readonly label: string
  isAlive = true
  /** Paths of the files that it has open, by handle. */
  readonly openFiles = new Map<object, string>()

  constructor(node: SimNode, generation: number) {
    this.node = node
    this.generation = generation
    this.label = `${node.name}#${generation}`
  }

  /** An event of this life: it does not happen once the life has ended, and waits while the node is paused. */
  schedule(delayMs: number, what: string, task: () => void, about = ''): Cancel {
    if (!this.isAlive) return () => undefined
    return this.node.simulation.schedule(delayMs, what, task, this, about)
  }
}

export class SimNode {
  readonly simulation: Simulation
  readonly name: string
  readonly disk: SimDisk
  /** Drift and jumps of this node's clock. */
  readonly time: SimTime
  /** Draws for what the node does to itself when it dies. */
  readonly faults: Prng
  /** Events that its processes have asked for so far. */
  scheduledCount = 0
  readonly #turns: Prng
  #process: SimProcess
  #env: Env
  #isPaused = false
  #hasPower = true
  #held: SimEvent[] = []

  constructor(simulation: Simulation, name: string) {
    this.simulation = simulation
    this.name = name
    this.disk = new SimDisk(simulation, name)
    this.time = new SimTime(simulation)
    this.faults = simulation.stream(`faults of ${name}`)
    this.#turns = simulation.stream(`turns of ${name}`)
    this.#process = new SimProcess(this, 1)
    this.#env = this.#makeEnv()
  }

  /** The ports of the present life; of the last one while the node is down. */
  get env(): Env {
    return this.#env
  }

  get isUp(): boolean {
    return this.#process.isAlive
  }

  /** Whether the machine's kernel answers, be the process up or not. */
  get hasPower(): boolean {
    return this.#hasPower
  }

  /** Paths of the files that the present life has open, for tests that look for leaks. */
  get openFiles(): readonly string[] {
    return [...this.#process.openFiles.values()]
  }

  get isPaused(): boolean {
    return this.#isPaused
  }

  get generation(): number {
    return this.#process.generation
  }

  /** kill -9: the process ends, its unsynced writes stay in the page cache (faults.md F-KILL). */
  crash(): void {
    this.#die('crash', true)
    this.disk.onProcessKilled()
  }

  /** Power is lost: of what was not synced, what the modes (default: seeded) say survives (faults.md F-PWR). */
  powerCut(modes: PowerCutModes = {}): void {
    this.#die('power cut', false)
    this.disk.onPowerCut(modes)
  }

  /** Begins the next life and returns its ports. */
  restart(): Env {
    assert(!this.isUp, `Restarted ${this.name}: it is up`)
    this.#hasPower = true
    this.#process = new SimProcess(this, this.#process.generation + 1)
    this.#note('restart')
    this.#env = this.#makeEnv()
    return this.#env
  }

  /** SIGSTOP or a stalled event loop: events wait until `resume`, then come in a burst (faults.md F-PAUSE). */
  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    this.#isPaused = false
    const held = this.#held
    this.#held = []
    // Each is an event of its own again, a hair apart, so that their order is kept.
    held.forEach((event, index) => this.simulation.reschedule(event, index * 1e-6))
  }

  /** Keeps an event that came while the node was paused. */
  hold(event: SimEvent): void {
    this.#held.push(event)
  }

  /** How long the present turn of the event loop lasts: half the time no time at all. */
  drawTurnMs(): number {
    return Math.max(0, this.#turns.between(-TURN_MS_MAX, TURN_MS_MAX))
  }

  #note(what: string): void {
    this.simulation.trace.add(this.simulation.nowMs, { owner: this.#process.label, what, about: '' })
  }

  #die(how: string, isKill: boolean): void {
    if (!this.#process.isAlive) return
    this.#note(how)
    this.#process.isAlive = false
    this.#process.openFiles.clear()
    this.#hasPower = isKill
    this.#isPaused = false
    this.#held = []
    this.simulation.network.onProcessDied(this.#process, isKill)
  }

  #makeEnv(): Env {
    const process = this.#process
    const clock = new SimClock(process, this.time)
    return {
      clock,
      random: this.simulation.stream(`random of ${this.name}#${process.generation}`),
      files: new SimFileSystem(this.disk, process),
      network: this.simulation.network.portFor(process, clock),
      logger: namedLogger(process, this.simulation.logger),
    }
  }
}

/** Adds the node and the virtual time; a dead process logs nothing. */
function namedLogger(process: SimProcess, logger: Logger): Logger {
  const at =
    (level: keyof Logger) =>
    (message: string, fields: LogFields = {}) => {
      if (!process.isAlive) return
      const { name, simulation } = process.node
      logger[level](message, { node: name, virtualMs: simulation.nowMs, ...fields })
    }
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}
