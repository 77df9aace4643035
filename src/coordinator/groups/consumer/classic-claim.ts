/** What a member that speaks the classic protocol says of itself, as a group of the consumer protocol keeps it. */
import { hasSameProtocols } from '../classic/classic-member.ts'
import type { MemberClaim } from '../classic/classic-member.ts'
import { readSubscription } from '../classic/consumer-protocol.ts'
import type { ConsumerSubscription, NamedPartitions } from '../classic/consumer-protocol.ts'
import type { ConsumerMember } from './consumer-member.ts'
import { isSameMetadata } from './group-step.ts'
import { isSubscriptionWithinBounds } from './heartbeat-checks.ts'

/** The protocol type of members whose words can be read. */
export const CONSUMER_PROTOCOL_TYPE = 'consumer'

export interface ReadClaim {
  /** Of the strategy that the member prefers. */
  readonly topics: readonly string[]
  readonly rackId: string | null
  /** All that any of its strategies says it has: too much is given up later, too little would be given away. */
  readonly owned: readonly NamedPartitions[]
  /** The generation in which it got that, as far as it says; -1 if not. */
  readonly ownedGeneration: number
}

/** @returns Why the claim cannot be read, for people. */
export function readClaim({ protocols }: MemberClaim): ReadClaim | string {
  const subscriptions: ConsumerSubscription[] = []
  for (const [name, metadata] of protocols) {
    const subscription = readSubscription(metadata)
    if (subscription === null) return `its metadata for ${JSON.stringify(name)} is no subscription`
    subscriptions.push(subscription)
  }
  const { topics, rackId } = subscriptions[0]!
  if (!isSubscriptionWithinBounds(topics))
    return `it subscribes to ${topics.length} topics, which are too many`
  return {
    ...{ topics, rackId },
    owned: subscriptions.flatMap(({ owned }) => owned),
    ownedGeneration: Math.max(...subscriptions.map(({ generation }) => generation)),
  }
}

/** The member as the claim describes it; the very same one when nothing changed. */
export function withClaim(
  base: ConsumerMember,
  instanceId: string | null,
  claim: MemberClaim,
  { topics, rackId }: ReadClaim,
): ConsumerMember {
  const updated: ConsumerMember = {
    ...base,
    ...{ instanceId, rackId, clientId: claim.clientId, clientHost: claim.clientHost },
    topicNames: [...new Set(topics)].sort(),
    pattern: null,
    rebalanceTimeoutMs: claim.rebalanceTimeoutMs,
    assignorName: null,
    classicMetadata: isSameAsSaid(base, claim)
      ? base.classicMetadata
      : {
          sessionTimeoutMs: claim.sessionTimeoutMs,
          supportedProtocols: Array.from(claim.protocols, ([name, metadata]) => ({ name, metadata })),
        },
  }
  return isSameMetadata(base, updated) ? base : updated
}

function isSameAsSaid(member: ConsumerMember, claim: MemberClaim): boolean {
  if (!speaksClassic(member)) return false
  const before = claimOfMember(member)
  return before.sessionTimeoutMs === claim.sessionTimeoutMs && hasSameProtocols(before, claim)
}

/** The claim of a member that speaks the classic protocol. */
export function claimOfMember(member: ConsumerMember & ClassicSpeaker): MemberClaim {
  const { clientId, clientHost, rebalanceTimeoutMs, classicMetadata } = member
  return {
    ...{ clientId, clientHost, rebalanceTimeoutMs, sessionTimeoutMs: classicMetadata.sessionTimeoutMs },
    protocols: new Map(classicMetadata.supportedProtocols.map(({ name, metadata }) => [name, metadata])),
  }
}

interface ClassicSpeaker {
  readonly classicMetadata: NonNullable<ConsumerMember['classicMetadata']>
}

/** A member that speaks the classic protocol. */
export type ClassicSpeakingMember = ConsumerMember & ClassicSpeaker

export function speaksClassic(member: ConsumerMember): member is ClassicSpeakingMember {
  return member.classicMetadata !== null
}
