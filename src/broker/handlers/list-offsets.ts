/**
 * ListOffsets (API key 2): the offset at a time, or at one of the named places of a partition.
 *
 * What is answered is always below what the asker may read: the high watermark, or for `read_committed` the last
 * stable offset. There is no tiered storage: its places answer "none" (-1).
 *
 * @see KIP-79 (offset by time), KIP-734 (-3, largest timestamp), KIP-405 (-4), KIP-1005 (-5), KIP-1023 (-6).
 */
import type { RequestOf, ResponseInputOf } from '../../protocol/apis.ts'
import { errorCode } from '../../protocol/errors.ts'
import type { ErrorName } from '../../protocol/errors.ts'
import type { Partition } from '../../replication/partition.ts'
import type { BrokerServices, RequestContext } from '../services.ts'
import { storageErrorOf } from './storage-error.ts'

type Request = RequestOf<'ListOffsets'>
type Response = ResponseInputOf<'ListOffsets'>
type PartitionRequest = Request['topics'][number]['partitions'][number]
type PartitionResponse = Response['topics'][number]['partitions'][number]

const NONE = -1
/** Version from which an answer carries the leader epoch (KIP-320). */
const EPOCH_SINCE_VERSION = 4
/** Version from which a client knows OFFSET_NOT_AVAILABLE (KIP-207). */
const NOT_AVAILABLE_SINCE_VERSION = 5
const READ_COMMITTED = 1
const LATEST = -1
const EARLIEST = -2
const MAX_TIMESTAMP = -3
const EARLIEST_LOCAL = -4
const LATEST_TIERED = -5
const EARLIEST_PENDING_UPLOAD = -6
/** Version from which each place can be asked for. */
const PLACES: ReadonlyMap<number, number> = new Map([
  [LATEST, 1],
  [EARLIEST, 1],
  [MAX_TIMESTAMP, 7],
  [EARLIEST_LOCAL, 8],
  [LATEST_TIERED, 9],
  [EARLIEST_PENDING_UPLOAD, 11],
])

export async function handleListOffsets(
  services: BrokerServices,
  request: Request,
  context: RequestContext,
): Promise<Response> {
  const topics = request.topics.map(async (topic) => ({
    name: topic.name,
    partitions: await Promise.all(
      topic.partitions.map((wanted) =>
        answer(services, topic.name, wanted, request.isolationLevel, context.apiVersion),
      ),
    ),
  }))
  return { throttleTimeMs: 0, topics: await Promise.all(topics) }
}

interface Found {
  readonly offset: number
  readonly timestamp: number
  readonly leaderEpoch: number
}

async function answer(
  services: BrokerServices,
  topic: string,
  wanted: PartitionRequest,
  isolationLevel: number,
  apiVersion: number,
): Promise<PartitionResponse> {
  const { partitionIndex, timestamp: asked } = wanted
  if (asked < 0 && (PLACES.get(asked) ?? Infinity) > apiVersion)
    return refused(partitionIndex, 'UNSUPPORTED_VERSION')
  const partition = services.partitions.lookup(topic, partitionIndex)
  if (typeof partition === 'string') return refused(partitionIndex, partition)
  const fault = partition.checkEpoch(wanted.currentLeaderEpoch)
  if (fault !== null) return refused(partitionIndex, fault)
  const endOffset = isolationLevel === READ_COMMITTED ? partition.lastStableOffset : partition.highWatermark
  try {
    const found = await find(partition, asked, endOffset)
    // What a new leader would say of the end might go back behind what its predecessor said (KIP-207).
    const asksForEnd = asked === LATEST || asked === MAX_TIMESTAMP || (asked >= 0 && found === null)
    if (asksForEnd && partition.isEndUncertain) {
      const isKnown = apiVersion >= NOT_AVAILABLE_SINCE_VERSION
      return refused(partitionIndex, isKnown ? 'OFFSET_NOT_AVAILABLE' : 'LEADER_NOT_AVAILABLE')
    }
    const { offset, timestamp, leaderEpoch } = found ?? { offset: NONE, timestamp: NONE, leaderEpoch: NONE }
    const carriesEpoch = apiVersion >= EPOCH_SINCE_VERSION
    return { partitionIndex, errorCode: 0, timestamp, offset, leaderEpoch: carriesEpoch ? leaderEpoch : NONE }
  } catch (error) {
    return refused(partitionIndex, storageErrorOf(services.logger, error))
  }
}

/** Null: there is none; what only tiered storage has is never there. */
async function find(partition: Partition, timestamp: number, endOffset: number): Promise<Found | null> {
  const { log } = partition
  if (timestamp >= 0) return log.offsetForTimestamp(timestamp, endOffset)
  if (timestamp === LATEST) return { offset: endOffset, timestamp: NONE, leaderEpoch: partition.leaderEpoch }
  if (timestamp === EARLIEST || timestamp === EARLIEST_LOCAL) {
    const [oldest] = log.epochEntries()
    const leaderEpoch = oldest !== undefined && oldest.startOffset <= log.logStartOffset ? oldest.epoch : NONE
    return { offset: log.logStartOffset, timestamp: NONE, leaderEpoch }
  }
  return timestamp === MAX_TIMESTAMP ? log.offsetOfMaxTimestamp(endOffset) : null
}

function refused(partitionIndex: number, error: ErrorName): PartitionResponse {
  return {
    partitionIndex,
    errorCode: errorCode(error),
    timestamp: NONE,
    offset: NONE,
    leaderEpoch: NONE,
  }
}
