/**
 * What must hold of every replica after every event, by what its broker shows of it (docs/faults.md section 3):
 *
 *   R1    the leader in the newest leader epoch has everything that was ever committed
 *   R3    a leader counts everybody who could be elected: controller ISR and ELR lie within its maximal ISR
 *   R6    one life of one broker appends in a leader epoch
 *   R7    a leader's high watermark never falls, and rises only over what all of the maximal ISR told to have durably, in
 *         this epoch, while the ISR is large enough
 *   R11   who could be elected does not cut below what was ever committed
 *   R12   log start <= high watermark <= log end, and the log start never falls
 *   D1    what a leader counts as durable is on the platters of those whom it counts
 *
 * Only what moved is looked at: a partition that stands still costs five comparisons.
 */
import type { Partition } from '../../../src/replication/partition.ts'
import type { LeaderState } from '../../../src/replication/leader-state.ts'
import type { PartitionTruth, Truths } from './truth.ts'
import { fail, Violation } from './violation.ts'

/** What the rules read of a leader's knowledge. */
export type LeaderLike = Pick<
  LeaderState,
  'isr' | 'maximalIsr' | 'partitionEpoch' | 'leaderEpoch' | 'epochStartOffset'
> & {
  position(id: number): { readonly durableEndOffset: number } | undefined
}

/** What the rules read of a partition. */
export type ReplicaLike = Pick<
  Partition,
  'topic' | 'topicId' | 'index' | 'highWatermark' | 'leaderEpoch' | 'isLeader' | 'stopped' | 'fetchPosition'
> & {
  readonly log: Pick<Partition['log'], 'logStartOffset' | 'logEndOffset' | 'durableEndOffset' | 'config'>
  readonly leaderState: LeaderLike | null
}

/** A broker in one life of its process. */
export interface Life {
  readonly id: number
  /** `b1#3`. */
  readonly name: string
}

export interface ReplicaSurroundings {
  /** Replicas that must be in sync for a commit: `min.insync.replicas`, but no more than there are. */
  minIsr(truth: PartitionTruth): number
  /** The same, as the newest metadata have it; `minIsr` is the least that was ever in force. */
  presentMinIsr(truth: PartitionTruth): number
  /** Whether a broker's platter has a log up to an offset. */
  isOnPlatter(id: number, truth: PartitionTruth, offset: number): boolean
  /** Brokers that have a disk; some come later. */
  hostIds(): readonly number[]
}

interface Seen {
  readonly truth: PartitionTruth
  leaderEpoch: number
  state: LeaderLike | null
  partitionEpoch: number
  maximalIsr: readonly number[] | null
  highWatermark: number
  logEndOffset: number
  logStartOffset: number
  /** It neither leads nor follows, or its log is being cut. */
  isBeginning: boolean
}

export class ReplicaRules {
  readonly #truths: Truths
  readonly #around: ReplicaSurroundings
  readonly #seen = new WeakMap<object, Seen>()

  constructor(truths: Truths, around: ReplicaSurroundings) {
    this.#truths = truths
    this.#around = around
  }

  /** Looks at one replica. @throws Violation */
  look(life: Life, replica: ReplicaLike): void {
    const { log, highWatermark, leaderEpoch } = replica
    const { logEndOffset, logStartOffset } = log
    const state = replica.leaderState
    const seen = this.#seen.get(replica)
    if (seen === undefined) {
      this.#first(life, replica)
      return
    }
    const isStill =
      seen.highWatermark === highWatermark &&
      seen.logEndOffset === logEndOffset &&
      seen.state === state &&
      seen.logStartOffset === logStartOffset &&
      seen.leaderEpoch === leaderEpoch
    if (isStill && (state === null || seen.maximalIsr === state.maximalIsr)) return
    if (replica.stopped === null && !seen.truth.isUnclean) this.#check(life, replica, seen)
    this.#committed(seen.truth, highWatermark)
    if (state !== null && seen.state !== state) began(seen.truth, state)
    seen.highWatermark = highWatermark
    seen.logEndOffset = logEndOffset
    seen.logStartOffset = logStartOffset
    seen.leaderEpoch = leaderEpoch
    seen.state = state
    seen.maximalIsr = state?.maximalIsr ?? null
    seen.partitionEpoch = state?.partitionEpoch ?? -1
  }

  #first(life: Life, replica: ReplicaLike): void {
    const { topic, topicId, index, log, leaderEpoch, leaderState, highWatermark } = replica
    const truth = this.#truths.of(topic, topicId, index)
    const seen: Seen = {
      ...{ truth, leaderEpoch, state: leaderState, maximalIsr: leaderState?.maximalIsr ?? null },
      partitionEpoch: leaderState?.partitionEpoch ?? -1,
      ...{ highWatermark, logEndOffset: log.logEndOffset, logStartOffset: log.logStartOffset },
      isBeginning: false,
    }
    this.#seen.set(replica, seen)
    if (leaderState !== null) began(truth, leaderState)
    if (replica.stopped !== null || truth.isUnclean) return
    this.#checkMarks(life, replica, seen)
    if (leaderState !== null) this.#checkLeader(life, replica, truth, leaderState)
    this.#committed(truth, highWatermark)
  }

  /** Whoever says so: a leader may have committed while it still started, or in the very turn in which it stopped. */
  #committed(truth: PartitionTruth, highWatermark: number): void {
    if (highWatermark > truth.trueHighWatermark && !truth.isUnclean) truth.trueHighWatermark = highWatermark
  }

  #check(life: Life, replica: ReplicaLike, seen: Seen): void {
    const { truth } = seen
    const { log, highWatermark, leaderState: state } = replica
    this.#checkMarks(life, replica, seen)
    if (log.logEndOffset < seen.logEndOffset) this.#checkCut(life, replica, seen)
    if (state === null) return
    if (log.logEndOffset > seen.logEndOffset && seen.state === state) this.#wrote(life, replica, truth)
    if (highWatermark > seen.highWatermark) this.#checkCommit(life, replica, seen, state)
    this.#checkLeader(life, replica, truth, state)
  }

  /** R7, R12. */
  #checkMarks(life: Life, replica: ReplicaLike, seen: Seen): void {
    const { log, highWatermark } = replica
    const where = whereOf(life, seen.truth)
    if (highWatermark > log.logEndOffset)
      fail('R12', `the high watermark of ${where} is ${highWatermark}, its log ends at ${log.logEndOffset}`)
    if (highWatermark < log.logStartOffset)
      fail(
        'R12',
        `the high watermark of ${where} is ${highWatermark}, its log begins at ${log.logStartOffset}`,
      )
    // A follower that begins anew, below its leader's start (KIP-107), goes back; what it must not lose is seen by R2 and R11.
    const wasBeginning = seen.isBeginning
    seen.isBeginning = !replica.isLeader && replica.fetchPosition() === null
    if (wasBeginning || seen.isBeginning) return
    if (highWatermark < seen.highWatermark)
      fail('R7', `the high watermark of ${where} falls from ${seen.highWatermark} to ${highWatermark}`)
    // A log that has nothing yet may begin below its leader's start, at the batch that holds it (KIP-107), and follows.
    if (log.logStartOffset < seen.logStartOffset && seen.logStartOffset < seen.logEndOffset)
      fail('R12', `the log start of ${where} falls from ${seen.logStartOffset} to ${log.logStartOffset}`)
  }

  /** R1, R3: of the leader that the newest state names. */
  #checkLeader(life: Life, replica: ReplicaLike, truth: PartitionTruth, state: LeaderLike): void {
    const { image } = truth
    if (image === null || image.leader !== life.id || image.leaderEpoch !== replica.leaderEpoch) return
    const { logEndOffset } = replica.log
    const where = whereOf(life, truth)
    if (logEndOffset < truth.trueHighWatermark)
      fail(
        'R1',
        `${where} leads in epoch ${replica.leaderEpoch} and ends at ${logEndOffset}; committed was ${truth.trueHighWatermark}`,
      )
    // It commits nothing, so whoever is eligible lacks nothing. It has put the newest metadata into effect, if it has this state.
    if (image.partitionEpoch < state.partitionEpoch || state.isr.length < this.#around.presentMinIsr(truth))
      return
    const { maximalIsr } = state
    for (const id of truth.candidates)
      if (!maximalIsr.includes(id))
        fail(
          'R3',
          `${where} waits for ${maximalIsr.join()} in partition epoch ${state.partitionEpoch}, and ${id} can be elected in ${image.partitionEpoch}`,
        )
  }

  /** R7, D1: everybody who counts has it. */
  #checkCommit(life: Life, replica: ReplicaLike, seen: Seen, state: LeaderLike): void {
    const { truth, state: former, partitionEpoch } = seen
    const { highWatermark, log, leaderEpoch } = replica
    const where = whereOf(life, truth)
    const minIsr = this.#around.minIsr(truth)
    const findFault = (leader: LeaderLike): string | null => {
      if (leader.isr.length < minIsr)
        return `${where} commits ${highWatermark} with ${leader.isr.join()} in sync, wanted are ${minIsr}`
      const lacking = leader.maximalIsr.find((id) => {
        const told = id === life.id ? log.durableEndOffset : (leader.position(id)?.durableEndOffset ?? -1)
        return told < highWatermark
      })
      if (lacking === undefined) return null
      return `${where} commits ${highWatermark} in epoch ${leaderEpoch}, of which ${lacking} has told no such thing`
    }
    const fault = findFault(state)
    // It may have committed in its former epoch, in the very turn in which that ended and it went on in the next; or by an in-sync
    // set of which it heard in that turn, and of the next one, too, be it before that epoch ended.
    const isMissed = former !== null && former.partitionEpoch > partitionEpoch + 1
    if (fault !== null && !isMissed && (former === null || former === state || findFault(former) !== null))
      fail('R7', fault)
    if (log.config.durability === 'disk') {
      const holders = this.#around
        .hostIds()
        .filter((id) => this.#around.isOnPlatter(id, truth, highWatermark))
      if (holders.length < minIsr)
        fail(
          'D1',
          `${where} commits ${highWatermark}, which is on the platters of ${holders.join() || 'nobody'}, wanted are ${minIsr}`,
        )
      if (!holders.includes(life.id))
        fail('D1', `${where} commits ${highWatermark}, which is not on its own platter`)
      for (const id of state.isr)
        if (truth.isCandidate(id) && !holders.includes(id))
          truth.suspect(
            id,
            new Violation('D1', `${where} commits ${highWatermark}, which is not on the platter of b${id}`),
          )
    }
  }

  /** R6. */
  #wrote(life: Life, { leaderEpoch }: ReplicaLike, truth: PartitionTruth): void {
    const writer = truth.writers.get(leaderEpoch)
    if (writer === undefined) truth.writers.set(leaderEpoch, life.name)
    else if (writer !== life.name)
      fail(
        'R6',
        `${truth.name} is written to by ${writer} and by ${life.name} in leader epoch ${leaderEpoch}`,
      )
  }

  /** R11. */
  #checkCut(life: Life, { log }: ReplicaLike, { truth, logEndOffset }: Seen): void {
    if (log.logEndOffset >= truth.trueHighWatermark || !truth.isCandidate(life.id)) return
    const what = `${whereOf(life, truth)} is cut from ${logEndOffset} to ${log.logEndOffset}; committed is ${truth.trueHighWatermark}`
    truth.suspect(life.id, new Violation('R11', what))
  }
}

function began(truth: PartitionTruth, { leaderEpoch, epochStartOffset }: LeaderLike): void {
  truth.epochStarts.set(leaderEpoch, epochStartOffset)
}

function whereOf(life: Life, truth: PartitionTruth): string {
  return `${truth.name} of ${life.name}`
}
