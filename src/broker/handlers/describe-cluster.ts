/**
 * DescribeCluster (API key 60): the brokers of the cluster and its id (KIP-700), fenced ones on request (KIP-1073).
 * Controllers have no listeners of their own here, so only brokers can be asked for.
 */
import type {
  DescribeClusterRequest,
  DescribeClusterResponseInput,
} from '../../protocol/messages/describe-cluster.ts'
import { errorCode } from '../../protocol/errors.ts'
import { findClientAddress } from '../client-addresses.ts'
import type { BrokerServices, RequestContext } from '../services.ts'

const BROKERS = 1

export function handleDescribeCluster(
  services: BrokerServices,
  request: DescribeClusterRequest,
  context: RequestContext,
): DescribeClusterResponseInput {
  const isForBrokers = request.endpointType === BROKERS
  const brokers = [...services.image().brokers.values()].sort((a, b) => a.id - b.id)
  return {
    errorCode: errorCode(isForBrokers ? 'NONE' : 'UNSUPPORTED_ENDPOINT_TYPE'),
    errorMessage: isForBrokers
      ? null
      : `Expected endpoint type ${BROKERS} (brokers): found ${request.endpointType}`,
    endpointType: request.endpointType,
    clusterId: services.clusterId,
    controllerId: services.controller.leaderId ?? services.config.nodeId,
    brokers: !isForBrokers
      ? []
      : brokers.flatMap((broker) => {
          const { id, rack, isFenced } = broker
          const address = findClientAddress(services.config, context, broker)
          if (address === null || (isFenced && !request.includeFencedBrokers)) return []
          return [{ brokerId: id, ...address, rack, isFenced }]
        }),
  }
}
