/**
 * For the tests of other projects: a replicated cluster in the process of the test, in memory, with nothing to clean up.
 *
 * Its brokers are those that run in production, each with a disk in memory and a listener of its own; they elect a
 * controller, replicate to each other and take over from each other as processes on three machines would.
 */
import type { Broker } from '../broker/broker.ts'
import type { ClientOptions } from '../client/client-options.ts'
import { MemoryFileSystem } from '../env/memory/memory-file-system.ts'
import { nodeEnv } from '../env/node/index.ts'
import { Client } from './client.ts'
import { IN_PROCESS_SUFFIX } from './in-process.ts'
import { startBroker } from './start-broker.ts'

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

interface Seat {
  readonly nodeId: number
  readonly host: string
  readonly files: MemoryFileSystem
  broker: Broker | null
  /** Port on loopback; 0 before the first start, the same ever after. */
  port: number
}

export class Cluster {
  readonly #options: ClusterOptions
  readonly #seats: readonly Seat[]
  readonly #clusterId: string

  private constructor(options: ClusterOptions, seats: readonly Seat[], clusterId: string) {
    this.#options = options
    this.#seats = seats
    this.#clusterId = clusterId
  }

  /** Starts a cluster; resolves when every broker serves, some tenths of a second later. */
  static async start(options: ClusterOptions = {}): Promise<Cluster> {
    const { brokers = BROKERS } = options
    if (!Number.isInteger(brokers) || brokers < 1 || brokers > BROKERS_MAX)
      throw new Error(`Cannot start a cluster of ${brokers} brokers: wanted 1 to ${BROKERS_MAX}`)
    startedCount++
    const machine = nodeEnv()
    const seats = Array.from({ length: brokers }, (_, index): Seat => ({
      nodeId: index + 1,
      host: `cluster-${startedCount}-${index + 1}${IN_PROCESS_SUFFIX}`,
      files: new MemoryFileSystem(machine),
      broker: null,
      port: 0,
    }))
    const cluster = new Cluster(options, seats, machine.random.uuid())
    try {
      await Promise.all(seats.map((seat) => cluster.#start(seat)))
    } catch (error) {
      await cluster.close()
      throw error
    }
    return cluster
  }

  /** For clients of this process, without a socket. */
  get url(): string[] {
    return this.#seats.map(({ host }) => `in-process://${host}`)
  }

  /** `host:port,host:port,…` for any Kafka client. */
  get bootstrap(): string {
    return this.nodes.map(({ bootstrap }) => bootstrap).join(',')
  }

  get nodes(): readonly ClusterNode[] {
    return this.#seats.map(({ nodeId, broker, port }) => ({
      ...{ nodeId, isRunning: broker !== null, bootstrap: `127.0.0.1:${port}` },
    }))
  }

  /** A client of this cluster; dispose of it, or of nothing: it goes with the process. */
  client(options: Partial<ClientOptions> = {}): Client {
    return new Client({ bootstrap: this.url, ...options })
  }

  /** The broker that leads a partition now, or null. */
  leaderOf(topic: string, partition: number): number | null {
    // The one that knows most: another may not have heard of the last election yet.
    const images = this.#seats.flatMap(({ broker }) => (broker === null ? [] : [broker.image]))
    const newest = images.reduce((a, b) => (b.endOffset > a.endOffset ? b : a))
    return newest.topicsByName.get(topic)?.partitions[partition]?.leader ?? null
  }

  /** Stops a broker cleanly: others lead before it goes. */
  async stop(nodeId: number): Promise<void> {
    const seat = this.#seatOf(nodeId)
    const { broker } = seat
    seat.broker = null
    await broker?.close()
  }

  /** Ends a broker as a crash would: nobody is told, nothing is saved; others find out by its silence. */
  async kill(nodeId: number): Promise<void> {
    const seat = this.#seatOf(nodeId)
    const { broker } = seat
    seat.broker = null
    await broker?.kill()
  }

  /** Starts a broker again that was stopped or killed, with what its disk holds; resolves when it serves. */
  async restart(nodeId: number): Promise<void> {
    const seat = this.#seatOf(nodeId)
    if (seat.broker === null) await this.#start(seat)
  }

  /** Stops all brokers. */
  async close(): Promise<void> {
    const brokers = this.#seats.flatMap(({ broker }) => (broker === null ? [] : [broker]))
    for (const seat of this.#seats) seat.broker = null
    await Promise.all(brokers.map((broker) => broker.close({ handsOver: false })))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #start(seat: Seat): Promise<void> {
    const { settings = {}, racks = [], listens = true } = this.#options
    const replicas = Math.min(REPLICAS, this.#seats.length)
    const all = {
      ...QUICK,
      'node.id': String(seat.nodeId),
      'cluster.id': this.#clusterId,
      listeners: [
        `${IN_PROCESS_LISTENER}=kafka://${seat.host}:1`,
        ...(listens ? [`${TCP_LISTENER}://127.0.0.1:${seat.port}`] : []),
      ].join(','),
      'controller.quorum.voters': this.#seats.map(({ nodeId, host }) => `${nodeId}@${host}:1`).join(','),
      'default.replication.factor': String(replicas),
      'min.insync.replicas': String(Math.max(1, replicas - 1)),
      'group.initial.rebalance.delay.ms': '0',
      'broker.rack': racks[seat.nodeId - 1] ?? '',
      ...settings,
    }
    const broker = await startBroker({
      flags: new Map(Object.entries(all).map(([key, value]) => [key, { value, flag: `setting ${key}` }])),
      ephemeral: true,
      files: seat.files,
      addressOf: (nodeId) => `in-process://${this.#seatOf(nodeId).host}`,
      logLevel: 'error',
    })
    seat.port = broker.listeners.find(({ name }) => name === TCP_LISTENER)?.port ?? 0
    seat.broker = broker
  }

  #seatOf(nodeId: number): Seat {
    const seat = this.#seats.find((each) => each.nodeId === nodeId)
    if (seat === undefined) throw new Error(`There is no broker ${nodeId}: wanted 1 to ${this.#seats.length}`)
    return seat
  }
}
