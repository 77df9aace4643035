/**
 * The oracle of random lives: watches a whole cluster past its clients and says at once what does not hold, by the ID of the
 * invariant (docs/faults.md section 3; which are checked when, and which are not: docs/simulation.md).
 *
 *   after every event   what moved on the machine whose turn it was: metadata.ts, replicas.ts, quorum.ts, defects.ts, and each
 *                       acknowledgement that a client has just got (R13)
 *   at checkpoints      bytes on all disks: logs.ts, storage.ts, and R2: who could be elected has everything on its platter
 *   at rest, closed     replicas are equal, nobody waits, nothing moves, nothing is left: rest.ts
 *
 * It reads only, draws nothing, and is the only one that knows what is true (truth.ts).
 */
import { configsOf, TOPIC_RESOURCE } from '../../../src/metadata/cluster-image.ts'
import type { Partition } from '../../../src/replication/partition.ts'
import { isNothingLeft, leavingsOf } from '../../../src/sim/leavings.ts'
import type { Leavings } from '../../../src/sim/leavings.ts'
import type { Ledger } from '../support/cluster-clients.ts'
import { DIRECTORY } from '../support/sim-cluster.ts'
import type { Host, SimCluster } from '../support/sim-cluster.ts'
import { DefectRule } from './defects.ts'
import { DiskLog } from './disk-log.ts'
import type { Layer } from './disk-log.ts'
import { checkEqual, LogRules } from './logs.ts'
import type { LogUnderTest } from './logs.ts'
import { MetadataRules } from './metadata.ts'
import { METADATA_LOG, QUORUM_STATE_PATH, QuorumRules } from './quorum.ts'
import type { QuorumLike, QuorumMember } from './quorum.ts'
import { ReplicaRules } from './replicas.ts'
import type { Life } from './replicas.ts'
import { checkNobodyWaits, checkNothingLeft, checkStill, STILL_MS } from './rest.ts'
import type { Stillness } from './rest.ts'
import { checkCheckpoints, inodeOf, LeftoverRule, partsOf } from './storage.ts'
import { Truths } from './truth.ts'
import type { PartitionTruth } from './truth.ts'
import { fail, Violation } from './violation.ts'

const QUORUM_STATE_PARTS = partsOf(QUORUM_STATE_PATH)
const MIN_ISR = 'min.insync.replicas'
/**
 * What was closed has let go of everything within this, in virtual ms: connections hang up, and bounds that were set before
 * run out. What sets itself again, or is for later, is a leak.
 */
const LETTING_GO_MS = 5000
const LETTING_GO_STEP_MS = 100

/** What the oracle knows of one machine. */
interface Watched {
  readonly host: Host
  readonly leftovers: LeftoverRule
  readonly logs: Map<string, Readonly<Record<Layer, DiskLog>>>
  generation: number
  life: Life
  /** The last life that was seen with a broker epoch, and which. */
  registered: { readonly generation: number; readonly brokerEpoch: number } | null
  member: QuorumMember
  hasServed: boolean
  readonly lookAt: (partition: Partition) => void
}

export class Oracle {
  readonly truths = new Truths()
  readonly #cluster: SimCluster
  readonly #ledger: Ledger
  /** By topic: the least `min.insync.replicas` that was seen. */
  readonly #leastMinIsr = new Map<string, number>()
  /** The volume with which each broker registered last. */
  readonly #volumes = new Map<number, object>()
  readonly #watched = new Map<Host, Watched>()
  readonly #metadata: MetadataRules
  readonly #replicas: ReplicaRules
  readonly #quorum = new QuorumRules()
  readonly #logs = new LogRules()
  readonly #defects: DefectRule
  readonly #members = (): readonly QuorumMember[] =>
    this.#cluster.hosts.map((host) => this.#watch(host).member)
  readonly #leaderOf = (epoch: number): QuorumLike | null =>
    this.#cluster.hosts
      .map(({ broker }) => broker?.view.quorum)
      .find((quorum) => quorum?.role === 'leader' && quorum.leaderEpoch === epoch) ?? null
  #ackedCount = 0

  constructor(cluster: SimCluster, ledger: Ledger) {
    this.#cluster = cluster
    this.#ledger = ledger
    this.#metadata = new MetadataRules(this.truths, {
      registered: (id) => this.#volumes.set(id, cluster.host(id).node.disk.image.root),
      changed: (truth, joined, leaderEpoch) => this.#changed(truth, joined, leaderEpoch),
    })
    this.#replicas = new ReplicaRules(this.truths, {
      minIsr: (truth) => this.#minIsr(truth),
      presentMinIsr: (truth) => this.#presentMinIsr(truth),
      isOnPlatter: (id, truth, offset) => this.#logOf(id, truth.name, 'durable').reaches(offset),
      hostIds: () => cluster.hosts.map(({ id }) => id),
    })
    this.#defects = new DefectRule(cluster.said, cluster.ended)
    cluster.simulation.checks.push(() => this.#afterEvent())
  }

  /** How often each rare path was seen. */
  get marks(): Map<string, number> {
    return this.#metadata.marks
  }

  /** Listens no more to what this process leaves unhandled. */
  close(): void {
    this.#defects.close()
  }

  /** The heavy checks: looks at the disks of all machines. @throws Violation */
  checkpoint(): void {
    for (const host of this.#cluster.hosts) {
      const { broker, node } = host
      if (broker === null) continue
      for (const log of this.#logsOf(host)) if (!log.disk.look().isRotten) this.#logs.check(log)
      checkCheckpoints(node, DIRECTORY, (name) => this.#logOf(host.id, name, 'durable'))
      this.#quorum.checkPrefix(this.#watch(host).member, broker.view.quorum.highWatermark)
    }
    for (const truth of this.truths.all()) this.#checkCandidates(truth)
  }

  /** R16, R2, P2, S2: the cluster is whole, and nothing is written any more. No suspicion is left. @throws Violation */
  checkAtRest(): void {
    this.checkpoint()
    const byName = new Map<string, LogUnderTest[]>()
    for (const host of this.#cluster.hosts) {
      const { broker } = host
      if (broker === null) continue
      checkNobodyWaits(host.name, [...broker.view.partitions.partitions()].filter(isAtRest))
      for (const log of this.#logsOf(host)) {
        if (!isAtRest(log.truth)) continue
        byName.set(log.truth.name, [...(byName.get(log.truth.name) ?? []), log])
        this.#checkProducers(host, log)
      }
    }
    for (const truth of this.truths.all()) truth.checkAtRest()
    for (const logs of byName.values()) checkEqual(logs)
  }

  /** S6: lets some time pass in which nothing happens. @throws Violation */
  async checkStill(): Promise<void> {
    const now = (): Stillness => ({
      image: this.#cluster.image,
      controllerEpoch: Math.max(
        ...this.#cluster.hosts.map(({ broker }) => broker?.view.quorum.leaderEpoch ?? 0),
      ),
    })
    const before = now()
    await this.#cluster.pass(STILL_MS)
    checkStill(before, now())
  }

  /** S1: every broker and every client was closed. @throws Violation */
  async checkClosed(): Promise<void> {
    // Nothing can happen any more once nothing is left, so that need not be waited for.
    const endMs = this.#cluster.simulation.nowMs + LETTING_GO_MS
    while (this.#cluster.simulation.nowMs < endMs && !this.#leavings().every(isNothingLeft))
      await this.#cluster.pass(LETTING_GO_STEP_MS)
    for (const leavings of this.#leavings()) checkNothingLeft(leavings)
    this.#defects.check()
  }

  /** What each machine has open. */
  #leavings(): readonly Leavings[] {
    return Array.from(this.#cluster.simulation.nodes, leavingsOf)
  }

  #afterEvent(): void {
    const { actor } = this.#cluster.simulation
    this.#defects.check()
    for (const leavings of this.#cluster.held) checkNothingLeft(leavings)
    for (const host of this.#cluster.hosts) if (actor === null || host.node === actor) this.#look(host)
    if (this.#ledger.answers.length > this.#ackedCount) this.#checkAnswers()
  }

  #look(host: Host): void {
    const watched = this.#watch(host)
    const { node, broker } = host
    if (watched.generation !== node.generation) {
      watched.generation = node.generation
      watched.life = lifeOf(host)
      watched.member = { ...watched.member, life: watched.life.name }
      watched.hasServed = false
      watched.leftovers.began()
    }
    this.#quorum.lookAtVote(host.id, inodeOf(node, QUORUM_STATE_PARTS, 'durable'), node.disk.image.root)
    if (broker === null) return
    const { view, brokerEpoch } = broker
    if (watched.registered?.brokerEpoch !== brokerEpoch)
      watched.registered = { generation: node.generation, brokerEpoch }
    if (!watched.hasServed) {
      watched.hasServed = true
      watched.leftovers.serves((log) => log === METADATA_LOG || view.logs.quarantined.has(log))
    }
    this.#metadata.look(watched.life.name, view.controller.image)
    const { quorum } = view
    this.#quorum.look(watched.member, quorum, this.#members, this.#leaderOf)
    view.partitions.forEach(watched.lookAt)
  }

  /** R13: whatever a client was told is committed and on enough platters at that moment. */
  #checkAnswers(): void {
    for (; this.#ackedCount < this.#ledger.answers.length; this.#ackedCount++) {
      const { log, offset } = this.#ledger.answers[this.#ackedCount]!
      const truth = this.truths.named(log)
      if (truth === null || truth.trueHighWatermark <= offset)
        fail(
          'R13',
          `${log} was acknowledged at ${offset}, and committed is ${truth?.trueHighWatermark ?? 'nothing'}`,
        )
      const holders = this.#cluster.hosts.filter(({ id }) =>
        this.#logOf(id, log, 'durable').reaches(offset + 1),
      )
      if (holders.length < this.#minIsr(truth))
        fail(
          'R13',
          `${log} was acknowledged at ${offset}, which is on the platters of ${holders.map(({ name }) => name).join() || 'nobody'}`,
        )
    }
  }

  /** R2, R14: who joins has everything at that moment, or it never had to: later it would have caught up unseen. */
  #changed(truth: PartitionTruth, joined: readonly number[], leaderEpoch: number): void {
    if (joined.length === 0) return
    this.#checkCandidates(truth)
    if (!this.#isPromisedOnDisk(truth)) return
    const startOffset = truth.epochStarts.get(leaderEpoch) ?? 0
    for (const id of joined)
      if (
        id !== truth.image!.leader &&
        !this.#hasOutlived(id) &&
        !this.#logOf(id, truth.name, 'durable').reaches(startOffset)
      )
        fail(
          'R14',
          `${id} joins the in-sync replicas of ${truth.name} below ${startOffset}, the start of leader epoch ${leaderEpoch}`,
        )
  }

  /**
   * Whether the metadata know a broker by a life that is over, while its machine is in a later one. What that one fetched still
   * lets it join, by words that were under way; its registration takes it out again, unless it finds all of that.
   */
  #hasOutlived(id: number): boolean {
    const host = this.#cluster.host(id)
    const { registered } = this.#watch(host)
    if (registered === null || registered.generation === host.node.generation) return false
    return this.#metadata.newest?.brokers.get(id)?.epoch === registered.brokerEpoch
  }

  /** R2: in the strictest form, since committed means on the platters of all who are in sync. */
  #checkCandidates(truth: PartitionTruth): void {
    if (truth.image === null || !this.#isPromisedOnDisk(truth)) return
    for (const id of truth.candidates) {
      // With another disk, or in another life, it leads nothing before it registers; and with its registration it is no candidate
      // any more, or must have everything.
      if (this.#volumes.get(id) !== this.#cluster.host(id).node.disk.image.root || this.#hasOutlived(id))
        continue
      const platter = this.#logOf(id, truth.name, 'durable')
      if (platter.reaches(truth.trueHighWatermark)) continue
      const what = `${truth.name} is committed up to ${truth.trueHighWatermark}, and b${id}, which could be elected in partition epoch ${truth.image.partitionEpoch}, has ${platter.endOffset} on its platter`
      truth.suspect(id, new Violation('R2', what))
    }
  }

  /** Whether what is committed is on platters: a topic may ask for less. */
  #isPromisedOnDisk({ topic }: PartitionTruth): boolean {
    const { newest } = this.#metadata
    if (newest === null) return false
    const durability = configsOf(newest, { type: TOPIC_RESOURCE, name: topic }).get('durability')
    return durability === undefined || durability === 'disk'
  }

  #checkProducers(host: Host, log: LogUnderTest): void {
    const partition = this.#partitionOf(host.id, log.truth)
    if (partition === null || log.isCompacted) return
    // Nothing waits to be written at rest; but what retention has deleted, the fold does not see.
    if (log.disk.isRotten) return // Its batches were not followed.
    if (log.disk.endOffset !== partition.log.logEndOffset || log.disk.startOffset > 0) return
    this.#logs.checkProducers(log, [...partition.log.producers().entries()])
  }

  /** Logs that a broker serves and has on its disk. */
  *#logsOf(host: Host): IterableIterator<LogUnderTest> {
    for (const {
      topic,
      topicId,
      index,
      log,
      highWatermark,
      stopped,
    } of host.broker!.view.partitions.partitions()) {
      if (stopped !== null || log.config.durability === 'memory') continue
      const truth = this.truths.of(topic, topicId, index)
      const disk = this.#logOf(host.id, truth.name, 'live')
      yield { truth, host: host.name, disk, highWatermark, isCompacted: log.config.isCompacted }
    }
  }

  #partitionOf(id: number, { name }: PartitionTruth) {
    const at = name.lastIndexOf('-')
    const { broker } = this.#cluster.host(id)
    const found = broker?.view.partitions.lookupReplica(name.slice(0, at), Number(name.slice(at + 1)))
    return found === undefined || typeof found === 'string' ? null : found
  }

  /** As the newest metadata have it. */
  #presentMinIsr({ name, image }: PartitionTruth): number {
    const { newest } = this.#metadata
    const topic = topicOf(name)
    const own =
      newest === null ? undefined : configsOf(newest, { type: TOPIC_RESOURCE, name: topic }).get(MIN_ISR)
    const wanted = Number(own ?? this.#cluster.settings[MIN_ISR] ?? 1)
    return image === null ? 1 : Math.min(wanted, image.replicas.length)
  }

  /** A leader may not have heard of the newest value when it commits: the least of all that were ever in force. */
  #minIsr(truth: PartitionTruth): number {
    const topic = topicOf(truth.name)
    const usual = Number(this.#cluster.settings[MIN_ISR] ?? 1)
    const present = this.#presentMinIsr(truth)
    const wanted = Math.min(present, usual, this.#leastMinIsr.get(topic) ?? present)
    this.#leastMinIsr.set(topic, wanted)
    return wanted
  }

  #logOf(id: number, name: string, layer: Layer): DiskLog {
    const { logs, host } = this.#watch(this.#cluster.host(id))
    let both = logs.get(name)
    if (both === undefined) logs.set(name, (both = logsAt(host, name)))
    return both[layer]
  }

  #watch(host: Host): Watched {
    let watched = this.#watched.get(host)
    if (watched === undefined) {
      const { generation } = host.node
      const leftovers = new LeftoverRule(host.node, DIRECTORY)
      const metadata = logsAt(host, METADATA_LOG)
      const logs = new Map([[METADATA_LOG, metadata]])
      const life = lifeOf(host)
      const member = { id: host.id, life: life.name, platter: metadata.durable, live: metadata.live }
      const lookAt = (partition: Partition): void => this.#replicas.look(made.life, partition)
      const made: Watched = {
        ...{ host, leftovers, logs, generation, life, registered: null, member, hasServed: false, lookAt },
      }
      watched = made
      this.#watched.set(host, watched)
    }
    return watched
  }
}

/** Members of groups go on committing: those logs rest never. */
function isAtRest({ topic }: { readonly topic: string }): boolean {
  return !topic.startsWith('__')
}

function lifeOf({ id, name, node }: Host): Life {
  return { id, name: `${name}#${node.generation}` }
}

function logsAt({ node }: Host, name: string): Readonly<Record<Layer, DiskLog>> {
  const path = `${DIRECTORY}/${name}`
  return { live: new DiskLog(node, path, 'live'), durable: new DiskLog(node, path, 'durable') }
}

function topicOf(name: string): string {
  return name.slice(0, name.lastIndexOf('-'))
}
