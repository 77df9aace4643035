/**
 * Metadata (API key 3): brokers, topics, and who leads and replicates their partitions.
 *
 * v1 controller, racks, internal topics; null asks for all topics where v0 used the empty array · v2 cluster id
 * (KIP-78) · v3 throttle time (KIP-124) · v4 asks whether topics may be created (KIP-204) · v5 offline replicas (KIP-112)
 * · v6 throttles after the answer (KIP-219) · v7 leader epoch (KIP-320) · v8 authorized operations (KIP-430) ·
 * v9 flexible (KIP-482) · v10 topic ids (KIP-516) · v11 operations on the cluster move to DescribeCluster (KIP-700) ·
 * v12 lookup by topic id (KIP-516) · v13 error code for the whole answer (KIP-1102)
 */
import { ZERO_UUID } from '../../bytes/uuid.ts'
import { array, bool, int16, int32, message, string, struct, uuid } from '../schema/fields.ts'
import type { Infer, InferInput } from '../schema/fields.ts'

/** Authorized operations that nobody asked for: the smallest int32. */
export const OPERATIONS_NOT_ASKED = -2147483648

export const MetadataRequest = message(
  'MetadataRequest',
  { versions: '0-13', flexible: '9+' },
  {
    topics: array(
      struct({
        topicId: uuid({ versions: '10+', ignorable: true, fallback: ZERO_UUID }),
        name: string({ nullable: '10+' }), // null when the id is given
      }),
      { nullable: '1+' },
    ), // null: all topics; in v0 the empty array means all
    allowAutoTopicCreation: bool({ versions: '4+', fallback: true }),
    includeClusterAuthorizedOperations: bool({ versions: '8-10', fallback: false }),
    includeTopicAuthorizedOperations: bool({ versions: '8+', fallback: false }),
  },
)
export type MetadataRequest = Infer<typeof MetadataRequest>
export type MetadataRequestInput = InferInput<typeof MetadataRequest>

export const MetadataResponse = message(
  'MetadataResponse',
  { versions: '0-13', flexible: '9+' },
  {
    throttleTimeMs: int32({ versions: '3+', ignorable: true, fallback: 0 }),
    brokers: array(
      struct({
        nodeId: int32(),
        host: string(),
        port: int32(),
        rack: string({ versions: '1+', nullable: '1+', ignorable: true, fallback: null }),
      }),
    ),
    clusterId: string({ versions: '2+', nullable: '2+', ignorable: true, fallback: null }),
    controllerId: int32({ versions: '1+', ignorable: true, fallback: -1 }),
    topics: array(
      struct({
        errorCode: int16(),
        name: string({ nullable: '12+' }),
        topicId: uuid({ versions: '10+', ignorable: true, fallback: ZERO_UUID }),
        isInternal: bool({ versions: '1+', ignorable: true, fallback: false }),
        partitions: array(
          struct({
            errorCode: int16(),
            partitionIndex: int32(),
            leaderId: int32(), // -1: no leader now
            leaderEpoch: int32({ versions: '7+', ignorable: true, fallback: -1 }),
            replicaNodes: array(int32()),
            isrNodes: array(int32()),
            offlineReplicas: array(int32(), { versions: '5+', ignorable: true, fallback: [] }),
          }),
        ),
        topicAuthorizedOperations: int32({ versions: '8+', fallback: OPERATIONS_NOT_ASKED }), // a bit set
      }),
    ),
    clusterAuthorizedOperations: int32({ versions: '8-10', fallback: OPERATIONS_NOT_ASKED }),
    errorCode: int16({ versions: '13+', ignorable: true, fallback: 0 }),
  },
)
export type MetadataResponse = Infer<typeof MetadataResponse>
export type MetadataResponseInput = InferInput<typeof MetadataResponse>
