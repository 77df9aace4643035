/** A group of the consumer protocol as ConsumerGroupDescribe tells it. */
import type { ClusterImage } from '../../../metadata/cluster-image.ts'
import type { ConsumerGroupDescribeResponseInput } from '../../../protocol/messages/consumer-group-describe.ts'
import { EMPTY_ASSIGNMENT } from '../assignors/assignor.ts'
import type { Assignment } from '../assignors/assignor.ts'
import { listPartitions, unite } from './assignment-sets.ts'
import type { GroupState } from './group-state.ts'

export type DescribedConsumerGroup = ConsumerGroupDescribeResponseInput['groups'][number]

/** Kafka's numbers for what a member speaks. */
const CLASSIC_MEMBER = 0
const CONSUMER_MEMBER = 1

/** A member's assignment is all that it may still be using, what it has to give up included. */
export function describeGroup(
  groupId: string,
  state: GroupState,
  assignorName: string,
  image: ClusterImage,
): DescribedConsumerGroup {
  return {
    errorCode: 0,
    groupId,
    groupState: state.name,
    groupEpoch: state.epoch,
    assignmentEpoch: state.assignmentEpoch,
    assignorName,
    members: [...state.members.values()].map((member) => ({
      memberId: member.memberId,
      instanceId: member.instanceId,
      rackId: member.rackId,
      memberEpoch: member.epoch,
      clientId: member.clientId,
      clientHost: member.clientHost,
      subscribedTopicNames: [...member.topicNames],
      subscribedTopicRegex: member.pattern,
      assignment: describeAssignment(unite(member.assigned, member.revoking), image),
      targetAssignment: describeAssignment(state.targets.get(member.memberId) ?? EMPTY_ASSIGNMENT, image),
      memberType: member.classicMetadata === null ? CONSUMER_MEMBER : CLASSIC_MEMBER,
    })),
  }
}

/** Topics that are gone have no name to be told by, and are left out, as in Kafka. */
function describeAssignment(assignment: Assignment, image: ClusterImage) {
  return {
    topicPartitions: listPartitions(assignment).flatMap((topic) => {
      const name = image.topicsById.get(topic.topicId)?.name
      return name === undefined ? [] : [{ ...topic, topicName: name }]
    }),
  }
}
