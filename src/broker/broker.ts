/**
 * One Millrace node, broker and controller in one: builds the parts, starts them in an order in which nothing is served
 * that is not safe yet, and stops them in the reverse order.
 *
 *   start: lock and logs ─► metadata quorum ─► listeners bound ─► registered ─► image in effect ─► unfenced ─► serving
 *   close: no new requests ─► begun ones answered ─► partitions stopped ─► quorum ─► logs, clean mark, lock released
 *
 * Invariants:
 * - A request is handled only while the broker is registered and its image is in effect.
 * - Every incarnation leads in epochs of its own: registration takes it out of the leaderships of the one before
 *   (controller/brokers.ts), so nothing that one promised and lost can be mistaken for this one's.
 * - A failed part stops the broker once and for all, with the reason in `stopped`; it never goes on half alive. A failed
 *   data directory is such a part (docs/faults.md D4): there is one, as in Kafka, where the last one to fail ends the broker.
 */
import { Controller } from '../controller/controller.ts'
import type { RenewLeaderEpochs } from '../controller/leader-epochs.ts'
import type { Env, FileSystem } from '../env/index.ts'
import { LogManager } from '../log/log-manager.ts'
import { RaftQuorum } from '../raft/raft-quorum.ts'
import { BrokerError } from './broker-error.ts'
import type { BrokerConfig } from './broker-config.ts'
import { answerHttp } from './http-endpoint.ts'
import { Listeners } from './listeners.ts'
import type { BoundListener } from './listeners.ts'
import { toLogConfig } from './log-settings.ts'
import { MetadataFollower } from './metadata-follower.ts'
import { BrokerCounters, renderMetrics } from './metrics.ts'
import { PartitionRegistry } from './partition-registry.ts'
import { PartitionUpkeep } from './partition-upkeep.ts'
import { ProducerIdSource } from './producer-id-source.ts'
import { isProduce, RequestDispatcher } from './request-dispatcher.ts'

export interface BrokerOptions {
  readonly config: BrokerConfig
  /** Absolute path of the data directory, in `env.files`. */
  readonly directory: string
  /** Where topics with durability `memory` live. */
  readonly memoryFiles: FileSystem
}

/** How long a stopping broker waits for requests that it has begun, in ms. */
const DRAIN_MS = 5000

/** Kafka's number for a listener without TLS and authentication. */
const PLAINTEXT = 0

export class Broker {
  readonly #env: Env
  readonly #config: BrokerConfig
  readonly #logs: LogManager
  readonly #quorum: RaftQuorum
  readonly #controller: Controller
  readonly #partitions: PartitionRegistry
  readonly #follower: MetadataFollower
  readonly #upkeep: PartitionUpkeep
  readonly #listeners: Listeners
  readonly #counters: BrokerCounters
  #brokerEpoch = -1
  /** Why it stops by itself. */
  #failure: Error | null = null
  #closing: Promise<void> | null = null
  #resolveStopped: (reason: Error | null) => void = () => undefined

  /**
   * Resolves when the broker has stopped: null after `close`, the reason if it had to stop by itself. A broker that
   * stopped by itself has left no clean mark; the next start checks its logs.
   */
  readonly stopped: Promise<Error | null>

  /**
   * Starts a broker; resolves when it serves.
   *
   * @throws {LogError | FileError} if the data directory cannot be used: in use, of another cluster or node, damaged.
   * @throws {QuorumError | MetadataError} if the metadata log cannot be believed.
   * @throws {NetworkError} if a listener cannot be opened.
   * @throws {BrokerError} `BROKER_NOT_REGISTERED` if the controller refuses it.
   */
  static async start(env: Env, options: BrokerOptions): Promise<Broker> {
    const { config, directory, memoryFiles } = options
    const { clock, files, logger } = env
    const logs = await LogManager.open(
      { clock, files, logger, random: env.random },
      {
        directory,
        memoryFiles,
        nodeId: config.nodeId,
        clusterId: config.clusterId === '' ? null : config.clusterId,
        tailCacheBytes: config.tailCacheBytes,
        retentionCheckMs: config.retentionCheckMs,
        checkpointMs: config.checkpointMs,
      },
    )
    let quorum: RaftQuorum | null = null
    let listeners: Listeners | null = null
    try {
      quorum = await RaftQuorum.open(
        { clock, files, logger, random: env.random },
        { directory, nodeId: config.nodeId },
      )
      if (logs.failure !== null) throw logs.failure
      const counters = new BrokerCounters()
      let broker: Broker | null = null
      listeners = await Listeners.open(env, {
        config,
        mayOverlap: isProduce,
        http: (request) =>
          answerHttp(request, {
            unreadiness: () => broker?.unreadiness() ?? ['The broker is starting'],
            metrics: () => broker?.metrics() ?? '',
          }),
      })
      broker = new Broker(env, config, { logs, quorum, listeners, counters })
      await broker.#start()
      return broker
    } catch (error) {
      // What it fails with first is what there is to be told; the rest of the way back may fail for the same reason.
      const faults = new Faults()
      await faults.during(async () => listeners?.close())
      await faults.during(async () => quorum?.close())
      await faults.during(() => logs.close())
      throw error
    }
  }

  private constructor(
    env: Env,
    config: BrokerConfig,
    parts: {
      readonly logs: LogManager
      readonly quorum: RaftQuorum
      readonly listeners: Listeners
      readonly counters: BrokerCounters
    },
  ) {
    this.#env = env
    this.#config = config
    this.#logs = parts.logs
    this.#quorum = parts.quorum
    this.#listeners = parts.listeners
    this.#counters = parts.counters
    this.stopped = new Promise((resolve) => (this.#resolveStopped = resolve))
    this.#partitions = new PartitionRegistry(env, {
      nodeId: config.nodeId,
      logs: parts.logs,
      staticEntries: config.given,
      toLogConfig: (topic) => toLogConfig(topic, config),
      onEpochSpent: () => this.#upkeep.epochSpent(),
    })
    this.#follower = new MetadataFollower((delta) => this.#partitions.apply(delta))
    this.#upkeep = new PartitionUpkeep({
      clock: env.clock,
      logger: env.logger,
      partitions: this.#partitions,
      follower: this.#follower,
      renewLeaderEpochs: (partitions) => this.#renewLeaderEpochs(partitions),
      onDefect: (error) => this.#fail(error),
    })
    this.#controller = new Controller(env, parts.quorum, {
      nodeId: config.nodeId,
      cluster: config,
      staticEntries: config.given,
    })
    this.#controller.onFailed = (error) => this.#fail(error)
    // It is the only one, and the metadata log lives in it, too: without it there is nothing left to serve.
    parts.logs.onDirectoryFailed = (error) => this.#fail(error)
  }

  /** The id of the cluster, 22 characters. */
  get clusterId(): string {
    return this.#logs.clusterId
  }

  get nodeId(): number {
    return this.#config.nodeId
  }

  /** Where it listens, with the ports it really has. */
  get listeners(): readonly BoundListener[] {
    return this.#listeners.bound
  }

  /** Why the broker does not serve all it should, one sentence each; empty when it is ready. */
  unreadiness(): readonly string[] {
    if (this.#failure !== null) return [`The broker is stopping: ${this.#failure.message}`]
    if (this.#closing !== null) return ['The broker is stopping']
    return Array.from(
      this.#partitions.offline(),
      ({ topic, index, reason }) => `Partition ${topic}-${index} is offline: ${reason}`,
    )
  }

  /** All metrics, in Prometheus' text format. */
  metrics(): string {
    return renderMetrics({
      image: this.#follower.image,
      counters: this.#counters,
      connectionCount: this.#listeners.connectionCount,
      requestBytes: this.#listeners.requestBudget.usedBytes,
      responseBytes: this.#listeners.responseBudget.usedBytes,
      offlineCount: [...this.#partitions.offline()].length,
      hasDirectoryFailed: this.#logs.failure !== null,
      findPartition: (topic, index) => {
        const found = this.#partitions.lookup(topic, index)
        return typeof found === 'string' ? null : found
      },
    })
  }

  /**
   * Stops cleanly: requests that were begun are answered, everything is on disk, and the next start need not check the
   * logs. Calling it again returns the same promise.
   *
   * @throws {BrokerError} `BROKER_NOT_CLOSED_CLEANLY` if not all could be saved, say on a full disk. The broker has stopped
   *   all the same and given back its directory; everything acknowledged is safe, and the next start checks the logs.
   */
  close(): Promise<void> {
    this.#closing ??= this.#stop(null)
    return this.#closing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #start(): Promise<void> {
    await this.#controller.start()
    await this.#register()
    // The first delta holds everything, the registration included: partitions open once, in their final epoch.
    this.#controller.follow((delta) => {
      this.#follower.follow(delta).catch((error: unknown) => this.#fail(error as Error))
    })
    await this.#metadataInEffect()
    await this.#unfence()
    await this.#metadataInEffect()
    await this.#partitions.setStraysAside(this.#follower.image)
    this.#logs.startMaintenance()
    this.#upkeep.start()
    const dispatcher = new RequestDispatcher({
      counters: this.#counters,
      onFatal: (error) => this.#fail(error),
      services: {
        clusterId: this.clusterId,
        config: this.#config,
        clock: this.#env.clock,
        logger: this.#env.logger,
        image: () => this.#follower.image,
        partitions: this.#partitions,
        controller: this.#controller,
        producerIds: new ProducerIdSource(() => this.#reserveProducerIds()),
        logs: this.#logs,
        responseBudget: this.#listeners.responseBudget,
        counters: this.#counters,
        metadataInEffect: () => this.#metadataInEffect(),
      },
    })
    this.#listeners.serve((exchange, listenerName, connection) =>
      dispatcher.dispatch(exchange, listenerName, connection),
    )
  }

  async #register(): Promise<void> {
    const answer = await this.#controller.registerBroker({
      brokerId: this.#config.nodeId,
      incarnationId: this.#env.random.uuid(),
      rack: null,
      logDirs: [this.#logs.directoryId],
      listeners: this.#listeners.bound.map(({ name, advertisedHost, advertisedPort }) => ({
        name,
        host: advertisedHost,
        port: advertisedPort,
        securityProtocol: PLAINTEXT,
      })),
    })
    if (answer.error !== 'NONE') throw notRegistered(answer.error, answer.errorMessage)
    this.#brokerEpoch = answer.brokerEpoch
  }

  async #unfence(): Promise<void> {
    const answer = await this.#controller.heartbeat({
      brokerId: this.#config.nodeId,
      brokerEpoch: this.#brokerEpoch,
      metadataEndOffset: this.#follower.image.endOffset,
      wantsFence: false,
      wantsShutdown: false,
    })
    if (answer.error !== 'NONE') throw notRegistered(answer.error, answer.errorMessage)
  }

  async #renewLeaderEpochs(partitions: RenewLeaderEpochs['partitions']): Promise<string> {
    const brokerId = this.#config.nodeId
    const request = { brokerId, brokerEpoch: this.#brokerEpoch, partitions }
    return (await this.#controller.renewLeaderEpochs(request)).error
  }

  async #reserveProducerIds(): Promise<{ firstId: number; count: number } | null> {
    const { nodeId } = this.#config
    const block = await this.#controller.allocateProducerIds({
      brokerId: nodeId,
      brokerEpoch: this.#brokerEpoch,
    })
    return block.error === 'NONE' ? block : null
  }

  #metadataInEffect(): Promise<void> {
    return this.#follower.inEffect(this.#controller.image.endOffset)
  }

  #fail(error: Error): void {
    if (this.#closing !== null) return
    this.#failure = error
    this.#env.logger.error('The broker stops: a part of it failed', { error })
    this.#closing = this.#stop(error)
    this.#closing.catch((cause: unknown) =>
      this.#env.logger.error('The broker did not stop cleanly', { error: cause as Error }),
    )
  }

  /** Does all of a stop that can be done; what could not is told at the end. */
  async #stop(reason: Error | null): Promise<void> {
    const faults = new Faults()
    const cancel = this.#env.clock.after(DRAIN_MS, () => this.#listeners.cut('The broker has stopped'))
    // After a defect nobody is answered any more. A failed disk leaves sound answers: that it has failed.
    if (reason !== null && reason !== this.#logs.failure) this.#listeners.cut('The broker has failed')
    await faults.during(() => this.#listeners.close())
    cancel()
    await faults.during(() => this.#follower.idle())
    this.#upkeep.stop()
    this.#partitions.stop()
    await faults.during(() => this.#quorum.close())
    // A broker that failed leaves no clean mark, so that the next start checks its logs.
    await faults.during(() => (reason === null ? this.#logs.close() : this.#logs.abandon()))
    this.#resolveStopped(reason)
    faults.throwIfAny()
  }
}

/** What went wrong while a broker was stopped. */
class Faults {
  readonly #found: unknown[] = []

  async during(work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      this.#found.push(error)
    }
  }

  /** @throws {BrokerError} `BROKER_NOT_CLOSED_CLEANLY`. */
  throwIfAny(): void {
    if (this.#found.length === 0) return
    const texts = this.#found.map((fault) => (fault instanceof Error ? fault.message : String(fault)))
    throw new BrokerError(
      'BROKER_NOT_CLOSED_CLEANLY',
      `The broker has stopped, and not all could be saved: ${texts.join('; ')}`,
      { cause: this.#found[0] },
    )
  }
}

function notRegistered(error: string, message: string | null): BrokerError {
  return new BrokerError('BROKER_NOT_REGISTERED', `Registering the broker failed: ${message ?? error}`)
}
