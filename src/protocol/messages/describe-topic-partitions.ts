/**
 * DescribeTopicPartitions (API key 75): topics and their partitions page by page, with eligible leader replicas (KIP-966).
 */
import { array, bool, int16, int32, message, string, struct, uuid } from '../schema/fields.ts'
import type { Infer, InferInput } from '../schema/fields.ts'
import { OPERATIONS_NOT_ASKED } from './metadata.ts'

/** Where the next page begins. */
const cursor = {
  topicName: string(),
  partitionIndex: int32(),
}

export const DescribeTopicPartitionsRequest = message(
  'DescribeTopicPartitionsRequest',
  { versions: '0', flexible: '0+' },
  {
    topics: array(
      struct({
        name: string(),
      }),
    ), // empty: all
    responsePartitionLimit: int32({ fallback: 2000 }),
    cursor: struct(cursor, { nullable: '0+', fallback: null }),
  },
)
export type DescribeTopicPartitionsRequest = Infer<typeof DescribeTopicPartitionsRequest>
export type DescribeTopicPartitionsRequestInput = InferInput<typeof DescribeTopicPartitionsRequest>

export const DescribeTopicPartitionsResponse = message(
  'DescribeTopicPartitionsResponse',
  { versions: '0', flexible: '0+' },
  {
    throttleTimeMs: int32({ ignorable: true, fallback: 0 }),
    topics: array(
      struct({
        errorCode: int16(),
        name: string({ nullable: '0+' }),
        topicId: uuid({ ignorable: true }),
        isInternal: bool({ ignorable: true, fallback: false }),
        partitions: array(
          struct({
            errorCode: int16(),
            partitionIndex: int32(),
            leaderId: int32(),
            leaderEpoch: int32({ ignorable: true, fallback: -1 }),
            replicaNodes: array(int32()),
            isrNodes: array(int32()),
            eligibleLeaderReplicas: array(int32(), { nullable: '0+', fallback: null }),
            lastKnownElr: array(int32(), { nullable: '0+', fallback: null }),
            offlineReplicas: array(int32(), { ignorable: true }),
          }),
        ),
        topicAuthorizedOperations: int32({ fallback: OPERATIONS_NOT_ASKED }), // a bit set
      }),
    ),
    nextCursor: struct(cursor, { nullable: '0+', fallback: null }), // null: this was the last page
  },
)
export type DescribeTopicPartitionsResponse = Infer<typeof DescribeTopicPartitionsResponse>
export type DescribeTopicPartitionsResponseInput = InferInput<typeof DescribeTopicPartitionsResponse>
