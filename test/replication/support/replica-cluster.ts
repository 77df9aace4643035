/**
 * A few nodes that replicate one topic, an oracle for a controller, and everything that can go wrong between them.
 */
import { FileError } from '../../../src/env/index.ts'
import type { LogFields, Logger } from '../../../src/env/index.ts'
import type { Prng } from '../../../src/env/sim/prng.ts'
import type { SimNode } from '../../../src/env/sim/sim-node.ts'
import { Simulation } from '../../../src/env/sim/simulation.ts'
import type { ClusterImage } from '../../../src/metadata/cluster-image.ts'
import { readBatchHeader } from '../../../src/records/batch-header.ts'
import type { AlterOutcome } from '../../../src/replication/isr-state.ts'
import type { IsrPort } from '../../../src/replication/partition-state.ts'
import type { AckFailure } from '../../../src/replication/waiting-acks.ts'
import { makeBatch } from '../../log/support.ts'
import { OracleController, TOPIC } from './oracle-controller.ts'
import { ReplicaInvariants } from './replica-invariants.ts'
import { ReplicaLinks } from './replica-links.ts'
import { HOME, NodeLife } from './replica-node.ts'
import type { LifePorts, NodeSettings } from './replica-node.ts'

export interface ClusterOptions {
  readonly seed: number | string
  readonly nodes: number
  /** Replicas of each partition. */
  readonly partitions: readonly (readonly number[])[]
  readonly minIsr: number
  readonly settings?: Partial<NodeSettings>
  /** Chance that a request to the controller, or its answer, is lost. */
  readonly controllerLoss?: number
}

const SETTINGS: NodeSettings = {
  segmentBytes: 1_000_000,
  tailCacheBytes: 1_000_000,
  checkpointMs: 1000,
  replicaLagMsMax: 300,
  catchUpBytesPerSecond: Infinity,
}

/** Noted when a log was cut over two epochs. */
export const CUT_TWICE = 'A log was cut over two epochs'

/** What a produce request came to: an offset, or an error's name. */
export type Produced = { readonly baseOffset: number; readonly lastOffset: number } | string

export class ReplicaCluster {
  readonly simulation: Simulation
  readonly random: Prng
  readonly controller: OracleController
  readonly links: ReplicaLinks
  readonly invariants: ReplicaInvariants
  /** What nodes logged, by message: which rare paths were taken. */
  readonly said = new Map<string, number>()
  readonly errors: unknown[] = []
  readonly counts = { lostProposals: 0, lostOutcomes: 0, lateProposals: 0, spentEpochs: 0 }
  readonly #lives = new Map<number, NodeLife>()
  readonly #ports: LifePorts
  /** Images on their way, by node; null while they are held back. */
  readonly #mail = new Map<number, ClusterImage[]>()
  readonly #held = new Set<number>()
  readonly #controllerLoss: number
  readonly nodeIds: readonly number[]
  /** Bounds of the time that images and proposals take, in ms. */
  controllerMs: readonly [number, number] = [0.1, 3]
  readonly #ids: Prng

  constructor(options: ClusterOptions) {
    this.simulation = new Simulation({ seed: options.seed, logger: this.#listen() })
    this.#ids = this.simulation.stream('topic ids')
    this.random = this.simulation.workload
    this.nodeIds = Array.from({ length: options.nodes }, (_, index) => index + 1)
    this.#controllerLoss = options.controllerLoss ?? 0
    this.controller = new OracleController({ 'min.insync.replicas': String(options.minIsr) })
    this.links = new ReplicaLinks(this.simulation, (id) => this.life(id))
    this.links.onError = (error) => this.errors.push(error)
    this.invariants = new ReplicaInvariants(this.controller, (id) => this.life(id))
    this.#ports = {
      settings: { ...SETTINGS, ...options.settings },
      isr: (life) => this.#isrPort(life),
      linkTo: (life, leaderId) => this.links.linkFrom(life, leaderId),
      onEpochSpent: (life) => this.#renewEpochs(life),
      onError: (error) => this.errors.push(error),
    }
    for (const id of this.nodeIds) this.node(id).disk.prepareDirectory(HOME)
    this.controller.onCommit = (image) => this.#publish(image)
    this.simulation.checks.push(() => {
      if (this.errors.length > 0) throw this.errors[0]
      this.invariants.check()
    })
  }

  /** Starts all nodes and creates the topic. */
  static async start(options: ClusterOptions): Promise<ReplicaCluster> {
    const cluster = new ReplicaCluster(options)
    for (const id of cluster.nodeIds) void cluster.startNode(id)
    await cluster.until(() => cluster.nodeIds.every((id) => cluster.controller.isLive(id)))
    cluster.createTopic(options.partitions)
    await cluster.until(() => cluster.isWhole())
    return cluster
  }

  node(id: number): SimNode {
    return this.simulation.node(`n${id}`)
  }

  /** The present life of a node, once its logs are open; null while it is down. */
  life(id: number): NodeLife | null {
    const life = this.#lives.get(id)
    return life?.isAlive === true ? life : null
  }

  createTopic(partitions: readonly (readonly number[])[]): void {
    this.controller.createTopic(this.#ids.uuid(), partitions)
  }

  /** Opens the logs of a node that is up, and registers it; it is let in when it knows where it stands. */
  async startNode(id: number): Promise<void> {
    try {
      const life = await NodeLife.begin(this.node(id), id, this.#ports)
      this.#lives.set(id, life)
      this.#mail.set(id, [])
      life.brokerEpoch = this.controller.register(id)
      const look = (): void => {
        const known = life.follower.image.brokers.get(id)
        const isHeard = !this.#held.has(id) && known?.epoch === life.brokerEpoch
        if (isHeard) this.controller.unfence(id, life.brokerEpoch)
        if (life.isAlive) life.env.clock.after(20, look)
      }
      look()
      this.#upkeep(life)
    } catch (error) {
      if (!(error instanceof FileError)) this.errors.push(error)
      // The disk was full again while it started: somebody sees to that, and starts it once more.
      this.die(id, 'crash')
      this.simulation.schedule(300, 'another start', () => this.restart(id))
    }
  }

  die(id: number, how: 'crash' | 'power cut'): void {
    const node = this.node(id)
    if (!node.isUp) return
    if (how === 'crash') node.crash()
    else node.powerCut()
    this.links.died(id)
  }

  restart(id: number): void {
    const node = this.node(id)
    if (node.isUp) return
    node.disk.freeBytes = 2 ** 40
    node.restart()
    void this.startNode(id)
  }

  /** Images wait from now on, and heartbeats do not come: a node that is cut off from the controller. */
  hold(id: number): void {
    this.#held.add(id)
  }

  release(id: number): void {
    this.#held.delete(id)
    this.#deliver(id)
  }

  leader(index: number): NodeLife | null {
    const { leader } = this.controller.partitions[index]!
    return leader === null ? null : this.life(leader)
  }

  /**
   * What a producer asks of a node. `settle` may never be called: the node dies.
   *
   * @param acks - -1, or 1.
   */
  produce(
    life: NodeLife,
    topicId: string,
    index: number,
    batch: Uint8Array,
    acks: 1 | -1,
    timeoutMs: number,
    settle: (produced: Produced) => void,
  ): void {
    // By id, as clients do since KIP-516: of a topic that was made anew a node may still serve the old one.
    const isKnown = life.registry.findTopicName(topicId) !== undefined
    const partition = isKnown ? life.registry.lookup(TOPIC, index) : 'UNKNOWN_TOPIC_ID'
    if (typeof partition === 'string') {
      settle(partition)
      return
    }
    if (acks === -1 && partition.isUnderMinIsr) {
      settle('NOT_ENOUGH_REPLICAS')
      return
    }
    const result = partition.appendAsLeader(batch, readBatchHeader(batch))
    if (result.kind === 'rejected') {
      // Whoever leads without knowing that it was replaced may lack what its successors have.
      const isZombie = partition.leaderEpoch < this.controller.partitions[index]!.leaderEpoch
      settle(isZombie ? `${result.error} of a zombie` : result.error)
      return
    }
    const { baseOffset, lastOffset } = result
    const deadlineMs = life.env.clock.monotonicMs() + timeoutMs
    partition.whenAcked(lastOffset + 1, acks, deadlineMs, (failure: AckFailure | null) => {
      // Not thrown: the log would take it for a failure of its disk.
      try {
        if (failure === null && acks === -1) this.invariants.acked(partition, lastOffset)
      } catch (error) {
        this.errors.push(error)
      }
      settle(failure ?? { baseOffset, lastOffset })
    })
  }

  /** Appends one batch at the leader and waits for its fate. */
  async produceOnce(
    index: number,
    acks: 1 | -1 = -1,
    options: Parameters<typeof makeBatch>[0] = {},
  ): Promise<Produced> {
    const life = this.leader(index)
    if (life === null) return 'LEADER_NOT_AVAILABLE'
    let produced: Produced | null = null
    this.produce(
      life,
      this.controller.topicId,
      index,
      makeBatch(options),
      acks,
      5000,
      (outcome) => (produced = outcome),
    )
    await this.until(() => produced !== null)
    return produced!
  }

  until(goal: () => boolean, limitMs = 30_000): Promise<void> {
    return this.simulation.runUntil(goal, limitMs)
  }

  pass(ms: number): Promise<void> {
    return this.simulation.run(this.simulation.nowMs + ms)
  }

  /** S3: everybody is in sync, has all there is, and knows that it is committed. */
  isWhole(): boolean {
    return this.controller.partitions.every(({ leader, replicas, isr }, index) => {
      const own = leader === null ? null : this.life(leader)?.partition(index)
      if (own?.isLeader !== true || isr.length !== replicas.length) return false
      return replicas.every((id) => {
        const other = this.life(id)?.partition(index)
        return (
          other !== undefined &&
          other !== null &&
          other.leaderEpoch === own.leaderEpoch &&
          other.topicId === this.controller.topicId &&
          other.log.durableEndOffset === own.log.logEndOffset &&
          other.highWatermark === own.log.logEndOffset
        )
      })
    })
  }

  drawMs(): number {
    return this.random.between(...this.controllerMs)
  }

  /** What each node has of each partition, for a run that does not come to its end. */
  describe(): string {
    const replicas = this.controller.partitions.map((own, index) => {
      const nodes = own.replicas.map((id) => {
        const found = this.life(id)?.registry.lookupReplica(TOPIC, index)
        if (found === undefined || typeof found === 'string') {
          const offline = [...(this.life(id)?.registry.offline() ?? [])].find((each) => each.index === index)
          return `  ${id}: ${found ?? 'down'} ${offline?.reason ?? ''}`
        }
        const { log, leaderEpoch, highWatermark, isLeader, isFollower } = found
        const role = isLeader ? 'leads' : isFollower ? 'follows' : 'idle'
        const known = isLeader
          ? ` isr ${found.isr.join()} maximal ${found.leaderState!.maximalIsr.join()}`
          : ''
        const marks = `${log.logStartOffset} ${highWatermark} ${log.durableEndOffset} ${log.logEndOffset}`
        return `  ${id}: ${role} in ${leaderEpoch}, ${marks}${known}, ${JSON.stringify(log.epochEntries())}`
      })
      const { leader, leaderEpoch, partitionEpoch, isr } = own
      return [
        `${index}: leader ${leader} in ${leaderEpoch}/${partitionEpoch}, isr ${isr.join()}`,
        ...nodes,
      ].join('\n')
    })
    const brokers = [...this.controller.brokers.values()].map(
      ({ id, isFenced }) => `${id}${isFenced ? ' fenced' : ''}`,
    )
    return [...replicas, brokers.join(', ')].join('\n')
  }

  /** As the broker does: logs that had no room to open are tried again, and spent epochs. */
  #upkeep(life: NodeLife): void {
    if (!life.isAlive) return
    life.env.clock.after(500, () => {
      life.follower
        .between((image) => life.registry.reopen(image))
        .then(
          () => this.#upkeep(life),
          (error: unknown) => this.errors.push(error),
        )
      if ([...life.registry.withSpentEpochs()].length > 0) this.#renewEpochs(life)
    })
  }

  #publish(image: ClusterImage): void {
    for (const [id, mail] of this.#mail) {
      mail.push(image)
      this.simulation.schedule(this.drawMs(), 'image', () => {
        if (!this.#held.has(id)) this.#deliver(id)
      })
    }
  }

  /** Hands over what waits: all of it at once, as a node that was asleep would find it. */
  #deliver(id: number): void {
    const life = this.life(id)
    const mail = this.#mail.get(id)?.splice(0)
    const image = mail?.at(-1)
    if (life === null || mail === undefined || image === undefined) return
    const images = mail.length > 1 && this.random.chance(0.5) ? [image] : mail
    // Each in an event of its own, so that what a node does between two of them is seen.
    for (const [place, each] of images.entries())
      this.simulation.schedule(place * 1e-3, 'image', () => life.inTurn(() => life.learn(each)))
  }

  #isrPort(life: NodeLife): IsrPort {
    return {
      alterPartition: (change) =>
        new Promise<AlterOutcome>((resolve) => {
          const answer = (outcome: AlterOutcome): void => {
            this.simulation.schedule(this.drawMs(), 'answer of the controller', () =>
              life.inTurn(() => resolve(outcome)),
            )
          }
          const unknown: AlterOutcome = { kind: 'unknown', error: 'the answer was lost' }
          const decide = (): AlterOutcome => this.controller.alterPartition(life.id, life.brokerEpoch, change)
          if (this.random.chance(this.#controllerLoss)) {
            // Lost for good, or so late that the leader has given it up.
            const isLate = this.random.chance(0.5)
            this.counts[isLate ? 'lateProposals' : 'lostProposals']++
            if (isLate)
              this.simulation.schedule(this.random.between(0, 1000), 'late proposal', () => void decide())
            answer(unknown)
            return
          }
          this.simulation.schedule(this.drawMs(), 'proposal', () => {
            const outcome = decide()
            const isLost = this.random.chance(this.#controllerLoss)
            if (isLost) this.counts.lostOutcomes++
            answer(isLost ? unknown : outcome)
          })
        }),
    }
  }

  #renewEpochs(life: NodeLife): void {
    this.counts.spentEpochs++
    this.simulation.schedule(this.drawMs(), 'a spent epoch', () => {
      if (!life.isAlive) return
      for (const { index } of [...life.registry.withSpentEpochs()]) {
        if (this.controller.partitions[index]?.leader === life.id) this.controller.elect(index, life.id)
      }
    })
  }

  #listen(): Logger {
    let lastCut = ''
    const listen = (message: string, fields?: LogFields): void => {
      this.said.set(message, (this.said.get(message) ?? 0) + 1)
      if (message.startsWith('Cutting a log')) {
        // Twice in one leader epoch: the first answer led to an older epoch that had parted as well.
        const cut = `${String(fields?.['node'])} ${String(fields?.['directory'])} ${String(fields?.['leaderEpoch'])}`
        if (cut === lastCut) this.said.set(CUT_TWICE, (this.said.get(CUT_TWICE) ?? 0) + 1)
        lastCut = cut
      }
      const cause = fields?.['reason'] ?? fields?.['error']
      const reason = cause instanceof Error ? cause.message : cause
      if (typeof reason === 'string') this.said.set(reason, (this.said.get(reason) ?? 0) + 1)
    }
    return { debug: listen, info: listen, warn: listen, error: listen }
  }
}
