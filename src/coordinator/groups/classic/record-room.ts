/**
 * What fits the one record of a classic group, which is bounded by the largest batch that the log takes: known before members are
 * let in, or an assignment is begun, so that a group that is full is told so, and none finds that it cannot be written.
 *
 * Invariant: members that are let in fill half of it at most, so that the other half is there for what they are assigned.
 */
import { utf8Size } from '../../../bytes/utf8.ts'
import type { JoinGroupRequest } from '../../../protocol/messages/join-group.ts'
import type { SyncGroupRequest } from '../../../protocol/messages/sync-group.ts'
import type { ClassicMember, MemberClaim } from './classic-member.ts'
import { recordBytesOf } from './group-record.ts'
import { NAME_CHARACTERS_MAX } from './join-request.ts'
import type { MemberTable } from './member-table.ts'

/** Of a batch and a record, beside members and names: headers, generation, time, lengths; generously. */
const GROUP_BYTES = 256
/** The leader's id and the protocol's name, in UTF-8. */
const NAMES_BYTES_MAX = 2 * 3 * NAME_CHARACTERS_MAX
const MEMBERS_SHARE = 0.5
/** As long as what is added to a client id or an instance id to make a member id of it. */
const ID_SUFFIX = '-'.padEnd(23)

export class RecordRoom {
  readonly #members: MemberTable
  /** For members and what they are assigned, in bytes. */
  readonly #bytesMax: number

  constructor(members: MemberTable, groupId: string, protocolType: string, batchBytesMax: number) {
    this.#members = members
    this.#bytesMax =
      batchBytesMax - GROUP_BYTES - NAMES_BYTES_MAX - utf8Size(groupId) - utf8Size(protocolType)
  }

  /** Whether the group can have a member, known or new, with what it says of itself now. */
  fits(
    known: ClassicMember | null,
    { groupInstanceId: instanceId, memberId }: Pick<JoinGroupRequest, 'groupInstanceId' | 'memberId'>,
    claim: MemberClaim,
  ): boolean {
    const id = memberId === '' ? `${instanceId ?? claim.clientId}${ID_SUFFIX}` : memberId
    const added = recordBytesOf({ id, instanceId: instanceId ?? known?.instanceId ?? null }, claim)
    const freed = known === null ? 0 : recordBytesOf(known, known.claim)
    // Who is there and asks for no more stays, should the bound have been lowered.
    return added <= freed || this.#members.recordBytes + added - freed <= this.#bytesMax * MEMBERS_SHARE
  }

  /** Whether there is room for what the leader assigns. What is meant for nobody who is there counts as nothing. */
  canHold(assignments: SyncGroupRequest['assignments']): boolean {
    const bytes = new Map<string, number>()
    for (const { memberId, assignment } of assignments) {
      if (this.#members.find(memberId) !== undefined) bytes.set(memberId, assignment.length)
    }
    let sum = this.#members.recordBytes
    for (const size of bytes.values()) sum += size
    return sum <= this.#bytesMax
  }
}
