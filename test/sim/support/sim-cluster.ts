/**
 * A whole cluster on simulated machines in one network: real brokers, each controller and broker in one, and real clients.
 *
 *   b1:9092  b2:9092  b3:9092 …     every one a voter of the metadata quorum; directory /data on a disk of its own
 *   any other name                  a client's machine
 *
 * Time-outs are short, so that much happens in little virtual time; their proportions are those of the defaults.
 */
import { Broker } from '../../../src/broker/broker.ts'
import { loadBrokerConfig } from '../../../src/broker/broker-config.ts'
import { Client } from '../../../src/client/client.ts'
import type { ClientOptions } from '../../../src/client/client-options.ts'
import type { Env, LogFields, Logger } from '../../../src/env/index.ts'
import { MemoryFileSystem } from '../../../src/env/memory/memory-file-system.ts'
import { newDirectory } from '../../../src/env/sim/disk-image.ts'
import type { SimNode } from '../../../src/env/sim/sim-node.ts'
import { Simulation } from '../../../src/env/sim/simulation.ts'
import type { ClusterImage, PartitionImage } from '../../../src/metadata/cluster-image.ts'
import type { ApiName, RequestInputOf, ResponseOf } from '../../../src/protocol/apis.ts'
import { RawClient } from '../../support/raw-client.ts'

export const DIRECTORY = '/data'
export const PORT = 9092
export const CLUSTER_ID = 'simulated-cluster-0001'
export const SESSION_MS = 1500
/** Within this everything that a test waits for must have happened, in virtual ms. */
export const PATIENCE_MS = 60_000

/** A minute of a busy cluster has a tenth of this: more is somebody who asks again without a pause. */
const EVENTS_MAX = 3_000_000

export type Settings = Readonly<Record<string, string>>
export type Death = 'close' | 'crash' | 'power cut'

const SETTINGS: Settings = {
  'cluster.id': CLUSTER_ID,
  'cluster.secret': 'what the nodes of it know',
  'broker.session.timeout.ms': String(SESSION_MS),
  'broker.heartbeat.interval.ms': '300',
  'replica.lag.time.max.ms': '1000',
  'controller.quorum.election.timeout.ms': '150',
  'controller.quorum.fetch.timeout.ms': '600',
  'default.replication.factor': '3',
  'min.insync.replicas': '2',
}

export interface SimClusterOptions {
  readonly seed?: number | string
  readonly brokers?: number
  readonly settings?: Settings
  readonly keepsTrace?: boolean
}

/** A line that a node has logged. */
export interface Said {
  readonly atMs: number
  readonly node: string
  readonly level: keyof Logger
  readonly message: string
  readonly fields: LogFields
}

/** One broker's machine, through all its lives. */
export class Host {
  readonly id: number
  readonly node: SimNode
  /** While it serves. */
  broker: Broker | null = null
  /** Settles with this life's start. */
  starting: Promise<Broker> | null = null
  /** Why the last start failed, or why the broker stopped by itself. */
  failure: Error | null = null
  isClosing = false

  constructor(id: number, node: SimNode) {
    this.id = id
    this.node = node
  }

  get name(): string {
    return this.node.name
  }
}

export class SimCluster {
  readonly simulation: Simulation
  readonly hosts: readonly Host[]
  /** Everything logged but debug lines. */
  readonly said: Said[] = []
  /** A broker that stopped by itself, or could not start, is started again after this long, in ms; null: it is not. */
  restartMs: number | null = null
  readonly settings: Settings

  constructor(options: SimClusterOptions = {}) {
    const { seed = 'cluster', brokers = 3, keepsTrace = false } = options
    this.simulation = new Simulation({ seed, keepsTrace, logger: this.#recorder(), eventsMax: EVENTS_MAX })
    const voters = Array.from({ length: brokers }, (_, index) => `${index + 1}@b${index + 1}:${PORT}`)
    this.settings = { ...SETTINGS, 'controller.quorum.voters': voters.join(','), ...options.settings }
    this.hosts = voters.map((_, index) => new Host(index + 1, this.simulation.node(`b${index + 1}`)))
    for (const { node } of this.hosts) node.disk.prepareDirectory(DIRECTORY)
  }

  /** A cluster of which every broker serves. */
  static async start(options: SimClusterOptions = {}): Promise<SimCluster> {
    const cluster = new SimCluster(options)
    await cluster.begun()
    return cluster
  }

  /** Starts all brokers; resolves when they serve. */
  async begun(): Promise<void> {
    await this.run(Promise.all(this.hosts.map((host) => this.begin(host))))
  }

  host(id: number): Host {
    return this.hosts[id - 1]!
  }

  /** Starts the broker in the present life of its machine; resolves when it serves. */
  begin(host: Host, settings: Settings = {}): Promise<Broker> {
    host.isClosing = false
    host.failure = null
    const { generation } = host.node
    const isStill = (): boolean => host.node.generation === generation && host.node.isUp
    const starting = startBroker(host.node.env, host.id, { ...this.settings, ...settings })
    host.starting = starting
    const failed = (error: Error): void => {
      host.broker = null
      host.failure = error
      if (this.restartMs !== null && isStill() && !host.isClosing)
        this.simulation.schedule(this.restartMs, `${host.name} started again`, () => {
          if (isStill()) void this.revive(host)
        })
    }
    starting.then(
      (broker) => {
        if (!isStill()) return
        host.broker = broker
        void broker.stopped.then((error) => {
          if (error !== null && isStill()) failed(error)
        })
      },
      (error: unknown) => {
        if (isStill()) failed(error as Error)
      },
    )
    return starting
  }

  /** Ends this life of a broker; a clean one takes its time. */
  async end(host: Host, how: Death): Promise<void> {
    if (how === 'close' && host.broker !== null) {
      host.isClosing = true
      const { broker, node } = host
      const { generation } = node
      await broker.close().catch(() => undefined)
      if (node.generation !== generation) return
    }
    this.kill(host, how === 'power cut' ? how : 'crash')
  }

  kill(host: Host, how: Exclude<Death, 'close'>): void {
    host.broker = null
    host.starting = null
    if (how === 'power cut') host.node.powerCut()
    else host.node.crash()
  }

  /** Begins the next life of a machine and of the broker on it, whatever became of the last one. */
  revive(host: Host, settings: Settings = {}): Promise<Broker> {
    if (host.node.isUp) this.kill(host, 'crash')
    host.node.restart()
    const starting = this.begin(host, settings)
    starting.catch(() => undefined)
    return starting
  }

  async restart(host: Host, how: Death, settings: Settings = {}): Promise<Broker> {
    await this.run(this.end(host, how))
    return this.run(this.revive(host, settings))
  }

  /** Nothing is left of the disk (docs/faults.md F-DISK). The machine must be off. */
  wipe(host: Host): void {
    const { image } = host.node.disk
    image.root = newDirectory(this.simulation.nowMs)
    host.node.disk.prepareDirectory(DIRECTORY)
  }

  /** Lets the world go on until the goal is reached. */
  run<T>(goal: Promise<T> | (() => boolean), limitMs = PATIENCE_MS): Promise<T> {
    return this.simulation.runUntil(goal, limitMs)
  }

  pass(ms: number): Promise<void> {
    return this.simulation.run(this.simulation.nowMs + ms)
  }

  /** A client on a machine of its own. */
  client(name: string, options: Partial<ClientOptions> = {}): Client {
    return new Client(this.simulation.env(name), {
      bootstrap: this.hosts.map((host) => `${host.name}:${PORT}`),
      clientId: name,
      requestTimeoutMs: 2000,
      connectTimeoutMs: 500,
      retryBackoffMs: 20,
      retryBackoffMaxMs: 200,
      ...options,
    })
  }

  async rawClient(host: Host, name = 'raw'): Promise<RawClient> {
    return new RawClient(
      await this.run(
        this.simulation.env(name).network.connect(`tcp://${host.name}:${PORT}`, {
          timeoutMs: 5000,
          messageBytesMax: 2 ** 27,
          sendHighWaterBytes: 2 ** 20,
        }),
      ),
    )
  }

  /** One request to one broker, on a connection of its own. */
  async call<A extends ApiName>(
    host: Host,
    api: A,
    version: number,
    body: RequestInputOf<A>,
  ): Promise<ResponseOf<A>> {
    const client = await this.rawClient(host)
    const answer = await this.run(client.call(api, version, body))
    client.close()
    return answer
  }

  /** The voters of the metadata quorum, as any broker tells. */
  async describeQuorum(): Promise<{ readonly voters: readonly number[] }> {
    const topics = [{ topicName: '__cluster_metadata', partitions: [{ partitionIndex: 0 }] }]
    const answer = await this.call(this.hosts[0]!, 'DescribeQuorum', 2, { topics })
    const { currentVoters } = answer.topics[0]!.partitions[0]!
    return { voters: currentVoters.map(({ replicaId }) => replicaId) }
  }

  /** Creates a topic as the first broker that can does it. */
  async createTopic(
    name: string,
    options: {
      readonly partitions?: number
      readonly replicationFactor?: number
      readonly assignments?: readonly (readonly number[])[]
      readonly configs?: Settings
    } = {},
  ): Promise<void> {
    const client = this.client('creator')
    await this.run(client.admin().createTopics([{ name, ...options }]))
    await this.run(client.close())
  }

  /** The newest image that is in effect on any broker that serves. */
  get image(): ClusterImage {
    let newest: ClusterImage | null = null
    for (const { broker } of this.hosts)
      if (broker !== null && (newest === null || broker.image.endOffset > newest.endOffset))
        newest = broker.image
    if (newest === null) throw new Error('No broker serves')
    return newest
  }

  get hasImage(): boolean {
    return this.hosts.some(({ broker }) => broker !== null)
  }

  partition(topic: string, index = 0): PartitionImage {
    const found = this.image.topicsByName.get(topic)?.partitions[index]
    if (found === undefined) throw new Error(`No broker has ${topic}-${index}`)
    return found
  }

  /** Who leads a partition, by the newest image. */
  leader(topic: string, index = 0): Host | null {
    const { leader } = this.partition(topic, index)
    return leader === null ? null : this.host(leader)
  }

  /** The node that decides: the last that said so and has not taken it back or died. */
  get controller(): Host | null {
    for (let index = this.said.length - 1; index >= 0; index--) {
      const { message, node, atMs } = this.said[index]!
      if (message !== 'Controller is active') continue
      const isOver = this.said
        .slice(index + 1)
        .some((later) => later.node === node && later.message === 'Controller is inactive')
      const host = this.hosts.find(({ name }) => name === node)!
      return isOver || !host.node.isUp || atMs > this.simulation.nowMs ? null : host
    }
    return null
  }

  /** Whether every broker serves and every partition has its preferred number of replicas in sync, on all brokers. */
  get isWhole(): boolean {
    const { hosts } = this
    if (hosts.some(({ broker }) => broker === null || broker.unreadiness().length > 0)) return false
    const ends = new Set(hosts.map(({ broker }) => broker!.image.endOffset))
    if (ends.size > 1) return false
    for (const topic of this.image.topicsByName.values())
      for (const { isr, leader, replicas } of topic.partitions)
        if (leader === null || isr.length < replicas.length) return false
    return true
  }

  untilWhole(limitMs = PATIENCE_MS): Promise<void> {
    return this.run(() => this.isWhole, limitMs)
  }

  /** What was said since, by level; for tests that nothing was. */
  saidSince(atMs: number, levels: readonly (keyof Logger)[] = ['warn', 'error']): readonly Said[] {
    return this.said.filter((each) => each.atMs >= atMs && levels.includes(each.level))
  }

  /** The state of it all, for the message of a failure. */
  describe(): string {
    const hosts = this.hosts.map(({ name, node, broker, failure }) => {
      const state = !node.isUp ? 'down' : node.isPaused ? 'paused' : broker === null ? 'starting' : 'up'
      const why = broker?.unreadiness().join('; ') ?? failure?.message ?? ''
      return `${name}: ${state} ${broker === null ? '' : `image ${broker.image.endOffset}`} ${why}`
    })
    const partitions = this.hasImage
      ? [...this.image.topicsByName.values()].flatMap(({ name, partitions: all }) =>
          all.map((each, index) => {
            const { leader, leaderEpoch, isr, replicas, eligibleLeaderReplicas: elr } = each
            return `${name}-${index}: leader ${leader} in ${leaderEpoch}, isr ${isr.join()} of ${replicas.join()}, elr ${elr.join()}`
          }),
        )
      : []
    return [...hosts, `controller ${this.controller?.name}`, ...partitions].join('\n')
  }

  /** The last lines of the logs. */
  tail(count = 40): string {
    return this.said.slice(-count).map(formatSaid).join('\n')
  }

  #recorder(): Logger {
    const at =
      (level: keyof Logger) =>
      (message: string, fields: LogFields = {}) => {
        const { node, virtualMs, ...rest } = fields
        this.said.push({ atMs: Number(virtualMs), node: String(node), level, message, fields: rest })
      }
    return { debug: () => undefined, info: at('info'), warn: at('warn'), error: at('error') }
  }
}

export function formatSaid({ atMs, node, level, message, fields }: Said): string {
  const told = Object.entries(fields).map(([key, value]) =>
    value instanceof Error ? `${key}=${value.message}` : `${key}=${JSON.stringify(value)}`,
  )
  return `${atMs.toFixed(3)} ${node} ${level} ${message} ${told.join(' ')}`
}

export function startBroker(env: Env, nodeId: number, settings: Settings): Promise<Broker> {
  const flags = new Map(
    Object.entries({ listeners: `any://b${nodeId}:${PORT}`, 'node.id': String(nodeId), ...settings }).map(
      ([key, value]) => [key, { value, flag: `--${key}` }],
    ),
  )
  return Broker.start(env, {
    config: loadBrokerConfig({ flags }),
    directory: DIRECTORY,
    memoryFiles: new MemoryFileSystem(env),
  })
}
