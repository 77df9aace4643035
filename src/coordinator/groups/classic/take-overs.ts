/**
 * Static members of a stable group that came back as another process (KIP-345): their new id is written before they are
 * answered, and the group goes on.
 *
 * Take-overs that come while one is being written share the next record, which names all members: a thousand members that
 * restart at once would else write each other a thousand times.
 *
 * Their joins wait in the members like all joins. So when the group rebalances meanwhile, they have simply joined the round,
 * and what is written here is of no more interest.
 */
import type { JoinGroupResponse } from '../../../protocol/messages/join-group.ts'
import type { ShardContext } from '../../shard-context.ts'
import type { GenerationView } from './answers.ts'
import type { ClassicMember } from './classic-member.ts'
import { writeGroup } from './group-writer.ts'
import type { MemberSessions } from './member-sessions.ts'

interface Stable extends GenerationView {
  readonly groupId: string
  readonly state: string
}

export class TakeOvers {
  readonly #context: ShardContext
  readonly #group: Stable
  readonly #sessions: MemberSessions
  /** Who waits for the next record, with the answer. */
  readonly #waiting = new Map<ClassicMember, JoinGroupResponse>()
  #isWriting = false

  constructor(context: ShardContext, group: Stable, sessions: MemberSessions) {
    this.#context = context
    this.#group = group
    this.#sessions = sessions
  }

  /** Answers the member's join with `answer` when its id is written. */
  add(member: ClassicMember, answer: JoinGroupResponse): void {
    this.#waiting.set(member, answer)
    this.#write()
  }

  /** The join of the member is no longer one of these. */
  forget(member: ClassicMember): void {
    this.#waiting.delete(member)
  }

  clear(): void {
    this.#waiting.clear()
  }

  #write(): void {
    if (this.#isWriting || this.#waiting.size === 0) return
    this.#isWriting = true
    const batch = Array.from(this.#waiting, ([member, answer]) => ({ member, answer, waiter: member.join }))
    this.#waiting.clear()
    const { groupId, generation, protocolType, protocolName, members } = this.#group
    const snapshot = {
      protocolType,
      generation,
      protocolName,
      leaderId: members.leaderId,
      stateSinceMs: this.#context.clock.wallTimeMs(),
      members,
      assigned: (member: ClassicMember) => member.assignment,
    }
    writeGroup(this.#context, groupId, snapshot, (error) => {
      this.#isWriting = false
      if (this.#group.state !== 'Stable' || this.#group.generation !== generation) return
      for (const { member, answer, waiter } of batch) {
        if (member.join !== waiter) continue // It asked again, or is another process by now: a later record is its own.
        if (error === null) this.#sessions.answerJoin(member, answer)
        else this.#sessions.failJoin(member, error)
      }
      this.#write()
    })
  }
}
