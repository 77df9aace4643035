/**
 * Fetch (API key 1) of consumers: reads whole batches from the named partitions, waiting for them if asked to.
 *
 * Data plane. What is read stays slices of the tail cache or of one file read; they go to the socket as they are.
 *
 * A fetch that finds fewer than `minBytes` waits at most `maxWaitMs`, and is tried again when the high watermark
 * of one of its partitions moves. An error of any partition is answered at once. The first partition with data
 * answers at least one batch, however large; after that the bounds hold (KIP-74).
 *
 * - Sessions (KIP-227): see consumer-session.ts. In a session only partitions with news are answered.
 * - Closest replica (KIP-392): a consumer that names its rack is sent to an in-sync replica there, and may read from
 *   followers, up to their high watermarks. One that names none reads from leaders alone, so that stale metadata does not
 *   make it read behind.
 *   Where WebSocket clients are told one address for all brokers they read from whatever replica they come to.
 * - Hints (KIP-951): whoever asks the wrong broker is told the right one.
 * - The replica id of a request is ignored: every fetch that comes this way is a consumer's (faults.md X4). Followers come
 *   by another way (replica-sessions.ts).
 */
import type { LogSlice } from '../../log/partition-log.ts'
import type { RequestOf, ResponseInputOf } from '../../protocol/apis.ts'
import { errorCode } from '../../protocol/errors.ts'
import type { ErrorName } from '../../protocol/errors.ts'
import { NO_SESSION } from '../../replication/fetch-sessions.ts'
import type { Partition } from '../../replication/partition.ts'
import type { BrokerServices, RequestContext } from '../services.ts'
import { openFetch } from './consumer-session.ts'
import type { OpenedFetch, Wanted } from './consumer-session.ts'
import { LeaderHints, NO_HINT } from './leader-hints.ts'
import { knownError, readableSlice } from './old-readers.ts'
import { findCloserReplica } from './read-replica.ts'
import { storageErrorOf } from './storage-error.ts'

type Request = RequestOf<'Fetch'>
type Response = ResponseInputOf<'Fetch'>
type TopicResponse = Response['responses'][number]
type PartitionRequest = Request['topics'][number]['partitions'][number]
type PartitionResponse = Response['responses'][number]['partitions'][number]

const NONE = -1
/** Version from which topics are named by id (KIP-516). */
const TOPIC_IDS_SINCE_VERSION = 13
/** Version from which a consumer names its rack (KIP-392). */
const RACKS_SINCE_VERSION = 11
/** Versions from which an answer has room for the leader, and for its address (KIP-951). */
const LEADERS_SINCE_VERSION = 12
const ENDPOINTS_SINCE_VERSION = 16

/** Waits of this length and above, in ms, end at multiples of `COMMON_END_MS`: a little early, by a tenth at most. */
const LONG_WAIT_MS = 500
const COMMON_END_MS = 50

interface Target {
  readonly wanted: Wanted
  readonly request: PartitionRequest
  readonly partition: Partition | null
  /** As they were when this round began: what the wait for progress compares with. */
  readonly highWatermark: number
  readonly leaderEpoch: number
  /** The topic's name here, or null. */
  readonly topicName: string | null
  /** Why the partition cannot be read; null when it can. */
  readonly error: ErrorName | null
  readonly divergingEpoch: { epoch: number; endOffset: number } | null
  /** A replica that is nearer to the consumer, or -1. */
  readonly closerReplica: number
}

export async function handleFetch(
  services: BrokerServices,
  request: Request,
  context: RequestContext,
): Promise<Response> {
  const opened = openFetch(services.fetchSessions, request, context)
  if (typeof opened === 'string') return refusal(opened)
  const deadlineMs = deadlineOf(request, services.clock.monotonicMs())
  const { config } = services
  const bytesMax = Math.min(Math.max(0, request.maxBytes), config.fetchBytesMax, context.answerBytesMax)
  const minBytes = Math.min(request.minBytes, bytesMax)
  if (services.responseBudget.isExhausted) await responseBudgetAvailable(services, deadlineMs)
  for (;;) {
    // Targets are resolved anew each round: a partition may have been deleted or have moved while we waited.
    const targets = resolve(services, opened.wanted, request.rackId, context)
    const reading = readAll(services, targets, bytesMax, context.apiVersion)
    const results = reading instanceof Promise ? await reading : reading
    const isFinal =
      results.bytes >= minBytes || results.hasError || services.clock.monotonicMs() >= deadlineMs
    if (isFinal || context.connection.isEnding) {
      services.counters.fetchedBytes += results.bytes
      return answer(services, opened, targets, results.slices, context)
    }
    await progress(services, targets, deadlineMs, context)
  }
}

/** On the monotonic clock. Long waits end together, so that a thousand idle consumers do not wake the broker one by one. */
function deadlineOf({ maxWaitMs }: Request, nowMs: number): number {
  const deadlineMs = nowMs + Math.max(0, maxWaitMs)
  return maxWaitMs < LONG_WAIT_MS ? deadlineMs : deadlineMs - (deadlineMs % COMMON_END_MS)
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
    ({ partition, highWatermark, leaderEpoch }) =>
      partition !== null &&
      (partition.highWatermark !== highWatermark ||
        partition.leaderEpoch !== leaderEpoch ||
        partition.stopped !== null),
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

/** Waits until readers have taken their answers, at most until the deadline. @param deadlineMs - Monotonic. */
export function responseBudgetAvailable(
  services: Pick<BrokerServices, 'clock' | 'responseBudget'>,
  deadlineMs: number,
): Promise<void> {
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

function resolve(
  services: BrokerServices,
  wanted: readonly Wanted[],
  rackId: string,
  context: RequestContext,
): Target[] {
  const byId = context.apiVersion >= TOPIC_IDS_SINCE_VERSION
  // A fetch that was passed on came for the leader: it was a replica that the client could not choose.
  const namesRack = context.apiVersion >= RACKS_SINCE_VERSION && rackId !== '' && !context.isForwarded
  const rack = namesRack ? rackId : null
  // Nor can it choose where all brokers have one address: sent elsewhere, it could come back here without end.
  const mayBeSent = context.transport !== 'websocket' || services.config.webSocketAddress === null
  return wanted.map((each): Target => {
    const { request } = each
    const topicName = (byId ? services.partitions.findTopicName(each.topicId) : each.topic) ?? null
    const target = {
      wanted: each,
      request,
      partition: null,
      topicName,
      ...{ highWatermark: NONE, leaderEpoch: NONE, closerReplica: NONE, divergingEpoch: null },
    }
    if (topicName === null) return { ...target, error: 'UNKNOWN_TOPIC_ID' }
    const found =
      rack === null
        ? services.partitions.lookup(topicName, request.partition)
        : services.partitions.lookupReplica(topicName, request.partition)
    if (typeof found === 'string') return { ...target, error: found }
    if (!found.isLeader && !found.isFollower) return { ...target, error: 'NOT_LEADER_OR_FOLLOWER' }
    const { highWatermark, leaderEpoch } = found
    const checked = check(found, request)
    const isReadable = checked.error === null && checked.divergingEpoch === null
    const closerReplica =
      rack !== null && mayBeSent && isReadable && found.isLeader
        ? findCloserReplica(services.image(), services.config.nodeId, found, rack, request.fetchOffset)
        : NONE
    return { ...target, partition: found, highWatermark, leaderEpoch, closerReplica, ...checked }
  })
}

function check(partition: Partition, request: PartitionRequest): Pick<Target, 'error' | 'divergingEpoch'> {
  const error = partition.checkEpoch(request.currentLeaderEpoch)
  if (error !== null) return { error, divergingEpoch: null }
  const divergingEpoch = findDivergence(partition, request)
  if (divergingEpoch !== null) return { error: null, divergingEpoch }
  const { logStartOffset, logEndOffset } = partition.log
  if (request.fetchOffset >= logStartOffset && request.fetchOffset <= logEndOffset)
    return { error: null, divergingEpoch: null }
  // A follower need not have all that its leader has committed: the consumer may be right all the same.
  const mayComeYet = partition.isFollower && request.fetchOffset > logEndOffset
  return { error: mayComeYet ? 'OFFSET_NOT_AVAILABLE' : 'OFFSET_OUT_OF_RANGE', divergingEpoch: null }
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
    const isReadable =
      target.error === null && target.divergingEpoch === null && target.closerReplica === NONE
    if (!isReadable) hasError = true
    if (!isReadable || target.partition === null || (bytes >= bytesMax && bytes > 0)) return null
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

function refusal(error: ErrorName): Response {
  return {
    throttleTimeMs: 0,
    errorCode: errorCode(error),
    sessionId: NO_SESSION,
    responses: [],
    nodeEndpoints: [],
  }
}

function answer(
  services: BrokerServices,
  { session, sessionId, isIncremental }: OpenedFetch,
  targets: readonly Target[],
  slices: ReadResults['slices'],
  context: RequestContext,
): Response {
  const responses: (TopicResponse & { partitions: PartitionResponse[] })[] = []
  const hints = new LeaderHints(services, context)
  for (const [index, target] of targets.entries()) {
    const { topic, topicId } = target.wanted
    const slice = slices[index] ?? null
    const partition = partitionAnswer(target, slice, context.apiVersion, hints)
    const bytes = slice === null || typeof slice === 'string' ? 0 : slice.bytes
    const isNews = session?.told(target.wanted, partition, bytes) ?? true
    if (isIncremental && !isNews) continue
    const last = responses.at(-1)
    if (last?.topic === topic && last.topicId === topicId) last.partitions.push(partition)
    else responses.push({ topic, topicId, partitions: [partition] })
  }
  return {
    throttleTimeMs: 0,
    errorCode: errorCode('NONE'),
    sessionId,
    responses,
    nodeEndpoints: context.apiVersion >= ENDPOINTS_SINCE_VERSION ? hints.endpoints : [],
  }
}

function partitionAnswer(
  target: Target,
  slice: LogSlice | ErrorName | null,
  apiVersion: number,
  hints: LeaderHints,
): PartitionResponse {
  const error = typeof slice === 'string' ? slice : target.error
  const { partition, topicName, request } = target
  const isHinted = error !== null && topicName !== null && apiVersion >= LEADERS_SINCE_VERSION
  const hasOffsets = partition !== null && (error === null || error === 'OFFSET_OUT_OF_RANGE')
  return {
    partitionIndex: request.partition,
    errorCode: errorCode(knownError(error ?? 'NONE', apiVersion)),
    highWatermark: hasOffsets ? partition.highWatermark : NONE,
    lastStableOffset: hasOffsets ? partition.lastStableOffset : NONE,
    logStartOffset: hasOffsets ? partition.log.logStartOffset : NONE,
    divergingEpoch: target.divergingEpoch ?? { epoch: NONE, endOffset: NONE },
    currentLeader: isHinted ? hints.hintFor(error, topicName, request.partition) : NO_HINT,
    snapshotId: { endOffset: NONE, epoch: NONE },
    abortedTransactions: [],
    preferredReadReplica: target.closerReplica,
    records: slice === null || typeof slice === 'string' ? [] : slice.chunks,
  }
}
