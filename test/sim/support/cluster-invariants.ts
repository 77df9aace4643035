/**
 * What must hold of a cluster whatever happens, as it can be seen from outside the brokers: in the metadata that they have in
 * effect and in the bytes on their disks (docs/faults.md section 3).
 *
 *   after every event    R15, M6, M9: one leader a leader epoch, epochs rise, equal images at equal offsets
 *   at checkpoints       R2: who could be elected has all that was acknowledged, on its platter
 *                        R5, R6, R10: epochs rise along a log, one writer an epoch, no gaps
 */
import type { DirectoryInode, FileInode, Inode } from '../../../src/env/sim/disk-image.ts'
import type { ClusterImage, PartitionImage } from '../../../src/metadata/cluster-image.ts'
import {
  baseOffsetAt,
  batchSizeAt,
  crcAt,
  lastOffsetAt,
  leaderEpochAt,
} from '../../../src/records/batch-header.ts'
import type { Ledger, Place } from './cluster-clients.ts'
import { logName } from './cluster-clients.ts'
import { DIRECTORY } from './sim-cluster.ts'
import type { Host, SimCluster } from './sim-cluster.ts'

const HEADER_BYTES = 61

interface Batch {
  readonly base: number
  readonly last: number
  readonly epoch: number
  readonly crc: number
}

/** A replica that could be elected and lacks something, by an image that may be behind what the leader knows. */
interface Suspect {
  readonly place: Place
  readonly id: number
  readonly partitionEpoch: number
  readonly message: string
}

export class ClusterInvariants {
  /** How often each rare path was seen. */
  readonly marks = new Map<string, number>()
  readonly #cluster: SimCluster
  readonly #ledger: Ledger
  readonly #places: readonly Place[]
  /** The image that was last looked at, by life of a broker. */
  readonly #images = new Map<string, ClusterImage>()
  readonly #digests = new Map<number, string>()
  /** Who leads, by partition and leader epoch. */
  readonly #leaders = new Map<string, number | null>()
  /** Checksum of the batch that was written at an offset in a leader epoch, by any replica. */
  readonly #written = new Map<string, number>()
  #newest: ClusterImage | null = null
  #suspects: Suspect[] = []

  constructor(cluster: SimCluster, ledger: Ledger, places: readonly Place[]) {
    this.#cluster = cluster
    this.#ledger = ledger
    this.#places = places
    cluster.simulation.checks.push(() => this.#checkImages())
  }

  mark(name: string, count = 1): void {
    this.marks.set(name, (this.marks.get(name) ?? 0) + count)
  }

  /** Looks at the disks. */
  checkpoint(): void {
    for (const place of this.#places) {
      const partition = this.#newest?.topicsByName.get(place.topic)?.partitions[place.partition]
      if (partition === undefined) continue
      for (const host of this.#cluster.hosts) {
        if (host.broker !== null && partition.replicas.includes(host.id))
          this.#checkLog(place, host, batchesOf(logBytes(host, place, 'live')))
      }
      this.#checkCandidates(place, partition)
    }
  }

  /** R16, R2: at rest all replicas hold the same bytes. No suspicion is left. */
  checkAtRest(): void {
    this.checkpoint()
    if (this.#suspects.length > 0) throw new Error(this.#suspects[0]!.message)
    for (const place of this.#places) {
      const { replicas } = this.#cluster.partition(place.topic, place.partition)
      const logs = replicas.map((id) => logBytes(this.#cluster.host(id), place, 'live'))
      for (const [index, bytes] of logs.entries())
        if (!bytes.equals(logs[0]!))
          throw new Error(
            `R16: ${logName(place)} of b${replicas[index]} holds ${bytes.length} bytes that are not the ${logs[0]!.length} of b${replicas[0]}`,
          )
    }
  }

  #checkImages(): void {
    for (const { name, node, broker } of this.#cluster.hosts) {
      if (broker === null) continue
      const life = `${name}#${node.generation}`
      const last = this.#images.get(life)
      const { image } = broker
      if (image === last) continue
      if (last !== undefined && image.endOffset < last.endOffset)
        throw new Error(`M9: the image of ${life} goes from ${last.endOffset} back to ${image.endOffset}`)
      this.#images.set(life, image)
      const digest = digestOf(image)
      const known = this.#digests.get(image.endOffset)
      if (known !== undefined && known !== digest)
        throw new Error(`M6: two images at offset ${image.endOffset}: ${digest} of ${life}, and ${known}`)
      this.#digests.set(image.endOffset, digest)
      if (image.endOffset > (this.#newest?.endOffset ?? -1)) this.#follow(image)
    }
  }

  /** Takes the newest image there is. */
  #follow(image: ClusterImage): void {
    const before = this.#newest
    this.#newest = image
    for (const [id, broker] of image.brokers) {
      const old = before?.brokers.get(id)
      if (old === undefined) continue
      if (broker.epoch < old.epoch) throw new Error(`M9: broker epoch of ${id} goes back to ${broker.epoch}`)
      if (broker.epoch > old.epoch) this.mark('registered again')
      if (broker.isFenced && !old.isFenced) this.mark('fenced')
    }
    for (const place of this.#places) {
      const after = image.topicsByName.get(place.topic)?.partitions[place.partition]
      const old = before?.topicsByName.get(place.topic)?.partitions[place.partition]
      if (after === undefined) continue
      const epoch = `${logName(place)} in leader epoch ${after.leaderEpoch}`
      const leader = this.#leaders.get(epoch)
      if (leader !== undefined && leader !== after.leader)
        throw new Error(`R15: ${epoch} is led by ${leader} and by ${after.leader}`)
      this.#leaders.set(epoch, after.leader)
      if (old !== undefined) this.#compare(place, old, after)
    }
  }

  #compare(place: Place, old: PartitionImage, after: PartitionImage): void {
    if (after.leaderEpoch < old.leaderEpoch || after.partitionEpoch < old.partitionEpoch)
      throw new Error(`M9: epochs of ${logName(place)} go back`)
    // Who led last has all that was ever acknowledged, on its disk. Nobody else may be elected from outside both sets.
    if (after.isRecovering && !old.isRecovering) {
      this.mark('led by the last leader again')
      const known = old.leader === null ? old.lastKnownEligibleLeaders : [old.leader]
      // While no broker served, changes may have passed unseen.
      const isNext = after.partitionEpoch === old.partitionEpoch + 1
      if (isNext && (after.leader === null || !known.includes(after.leader)))
        throw new Error(
          `R15: unclean election of ${after.leader} in ${logName(place)}, where ${known.join()} led last`,
        )
    }
    if (after.leader === null && old.leader !== null) this.mark('without a leader')
    if (after.leader !== null && after.leader !== old.leader) this.mark('leader changed')
    if (after.leader !== null && old.leader === null && old.eligibleLeaderReplicas.includes(after.leader))
      this.mark('led by an eligible replica')
    if (after.isr.length < old.isr.length) this.mark('in-sync set shrank')
    if (after.isr.length > old.isr.length) this.mark('in-sync set grew')
    if (after.partitionEpoch === old.partitionEpoch) return
    this.#clearSuspects(place, after)
    // Who joins has everything at that moment, or it never had to: later it would have caught up, and nobody would know.
    if (after.isr.some((id) => !old.isr.includes(id))) this.#checkCandidates(place, after)
  }

  #clearSuspects(place: Place, after: PartitionImage): void {
    // The very next change shows whether the leader knew of a removal that had not got round.
    this.#suspects = this.#suspects.filter((suspect) => {
      if (suspect.place !== place) return true
      const isNext = after.partitionEpoch === suspect.partitionEpoch + 1
      if (isNext && candidates(after).includes(suspect.id)) throw new Error(suspect.message)
      return false
    })
  }

  /** R5, R6, R10. */
  #checkLog(place: Place, host: Host, batches: readonly Batch[]): void {
    let end: number | null = null
    let epoch = 0
    for (const batch of batches) {
      const where = `${logName(place)} of ${host.name} at offset ${batch.base}`
      if (end !== null && batch.base !== end) throw new Error(`R10: ${where}: ${end} comes next`)
      if (batch.epoch < epoch) throw new Error(`R5: ${where}: leader epoch ${batch.epoch} after ${epoch}`)
      end = batch.last + 1
      epoch = batch.epoch
      const key = `${logName(place)} ${batch.epoch} ${batch.base}`
      const known = this.#written.get(key)
      if (known !== undefined && known !== batch.crc)
        throw new Error(`R6: ${where}: two batches in leader epoch ${batch.epoch}`)
      this.#written.set(key, batch.crc)
    }
  }

  /** R2: in the strictest form, since acknowledged means on the disks of all who are in sync. */
  #checkCandidates(place: Place, partition: PartitionImage): void {
    const ackedEnd = this.#ledger.ackedEnds.get(logName(place)) ?? 0
    for (const id of candidates(partition)) {
      const batches = batchesOf(logBytes(this.#cluster.host(id), place, 'durable'))
      const end = (batches.at(-1)?.last ?? -1) + 1
      if (end >= ackedEnd) continue
      const { partitionEpoch } = partition
      const message = `R2: ${logName(place)} is acknowledged up to ${ackedEnd}, and b${id}, which could be elected in partition epoch ${partitionEpoch}, has ${end} on its disk at ${this.#cluster.simulation.nowMs} ms`
      if (!this.#suspects.some((each) => each.place === place && each.id === id))
        this.#suspects.push({ place, id, partitionEpoch, message })
    }
  }
}

function candidates({ isr, eligibleLeaderReplicas }: PartitionImage): readonly number[] {
  return [...isr, ...eligibleLeaderReplicas]
}

function digestOf({ topicsByName, brokers, nextProducerId }: ClusterImage): string {
  return JSON.stringify([
    [...topicsByName.values()].map(({ name, id, partitions }) => [name, id, partitions]),
    [...brokers.values()].map(({ id, epoch, isFenced, incarnationId }) => [
      id,
      epoch,
      isFenced,
      incarnationId,
    ]),
    nextProducerId,
  ])
}

/** A partition's log, all segments joined, as a process sees it or as it is on the platter. */
function logBytes(host: Host, place: Place, what: 'live' | 'durable'): Buffer {
  const directory = find(host.node.disk.image.root, [...DIRECTORY.split('/').slice(1), logName(place)], what)
  if (directory?.kind !== 'directory') return Buffer.alloc(0)
  const names = [...directory[what].keys()].filter((name) => name.endsWith('.log')).sort()
  return Buffer.concat(
    names.map((name) => {
      const bytes = (directory[what].get(name) as FileInode)[what]
      return bytes.read(0, bytes.size)
    }),
  )
}

function find(root: DirectoryInode, path: readonly string[], what: 'live' | 'durable'): Inode | undefined {
  let inode: Inode | undefined = root
  for (const name of path) inode = inode?.kind === 'directory' ? inode[what].get(name) : undefined
  return inode
}

/** Whole batches up to the first place that cannot be one: a torn end, or room that was set aside. */
function batchesOf(bytes: Buffer): Batch[] {
  const batches: Batch[] = []
  for (let at = 0; at + HEADER_BYTES <= bytes.length;) {
    const size = batchSizeAt(bytes, at)
    if (size < HEADER_BYTES || at + size > bytes.length) break
    const base = baseOffsetAt(bytes, at)
    batches.push({
      base,
      last: lastOffsetAt(bytes, at),
      epoch: leaderEpochAt(bytes, at),
      crc: crcAt(bytes, at),
    })
    at += size
  }
  return batches
}
