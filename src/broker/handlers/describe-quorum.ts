/**
 * DescribeQuorum (API key 55, KIP-595): how far each replica of the metadata log is, as the active controller knows it.
 * Addresses of nodes and ids of directories came with version 2 (KIP-853).
 */
import { ZERO_UUID } from '../../bytes/uuid.ts'
import type { RequestOf, ResponseOf } from '../../protocol/apis.ts'
import type { BrokerServices, RequestContext } from '../services.ts'
import { askController } from './controller-requests.ts'

type Response = ResponseOf<'DescribeQuorum'>
type ReplicaState = Response['topics'][number]['partitions'][number]['currentVoters'][number]

const DIRECTORIES_SINCE_VERSION = 2

const ask = askController('DescribeQuorum')

export async function handleDescribeQuorum(
  services: BrokerServices,
  request: RequestOf<'DescribeQuorum'>,
  context: RequestContext,
): Promise<Response> {
  const response = (await ask(services, request, context)) as Response
  return context.apiVersion >= DIRECTORIES_SINCE_VERSION ? response : withoutDirectories(response)
}

function withoutDirectories(response: Response): Response {
  const strip = (state: ReplicaState): ReplicaState => ({ ...state, replicaDirectoryId: ZERO_UUID })
  return {
    ...response,
    topics: response.topics.map(({ topicName, partitions }) => ({
      topicName,
      partitions: partitions.map((partition) => ({
        ...partition,
        currentVoters: partition.currentVoters.map(strip),
        observers: partition.observers.map(strip),
      })),
    })),
    nodes: [],
  }
}
