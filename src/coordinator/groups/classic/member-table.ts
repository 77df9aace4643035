/**
 * The members of a classic group, with what must be known of all of them at each request without looking at each: who has
 * which instance id, how many support a protocol, how many wait for the next generation.
 *
 * Invariants:
 * - `#supporters` counts each member once for each protocol it offers.
 * - `awaitingJoinCount` is the number of members with a `join` waiter. Only `awaitJoin` and `takeJoin` change one.
 * - `#idByInstance` has exactly the static members.
 * - `leaderId` names a member, or is null.
 *
 * A member's join waiter must be taken before it is removed, so that no request is left without an answer.
 */
import { assert } from '../../../base/assert.ts'
import type { JoinGroupResponse } from '../../../protocol/messages/join-group.ts'
import type { ErrorName } from '../../../protocol/errors.ts'
import type { ClassicMember, MemberClaim, Waiter } from './classic-member.ts'
import { recordBytesOf } from './group-record.ts'

export class MemberTable implements Iterable<ClassicMember> {
  readonly #members = new Map<string, ClassicMember>()
  readonly #idByInstance = new Map<string, string>()
  readonly #supporters = new Map<string, number>()
  #awaitingJoinCount = 0
  #claimBytes = 0
  #recordBytes = 0
  /** Who assigns. Null: the next who has joined when the generation begins. */
  leaderId: string | null = null

  get size(): number {
    return this.#members.size
  }

  get awaitingJoinCount(): number {
    return this.#awaitingJoinCount
  }

  /** Bytes of metadata of all members. */
  get claimBytes(): number {
    return this.#claimBytes
  }

  /** Bytes that the members take in the record of the group, whichever protocol wins, without their assignments. */
  get recordBytes(): number {
    return this.#recordBytes
  }

  [Symbol.iterator](): IterableIterator<ClassicMember> {
    return this.#members.values()
  }

  find(memberId: string): ClassicMember | undefined {
    return this.#members.get(memberId)
  }

  findStatic(instanceId: string): ClassicMember | undefined {
    const id = this.#idByInstance.get(instanceId)
    return id === undefined ? undefined : this.#members.get(id)
  }

  /** The member a request speaks for, or why it may not: no such member, or its instance is now another process (G3). */
  identify(memberId: string, instanceId: string | null): ClassicMember | ErrorName {
    if (instanceId !== null) {
      const currentId = this.#idByInstance.get(instanceId)
      if (currentId === undefined) return 'UNKNOWN_MEMBER_ID'
      if (currentId !== memberId) return 'FENCED_INSTANCE_ID'
    }
    return this.#members.get(memberId) ?? 'UNKNOWN_MEMBER_ID'
  }

  add(member: ClassicMember): void {
    assert(!this.#members.has(member.id), `Expected a new member: ${member.id} is there`)
    this.#members.set(member.id, member)
    if (member.instanceId !== null) {
      assert(
        !this.#idByInstance.has(member.instanceId),
        `Expected a new instance: ${member.instanceId} is there`,
      )
      this.#idByInstance.set(member.instanceId, member.id)
    }
    this.#count(member.claim, 1)
    this.#recordBytes += recordBytesOf(member, member.claim)
    if (member.join !== null) this.#awaitingJoinCount++
  }

  remove(member: ClassicMember): void {
    assert(member.join === null && member.sync === null, `Expected nothing to wait: ${member.id} is removed`)
    assert(this.#members.delete(member.id), `Expected a member: ${member.id} is not there`)
    if (member.instanceId !== null) this.#idByInstance.delete(member.instanceId)
    this.#count(member.claim, -1)
    this.#recordBytes -= recordBytesOf(member, member.claim)
    if (this.leaderId === member.id) this.leaderId = null
  }

  /** Gives a static member the id of the process that took it over; its place as leader stays with it. */
  rename(member: ClassicMember, newId: string): void {
    assert(member.instanceId !== null, `Expected a static member: ${member.id} has no instance id`)
    this.#members.delete(member.id)
    if (this.leaderId === member.id) this.leaderId = newId
    this.#recordBytes -= recordBytesOf(member, member.claim)
    member.id = newId
    this.#recordBytes += recordBytesOf(member, member.claim)
    this.#members.set(newId, member)
    this.#idByInstance.set(member.instanceId, newId)
  }

  update(member: ClassicMember, claim: MemberClaim): void {
    this.#count(member.claim, -1)
    this.#recordBytes += recordBytesOf(member, claim) - recordBytesOf(member, member.claim)
    member.claim = claim
    this.#count(claim, 1)
  }

  awaitJoin(member: ClassicMember, waiter: Waiter<JoinGroupResponse>): void {
    assert(member.join === null, `Expected no join to wait: one of ${member.id} does`)
    member.join = waiter
    this.#awaitingJoinCount++
  }

  /** The join that waits, which the caller answers now; null if there is none. */
  takeJoin(member: ClassicMember): Waiter<JoinGroupResponse> | null {
    const waiter = member.join
    if (waiter === null) return null
    member.join = null
    this.#awaitingJoinCount--
    return waiter
  }

  /** Whether a newcomer with these protocols leaves one that all support. */
  supportsAny(protocols: ReadonlyMap<string, unknown>): boolean {
    for (const name of protocols.keys()) if (this.#isSupportedByAll(name)) return true
    return false
  }

  /**
   * The protocol of the next generation: each member votes for what it prefers of those that all support, and most votes
   * win; of equals, the one that was voted for first.
   */
  selectProtocol(): string {
    const votes = new Map<string, number>()
    for (const member of this) {
      for (const name of member.claim.protocols.keys()) {
        if (!this.#isSupportedByAll(name)) continue
        votes.set(name, (votes.get(name) ?? 0) + 1)
        break
      }
    }
    let winner: string | null = null
    let most = 0
    for (const [name, count] of votes) {
      if (count <= most) continue
      winner = name
      most = count
    }
    assert(winner !== null, `Expected a protocol that all ${this.size} members support`)
    return winner
  }

  /**
   * Leaves the leader in place if it has joined, else makes the first one who has joined the leader.
   *
   * @returns False when nobody has joined.
   */
  electLeader(): boolean {
    const leader = this.leaderId === null ? undefined : this.#members.get(this.leaderId)
    if (leader !== undefined && leader.join !== null) return true
    for (const member of this) {
      if (member.join === null) continue
      this.leaderId = member.id
      return true
    }
    return false
  }

  /** The longest time any member wants to be given for its rejoin, in ms; 0 without members. */
  rebalanceTimeoutMs(): number {
    let longestMs = 0
    for (const { claim } of this) longestMs = Math.max(longestMs, claim.rebalanceTimeoutMs)
    return longestMs
  }

  #isSupportedByAll(protocolName: string): boolean {
    return (this.#supporters.get(protocolName) ?? 0) === this.#members.size
  }

  #count(claim: MemberClaim, by: 1 | -1): void {
    for (const [name, metadata] of claim.protocols) {
      this.#claimBytes += by * metadata.length
      const count = (this.#supporters.get(name) ?? 0) + by
      if (count === 0) this.#supporters.delete(name)
      else this.#supporters.set(name, count)
    }
  }
}
