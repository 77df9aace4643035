/**
 * Fetch (API key 1): reads whole batches from the named partitions, waiting for them if asked to.
 *
 * Data plane. What is read stays slices of the tail cache or of one file read; they go to the socket as they are.
 *
 * A fetch that finds fewer than `minBytes` waits at most `maxWaitMs`, and is tried again when the high watermark
 * of one of its partitions moves. An error of any partition is answered at once. The first partition with data
 * answers at least one batch, however large; after that the bounds hold (KIP-74).
 *
 * Sessions (KIP-227): the broker answers session id 0, which means "no session", to every full fetch, and
 * FETCH_SESSION_ID_NOT_FOUND to an incremental one. The replica id of a request is ignored: every fetch is a
 * consumer's (faults.md X4).
 */
import type { LogSlice } from '../../log/partition-log.ts'
import type { RequestOf, ResponseInputOf } from '../../protocol/apis.ts'
import { errorCode } from '../../protocol/errors.ts'
import type { ErrorName } from '../../protocol/errors.ts'
import type { Partition } from '../../replication/partition.ts'
import type { BrokerServices, RequestContext } from '../services.ts'
import { knownError, readableSlice } from './old-readers.ts'
import { storageErrorOf } from './storage-error.ts'

type Request = RequestOf<'Fetch'>
type Response = ResponseInputOf<'Fetch'>
type TopicResponse = Response['responses'][number]
type PartitionRequest = Request['topics'][number]['partitions'][number]
type PartitionResponse = Response['responses'][number]['partitions'][number]

const NONE = -1
const NO_SESSION = 0
/** Session epochs that ask for a full fetch: a new session, or none. */
const FULL_FETCH_EPOCHS: readonly number[] = [0, -1]
/** Version from which topics are named by id (KIP-516). */
const TOPIC_IDS_SINCE_VERSION = 13

interface Target {
  readonly topic: Request['topics'][number]
  readonly request: PartitionRequest
  readonly partition: Partition | null
  /** The partition's high watermark when this round began: what the wait for progress compares with. */
  readonly highWatermark: number
  /** Why the partition cannot be read; null when it can. */
  readonly error: ErrorName | null
  readonly divergingEpoch: { epoch: number; endOffset: number } | null
}

export async function handleFetch(
  services: BrokerServices,
  request: Request,
  context: RequestContext,
): Promise<Response> {
  if (!FULL_FETCH_EPOCHS.includes(request.sessionEpoch)) {
    return answer([], [], 'FETCH_SESSION_ID_NOT_FOUND', context.apiVersion)
  }
  const deadlineMs = services.clock.monotonicMs() + Math.max(0, request.maxWaitMs)
  const bytesMax = Math.min(Math.max(0, request.maxBytes), services.config.fetchBytesMax)
  const minBytes = Math.min(request.minBytes, bytesMax)
  if (services.responseBudget.isExhausted) await responseBudgetAvailable(services, deadlineMs)
  for (;;) {
    // Targets are resolved anew each round: a partition may have been deleted or have moved while we waited.
    const targets = resolve(services, request, context)
    const reading = readAll(services, targets, bytesMax, context.apiVersion)
    const results = reading instanceof Promise ? await reading : reading
    const isFinal =
      results.bytes >= minBytes || results.hasError || services.clock.monotonicMs() >= deadlineMs
    if (isFinal || context.connection.isEnding) {
      services.counters.fetchedBytes += results.bytes
      return answer(targets, results.slices, null, context.apiVersion)
    }
    await progress(services, targets, deadlineMs, context)
  }
}

/**
 * Waits until a target moved on since the round began (its high watermark rose, or it is served no more), until
 * the deadline, or until nobody is there to be answered.
 */
async function progress(
  services: BrokerServices,
  targets: readonly Target[],
  deadlineMs: number,
  context: RequestContext,
): Promise<void> {
  // A cold read awaits: what happened meanwhile called no watcher, since there was none yet.
  const hasMoved = targets.some(
    ({ partition, highWatermark }) =>
      partition !== null && (partition.highWatermark !== highWatermark || partition.stopped !== null),
  )
  if (hasMoved) return
  await new Promise<void>((resolve) => {
    const wake = (): void => {
      cancel()
      context.connection.unwatchEnd(wake)
      for (const target of targets) target.partition?.unwatch(wake)
      resolve()
    }
    const cancel = services.clock.after(Math.max(0, deadlineMs - services.clock.monotonicMs()), wake)
    context.connection.watchEnd(wake)
    for (const target of targets) target.partition?.watch(wake)
  })
}

function responseBudgetAvailable(services: BrokerServices, deadlineMs: number): Promise<void> {
  return new Promise((resolve) => {
    const wake = (): void => {
      cancel()
      services.responseBudget.forget(wake)
      resolve()
    }
    const cancel = services.clock.after(Math.max(0, deadlineMs - services.clock.monotonicMs()), wake)
    services.responseBudget.whenAvailable(wake)
  })
}

function resolve(services: BrokerServices, request: Request, context: RequestContext): Target[] {
  const byId = context.apiVersion >= TOPIC_IDS_SINCE_VERSION
  return request.topics.flatMap((topic) => {
    const name = byId ? services.partitions.findTopicName(topic.topicId) : topic.topic
    return topic.partitions.map((partitionRequest): Target => {
      const target = {
        topic,
        request: partitionRequest,
        partition: null,
        highWatermark: NONE,
        divergingEpoch: null,
      }
      if (name === undefined) return { ...target, error: 'UNKNOWN_TOPIC_ID' }
      const partition = services.partitions.lookup(name, partitionRequest.partition)
      if (typeof partition === 'string') return { ...target, error: partition }
      return {
        ...target,
        partition,
        highWatermark: partition.highWatermark,
        ...check(partition, partitionRequest),
      }
    })
  })
}

function check(partition: Partition, request: PartitionRequest): Pick<Target, 'error' | 'divergingEpoch'> {
  const error = partition.checkEpoch(request.currentLeaderEpoch)
  if (error !== null) return { error, divergingEpoch: null }
  const divergingEpoch = findDivergence(partition, request)
  if (divergingEpoch !== null) return { error: null, divergingEpoch }
  const { logStartOffset, logEndOffset } = partition.log
  const isInRange = request.fetchOffset >= logStartOffset && request.fetchOffset <= logEndOffset
  return { error: isInRange ? null : 'OFFSET_OUT_OF_RANGE', divergingEpoch: null }
}

/** Where the reader's log left ours, by the epoch of the last record it has (KIP-595); null when it did not. */
function findDivergence(
  partition: Partition,
  request: PartitionRequest,
): { epoch: number; endOffset: number } | null {
  if (request.lastFetchedEpoch < 0) return null
  const end = partition.log.endOffsetForEpoch(request.lastFetchedEpoch)
  if (end === null) return null
  const diverges = end.epoch < request.lastFetchedEpoch || end.endOffset < request.fetchOffset
  return diverges ? end : null
}

interface ReadResults {
  readonly slices: readonly (LogSlice | ErrorName | null)[]
  readonly bytes: number
  readonly hasError: boolean
}

/** Reads the targets in order; synchronous as long as the tail cache has what is asked for. */
function readAll(
  services: BrokerServices,
  targets: readonly Target[],
  bytesMax: number,
  apiVersion: number,
): ReadResults | Promise<ReadResults> {
  const slices: (LogSlice | ErrorName | null)[] = []
  let bytes = 0
  let hasError = false
  const take = (found: LogSlice): void => {
    const slice = readableSlice(found, apiVersion)
    slices.push(slice)
    if (typeof slice === 'string') hasError = true
    else bytes += slice.bytes
  }
  const start = (target: Target): LogSlice | Promise<LogSlice> | null => {
    if (target.error !== null || target.divergingEpoch !== null) hasError = true
    const isReadable = target.error === null && target.divergingEpoch === null && target.partition !== null
    if (!isReadable || (bytes >= bytesMax && bytes > 0)) return null
    const wanted = Math.min(Math.max(0, target.request.partitionMaxBytes), bytesMax - bytes)
    return target.partition.readCommitted(target.request.fetchOffset, wanted, bytes === 0)
  }
  const fault = (error: unknown): void => {
    slices.push(storageErrorOf(services.logger, error))
    hasError = true
  }
  const restOf = async (first: Promise<LogSlice>, nextIndex: number): Promise<ReadResults> => {
    try {
      take(await first)
    } catch (error) {
      fault(error)
    }
    for (const target of targets.slice(nextIndex)) {
      try {
        const slice = start(target)
        if (slice === null) slices.push(null)
        else take(slice instanceof Promise ? await slice : slice)
      } catch (error) {
        fault(error)
      }
    }
    return { slices, bytes, hasError }
  }
  for (const [index, target] of targets.entries()) {
    try {
      const slice = start(target)
      if (slice instanceof Promise) return restOf(slice, index + 1)
      if (slice === null) slices.push(null)
      else take(slice)
    } catch (error) {
      fault(error)
    }
  }
  return { slices, bytes, hasError }
}

function answer(
  targets: readonly Target[],
  slices: ReadResults['slices'],
  error: ErrorName | null,
  apiVersion: number,
): Response {
  const responses: (TopicResponse & { partitions: PartitionResponse[] })[] = []
  let topic: Target['topic'] | null = null
  for (const [index, target] of targets.entries()) {
    if (target.topic !== topic) {
      topic = target.topic
      responses.push({ topic: topic.topic, topicId: topic.topicId, partitions: [] })
    }
    responses[responses.length - 1]!.partitions.push(
      partitionAnswer(target, slices[index] ?? null, apiVersion),
    )
  }
  return {
    throttleTimeMs: 0,
    errorCode: errorCode(error ?? 'NONE'),
    sessionId: NO_SESSION,
    responses,
    nodeEndpoints: [],
  }
}

function partitionAnswer(
  target: Target,
  slice: LogSlice | ErrorName | null,
  apiVersion: number,
): PartitionResponse {
  const error = typeof slice === 'string' ? slice : target.error
  const { partition } = target
  const hasOffsets = partition !== null && (error === null || error === 'OFFSET_OUT_OF_RANGE')
  return {
    partitionIndex: target.request.partition,
    errorCode: errorCode(knownError(error ?? 'NONE', apiVersion)),
    highWatermark: hasOffsets ? partition.highWatermark : NONE,
    lastStableOffset: hasOffsets ? partition.lastStableOffset : NONE,
    logStartOffset: hasOffsets ? partition.log.logStartOffset : NONE,
    divergingEpoch: target.divergingEpoch ?? { epoch: NONE, endOffset: NONE },
    currentLeader: { leaderId: NONE, leaderEpoch: NONE },
    snapshotId: { endOffset: NONE, epoch: NONE },
    abortedTransactions: [],
    preferredReadReplica: NONE,
    records: slice === null || typeof slice === 'string' ? [] : slice.chunks,
  }
}
