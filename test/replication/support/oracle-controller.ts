/**
 * The controller that tests of replication play: right by construction, since it is one object and commits in one turn.
 * It fences, elects from the in-sync set only, and judges AlterPartition as KIP-497, KIP-841 and KIP-903 say. How late its
 * images and answers arrive is the cluster's business.
 */
import { ZERO_UUID } from '../../../src/bytes/uuid.ts'
import { EMPTY_IMAGE, resourceKey, TOPIC_RESOURCE } from '../../../src/metadata/cluster-image.ts'
import type {
  BrokerImage,
  ClusterImage,
  PartitionImage,
  TopicImage,
} from '../../../src/metadata/cluster-image.ts'
import { ShardedMap } from '../../../src/metadata/sharded-map.ts'
import type { AlterOutcome } from '../../../src/replication/isr-state.ts'
import type { IsrChange } from '../../../src/replication/partition-state.ts'

export const TOPIC = 'orders'

type Mutable<T> = { -readonly [K in keyof T]: T[K] }
export type OraclePartition = Mutable<PartitionImage>

export class OracleController {
  readonly brokers = new Map<number, BrokerImage>()
  topicId = ''
  partitions: OraclePartition[] = []
  configs: ReadonlyMap<string, string>
  image: ClusterImage = EMPTY_IMAGE
  /** Called with each image that is committed. */
  onCommit: (image: ClusterImage) => void = () => undefined
  readonly counts = { shrinks: 0, growths: 0, elections: 0, fencedProposals: 0, overtaken: 0, ineligible: 0 }
  #brokerEpoch = 100

  constructor(configs: Readonly<Record<string, string>>) {
    this.configs = new Map(Object.entries(configs))
  }

  createTopic(topicId: string, replicas: readonly (readonly number[])[]): void {
    this.topicId = topicId
    this.partitions = replicas.map((ids) => ({
      leader: null,
      leaderEpoch: 0,
      partitionEpoch: 0,
      replicas: ids,
      isr: ids,
      removingReplicas: [],
      addingReplicas: [],
      isRecovering: false,
      directories: ids.map(() => ZERO_UUID),
      eligibleLeaderReplicas: [],
      lastKnownEligibleLeaders: [],
    }))
    for (const partition of this.partitions) this.#electAny(partition)
    this.commit()
  }

  isLive(id: number): boolean {
    const broker = this.brokers.get(id)
    return broker !== undefined && !broker.isFenced
  }

  /** A new incarnation: it is out of all in-sync sets but those that hold nobody else. */
  register(id: number, rack: string | null = null): number {
    const epoch = ++this.#brokerEpoch
    this.brokers.set(id, {
      id,
      incarnationId: `${id}-${epoch}`,
      epoch,
      listeners: [],
      features: [],
      rack,
      isFenced: true,
      isInControlledShutdown: false,
      logDirs: [],
    })
    this.#leave(id)
    this.commit()
    return epoch
  }

  fence(id: number): void {
    const broker = this.brokers.get(id)
    if (broker === undefined || broker.isFenced) return
    this.brokers.set(id, { ...broker, isFenced: true })
    this.#leave(id)
    this.commit()
  }

  unfence(id: number, epoch: number): void {
    const broker = this.brokers.get(id)
    if (broker?.epoch !== epoch || !broker.isFenced) return
    this.brokers.set(id, { ...broker, isFenced: false })
    for (const partition of this.partitions) if (partition.leader === null) this.#electAny(partition)
    this.commit()
  }

  /** Makes another in-sync replica lead, or the same one anew. */
  elect(index: number, leader: number): boolean {
    const partition = this.partitions[index]!
    if (!partition.isr.includes(leader) || !this.isLive(leader)) return false
    this.#setLeader(partition, leader)
    this.commit()
    return true
  }

  /** Changes the replicas; the leader stays, and a replica that is taken away leaves the in-sync set. */
  reassign(index: number, replicas: readonly number[]): boolean {
    const partition = this.partitions[index]!
    const isr = partition.isr.filter((id) => replicas.includes(id))
    if (isr.length === 0 || (partition.leader !== null && !replicas.includes(partition.leader))) return false
    // A replica that is taken away drops its log; whoever has not heard of that must not join with it.
    const hasLost = partition.replicas.some((id) => !replicas.includes(id))
    partition.replicas = replicas
    partition.directories = replicas.map(() => ZERO_UUID)
    partition.isr = isr
    if (hasLost && partition.leader !== null) this.#setLeader(partition, partition.leader)
    else partition.partitionEpoch++
    this.commit()
    return true
  }

  /** Takes a follower away and puts it back, in one image (docs/faults.md RP-10). */
  takeAwayAndPutBack(index: number, id: number): boolean {
    const partition = this.partitions[index]!
    const isr = partition.isr.filter((each) => each !== id)
    if (partition.leader === id || isr.length === 0) return false
    partition.isr = isr
    if (partition.leader !== null) this.#setLeader(partition, partition.leader)
    partition.partitionEpoch++
    this.commit()
    return true
  }

  setConfig(name: string, value: string): void {
    this.configs = new Map(this.configs).set(name, value)
    this.commit()
  }

  alterPartition(from: number, brokerEpoch: number, change: IsrChange): AlterOutcome {
    const partition = change.topicId === this.topicId ? this.partitions[change.index] : undefined
    if (partition === undefined) return { kind: 'overtaken', error: 'UNKNOWN_TOPIC_ID' }
    if (this.brokers.get(from)?.epoch !== brokerEpoch) return { kind: 'unknown', error: 'STALE_BROKER_EPOCH' }
    if (partition.leader !== from || partition.leaderEpoch !== change.leaderEpoch) {
      this.counts.fencedProposals++
      return { kind: 'overtaken', error: 'FENCED_LEADER_EPOCH' }
    }
    if (partition.partitionEpoch !== change.partitionEpoch) {
      this.counts.overtaken++
      return { kind: 'overtaken', error: 'INVALID_UPDATE_VERSION' }
    }
    const isr = change.newIsr.map(({ brokerId }) => brokerId)
    if (isr.some((id) => !partition.replicas.includes(id)) || !isr.includes(from))
      return { kind: 'overtaken', error: 'INVALID_REQUEST' }
    const areEligible = change.newIsr.every((member) => {
      const broker = this.brokers.get(member.brokerId)
      const isSame = member.brokerEpoch === -1 || member.brokerEpoch === broker?.epoch
      return isSame && this.isLive(member.brokerId)
    })
    if (!areEligible) {
      this.counts.ineligible++
      return { kind: 'refused', error: 'INELIGIBLE_REPLICA' }
    }
    if (isr.some((id) => !partition.isr.includes(id))) this.counts.growths++
    if (partition.isr.some((id) => !isr.includes(id))) this.counts.shrinks++
    partition.isr = isr
    partition.partitionEpoch++
    partition.isRecovering = false
    this.commit()
    return { kind: 'altered', partitionEpoch: partition.partitionEpoch, isr }
  }

  /** Freezes the present state into an image and hands it out. */
  commit(): void {
    const topic: TopicImage = {
      name: TOPIC,
      id: this.topicId,
      partitions: this.partitions.map((partition) => Object.freeze({ ...partition })),
    }
    const byId = ShardedMap.empty<TopicImage>().edit()
    const byName = ShardedMap.empty<TopicImage>().edit()
    if (this.topicId !== '') {
      byId.set(topic.id, topic)
      byName.set(topic.name, topic)
    }
    const configs = ShardedMap.empty<ReadonlyMap<string, string>>().edit()
    configs.set(resourceKey({ type: TOPIC_RESOURCE, name: TOPIC }), this.configs)
    this.image = {
      ...EMPTY_IMAGE,
      endOffset: this.image.endOffset + 1,
      brokers: new Map(this.brokers),
      topicsById: byId.freeze(),
      topicsByName: byName.freeze(),
      configs: configs.freeze(),
    }
    this.onCommit(this.image)
  }

  #leave(id: number): void {
    for (const partition of this.partitions) {
      const others = partition.isr.filter((each) => each !== id)
      if (partition.isr.includes(id) && others.length > 0) {
        partition.isr = others
        partition.partitionEpoch++
      }
      if (partition.leader === id) this.#electAny(partition)
    }
  }

  #electAny(partition: OraclePartition): void {
    this.#setLeader(partition, partition.isr.find((id) => this.isLive(id)) ?? null)
  }

  #setLeader(partition: OraclePartition, leader: number | null): void {
    if (leader === null && partition.leader === null) return
    this.counts.elections++
    partition.leader = leader
    partition.leaderEpoch++
    partition.partitionEpoch++
  }
}
