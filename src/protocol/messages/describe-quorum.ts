/**
 * DescribeQuorum (API key 55): who votes in the metadata quorum, who leads it, how far everybody is (KIP-595).
 *
 * v1 times of the last fetches (KIP-836) · v2 messages, directory ids and addresses of nodes (KIP-853)
 */
import { array, int16, int32, int64, message, string, struct, uint16, uuid } from '../schema/fields.ts'
import type { Infer, InferInput } from '../schema/fields.ts'

export const DescribeQuorumRequest = message(
  'DescribeQuorumRequest',
  { versions: '0-2', flexible: '0+' },
  {
    topics: array(
      struct({
        topicName: string(),
        partitions: array(struct({ partitionIndex: int32() })),
      }),
    ),
  },
)
export type DescribeQuorumRequest = Infer<typeof DescribeQuorumRequest>
export type DescribeQuorumRequestInput = InferInput<typeof DescribeQuorumRequest>

/** Times in wall clock ms of the leader; -1 where it does not know. */
const replicaState = struct({
  replicaId: int32(),
  replicaDirectoryId: uuid({ versions: '2+' }),
  logEndOffset: int64(),
  lastFetchTimestamp: int64({ versions: '1+', ignorable: true, fallback: -1 }),
  lastCaughtUpTimestamp: int64({ versions: '1+', ignorable: true, fallback: -1 }),
})

export const DescribeQuorumResponse = message(
  'DescribeQuorumResponse',
  { versions: '0-2', flexible: '0+' },
  {
    errorCode: int16(),
    errorMessage: string({ versions: '2+', nullable: '2+', ignorable: true }),
    topics: array(
      struct({
        topicName: string(),
        partitions: array(
          struct({
            partitionIndex: int32(),
            errorCode: int16(),
            errorMessage: string({ versions: '2+', nullable: '2+', ignorable: true }),
            leaderId: int32(), // -1 while there is none
            leaderEpoch: int32(),
            highWatermark: int64(),
            currentVoters: array(replicaState),
            observers: array(replicaState),
          }),
        ),
      }),
    ),
    nodes: array(
      struct({
        nodeId: int32({ versions: '2+' }),
        listeners: array(
          struct({
            name: string({ versions: '2+' }),
            host: string({ versions: '2+' }),
            port: uint16({ versions: '2+' }),
          }),
          { versions: '2+' },
        ),
      }),
      { versions: '2+' },
    ),
  },
)
export type DescribeQuorumResponse = Infer<typeof DescribeQuorumResponse>
export type DescribeQuorumResponseInput = InferInput<typeof DescribeQuorumResponse>
