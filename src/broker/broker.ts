/**
 * One Millrace node, broker and controller in one: builds the parts, starts them in an order in which nothing is served
 * that is not safe yet, and stops them in the reverse order. A broker alone is a cluster of one.
 *
 *   start: lock and logs ─► listeners bound ─► metadata quorum ─► registered ─► image in effect ─► unfenced ─► serving
 *   close: others lead ─► begun requests answered ─► partitions stopped ─► quorum ─► peers ─► logs, clean mark, lock
 *
 * Invariants:
 * - A request is handled only while the broker is registered and its image is in effect.
 * - Every incarnation leads in epochs of its own: registration takes it out of the leaderships of the one before
 *   (controller/brokers.ts), so nothing that one promised and lost can be mistaken for this one's.
 * - A failed part stops the broker once and for all, with the reason in `stopped`; it never goes on half alive. A failed
 *   data directory is such a part (docs/faults.md D4): there is one, as in Kafka, where the last one to fail ends the broker.
 */
import { ZERO_UUID } from '../bytes/uuid.ts'
import { Controller } from '../controller/controller.ts'
import type { RenewLeaderEpochs } from '../controller/leader-epochs.ts'
import type { Env, FileSystem } from '../env/index.ts'
import { LogManager } from '../log/log-manager.ts'
import type { PartitionLog } from '../log/partition-log.ts'
import { errorByCode, errorCode } from '../protocol/errors.ts'
import { EMPTY_IMAGE, liveBrokers, type ClusterImage } from '../metadata/cluster-image.ts'
import { RaftQuorum } from '../raft/raft-quorum.ts'
import { Peers } from '../rpc/peers.ts'
import { Admission } from './admission.ts'
import { BrokerError } from './broker-error.ts'
import type { BrokerView } from './broker-view.ts'
import type { BrokerConfig } from './broker-config.ts'
import { ControllerGateway } from './controller-gateway.ts'
import { GroupCoordination } from './coordinator/group-coordination.ts'
import {
  checkClusterConfig,
  isUnusedDirectory,
  notVotingProblem,
  peerAddress,
  votersProblem,
} from './cluster-config.ts'
import { Faults } from './faults.ts'
import { answerHttp } from './http-endpoint.ts'
import { Listeners } from './listeners.ts'
import type { BoundListener } from './listeners.ts'
import { localController } from './local-controller.ts'
import { toLogConfig, toUpkeep } from './log-settings.ts'
import { Membership } from './membership.ts'
import { MetadataFollower } from './metadata-follower.ts'
import { BrokerCounters, renderMetrics } from './metrics.ts'
import { PartitionRegistry } from './partition-registry.ts'
import { PartitionUpkeep } from './partition-upkeep.ts'
import { ProducerIdSource } from './producer-id-source.ts'
import { registrationOf } from './registration.ts'
import { ReplicationLinks } from './replication-links.ts'
import { RequestDispatcher } from './request-dispatcher.ts'
import { forwardingBetween } from './request-forwarding.ts'
import type { BrokerServices } from './services.ts'

export interface BrokerOptions {
  readonly config: BrokerConfig
  /** Absolute path of the data directory, in `env.files`. */
  readonly directory: string
  /** Where topics with durability `memory` live. */
  readonly memoryFiles: FileSystem
  /**
   * Where a node listens, as a URL, before the settings say it: brokers of one process know each other's ports only once
   * they are bound.
   */
  readonly addressOf?: (nodeId: number) => string | null
  /** Called once the listeners are bound, long before the broker serves: others may be waiting to know. */
  readonly onListening?: (listeners: readonly BoundListener[]) => void
  /** Gives up a start that waits for the rest of the cluster. */
  readonly signal?: AbortSignal
}

/** How long a stopping broker waits for requests that it has begun, in ms. */
const DRAIN_MS = 5000

/** How long the controller may take over what this broker asks of it for itself, in ms. */
const CONTROLLER_MS = 5000

interface Parts {
  readonly logs: LogManager
  readonly listeners: Listeners
  readonly counters: BrokerCounters
  readonly quorum: RaftQuorum
  /** Null for a broker that is alone. */
  readonly peers: Peers | null
}

export class Broker {
  readonly #env: Env
  readonly #config: BrokerConfig
  readonly #parts: Parts
  readonly #controller: Controller
  readonly #gateway: ControllerGateway
  readonly #membership: Membership
  readonly #replication: ReplicationLinks
  readonly #partitions: PartitionRegistry
  readonly #groups: GroupCoordination
  readonly #follower: MetadataFollower
  readonly #upkeep: PartitionUpkeep
  /** Why it stops by itself. */
  #failure: Error | null = null
  #isServing = false
  #closing: Promise<void> | null = null
  #resolveStopped: (reason: Error | null) => void = () => undefined

  /**
   * Resolves when the broker has stopped: null after `close`, the reason if it had to stop by itself. A broker that
   * stopped by itself has left no clean mark; the next start checks its logs.
   */
  readonly stopped: Promise<Error | null>
  readonly view: BrokerView

  /**
   * Starts a broker; resolves when it serves. One of several waits until a majority of the voters is up.
   *
   * @throws {LogError | FileError} if the data directory cannot be used: in use, of another cluster or node, damaged.
   * @throws {QuorumError | MetadataError} if the metadata log cannot be believed.
   * @throws {NetworkError} if a listener cannot be opened.
   * @throws {BrokerError} `BROKER_NOT_REGISTERED` or `BROKER_REFUSED` if the cluster refuses it, `BROKER_CLUSTER_UNCLEAR` if
   *   the settings do not say enough about the cluster, `BROKER_START_ABORTED`.
   */
  static async start(env: Env, options: BrokerOptions): Promise<Broker> {
    const { config, directory, memoryFiles } = options
    const { clock, files, logger, network, random } = env
    await checkClusterConfig(files, config, directory)
    const logs = await LogManager.open(
      { clock, files, logger, random },
      {
        directory,
        memoryFiles,
        nodeId: config.nodeId,
        clusterId: config.clusterId === '' ? null : config.clusterId,
        isUnused: () => isUnusedDirectory(files, directory),
        ...toUpkeep(config),
        highWatermarkOf: (log) => broker?.highWatermarkOf(log) ?? null,
      },
    )
    let broker: Broker | null = null
    let peers: Peers | null = null
    let listeners: Listeners | null = null
    let quorum: RaftQuorum | null = null
    const voterIds = config.quorumVoters.map(({ nodeId }) => nodeId)
    // By the newest metadata: whom this broker needs to be registered is known from it before any is in effect here.
    const newest = (): ClusterImage => (broker === null ? EMPTY_IMAGE : broker.#controller.image)
    const addressOf = (nodeId: number): string | null =>
      options.addressOf?.(nodeId) ?? peerAddress(nodeId, config, newest())
    const admission = new Admission(env, { nodeId: config.nodeId, voterIds, addressOf })
    try {
      if (config.quorumVoters.length > 0) {
        peers = new Peers(
          { clock, logger, network, random },
          {
            ...{ clusterId: logs.clusterId, nodeId: config.nodeId, directoryId: logs.directoryId },
            ...{ secret: config.clusterSecret, addressOf },
            onAttempt: (nodeId, error) => admission.onAttempt(nodeId, error),
          },
        )
      }
      const counters = new BrokerCounters()
      listeners = await Listeners.open(env, {
        config,
        http: (request) =>
          answerHttp(request, {
            unreadiness: () => broker?.unreadiness() ?? ['The broker is starting'],
            metrics: () => broker?.metrics() ?? '',
          }),
        ...(peers === null ? {} : { onPeer: (connection) => peers?.accept(connection) }),
      })
      options.onListening?.(listeners.bound)
      quorum = await RaftQuorum.open(
        { clock, files, logger, random },
        {
          ...{ directory, nodeId: config.nodeId, snapshotBytes: config.metadataSnapshotBytes },
          onDeviceFailed: (cause) => void logs.fail(cause),
          ...(peers === null
            ? {}
            : {
                directoryId: logs.directoryId,
                voters: voterIds.map((id) => ({ id, directoryId: ZERO_UUID })),
                transport: peers.raft,
                settings: {
                  electionTimeoutMs: config.quorumElectionTimeoutMs,
                  fetchTimeoutMs: config.quorumFetchTimeoutMs,
                },
              }),
        },
      )
      if (logs.failure !== null) throw logs.failure
      const started = new Broker(env, config, { logs, quorum, listeners, counters, peers })
      broker = started
      await admission.until(Promise.race([started.#start(), started.#failed()]), {
        quorum: () => started.#parts.quorum.describe(),
        obstacle: () => started.#membership.obstacle,
        isRegistered: () => started.brokerEpoch >= 0,
        signal: options.signal,
      })
      return started
    } catch (error) {
      if (broker !== null && broker.#failure !== null) await broker.#failed() // it stops by itself
      // What it fails with first is what there is to be told; the rest of the way back may fail for the same reason.
      const faults = new Faults()
      logs.noteFailure(error)
      await faults.during(async () => listeners?.close())
      if (broker !== null) await broker.#endParts(faults)
      await faults.during(async () => quorum?.close())
      await faults.during(async () => peers?.close())
      // One that never registered has done nothing: the mark of the stop before stays what it was.
      const brokerEpoch = Math.max(broker?.brokerEpoch ?? -1, logs.cleanBrokerEpoch)
      await faults.during(() => logs.close(brokerEpoch))
      throw error
    }
  }

  private constructor(env: Env, config: BrokerConfig, parts: Parts) {
    const { logs, quorum, peers } = parts
    this.#env = env
    this.#config = config
    this.#parts = parts
    this.stopped = new Promise((resolve) => (this.#resolveStopped = resolve))
    this.#controller = new Controller(env, quorum, {
      nodeId: config.nodeId,
      cluster: config,
      staticEntries: config.given,
    })
    this.#controller.onFailed = (error) => this.#fail(error)
    this.#gateway = new ControllerGateway(env, {
      nodeId: config.nodeId,
      leaderId: () => this.#controller.leaderId,
      local: localController({
        ...{ clock: env.clock, clusterId: logs.clusterId },
        controller: this.#controller,
        quorum,
        metadataInEffect: () => this.#metadataInEffect(),
      }),
      control: (nodeId) => peers!.control(nodeId),
      admin: (nodeId) => peers!.admin(nodeId),
    })
    this.#membership = new Membership(env, this.#gateway, {
      registration: registrationOf(config, logs, parts.listeners.bound, env.random),
      previousBrokerEpoch: logs.cleanBrokerEpoch,
      isAlone: peers === null,
      heartbeatMs: config.brokerHeartbeatIntervalMs,
      sessionMs: config.brokerSessionTimeoutMs,
      metadataEndOffset: () => this.#follower.image.endOffset,
      hasHeirs: () => liveBrokers(this.#follower.image).some(({ id }) => id !== config.nodeId),
      onReplaced: (error) => this.#fail(error),
    })
    this.#replication = new ReplicationLinks(env, {
      config,
      image: () => this.#follower.image,
      partitions: () => this.#partitions,
      brokerEpoch: () => this.#membership.brokerEpoch,
      controller: this.#gateway,
      peers,
    })
    this.#partitions = new PartitionRegistry(env, {
      nodeId: config.nodeId,
      logs,
      staticEntries: config.given,
      toLogConfig: (topic) => toLogConfig(topic, config),
      onEpochSpent: () => this.#upkeep.epochSpent(),
      onReplicaFailed: () => this.#upkeep.replicaFailed(),
      ...(peers === null ? {} : { cluster: this.#replication }),
    })
    this.#groups = new GroupCoordination(env, {
      ...{ config, partitions: this.#partitions, controller: this.#gateway },
      image: () => this.#follower.image,
    })
    this.#follower = new MetadataFollower(
      (delta) => this.#partitions.apply(delta),
      (delta) => this.#groups.apply(delta),
    )
    this.view = { ...parts, partitions: this.#partitions, controller: this.#controller }
    this.#upkeep = new PartitionUpkeep({
      ...{ clock: env.clock, random: env.random, logger: env.logger },
      ...{ partitions: this.#partitions, follower: this.#follower },
      renewLeaderEpochs: (partitions) => this.#askFor('RenewLeaderEpochs', partitions),
      resignReplicas: (partitions) => this.#askFor('ResignReplicas', partitions),
      onDefect: (error) => this.#fail(error),
    })
    // It is the only one, and the metadata log lives in it, too: without it there is nothing left to serve.
    logs.onDirectoryFailed = (error) => this.#fail(error)
  }

  /** The id of the cluster, 22 characters. */
  get clusterId(): string {
    return this.#parts.logs.clusterId
  }

  get nodeId(): number {
    return this.#config.nodeId
  }

  /** The cluster as it is in effect on this broker. */
  get image(): ClusterImage {
    return this.#follower.image
  }

  /** Resolves when all metadata below `endOffset` is in effect on this broker. */
  inEffect(endOffset: number): Promise<void> {
    return this.#follower.inEffect(endOffset)
  }

  /** Epoch of this incarnation in the cluster; -1 before it is registered. */
  get brokerEpoch(): number {
    return this.#membership.brokerEpoch
  }

  /** Where it listens, with the ports it really has. */
  get listeners(): readonly BoundListener[] {
    return this.#parts.listeners.bound
  }

  /** Why the broker does not serve all it should, one sentence each; empty when it is ready. */
  unreadiness(): readonly string[] {
    if (this.#failure !== null) return [`The broker is stopping: ${this.#failure.message}`]
    if (this.#closing !== null) return ['The broker is stopping']
    if (!this.#isServing) return ['The broker is starting: it waits for the rest of the cluster']
    if (!this.#membership.isHeard) return ['The broker does not hear from the controller']
    return Array.from(
      this.#partitions.offline(),
      ({ topic, index, reason }) => `Partition ${topic}-${index} is offline: ${reason}`,
    )
  }

  /** All metrics, in Prometheus' text format. */
  metrics(): string {
    return renderMetrics({
      image: this.#follower.image,
      counters: this.#parts.counters,
      connectionCount: this.#parts.listeners.connectionCount,
      requestBytes: this.#parts.listeners.requestBudget.usedBytes,
      responseBytes: this.#parts.listeners.responseBudget.usedBytes,
      offlineCount: [...this.#partitions.offline()].length,
      hasDirectoryFailed: this.#parts.logs.failure !== null,
      groups: this.#groups.census(),
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
   * @param options.handsOver - Whether others are to lead what this broker leads before it goes. Default true; false when
   *   all brokers of the cluster stop.
   * @throws {BrokerError} `BROKER_NOT_CLOSED_CLEANLY` if not all could be saved, say on a full disk. The broker has stopped
   *   all the same and given back its directory; everything acknowledged is safe, and the next start checks the logs.
   */
  close({ handsOver = true }: { readonly handsOver?: boolean } = {}): Promise<void> {
    this.#closing ??= this.#stop(null, handsOver)
    return this.#closing
  }

  /** The high watermark of a log, for its checkpoint. */
  highWatermarkOf(log: PartitionLog): number {
    return this.#partitions.highWatermarkOf(log)
  }

  /** Stops as a crash would: nothing is handed over, nothing is saved, and the next start checks the logs. */
  async kill(): Promise<void> {
    this.#fail(new BrokerError('BROKER_KILLED', 'The broker was killed'))
    await this.stopped
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #start(): Promise<void> {
    const { logs, listeners, counters, peers, quorum } = this.#parts
    const services: BrokerServices = {
      clusterId: this.clusterId,
      config: this.#config,
      clock: this.#env.clock,
      logger: this.#env.logger,
      image: () => this.#follower.image,
      partitions: this.#partitions,
      controller: this.#gateway,
      producerIds: new ProducerIdSource(() => this.#reserveProducerIds()),
      groups: this.#groups,
      logs,
      responseBudget: listeners.responseBudget,
      counters,
      fetchSessions: this.#replication.fetchSessions,
      replicaSessions: this.#replication.replicaSessions,
    }
    const dispatcher = new RequestDispatcher({
      ...{ counters, services, onFatal: (error) => this.#fail(error) },
      ...(peers === null ? {} : forwardingBetween(services, peers)),
    })
    // Others may find the active controller here long before this broker itself serves.
    if (peers !== null)
      peers.onRequest = (exchange, fromNodeId, purpose) => {
        if (purpose === 'forward' && !this.#isServing) exchange.channel.close('does not serve yet')
        else dispatcher.dispatchPeer(exchange, fromNodeId, purpose)
      }
    await this.#controller.start()
    await this.#membership.join()
    await this.#controller.reached(this.#membership.brokerEpoch + 1)
    const missing = notVotingProblem(this.#config, quorum.describe().voters)
    if (missing !== null) this.#env.logger.warn(missing.message, missing.fields)
    // The first delta holds everything, the registration included: partitions open in no epoch of an earlier incarnation.
    this.#controller.follow((delta) => {
      this.#follower.follow(delta).then(
        () => this.#membership.beatNow(),
        (error: unknown) => this.#fail(error as Error),
      )
    })
    await this.#metadataInEffect()
    await this.#follower.between((image) => this.#partitions.setStraysAside(image))
    this.#membership.start()
    await this.#membership.live()
    // In the metadata that clients are given here, too.
    await this.#follower.until((image) => image.brokers.get(this.nodeId)?.isFenced === false)
    const { voters, strangers, leaderId } = quorum.describe()
    const voterIds = voters.map(({ id }) => id)
    const problem = votersProblem(this.#config, strangers.get(leaderId ?? -1) ?? voterIds)
    if (problem !== null) this.#env.logger.warn(problem, { nodeId: this.nodeId })
    logs.startMaintenance()
    this.#upkeep.start()
    listeners.serve((exchange, listenerName, connection) =>
      dispatcher.dispatch(exchange, listenerName, connection),
    )
    this.#isServing = true
  }

  /** @returns The name of the controller's error. */
  async #askFor(
    api: 'RenewLeaderEpochs' | 'ResignReplicas',
    partitions: RenewLeaderEpochs['partitions'],
  ): Promise<string> {
    const { brokerEpoch } = this.#membership
    const request = { brokerId: this.#config.nodeId, brokerEpoch, partitions: [...partitions] }
    return errorByCode((await this.#gateway.call(api, request, CONTROLLER_MS)).errorCode).name
  }

  async #reserveProducerIds(): Promise<{ firstId: number; count: number } | null> {
    const request = { brokerId: this.#config.nodeId, brokerEpoch: this.#membership.brokerEpoch }
    const answer = await this.#gateway.call('AllocateProducerIds', request, CONTROLLER_MS)
    if (answer.errorCode !== errorCode('NONE')) return null
    return { firstId: answer.producerIdStart, count: answer.producerIdLen }
  }

  #metadataInEffect(): Promise<void> {
    return this.#follower.inEffect(this.#controller.image.endOffset)
  }

  #failed(): Promise<void> {
    return this.stopped.then((reason) => (reason === null ? undefined : Promise.reject(reason)))
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

  /** Ends what goes on by itself, and the service of every partition. */
  async #endParts(faults: Faults): Promise<void> {
    this.#membership.stop()
    this.#gateway.close()
    this.#upkeep.stop()
    this.#replication.close()
    this.#controller.stop()
    this.#groups.close()
    await faults.during(() => this.#follower.idle())
    this.#partitions.stop()
  }

  /** Does all of a stop that can be done; what could not is told at the end. */
  async #stop(reason: Error | null, handsOver = false): Promise<void> {
    const { logs, listeners, quorum, peers } = this.#parts
    const faults = new Faults()
    // Whose disk has failed can still say that others must lead; a part that has gone wrong says nothing any more.
    const hasDiskFailed = reason !== null && reason === logs.failure
    if ((handsOver || hasDiskFailed) && peers !== null) await faults.during(() => this.#membership.leave())
    const cancel = this.#env.clock.after(DRAIN_MS, () => listeners.cut('The broker has stopped'))
    // After a defect nobody is answered any more. A failed disk leaves sound answers: that it has failed.
    if (reason !== null && !hasDiskFailed) listeners.cut('The broker has failed')
    await faults.during(() => listeners.close())
    cancel()
    await this.#endParts(faults)
    await faults.during(() => quorum.close())
    await faults.during(async () => peers?.close())
    // A broker that failed leaves no clean mark, so that the next start checks its logs.
    const { brokerEpoch } = this.#membership
    await faults.during(() => (reason === null ? logs.close(brokerEpoch) : logs.abandon()))
    this.#resolveStopped(reason)
    faults.throwIfAny()
  }
}
