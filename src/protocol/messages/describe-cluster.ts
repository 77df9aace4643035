/**
 * DescribeCluster (API key 60): the cluster's id, controller and brokers, or its controllers (KIP-700).
 *
 * v1 asks for brokers or for controllers (KIP-919) · v2 fenced brokers (KIP-1073)
 */
import { array, bool, int16, int32, int8, message, string, struct } from '../schema/fields.ts'
import type { Infer, InferInput } from '../schema/fields.ts'
import { OPERATIONS_NOT_ASKED } from './metadata.ts'

export const DescribeClusterRequest = message(
  'DescribeClusterRequest',
  { versions: '0-2', flexible: '0+' },
  {
    includeClusterAuthorizedOperations: bool(),
    endpointType: int8({ versions: '1+', fallback: 1 }), // 1 brokers, 2 controllers
    includeFencedBrokers: bool({ versions: '2+', fallback: false }),
  },
)
export type DescribeClusterRequest = Infer<typeof DescribeClusterRequest>
export type DescribeClusterRequestInput = InferInput<typeof DescribeClusterRequest>

export const DescribeClusterResponse = message(
  'DescribeClusterResponse',
  { versions: '0-2', flexible: '0+' },
  {
    throttleTimeMs: int32({ fallback: 0 }),
    errorCode: int16(),
    errorMessage: string({ nullable: '0+', fallback: null }),
    endpointType: int8({ versions: '1+', fallback: 1 }),
    clusterId: string(),
    controllerId: int32({ fallback: -1 }),
    brokers: array(
      struct({
        brokerId: int32(),
        host: string(),
        port: int32(),
        rack: string({ nullable: '0+', fallback: null }),
        isFenced: bool({ versions: '2+', fallback: false }),
      }),
    ),
    clusterAuthorizedOperations: int32({ fallback: OPERATIONS_NOT_ASKED }), // a bit set
  },
)
export type DescribeClusterResponse = Infer<typeof DescribeClusterResponse>
export type DescribeClusterResponseInput = InferInput<typeof DescribeClusterResponse>
