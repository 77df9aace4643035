/**
 * The fault atlas: whose disk may be damaged now, so that one good copy of everything stays (docs/faults.md F-ROT, F-DISK).
 *
 *   claimed ──► stopped ──► spare: nobody counts on it ──► damaged ──► whole again ──► given back
 *
 * Invariants:
 * - One machine at a time is not what it was: the next is damaged only when the last holds everything again, and votes again.
 *   The same claim keeps other changes of voters, and of how many must be in sync, away meanwhile.
 * - A stopped machine is spare when every partition it has a replica of is led by another, is in sync without it, and all other
 *   machines have at least its part of the metadata log and its epoch on their platters. So what goes with its disk is
 *   elsewhere, and whoever must decide knows that. The votes of the others are a majority, by all that any of them knows: so they
 *   can decide, and let its next disk vote.
 */
import { configsOf, TOPIC_RESOURCE } from '../../../src/metadata/cluster-image.ts'
import type { Inode } from '../../../src/env/sim/disk-image.ts'
import { baseOffsetAt, batchSizeAt, lastOffsetAt, leaderEpochAt } from '../../../src/records/batch-header.ts'
import { DIRECTORY } from '../support/sim-cluster.ts'
import type { Host, SimCluster } from '../support/sim-cluster.ts'

const HEADER_BYTES = 61
const MIN_ISR = 'min.insync.replicas'
export const METADATA_LOG = '__cluster_metadata-0'

export class Atlas {
  readonly #cluster: SimCluster
  #claimedBy: string | null = null
  #rotten: Host | null = null

  constructor(cluster: SimCluster) {
    this.#cluster = cluster
  }

  /** @returns Whether it was free. */
  claim(what: string): boolean {
    if (this.#claimedBy !== null) return false
    this.#claimedBy = what
    return true
  }

  giveBack(): void {
    this.#claimedBy = null
    this.#rotten = null
  }

  /** A log of the machine that has claimed it is rotten now, until it is given back. */
  rots(host: Host): void {
    this.#rotten = host
  }

  get hasRot(): boolean {
    return this.#rotten !== null
  }

  /** Whether a log of this machine is rotten: a copy of its disk would keep the rot for later, when nobody looks for it. */
  isRotten(host: Host): boolean {
    return host === this.#rotten
  }

  /**
   * Whether a machine is the last that has what another has rotten. If it lost its memory too, nobody could be elected who
   * can be read: two faults too many for the number of replicas.
   */
  isNeeded(host: Host): boolean {
    const rotten = this.#rotten
    if (rotten === null || host === rotten) return false
    if (!this.#cluster.hasImage) return true
    for (const { partitions } of this.#cluster.image.topicsByName.values())
      for (const { replicas, isr } of partitions)
        if (replicas.includes(rotten.id) && !isr.some((id) => id !== host.id && this.#isSound(id)))
          return true
    return false
  }

  /**
   * Serves, so its present life has registered. One that has only begun may be in sync by the life before it, of which a broker
   * that died says with its registration that it may have lost something: it leaves the set then.
   */
  #isSound(id: number): boolean {
    return id !== this.#rotten?.id && this.#cluster.host(id).broker !== null
  }

  /** Whether nothing is lost with the disk of a machine that is down. */
  isSpare(host: Host): boolean {
    const { hosts, hasImage } = this.#cluster
    if (host.node.isUp || !hasImage) return false
    const { image } = this.#cluster
    if (image.brokers.get(host.id)?.isFenced === false) return false
    if (hosts.some((other) => !canDecideWithout(host.id, votersKnownTo(other)))) return false
    for (const { partitions } of image.topicsByName.values())
      for (const { replicas, isr, leader } of partitions)
        if (replicas.includes(host.id) && (leader === null || leader === host.id || isr.includes(host.id)))
          return false
    const end = metadataEnd(host, 'live')
    const epoch = quorumEpoch(host, 'live')
    return hosts.every(
      (other) =>
        other === host ||
        (compareEnds(metadataEnd(other, 'durable'), end) >= 0 && quorumEpoch(other, 'durable') >= epoch),
    )
  }

  /**
   * Whether a machine that is down could be elected, once all that are in sync are gone. Its registration ends that, so with a disk
   * that it can start with it may lose what others have; but one that never starts again must not be the last that counts.
   */
  isEligible({ id }: Host): boolean {
    return [...this.#cluster.image.topicsByName.values()].some(({ partitions }) =>
      partitions.some(({ eligibleLeaderReplicas }) => eligibleLeaderReplicas.includes(id)),
    )
  }

  /**
   * Whether other machines than this one, which may run, have everything that it has a part of, and will. Where one replica in sync
   * is enough for a commit, a restart of the others can leave this one alone with what counts.
   */
  hasHeirs(host: Host): boolean {
    const { hosts, hasImage } = this.#cluster
    if (!hasImage || hosts.some(({ broker, node }) => broker === null || node.isPaused)) return false
    for (const { name, partitions } of this.#cluster.image.topicsByName.values())
      for (const { replicas, isr } of partitions)
        if (replicas.includes(host.id) && (isr.length < 2 || this.#minIsr(name) < 2)) return false
    return true
  }

  #minIsr(topic: string): number {
    const own = configsOf(this.#cluster.image, { type: TOPIC_RESOURCE, name: topic }).get(MIN_ISR)
    return Number(own ?? this.#cluster.settings[MIN_ISR] ?? 1)
  }

  /** Whether others are in sync, and serve, wherever a machine is, so that they can do without it. */
  isDispensable(host: Host): boolean {
    if (!this.#cluster.hasImage) return false
    for (const { partitions } of this.#cluster.image.topicsByName.values())
      for (const { replicas, isr } of partitions)
        if (
          replicas.includes(host.id) &&
          replicas.length > 1 &&
          !isr.some((id) => id !== host.id && this.#isSound(id))
        )
          return false
    return true
  }

  /** Whether a machine serves and holds everything that it has a replica of. */
  isWhole(host: Host): boolean {
    if (host.broker === null || !this.#cluster.hasImage) return false
    for (const { partitions } of this.#cluster.image.topicsByName.values())
      for (const { replicas, isr } of partitions)
        if (replicas.includes(host.id) && !isr.includes(host.id)) return false
    return true
  }
}

function votersKnownTo({ broker }: Host): readonly number[] {
  return broker?.view.quorum.describe().voters.map(({ id }) => id) ?? []
}

function canDecideWithout(id: number, voters: readonly number[]): boolean {
  const left = voters.filter((voter) => voter !== id).length
  return left === voters.length || left > voters.length / 2
}

/** Names in a directory under the data directory of a machine. */
export function namesIn(host: Host, directory = ''): readonly string[] {
  const inode = host.node.disk.find(`${DIRECTORY}/${directory}`)
  return inode?.kind === 'directory' ? [...inode.live.keys()].sort() : []
}

/** The id of a machine's data directory; null: it has none. */
export function directoryId(host: Host): string | null {
  const content = host.node.disk.contents(`${DIRECTORY}/meta.properties`)
  return /^directory\.id=(\S+)$/m.exec(Buffer.from(content ?? []).toString())?.[1] ?? null
}

/** Where a metadata log ends, and the epoch of its last record. */
interface MetadataEnd {
  readonly epoch: number
  readonly offset: number
}

/** As voters compare them: a longer log of an earlier epoch lacks what was committed since (Raft section 5.4.1). */
function compareEnds(a: MetadataEnd, b: MetadataEnd): number {
  return a.epoch - b.epoch || a.offset - b.offset
}

function metadataEnd(host: Host, what: 'live' | 'durable'): MetadataEnd {
  let end: MetadataEnd = { epoch: 0, offset: 0 }
  const reaches = (epoch: number, offset: number): void => {
    if (compareEnds({ epoch, offset }, end) > 0) end = { epoch, offset }
  }
  for (const [name, inode] of entries(host, what)) {
    const snapshot = /^(\d{20})-(\d{10})\.checkpoint$/.exec(name)
    if (snapshot !== null) reaches(Number(snapshot[2]), Number(snapshot[1]))
    if (inode.kind !== 'file' || !name.endsWith('.log')) continue
    const bytes = inode[what].read(0, inode[what].size)
    for (let at = 0; at + HEADER_BYTES <= bytes.length;) {
      const size = batchSizeAt(bytes, at)
      if (size < HEADER_BYTES || at + size > bytes.length || baseOffsetAt(bytes, at) < 0) break
      reaches(leaderEpochAt(bytes, at), lastOffsetAt(bytes, at) + 1)
      at += size
    }
  }
  return end
}

function quorumEpoch(host: Host, what: 'live' | 'durable'): number {
  const inode = entries(host, what).get('quorum-state')
  if (inode?.kind !== 'file') return 0
  const text = Buffer.from(inode[what].read(0, inode[what].size)).toString()
  return Number(/"leaderEpoch":(\d+)/.exec(text)?.[1] ?? 0)
}

function entries(host: Host, what: 'live' | 'durable'): ReadonlyMap<string, Inode> {
  let inode: Inode | undefined = host.node.disk.image.root
  for (const part of [...DIRECTORY.split('/').slice(1), METADATA_LOG])
    inode = inode?.kind === 'directory' ? inode[what].get(part) : undefined
  return inode?.kind === 'directory' ? inode[what] : new Map<string, Inode>()
}
