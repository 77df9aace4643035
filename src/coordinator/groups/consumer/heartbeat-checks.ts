/**
 * What is wrong with a ConsumerGroupHeartbeat: with the request itself, before anybody looks at the group, and with the epoch
 * that it comes with. In the order and with the errors of Kafka; the bounds are ours.
 */
import type { ErrorName } from '../../../protocol/errors.ts'
import type { ConsumerGroupHeartbeatRequest } from '../../../protocol/messages/consumer-group-heartbeat.ts'
import type { GroupConfig } from '../../group-config.ts'
import { namesOnly } from './assignment-sets.ts'
import { JOIN_EPOCH, LEAVE_EPOCH, STATIC_LEAVE_EPOCH } from './consumer-member.ts'
import type { ConsumerMember } from './consumer-member.ts'

/** Why a request is refused. */
export interface Refusal {
  readonly error: ErrorName
  /** For people. */
  readonly message: string
}

/** From this version on a member makes its own id (KIP-1082). */
const OWN_MEMBER_ID_VERSION = 1

/** Longest member, instance and rack id in characters; ids made by clients have 22 to 36, Kafka's instance ids at most 249. */
const ID_LENGTH_MAX = 255
/** Topics that one member may name. */
const SUBSCRIBED_TOPICS_MAX = 10_000
/** Characters of all their names: with them the record of a member fits a batch of the log many times over. */
const SUBSCRIPTION_LENGTH_MAX = 200_000

/** @returns Why the request cannot be meant, whatever the state of the group; null when it can. */
export function findRequestFault(
  request: ConsumerGroupHeartbeatRequest,
  apiVersion: number,
  config: GroupConfig,
): Refusal | null {
  const { memberEpoch, memberId, instanceId, rackId, serverAssignor, subscribedTopicNames } = request
  const needsId =
    apiVersion >= OWN_MEMBER_ID_VERSION || memberEpoch > JOIN_EPOCH || memberEpoch === LEAVE_EPOCH
  if (needsId && memberId === '') return invalid('member id is empty')
  if (request.groupId === '') return invalid('group id is empty')
  if (instanceId === '') return invalid('instance id is empty')
  if (rackId === '') return invalid('rack id is empty')
  for (const id of [memberId, instanceId, rackId]) {
    if (id !== null && id.length > ID_LENGTH_MAX) {
      return invalid(`an id has ${id.length} characters, at most ${ID_LENGTH_MAX} are allowed`)
    }
  }
  if (memberEpoch < STATIC_LEAVE_EPOCH) return invalid(`member epoch ${memberEpoch} means nothing`)
  if (memberEpoch === STATIC_LEAVE_EPOCH && instanceId === null) {
    return invalid('only a static member, with its instance id, leaves for a while')
  }
  if (memberEpoch === JOIN_EPOCH) {
    if (request.rebalanceTimeoutMs === -1) return invalid('whoever joins gives its rebalance timeout')
    if (request.topicPartitions?.length !== 0) return invalid('whoever joins owns no partitions, and says so')
    if (subscribedTopicNames === null && request.subscribedTopicRegex === null) {
      return invalid('whoever joins subscribes to names or to a regular expression')
    }
  }
  // Whoever leaves waits for nobody: @platformatic/kafka sends 0 then, and Kafka lets it go.
  const isLeaving = memberEpoch < JOIN_EPOCH
  if (!isLeaving && request.rebalanceTimeoutMs !== -1 && request.rebalanceTimeoutMs <= 0) {
    return invalid(`rebalance timeout is ${request.rebalanceTimeoutMs} ms, wanted more than 0`)
  }
  if (subscribedTopicNames !== null && !isSubscriptionWithinBounds(subscribedTopicNames)) {
    return invalid(
      `subscribed to ${subscribedTopicNames.length} topics, ` +
        `at most ${SUBSCRIBED_TOPICS_MAX} of ${SUBSCRIPTION_LENGTH_MAX} characters in all are allowed`,
    )
  }
  if (serverAssignor !== null && !config.consumerAssignors.includes(serverAssignor)) {
    const offered = config.consumerAssignors.join(', ')
    return {
      error: 'UNSUPPORTED_ASSIGNOR',
      message: `Sent a heartbeat: assignor ${JSON.stringify(serverAssignor)} is not on offer, only ${offered}`,
    }
  }
  return null
}

/** Whether one member may subscribe to so much by name. */
export function isSubscriptionWithinBounds(topicNames: readonly string[]): boolean {
  const length = topicNames.reduce((sum, name) => sum + name.length, 0)
  return topicNames.length <= SUBSCRIBED_TOPICS_MAX && length <= SUBSCRIPTION_LENGTH_MAX
}

/**
 * Whether a member may go on from the epoch that it has. One step back is forgiven if the member owns nothing but what is
 * its own still: the answer that told of the present epoch may have been lost (faults.md CG-7).
 *
 * @returns FENCED_MEMBER_EPOCH: the member has to give up all it owns and join anew. Null when it may go on.
 */
export function findEpochFault(
  member: ConsumerMember,
  request: Pick<ConsumerGroupHeartbeatRequest, 'memberEpoch' | 'topicPartitions'>,
): Refusal | null {
  const { memberEpoch, topicPartitions } = request
  if (memberEpoch === JOIN_EPOCH) return null
  const isOneBack =
    memberEpoch === member.previousEpoch &&
    memberEpoch < member.epoch &&
    topicPartitions !== null &&
    namesOnly(topicPartitions, member.assigned)
  if (member.state !== 'unknown' && (memberEpoch === member.epoch || isOneBack)) return null
  return {
    error: 'FENCED_MEMBER_EPOCH',
    message:
      `Sent a heartbeat: member ${member.memberId} came with epoch ${memberEpoch}, ` +
      `it is at ${member.epoch}, and has to give up its partitions and join anew`,
  }
}

function invalid(problem: string): Refusal {
  return { error: 'INVALID_REQUEST', message: `Sent a heartbeat: ${problem}` }
}
