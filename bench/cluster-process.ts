/**
 * A cluster of three brokers, each in a process of its own, started as three machines would start them: with a list of
 * voters, a cluster id and a port that is known beforehand. They share the machine and its loopback.
 *
 * Figures of memory and CPU are sums over the three; pages that they share are counted each time.
 *
 * Invariant: broker `nodeId` is `brokers[nodeId - 1]`, on the same directory and port whenever it is started again.
 */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { BrokerProcess, type BrokerContext } from './broker-process.ts'
import { takeFreePorts } from './free-ports.ts'
import type { ResidentSet } from './process-stats.ts'
import type { Measured } from './usage.ts'

export const CLUSTER_SIZE = 3

export interface ClusterProcessOptions {
  /** Of the data of all brokers; created when missing. */
  readonly directory: string
  readonly settings?: Readonly<Record<string, string>>
}

export class ClusterProcess implements Measured {
  readonly who = 'brokers'
  readonly #context: BrokerContext
  readonly #options: ClusterProcessOptions
  readonly #ports: readonly number[]
  readonly #settings: Readonly<Record<string, string>>
  #brokers: BrokerProcess[] = []

  private constructor(context: BrokerContext, options: ClusterProcessOptions, ports: readonly number[]) {
    this.#context = context
    this.#options = options
    this.#ports = ports
    this.#settings = {
      'cluster.id': randomBytes(16).toString('base64url'),
      'controller.quorum.voters': ports.map((port, index) => `${index + 1}@127.0.0.1:${port}`).join(','),
      'default.replication.factor': String(CLUSTER_SIZE),
      'min.insync.replicas': String(CLUSTER_SIZE - 1),
      ...options.settings,
    }
  }

  /** Resolves when all three serve. @throws {Error} As `BrokerProcess.start`. */
  static async start(context: BrokerContext, options: ClusterProcessOptions): Promise<ClusterProcess> {
    const cluster = new ClusterProcess(context, options, await takeFreePorts(CLUSTER_SIZE))
    await cluster.startAgain()
    return cluster
  }

  /** Starts all three on their directories. @returns Ms from before the first process was made until all serve. */
  async startAgain(): Promise<number> {
    const startMs = performance.now()
    this.#brokers = await Promise.all(this.#ports.map((_, index) => this.#startBroker(index + 1)))
    return performance.now() - startMs
  }

  /** Starts one broker that ended on its directory. */
  async restart(nodeId: number): Promise<void> {
    this.#brokers[nodeId - 1] = await this.#startBroker(nodeId)
  }

  get brokers(): readonly BrokerProcess[] {
    return this.#brokers
  }

  get(nodeId: number): BrokerProcess {
    const broker = this.#brokers[nodeId - 1]
    if (broker === undefined) throw new Error(`Looked up broker ${nodeId}: wanted 1 to ${CLUSTER_SIZE}`)
    return broker
  }

  /** Of all brokers, for TCP: `host:port,…`. */
  get bootstrap(): string {
    return this.#brokers.map(({ bootstrap }) => bootstrap).join(',')
  }

  /** Of all brokers: `ws://host:port,…`. */
  get url(): string {
    return this.#brokers.map(({ url }) => url).join(',')
  }

  findCpuMs(): number | null {
    return sum(this.#brokers.map((broker) => broker.findCpuMs()))
  }

  findResidentSet(): ResidentSet | null {
    const sets = this.#brokers.map((broker) => broker.findResidentSet())
    const bytes = sum(sets.map((set) => set?.bytes ?? null))
    // The peaks need not have been at one time: their sum is the safe side.
    const peakBytes = sum(sets.map((set) => set?.peakBytes ?? null))
    return bytes === null || peakBytes === null ? null : { bytes, peakBytes }
  }

  resetPeak(): void {
    for (const broker of this.#brokers) broker.resetPeak()
  }

  /** Ends all of them as Ctrl-C does. */
  async stop(): Promise<void> {
    await Promise.all(this.#brokers.map((broker) => broker.stop()))
  }

  #startBroker(nodeId: number): Promise<BrokerProcess> {
    return BrokerProcess.start(this.#context, {
      directory: join(this.#options.directory, `broker-${nodeId}`),
      port: this.#ports[nodeId - 1]!,
      settings: { ...this.#settings, 'node.id': String(nodeId) },
    })
  }
}

function sum(values: readonly (number | null)[]): number | null {
  return values.reduce<number | null>(
    (total, value) => (total === null || value === null ? null : total + value),
    0,
  )
}
