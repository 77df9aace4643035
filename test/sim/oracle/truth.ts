/**
 * What is true of each partition, as nobody in the cluster knows it: the highest offset that any leader ever committed
 * (TrueHW), what is committed below it, who has written in which leader epoch, and the newest committed state that any broker
 * has seen. Kept by the oracle alone (docs/faults.md section 7.8).
 */
import type { PartitionImage } from '../../../src/metadata/cluster-image.ts'
import type { Violation } from './violation.ts'

/** What identifies a batch wherever it lies: the checksum covers all but offset and epoch. */
export interface CommittedBatch {
  readonly last: number
  readonly epoch: number
  readonly crc: number
}

/**
 * A replica that could be elected and lacks something, by a state that may be behind what the leader knows: it may have been
 * taken out of the set already, which the next change of the partition shows.
 */
interface Suspect {
  readonly id: number
  readonly partitionEpoch: number
  readonly violation: Violation
}

export class PartitionTruth {
  readonly topic: string
  /** `topic-partition`. */
  readonly name: string
  trueHighWatermark = 0
  /** By base offset. */
  readonly committed = new Map<number, CommittedBatch>()
  /** The life of a broker that appended as leader, by leader epoch. */
  readonly writers = new Map<number, string>()
  /** Where the log of its leader ended when the epoch began, by leader epoch. */
  readonly epochStarts = new Map<number, number>()
  /** Newest committed state; null before the first, and once its topic is deleted. */
  image: PartitionImage | null = null
  /** Who led lost some of it, with leave: what was true once is true no more, and high watermarks may fall. */
  isUnclean = false
  #suspects: Suspect[] = []

  constructor(topic: string, index: number) {
    this.topic = topic
    this.name = `${topic}-${index}`
  }

  /** Who may be elected. */
  get candidates(): readonly number[] {
    return this.image === null ? [] : [...this.image.isr, ...this.image.eligibleLeaderReplicas]
  }

  isCandidate(id: number): boolean {
    const { image } = this
    return image !== null && (image.isr.includes(id) || image.eligibleLeaderReplicas.includes(id))
  }

  /** Notes what is wrong with a candidate, unless the next change shows that it is none any more. */
  suspect(id: number, violation: Violation): void {
    const partitionEpoch = this.image?.partitionEpoch ?? -1
    if (!this.#suspects.some((each) => each.id === id)) this.#suspects.push({ id, partitionEpoch, violation })
  }

  /** An unclean election that the topic allows: nothing that was committed need be there any more. */
  forget(): void {
    this.isUnclean = true
    this.trueHighWatermark = 0
    this.committed.clear()
    this.#suspects = []
  }

  /** Takes the next committed state. @throws Violation of a suspect that is a candidate still. */
  follow(image: PartitionImage | null): void {
    const hasChanged = image?.partitionEpoch !== this.image?.partitionEpoch
    this.image = image
    if (!hasChanged) return
    const suspects = this.#suspects
    this.#suspects = []
    for (const { id, partitionEpoch, violation } of suspects) {
      const isNext = image?.partitionEpoch === partitionEpoch + 1
      if (isNext && this.isCandidate(id)) throw violation
    }
  }

  /** At rest nothing is behind any more. @throws Violation */
  checkAtRest(): void {
    for (const { id, violation } of this.#suspects) if (this.isCandidate(id)) throw violation
  }
}

export class Truths {
  readonly #byId = new Map<string, PartitionTruth[]>()
  readonly #byName = new Map<string, PartitionTruth>()

  /** Of a partition, by the id of its topic: one of the same name later is another. */
  of(topic: string, topicId: string, index: number): PartitionTruth {
    let partitions = this.#byId.get(topicId)
    if (partitions === undefined) this.#byId.set(topicId, (partitions = []))
    let truth = partitions[index]
    if (truth === undefined) {
      truth = new PartitionTruth(topic, index)
      partitions[index] = truth
      this.#byName.set(truth.name, truth)
    }
    return truth
  }

  /** Of the newest partition of that name. */
  named(name: string): PartitionTruth | null {
    return this.#byName.get(name) ?? null
  }

  ofTopic(topicId: string): readonly PartitionTruth[] {
    return this.#byId.get(topicId) ?? []
  }

  *all(): IterableIterator<PartitionTruth> {
    // There may be holes: a broker has only the partitions that it has a replica of.
    for (const partitions of this.#byId.values()) yield* Object.values(partitions)
  }
}
