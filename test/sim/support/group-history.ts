/**
 * What the members of one group know together, judged as it happens (docs/faults.md section 3, Groups). Topics have records
 * without gaps, from offset 0, and members begin at the beginning; so a whole history of what was handled is one number
 * for each partition.
 *
 *   G1   whoever gets a partition while another believes to have it, or is at a record of it: that one was removed from the
 *        group before, or has left it by itself
 *   G3   what a member commits after another got the partition is refused
 *   G4   who gets a partition begins at or behind the last offset that was acknowledged as committed, and at or before what
 *        was handled: nothing is skipped, nothing comes back
 *   own  records are handled by their owners alone, in order, each once in the time that a member has the partition
 */
import type { ConsumerRecord, TopicPartition } from '../../../src/client/consumer-options.ts'
import { logName } from './cluster-clients.ts'
import type { SimCluster } from './sim-cluster.ts'

/** A member, as far as this judge is concerned. */
export interface Suspect {
  readonly name: string
  /** As the coordinator knows it. */
  readonly memberId: string
  /** False once its process is gone: it believes nothing any more. */
  readonly isAlive: boolean
  /** It leaves, or has left, and what is in its hands counts as not handled. */
  readonly isClosed: boolean
}

/** The time that a member has a partition, as it believes. */
export interface Ownership {
  readonly member: Suspect
  readonly log: string
  readonly sinceMs: number
  /** Offset that is begun next; null before the first. */
  next: number | null
  /** Somebody else has got the partition since. */
  isUsurped: boolean
}

interface LogState {
  readonly owners: Set<Ownership>
  /** Those whose member is at a record. */
  readonly busy: Set<Ownership>
  /** All records below it have been handled to the end, by whomever. */
  doneEnd: number
  /** Highest offset that was acknowledged as committed. */
  committed: number
  readonly values: (string | undefined)[]
}

export class GroupHistory {
  /** What must not happen, in words. */
  readonly faults: string[] = []
  /** How often what came to pass: a test that never sees a rebalance proves nothing. */
  readonly counts = new Map<string, number>()
  readonly #cluster: SimCluster
  readonly #logs = new Map<string, LogState>()

  constructor(cluster: SimCluster) {
    this.#cluster = cluster
  }

  count(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1)
  }

  doneEnd(place: TopicPartition): number {
    return this.#log(logName(place)).doneEnd
  }

  committed(place: TopicPartition): number {
    return this.#log(logName(place)).committed
  }

  /** Who believes to own a partition. */
  owners(place: TopicPartition): readonly Suspect[] {
    return [...this.#log(logName(place)).owners].flatMap(({ member }) => (member.isAlive ? [member] : []))
  }

  /** @param position - Where it begins; null if that is not known yet. */
  assigned(member: Suspect, place: TopicPartition, position: number | null): Ownership {
    const log = logName(place)
    const state = this.#log(log)
    for (const other of state.owners) {
      if (!other.member.isAlive) {
        state.owners.delete(other)
        continue
      }
      if (!this.#wasRemoved(other))
        this.#fault(`G1: ${member.name} got ${log}, which ${other.member.name} has`)
      other.isUsurped = true
      this.count('taken from one that did not know')
    }
    if (position !== null && position < state.committed)
      this.#fault(`G4: ${member.name} begins in ${log} at ${position}, and ${state.committed} is committed`)
    if (position !== null && position > state.doneEnd)
      this.#fault(`G4: ${member.name} begins in ${log} at ${position}, handled is ${state.doneEnd}`)
    const { nowMs } = this.#cluster.simulation
    const ownership = { member, log, sinceMs: nowMs, next: null, isUsurped: false }
    state.owners.add(ownership)
    this.count('assigned')
    return ownership
  }

  ended(ownership: Ownership, how: 'revoked' | 'lost'): void {
    const { owners, busy } = this.#log(ownership.log)
    owners.delete(ownership)
    if (how === 'lost') busy.delete(ownership) // it knows that others may be at it
    this.count(how)
  }

  /** A record goes to the application. @param ownership - Of its partition; undefined: the member has none. */
  begun(member: Suspect, record: ConsumerRecord, ownership: Ownership | undefined): void {
    const { offset } = record
    const log = logName(record)
    const state = this.#log(log)
    const where = `${member.name} handles ${log} at ${offset}`
    if (ownership === undefined || !state.owners.has(ownership)) {
      this.#fault(`own: ${where} without having it`)
      return
    }
    if (offset > state.doneEnd)
      this.#fault(`G4: ${where}, and what is before it was handled to ${state.doneEnd}`)
    this.#checkAlone(ownership, state, where)
    state.busy.add(ownership)
    if (ownership.next !== null && offset !== ownership.next)
      this.#fault(`own: ${where}, and ${ownership.next} comes next`)
    const value = new TextDecoder().decode(record.value ?? new Uint8Array())
    if ((state.values[offset] ??= value) !== value) this.#fault(`R16: ${where}, where another value was`)
    ownership.next = offset + 1
    this.count('handled')
  }

  done({ topic, partition, offset }: ConsumerRecord, ownership: Ownership | undefined): void {
    const state = this.#log(logName({ topic, partition }))
    if (ownership !== undefined) state.busy.delete(ownership)
    state.doneEnd = Math.max(state.doneEnd, offset + 1)
  }

  /** A commit was acknowledged. @param wasUsurped - Whether somebody else had got the partition when it was asked for. */
  acknowledged(ownership: Ownership, offset: number, wasUsurped: boolean): void {
    const { log, member } = ownership
    const state = this.#log(log)
    if (wasUsurped) this.#fault(`G3: ${member.name} committed ${offset} in ${log}, which another had by then`)
    state.committed = Math.max(state.committed, offset)
    this.count('committed')
  }

  /** @throws Error naming the invariant. */
  check(): void {
    if (this.faults.length > 0) throw new Error(this.faults.slice(0, 10).join('\n'))
  }

  #log(log: string): LogState {
    let state = this.#logs.get(log)
    if (state === undefined)
      this.#logs.set(
        log,
        (state = { owners: new Set(), busy: new Set(), doneEnd: 0, committed: 0, values: [] }),
      )
    return state
  }

  #checkAlone(ownership: Ownership, { busy }: LogState, where: string): void {
    // One that was removed and has not heard of it goes on for a while: what it does counts for nothing (G3).
    if (ownership.isUsurped || this.#wasRemoved(ownership)) return
    const { member } = ownership
    for (const other of busy) {
      const mayBeAtIt = other.member === member || (!other.member.isClosed && !this.#wasRemoved(other))
      if (other.member.isAlive && mayBeAtIt)
        this.#fault(`G1: ${where}, and ${other.member.name} is at a record of it`)
      else busy.delete(other)
    }
  }

  /** Whether the coordinator has said that it removed a member, since it got its partition. */
  #wasRemoved({ member, sinceMs }: Ownership): boolean {
    return this.#cluster.said.some(
      ({ atMs, message, fields }) =>
        atMs >= sinceMs &&
        message === 'Member removed from its group: out of time' &&
        fields['member'] === member.memberId,
    )
  }

  #fault(fault: string): void {
    this.faults.push(`${fault} (${this.#cluster.simulation.nowMs.toFixed(1)} ms)`)
  }
}
