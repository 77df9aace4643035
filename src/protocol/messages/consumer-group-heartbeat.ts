/**
 * ConsumerGroupHeartbeat (API key 68): the one request of members of the consumer protocol (KIP-848). It joins, leaves, says what
 * changed since the last one, says what the member owns, and is answered with what the member shall own.
 *
 * v1 subscription by regular expression; the member makes its own id (KIP-1082)
 */
import { array, int16, int32, message, string, struct, uuid } from '../schema/fields.ts'
import type { Infer, InferInput } from '../schema/fields.ts'

const topicPartitions = struct({ topicId: uuid(), partitions: array(int32()) })

export const ConsumerGroupHeartbeatRequest = message(
  'ConsumerGroupHeartbeatRequest',
  { versions: '0-1', flexible: '0+' },
  {
    groupId: string(),
    memberId: string(),
    memberEpoch: int32(), // 0 joins, -1 leaves, -2 leaves for a while (static members)
    // Null, and -1, where nothing changed since the last heartbeat.
    instanceId: string({ nullable: '0+', fallback: null }),
    rackId: string({ nullable: '0+', fallback: null }),
    rebalanceTimeoutMs: int32({ fallback: -1 }),
    subscribedTopicNames: array(string(), { nullable: '0+', fallback: null }),
    subscribedTopicRegex: string({ versions: '1+', nullable: '1+', fallback: null }),
    serverAssignor: string({ nullable: '0+', fallback: null }),
    topicPartitions: array(topicPartitions, { nullable: '0+', fallback: null }),
  },
)
export type ConsumerGroupHeartbeatRequest = Infer<typeof ConsumerGroupHeartbeatRequest>
export type ConsumerGroupHeartbeatRequestInput = InferInput<typeof ConsumerGroupHeartbeatRequest>

export const ConsumerGroupHeartbeatResponse = message(
  'ConsumerGroupHeartbeatResponse',
  { versions: '0-1', flexible: '0+' },
  {
    throttleTimeMs: int32({ fallback: 0 }),
    errorCode: int16(),
    errorMessage: string({ nullable: '0+', fallback: null }),
    memberId: string({ nullable: '0+', fallback: null }),
    memberEpoch: int32(),
    heartbeatIntervalMs: int32(),
    assignment: struct({ topicPartitions: array(topicPartitions) }, { nullable: '0+', fallback: null }), // null: as before
  },
)
export type ConsumerGroupHeartbeatResponse = Infer<typeof ConsumerGroupHeartbeatResponse>
export type ConsumerGroupHeartbeatResponseInput = InferInput<typeof ConsumerGroupHeartbeatResponse>
