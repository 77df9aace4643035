/**
 * DescribeLogDirs (API key 35): the data directory, what each partition takes of it, and the room that is left
 * (KIP-827). A request that names another broker was not passed on to it: it is not there, or the client reaches it itself.
 */
import type {
  DescribeLogDirsRequest,
  DescribeLogDirsResponseInput,
} from '../../protocol/messages/describe-log-dirs.ts'
import { errorCode } from '../../protocol/errors.ts'
import type { BrokerServices } from '../services.ts'

/** Of a replica that has not heard from its leader yet (Kafka's INVALID_OFFSET_LAG). */
const UNKNOWN_LAG = -1

type TopicResponse = DescribeLogDirsResponseInput['results'][number]['topics'][number]

export async function handleDescribeLogDirs(
  services: BrokerServices,
  request: DescribeLogDirsRequest,
): Promise<DescribeLogDirsResponseInput> {
  const { brokerId } = request
  if (brokerId >= 0 && brokerId !== services.config.nodeId)
    return { errorCode: errorCode('BROKER_NOT_AVAILABLE'), results: [] }
  const wanted =
    request.topics && new Map(request.topics.map(({ topic, partitions }) => [topic, new Set(partitions)]))
  const topics = new Map<string, TopicResponse['partitions'][number][]>()
  for (const { topic, index, log, lag } of services.partitions.partitions()) {
    if (wanted !== null && wanted.get(topic)?.has(index) !== true) continue
    const partitions = topics.get(topic) ?? []
    topics.set(topic, partitions)
    const offsetLag = lag ?? UNKNOWN_LAG
    partitions.push({ partitionIndex: index, partitionSize: log.sizeBytes, offsetLag, isFutureKey: false })
  }
  const space = await services.logs.space()
  return {
    results: [
      {
        errorCode: errorCode(services.logs.failure === null ? 'NONE' : 'KAFKA_STORAGE_ERROR'),
        logDir: services.logs.directory,
        topics: [...topics].map(([name, partitions]) => ({ name, partitions })),
        ...space,
      },
    ],
  }
}
