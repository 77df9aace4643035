/**
 * A cluster in which only the controller is real: replicas are numbers (how far each has got), and a leader is what the
 * committed image says. The oracle knows what was acknowledged and says when a promise is broken (faults.md section 3).
 *
 * A record is acknowledged when every in-sync replica reported it in the present leader epoch and the set is large enough. A
 * crash may take whatever a replica has got since it was last synced, also what was acknowledged: memory is not disk.
 */
import { expect } from 'vitest'
import type { Controller } from '../../src/controller/controller.ts'
import type { ClusterImage, PartitionImage } from '../../src/metadata/cluster-image.ts'
import { compareImages } from '../../src/metadata/image-delta.ts'
import { decodeSnapshot, encodeSnapshot, imageHash } from '../../src/metadata/snapshot.ts'
import { joinBroker, nameOf, SeededRandom, startController, topicRequest } from './support.ts'
import type { TestController } from './support.ts'

const BROKERS = [1, 2, 3, 4, 5]
const TOPIC = 't'
const PARTITIONS = 3

interface Broker {
  isRunning: boolean
  epoch: number
  /** Of the incarnation after which everything is surely there; -1 for none. */
  cleanEpoch: number
  incarnation: number
}

interface Report {
  readonly position: number
  readonly brokerEpoch: number
}

/** One partition as the data plane has it. */
class Replicas {
  readonly positions = new Map<number, number>()
  /** What the leader knows of each, in its present epoch. */
  readonly reports = new Map<number, Report>()
  leaderEpoch = -1
  epochStart = 0
  highWatermark = 0
}

export class RandomCluster {
  readonly marks = {
    acked: 0,
    unclean: 0,
    fromElr: 0,
    lost: 0,
    joins: 0,
    ineligible: 0,
    moves: 0,
    failOvers: 0,
    lasts: 0,
  }
  readonly #test: TestController
  readonly #random: SeededRandom
  readonly #allowsUnclean: boolean
  readonly #brokers = new Map<number, Broker>()
  readonly #partitions = Array.from({ length: PARTITIONS }, () => new Replicas())
  #problem: Error | null = null

  static async start(seed: number, allowsUnclean: boolean): Promise<RandomCluster> {
    const test = await startController({ brokerCount: 0, seed })
    const cluster = new RandomCluster(test, seed, allowsUnclean)
    for (const id of BROKERS) {
      await cluster.#join(id)
      await cluster.#beat(id, {})
    }
    const configs = { 'min.insync.replicas': '2', 'unclean.leader.election.enable': String(allowsUnclean) }
    await test.controller.createTopics({
      topics: [topicRequest(TOPIC, { numPartitions: PARTITIONS, replicationFactor: 3, configs })],
      timeoutMs: 1000,
      validateOnly: false,
    })
    return cluster
  }

  private constructor(test: TestController, seed: number, allowsUnclean: boolean) {
    this.#test = test
    this.#random = new SeededRandom(seed * 7919 + 1)
    this.#allowsUnclean = allowsUnclean
    test.controller.follow(({ before, after }) => {
      try {
        this.#observe(before, after)
      } catch (error) {
        this.#problem ??= error as Error
      }
    })
  }

  get controller(): Controller {
    return this.#test.controller
  }

  get #image(): ClusterImage {
    return this.controller.image
  }

  async step(): Promise<string> {
    const name = await this.#act()
    if (this.#problem !== null) throw this.#problem
    for (const [index, state] of this.#states().entries()) this.#check(index, state)
    return name
  }

  async #act(): Promise<string> {
    const id = this.#pick(BROKERS)
    const broker = this.#brokers.get(id)!
    const roll = this.#random.below(100)
    if (roll < 45) return this.#replicate()
    if (roll < 65) return this.#changeIsr()
    if (roll < 68) return this.#crash(id, broker)
    if (roll < 85) return broker.isRunning ? this.#beat(id, {}) : this.#join(id)
    if (roll < 88) return broker.isRunning ? this.#beat(id, { wantsFence: true }) : this.#silence(id)
    if (roll < 90) return broker.isRunning ? this.#leave(id, broker) : this.#silence(id)
    if (roll < 92) return this.#failOver()
    if (roll < 95) return this.#move()
    if (roll < 97) return this.#changeMin()
    if (roll < 99) return this.#elect(0)
    return this.#elect(1)
  }

  /** A leader takes records, or a follower fetches what the leader has; then what all have is acknowledged. */
  #replicate(): string {
    const index = this.#random.below(PARTITIONS)
    const { leader, isr, replicas, leaderEpoch } = this.#states()[index]!
    if (leader === null || !this.#isUp(leader)) return 'nobody leads'
    const data = this.#partitions[index]!
    if (data.leaderEpoch !== leaderEpoch) {
      data.leaderEpoch = leaderEpoch
      data.reports.clear()
      data.epochStart = data.positions.get(leader) ?? 0
    }
    const id = this.#random.below(3) === 0 ? leader : this.#pick(replicas)
    const end = data.positions.get(leader) ?? 0
    if (id === leader) data.positions.set(leader, end + 1 + this.#random.below(3))
    else if (this.#isUp(id)) data.positions.set(id, end)
    else return 'a replica is down'
    for (const each of [id, leader]) {
      const brokerEpoch = this.#brokers.get(each)!.epoch
      data.reports.set(each, { position: data.positions.get(each) ?? 0, brokerEpoch })
    }
    if (isr.length < this.#min) return 'too few are in sync'
    const acked = Math.min(...isr.map((each) => data.reports.get(each)?.position ?? 0))
    if (acked > data.highWatermark) this.marks.acked++
    data.highWatermark = Math.max(data.highWatermark, acked)
    return `replicate ${index} at ${id} to ${data.positions.get(id)}`
  }

  async #changeIsr(): Promise<string> {
    const index = this.#random.below(PARTITIONS)
    const { leader, leaderEpoch, partitionEpoch, isr, replicas, isRecovering } = this.#states()[index]!
    const data = this.#partitions[index]!
    if (leader === null || !this.#isUp(leader) || data.leaderEpoch !== leaderEpoch) return 'nobody can ask'
    const id = this.#pick(replicas.filter((each) => each !== leader).concat(leader))
    const report = data.reports.get(id)
    const mayJoin = report !== undefined && report.position >= Math.max(data.highWatermark, data.epochStart)
    const others = isr.filter((each) => each !== id)
    const wanted = id === leader ? isr : isr.includes(id) ? others : mayJoin ? [...isr, id] : isr
    const { topics } = await this.controller.alterPartition({
      brokerId: leader,
      brokerEpoch: this.#brokers.get(leader)!.epoch,
      topics: [
        {
          topicId: this.#image.topicsByName.get(TOPIC)!.id,
          partitions: [
            {
              partitionIndex: index,
              leaderEpoch,
              partitionEpoch,
              leaderRecoveryState: isRecovering && this.#random.below(2) === 0 && wanted.length === 1 ? 1 : 0,
              newIsrWithEpochs: wanted.map((brokerId) => ({
                brokerId,
                brokerEpoch:
                  brokerId === id && report !== undefined
                    ? report.brokerEpoch
                    : this.#brokers.get(brokerId)!.epoch,
              })),
            },
          ],
        },
      ],
    })
    const error = nameOf(topics[0]?.partitions[0]?.errorCode ?? 0)
    if (error === 'INELIGIBLE_REPLICA') this.marks.ineligible++
    if (error === 'NONE' && wanted.length > isr.length) this.marks.joins++
    return `isr of ${index} to ${wanted.join()}: ${error}`
  }

  #crash(id: number, broker: Broker): string {
    if (!broker.isRunning) return 'is down already'
    broker.isRunning = false
    broker.cleanEpoch = -1
    for (const { positions } of this.#partitions) {
      const position = positions.get(id) ?? 0
      const left = Math.max(0, position - this.#random.below(4))
      if (left < position) this.marks.lost++
      positions.set(id, left)
    }
    return `crash of ${id}`
  }

  async #join(id: number): Promise<string> {
    const broker = this.#brokers.get(id) ?? { isRunning: false, epoch: -1, cleanEpoch: -1, incarnation: 0 }
    this.#brokers.set(id, broker)
    broker.incarnation++
    const epoch = await joinBroker(this.controller, id, `I${broker.incarnation}of`, {
      previousBrokerEpoch: broker.cleanEpoch,
      staysFenced: true,
    })
    expect(epoch, 'M9: a new incarnation has a higher epoch').toBeGreaterThan(broker.epoch)
    broker.epoch = epoch
    broker.isRunning = true
    broker.cleanEpoch = -1
    return `${id} joins`
  }

  async #beat(id: number, wishes: { wantsFence?: boolean; wantsShutdown?: boolean }): Promise<string> {
    const { mayShutDown } = await this.controller.heartbeat({
      brokerId: id,
      brokerEpoch: this.#brokers.get(id)!.epoch,
      metadataEndOffset: this.#image.endOffset,
      wantsFence: wishes.wantsFence ?? false,
      wantsShutdown: wishes.wantsShutdown ?? false,
    })
    return `heartbeat of ${id}${mayShutDown ? ', may go' : ''}`
  }

  async #leave(id: number, broker: Broker): Promise<string> {
    const outcome = await this.#beat(id, { wantsShutdown: true })
    // It goes in any case: with a clean mark, whether it was let go or lost its patience.
    if (outcome.endsWith('may go') || this.#random.below(2) === 0) {
      broker.isRunning = false
      broker.cleanEpoch = broker.epoch
    }
    return outcome
  }

  /** All who run say so while the session of those that do not runs out. */
  async #silence(id: number): Promise<string> {
    for (let round = 0; round < 5; round++) {
      for (const [each, { isRunning }] of this.#brokers)
        if (isRunning && this.#image.brokers.get(each)?.isFenced === false) await this.#beat(each, {})
      await this.#test.clock.pass(2500, 500)
    }
    return `${id} is silent`
  }

  async #failOver(): Promise<string> {
    this.#test.quorum.loseLeadership()
    await this.#test.quorum.win()
    this.marks.failOvers++
    return 'another controller'
  }

  async #move(): Promise<string> {
    const partitionIndex = this.#random.below(PARTITIONS)
    const shuffled = [...BROKERS].sort(() => this.#random.below(3) - 1)
    const replicas = this.#random.below(4) === 0 ? null : shuffled.slice(0, 2 + this.#random.below(2))
    const { responses } = await this.controller.alterPartitionReassignments({
      timeoutMs: 1000,
      allowReplicationFactorChange: true,
      topics: [{ name: TOPIC, partitions: [{ partitionIndex, replicas }] }],
    })
    if (responses[0]!.partitions[0]!.errorCode === 0) this.marks.moves++
    return `move ${partitionIndex} to ${replicas?.join() ?? 'where it was'}`
  }

  async #changeMin(): Promise<string> {
    const value = String(1 + this.#random.below(2))
    await this.controller.incrementalAlterConfigs({
      resources: [
        {
          resourceType: 2,
          resourceName: TOPIC,
          configs: [{ name: 'min.insync.replicas', configOperation: 0, value }],
        },
      ],
      validateOnly: false,
    })
    return `min.insync.replicas ${value}`
  }

  async #elect(electionType: number): Promise<string> {
    if (electionType === 1 && !this.#allowsUnclean) return 'nobody asks'
    await this.controller.electLeaders({ electionType, topicPartitions: null, timeoutMs: 1000 })
    return `election ${electionType}`
  }

  get #min(): number {
    return Number(this.#image.configs.get(`2:${TOPIC}`)?.get('min.insync.replicas'))
  }

  #states(): readonly PartitionImage[] {
    return this.#image.topicsByName.get(TOPIC)?.partitions ?? []
  }

  #isUp(id: number): boolean {
    return (
      this.#brokers.get(id)!.isRunning && this.#image.brokers.get(id)?.epoch === this.#brokers.get(id)!.epoch
    )
  }

  #pick<T>(from: readonly T[]): T {
    return from[this.#random.below(from.length)]!
  }

  /** R15 and M9, on every committed change. */
  #observe(before: ClusterImage, after: ClusterImage): void {
    for (const [id, { epoch }] of after.brokers)
      expect(epoch, `M9: epoch of broker ${id}`).toBeGreaterThanOrEqual(before.brokers.get(id)?.epoch ?? -1)
    const old = before.topicsByName.get(TOPIC)?.partitions ?? []
    const now = after.topicsByName.get(TOPIC)?.partitions ?? []
    for (const [index, state] of now.entries()) {
      const was = old[index]
      if (was === undefined || was === state) continue
      expect(state.partitionEpoch, 'M9: partition epoch').toBeGreaterThan(was.partitionEpoch)
      expect(state.leaderEpoch, 'M9: leader epoch').toBeGreaterThanOrEqual(was.leaderEpoch)
      if (state.leader === was.leader && state.leaderEpoch === was.leaderEpoch) continue
      expect(state.leaderEpoch, 'R15: an election has an epoch of its own').toBeGreaterThan(was.leaderEpoch)
      if (state.leader === null) continue
      const { leader } = state
      if (was.isr.includes(leader)) continue
      if (was.eligibleLeaderReplicas.includes(leader)) {
        this.marks.fromElr++
        continue
      }
      // Taken in by a leader that gives its leadership away with that.
      const wasGiven = was.leader !== null && [...state.isr, ...was.removingReplicas].includes(was.leader)
      if (wasGiven && !state.isRecovering) continue
      expect(state.isRecovering, 'R15: an unclean election is flagged').toBe(true)
      expect([state.isr, state.eligibleLeaderReplicas], 'nobody else is known to have the same').toEqual([
        [leader],
        [],
      ])
      // Who registers anew without a clean stop is no hope any more.
      const isSame = (id: number): boolean => before.brokers.get(id)?.epoch === after.brokers.get(id)?.epoch
      const hadNobody = ![...was.isr, ...was.eligibleLeaderReplicas].some(isSame)
      const isLast = was.leader === null && was.lastKnownEligibleLeaders.includes(leader)
      if (!this.#allowsUnclean)
        expect(hadNobody && isLast, 'R15: never unclean when that is disabled').toBe(true)
      if (isLast) this.marks.lasts++
      else this.marks.unclean++
      const data = this.#partitions[index]!
      data.highWatermark = Math.min(data.highWatermark, data.positions.get(leader) ?? 0)
    }
  }

  /** R2: whoever runs and may be elected has everything acknowledged. */
  #check(index: number, { isr, eligibleLeaderReplicas, leader }: PartitionImage): void {
    const { highWatermark, positions } = this.#partitions[index]!
    for (const id of [...isr, ...eligibleLeaderReplicas]) {
      if (!this.#isUp(id)) continue
      const position = positions.get(id) ?? 0
      expect(position, `R2: broker ${id} may lead ${index}`).toBeGreaterThanOrEqual(highWatermark)
    }
    if (leader !== null) expect(this.#image.brokers.get(leader)?.isFenced, 'a leader is let in').toBe(false)
    for (const id of isr)
      expect(this.#image.brokers.get(id)?.isFenced, 'who is in sync is let in').toBe(false)
  }

  /** M6: the image is what its snapshot says. */
  checkSnapshot(): void {
    const image = this.#image
    const copy = decodeSnapshot(encodeSnapshot(image), image.endOffset, image.epoch)
    expect(imageHash(copy)).toBe(imageHash(image))
    expect(compareImages(copy, image).after).toBe(image)
  }
}
