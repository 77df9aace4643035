/**
 * A member of a classic group: what it said when it joined, what it was assigned, and the answers it waits for.
 */
import type { JoinGroupResponse } from '../../../protocol/messages/join-group.ts'
import type { SyncGroupResponse } from '../../../protocol/messages/sync-group.ts'

/** A request that waits for its answer, and the version its answer must be in. Answered once, on every path. */
export interface Waiter<Response> {
  readonly apiVersion: number
  readonly answer: (response: Response) => void
}

export const NOTHING_ASSIGNED = new Uint8Array(0)

/** What a join says of a member. */
export interface MemberClaim {
  readonly clientId: string
  readonly clientHost: string
  readonly sessionTimeoutMs: number
  readonly rebalanceTimeoutMs: number
  /** Metadata by the name of the protocol, in the member's order of preference. Never empty; the bytes are the member's own. */
  readonly protocols: ReadonlyMap<string, Uint8Array>
}

export class ClassicMember {
  /** Changes when another process takes the instance over. */
  id: string
  /** Of a static member (KIP-345), else null. */
  readonly instanceId: string | null
  claim: MemberClaim
  /** In the generation of the group; empty before the leader has said it. */
  assignment: Uint8Array = NOTHING_ASSIGNED
  /** No join of it has been answered, so it may not know its id and cannot send heartbeats. */
  isNew = true
  join: Waiter<JoinGroupResponse> | null = null
  sync: Waiter<SyncGroupResponse> | null = null

  constructor(id: string, instanceId: string | null, claim: MemberClaim) {
    this.id = id
    this.instanceId = instanceId
    this.claim = claim
  }

  /** Whether it waits for an answer, which shows that it is alive as far as we can tell. */
  get isWaiting(): boolean {
    return this.join !== null || this.sync !== null
  }

  /** Metadata for the protocol; empty if it does not support it. */
  metadata(protocolName: string | null): Uint8Array {
    return (protocolName === null ? undefined : this.claim.protocols.get(protocolName)) ?? NOTHING_ASSIGNED
  }
}

/** A group as another one can be made of it. */
export interface ClassicPresent {
  readonly members: Iterable<
    Readonly<Pick<ClassicMember, 'id' | 'instanceId' | 'claim' | 'assignment' | 'isNew'>>
  >
  /** The last one that members were told of. */
  readonly generation: number
  /** The last number that was taken for a generation, told or not. */
  readonly numberTaken: number
  readonly protocolType: string
  readonly protocolName: string | null
}

/** Whether both offer the same protocols in the same order with the same metadata. */
export function hasSameProtocols(a: MemberClaim, b: MemberClaim): boolean {
  if (a.protocols.size !== b.protocols.size) return false
  const others = b.protocols.entries()
  for (const [name, metadata] of a.protocols) {
    const [otherName, otherMetadata] = others.next().value!
    if (name !== otherName || !isSameBytes(metadata, otherMetadata)) return false
  }
  return true
}

export function isSameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index])
}
