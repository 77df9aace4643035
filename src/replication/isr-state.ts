/**
 * The in-sync replicas of a partition as its leader knows them, in one leader epoch: those that are committed, and those
 * that a change under way may have made so already.
 *
 * The leader proposes, the controller decides, and the answer may be late or lost. Until the outcome of a proposal is known
 * the controller may hold the old set or the new one, and may elect from either. So the leader counts both: the
 * *maximal ISR* is the committed set and everybody who was proposed (docs/faults.md R3, RP-6).
 *
 * When is a proposal dead? Not when its answer is lost, and not even when a repetition of it was refused: an earlier copy
 * may still be on its way. It is dead when every copy of it was certainly refused, or when the partition epoch has moved
 * past the one it was made in, since the controller takes a proposal only in the very epoch that it names.
 *
 *             propose                       altered, or an image with a higher partition epoch
 *   settled ──────────► under way ─────────────────────────────────────────────► settled (nothing doubtful)
 *      ▲                    │ refused, every copy      │ overtaken
 *      └────────────────────┘                          ▼
 *                                         waits for the next image, counting all
 *
 * Invariants:
 * - `maximal` holds `committed`, the proposal under way, and all who were proposed in this partition epoch in copies whose
 *   outcome is unknown.
 * - At most one proposal is under way. The partition epoch only rises.
 *
 * Pure: no clock, no port.
 *
 * @see KIP-497 (AlterPartition), KIP-903 (broker epochs), the "maximal ISR" of Kafka's TLA+ model.
 */
import { assert } from '../base/assert.ts'

/** A replica in a proposal, in one of its incarnations (KIP-903). */
export interface IsrMember {
  readonly brokerId: number
  /** -1: not known, and not checked by the controller. */
  readonly brokerEpoch: number
}

/** What came of a proposal. */
export type AlterOutcome =
  /** It is committed. */
  | { readonly kind: 'altered'; readonly partitionEpoch: number; readonly isr: readonly number[] }
  /** This copy was not applied and never will be; the partition is as it was. */
  | { readonly kind: 'refused'; readonly error: string }
  /** This copy was not applied and never will be: the partition has moved on, as the next image will tell. */
  | { readonly kind: 'overtaken'; readonly error: string }
  /** No answer, or one that does not tell: it may be applied, now or later. */
  | { readonly kind: 'unknown'; readonly error: string }

/** A change of the in-sync set that the controller is asked for. */
export interface Proposal {
  /** The partition epoch in which alone it can be applied. */
  readonly partitionEpoch: number
  readonly members: readonly IsrMember[]
}

export class IsrState {
  #committed: readonly number[]
  #partitionEpoch: number
  #proposal: Proposal | null = null
  /** Whether a copy of the proposal under way has an unknown outcome. */
  #isDoubtful = false
  /** Who was proposed in this partition epoch by copies whose outcome is unknown. */
  #doubtful: readonly number[] = []
  /** The controller has refused because the partition has moved on: nothing is proposed before the image that says how. */
  #isOvertaken = false
  #maximal: readonly number[]

  constructor(isr: readonly number[], partitionEpoch: number) {
    this.#committed = isr
    this.#partitionEpoch = partitionEpoch
    this.#maximal = isr
  }

  get committed(): readonly number[] {
    return this.#committed
  }

  get partitionEpoch(): number {
    return this.#partitionEpoch
  }

  /** Everybody whom the controller may hold to be in sync: whom the high watermark waits for. */
  get maximal(): readonly number[] {
    return this.#maximal
  }

  /** The proposal whose outcome is awaited, or null. */
  get proposal(): Proposal | null {
    return this.#proposal
  }

  get mayPropose(): boolean {
    return this.#proposal === null && !this.#isOvertaken
  }

  propose(members: readonly IsrMember[]): Proposal {
    assert(this.mayPropose, 'One change of the in-sync replicas at a time')
    this.#proposal = { partitionEpoch: this.#partitionEpoch, members }
    this.#isDoubtful = false
    this.#count()
    return this.#proposal
  }

  /**
   * Takes the outcome of one copy of `proposal`.
   *
   * @returns Whether it must be sent again: its outcome is still open, and nothing newer is known.
   */
  settle(proposal: Proposal, outcome: AlterOutcome): boolean {
    if (outcome.kind === 'altered') {
      // Nothing was left to alter: the proposal is what is committed, and so are all copies of it.
      const isNews = this.update(outcome.isr, outcome.partitionEpoch)
      if (!isNews && proposal === this.#proposal) this.#drop()
      return false
    }
    if (proposal !== this.#proposal) return false
    if (outcome.kind === 'unknown') {
      this.#isDoubtful = true
      return true
    }
    // Dead is this copy; earlier ones of unknown outcome go on counting until the partition epoch moves.
    if (this.#isDoubtful) this.#doubtful = union(this.#doubtful, idsOf(proposal))
    if (outcome.kind === 'overtaken') {
      this.#isOvertaken = true
      this.#doubtful = union(this.#doubtful, idsOf(proposal))
    }
    this.#drop()
    return false
  }

  /**
   * Takes a committed state. An older one than is known already changes nothing.
   *
   * @returns Whether it was news.
   */
  update(isr: readonly number[], partitionEpoch: number): boolean {
    if (partitionEpoch <= this.#partitionEpoch) return false
    this.#committed = isr
    this.#partitionEpoch = partitionEpoch
    this.#proposal = null
    this.#isDoubtful = false
    this.#isOvertaken = false
    this.#doubtful = []
    this.#count()
    return true
  }

  #drop(): void {
    this.#proposal = null
    this.#count()
  }

  #count(): void {
    const proposed = this.#proposal === null ? [] : idsOf(this.#proposal)
    this.#maximal = union(union(this.#committed, this.#doubtful), proposed)
  }
}

function idsOf(proposal: Proposal): readonly number[] {
  return proposal.members.map(({ brokerId }) => brokerId)
}

function union(ids: readonly number[], others: readonly number[]): readonly number[] {
  const added = others.filter((id) => !ids.includes(id))
  return added.length === 0 ? ids : [...ids, ...added]
}
