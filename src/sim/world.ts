/**
 * A whole cluster and the machines of its clients on virtual time, inside a test of somebody else's project.
 *
 *   b1  b2  b3 …            brokers, each on a machine with a disk of its own
 *   any other name          a machine for the code under test
 *
 * The brokers and the clients are those of production; what they meet (timers, disks, connections, chance) is decided by a
 * seed. So the same seed gives the same run, a minute of the cluster takes some tenths of a second, and machines can be killed
 * between two instructions. What reads the real clock or waits for the real world is not part of it: code under test uses the
 * clock of its machine.
 */
import type { Client } from '../client/client.ts'
import type { ClientOptions } from '../client/client-options.ts'
import { CODEC_NAMES } from '../records/compression/codec.ts'
import { loadCodec } from '../records/compression/codec-set.ts'
import { Machine } from './machine.ts'
import type { Said } from './said.ts'
import { PATIENCE_MS, SimCluster } from './sim-cluster.ts'
import { PORT } from './sim-host.ts'
import type { Settings } from './sim-host.ts'
import { VirtualTime } from './virtual-time.ts'
import type { RealPorts } from './virtual-time.ts'
import { WorldBroker } from './world-broker.ts'
import { WorldError, checkNumber } from './world-error.ts'

export interface SimulateOptions {
  /** What decides all that is left to chance: any number or text. Default 1. */
  readonly seed?: number | string
  /** How many, 1 to 9. Default 3. */
  readonly brokers?: number
  /**
   * Settings of every broker by key, such as `{ 'num.partitions': '3' }`. The others are those of production, time-outs
   * included; only `offsets.topic.num.partitions` is 4.
   */
  readonly settings?: Settings
  /** Where brokers stand, the first in the first of these and so on: their `broker.rack`. Default: nowhere. */
  readonly racks?: readonly string[]
  /** Virtual ms after which a wait has failed, unless it says so itself. Default 60,000. */
  readonly limitMs?: number
  /** Wall clock of every machine at the start, ms since the Unix epoch. Default: the first instant of 2026, UTC. */
  readonly startMs?: number
  /**
   * Real ms that virtual time may stand still while clients wait for it, before a warning says so; `Infinity` for never.
   * Default 1,000.
   */
  readonly stallMs?: number
}

export interface WaitOptions {
  /** Virtual ms after which the wait has failed; `Infinity` for never. Default: that of the world. */
  readonly limitMs?: number
}

/** True virtual time; the clock of a machine may go wrong, this one cannot. */
export interface WorldClock {
  /** Virtual ms since the world began. */
  readonly elapsedMs: number
  /** Wall clock in ms since the Unix epoch. */
  now(): number
  /** Lets `ms` of virtual time pass. */
  advance(ms: number): Promise<void>
}

/** A link between machines: how long what is sent takes, in ms, the least and the most. */
export type LinkDelayMs = readonly [number, number]

const BROKERS = 3
const BROKERS_MAX = 9
const STALL_MS = 1000

/** Fifty logs of groups on each of three brokers are most of what a short test would spend its time with. */
const SETTINGS: Settings = { 'offsets.topic.num.partitions': '4' }

export class World {
  readonly seed: number | string
  readonly clock: WorldClock
  /** In the order of their ids, from 1. */
  readonly brokers: readonly WorldBroker[]
  readonly #cluster: SimCluster
  readonly #time: VirtualTime
  readonly #machines = new Map<string, Machine>()

  /** Use `World.start()`. */
  private constructor(options: SimulateOptions, real: RealPorts) {
    const { seed = 1, brokers = BROKERS, racks = [], limitMs = PATIENCE_MS, startMs } = options
    if (!Number.isInteger(brokers) || brokers < 1 || brokers > BROKERS_MAX)
      throw new WorldError(
        'WORLD_BAD_ARGUMENT',
        `Cannot simulate ${brokers} brokers: wanted 1 to ${BROKERS_MAX}`,
      )
    const cluster = new SimCluster({
      ...{ seed, brokers, settings: { ...SETTINGS, ...options.settings } },
      ...(startMs === undefined ? {} : { startWallMs: checkNumber('startMs', startMs, 0) }),
    })
    cluster.hosts.forEach((host, index) => {
      const rack = racks[index]
      if (rack !== undefined) host.settings = { 'broker.rack': rack }
    })
    const { simulation } = cluster
    this.seed = seed
    this.#cluster = cluster
    this.#time = new VirtualTime(simulation, {
      limitMs: checkNumber('limitMs', limitMs, 1),
      stallMs: checkNumber('stallMs', options.stallMs ?? STALL_MS, 1),
      real,
      asked: () =>
        [...this.#machines.keys()].reduce((sum, name) => sum + simulation.node(name).scheduledCount, 0),
      describe: () => this.describe(),
    })
    this.brokers = cluster.hosts.map((host) => new WorldBroker(cluster, host, this.#time))
    const time = this.#time
    this.clock = {
      get elapsedMs() {
        return time.nowMs
      },
      now: () => Math.floor(simulation.startWallMs + time.nowMs),
      advance: (ms) => {
        time.checkOpen()
        return time.advance(checkNumber('a time to advance', ms, 0))
      },
    }
  }

  /**
   * A world of which every broker serves.
   *
   * @param real - Clock and log of the real process, for the warning that virtual time stands still.
   * @throws {WorldError} `WORLD_BAD_ARGUMENT`. @throws {ConfigError} if a setting is unknown or not allowed.
   */
  static async start(options: SimulateOptions, real: RealPorts): Promise<World> {
    // Loading takes real time, which must not be part of a run.
    for (const name of CODEC_NAMES)
      if (name !== 'none') await Promise.all([loadCodec(name), loadCodec(name, { canWrite: false })])
    const world = new World(options, real)
    try {
      await world.#time.run(Promise.all(world.#cluster.hosts.map((host) => world.#cluster.begin(host))))
      await world.untilWhole()
    } catch (error) {
      await world.close()
      throw error
    }
    return world
  }

  /** @throws {WorldError} `WORLD_BAD_ARGUMENT` if there is no such broker. */
  broker(nodeId: number): WorldBroker {
    const found = this.brokers[nodeId - 1]
    if (found !== undefined) return found
    throw new WorldError(
      'WORLD_BAD_ARGUMENT',
      `There is no broker ${nodeId}: wanted 1 to ${this.brokers.length}`,
    )
  }

  /** The machine of that name; it is there, and its process runs, from the first time that it is asked for. */
  machine(name: string): Machine {
    this.#time.checkOpen()
    const found = this.#machines.get(name)
    if (found !== undefined) return found
    if (!/^[a-zA-Z][\w-]*$/.test(name) || this.brokers.some((broker) => broker.name === name))
      throw new WorldError(
        'WORLD_BAD_ARGUMENT',
        `Cannot name a machine ${JSON.stringify(name)}: wanted a letter, then letters, digits, - or _, and not the name of a broker`,
      )
    const machine = new Machine(this.#cluster.simulation.node(name), () =>
      this.brokers.map((broker) => `${broker.name}:${PORT}`),
    )
    this.#machines.set(name, machine)
    return machine
  }

  /** A client on the machine of that name: short for `machine(name).client(options)`. */
  client(name: string, options: Partial<ClientOptions> = {}): Client {
    return this.machine(name).client(options)
  }

  /**
   * Lets virtual time go on until a promise has settled, or a condition holds after some event. Waits may overlap: a function
   * given here may await anything of the world, other waits included.
   *
   * @throws {WorldError} `WORLD_TIMED_OUT` if it does not come in time, `WORLD_CLOSED`. What the promise rejects with.
   */
  run<T>(goal: PromiseLike<T> | (() => PromiseLike<T>), options?: WaitOptions): Promise<T>
  run(goal: () => boolean, options?: WaitOptions): Promise<void>
  async run<T>(
    goal: PromiseLike<T> | (() => PromiseLike<T>) | (() => boolean),
    options: WaitOptions = {},
  ): Promise<T> {
    this.#time.checkOpen()
    const { limitMs } = options
    return this.#time.run(goal, limitMs === undefined ? undefined : checkNumber('limitMs', limitMs, 0))
  }

  /** Whether every broker serves and every partition has all its replicas in sync. */
  get isWhole(): boolean {
    return this.#cluster.isWhole
  }

  /** Lets virtual time go on until `isWhole`. */
  untilWhole(options: WaitOptions = {}): Promise<void> {
    return this.run(() => this.isWhole, options)
  }

  /** Id of the broker that leads a partition now, by what any broker knows; null if none does or the topic is not there. */
  leaderOf(topic: string, partition = 0): number | null {
    if (!this.#cluster.hasImage) return null
    return this.#cluster.image.topicsByName.get(topic)?.partitions[partition]?.leader ?? null
  }

  /** Id of the broker that decides for the cluster now, or null. */
  get controller(): number | null {
    return this.#cluster.controller?.id ?? null
  }

  /** Cuts all links between the two sides, both ways: connections fall silent, and new ones cannot be made. */
  partition(side: readonly string[], other: readonly string[]): void {
    this.cut(side, other)
    this.cut(other, side)
  }

  /** Cuts the links one way: what `from` sends to `to` does not come. */
  cut(from: readonly string[], to: readonly string[]): void {
    const { network } = this.#cluster.simulation
    for (const [a, b] of this.#links(from, to)) network.cut(a, b)
  }

  /** What is sent between the two sides takes this long from now on, both ways; in place of 0.02 to 0.5 ms. */
  delay(side: readonly string[], other: readonly string[], [low, high]: LinkDelayMs): void {
    const { network } = this.#cluster.simulation
    checkNumber('the least of a delay', low, 0)
    checkNumber('the most of a delay', high, low)
    for (const [a, b] of [...this.#links(side, other), ...this.#links(other, side)])
      network.delay(a, b, [low, high])
  }

  /** Resets every connection between the two sides, as a middlebox may; both ends see it and may connect again. */
  reset(side: readonly string[], other: readonly string[]): void {
    const { network } = this.#cluster.simulation
    for (const [a, b] of this.#links(side, other)) network.reset(a, b)
  }

  /** Ends all cuts and delays. What was sent meanwhile over a connection that still stands arrives now. */
  heal(): void {
    this.#cluster.simulation.network.heal()
  }

  /** What brokers and clients have logged so far, debug lines aside, in the order of virtual time. */
  get said(): readonly Said[] {
    return this.#cluster.said
  }

  /** Hash of everything that has happened so far: equal for equal seeds and equal tests. */
  get fingerprint(): string {
    return this.#cluster.simulation.trace.hash
  }

  /** The state of brokers and partitions, and the last lines of the logs: a text for the message of a failed test. */
  describe(): string {
    const machines = [...this.#machines.values()].map(
      ({ name, isUp, isPaused }) => `${name}: ${!isUp ? 'down' : isPaused ? 'paused' : 'up'}`,
    )
    return [
      `seed ${this.seed}, ${this.clock.elapsedMs.toFixed(3)} ms after its beginning`,
      this.#cluster.describe(),
      ...machines,
      'last said:',
      this.#cluster.tail(SAID_LAST),
    ].join('\n')
  }

  /** Ends the world and everything in it, at once: nothing of it happens any more, and nothing of it is left behind. */
  async close(): Promise<void> {
    if (this.#time.isClosed) return
    this.#time.close()
    for (const node of this.#cluster.simulation.nodes) node.crash()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** All pairs of the two sides. @throws {WorldError} `WORLD_BAD_ARGUMENT` for a machine that nobody has made. */
  #links(side: readonly string[], other: readonly string[]): (readonly [string, string])[] {
    this.#time.checkOpen()
    for (const name of [...side, ...other]) {
      if (this.#cluster.simulation.findNode(name) !== null) continue
      const names = [...this.#cluster.simulation.nodes].map((node) => node.name).join(', ')
      throw new WorldError(
        'WORLD_BAD_ARGUMENT',
        `There is no machine ${JSON.stringify(name)}: there are ${names}; world.machine(name) makes one`,
      )
    }
    return side.flatMap((a) => other.filter((b) => b !== a).map((b) => [a, b] as const))
  }
}

/** Lines of the logs that `describe` ends with. */
const SAID_LAST = 20
