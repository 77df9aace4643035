/**
 * The active controller: takes commands, lets a concern decide on them, writes the records through the quorum, and
 * answers once they are committed. Control plane.
 *
 *   command ──> decide(image of all decided) ──> records ──> quorum.append ──> committed ──> answer
 *                        ▲                          │                             │
 *                        └──── fold into the tip ◄──┘        loader.image ◄───────┘   what readers see
 *
 * Deciding, folding and appending happen in one turn, so commands are decided one at a time, each on top of all before
 * it, committed or not. Reads see committed images only. When an append is undone, the decisions on top of it are
 * dropped with it and their commands are refused.
 *
 * Invariants:
 * - `#tip` is the fold of all records in the log, committed or not; a command is decided only while its end is
 *   `quorum.logEndOffset`.
 * - A command that wrote nothing is answered only after everything it was decided on is committed: nobody hears of a
 *   change that may yet be undone.
 * - After a failure of the quorum nothing is decided any more: the controller has resigned (faults.md MQ-4, MQ-12).
 */
import { assert } from '../base/assert.ts'
import type { Cancel, Clock, Logger, Random } from '../env/index.ts'
import type { ClusterImage } from '../metadata/cluster-image.ts'
import { ImageBuilder } from '../metadata/image-builder.ts'
import type { ImageDelta } from '../metadata/image-delta.ts'
import { decodeMetadataRecord, encodeMetadataRecord } from '../metadata/records.ts'
import type { RequestOf, ResponseOf } from '../protocol/apis.ts'
import type { ErrorName } from '../protocol/errors.ts'
import { QuorumError } from '../raft/metadata-quorum.ts'
import type { MetadataQuorum } from '../raft/metadata-quorum.ts'
import { BrokerSessions } from './broker-sessions.ts'
import { brokerHeartbeat, fenceBroker, registerBroker, unregisterBroker } from './brokers.ts'
import type {
  BrokerHeartbeat,
  BrokerHeartbeatAnswer,
  BrokerRegistered,
  BrokerUnregistered,
  RegisterBroker,
} from './brokers.ts'
import type { Concern, ControllerSettings } from './concern.ts'
import { alterConfigs, incrementalAlterConfigs } from './configs.ts'
import { formatCluster, updateFeature } from './features.ts'
import type { FeatureUpdated, UpdateFeature } from './features.ts'
import { renewLeaderEpochs } from './leader-epochs.ts'
import type { LeaderEpochsRenewed, RenewLeaderEpochs } from './leader-epochs.ts'
import { MetadataLoader } from './metadata-loader.ts'
import { createPartitions } from './partitions.ts'
import { allocateProducerIds } from './producer-ids.ts'
import type { AllocateProducerIds, ProducerIdBlock } from './producer-ids.ts'
import { createTopics, deleteTopics } from './topics.ts'

export interface ControllerPorts {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

/** How long a command without a time of its own waits for its commit, in ms; Kafka's clients wait 30 s by default. */
const COMMAND_TIMEOUT_MS = 30_000

/** Longest a client may make a command wait, in ms. */
const COMMAND_TIMEOUT_MS_MAX = 300_000

const STORAGE_FULL = 'The controller’s disk is full, nothing was changed'

/** Decided, appended, not committed yet. */
interface PendingChange {
  readonly endOffset: number
  readonly image: ClusterImage
  readonly committed: Promise<number>
}

export class Controller {
  readonly #ports: ControllerPorts
  readonly #quorum: MetadataQuorum
  readonly #settings: ControllerSettings
  readonly #loader = new MetadataLoader()
  readonly #sessions: BrokerSessions
  #pending: PendingChange[] = []
  #failure: QuorumError | null = null
  #isStarted = false
  /** Called once when the quorum has failed: this node controls nothing any more and must stop. */
  onFailed: (error: QuorumError) => void = () => undefined

  constructor(ports: ControllerPorts, quorum: MetadataQuorum, settings: ControllerSettings) {
    this.#ports = ports
    this.#quorum = quorum
    this.#settings = settings
    this.#sessions = new BrokerSessions(ports.clock)
    this.#loader.onImage = ({ endOffset }) => {
      this.#pending = this.#pending.filter((change) => change.endOffset > endOffset)
    }
    this.#loader.onRolledBack = (fromOffset) => {
      this.#pending = this.#pending.filter((change) => change.endOffset <= fromOffset)
    }
    this.#loader.onFailed = (error) => this.#fail(error)
  }

  /**
   * Replays the metadata log; a new log gets its first records.
   *
   * @throws {QuorumError | MetadataError} if the log or a snapshot cannot be believed: nothing may be served then.
   */
  async start(): Promise<void> {
    await this.#quorum.subscribe(this.#loader)
    this.#isStarted = true
    await this.#run(formatCluster, null)
    if (this.#failure !== null) throw this.#failure
  }

  /** The newest committed image. */
  get image(): ClusterImage {
    return this.#loader.image
  }

  /** Epoch of this controller. */
  get epoch(): number {
    return this.#quorum.leaderEpoch
  }

  /** Calls `follower` with all there is now, as one delta from the empty image, and then with every committed change. */
  follow(follower: (delta: ImageDelta) => void): void {
    this.#loader.follow(follower)
  }

  createTopics(request: RequestOf<'CreateTopics'>): Promise<ResponseOf<'CreateTopics'>> {
    return this.#run(createTopics, request, request.timeoutMs)
  }

  /** Creates topics with the cluster's defaults, for clients that name one before it is there. */
  autoCreateTopics(names: readonly string[]): Promise<ResponseOf<'CreateTopics'>> {
    const topics = names.map((name) => ({
      name,
      numPartitions: -1,
      replicationFactor: -1,
      assignments: [],
      configs: [],
    }))
    return this.createTopics({ topics, timeoutMs: COMMAND_TIMEOUT_MS, validateOnly: false })
  }

  deleteTopics(request: RequestOf<'DeleteTopics'>): Promise<ResponseOf<'DeleteTopics'>> {
    return this.#run(deleteTopics, request, request.timeoutMs)
  }

  createPartitions(request: RequestOf<'CreatePartitions'>): Promise<ResponseOf<'CreatePartitions'>> {
    return this.#run(createPartitions, request, request.timeoutMs)
  }

  incrementalAlterConfigs(
    request: RequestOf<'IncrementalAlterConfigs'>,
  ): Promise<ResponseOf<'IncrementalAlterConfigs'>> {
    return this.#run(incrementalAlterConfigs, request)
  }

  alterConfigs(request: RequestOf<'AlterConfigs'>): Promise<ResponseOf<'AlterConfigs'>> {
    return this.#run(alterConfigs, request)
  }

  async registerBroker(request: RegisterBroker): Promise<BrokerRegistered> {
    const answer = await this.#run(registerBroker, request)
    if (answer.error === 'NONE') this.#sessions.touch(request.brokerId)
    return answer
  }

  async heartbeat(request: BrokerHeartbeat): Promise<BrokerHeartbeatAnswer> {
    const answer = await this.#run(brokerHeartbeat, request)
    if (answer.error !== 'NONE') return answer
    if (answer.mayShutDown) this.#sessions.end(request.brokerId)
    else this.#sessions.touch(request.brokerId)
    return answer
  }

  unregisterBroker(brokerId: number): Promise<BrokerUnregistered> {
    return this.#run(unregisterBroker, { brokerId })
  }

  /** Fences every other broker whose heartbeats have stopped. Called by whoever keeps time; this node vouches for itself. */
  async fenceSilentBrokers(): Promise<void> {
    for (const broker of this.image.brokers.values()) {
      if (broker.isFenced || broker.id === this.#settings.nodeId || !this.#sessions.isSilent(broker.id))
        continue
      await this.#run(fenceBroker, { brokerId: broker.id })
    }
  }

  renewLeaderEpochs(request: RenewLeaderEpochs): Promise<LeaderEpochsRenewed> {
    return this.#run(renewLeaderEpochs, request)
  }

  allocateProducerIds(request: AllocateProducerIds): Promise<ProducerIdBlock> {
    return this.#run(allocateProducerIds, request)
  }

  updateFeature(request: UpdateFeature): Promise<FeatureUpdated> {
    return this.#run(updateFeature, request)
  }

  async #run<Q, R>(concern: Concern<Q, R>, request: Q, timeoutMs = COMMAND_TIMEOUT_MS): Promise<R> {
    assert(this.#isStarted, 'The controller decides only once it has replayed the log')
    if (this.#failure !== null || this.#quorum.leaderId !== this.#quorum.nodeId) {
      return concern.refuse(request, 'NOT_CONTROLLER', 'The controller has stopped')
    }
    const image = this.#tip
    if (image.endOffset !== this.#quorum.logEndOffset) {
      // The quorum is undoing an append that found no room, and has not said yet how far.
      return concern.refuse(request, 'KAFKA_STORAGE_ERROR', STORAGE_FULL)
    }
    let response: R
    let committed: Promise<number> | undefined
    try {
      const decision = concern.decide(request, {
        image,
        nextOffset: image.endOffset,
        random: this.#ports.random,
        settings: this.#settings,
        hasSession: (brokerId) => this.#sessions.has(brokerId),
      })
      response = decision.response
      const encoded = decision.records.map(encodeMetadataRecord)
      committed = encoded.length > 0 ? this.#append(image, encoded) : this.#pending.at(-1)?.committed
    } catch (error) {
      this.#ports.logger.error('Controller could not decide', {
        error: error instanceof Error ? error : String(error),
      })
      return concern.refuse(
        request,
        'UNKNOWN_SERVER_ERROR',
        'The controller failed in a way it did not expect',
      )
    }
    if (committed === undefined) return response
    try {
      const isInTime = await this.#settled(committed, Math.min(timeoutMs, COMMAND_TIMEOUT_MS_MAX))
      if (isInTime) return response
      return concern.refuse(
        request,
        'REQUEST_TIMED_OUT',
        'The change was not committed in time, it may be yet',
      )
    } catch (error) {
      const { name, message } = refusalOf(error)
      return concern.refuse(request, name, message)
    }
  }

  /** The image of everything in the log, committed or not. */
  get #tip(): ClusterImage {
    return this.#pending.at(-1)?.image ?? this.#loader.image
  }

  /**
   * Folds and appends the records of one decision. The fold comes first: records that do not fit the image are a defect
   * and must not get into the log, where every replay would trip over them.
   */
  #append(before: ClusterImage, encoded: readonly Uint8Array[]): Promise<number> {
    const builder = new ImageBuilder(before)
    for (const bytes of encoded) builder.replay(decodeMetadataRecord(bytes))
    const endOffset = before.endOffset + encoded.length
    const { image } = builder.finish(endOffset, this.#quorum.leaderEpoch)
    const committed = this.#quorum.append(this.#quorum.leaderEpoch, encoded)
    // A refused append leaves the log as it was; the promise says why.
    if (this.#quorum.logEndOffset === endOffset) this.#pending.push({ endOffset, image, committed })
    return committed
  }

  /** Whether `committed` resolves within `timeoutMs`; rejects as it does. */
  async #settled(committed: Promise<number>, timeoutMs: number): Promise<boolean> {
    let cancel: Cancel = () => undefined
    const tooLate = new Promise<boolean>((resolve) => {
      cancel = this.#ports.clock.after(Math.max(timeoutMs, 0), () => resolve(false))
    })
    try {
      return await Promise.race([committed.then(() => true), tooLate])
    } finally {
      cancel()
    }
  }

  #fail(error: QuorumError): void {
    if (this.#failure !== null) return
    this.#failure = error
    this.#pending = []
    this.onFailed(error)
  }
}

/** What a client is told of an append that was not committed. */
function refusalOf(error: unknown): { readonly name: ErrorName; readonly message: string } {
  if (!(error instanceof QuorumError))
    return { name: 'UNKNOWN_SERVER_ERROR', message: 'The metadata log failed' }
  switch (error.code) {
    case 'QUORUM_BATCH_TOO_LARGE':
      return { name: 'POLICY_VIOLATION', message: 'The request is too large: split it' }
    case 'QUORUM_BUSY':
      return { name: 'REQUEST_TIMED_OUT', message: 'Too many changes wait to be committed' }
    case 'QUORUM_ROLLED_BACK':
      return { name: 'KAFKA_STORAGE_ERROR', message: STORAGE_FULL }
    default:
      return { name: 'NOT_CONTROLLER', message: 'The controller stopped before the change was committed' }
  }
}
