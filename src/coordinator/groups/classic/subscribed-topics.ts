/**
 * The topics in a consumer's subscription, the metadata that members of protocol type `consumer` join with:
 *
 *   subscription := version: int16 | topics: [string] | userData: bytes | what later versions added     big-endian
 *   [string]     := count: int32 | that many of (length: int16 | UTF-8)
 *
 * Later versions only append, so that the topics are found in any of them. Nothing behind them matters to a coordinator.
 */
import { ByteReader } from '../../../bytes/byte-reader.ts'
import { DecodeError } from '../../../bytes/decode-error.ts'
import { isSameBytes } from './classic-member.ts'
import type { MemberClaim } from './classic-member.ts'

/** Bytes the shortest topic takes: its length. */
const TOPIC_BYTES_MIN = 2

/** @returns Null when the bytes are no subscription. */
export function readSubscribedTopics(metadata: Uint8Array): ReadonlySet<string> | null {
  const reader = new ByteReader(metadata)
  try {
    if (reader.int16() < 0) return null
    const count = reader.int32()
    if (count < 0 || count * TOPIC_BYTES_MIN > reader.remaining) return null
    const topics = new Set<string>()
    for (let index = 0; index < count; index++) topics.add(reader.string(reader.int16()))
    return topics
  } catch (error) {
    // The bytes are the client's affair: what does not decode is a protocol of its own, not a fault of the group.
    if (error instanceof DecodeError) return null
    throw error
  }
}

/** Whether two members want the same topics; as far as that cannot be told, whether they say the same. */
export function isSameSubscription(protocolType: string, a: Uint8Array, b: Uint8Array): boolean {
  const topicsA = protocolType === 'consumer' ? readSubscribedTopics(a) : null
  const topicsB = protocolType === 'consumer' ? readSubscribedTopics(b) : null
  if (topicsA !== null && topicsB !== null) {
    return topicsA.size === topicsB.size && [...topicsA].every((topic) => topicsB.has(topic))
  }
  return isSameBytes(a, b)
}

interface Subscribers {
  readonly protocolType: string
  readonly members: Iterable<{ readonly claim: MemberClaim }> & { readonly size: number }
  /** Changes with the members and their claims. */
  readonly changeCount: number
}

/** Looks topics up in the subscriptions of all members, which are read again when one of them has changed. */
export class TopicsOfMembers {
  #changeCount = -1
  /** Null if some member does not say. */
  #topics: ReadonlySet<string> | null = null

  /** Whether a member reads the topic, whichever protocol wins, or may, since that is not known. */
  has(group: Subscribers, topic: string): boolean {
    if (group.members.size === 0) return false
    if (group.protocolType !== 'consumer') return true
    if (this.#changeCount !== group.changeCount) {
      this.#topics = unite(group.members)
      this.#changeCount = group.changeCount
    }
    return this.#topics?.has(topic) ?? true
  }
}

function unite(members: Subscribers['members']): ReadonlySet<string> | null {
  const topics = new Set<string>()
  for (const { claim } of members) {
    for (const metadata of claim.protocols.values()) {
      const wanted = readSubscribedTopics(metadata)
      if (wanted === null) return null
      for (const topic of wanted) topics.add(topic)
    }
  }
  return topics
}
