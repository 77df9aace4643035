/**
 * ConsumerGroupDescribe (API key 69): state and members of groups of the consumer protocol (KIP-848).
 *
 * v1 protocol that each member speaks (KIP-1099)
 */
import { array, bool, int16, int32, int8, message, string, struct, uuid } from '../schema/fields.ts'
import type { Infer, InferInput } from '../schema/fields.ts'

const assignment = struct({
  topicPartitions: array(struct({ topicId: uuid(), topicName: string(), partitions: array(int32()) })),
})

export const ConsumerGroupDescribeRequest = message(
  'ConsumerGroupDescribeRequest',
  { versions: '0-1', flexible: '0+' },
  {
    groupIds: array(string()),
    includeAuthorizedOperations: bool(),
  },
)
export type ConsumerGroupDescribeRequest = Infer<typeof ConsumerGroupDescribeRequest>
export type ConsumerGroupDescribeRequestInput = InferInput<typeof ConsumerGroupDescribeRequest>

export const ConsumerGroupDescribeResponse = message(
  'ConsumerGroupDescribeResponse',
  { versions: '0-1', flexible: '0+' },
  {
    throttleTimeMs: int32({ fallback: 0 }),
    groups: array(
      struct({
        errorCode: int16(),
        errorMessage: string({ nullable: '0+', fallback: null }),
        groupId: string(),
        groupState: string(),
        groupEpoch: int32(),
        assignmentEpoch: int32(),
        assignorName: string(),
        members: array(
          struct({
            memberId: string(),
            instanceId: string({ nullable: '0+', fallback: null }),
            rackId: string({ nullable: '0+', fallback: null }),
            memberEpoch: int32(),
            clientId: string(),
            clientHost: string(),
            subscribedTopicNames: array(string()),
            subscribedTopicRegex: string({ nullable: '0+', fallback: null }),
            assignment,
            targetAssignment: assignment,
            memberType: int8({ versions: '1+', ignorable: true, fallback: -1 }), // -1 unknown, 0 classic, 1 consumer
          }),
        ),
        authorizedOperations: int32({ fallback: -2147483648 }), // the fallback: was not asked for
      }),
    ),
  },
)
export type ConsumerGroupDescribeResponse = Infer<typeof ConsumerGroupDescribeResponse>
export type ConsumerGroupDescribeResponseInput = InferInput<typeof ConsumerGroupDescribeResponse>
