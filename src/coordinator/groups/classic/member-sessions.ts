/**
 * Sessions of the members of a classic group, and the answers that begin them anew: a member whose request waits is silent
 * because of us, so its session starts when it is answered, whatever the answer.
 *
 * Invariant: only here is a waiter taken from a member, and it is answered in the same call.
 */
import type { Clock } from '../../../env/index.ts'
import type { ErrorName } from '../../../protocol/errors.ts'
import type { JoinGroupResponse } from '../../../protocol/messages/join-group.ts'
import type { SyncGroupResponse } from '../../../protocol/messages/sync-group.ts'
import { joinFault, syncFault } from './answers.ts'
import type { ClassicMember } from './classic-member.ts'
import { DeadlineQueue } from './deadline-queue.ts'
import type { MemberTable } from './member-table.ts'

export class MemberSessions {
  readonly #members: MemberTable
  readonly #deadlines: DeadlineQueue

  /** @param onEnd - Gets the id whose time is up, which has no session then. */
  constructor(clock: Clock, members: MemberTable, onEnd: (memberId: string) => void) {
    this.#members = members
    this.#deadlines = new DeadlineQueue(clock, onEnd)
  }

  /** Starts the session of a member, or starts it anew. */
  start(member: ClassicMember): void {
    this.#deadlines.set(member.id, member.claim.sessionTimeoutMs)
  }

  /** Gives an id so much time, in ms, in place of what it had. */
  startFor(memberId: string, timeoutMs: number): void {
    this.#deadlines.set(memberId, timeoutMs)
  }

  drop(memberId: string): void {
    this.#deadlines.drop(memberId)
  }

  clear(): void {
    this.#deadlines.clear()
  }

  /** Answers the join that waits, if one does. From here on the member can know its id. */
  answerJoin(member: ClassicMember, response: JoinGroupResponse): void {
    const waiter = this.#members.takeJoin(member)
    if (waiter === null) return
    member.isNew = false
    this.start(member)
    waiter.answer(response)
  }

  failJoin(member: ClassicMember, error: ErrorName): void {
    if (member.join !== null) this.answerJoin(member, joinFault(error, member.id, member.join.apiVersion))
  }

  /** Answers the sync that waits, if one does. */
  answerSync(member: ClassicMember, response: SyncGroupResponse): void {
    const waiter = member.sync
    if (waiter === null) return
    member.sync = null
    this.start(member)
    waiter.answer(response)
  }

  failSync(member: ClassicMember, error: ErrorName): void {
    if (member.sync !== null) this.answerSync(member, syncFault(error))
  }
}
