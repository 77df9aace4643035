/**
 * Produce (API key 0): appends one batch to each of the named partitions.
 *
 * Data plane. The batches stay slices of the request frame: checked, given offsets in place, handed to the log.
 * Everything up to the append happens in the turn in which the request starts, so appends keep the order of the
 * requests of a connection; the answer waits until the log is as safe as `acks` asks.
 *
 * acks=0: the exchange ends without an answer, but only once the batch is durable, so that its bytes keep counting
 * against the request budget until then; an error closes the connection, as there is no other way to tell.
 *
 * Topics in which the broker keeps its own state are not for clients to write to: INVALID_TOPIC_EXCEPTION.
 *
 * Transactional requests are refused (INVALID_TXN_STATE): this broker hands out no transactional producer ids.
 */
import { assert, broken } from '../../base/assert.ts'
import type { RequestOf, ResponseOf } from '../../protocol/apis.ts'
import { errorByCode, errorCode } from '../../protocol/errors.ts'
import type { ErrorName } from '../../protocol/errors.ts'
import { isTransactional, readBatchHeader } from '../../records/batch-header.ts'
import { validateProduced } from '../../records/batch-validator.ts'
import type { ProduceLimits } from '../../records/batch-validator.ts'
import type { TopicConfig } from '../../metadata/topic-config.ts'
import { isInternalTopic } from '../../metadata/topic-name.ts'
import { stampLogAppendTime } from '../../records/log-append-time.ts'
import type { Partition } from '../../replication/partition.ts'
import type { BrokerServices, RequestContext } from '../services.ts'
import { LeaderHints } from './leader-hints.ts'

type Request = RequestOf<'Produce'>
type Response = ResponseOf<'Produce'>
type PartitionData = Request['topicData'][number]['partitionData'][number]
type PartitionResponse = Response['responses'][number]['partitionResponses'][number]

/** Version from which topics are named by id (KIP-516). */
const TOPIC_IDS_SINCE_VERSION = 13
/** Version from which an answer has room for the right leader (KIP-951). */
const HINTS_SINCE_VERSION = 10
/** Version from which batches may be compressed with zstd (KIP-110). */
const ZSTD_SINCE_VERSION = 7
/** "The producer's timestamps stand", and "no such offset". */
const NONE = -1

export function handleProduce(
  services: BrokerServices,
  request: Request,
  context: RequestContext,
): Response | null | Promise<Response | null> {
  const { acks } = request
  const refusal = refuse(request)
  if (refusal === null && acks !== 0 && acks !== 1 && acks !== -1) broken(`Unexpected acks: ${acks}`)
  const deadlineMs = services.clock.monotonicMs() + Math.max(0, request.timeoutMs)
  let waitingCount = 0
  let finish: (() => void) | null = null

  const responses = request.topicData.map((topic) => {
    const topicName =
      context.apiVersion >= TOPIC_IDS_SINCE_VERSION
        ? services.partitions.findTopicName(topic.topicId)
        : topic.name
    const partitionResponses = topic.partitionData.map((data) => {
      if (refusal !== null) return failed(data.index, refusal.error, refusal.message)
      if (topicName === undefined) return failed(data.index, 'UNKNOWN_TOPIC_ID')
      if (isInternalTopic(topicName)) return failed(data.index, 'INVALID_TOPIC_EXCEPTION')
      const partition = services.partitions.lookup(topicName, data.index)
      if (typeof partition === 'string') return failed(data.index, partition)
      // Before the append: what is refused here is not in the log (KIP-966, docs/faults.md R13).
      if (acks === -1 && partition.isUnderMinIsr) return failed(data.index, 'NOT_ENOUGH_REPLICAS')
      const outcome = append(services, partition, data, context.apiVersion)
      if (outcome.errorCode !== 0) return outcome.response
      waitingCount++
      partition.whenAcked(outcome.endOffset, acks === -1 ? -1 : 1, deadlineMs, (failure) => {
        if (failure !== null) fail(outcome.response, failure)
        waitingCount--
        if (waitingCount === 0) finish?.()
      })
      return outcome.response
    })
    return { name: topic.name, topicId: topic.topicId, partitionResponses }
  })

  const answer = (): Response | null => {
    if (acks !== 0) {
      return { responses, throttleTimeMs: 0, nodeEndpoints: addHints(services, responses, context) }
    }
    const fault = responses.flatMap((topic) => topic.partitionResponses).find((one) => one.errorCode !== 0)
    if (fault !== undefined) context.connection.close(`Produce with acks=0 failed: error ${fault.errorCode}`)
    return null
  }
  if (waitingCount === 0) return answer()
  return new Promise((resolve) => {
    finish = () => resolve(answer())
  })
}

/** The answer that refuses every batch with an error after which the client tries again; nothing is appended here. */
export function refuseProduce(
  services: BrokerServices,
  request: Request,
  context: RequestContext,
  error: ErrorName,
): Response | null {
  if (request.acks === 0) {
    context.connection.close(`Produce with acks=0 failed: ${error}`)
    return null
  }
  const responses = request.topicData.map(({ name, topicId, partitionData }) => ({
    name,
    topicId,
    partitionResponses: partitionData.map(({ index }) => failed(index, error)),
  }))
  return { responses, throttleTimeMs: 0, nodeEndpoints: addHints(services, responses, context) }
}

/** Tells who asked the wrong broker which is the right one (KIP-951). */
function addHints(
  services: BrokerServices,
  responses: Response['responses'],
  context: RequestContext,
): Response['nodeEndpoints'] {
  if (context.apiVersion < HINTS_SINCE_VERSION) return []
  if (responses.every(({ partitionResponses }) => partitionResponses.every((each) => each.errorCode === 0)))
    return []
  const image = services.image()
  const hints = new LeaderHints(services, context)
  const byId = context.apiVersion >= TOPIC_IDS_SINCE_VERSION
  for (const { name, topicId, partitionResponses } of responses) {
    const topicName = byId ? image.topicsById.get(topicId)?.name : name
    if (topicName === undefined) continue
    for (const response of partitionResponses)
      response.currentLeader = hints.hintFor(errorByCode(response.errorCode).name, topicName, response.index)
  }
  return hints.endpoints
}

/** What is wrong with the request as a whole, or null. */
function refuse(request: Request): { error: ErrorName; message: string } | null {
  if (request.acks < -1 || request.acks > 1) {
    return { error: 'INVALID_REQUIRED_ACKS', message: `Expected acks of -1, 0 or 1: found ${request.acks}` }
  }
  if (request.transactionalId !== null) {
    return {
      error: 'INVALID_TXN_STATE',
      message: 'Transactions are not supported: send without a transactional id',
    }
  }
  return null
}

interface AppendOutcome {
  readonly errorCode: number
  /** Offset after the batch. */
  readonly endOffset: number
  readonly response: PartitionResponse
}

function append(
  services: BrokerServices,
  partition: Partition,
  data: PartitionData,
  apiVersion: number,
): AppendOutcome {
  const refused = (error: ErrorName, message?: string): AppendOutcome => {
    const response = failed(data.index, error, message)
    return { errorCode: response.errorCode, endOffset: NONE, response }
  }
  const batch = data.records
  if (batch === null) return refused('INVALID_RECORD', 'Expected one record batch: found none')
  assert(batch instanceof Uint8Array, 'Expected decoded records to be one slice of the frame')
  const config = services.partitions.topicConfig(partition.topic)
  const nowMs = services.clock.wallTimeMs()
  const checked = validateProduced(batch, limitsOf(config, nowMs, apiVersion))
  if (checked.kind === 'invalid') return refused(checked.error, checked.message)
  if (isTransactional(checked.header.attributes)) {
    return refused('INVALID_TXN_STATE', 'Transactions are not supported: found a transactional batch')
  }
  const stampsAppendTime = config.messageTimestampType === 'LogAppendTime'
  if (stampsAppendTime) stampLogAppendTime(batch, 0, nowMs)
  const header = stampsAppendTime ? readBatchHeader(batch, 0) : checked.header
  const result = partition.appendAsLeader(batch, header)
  if (result.kind === 'rejected') return refused(result.error, result.message)
  services.counters.producedBytes += batch.length
  return {
    errorCode: 0,
    endOffset: result.lastOffset + 1,
    response: {
      index: data.index,
      errorCode: 0,
      baseOffset: result.baseOffset,
      logAppendTimeMs: stampsAppendTime ? result.appendTimeMs : NONE,
      logStartOffset: partition.log.logStartOffset,
      recordErrors: [],
      errorMessage: null,
      currentLeader: { leaderId: NONE, leaderEpoch: NONE },
    },
  }
}

function limitsOf(config: TopicConfig, nowMs: number, apiVersion: number): ProduceLimits {
  const keepsTimestamps = config.messageTimestampType === 'CreateTime'
  return {
    batchBytesMax: config.maxMessageBytes,
    acceptsZstd: apiVersion >= ZSTD_SINCE_VERSION,
    timestampMsMin: keepsTimestamps ? nowMs - config.messageTimestampBeforeMaxMs : -Infinity,
    timestampMsMax: keepsTimestamps ? nowMs + config.messageTimestampAfterMaxMs : Infinity,
    requiresKeys: config.cleanupPolicy.includes('compact'),
  }
}

function failed(index: number, error: ErrorName, message?: string): PartitionResponse {
  return {
    index,
    errorCode: errorCode(error),
    baseOffset: NONE,
    logAppendTimeMs: NONE,
    logStartOffset: NONE,
    recordErrors: [],
    errorMessage: message ?? null,
    currentLeader: { leaderId: NONE, leaderEpoch: NONE },
  }
}

function fail(response: PartitionResponse, error: ErrorName): void {
  response.errorCode = errorCode(error)
  response.baseOffset = NONE
  response.logAppendTimeMs = NONE
}
