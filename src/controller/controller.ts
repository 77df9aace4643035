/**
 * The controller of one node: what brokers and clients can ask of it, and what it does by itself. Every node has one; the one
 * whose node leads the metadata quorum is active and decides (decider.ts), any other refuses with NOT_CONTROLLER. Control
 * plane.
 *
 *   command ──> decide(image of all decided) ──> records ──> quorum.append ──> committed ──> answer
 *                        ▲                          │                             │
 *                        └──── fold into the tip ◄──┘        loader.image ◄───────┘   what readers see
 *
 * Invariants:
 * - Reads see committed images only.
 * - What is known of brokers but not in the log (sessions) begins anew whenever it becomes active.
 * - The first records of a new cluster are those of its first active controller, before any other.
 */
import type { ClusterImage } from '../metadata/cluster-image.ts'
import { MILLRACE_VERSION } from '../metadata/features.ts'
import type { ImageDelta } from '../metadata/image-delta.ts'
import type { RequestOf, ResponseOf } from '../protocol/apis.ts'
import type { QuorumError } from '../raft/metadata-quorum.ts'
import type { MetadataQuorum } from '../raft/metadata-quorum.ts'
import { BrokerSessions } from './broker-sessions.ts'
import { alterPartition } from './alter-partition.ts'
import { brokerHeartbeat, fenceBroker, registerBroker, unregisterBroker } from './brokers.ts'
import type {
  BrokerHeartbeat,
  BrokerHeartbeatAnswer,
  BrokerRegistered,
  BrokerUnregistered,
  RegisterBroker,
} from './brokers.ts'
import { Chores } from './chores.ts'
import { outcomeOf } from './concern.ts'
import type { ControllerSettings } from './concern.ts'
import { alterConfigs, incrementalAlterConfigs } from './configs.ts'
import { Decider, NOT_ACTIVE } from './decider.ts'
import type { ControllerPorts } from './decider.ts'
import { drainBroker } from './drain.ts'
import type { BrokerDrained } from './drain.ts'
import { electLeaders } from './elect-leaders.ts'
import { balanceLeaders, relieveBroker } from './elections.ts'
import { formatCluster, updateFeature } from './features.ts'
import type { FeatureUpdated, UpdateFeature } from './features.ts'
import { resignReplicas } from './failed-replicas.ts'
import type { ReplicasResigned, ResignReplicas } from './failed-replicas.ts'
import { renewLeaderEpochs } from './leader-epochs.ts'
import type { LeaderEpochsRenewed, RenewLeaderEpochs } from './leader-epochs.ts'
import { createPartitions } from './partitions.ts'
import { allocateProducerIds } from './producer-ids.ts'
import type { AllocateProducerIds, ProducerIdBlock } from './producer-ids.ts'
import { alterPartitionReassignments, listPartitionReassignments } from './reassignments.ts'
import { createTopics, deleteTopics } from './topics.ts'

export class Controller {
  readonly #ports: ControllerPorts
  readonly #quorum: MetadataQuorum
  readonly #settings: ControllerSettings
  readonly #decider: Decider
  readonly #chores: Chores
  #sessions: BrokerSessions
  /**
   * Since when each broker is fenced, as this node saw it, in monotonic ms. Kept whether or not this controller is active, so
   * that a change of controller begins no delay anew. Whatever else becomes of a fenced broker does: it was not gone then, or,
   * after a snapshot, this node cannot know. So a count may be too short, and never too long.
   */
  readonly #fencedSinceMs = new Map<number, number>()
  /** Called once when the quorum has failed: this node controls nothing any more and must stop. */
  onFailed: (error: QuorumError) => void = () => undefined
  /** Called when this controller begins to decide, in an epoch of the quorum. */
  onActive: (epoch: number) => void = () => undefined
  /** Called when it decides no more. */
  onInactive: () => void = () => undefined

  constructor(ports: ControllerPorts, quorum: MetadataQuorum, settings: ControllerSettings) {
    this.#ports = ports
    this.#quorum = quorum
    this.#settings = settings
    this.#sessions = this.#newSessions()
    this.#chores = this.#newChores()
    const sightings = {
      mayBeAlive: (brokerId: number): boolean => !this.#sessions.isSilent(brokerId),
      isLeaveKnown: (brokerId: number): boolean => {
        const endOffset = this.#sessions.leaveEndOffset(brokerId)
        return endOffset !== null && this.#isKnownToLiveBrokers(endOffset)
      },
      isDeaf: (brokerId: number): boolean => this.#sessions.isDeaf(brokerId),
    }
    this.#decider = new Decider(ports, quorum, settings, sightings, {
      activated: (epoch) => this.#activate(epoch),
      deactivated: () => {
        this.#chores.stop()
        this.onInactive()
      },
      failed: (error) => this.onFailed(error),
    })
    this.#decider.loader.follow((delta) => this.#noteFenced(delta))
  }

  /**
   * Follows the metadata log. Resolves when all that was committed is replayed; on a node that leads the quorum by then,
   * such as a voter alone, when the controller is active and a new cluster has its first records.
   *
   * @throws {QuorumError | MetadataError} if the log or a snapshot cannot be believed: nothing may be served then.
   */
  async start(): Promise<void> {
    await this.#decider.start()
    // The first records are on their way, if they are needed: this waits for them.
    if (this.isActive) await this.#decider.run(formatCluster, null)
    this.#decider.throwIfFailed()
  }

  /** Decides nothing any more. To be called before the quorum is closed, which is whoever opened it's affair. */
  stop(): void {
    this.#decider.stop()
  }

  /** Whether commands are decided here. */
  get isActive(): boolean {
    return this.#decider.activeEpoch !== null
  }

  /** Who decides, as far as this node knows; null while nobody is known to. */
  get leaderId(): number | null {
    return this.#decider.leaderId
  }

  /** The newest committed image. */
  get image(): ClusterImage {
    return this.#decider.loader.image
  }

  /** Epoch of the quorum, and so of the controller that decides in it. */
  get epoch(): number {
    return this.#decider.epoch
  }

  /**
   * Resolves when the committed image reaches `endOffset` on this node.
   *
   * @throws {QuorumError} if the quorum has failed here.
   */
  async reached(endOffset: number): Promise<void> {
    while (this.image.endOffset < endOffset) {
      this.#decider.throwIfFailed()
      await this.#decider.nextMove()
    }
  }

  /** Calls `follower` with all there is now, as one delta from the empty image, and then with every committed change. */
  follow(follower: (delta: ImageDelta) => void): void {
    this.#decider.loader.follow(follower)
  }

  createTopics(request: RequestOf<'CreateTopics'>): Promise<ResponseOf<'CreateTopics'>> {
    return this.#decider.run(createTopics, request, request.timeoutMs)
  }

  deleteTopics(request: RequestOf<'DeleteTopics'>): Promise<ResponseOf<'DeleteTopics'>> {
    return this.#decider.run(deleteTopics, request, request.timeoutMs)
  }

  createPartitions(request: RequestOf<'CreatePartitions'>): Promise<ResponseOf<'CreatePartitions'>> {
    return this.#decider.run(createPartitions, request, request.timeoutMs)
  }

  incrementalAlterConfigs(
    request: RequestOf<'IncrementalAlterConfigs'>,
  ): Promise<ResponseOf<'IncrementalAlterConfigs'>> {
    return this.#decider.run(incrementalAlterConfigs, request)
  }

  alterConfigs(request: RequestOf<'AlterConfigs'>): Promise<ResponseOf<'AlterConfigs'>> {
    return this.#decider.run(alterConfigs, request)
  }

  async registerBroker(request: RegisterBroker): Promise<BrokerRegistered> {
    const answer = await this.#decider.run(registerBroker, request)
    // A lost answer is asked for again: that begins no new session.
    if (answer.error === 'NONE' && this.#sessions.knownEndOffset(request.brokerId) <= answer.brokerEpoch)
      this.#sessions.begin(request.brokerId)
    return answer
  }

  async heartbeat(request: BrokerHeartbeat): Promise<BrokerHeartbeatAnswer> {
    const { brokerId, brokerEpoch, metadataEndOffset, wantsShutdown } = request
    const isRegistered = this.isActive && this.#decider.tip.brokers.get(brokerId)?.epoch === brokerEpoch
    // A sign of life when it comes: a slow commit of the answer is not the broker's silence.
    if (isRegistered) {
      this.#sessions.touch(brokerId)
      this.#sessions.knows(brokerId, metadataEndOffset, this.image.endOffset)
      this.#decider.wake()
    }
    const sessions = this.#sessions
    const beforeEndOffset = this.#decider.tip.endOffset
    const deciding = this.#decider.run(brokerHeartbeat, request)
    const { endOffset } = this.#decider.tip
    const isNews = endOffset > beforeEndOffset || sessions.leaveEndOffset(brokerId) === null
    if (isRegistered && wantsShutdown && isNews) sessions.leaves(brokerId, endOffset)
    const answer = await deciding
    if (answer.mayShutDown) sessions.end(brokerId)
    return answer
  }

  /** A change of in-sync sets, from the leader of the partitions. */
  alterPartition(request: RequestOf<'AlterPartition'>): Promise<ResponseOf<'AlterPartition'>> {
    return this.#decider.run(alterPartition, request)
  }

  electLeaders(request: RequestOf<'ElectLeaders'>): Promise<ResponseOf<'ElectLeaders'>> {
    return this.#decider.run(electLeaders, request, request.timeoutMs)
  }

  alterPartitionReassignments(
    request: RequestOf<'AlterPartitionReassignments'>,
  ): Promise<ResponseOf<'AlterPartitionReassignments'>> {
    return this.#decider.run(alterPartitionReassignments, request, request.timeoutMs)
  }

  /** The moves under way, as they are committed. */
  listPartitionReassignments(
    request: RequestOf<'ListPartitionReassignments'>,
  ): ResponseOf<'ListPartitionReassignments'> {
    if (this.isActive) return listPartitionReassignments(request, this.image)
    return { throttleTimeMs: 0, ...outcomeOf('NOT_CONTROLLER', NOT_ACTIVE), topics: [] }
  }

  /**
   * Begins to move the replicas of a broker to others, some at a time: to be asked again until `leftCount` is 0. Then the
   * broker can be stopped and unregistered.
   */
  drainBroker(brokerId: number): Promise<BrokerDrained> {
    return this.#decider.run(drainBroker, { brokerId })
  }

  unregisterBroker(brokerId: number): Promise<BrokerUnregistered> {
    return this.#decider.run(unregisterBroker, { brokerId })
  }

  /**
   * Waits until every broker that lives has put the metadata before `endOffset` into effect, as its heartbeats tell. A
   * broker that dies meanwhile counts no more once it is fenced. The broker on this node is the caller's affair.
   *
   * @param timeoutMs - How long to wait, in ms.
   * @returns Whether they all have it; false after `timeoutMs`, and when this controller decides no more.
   */
  async whenKnownToLiveBrokers(endOffset: number, timeoutMs: number): Promise<boolean> {
    const epoch = this.#decider.activeEpoch
    const deadlineMs = this.#ports.clock.monotonicMs() + timeoutMs
    const cancel = this.#ports.clock.after(timeoutMs, () => this.#decider.wake())
    try {
      for (;;) {
        if (epoch === null || epoch !== this.#decider.activeEpoch) return false
        if (this.image.endOffset >= endOffset && this.#isKnownToLiveBrokers(endOffset)) return true
        if (this.#ports.clock.monotonicMs() >= deadlineMs) return false
        await this.#decider.nextMove()
      }
    } finally {
      cancel()
    }
  }

  renewLeaderEpochs(request: RenewLeaderEpochs): Promise<LeaderEpochsRenewed> {
    return this.#decider.run(renewLeaderEpochs, request)
  }

  /** Replicas that their broker cannot use: others are counted on from now on. */
  resignReplicas(request: ResignReplicas): Promise<ReplicasResigned> {
    return this.#decider.run(resignReplicas, request)
  }

  allocateProducerIds(request: AllocateProducerIds): Promise<ProducerIdBlock> {
    return this.#decider.run(allocateProducerIds, request)
  }

  updateFeature(request: UpdateFeature): Promise<FeatureUpdated> {
    return this.#decider.run(updateFeature, request)
  }

  #activate(epoch: number): void {
    this.#sessions = this.#newSessions()
    // What silenced the last controller has most likely silenced the broker in its process.
    const { lastLeader, nodeId } = this.#quorum
    if (lastLeader !== null && lastLeader.id !== nodeId)
      this.#sessions.wasHeard(lastLeader.id, lastLeader.heardMs)
    // In this turn, so before any other command; if there is no room for it now, the next round tries again.
    void this.#decider.run(formatCluster, null)
    this.#chores.start()
    this.onActive(epoch)
  }

  #isKnownToLiveBrokers(endOffset: number): boolean {
    for (const { id, isFenced } of this.image.brokers.values()) {
      if (isFenced || id === this.#settings.nodeId) continue
      if (this.#sessions.knownEndOffset(id) < endOffset) return false
    }
    return true
  }

  #newSessions(): BrokerSessions {
    const { nodeId, cluster } = this.#settings
    return new BrokerSessions(this.#ports.clock, nodeId, cluster.brokerSessionTimeoutMs)
  }

  #newChores(): Chores {
    const { cluster } = this.#settings
    const rebalanceMs = cluster.autoLeaderRebalanceEnable
      ? cluster.leaderImbalanceCheckIntervalSeconds * 1000
      : -1
    return new Chores(
      this.#ports.clock,
      { brokerSessionMs: cluster.brokerSessionTimeoutMs, rebalanceMs },
      {
        stoodStill: (ms) => this.#sessions.stoodStill(ms),
        round: async () => {
          if (!this.#decider.mayDecide()) return
          if (!this.image.features.has(MILLRACE_VERSION)) await this.#decider.run(formatCluster, null)
          await this.#fenceSilentBrokers()
          await this.#relieveDeafBrokers()
          await this.#replaceLostBrokers()
        },
        rebalance: async () => {
          await this.#decider.run(balanceLeaders, null)
        },
      },
    )
  }

  async #fenceSilentBrokers(): Promise<void> {
    for (const broker of this.image.brokers.values()) {
      if (broker.isFenced || !this.#sessions.isSilent(broker.id)) continue
      this.#ports.logger.warn('Broker is silent: others lead in its place', { brokerId: broker.id })
      await this.#decider.run(fenceBroker, {
        brokerId: broker.id,
        isStillSilent: () => this.#sessions.isSilent(broker.id),
      })
    }
  }

  async #relieveDeafBrokers(): Promise<void> {
    for (const { id, isFenced } of this.image.brokers.values()) {
      if (isFenced || !this.#sessions.isDeaf(id)) continue
      const { movedCount } = await this.#decider.run(relieveBroker, { brokerId: id })
      if (movedCount === 0) continue
      const fields = { brokerId: id, movedCount }
      this.#ports.logger.warn('Broker does not follow the metadata: others lead in its place', fields)
    }
  }

  /** Moves what brokers hold that have been gone for longer than the configuration allows. */
  async #replaceLostBrokers(): Promise<void> {
    const { brokerReplacementDelayMs: delayMs } = this.#settings.cluster
    if (delayMs < 0) return
    const nowMs = this.#ports.clock.monotonicMs()
    for (const [id, sinceMs] of [...this.#fencedSinceMs]) {
      // A new controller gives each a session's time to show up: its predecessor may have been the one that was cut off.
      const isGone = nowMs - sinceMs >= delayMs && this.#sessions.isSilent(id)
      if (isGone) await this.#decider.run(drainBroker, { brokerId: id })
    }
  }

  #noteFenced({ after, changedBrokers }: ImageDelta): void {
    const nowMs = this.#ports.clock.monotonicMs()
    for (const id of changedBrokers) {
      if (after.brokers.get(id)?.isFenced === true) this.#fencedSinceMs.set(id, nowMs)
      else this.#fencedSinceMs.delete(id)
    }
  }
}
