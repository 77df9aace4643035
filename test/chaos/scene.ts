/**
 * A cluster of real processes under load, and what may be done to its brokers. Every broker has, where this machine allows it, a
 * disk of its own; every connection leads over a proxy of ours. A broker is down only when somebody here took it down: one
 * that ends by itself ends the run.
 *
 *   producers: ours over TCP and WebSocket, kafkajs, librdkafka   ──> brokers, 3 or 5 ──>   followers, a group
 */
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Client } from '../../src/index.ts'
import type { BrokerProcess } from '../support/broker-process.ts'
import { ClientLogs, within } from '../support/client-logs.ts'
import { ClusterLoad } from '../support/cluster-load.ts'
import { ClusterProcesses, until } from '../support/cluster-processes.ts'
import { inSync } from '../support/every-broker.ts'
import { LoopDisk } from '../support/loop-disk.ts'
import { confluentKafka } from '../support/programs.ts'
import { saveCheckpoints } from './damage.ts'
import { GroupReaders } from './group-readers.ts'
import type { Victim } from './plan.ts'

export const TOPIC = 'chaos'
export const PARTITIONS = 4
/** Short, so that fail-over is; long enough for a machine that is busy with eight processes. */
export const SESSION_MS = 1000
/** Clients give up on a broker that does not answer after this long. */
const REQUEST_MS = 2000
/** What one step may take, fail-over and a start on a busy machine included: a cluster that is slower has not recovered. */
export const STEP_MS_MAX = 60_000
/** Lines of the brokers' logs that a failed step shows. */
const COMPLAINTS_TOLD = 40
/** Between two looks for brokers that ended by themselves. */
const WATCH_MS = 100

const LOCK = '.lock'

const SETTINGS = {
  'broker.session.timeout.ms': String(SESSION_MS),
  'broker.heartbeat.interval.ms': '200',
  'controller.quorum.fetch.timeout.ms': '800',
  'replica.lag.time.max.ms': '1500',
  // Segments roll and recovery points move many times between two faults.
  'log.segment.bytes': '131072',
  'log.index.interval.bytes': '1024',
  'log.flush.offset.checkpoint.interval.ms': '200',
  'offsets.topic.num.partitions': '2',
  'group.consumer.session.timeout.ms': '3000',
  'group.consumer.heartbeat.interval.ms': '300',
}
const EAGER = { requestTimeoutMs: REQUEST_MS, retryBackoffMs: 10, retryBackoffMaxMs: 100 }

export interface SceneOptions {
  readonly directory: string
  readonly seed: number
  readonly brokers: number
  /** Bytes of each broker's own disk; null: they share one. */
  readonly diskBytes: number | null
  /** Between two calls of one line of a writer, in ms. */
  readonly pauseMs: number
}

export class Scene {
  readonly cluster: ClusterProcesses
  readonly load: ClusterLoad
  readonly group: GroupReaders
  readonly writers: readonly string[]
  readonly disks: readonly LoopDisk[]
  readonly #directory: string
  readonly #clients: readonly Client[]
  readonly #logs: ClientLogs
  /** Indexes and snapshots that were damaged: nobody has to put them right (D5), so in the end they may be as they are. */
  readonly damagedCaches = new Set<string>()
  /** Brokers that somebody here has taken down. */
  readonly #down = new Set<number>()
  /** Brokers to which something is being done. */
  readonly #taken = new Set<number>()
  readonly #failed: Promise<never>
  #fail: (error: Error) => void = () => undefined
  readonly #watch: NodeJS.Timeout

  private constructor(
    options: SceneOptions,
    cluster: ClusterProcesses,
    disks: readonly LoopDisk[],
    clients: readonly Client[],
    logs: ClientLogs,
  ) {
    const { seed, pauseMs } = options
    const [tcp, webSocket, members] = clients
    this.#directory = options.directory
    this.cluster = cluster
    this.disks = disks
    this.#clients = clients
    this.#logs = logs
    this.load = new ClusterLoad({ seed, topic: TOPIC, partitions: PARTITIONS, pauseMs, valueBytesMax: 200 })
    this.group = new GroupReaders(members!, TOPIC, PARTITIONS)
    this.load.follow('TCP follower', tcp!.consumer({ topics: [TOPIC], from: 'beginning' }))
    this.load.follow('WebSocket follower', webSocket!.consumer({ topics: [TOPIC], from: 'beginning' }))
    this.load.writeWith('tcp', tcp!.producer())
    this.load.writeWith('webSocket', webSocket!.producer({ compression: 'lz4' }))
    const kafkajsLog = logs.of('kafkajs')
    this.load.writeWithKafkajs('kafkajs', cluster.bootstrap, REQUEST_MS, (line) => kafkajsLog.info(line))
    this.writers = ['our client over TCP', 'our client over WebSocket', 'kafkajs']
    const librdkafka = confluentKafka()
    if (librdkafka.missing === null) {
      this.load.writeWithLibrdkafka('librdkafka', librdkafka.command, cluster.bootstrap)
      this.writers = [...this.writers, 'librdkafka']
    }
    this.group.join()
    this.group.join()
    this.#failed = new Promise((_, reject) => (this.#fail = reject))
    this.#failed.catch(() => undefined) // Told by whoever waits for anything.
    this.#watch = setInterval(() => this.#findDead(), WATCH_MS)
  }

  static async open(options: SceneOptions): Promise<Scene> {
    const { directory, brokers, diskBytes } = options
    const disks: LoopDisk[] = []
    try {
      for (let id = 1; diskBytes !== null && id <= brokers; id++)
        disks.push(
          await LoopDisk.open(join(directory, `image-${id}`), join(directory, `broker-${id}`), diskBytes),
        )
      const settings = { ...SETTINGS, 'default.replication.factor': String(brokers), 'min.insync.replicas': String((brokers + 1) / 2) } // prettier-ignore
      const cluster = await ClusterProcesses.start({
        directory,
        brokers,
        settings,
        logLevel: 'info',
        links: true,
      })
      try {
        const logs = new ClientLogs()
        const open = (clientId: string, bootstrap: readonly string[]): Client =>
          new Client({ ...EAGER, bootstrap, clientId, logger: logs.of(clientId) })
        const clients = [
          open('tcp', cluster.bootstrap),
          open('webSocket', cluster.webSocketUrls),
          open('members', cluster.bootstrap),
          open('observer', cluster.bootstrap),
        ]
        await createTopic(clients.at(-1)!, brokers)
        return new Scene(options, cluster, disks, clients, logs)
      } catch (error) {
        await cluster.kill()
        throw error
      }
    } catch (error) {
      for (const disk of disks) disk.close()
      throw error
    }
  }

  get observer(): Client {
    return this.#clients.at(-1)!
  }

  broker(nodeId: number): BrokerProcess {
    return this.cluster.broker(nodeId)
  }

  get nodeIds(): readonly number[] {
    return this.cluster.nodeIds
  }

  /** Waits for `work`. @throws When it takes too long, with where everybody stands, or the load or a broker fails meanwhile. */
  step<T>(what: string, work: Promise<T>, timeoutMs = STEP_MS_MAX): Promise<T> {
    return within(what, timeoutMs, Promise.race([this.load.while(work), this.#failed]), () =>
      [
        ...this.load.describe(),
        ...this.#logs.lines(),
        ...this.cluster.complaints.slice(-COMPLAINTS_TOLD),
      ].join('\n'),
    )
  }

  /** Chooses a broker to which nothing is being done, and takes it until `release`. Null if all are taken. */
  async take(victim: Victim): Promise<number | null> {
    const wanted = await this.#find(victim)
    const free = this.nodeIds.filter((id) => !this.#taken.has(id))
    if (free.length === 0) return null
    const nodeId = wanted !== null && free.includes(wanted) ? wanted : free[victim.draw % free.length]!
    this.#taken.add(nodeId)
    return nodeId
  }

  release(nodeId: number): void {
    this.#taken.delete(nodeId)
  }

  /** From now on this broker may end. */
  takeDown(nodeId: number): void {
    this.#down.add(nodeId)
  }

  async kill(nodeId: number): Promise<void> {
    this.takeDown(nodeId)
    await this.broker(nodeId).kill()
  }

  async restart(nodeId: number): Promise<void> {
    await this.step(`the start of broker ${nodeId}`, this.broker(nodeId).restart())
    this.#down.delete(nodeId)
  }

  /** Resolves when every replica is in sync. */
  async isWhole(): Promise<void> {
    await this.step('all replicas in sync', inSync(this.cluster.bootstrap, TOPIC, STEP_MS_MAX))
  }

  /** Longest time that some partition had no acknowledgement, while the load went on. */
  longestGapMs = 0

  /** Where old checkpoints of a broker are kept. */
  savedCheckpoints(nodeId: number): string {
    return join(this.#directory, `checkpoints-${nodeId}`)
  }

  saveCheckpoints(): void {
    for (const nodeId of this.nodeIds)
      saveCheckpoints(this.broker(nodeId).directory, this.savedCheckpoints(nodeId))
  }

  async closeClients(): Promise<void> {
    await Promise.all(this.#clients.slice(0, -1).map((client) => client.close()))
  }

  /** Stops all brokers, each cleanly. */
  async stop(): Promise<void> {
    for (const nodeId of this.nodeIds) this.takeDown(nodeId)
    await this.step('stopping the cluster', this.cluster.stop())
  }

  /** Ends whatever runs. @param keptIn - Where data and logs are kept; null: they are not. */
  async close(keptIn: string | null): Promise<void> {
    clearInterval(this.#watch)
    for (const nodeId of this.nodeIds) this.takeDown(nodeId)
    if (keptIn !== null) {
      // What the brokers that run do and have open: the first question about one that should not.
      const pids = this.nodeIds.map((nodeId) => this.broker(nodeId).pid)
      const told = [
        `ps -L -o pid,tid,stat,wchan:32,etime,args -p ${pids.join(',')}`,
        ...pids.map((pid) => `ls -l /proc/${pid}/fd`),
        'ss --tcp --all --numeric --processes',
      ].map((command) => `${command}\n${spawnSync('sh', ['-c', command], { encoding: 'utf8' }).stdout}`)
      writeFileSync(join(keptIn, 'processes.log'), told.join('\n'))
    }
    await this.cluster.kill()
    await Promise.allSettled(this.#clients.map((client) => client.close()))
    try {
      if (keptIn !== null) this.#keep(keptIn)
    } finally {
      for (const disk of this.disks) disk.close()
    }
  }

  #keep(directory: string): void {
    mkdirSync(directory, { recursive: true })
    for (const nodeId of this.nodeIds) {
      cpSync(this.broker(nodeId).directory, join(directory, `broker-${nodeId}`), {
        recursive: true,
        filter: (path) => !path.endsWith(LOCK), // A socket, which cannot be copied.
      })
      writeFileSync(join(directory, `broker-${nodeId}.log`), this.broker(nodeId).log.join('\n'))
    }
    writeFileSync(join(directory, 'clients.log'), this.#logs.lines().join('\n'))
    writeFileSync(join(directory, 'load.log'), this.load.describe().join('\n'))
  }

  async #find({ role, draw }: Victim): Promise<number | null> {
    if (role === 'any') return null
    try {
      const admin = this.observer.admin()
      if (role === 'controller') return (await admin.describeCluster({ timeoutMs: REQUEST_MS })).controllerId
      const [topic] = await admin.describeTopics([TOPIC], { timeoutMs: REQUEST_MS })
      return topic!.partitions[draw % PARTITIONS]!.leader
    } catch {
      return null // Whoever was asked may be down: then it is anybody.
    }
  }

  #findDead(): void {
    for (const nodeId of this.nodeIds)
      if (!this.broker(nodeId).isRunning && !this.#down.has(nodeId))
        this.#fail(new Error(`Broker ${nodeId} ended by itself:\n${this.broker(nodeId).complaints.slice(-COMPLAINTS_TOLD).join('\n')}`)) // prettier-ignore
  }
}

/** The brokers have only just begun: on a busy machine the controller may change meanwhile, and it is asked again. */
async function createTopic(client: Client, brokers: number): Promise<void> {
  const topic = { name: TOPIC, partitions: PARTITIONS, replicationFactor: brokers }
  await until('the topic is there', async () => {
    try {
      await client.admin().createTopics([topic], { timeoutMs: STEP_MS_MAX })
      return true
    } catch (error) {
      return (error as Error).message.includes('TOPIC_ALREADY_EXISTS')
    }
  })
}

/** Removes what a run has left, unmounted before. */
export function removeScene(directory: string): void {
  rmSync(directory, { recursive: true, force: true })
}
