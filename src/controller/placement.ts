/**
 * Where replicas go. Leaders take turns over the live brokers, beginning where few partitions have theirs, so that many small
 * topics spread; followers come after the leader, one further along with each round, so that a broker's load falls on all
 * others when it fails. No two replicas of a partition share a rack while there is a rack without one.
 */
import { assert } from '../base/assert.ts'
import { ZERO_UUID } from '../bytes/uuid.ts'
import type { Random } from '../env/index.ts'
import type { BrokerImage, ClusterImage } from '../metadata/cluster-image.ts'
import {
  PARTITIONS_PER_REQUEST_MAX,
  PARTITIONS_TOTAL_MAX,
  REPLICAS_PER_PARTITION_MAX,
} from '../metadata/limits.ts'
import type { MetadataRecordInput } from '../metadata/records.ts'
import { Refusal } from './concern.ts'
import { isAvailable } from './elections.ts'

/** How many partitions have their first replica on each broker: those that exist, and those that one request adds. */
export class LeaderTally {
  readonly #image: ClusterImage
  #counts: Map<number, number> | null = null

  constructor(image: ClusterImage) {
    this.#image = image
  }

  add(assignments: Iterable<readonly number[]>): void {
    for (const replicas of assignments) addTo(this.#known(), replicas)
  }

  /** @returns Index of a broker that none has fewer than, drawn if there are several. */
  drawLeast(brokers: readonly BrokerImage[], random: Pick<Random, 'below'>): number {
    const counts = brokers.map(({ id }) => this.#known().get(id) ?? 0)
    const least = Math.min(...counts)
    const indexes = [...counts.keys()].filter((index) => counts[index] === least)
    return indexes[random.below(indexes.length)]!
  }

  /** Counted when first needed: it takes a look at every partition. */
  #known(): Map<number, number> {
    if (this.#counts !== null) return this.#counts
    const counts = new Map<number, number>()
    for (const { partitions } of this.#image.topicsById.values())
      for (const { replicas } of partitions) addTo(counts, replicas)
    this.#counts = counts
    return counts
  }
}

function addTo(counts: Map<number, number>, [leader]: readonly number[]): void {
  if (leader !== undefined) counts.set(leader, (counts.get(leader) ?? 0) + 1)
}

/**
 * @param brokers - Those to place on, by id.
 * @param start - Index of the broker that leads partition 0.
 * @param firstIndex - Index of the first partition to place; earlier ones are placed already.
 * @returns The replicas of each partition, the leader first.
 */
export function placeReplicas(
  brokers: readonly BrokerImage[],
  options: { start: number; firstIndex: number; partitionCount: number; replicationFactor: number },
): number[][] {
  const { start, firstIndex, partitionCount, replicationFactor } = options
  assert(
    replicationFactor >= 1 && replicationFactor <= brokers.length,
    'Each replica needs a broker of its own',
  )
  const placed: number[][] = []
  for (let index = firstIndex; index < firstIndex + partitionCount; index++) {
    const leaderIndex = (start + index) % brokers.length
    const round = Math.floor((start + index) / brokers.length)
    placed.push(pickFrom(brokers, leaderIndex, round, replicationFactor))
  }
  return placed
}

function pickFrom(
  brokers: readonly BrokerImage[],
  leaderIndex: number,
  round: number,
  count: number,
): number[] {
  const leader = brokers[leaderIndex]!
  // The others in order after the leader, turned by one more with each round over all brokers.
  const others = Array.from({ length: brokers.length - 1 }, (_, step) => {
    const distance = 1 + ((step + round) % (brokers.length - 1))
    return brokers[(leaderIndex + distance) % brokers.length]!
  })
  const picked = [leader]
  const racks = new Set([leader.rack])
  for (const inNewRack of [true, false]) {
    for (const broker of others) {
      if (picked.length === count) break
      if (picked.includes(broker) || (inNewRack && broker.rack !== null && racks.has(broker.rack))) continue
      picked.push(broker)
      racks.add(broker.rack)
    }
  }
  return picked.map((broker) => broker.id)
}

/**
 * Checks replicas that a client chose for one partition.
 *
 * @throws {Refusal} `INVALID_REPLICA_ASSIGNMENT`.
 */
export function checkAssignment(image: ClusterImage, replicas: readonly number[], index: number): void {
  const refuse = (problem: string): never => {
    throw new Refusal('INVALID_REPLICA_ASSIGNMENT', `Cannot place partition ${index}: ${problem}`)
  }
  if (replicas.length === 0) refuse('no broker is named')
  if (replicas.length > image.brokers.size)
    refuse(`${replicas.length} brokers are named, there are ${image.brokers.size}`)
  if (new Set(replicas).size < replicas.length) refuse('a broker is named twice')
  const unknown = replicas.filter((id) => !image.brokers.has(id))
  if (unknown.length > 0) refuse(`there is no broker ${unknown.join(', ')}`)
  if (replicas.length > REPLICAS_PER_PARTITION_MAX)
    refuse(`${replicas.length} brokers are named, at most ${REPLICAS_PER_PARTITION_MAX} are allowed`)
  if (!replicas.some((id) => isAvailable(image, id))) refuse('none of the brokers named is alive')
}

/**
 * Keeps a request, and the cluster, within their bounds of partitions (faults.md X26).
 *
 * @param alreadyCount - Partitions that the request creates before these.
 * @returns `addedCount`.
 * @throws {Refusal} `POLICY_VIOLATION`.
 */
export function checkedGrowth(image: ClusterImage, alreadyCount: number, addedCount: number): number {
  const inRequest = alreadyCount + addedCount
  if (inRequest > PARTITIONS_PER_REQUEST_MAX) {
    throw new Refusal(
      'POLICY_VIOLATION',
      `The request would create ${inRequest} partitions, at most ${PARTITIONS_PER_REQUEST_MAX} are allowed: split it`,
    )
  }
  const total = image.partitionCount + inRequest
  if (total > PARTITIONS_TOTAL_MAX) {
    throw new Refusal(
      'POLICY_VIOLATION',
      `The cluster would have ${total} partitions, at most ${PARTITIONS_TOTAL_MAX} are allowed`,
    )
  }
  return addedCount
}

/** The record of a new partition: in sync are its replicas that are available, and the first of them leads. */
export function newPartitionRecord(
  image: ClusterImage,
  topicId: string,
  partitionId: number,
  replicas: readonly number[],
): MetadataRecordInput {
  const isr = replicas.filter((id) => isAvailable(image, id))
  assert(isr.length > 0, 'A new partition has a live replica')
  return {
    kind: 'partition',
    partitionId,
    topicId,
    replicas,
    isr,
    removingReplicas: [],
    addingReplicas: [],
    leader: isr[0]!,
    leaderEpoch: 0,
    partitionEpoch: 0,
    directories: replicas.map((id) => directoryOf(image.brokers.get(id))),
  }
}

/** A broker with one directory can have the replica nowhere else; with several it says later which. */
function directoryOf(broker: BrokerImage | undefined): string {
  return broker?.logDirs.length === 1 ? broker.logDirs[0]! : ZERO_UUID
}
