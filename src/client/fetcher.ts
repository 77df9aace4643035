/**
 * Fetches ahead of the application, on connections of its own: one fetch per broker for all of its partitions that have room
 * and, while that one waits for records, a second one for partitions that came to need one. Answers come in the order of the
 * requests, so on one connection a seek would wait out a long poll.
 *
 * A consumer that has named its rack reads from where the leader sends it (read-source.ts); one fetch names the rack for all of
 * its partitions, or for none.
 *
 * Invariants: what is buffered plus what was asked for stays within `prefetchBytesMax`, soft by a batch a partition; at most
 * one fetch that counts is under way for a partition; an answer from before a seek is dropped.
 */
import type { Cancel } from '../env/index.ts'
import type { ResponseOf } from '../protocol/apis.ts'
import { errorByCode } from '../protocol/errors.ts'
import { findCutBatchSize } from '../records/fetched-batches.ts'
import type { AssignedPartition } from './assigned-partition.ts'
import { NOT_ASKED, UNKNOWN } from './assigned-partition.ts'
import { backoffMs } from '../base/backoff.ts'
import type { BrokerLink, ReadyLink } from './broker-link.ts'
import { brokerError, ClientError, toError } from './client-error.ts'
import type { Cluster, Purpose } from './cluster.ts'
import { hasTopicId } from './cluster.ts'
import type { ConsumerConfig } from './consumer-options.ts'
import { fetchRequest, LAST_VERSION_WITH_NAMES, topicsOf } from './fetch-request.ts'
import type { AskedTopic } from './fetch-request.ts'
import { FetchedChunk } from './fetched-chunk.ts'
import { isAboutLeader } from './produce-outcome.ts'

/** How long a partition may be unknown to all brokers before that is an error, in ms: a leader may be moving. */
const UNKNOWN_PARTITION_WAIT_MS = 10_000
/** Largest batch that is asked for after a cut one, in bytes; brokers take 1 MiB unless told otherwise. */
const CUT_BATCH_BYTES_MAX = 64 * 1024 * 1024

/**
 * How long a broker may hold a fetch that leaves out partitions whose buffers are full, in ms: a long poll for the idle
 * ones would keep the busy ones waiting after the application has read them.
 */
const CROWDED_WAIT_MS = 10

/** Connections to a broker: one for what is usual, one for what cannot wait behind that. */
const LANE_COUNT = 2

/**
 * A partition is fetched while less than this many fetches of it lie unread: with one the broker would have nothing to do
 * while the application reads, and the application nothing while the broker does.
 */
const PARTITION_FETCHES_AHEAD = 2

/**
 * Bytes of one fetch over all partitions, soft by a batch: larger answers are put together outside the processor's caches
 * (100 B records from six partitions: 0.20 CPU s a million with 4 MiB, 0.25 with 12 MiB).
 */
const FETCH_BYTES_MAX = 4 * 1024 * 1024

type FetcherConfig = Pick<
  ConsumerConfig<never, never>,
  | 'isReadCommitted'
  | 'maxWaitMs'
  | 'minBytes'
  | 'onOutOfRange'
  | 'partitionBytesMax'
  | 'prefetchBytesMax'
  | 'rack'
>
type PartitionAnswer = ResponseOf<'Fetch'>['responses'][number]['partitions'][number]

/** A partition as it was when it was asked for. */
interface Asked {
  readonly partition: AssignedPartition
  readonly generation: number
  /** The broker was asked because the leader has said that it is closer. */
  readonly isAtReplica: boolean
}

/** What one fetch is to ask for. */
interface Group {
  readonly partitions: AssignedPartition[]
  /** The broker may answer as a follower, or say who is closer. */
  readonly namesRack: boolean
}

interface FetchUnderWay {
  /** Bytes that it may bring. */
  readonly maxBytes: number
  readonly asked: readonly Asked[]
  readonly namesRack: boolean
  /** Nobody waits for its answer any more. */
  isDropped: boolean
}

export class Fetcher {
  readonly #cluster: Cluster
  readonly #config: FetcherConfig
  /** Of the lanes: connections to the same broker. */
  readonly #purposes: readonly Purpose[]
  readonly #onProgress: () => void
  #partitions: readonly AssignedPartition[] = []
  readonly #underWay = new Map<BrokerLink, FetchUnderWay>()
  /** Where the next fetch begins among the partitions, so that each comes first in turn. */
  #turn = 0
  #isScheduled = false
  #isClosed = false
  #cancelTimer: Cancel | null = null
  #timerAtMs = Infinity

  /**
   * @param name - Tells the connections from those of other fetchers.
   * @param onProgress - Something came, or something failed: look again.
   */
  constructor(cluster: Cluster, config: FetcherConfig, name: string, onProgress: () => void) {
    this.#cluster = cluster
    this.#config = config
    this.#purposes = Array.from({ length: LANE_COUNT }, (_, lane): Purpose => `fetches ${name}.${lane}`)
    this.#onProgress = onProgress
  }

  assign(partitions: readonly AssignedPartition[]): void {
    this.#partitions = partitions
    this.schedule()
  }

  /** Looks at the end of the turn what may be fetched. */
  schedule(): void {
    if (this.#isScheduled || this.#isClosed) return
    this.#isScheduled = true
    this.#cluster.ports.clock.endOfTurn(() => {
      this.#isScheduled = false
      this.#fetchAll()
    })
  }

  close(): void {
    this.#isClosed = true
    this.#cancelTimer?.()
    for (const purpose of this.#purposes) this.#cluster.closeLinks(purpose)
  }

  #fetchAll(): void {
    if (this.#isClosed) return
    const nowMs = this.#cluster.ports.clock.monotonicMs()
    this.#leaveSilentReplicas()
    this.#makeWay(nowMs)
    const count = this.#partitions.length
    const groups = new Map<BrokerLink, Group>()
    const crowded = new Set<number>()
    const aheadBytesMax = PARTITION_FETCHES_AHEAD * this.#config.partitionBytesMax
    let room = this.#config.prefetchBytesMax
    for (const { bufferedBytes } of this.#partitions) room -= bufferedBytes
    for (const { maxBytes } of this.#underWay.values()) room -= maxBytes
    let mustRefresh = false
    for (let index = 0; index < count; index++) {
      const partition = this.#partitions[(this.#turn + index) % count]!
      if (!canBeFetched(partition)) continue
      if (partition.bufferedBytes >= aheadBytesMax) {
        crowded.add(this.#sourceOf(partition, nowMs))
        continue
      }
      if (partition.notBeforeMs > nowMs) {
        this.#armTimer(partition.notBeforeMs)
        continue
      }
      const lanes = this.#lanesTo(this.#sourceOf(partition, nowMs))
      if (lanes === null) {
        this.#failed(partition, nowMs)
        this.#armTimer(partition.notBeforeMs)
        mustRefresh = true
        continue
      }
      const namesRack = this.#config.rack !== null && partition.source.mayBeSentOn(nowMs)
      const isFree = (lane: BrokerLink): boolean =>
        !this.#underWay.has(lane) && (groups.get(lane)?.namesRack ?? namesRack) === namesRack
      const link = lanes.find(isFree)
      if (link === undefined) continue
      const group = groups.get(link)
      if (group === undefined) groups.set(link, { partitions: [partition], namesRack })
      else group.partitions.push(partition)
    }
    if (mustRefresh) this.#cluster.refreshSoon()
    this.#turn = count === 0 ? 0 : (this.#turn + 1) % count
    for (const [link, group] of groups) {
      if (room <= 0) return // what the application reads makes room and schedules
      let wanted = 0
      let largest = 0
      for (const { fetchBytesMax } of group.partitions) {
        wanted += fetchBytesMax
        largest = Math.max(largest, fetchBytesMax)
      }
      const bytesMax = Math.min(room, wanted, FETCH_BYTES_MAX)
      room -= bytesMax
      const { maxWaitMs } = this.#config
      const isCrowded = crowded.has(this.#sourceOf(group.partitions[0]!, nowMs))
      const waitMs = isCrowded ? Math.min(CROWDED_WAIT_MS, maxWaitMs) : maxWaitMs
      this.#fetch(link, group, Math.max(bytesMax, largest), waitMs, nowMs)
    }
  }

  /**
   * Frees a lane where all are taken while the application waits for a place that none of them asks for. What that lane
   * asked for is asked again.
   */
  #makeWay(nowMs: number): void {
    for (const partition of this.#partitions) {
      if (!partition.isAwaited || !canBeFetched(partition) || partition.notBeforeMs > nowMs) continue
      const lanes = this.#lanesTo(this.#sourceOf(partition, nowMs))
      if (lanes === null || lanes.some((lane) => !this.#underWay.has(lane))) continue
      const link = lanes.at(-1)!
      this.#forget(link)
      this.#cluster.closeLink(link)
    }
  }

  /** Gives up replicas that owe an answer and are silent: whatever the cluster thinks of them, the leader has it all. */
  #leaveSilentReplicas(): void {
    if (this.#config.rack === null) return
    for (const [link, { asked }] of this.#underWay)
      if (link.isSilent && asked.some(({ isAtReplica }) => isAtReplica)) this.#cluster.closeLink(link)
  }

  /** The broker to ask. @param nowMs - On the monotonic clock. */
  #sourceOf({ topic, partition, source }: AssignedPartition, nowMs: number): number {
    const replicaId = source.replicaId(nowMs)
    if (replicaId !== null && this.#cluster.nodes.has(replicaId)) return replicaId
    source.forget()
    return this.#cluster.findPartition(topic, partition)?.leaderId ?? -1
  }

  /** The ways to a broker; null when no broker has that id. */
  #lanesTo(nodeId: number): readonly BrokerLink[] | null {
    const lanes = this.#purposes.map((purpose) => this.#cluster.findLink(nodeId, purpose))
    return lanes.every((lane) => lane !== null) ? lanes : null
  }

  /** Asks at once where there is a connection, so that the broker works while the application does. */
  #fetch(
    link: BrokerLink,
    { partitions, namesRack }: Group,
    maxBytes: number,
    maxWaitMs: number,
    nowMs: number,
  ): void {
    const asked = partitions.map((partition) => ({
      ...{ partition, generation: partition.generation },
      isAtReplica: partition.source.replicaId(nowMs) !== null,
    }))
    const fetch: FetchUnderWay = { maxBytes, asked, namesRack, isDropped: false }
    this.#underWay.set(link, fetch)
    for (const partition of partitions) {
      partition.askedGeneration = partition.generation
      partition.isAwaited = false
    }
    const topics = topicsOf(this.#cluster, partitions)
    const { ready } = link
    const ask = (now: ReadyLink) => this.#request(now, topics, fetch, maxWaitMs)
    const answered =
      ready !== null && ready.throttleMs() === 0 ? ask(ready) : link.unthrottled('Cannot fetch').then(ask)
    answered.then(
      (answer) => {
        if (!this.#forget(link, fetch)) return
        if (answer.errorCode === 0) this.#take(answer, topics, fetch)
        else this.#requestFailed(asked, brokerError('Cannot fetch', answer.errorCode))
        this.#progressed()
      },
      (thrown: unknown) => {
        if (!this.#forget(link, fetch)) return
        this.#requestFailed(asked, toError(thrown))
        this.#progressed()
      },
    )
  }

  /** Sends the next fetches first: while the application reads what has come, the broker is to have work. */
  #progressed(): void {
    this.#fetchAll()
    this.#cluster.ports.clock.endOfTurn(() => this.#onProgress())
  }

  /** The fetch of a lane is over; false if it was before, or the fetcher is closed. */
  #forget(link: BrokerLink, fetch = this.#underWay.get(link)!): boolean {
    if (fetch.isDropped || this.#isClosed) return false
    fetch.isDropped = true
    this.#underWay.delete(link)
    for (const { partition, generation } of fetch.asked) {
      if (partition.askedGeneration === generation) partition.askedGeneration = NOT_ASKED
    }
    return true
  }

  #request(
    ready: ReadyLink,
    topics: readonly AskedTopic[],
    { maxBytes, namesRack }: FetchUnderWay,
    maxWaitMs: number,
  ): Promise<ResponseOf<'Fetch'>> {
    const versionMax = topics.every(({ info }) => hasTopicId(info)) ? Infinity : LAST_VERSION_WITH_NAMES
    const version = ready.version('Fetch', versionMax)
    const body = fetchRequest(this.#config, topics, { version, maxBytes, maxWaitMs, namesRack })
    const timeoutMs = this.#cluster.config.requestTimeoutMs + maxWaitMs
    return ready.request('Fetch', body, { versionMax, timeoutMs, expectedMs: maxWaitMs })
  }

  #take(answer: ResponseOf<'Fetch'>, topics: readonly AskedTopic[], fetch: FetchUnderWay): void {
    const nowMs = this.#cluster.ports.clock.monotonicMs()
    const asked = new Map(fetch.asked.map((each) => [each.partition, each]))
    let mustRefresh = false
    for (const topic of answer.responses) {
      const found = topics.find(({ info }) =>
        topic.topic === '' ? info.topicId === topic.topicId : info.name === topic.topic,
      )
      for (const one of topic.partitions) {
        const partition = found?.partitions.find((candidate) => candidate.partition === one.partitionIndex)
        const as = partition && asked.get(partition)
        if (partition === undefined || as?.generation !== partition.generation) continue
        if (fetch.namesRack && this.#isForLeader(as, one, nowMs)) continue
        if (one.errorCode === 0) this.#takeRecords(partition, one)
        else {
          const hasNews = this.#cluster.learnLeader(
            partition.topic,
            partition.partition,
            one.currentLeader,
            answer.nodeEndpoints,
          )
          mustRefresh = this.#refused(partition, one, nowMs) && !hasNews ? true : mustRefresh
        }
      }
    }
    if (mustRefresh) this.#cluster.refreshSoon()
  }

  /**
   * Whether the answer to a fetch that named the rack is to be had from elsewhere, or again of the leader alone; false: it
   * counts. A replica that is behind could make a log look cut, or an offset out of range.
   */
  #isForLeader({ partition, isAtReplica }: Asked, one: PartitionAnswer, nowMs: number): boolean {
    const { source } = partition
    const { preferredReadReplica } = one
    const { name } = errorByCode(one.errorCode)
    if (name === 'OFFSET_OUT_OF_RANGE' || one.divergingEpoch.endOffset >= 0) {
      source.stayWithLeader(nowMs)
      return true
    }
    if (name === 'NONE' && preferredReadReplica >= 0) {
      const isSound = !isAtReplica && this.#sourceOf(partition, nowMs) !== preferredReadReplica
      if (isSound && this.#cluster.nodes.has(preferredReadReplica))
        source.sentOn(preferredReadReplica, nowMs, this.#cluster.config.metadataMaxAgeMs)
      else source.stayWithLeader(nowMs) // sent in a circle, or to a broker of which nobody knows where it is
      return true
    }
    if (name === 'NONE') source.served(one.records?.length ?? 0, nowMs)
    else if (isAtReplica || name === 'OFFSET_NOT_AVAILABLE') source.refused(nowMs)
    return false
  }

  #takeRecords(partition: AssignedPartition, one: PartitionAnswer): void {
    partition.failureCount = 0
    partition.unknownSinceMs = Infinity
    // A new leader learns late how far its predecessor had come (docs/faults.md R7): what was committed once, is.
    partition.highWatermark = Math.max(partition.highWatermark, one.highWatermark)
    if (one.divergingEpoch.endOffset >= 0) {
      this.#truncated(partition, one.divergingEpoch.endOffset)
      return
    }
    const { records } = one
    if (records === null || records.length === 0) return
    const cutSize = findCutBatchSize(records)
    if (cutSize !== null) {
      if (cutSize > CUT_BATCH_BYTES_MAX) {
        partition.error = new ClientError(
          'CLIENT_CORRUPT_BATCH',
          `Cannot read the batch at offset ${partition.fetchOffset} of ${nameOf(partition)}: it claims ${cutSize} bytes, wanted at most ${CUT_BATCH_BYTES_MAX}`,
        )
      }
      partition.fetchBytesMax = Math.max(partition.fetchBytesMax, cutSize)
      return
    }
    partition.fetchBytesMax = this.#config.partitionBytesMax
    const aborted = this.#config.isReadCommitted ? (one.abortedTransactions ?? []) : null
    try {
      const { topic, fetchOffset } = partition
      const chunk = new FetchedChunk(
        topic,
        partition.partition,
        records,
        fetchOffset,
        partition.highWatermark,
        aborted,
      )
      partition.chunks.push(chunk)
      partition.bufferedBytes += chunk.size
      partition.fetchOffset = chunk.nextFetchOffset
      partition.lastFetchedEpoch = chunk.lastLeaderEpoch
    } catch (thrown) {
      if (!(thrown instanceof ClientError)) throw thrown
      partition.error = thrown
    }
  }

  /** Handles an error that concerns one partition; returns whether to look for its leader again. */
  #refused(partition: AssignedPartition, one: PartitionAnswer, nowMs: number): boolean {
    const { name, retriable } = errorByCode(one.errorCode)
    if (name === 'OFFSET_OUT_OF_RANGE') {
      this.#outOfRange(partition, one.logStartOffset)
      return false
    }
    const error = brokerError(`Cannot fetch from ${nameOf(partition)}`, one.errorCode)
    this.#failed(partition, nowMs)
    if (name === 'UNKNOWN_TOPIC_OR_PARTITION' || name === 'UNKNOWN_TOPIC_ID') {
      partition.unknownSinceMs = Math.min(partition.unknownSinceMs, nowMs)
      if (nowMs - partition.unknownSinceMs >= UNKNOWN_PARTITION_WAIT_MS) partition.error = error
      return true
    }
    if (isAboutLeader(one.errorCode)) return true
    if (!retriable) partition.error = error
    return retriable
  }

  #outOfRange(partition: AssignedPartition, logStartOffset: number): void {
    partition.highWatermark = UNKNOWN
    const { onOutOfRange } = this.#config
    const { fetchOffset } = partition
    if (onOutOfRange !== 'error') {
      const fields = {
        topic: partition.topic,
        partition: partition.partition,
        offset: fetchOffset,
        to: onOutOfRange,
      }
      this.#cluster.ports.logger.warn('Position is not in the log any more', fields)
      partition.seek(onOutOfRange)
      return
    }
    const start = logStartOffset >= 0 ? ` (it starts at ${logStartOffset})` : ''
    partition.error = new ClientError(
      'OFFSET_OUT_OF_RANGE',
      `Cannot read ${nameOf(partition)} at offset ${fetchOffset}: the log does not have it${start}; seek, or set onOutOfRange`,
    )
  }

  /** The log was cut: what this consumer read from `endOffset` on is no longer in it (KIP-320). */
  #truncated(partition: AssignedPartition, endOffset: number): void {
    partition.highWatermark = UNKNOWN // a log that is cut below what was committed is another one
    if (this.#config.onOutOfRange !== 'error') {
      partition.seek(Math.min(endOffset, partition.fetchOffset))
      return
    }
    partition.error = new ClientError(
      'CLIENT_LOG_TRUNCATED',
      `Cannot read ${nameOf(partition)} at offset ${partition.fetchOffset}: the log was cut at ${endOffset}, records read from there on are gone; seek to go on`,
    )
  }

  #requestFailed(asked: readonly Asked[], error: Error): void {
    const nowMs = this.#cluster.ports.clock.monotonicMs()
    const isFinal = !(error instanceof ClientError) || !error.retriable
    for (const { partition, generation, isAtReplica } of asked) {
      if (partition.generation !== generation) continue
      if (isAtReplica) partition.source.stayWithLeader(nowMs)
      if (isAtReplica && !isFinal) continue // its leader can be asked at once
      this.#failed(partition, nowMs)
      if (isFinal)
        partition.error =
          error instanceof ClientError
            ? error
            : new ClientError('CLIENT_PROTOCOL_VIOLATED', error.message, { cause: error })
    }
    if (isFinal) return
    this.#cluster.ports.logger.warn('Cannot fetch; trying again', { error })
    this.#cluster.refreshSoon()
  }

  #failed(partition: AssignedPartition, nowMs: number): void {
    partition.failureCount++
    const { config, ports } = this.#cluster
    partition.notBeforeMs = nowMs + backoffMs(config.backoff, partition.failureCount, ports.random)
  }

  #armTimer(atMs: number): void {
    if (atMs >= this.#timerAtMs) return
    this.#cancelTimer?.()
    const { clock } = this.#cluster.ports
    this.#timerAtMs = atMs
    this.#cancelTimer = clock.after(Math.max(0, atMs - clock.monotonicMs()), () => {
      this.#timerAtMs = Infinity
      this.#cancelTimer = null
      this.schedule()
    })
  }
}

/** Whether there is a reason to ask for the partition: it is wanted, and what comes next is not under way. */
function canBeFetched(partition: AssignedPartition): boolean {
  const { isPaused, error, fetchOffset, askedGeneration, generation } = partition
  return !isPaused && error === null && fetchOffset !== UNKNOWN && askedGeneration !== generation
}

function nameOf(partition: AssignedPartition): string {
  return `${partition.topic}-${partition.partition}`
}
