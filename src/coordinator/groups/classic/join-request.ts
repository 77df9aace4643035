/**
 * What a JoinGroup request asks for, checked before anything is kept of it, and copied out of its frame.
 *
 * Kafka bounds session time-outs alone. The other bounds keep what one member can make the coordinator hold, and write into
 * one record, to what clients need.
 */
import type { Random } from '../../../env/index.ts'
import type { ErrorName } from '../../../protocol/errors.ts'
import type { JoinGroupRequest } from '../../../protocol/messages/join-group.ts'
import type { GroupConfig } from '../../group-config.ts'
import type { MemberClaim } from './classic-member.ts'

/** Assignment strategies of one member. Clients have four in all. */
export const PROTOCOLS_MAX = 64
/** Metadata of one member for all its protocols: as much as a record of the group may have for everything. */
export const METADATA_BYTES_MAX = 1_048_576
/** Characters of a name: of an instance, a protocol, a protocol type. Three bytes each still fit into a record's string. */
export const NAME_CHARACTERS_MAX = 4_096

/** First version in which a dynamic member is given its id before it joins (KIP-394). Older clients would never join. */
export const MEMBER_ID_REQUIRED_VERSION = 4
/** Characters of the client id or instance id that begin a member id, for people who read logs. */
const ID_PREFIX_CHARACTERS_MAX = 255

/** @param prefix - Client or instance id. */
export function newMemberId(prefix: string, random: Pick<Random, 'uuid'>): string {
  return `${prefix.slice(0, ID_PREFIX_CHARACTERS_MAX)}-${random.uuid()}`
}

/** Why the request cannot be taken, whatever the state of the group, or null. */
export function findJoinFault(request: JoinGroupRequest, config: GroupConfig): ErrorName | null {
  const { sessionTimeoutMs, protocolType, protocols, groupInstanceId } = request
  if (sessionTimeoutMs < config.sessionTimeoutMsMin || sessionTimeoutMs > config.sessionTimeoutMsMax) {
    return 'INVALID_SESSION_TIMEOUT'
  }
  if (protocolType === '' || protocols.length === 0) return 'INCONSISTENT_GROUP_PROTOCOL'
  if (protocols.length > PROTOCOLS_MAX) return 'INVALID_REQUEST'
  let bytes = 0
  for (const { name, metadata } of protocols) {
    if (name.length > NAME_CHARACTERS_MAX) return 'INVALID_REQUEST'
    bytes += metadata.length
  }
  const isTooLarge =
    bytes > METADATA_BYTES_MAX ||
    protocolType.length > NAME_CHARACTERS_MAX ||
    (groupInstanceId?.length ?? 0) > NAME_CHARACTERS_MAX
  return isTooLarge ? 'INVALID_REQUEST' : null
}

/** What the request says of its sender. A protocol that is named twice counts once, as it was named first. */
export function claimOf(
  request: JoinGroupRequest,
  client: { readonly clientId: string; readonly clientHost: string },
): MemberClaim {
  const protocols = new Map<string, Uint8Array>()
  for (const { name, metadata } of request.protocols) {
    // Copied, since the bytes are a view of a frame that may be far larger.
    if (!protocols.has(name)) protocols.set(name, metadata.slice())
  }
  return {
    clientId: client.clientId,
    clientHost: client.clientHost,
    sessionTimeoutMs: request.sessionTimeoutMs,
    rebalanceTimeoutMs:
      request.rebalanceTimeoutMs < 0 ? request.sessionTimeoutMs : request.rebalanceTimeoutMs,
    protocols,
  }
}
