/**
 * DeleteRecords (API key 21): moves the log start offset of partitions forward (KIP-107). Offset -1 means the high
 * watermark: everything committed goes. The answer waits until all in-sync replicas have done so, so that no later leader
 * shows the records again. The space comes back as whole segments fall behind the new start. The broker's own topics are not
 * for clients to delete from.
 */
import { isInternalTopic } from '../../metadata/topic-name.ts'
import type { RequestOf, ResponseInputOf } from '../../protocol/apis.ts'
import { errorCode } from '../../protocol/errors.ts'
import type { ErrorName } from '../../protocol/errors.ts'
import type { BrokerServices } from '../services.ts'
import { storageErrorOf } from './storage-error.ts'

type Request = RequestOf<'DeleteRecords'>
type Response = ResponseInputOf<'DeleteRecords'>
type PartitionResponse = Response['topics'][number]['partitions'][number]

const NONE = -1
const HIGH_WATERMARK = -1

export async function handleDeleteRecords(services: BrokerServices, request: Request): Promise<Response> {
  const deadlineMs = services.clock.monotonicMs() + Math.max(0, request.timeoutMs)
  const topics = request.topics.map(async (topic) => ({
    name: topic.name,
    partitions: await Promise.all(
      topic.partitions.map((wanted) => deleteBefore(services, topic.name, wanted, deadlineMs)),
    ),
  }))
  return { throttleTimeMs: 0, topics: await Promise.all(topics) }
}

async function deleteBefore(
  services: BrokerServices,
  topic: string,
  wanted: Request['topics'][number]['partitions'][number],
  deadlineMs: number,
): Promise<PartitionResponse> {
  if (isInternalTopic(topic)) return reply(wanted.partitionIndex, 'INVALID_TOPIC_EXCEPTION')
  const partition = services.partitions.lookup(topic, wanted.partitionIndex)
  if (typeof partition === 'string') return reply(wanted.partitionIndex, partition)
  const offset = wanted.offset === HIGH_WATERMARK ? partition.highWatermark : wanted.offset
  if (offset < 0 || offset > partition.highWatermark)
    return reply(wanted.partitionIndex, 'OFFSET_OUT_OF_RANGE')
  try {
    const failure = await partition.deleteRecordsBefore(offset, deadlineMs)
    if (failure !== null) return reply(wanted.partitionIndex, failure)
    return reply(wanted.partitionIndex, 'NONE', partition.log.logStartOffset)
  } catch (error) {
    return reply(wanted.partitionIndex, storageErrorOf(services.logger, error))
  }
}

function reply(partitionIndex: number, error: ErrorName, lowWatermark = NONE): PartitionResponse {
  return { partitionIndex, lowWatermark, errorCode: errorCode(error) }
}
