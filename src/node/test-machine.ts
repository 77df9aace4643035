/**
 * The place of one broker of a `Cluster`: its disk, its links and what may become of it, through all its lives.
 *
 * What has no equal here: a power cut, since memory has nothing that is not synced, and a clock that goes wrong, since all
 * brokers share that of the machine. `simulate()` has both.
 */
import type { Broker } from '../broker/broker.ts'
import type { Clock, Env, Random } from '../env/index.ts'
import { Gate, gatedClock } from '../env/memory/gate.ts'
import { gatedNetwork } from '../env/memory/gated-network.ts'
import type { Links } from '../env/memory/links.ts'
import { MemoryFileSystem } from '../env/memory/memory-file-system.ts'
import type { DiskFailure, DiskSlowness } from '../env/memory/troubled-files.ts'
import { DiskTrouble, troubledFiles } from '../env/memory/troubled-files.ts'

/** `failed`: it stopped by itself. `down`: it was stopped or killed. */
export type ClusterBrokerState = 'up' | 'paused' | 'failed' | 'down'

/** What a machine needs of the cluster that it belongs to. */
export interface MachineHost {
  start(machine: ClusterBroker): Promise<Broker>
  readonly links: Links
  /** Name of the broker that a URL leads to, or null. */
  nameOf(url: string): string | null
}

interface Ports {
  readonly clock: Clock
  readonly random: Random
}

/** A broker of a `Cluster`. */
export class ClusterBroker {
  readonly nodeId: number
  /** For `partition` and `delay`: `b1` for broker 1. */
  readonly name: string
  readonly #host: MachineHost
  readonly #files: MemoryFileSystem
  readonly #gate: Gate
  readonly #disk: DiskTrouble
  #broker: Broker | null = null
  #failure: Error | null = null

  constructor(nodeId: number, ports: Ports, host: MachineHost) {
    this.nodeId = nodeId
    this.name = `b${nodeId}`
    this.#host = host
    this.#files = new MemoryFileSystem(ports)
    this.#gate = new Gate(ports.clock)
    this.#disk = new DiskTrouble({ ...ports, gate: this.#gate })
  }

  /** The broker itself while it runs; null before, between and after. */
  get broker(): Broker | null {
    return this.#broker
  }

  /** Where its data is, `durability=memory` included. */
  get files(): MemoryFileSystem {
    return this.#files
  }

  get state(): ClusterBrokerState {
    if (this.#broker === null) return this.#failure === null ? 'down' : 'failed'
    return this.#gate.isShut ? 'paused' : 'up'
  }

  /** Whether it serves, or would if it were not paused. */
  get isRunning(): boolean {
    return this.#broker !== null
  }

  /** Why it stopped by itself; null if it did not. */
  get failure(): Error | null {
    return this.#failure
  }

  /** The ports of the machine as this broker gets them. */
  adapt(env: Env): Env {
    const { links } = this.#host
    const network = links.networkOf(this.name, env.network, (url) => this.#host.nameOf(url))
    return {
      ...env,
      clock: gatedClock(env.clock, this.#gate),
      files: troubledFiles(env.files, this.#disk),
      network: gatedNetwork(network, this.#gate),
    }
  }

  /** Starts it if it does not run; resolves when it serves. */
  async start(): Promise<void> {
    if (this.#broker !== null) return
    this.#failure = null
    const broker = await this.#host.start(this)
    this.#broker = broker
    void broker.stopped.then((error) => {
      if (this.#broker !== broker) return
      this.#broker = null
      this.#failure = error
    })
  }

  /** Stops it cleanly: others lead before it goes. Resolves when it has stopped; one that is paused goes on first. */
  async stop(): Promise<void> {
    await this.close(true)
  }

  /** Ends it as a crash would: nobody is told but by its connections, nothing is saved; its files stay as they are. */
  async kill(): Promise<void> {
    const broker = this.#broker
    this.#broker = null
    this.#failure = null
    if (broker === null) return
    const killed = broker.kill()
    this.#gate.openForTheEnd()
    await this.#disk.whileDying(killed)
  }

  /** Starts it again with what its disk holds; one that runs is stopped cleanly first. Resolves when it serves. */
  async restart(): Promise<void> {
    await this.stop()
    await this.start()
  }

  /**
   * Stops its process as `SIGSTOP` or a long garbage collection does, as far as one process allows: timers, messages and ends
   * of disk operations wait for `resume`. What it has begun in this turn of the event loop goes on to its end.
   */
  pause(): void {
    this.#gate.shut()
  }

  resume(): void {
    this.#gate.open()
  }

  /** Its disk takes long from now on, by default a hundred times as long as a good one. */
  slowDisk(slowness: DiskSlowness = {}): void {
    this.#disk.slow(slowness)
  }

  /** Its disk answers nothing from now on, neither well nor badly. */
  stallDisk(): void {
    this.#disk.stall()
  }

  /** Its disk has room for `freeBytes` more from now on. What removed files give back can be used. */
  fullDisk(freeBytes = 0): void {
    this.#disk.freeBytes = freeBytes
  }

  /**
   * Operations of its disk fail from now on. A broker whose write or sync failed stops using that disk until it is started
   * again: it cannot know what is on it.
   */
  failDisk(failure: DiskFailure = {}): void {
    this.#disk.fail(failure)
  }

  /** Ends whatever `slowDisk`, `stallDisk`, `fullDisk` and `failDisk` began. */
  healDisk(): void {
    this.#disk.heal()
  }

  /** @param handsOver - Whether others are to lead before it goes. */
  async close(handsOver: boolean): Promise<void> {
    const broker = this.#broker
    this.#broker = null
    this.#failure = null
    this.#gate.open()
    if (!handsOver) this.#disk.heal()
    await broker?.close({ handsOver })
  }
}
