/**
 * A simulated machine for the code under test, with the one process that runs on it.
 *
 * Clients made here, and whoever waits for the clock here, live as long as the process: once it is killed no promise of theirs
 * settles any more, so that code which awaits one ends there, as it would with its process. Code between two awaits cannot be
 * stopped, and needs not be: nobody else runs then.
 */
import { Client } from '../client/client.ts'
import type { ClientOptions } from '../client/client-options.ts'
import type { Cancel } from '../env/clock.ts'
import type { SimNode } from '../env/sim/sim-node.ts'
import { WorldError, checkNumber } from './world-error.ts'

/** The clock of one machine: virtual time as its processes see it, with the drift and the jumps that a test gave it. */
export interface MachineClock {
  /** Wall clock in ms since the Unix epoch, in place of `Date.now()`. */
  now(): number
  /** Resolves after `ms` of this clock, in place of `setTimeout`; never if the process is killed before. */
  sleep(ms: number): Promise<void>
  /** Runs `task` once after `ms`, unless the process is killed before; returns its cancel. */
  after(ms: number, task: () => void): Cancel
}

export class Machine {
  readonly name: string
  readonly clock: MachineClock
  readonly #node: SimNode
  readonly #bootstrap: () => readonly string[]

  constructor(node: SimNode, bootstrap: () => readonly string[]) {
    this.name = node.name
    this.#node = node
    this.#bootstrap = bootstrap
    this.clock = {
      now: () => node.env.clock.wallTimeMs(),
      sleep: (ms) =>
        new Promise((resolve) => node.env.clock.after(checkNumber('a time to sleep', ms, 0), resolve)),
      after: (ms, task) => node.env.clock.after(checkNumber('a delay', ms, 0), task),
    }
  }

  /** Whether its process runs, or is paused. */
  get isUp(): boolean {
    return this.#node.isUp
  }

  get isPaused(): boolean {
    return this.#node.isPaused
  }

  /**
   * A client in the present life of the process; it ends with it, or with the world.
   *
   * @param options - In place of the defaults, which are those of every client; it knows all brokers.
   * @throws {WorldError} `WORLD_MACHINE_DOWN`. @throws {ClientError} `CLIENT_BAD_ARGUMENT`.
   */
  client(options: Partial<ClientOptions> = {}): Client {
    if (!this.isUp)
      throw new WorldError(
        'WORLD_MACHINE_DOWN',
        `Cannot make a client on ${this.name}: its process was killed; call world.machine('${this.name}').restart() first`,
      )
    return new Client(this.#node.env, { bootstrap: this.#bootstrap(), clientId: this.name, ...options })
  }

  /** A number in `[0, 1)` drawn from the world's seed, in place of `Math.random()`. */
  random(): number {
    return this.#node.env.random.below(2 ** 31) / 2 ** 31
  }

  /** A UUID drawn from the world's seed, in place of `crypto.randomUUID()`. */
  uuid(): string {
    return this.#node.env.random.uuid()
  }

  /** `kill -9`: its clients, timers and requests stop where they are; the kernel resets its connections. */
  kill(): void {
    this.#node.crash()
  }

  /** Begins the next life of the process, after killing it if it lives: make new clients and call your code again. */
  restart(): void {
    if (this.isUp) this.kill()
    this.#node.restart()
  }

  /** Stops the process as `SIGSTOP` or a long garbage collection does: what comes meanwhile waits for `resume`. */
  pause(): void {
    this.#node.pause()
  }

  resume(): void {
    this.#node.resume()
  }

  /** Moves its wall clock by `ms`, back if negative. Timers keep their time. */
  jumpClock(ms: number): void {
    this.#node.time.jumpWall(ms)
  }

  /** Makes its clock go fast, or slow if negative, by parts per million, up to 500,000. */
  driftClock(ppm: number): void {
    this.#node.time.setDrift(checkNumber('the drift of a clock', ppm, -500_000, 500_000))
  }
}
