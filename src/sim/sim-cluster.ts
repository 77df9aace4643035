/**
 * A whole cluster on simulated machines in one network: real brokers, each controller and broker in one, and real clients.
 *
 *   b1:9092  b2:9092  b3:9092 …     every one a voter of the metadata quorum; directory /data on a disk of its own
 *   any other name                  a client's machine
 *
 * What `millrace/testing` gives to users (world.ts) and the project's own simulations stand on.
 */
import type { Broker } from '../broker/broker.ts'
import { Client } from '../client/client.ts'
import type { ClientOptions } from '../client/client-options.ts'
import type { Logger } from '../env/index.ts'
import { newDirectory } from '../env/sim/disk-image.ts'
import type { PowerCutModes } from '../env/sim/disk-image.ts'
import { Simulation } from '../env/sim/simulation.ts'
import type { ClusterImage, PartitionImage } from '../metadata/cluster-image.ts'
import type { Leavings } from './leavings.ts'
import { isNothingLeft, leavingsOf } from './leavings.ts'
import type { Said } from './said.ts'
import { formatSaid, keepSaid } from './said.ts'
import type { Death, Settings } from './sim-host.ts'
import { DIRECTORY, Host, PORT, startBroker } from './sim-host.ts'
import type { Ended } from './sim-host.ts'

export const CLUSTER_ID = 'simulated-cluster-0001'
/** Within this everything that is waited for must have happened, in virtual ms, unless the caller says more. */
export const PATIENCE_MS = 60_000
/** Brokers of a cluster unless the caller says otherwise, and replicas of a topic if there are as many brokers. */
const BROKERS = 3
const REPLICAS = 3

/** A process that has closed everything ends within this, in virtual ms: it is what the command gives it (cli/main.ts). */
const END_MS = 5000
const END_STEP_MS = 50

export interface SimClusterOptions {
  readonly seed?: number | string
  /** How many. Default 3. */
  readonly brokers?: number
  /** Settings of every broker. */
  readonly settings?: Settings
  /** Keeps a line for each event, for comparing two runs. */
  readonly keepsTrace?: boolean
  /** Events after which a run is taken to be without end. Default: many million. */
  readonly eventsMax?: number
  /** Wall clock of every machine at the start, ms since the Unix epoch. Default: the first instant of 2026, UTC. */
  readonly startWallMs?: number
}

export class SimCluster {
  readonly simulation: Simulation
  /** Everything logged but debug lines. */
  readonly said: Said[] = []
  /** Are told every line as it is logged. */
  readonly listeners: ((line: Said) => void)[] = []
  /** What held the process of a broker that was closed for too long: a leak, each. */
  readonly held: Leavings[] = []
  /** A broker that stopped by itself, or could not start, is started again after this long, in ms; null: it is not. */
  restartMs: number | null = null
  /** The starts that failed, and the brokers that stopped by themselves. */
  readonly ended: Ended[] = []
  readonly settings: Settings
  /** The image that `isWhole` looked at last, and what it found there. */
  #judgedImage: ClusterImage | null = null
  #isFullImage = false
  /** Those that were retired among them, by id from 1. */
  readonly #hosts: Host[] = []
  readonly #retired = new Set<Host>()

  constructor(options: SimClusterOptions = {}) {
    const { seed = 'cluster', brokers = BROKERS, keepsTrace = false, eventsMax, startWallMs } = options
    this.simulation = new Simulation({
      ...{ seed, keepsTrace, logger: keepSaid(this.said, this.listeners) },
      ...(eventsMax === undefined ? {} : { eventsMax }),
      ...(startWallMs === undefined ? {} : { startWallMs }),
    })
    const voters = Array.from({ length: brokers }, (_, index) => `${index + 1}@b${index + 1}:${PORT}`)
    const replicas = Math.min(REPLICAS, brokers)
    this.settings = {
      'cluster.id': CLUSTER_ID,
      'cluster.secret': 'what the nodes of it know',
      'default.replication.factor': String(replicas),
      'min.insync.replicas': String(Math.max(1, replicas - 1)),
      'controller.quorum.voters': voters.join(','),
      ...options.settings,
    }
    for (let count = 0; count < brokers; count++) this.addHost()
  }

  /** The machines that belong to the cluster, up or down. */
  get hosts(): readonly Host[] {
    return this.#retired.size === 0 ? this.#hosts : this.#hosts.filter((host) => !this.#retired.has(host))
  }

  /** One more machine, with an empty disk; its broker is to be begun. It has no vote. */
  addHost(): Host {
    const id = this.#hosts.length + 1
    const host = new Host(id, this.simulation.node(`b${id}`))
    host.node.disk.prepareDirectory(DIRECTORY)
    this.#hosts.push(host)
    return host
  }

  /** Takes a machine out of the cluster for good: its broker has been decommissioned, and stops. */
  retire(host: Host): void {
    this.#retired.add(host)
    this.kill(host, 'crash')
  }

  /** Starts all brokers; resolves when they serve. */
  async begun(): Promise<void> {
    await this.run(Promise.all(this.hosts.map((host) => this.begin(host))))
  }

  host(id: number): Host {
    return this.#hosts[id - 1]!
  }

  /** Starts the broker in the present life of its machine; resolves when it serves. */
  begin(host: Host, settings: Settings = {}): Promise<Broker> {
    host.isClosing = false
    host.failure = null
    const { generation } = host.node
    const isStill = (): boolean => host.node.generation === generation && host.node.isUp
    const starting = startBroker(host.node.env, host.id, { ...this.settings, ...host.settings, ...settings })
    host.starting = starting
    const failed = (error: Error): void => {
      host.broker = null
      host.failure = error
      this.ended.push({ node: host.name, error })
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
      if (node.generation === generation) await this.#letGo(host)
      if (node.generation !== generation) return
    }
    this.kill(host, how === 'power cut' ? how : 'crash')
  }

  /** A process that has closed everything ends when nothing holds it. */
  async #letGo({ node }: Host): Promise<void> {
    const { generation } = node
    for (let waitedMs = 0; waitedMs < END_MS;) {
      if (!node.isUp || node.generation !== generation || isNothingLeft(leavingsOf(node))) return
      await new Promise<void>((resolve) =>
        this.simulation.schedule(END_STEP_MS, 'a look at what is left', resolve),
      )
      if (!node.isPaused) waitedMs += END_STEP_MS
    }
    this.held.push(leavingsOf(node))
  }

  /** @param modes - What a power cut leaves of what was not synced; default: drawn from the seed. */
  kill(host: Host, how: Exclude<Death, 'close'>, modes: PowerCutModes = {}): void {
    host.broker = null
    host.starting = null
    if (how === 'power cut') host.node.powerCut(modes)
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
    image.replace(newDirectory(this.simulation.nowMs))
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
      ...options,
    })
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
      const host = this.#hosts.find(({ name }) => name === node)!
      return isOver || !host.node.isUp || atMs > this.simulation.nowMs ? null : host
    }
    return null
  }

  /** Whether every broker serves and every partition has its preferred number of replicas in sync, on all brokers. */
  get isWhole(): boolean {
    // Whoever waits for it asks after every event: what is soonest told comes first.
    const { hosts } = this
    const end = hosts[0]?.broker?.image.endOffset
    for (const { broker } of hosts) if (broker === null || broker.image.endOffset !== end) return false
    if (this.image !== this.#judgedImage) {
      this.#judgedImage = this.image
      this.#isFullImage = isFull(this.image)
    }
    return this.#isFullImage && hosts.every(({ broker }) => broker!.unreadiness().length === 0)
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
}

/** Whether every partition has its preferred number of replicas in sync. */
function isFull({ topicsByName }: ClusterImage): boolean {
  for (const topic of topicsByName.values())
    for (const { isr, leader, replicas } of topic.partitions)
      if (leader === null || isr.length < replicas.length) return false
  return true
}
