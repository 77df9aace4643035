/**
 * What a client is told when the broker that must answer it did not: an error after which it tries again.
 *
 * What did not get there is answered here: if this broker leads by now, well, and if not it says NOT_LEADER_OR_FOLLOWER and
 * who leads as far as it knows. So is what got there and changes nothing. What may have changed something is answered
 * REQUEST_TIMED_OUT, which says no more than that; of requests about groups clients know that by COORDINATOR_NOT_AVAILABLE.
 */
import type { ResponseInputOf } from '../protocol/apis.ts'
import { errorCode } from '../protocol/errors.ts'
import { refuseGroupRequest } from './handlers/group-refusals.ts'
import { refuseProduce } from './handlers/produce.ts'
import type { RoutedName, RoutedRequest } from './request-route.ts'
import type { BrokerServices, RequestContext } from './services.ts'

type Body = ResponseInputOf<RoutedName> | null

/**
 * @param wasSent - Whether the other broker may have acted on it.
 * @param here - Answers the request here.
 */
export function answerUnanswered(
  services: BrokerServices,
  request: RoutedRequest,
  context: RequestContext,
  wasSent: boolean,
  here: () => Body | Promise<Body>,
): Body | Promise<Body> {
  const timedOut = errorCode('REQUEST_TIMED_OUT')
  switch (request.name) {
    case 'Produce':
      return wasSent ? refuseProduce(services, request.body, context, 'REQUEST_TIMED_OUT') : here()
    case 'DeleteRecords':
      if (!wasSent) return here()
      return {
        throttleTimeMs: 0,
        topics: request.body.topics.map(({ name, partitions }) => ({
          name,
          partitions: partitions.map(({ partitionIndex }) => ({
            ...{ partitionIndex, lowWatermark: -1, errorCode: timedOut },
          })),
        })),
      }
    case 'DescribeLogDirs':
      return { errorCode: timedOut, results: [] }
    case 'ListGroups':
      return { errorCode: errorCode('COORDINATOR_NOT_AVAILABLE'), groups: [] }
    case 'DescribeConfigs':
      return {
        results: request.body.resources.map(({ resourceType, resourceName }) => ({
          ...{ errorCode: timedOut, errorMessage: 'The broker that must be asked does not answer' },
          ...{ resourceType, resourceName, configs: [] },
        })),
      }
    case 'Fetch':
    case 'ListOffsets':
    case 'OffsetForLeaderEpoch':
      return here()
    default:
      if (!wasSent) return here()
      return refuseGroupRequest(
        request.name,
        request.body as never,
        'COORDINATOR_NOT_AVAILABLE',
        context.apiVersion,
      )
  }
}
