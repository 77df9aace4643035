/**
 * OffsetForLeaderEpoch (API key 23): where the records of an epoch end, so that a reader can see whether the log it
 * read from is still the log it reads from (KIP-320). Answers the largest epoch at or below the one asked for.
 */
import type { RequestOf, ResponseInputOf } from '../../protocol/apis.ts'
import { errorCode } from '../../protocol/errors.ts'
import type { ErrorName } from '../../protocol/errors.ts'
import type { BrokerServices } from '../services.ts'

type Request = RequestOf<'OffsetForLeaderEpoch'>
type Response = ResponseInputOf<'OffsetForLeaderEpoch'>
type EpochResponse = Response['topics'][number]['partitions'][number]

const NONE = -1

export function handleOffsetForLeaderEpoch(services: BrokerServices, request: Request): Response {
  return {
    throttleTimeMs: 0,
    topics: request.topics.map((topic) => ({
      topic: topic.topic,
      partitions: topic.partitions.map((wanted) => answer(services, topic.topic, wanted)),
    })),
  }
}

function answer(
  services: BrokerServices,
  topic: string,
  wanted: Request['topics'][number]['partitions'][number],
): EpochResponse {
  const partition = services.partitions.lookup(topic, wanted.partition)
  if (typeof partition === 'string') return reply(wanted.partition, partition)
  const fault = partition.checkEpoch(wanted.currentLeaderEpoch)
  if (fault !== null) return reply(wanted.partition, fault)
  // The current epoch has not ended: its end is where the next record goes.
  const isCurrent = wanted.leaderEpoch === partition.leaderEpoch
  const end = isCurrent
    ? { epoch: partition.leaderEpoch, endOffset: partition.log.logEndOffset }
    : partition.log.endOffsetForEpoch(wanted.leaderEpoch)
  return reply(wanted.partition, 'NONE', end?.epoch, end?.endOffset)
}

function reply(partition: number, error: ErrorName, leaderEpoch = NONE, endOffset = NONE): EpochResponse {
  return { errorCode: errorCode(error), partition, leaderEpoch, endOffset }
}
