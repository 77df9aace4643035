/**
 * For the tests of other projects: a replicated cluster in the process of the test, in memory, with nothing to clean up.
 *
 * Its brokers are those that run in production, each with a disk in memory and a listener of its own; they elect a
 * controller, replicate to each other and take over from each other as processes on three machines would. Links between them,
 * disks and processes can be troubled; those of clients cannot, and time is real: `simulate()` has the rest.
 */
import type { Broker } from '../broker/broker.ts'
import type { ClientOptions } from '../client/client-options.ts'
import { Links } from '../env/memory/links.ts'
import { nodeEnv } from '../env/node/index.ts'
import { Client } from './client.ts'
import { IN_PROCESS_SUFFIX } from './in-process.ts'
import { startBrokerOn } from './start-broker.ts'
import { ClusterBroker } from './test-machine.ts'

export interface ClusterOptions {
  /** How many. Default 3. */
  readonly brokers?: number
  /** Settings of every broker by key, such as `{ 'num.partitions': '3' }`. */
  readonly settings?: Readonly<Record<string, string>>
  /** Where brokers stand, the first in the first of these and so on: their `broker.rack`. Default: nowhere. */
  readonly racks?: readonly string[]
  /** Whether to listen on TCP ports too. Default true. */
  readonly listens?: boolean
}

/** A broker of the cluster. */
export interface ClusterNode {
  readonly nodeId: number
  readonly isRunning: boolean
  /** `host:port` for any Kafka client; `ws://` in front of it for WebSocket. */
  readonly bootstrap: string
}

const TCP_LISTENER = 'any'
const IN_PROCESS_LISTENER = 'in-process'
const BROKERS = 3
const BROKERS_MAX = 9
const REPLICAS = 3

/**
 * Others take over sooner than in production, where a pause of seconds may be a busy machine: here all brokers pause
 * together.
 */
const QUICK: Readonly<Record<string, string>> = {
  'broker.session.timeout.ms': '2000',
  'broker.heartbeat.interval.ms': '200',
  'controller.quorum.fetch.timeout.ms': '800',
  'controller.quorum.election.timeout.ms': '100',
}

let startedCount = 0

export class Cluster {
  readonly #options: ClusterOptions
  /** In the order of their ids, from 1. */
  readonly brokers: readonly ClusterBroker[]
  readonly #hosts: readonly string[]
  /** Ports on loopback; absent before a broker's first start, the same ever after. */
  readonly #ports = new Map<ClusterBroker, number>()
  readonly #links: Links
  readonly #clusterId: string

  private constructor(options: ClusterOptions, count: number) {
    startedCount++
    const machine = nodeEnv()
    this.#options = options
    this.#clusterId = machine.random.uuid()
    this.#links = new Links(machine)
    const ids = Array.from({ length: count }, (_, index) => index + 1)
    this.#hosts = ids.map((nodeId) => `cluster-${startedCount}-${nodeId}${IN_PROCESS_SUFFIX}`)
    const host = {
      start: (broker: ClusterBroker) => this.#start(broker),
      links: this.#links,
      nameOf: (url: string) => {
        const index = this.#hosts.findIndex((name) => url.startsWith(urlOf(name)))
        return this.brokers[index]?.name ?? null
      },
    }
    this.brokers = ids.map((nodeId) => new ClusterBroker(nodeId, machine, host))
  }

  /** Starts a cluster; resolves when every broker serves and knows all others, some tenths of a second later. */
  static async start(options: ClusterOptions = {}): Promise<Cluster> {
    const { brokers = BROKERS } = options
    if (!Number.isInteger(brokers) || brokers < 1 || brokers > BROKERS_MAX)
      throw new Error(`Cannot start a cluster of ${brokers} brokers: wanted 1 to ${BROKERS_MAX}`)
    const cluster = new Cluster(options, brokers)
    try {
      await Promise.all(cluster.brokers.map((broker) => broker.start()))
      // Each knows of itself that it lives: the newest image has all of them.
      const running = cluster.brokers.flatMap(({ broker }) => broker ?? [])
      const endOffset = Math.max(...running.map(({ image }) => image.endOffset))
      await Promise.all(running.map((broker) => Promise.race([broker.inEffect(endOffset), broker.stopped])))
    } catch (error) {
      await cluster.close()
      throw error
    }
    return cluster
  }

  /** For clients of this process, without a socket. */
  get url(): string[] {
    return this.#hosts.map(urlOf)
  }

  /** `host:port,host:port,…` for any Kafka client. */
  get bootstrap(): string {
    return this.nodes.map(({ bootstrap }) => bootstrap).join(',')
  }

  get nodes(): readonly ClusterNode[] {
    return this.brokers.map((broker) => ({
      nodeId: broker.nodeId,
      isRunning: broker.isRunning,
      bootstrap: `127.0.0.1:${this.#ports.get(broker) ?? 0}`,
    }))
  }

  /** A client of this cluster; dispose of it, or of nothing: it goes with the process. */
  client(options: Partial<ClientOptions> = {}): Client {
    return new Client({ bootstrap: this.url, ...options })
  }

  /** @throws {Error} if there is no such broker. */
  broker(nodeId: number): ClusterBroker {
    const found = this.brokers.find((each) => each.nodeId === nodeId)
    if (found === undefined)
      throw new Error(`There is no broker ${nodeId}: wanted 1 to ${this.brokers.length}`)
    return found
  }

  /** The broker that leads a partition now, or null. */
  leaderOf(topic: string, partition = 0): number | null {
    // The one that knows most: another may not have heard of the last election yet.
    const images = this.brokers.flatMap(({ broker }) => (broker === null ? [] : [broker.image]))
    if (images.length === 0) return null
    const newest = images.reduce((a, b) => (b.endOffset > a.endOffset ? b : a))
    return newest.topicsByName.get(topic)?.partitions[partition]?.leader ?? null
  }

  /** Stops a broker cleanly: others lead before it goes. */
  async stop(nodeId: number): Promise<void> {
    await this.broker(nodeId).stop()
  }

  /** Ends a broker as a crash would: nobody is told, nothing is saved; others find out by its silence. */
  async kill(nodeId: number): Promise<void> {
    await this.broker(nodeId).kill()
  }

  /** Starts a broker with what its disk holds, after stopping it if it runs; resolves when it serves. */
  async restart(nodeId: number): Promise<void> {
    await this.broker(nodeId).restart()
  }

  /**
   * Cuts all links between brokers on the two sides, both ways: connections fall silent, and new ones cannot be made. Sides are
   * names of brokers, `b1` and so on; clients reach all of them all the time.
   */
  partition(side: readonly string[], other: readonly string[]): void {
    this.cut(side, other)
    this.cut(other, side)
  }

  /** Cuts the links one way: what `from` sends to `to` does not come. */
  cut(from: readonly string[], to: readonly string[]): void {
    for (const [a, b] of this.#pairs(from, to)) this.#links.cut(a, b)
  }

  /** What is sent between the two sides takes this long from now on, both ways, in ms: the least and the most. */
  delay(side: readonly string[], other: readonly string[], delayMs: readonly [number, number]): void {
    for (const [a, b] of [...this.#pairs(side, other), ...this.#pairs(other, side)])
      this.#links.delay(a, b, delayMs)
  }

  /** Ends all cuts and delays. What was sent meanwhile over a connection that still stands arrives now. */
  heal(): void {
    this.#links.heal()
  }

  /** Stops all brokers, whatever trouble they are in. */
  async close(): Promise<void> {
    this.heal()
    await Promise.all(this.brokers.map((broker) => broker.close(false)))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #start(at: ClusterBroker): Promise<Broker> {
    const { settings = {}, racks = [], listens = true } = this.#options
    const { nodeId } = at
    const replicas = Math.min(REPLICAS, this.brokers.length)
    const all = {
      ...QUICK,
      'node.id': String(nodeId),
      'cluster.id': this.#clusterId,
      listeners: [
        `${IN_PROCESS_LISTENER}=kafka://${this.#hosts[nodeId - 1]!}:1`,
        ...(listens ? [`${TCP_LISTENER}://127.0.0.1:${this.#ports.get(at) ?? 0}`] : []),
      ].join(','),
      'controller.quorum.voters': this.#hosts.map((host, index) => `${index + 1}@${host}:1`).join(','),
      'default.replication.factor': String(replicas),
      'min.insync.replicas': String(Math.max(1, replicas - 1)),
      'group.initial.rebalance.delay.ms': '0',
      'broker.rack': racks[nodeId - 1] ?? '',
      ...settings,
    }
    const broker = await startBrokerOn(
      {
        flags: new Map(Object.entries(all).map(([key, value]) => [key, { value, flag: `setting ${key}` }])),
        ephemeral: true,
        files: at.files,
        addressOf: (other) => urlOf(this.#hosts[this.broker(other).nodeId - 1]!),
        logLevel: 'error',
      },
      (env) => at.adapt(env),
    )
    this.#ports.set(at, broker.listeners.find(({ name }) => name === TCP_LISTENER)?.port ?? 0)
    return broker
  }

  /** All pairs of the two sides. @throws {Error} for a name that is none of a broker. */
  #pairs(side: readonly string[], other: readonly string[]): (readonly [string, string])[] {
    const names = this.brokers.map(({ name }) => name)
    for (const name of [...side, ...other])
      if (!names.includes(name))
        throw new Error(`There is no broker ${JSON.stringify(name)}: wanted ${names.join(', ')}`)
    return side.flatMap((a) => other.filter((b) => b !== a).map((b) => [a, b] as const))
  }
}

function urlOf(host: string): string {
  return `in-process://${host}`
}
