/** Answers of the classic group protocol in the shapes of their messages. */
import { errorCode } from '../../../protocol/errors.ts'
import type { ErrorName } from '../../../protocol/errors.ts'
import type { HeartbeatResponse } from '../../../protocol/messages/heartbeat.ts'
import type { JoinGroupResponse } from '../../../protocol/messages/join-group.ts'
import type { LeaveGroupResponse } from '../../../protocol/messages/leave-group.ts'
import type { SyncGroupResponse } from '../../../protocol/messages/sync-group.ts'
import { NOTHING_ASSIGNED } from './classic-member.ts'
import type { ClassicMember } from './classic-member.ts'
import type { MemberTable } from './member-table.ts'

/** What tells a generation that there is none. */
export const NO_GENERATION = -1
/** First version of LeaveGroup in which several may leave at once (KIP-345). */
export const LEAVE_MANY_VERSION = 3
/** From this version on the name of the protocol is null where there is none, before that empty (KIP-559). */
const NULL_PROTOCOL_VERSION = 7

/** @param memberId - The one in the request, or the one the member is to use from now on. */
export function joinFault(error: ErrorName, memberId: string, apiVersion: number): JoinGroupResponse {
  return {
    throttleTimeMs: 0,
    errorCode: errorCode(error),
    generationId: NO_GENERATION,
    protocolType: null,
    protocolName: apiVersion >= NULL_PROTOCOL_VERSION ? null : '',
    leader: '',
    skipAssignment: false,
    memberId,
    members: [],
  }
}

export function syncFault(error: ErrorName): SyncGroupResponse {
  return {
    throttleTimeMs: 0,
    errorCode: errorCode(error),
    protocolType: null,
    protocolName: null,
    assignment: NOTHING_ASSIGNED,
  }
}

export function heartbeatAnswer(error: ErrorName): HeartbeatResponse {
  return { throttleTimeMs: 0, errorCode: errorCode(error) }
}

export function leaveAnswer(error: ErrorName, members: LeaveGroupResponse['members']): LeaveGroupResponse {
  return { throttleTimeMs: 0, errorCode: errorCode(error), members }
}

/** What a group says of its generation. */
export interface GenerationView {
  readonly generation: number
  readonly protocolType: string
  readonly protocolName: string | null
  readonly members: MemberTable
}

/** Tells a member of the present generation; the leader of all members too, so that it can assign. */
export function generationAnswer(group: GenerationView, member: ClassicMember): JoinGroupResponse {
  const { members, protocolName } = group
  const everyMember = () =>
    Array.from(members, (other) => ({
      memberId: other.id,
      groupInstanceId: other.instanceId,
      metadata: other.metadata(protocolName),
    }))
  return {
    throttleTimeMs: 0,
    errorCode: 0,
    generationId: group.generation,
    protocolType: group.protocolType,
    protocolName,
    leader: members.leaderId ?? '',
    skipAssignment: false,
    memberId: member.id,
    members: member.id === members.leaderId ? everyMember() : [],
  }
}

/** Tells a member what it was assigned in the present generation. */
export function assignmentAnswer(group: GenerationView, member: ClassicMember): SyncGroupResponse {
  return {
    throttleTimeMs: 0,
    errorCode: 0,
    protocolType: group.protocolType,
    protocolName: group.protocolName,
    assignment: member.assignment,
  }
}

/** Whether a request that says what it takes the group for is wrong. Old versions do not say. */
export function isOther(said: string | null, actual: string | null): boolean {
  return said !== null && said !== actual
}
