/**
 * A classic group as the one record that says all of it, and its members back from there.
 *
 * A member is stored with its metadata for the protocol of the generation alone: it is the one it must go on supporting, and
 * what else it offers it says again when it rejoins.
 *
 * `leader` is null in two records: of a group without members, and of a generation that has begun and is not assigned, in
 * which no member has an assignment (group-lifecycle.ts).
 */
import type { CoordinatorRecord, CoordinatorValueOf } from '../../records/coordinator-record.ts'
import { utf8Size } from '../../../bytes/utf8.ts'
import { ClassicMember } from './classic-member.ts'
import type { MemberClaim } from './classic-member.ts'

export type GroupRecordValue = CoordinatorValueOf<'GroupMetadata'>

export interface GroupSnapshot {
  readonly protocolType: string
  readonly generation: number
  readonly protocolName: string | null
  readonly leaderId: string | null
  /** Wall clock, ms. */
  readonly stateSinceMs: number
  readonly members: Iterable<ClassicMember>
  readonly assigned: (member: ClassicMember) => Uint8Array
}

export function groupRecordValue(snapshot: GroupSnapshot): GroupRecordValue {
  const { protocolType, generation, protocolName, leaderId, stateSinceMs, members, assigned } = snapshot
  return {
    protocolType,
    generation,
    protocol: protocolName,
    leader: leaderId,
    currentStateTimestamp: stateSinceMs,
    members: Array.from(members, (member) => ({
      memberId: member.id,
      groupInstanceId: member.instanceId,
      clientId: member.claim.clientId,
      clientHost: member.claim.clientHost,
      rebalanceTimeout: member.claim.rebalanceTimeoutMs,
      sessionTimeout: member.claim.sessionTimeoutMs,
      subscription: member.metadata(protocolName),
      assignment: assigned(member),
    })),
  }
}

/** Lengths of four strings and two byte strings, and two time-outs. */
const MEMBER_BYTES = 4 * 2 + 2 * 4 + 2 * 4

/** Bytes that a member takes in the record at most, without its assignment: only one protocol's metadata is in it. */
export function recordBytesOf(
  { id, instanceId }: { readonly id: string; readonly instanceId: string | null },
  { clientId, clientHost, protocols }: MemberClaim,
): number {
  let metadataBytes = 0
  for (const metadata of protocols.values()) metadataBytes = Math.max(metadataBytes, metadata.length)
  const names = utf8Size(id) + utf8Size(instanceId ?? '') + utf8Size(clientId) + utf8Size(clientHost)
  return MEMBER_BYTES + names + metadataBytes
}

/** @param value - Null removes the group from the log. */
export function groupRecord(groupId: string, value: GroupRecordValue | null): CoordinatorRecord {
  return { kind: 'GroupMetadata', key: { group: groupId }, value }
}

/** The member as its last generation knew it. */
export function memberOf(
  stored: GroupRecordValue['members'][number],
  protocolName: string | null,
): ClassicMember {
  const { rebalanceTimeout, sessionTimeout } = stored
  const member = new ClassicMember(stored.memberId, stored.groupInstanceId, {
    clientId: stored.clientId,
    clientHost: stored.clientHost,
    sessionTimeoutMs: sessionTimeout,
    rebalanceTimeoutMs: rebalanceTimeout < 0 ? sessionTimeout : rebalanceTimeout, // v0 does not have it
    protocols: new Map([[protocolName ?? '', stored.subscription]]),
  })
  member.assignment = stored.assignment
  member.isNew = false
  return member
}
