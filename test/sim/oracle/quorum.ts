/**
 * What must hold of the metadata quorum after every event, by the platters of its voters and by what brokers show of it
 * (docs/faults.md section 3):
 *
 *   M1   one leader an epoch, over all time
 *   M2   a voter's epoch never falls, it votes once in an epoch, and a leader has a majority of votes that are durable
 *   M3   committed prefixes are the same bytes on all voters (heavy)
 *   M4   who leads has everything that was ever committed
 *   M5   a node's high watermark never falls, and what it covers is on the platters of a majority; a leader commits by
 *        counting what is of its own epoch only
 */
import type { FileInode, Inode } from '../../../src/env/sim/disk-image.ts'
import type { DiskLog } from './disk-log.ts'
import { fail } from './violation.ts'

export const QUORUM_STATE_PATH = '/data/__cluster_metadata-0/quorum-state'
export const METADATA_LOG = '__cluster_metadata-0'

/** What a platter says of a voter's epoch. */
export interface DurableVote {
  readonly leaderId: number
  readonly leaderEpoch: number
  readonly votedId: number
}

/** What a broker shows of its part in the quorum. */
export interface QuorumLike {
  readonly role: string
  readonly leaderEpoch: number
  readonly highWatermark: number
  readonly logEndOffset: number
  describe(): Record<'voters' | 'committedVoters', readonly { readonly id: number }[]>
}

export interface QuorumMember {
  readonly id: number
  /** `b1#3`. */
  readonly life: string
  readonly platter: DiskLog
  readonly live: DiskLog
}

interface SeenQuorum {
  role: string
  leaderEpoch: number
  highWatermark: number
}

interface CommittedMetadata {
  readonly epoch: number
  readonly crc: number
}

export class QuorumRules {
  /** Highest offset that any node took for committed, and in which epoch it did first; both ascend. */
  readonly #commits: { readonly epoch: number; readonly highWatermark: number }[] = []
  readonly #leaders = new Map<number, number>()
  /** Who has voted for whom, by epoch and voter, as it was on a platter at some time. */
  readonly #votes = new Map<number, Map<number, number>>()
  /** Votes of this epoch and older ones were given before anybody watched. */
  #unwatchedEpoch = -1
  readonly #states = new Map<number, { inode: Inode | undefined; root: object; vote: DurableVote | null }>()
  readonly #seen = new Map<string, SeenQuorum>()
  readonly #committed = new Map<number, CommittedMetadata>()
  readonly #compared = new WeakMap<DiskLog, { version: number; count: number }>()

  /** Looks at a voter's platter. @param root - Another one is another disk. @throws Violation */
  lookAtVote(id: number, inode: Inode | undefined, root: object): void {
    const before = this.#states.get(id)
    if (before?.inode === inode && before?.root === root) return
    const vote = inode?.kind === 'file' ? parseVote(inode) : null
    const isSameDisk = before?.root === root
    if (before === undefined) this.#unwatchedEpoch = Math.max(this.#unwatchedEpoch, vote?.leaderEpoch ?? -1)
    this.#states.set(id, { inode, root, vote: vote ?? (isSameDisk ? before.vote : null) })
    if (vote !== null) this.voted(id, vote, isSameDisk ? before.vote : null)
  }

  /** A voter's epoch, leader and vote are durable. @param before - What that disk held before. @throws Violation */
  voted(id: number, vote: DurableVote, before: DurableVote | null): void {
    const { leaderId, leaderEpoch, votedId } = vote
    if (before !== null && leaderEpoch < before.leaderEpoch)
      fail('M2', `the epoch of voter ${id} falls from ${before.leaderEpoch} to ${leaderEpoch}`)
    if (before?.leaderEpoch === leaderEpoch && before.votedId >= 0 && votedId !== before.votedId)
      fail('M2', `voter ${id} voted for ${before.votedId} and for ${votedId} in epoch ${leaderEpoch}`)
    if (votedId >= 0) {
      const votes = this.#votes.get(leaderEpoch) ?? new Map<number, number>()
      this.#votes.set(leaderEpoch, votes.set(id, votedId))
    }
    if (leaderId >= 0) this.#leads(leaderId, leaderEpoch)
  }

  /**
   * Looks at a node.
   *
   * @param members - Of the voters, those whose platters may hold what it commits.
   * @param leaderOf - Who leads an epoch now, if anybody shows that it does.
   * @throws Violation
   */
  look(
    self: QuorumMember,
    quorum: QuorumLike,
    members: () => readonly QuorumMember[],
    leaderOf: (epoch: number) => QuorumLike | null = () => null,
  ): void {
    const { role, leaderEpoch, highWatermark } = quorum
    const seen = this.#seen.get(self.life)
    if (seen?.role === role && seen.leaderEpoch === leaderEpoch && seen.highWatermark === highWatermark)
      return
    if (seen !== undefined && highWatermark < seen.highWatermark)
      fail('M5', `the high watermark of ${self.life} falls from ${seen.highWatermark} to ${highWatermark}`)
    const isNewLeader = role === 'leader' && (seen?.role !== 'leader' || seen.leaderEpoch !== leaderEpoch)
    if (isNewLeader) this.#checkLeader(self, quorum)
    if (highWatermark > this.#committedBefore(Infinity)) {
      this.#checkCommit(self, quorum, members(), leaderOf(leaderEpoch))
      this.#commits.push({ epoch: leaderEpoch, highWatermark })
    }
    this.#seen.set(self.life, { role, leaderEpoch, highWatermark })
  }

  /** M3, heavy: what a node has below its high watermark. @throws Violation */
  checkPrefix(self: QuorumMember, highWatermark: number): void {
    const log = self.live.look()
    let compared = this.#compared.get(log)
    if (compared?.version !== log.version)
      this.#compared.set(log, (compared = { version: log.version, count: 0 }))
    for (const { base, last, epoch, crc } of log.batches(compared.count)) {
      if (last >= highWatermark) return
      compared.count++
      const known = this.#committed.get(base)
      if (known === undefined) this.#committed.set(base, { epoch, crc })
      else if (known.epoch !== epoch || known.crc !== crc)
        fail(
          'M3',
          `${self.life} has committed metadata of epoch ${epoch} at ${base}, another node of epoch ${known.epoch}`,
        )
    }
  }

  /** M1. */
  #leads(leaderId: number, epoch: number): void {
    const known = this.#leaders.get(epoch)
    if (known === undefined) this.#leaders.set(epoch, leaderId)
    else if (known !== leaderId)
      fail('M1', `epoch ${epoch} of the metadata quorum is led by ${known} and by ${leaderId}`)
  }

  /** One that was elected and learns it late does not lack what a later epoch has committed meanwhile. */
  #committedBefore(epoch: number): number {
    return this.#commits.findLast((commit) => commit.epoch < epoch)?.highWatermark ?? 0
  }

  /** M1, M2, M4. */
  #checkLeader({ id, life }: QuorumMember, quorum: QuorumLike): void {
    const { leaderEpoch, logEndOffset } = quorum
    this.#leads(id, leaderEpoch)
    const committed = this.#committedBefore(leaderEpoch)
    if (logEndOffset < committed)
      fail(
        'M4',
        `${life} leads epoch ${leaderEpoch} and its log ends at ${logEndOffset}; committed before was ${committed}`,
      )
    if (leaderEpoch <= this.#unwatchedEpoch) return
    const { length } = quorum.describe().voters
    const granting = [...(this.#votes.get(leaderEpoch) ?? [])].filter(([, votedId]) => votedId === id)
    if (granting.length < majorityOf(length))
      fail(
        'M2',
        `${life} leads epoch ${leaderEpoch} by the durable votes of ${granting.map(([voter]) => voter).join() || 'nobody'}, of ${length} voters`,
      )
  }

  #checkCommit(
    self: QuorumMember,
    quorum: QuorumLike,
    members: readonly QuorumMember[],
    leader: QuorumLike | null,
  ): void {
    const { highWatermark, leaderEpoch, role } = quorum
    const holders = members.filter(({ platter }) => platter.reaches(highWatermark)).map(({ id }) => id)
    const isByMajority = (voters: readonly { readonly id: number }[]): boolean =>
      voters.filter(({ id }) => holders.includes(id)).length >= majorityOf(voters.length)
    const { voters, committedVoters } = quorum.describe()
    // Those before a change that is not committed itself could decide until its record came, in this very turn maybe.
    // And who leads goes by a change as soon as it is in its own log, before others have heard of it.
    const sets = [voters, committedVoters]
    if (leader === null) sets.push(...changesOfOne(voters, members))
    else sets.push(leader.describe().voters)
    if (!sets.some(isByMajority))
      fail(
        'M5',
        `${self.life} takes ${highWatermark} for committed, which is on the platters of ${holders.join() || 'nobody'}; voters are ${voters.map(({ id }) => id).join()}`,
      )
    if (role !== 'leader') return
    const own = self.platter.reaches(highWatermark) ? self.platter : self.live.look()
    let last: { readonly last: number; readonly epoch: number } | null = null
    for (const batch of own.batches(Math.max(0, own.count - 1000)))
      if (batch.last < highWatermark) last = batch
    if (last !== null && last.last === highWatermark - 1 && last.epoch !== leaderEpoch)
      fail(
        'M5',
        `${self.life} commits ${highWatermark} in epoch ${leaderEpoch} by counting what is of epoch ${last.epoch}`,
      )
  }
}

/** What a leader may go by that cannot be seen, since it is still starting: voters change one at a time. */
function changesOfOne<T extends { readonly id: number }>(voters: readonly T[], all: readonly T[]): T[][] {
  const isVoter = (id: number): boolean => voters.some((voter) => voter.id === id)
  const added = all.filter(({ id }) => !isVoter(id)).map((other) => [...voters, other])
  const removed = voters.map((one) => voters.filter((voter) => voter !== one))
  return [...added, ...removed]
}

function majorityOf(count: number): number {
  return Math.floor(count / 2) + 1
}

/** Null for a file that is none: it was never written to its end, or is damaged. */
function parseVote(inode: FileInode): DurableVote | null {
  const text = Buffer.from(inode.durable.read(0, inode.durable.size)).toString()
  try {
    const { leaderId, leaderEpoch, votedId } = JSON.parse(text) as DurableVote
    return { leaderId, leaderEpoch, votedId }
  } catch {
    return null
  }
}
