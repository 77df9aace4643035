/** A broker of a world and the machine it runs on, with what may become of them. */
import type { DiskFailure, DiskOperation, DiskSlowness } from '../env/memory/troubled-files.ts'
import { failing, SLOW_DISK } from '../env/memory/troubled-files.ts'
import type { PowerCutModes } from '../env/sim/disk-image.ts'
import type { DiskOperationKind } from '../env/sim/sim-disk.ts'
import { USUAL_LATENCY } from '../env/sim/sim-disk.ts'
import type { Host } from './sim-host.ts'
import type { SimCluster } from './sim-cluster.ts'
import type { VirtualTime } from './virtual-time.ts'
import { WorldError, checkNumber } from './world-error.ts'

/** `up`: it serves. `starting`: it waits for the rest of the cluster. `failed`: it stopped by itself. `down`: killed. */
export type BrokerState = 'up' | 'starting' | 'paused' | 'failed' | 'down'

const VOLUME_BYTES = 2 ** 40

const KINDS: Readonly<Record<DiskOperation, readonly DiskOperationKind[]>> = {
  read: ['read'],
  write: ['create', 'append', 'truncate'],
  sync: ['sync', 'sync-directory'],
}

export class WorldBroker {
  readonly nodeId: number
  /** Of its machine: `b1` for broker 1. */
  readonly name: string
  readonly #cluster: SimCluster
  readonly #host: Host
  readonly #time: VirtualTime
  #healers: (() => void)[] = []

  constructor(cluster: SimCluster, host: Host, time: VirtualTime) {
    this.nodeId = host.id
    this.name = host.name
    this.#cluster = cluster
    this.#host = host
    this.#time = time
  }

  get state(): BrokerState {
    const { node, broker, failure } = this.#host
    if (!node.isUp) return 'down'
    if (node.isPaused) return 'paused'
    if (broker !== null) return 'up'
    return failure === null ? 'starting' : 'failed'
  }

  /** Whether it serves, or would if it were not paused. */
  get isRunning(): boolean {
    return this.#host.broker !== null
  }

  /** Why it stopped by itself, or could not start; null if it did not. */
  get failure(): Error | null {
    return this.#host.failure
  }

  /** `kill -9`: nobody is told but by the reset of its connections; what it wrote is in the page cache still. */
  kill(): void {
    this.#time.checkOpen()
    this.#cluster.kill(this.#host, 'crash')
  }

  /**
   * The machine loses its power: connections fall silent, and of what was not synced only what the modes say is left.
   *
   * @param modes - Default: drawn from the seed.
   */
  powerCut(modes: PowerCutModes = {}): void {
    this.#time.checkOpen()
    this.#cluster.kill(this.#host, 'power cut', modes)
  }

  /** Stops it cleanly: others lead before it goes. Resolves when it has stopped. */
  async stop(): Promise<void> {
    await this.#time.run(() => this.#cluster.end(this.#host, 'close'))
  }

  /**
   * Starts it again with what its disk holds; one that runs is stopped cleanly first. Resolves when it serves, for which
   * it needs a majority of the brokers: start several at a time with `Promise.all`.
   *
   * @throws What its start fails with, such as {LogError} for a damaged disk; {WorldError} `WORLD_TIMED_OUT`.
   */
  async restart(): Promise<void> {
    const { node, broker } = this.#host
    await this.#time.run(async () => {
      if (broker !== null && !node.isPaused) await this.#cluster.end(this.#host, 'close')
      await this.#cluster.revive(this.#host)
    })
  }

  /** Stops its process as `SIGSTOP` or a stalled virtual machine does: what comes meanwhile waits for `resume`. */
  pause(): void {
    this.#time.checkOpen()
    this.#host.node.pause()
  }

  resume(): void {
    this.#time.checkOpen()
    this.#host.node.resume()
  }

  /** Its disk takes long from now on, by default a hundred times as long as a good one. */
  slowDisk({ readMs, writeMs, syncMs }: DiskSlowness = {}): void {
    this.#host.node.disk.latency = {
      ...USUAL_LATENCY,
      read: checkRange('readMs', readMs ?? SLOW_DISK.readMs),
      write: checkRange('writeMs', writeMs ?? SLOW_DISK.writeMs),
      sync: checkRange('syncMs', syncMs ?? SLOW_DISK.syncMs),
    }
  }

  /** Its disk answers nothing from now on, neither well nor badly. */
  stallDisk(): void {
    this.#host.node.disk.stall()
  }

  /** Its disk has room for `freeBytes` more from now on. What removed files give back can be used. */
  fullDisk(freeBytes = 0): void {
    this.#host.node.disk.freeBytes = checkNumber('freeBytes', freeBytes, 0, VOLUME_BYTES)
  }

  /**
   * Operations of its disk fail from now on. A broker whose write or sync failed stops using that disk until it is started
   * again: it cannot know what is on it.
   */
  failDisk(failure: DiskFailure = {}): void {
    const fails = failing(failure)
    for (const operation of ['read', 'write', 'sync'] as const)
      for (const kind of KINDS[operation])
        this.#healers.push(
          this.#host.node.disk.fail({ kind, isSticky: true, path: (path) => fails(operation, path) }),
        )
  }

  /** Ends whatever `slowDisk`, `stallDisk`, `fullDisk` and `failDisk` began. */
  healDisk(): void {
    const { disk } = this.#host.node
    disk.latency = USUAL_LATENCY
    disk.freeBytes = VOLUME_BYTES
    disk.unstall()
    for (const heal of this.#healers) heal()
    this.#healers = []
  }

  /** Nothing is left of its disk, as if it had been replaced. It must be down: kill it first. */
  wipeDisk(): void {
    if (this.#host.node.isUp)
      throw new WorldError(
        'WORLD_BAD_ARGUMENT',
        `Cannot wipe the disk of broker ${this.nodeId}: it is ${this.state}; call kill() first`,
      )
    this.#cluster.wipe(this.#host)
  }

  /** Moves its wall clock by `ms`, back if negative. Timers keep their time. */
  jumpClock(ms: number): void {
    this.#host.node.time.jumpWall(ms)
  }

  /** Makes its clock go fast, or slow if negative, by parts per million, up to 500,000. */
  driftClock(ppm: number): void {
    this.#host.node.time.setDrift(checkNumber('the drift of a clock', ppm, -500_000, 500_000))
  }
}

function checkRange(name: string, [low, high]: readonly [number, number]): readonly [number, number] {
  return [checkNumber(`the least of ${name}`, low, 0), checkNumber(`the most of ${name}`, high, low)]
}
