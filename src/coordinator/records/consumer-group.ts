/**
 * Records of a group of the consumer protocol (KIP-848; Kafka's coordinator records 3 to 8 and 16): the group's epoch, each
 * member, the target assignment, and how far each member has come towards it. A record without a value removes what
 * its key names. All have one version, and evolve by tagged fields.
 */
import {
  array,
  bytes,
  int32,
  int64,
  int8,
  message,
  string,
  struct,
  uuid,
} from '../../protocol/schema/fields.ts'

/** The key of what there is once in a group. */
const groupKey = { groupId: string() }
/** The key of what each member has. */
const memberKey = { groupId: string(), memberId: string() }

/** 3: the group's epoch, which rises when members, subscriptions or subscribed topics change. */
export const ConsumerGroupMetadataKey = message(
  'ConsumerGroupMetadataKey',
  { versions: '0', flexible: 'none' },
  groupKey,
)
export const ConsumerGroupMetadataValue = message(
  'ConsumerGroupMetadataValue',
  { versions: '0', flexible: '0+' },
  {
    epoch: int32(),
    metadataHash: int64({ tag: 0, fallback: 0 }), // of the subscribed topics (KIP-1101); a safe integer; 0 unknown
  },
)

/** 4: the subscribed topics. Kafka 4.1 and later, and we, only ever remove it: the hash above took its place. */
export const ConsumerGroupPartitionMetadataKey = message(
  'ConsumerGroupPartitionMetadataKey',
  { versions: '0', flexible: 'none' },
  groupKey,
)
export const ConsumerGroupPartitionMetadataValue = message(
  'ConsumerGroupPartitionMetadataValue',
  { versions: '0', flexible: '0+' },
  {
    topics: array(
      struct({
        topicId: uuid(),
        topicName: string(),
        numPartitions: int32(),
        partitionMetadata: array(struct({ partition: int32(), racks: array(string()) })),
      }),
    ),
  },
)

/** 5: a member and what it subscribes to. */
export const ConsumerGroupMemberMetadataKey = message(
  'ConsumerGroupMemberMetadataKey',
  { versions: '0', flexible: 'none' },
  memberKey,
)
export const ConsumerGroupMemberMetadataValue = message(
  'ConsumerGroupMemberMetadataValue',
  { versions: '0', flexible: '0+' },
  {
    instanceId: string({ nullable: '0+' }),
    rackId: string({ nullable: '0+' }),
    clientId: string(),
    clientHost: string(),
    subscribedTopicNames: array(string()),
    subscribedTopicRegex: string({ nullable: '0+' }),
    rebalanceTimeoutMs: int32({ fallback: -1 }),
    serverAssignor: string({ nullable: '0+' }),
    // Of a member that speaks the classic protocol in a group that was upgraded around it; else null.
    classicMemberMetadata: struct(
      {
        sessionTimeoutMs: int32(),
        supportedProtocols: array(struct({ name: string(), metadata: bytes() })),
      },
      { nullable: '0+', tag: 0, fallback: null },
    ),
  },
)

/** 6: the group epoch that the target assignment was computed for. */
export const ConsumerGroupTargetAssignmentMetadataKey = message(
  'ConsumerGroupTargetAssignmentMetadataKey',
  { versions: '0', flexible: 'none' },
  groupKey,
)
export const ConsumerGroupTargetAssignmentMetadataValue = message(
  'ConsumerGroupTargetAssignmentMetadataValue',
  { versions: '0', flexible: '0+' },
  {
    assignmentEpoch: int32(),
    assignmentTimestamp: int64({ tag: 0, ignorable: true, fallback: 0 }), // wall clock, ms (KIP-1263)
  },
)

/** 7: the partitions that a member shall have. */
export const ConsumerGroupTargetAssignmentMemberKey = message(
  'ConsumerGroupTargetAssignmentMemberKey',
  { versions: '0', flexible: 'none' },
  memberKey,
)
export const ConsumerGroupTargetAssignmentMemberValue = message(
  'ConsumerGroupTargetAssignmentMemberValue',
  { versions: '0', flexible: '0+' },
  { topicPartitions: array(struct({ topicId: uuid(), partitions: array(int32()) })) },
)

const ownedPartitions = array(
  struct({
    topicId: uuid(),
    partitions: array(int32()),
    // The member epoch in which each partition was given to the member: as long as `partitions`, or null. Fences late commits.
    assignmentEpochs: array(int32(), { nullable: '0+', tag: 0, fallback: null }),
  }),
)

/** 8: what a member has now, and what it has yet to give up. */
export const ConsumerGroupCurrentMemberAssignmentKey = message(
  'ConsumerGroupCurrentMemberAssignmentKey',
  { versions: '0', flexible: 'none' },
  memberKey,
)
export const ConsumerGroupCurrentMemberAssignmentValue = message(
  'ConsumerGroupCurrentMemberAssignmentValue',
  { versions: '0', flexible: '0+' },
  {
    memberEpoch: int32(),
    previousMemberEpoch: int32(), // still accepted of a member that never saw the answer with the present one
    state: int8(), // Kafka's: 0 stable, 1 unrevoked partitions, 2 unreleased partitions, 127 unknown
    assignedPartitions: ownedPartitions,
    partitionsPendingRevocation: ownedPartitions,
  },
)

/** 16: the topics that a regular expression of the group's members matched when it was last resolved. */
export const ConsumerGroupRegularExpressionKey = message(
  'ConsumerGroupRegularExpressionKey',
  { versions: '0', flexible: 'none' },
  { groupId: string(), regularExpression: string() },
)
export const ConsumerGroupRegularExpressionValue = message(
  'ConsumerGroupRegularExpressionValue',
  { versions: '0', flexible: '0+' },
  {
    topics: array(string()),
    version: int64(), // end of the metadata log of the image that it was resolved in
    timestamp: int64(), // wall clock, ms
  },
)
