/**
 * Who votes: sets of voters, and how the set changed along the log.
 *
 * A voter is a node and its disk (KIP-853): a node that lost its disk has another directory id and is a voter no more,
 * so it cannot vote as if it remembered (docs/faults.md MQ-6, M10). A directory id of all zeros is not known yet: the set
 * came from a configuration that lists node ids only. The leader replaces it by the one it sees (`leader.ts`).
 *
 * The set in force is the last one in the log, committed or not. One change at a time, and of one voter, makes any
 * majority of the old set and any of the new one share a voter (M8, Raft dissertation section 4.1).
 */
import { assert } from '../base/assert.ts'
import { ZERO_UUID } from '../bytes/uuid.ts'

export interface Voter {
  readonly id: number
  /** 22 characters; `ZERO_UUID` while it is not known. */
  readonly directoryId: string
}

/** Kafka's clusters have three or five; more only slow each change down. */
export const VOTERS_MAX = 15

export class VoterSet {
  /** Ascending by id. */
  readonly voters: readonly Voter[]

  /** @param voters - At most `VOTERS_MAX`, each id once. */
  constructor(voters: readonly Voter[]) {
    this.voters = [...voters].sort((a, b) => a.id - b.id)
    assert(voters.length <= VOTERS_MAX, `A quorum has at most ${VOTERS_MAX} voters: got ${voters.length}`)
    assert(new Set(voters.map(({ id }) => id)).size === voters.length, 'A voter is listed once')
  }

  /** How many voters make a majority. */
  get majority(): number {
    return Math.floor(this.voters.length / 2) + 1
  }

  find(id: number): Voter | null {
    return this.voters.find((voter) => voter.id === id) ?? null
  }

  has({ id, directoryId }: Voter): boolean {
    const voter = this.find(id)
    return voter !== null && (voter.directoryId === directoryId || voter.directoryId === ZERO_UUID)
  }

  /** @param ids - Of voters of this set. */
  isMajority(ids: ReadonlySet<number>): boolean {
    return ids.size >= this.majority
  }

  /** Voters that are in one of the sets only, by id. */
  differsBy(other: VoterSet): number {
    const gone = this.voters.filter(({ id }) => other.find(id) === null)
    const come = other.voters.filter(({ id }) => this.find(id) === null)
    return gone.length + come.length
  }

  toString(): string {
    return this.voters.map(({ id }) => id).join(',')
  }
}

/** A set of voters as a record of the log names it. */
export interface VotersRecord {
  /** Of the record; -1 for the set that the log began with. */
  readonly offset: number
  readonly set: VoterSet
}

export class VoterHistory {
  /** Ascending by offset. Invariant: at least one. */
  #entries: VotersRecord[]

  constructor(bootstrap: VoterSet) {
    this.#entries = [{ offset: -1, set: bootstrap }]
  }

  get latest(): VoterSet {
    return this.#entries.at(-1)!.set
  }

  /** Offset of the record that brought the latest set; -1 if none did. */
  get latestOffset(): number {
    return this.#entries.at(-1)!.offset
  }

  /** The set in force after all records below `endOffset`. */
  at(endOffset: number): VoterSet {
    return this.#entries.findLast(({ offset }) => offset < endOffset)!.set
  }

  /** Whether the log, not the configuration, says who votes at `endOffset`. */
  isFromLog(endOffset: number): boolean {
    return this.#entries.findLast(({ offset }) => offset < endOffset)!.offset >= 0
  }

  add(offset: number, set: VoterSet): void {
    assert(
      offset > this.latestOffset,
      `Voters change at rising offsets: ${offset} after ${this.latestOffset}`,
    )
    this.#entries.push({ offset, set })
  }

  /** Forgets changes at and above `endOffset`: their records were cut off. */
  truncateTo(endOffset: number): void {
    this.#entries = this.#entries.filter(({ offset }, index) => index === 0 || offset < endOffset)
  }

  /** Begins anew with what a snapshot says; null: it has no set, the first one here stays. */
  restart(endOffset: number, set: VoterSet | null): void {
    const first = this.#entries[0]!
    this.#entries = set === null ? [first] : [{ offset: endOffset - 1, set }]
  }

  /** Forgets sets that no offset from `startOffset` on needs. */
  startAt(startOffset: number): void {
    const first = this.#entries.findLastIndex(({ offset }) => offset < startOffset)
    if (first > 0) this.#entries = this.#entries.slice(first)
  }
}
