/**
 * Fetches ahead of the application: at most one fetch under way per broker, for all of its partitions that have room, on a
 * connection of its own, while the application reads what came before.
 *
 * Invariants: what is buffered plus what was asked for stays within `prefetchBytesMax`, soft by a batch a partition; an
 * answer from before a seek is dropped.
 */
import type { Cancel } from '../env/index.ts'
import type { RequestInputOf, ResponseOf } from '../protocol/apis.ts'
import { errorByCode } from '../protocol/errors.ts'
import { findCutBatchSize } from '../records/fetched-batches.ts'
import type { AssignedPartition } from './assigned-partition.ts'
import { UNKNOWN } from './assigned-partition.ts'
import { backoffMs } from './backoff.ts'
import type { BrokerLink } from './broker-link.ts'
import { brokerError, ClientError, toError } from './client-error.ts'
import type { Cluster, Purpose, TopicInfo } from './cluster.ts'
import { hasTopicId } from './cluster.ts'
import type { ConsumerConfig } from './consumer-options.ts'
import { FetchedChunk } from './fetched-chunk.ts'
import { isAboutLeader } from './produce-outcome.ts'

/** How long a partition may be unknown to all brokers before that is an error, in ms: a leader may be moving. */
const UNKNOWN_PARTITION_WAIT_MS = 10_000
/** From this version on topics go by id. */
const LAST_VERSION_WITH_NAMES = 12
/** Largest batch that is asked for after a cut one, in bytes; brokers take 1 MiB unless told otherwise. */
const CUT_BATCH_BYTES_MAX = 64 * 1024 * 1024

/**
 * How long a broker may hold a fetch that leaves out partitions whose buffers are full, in ms: a long poll for the idle
 * ones would keep the busy ones waiting after the application has read them.
 */
const CROWDED_WAIT_MS = 10

const CONSUMER_REPLICA_ID = -1

type FetcherConfig = Pick<
  ConsumerConfig<never, never>,
  'isReadCommitted' | 'maxWaitMs' | 'minBytes' | 'onOutOfRange' | 'partitionBytesMax' | 'prefetchBytesMax'
>
type PartitionAnswer = ResponseOf<'Fetch'>['responses'][number]['partitions'][number]

/** A partition as it was when it was asked for. */
interface Asked {
  readonly partition: AssignedPartition
  readonly generation: number
}

export class Fetcher {
  readonly #cluster: Cluster
  readonly #config: FetcherConfig
  readonly #purpose: Purpose
  readonly #onProgress: () => void
  #partitions: readonly AssignedPartition[] = []
  /** Ways with a fetch under way, and the bytes it may bring. */
  readonly #underWay = new Map<BrokerLink, number>()
  /** Where the next fetch begins among the partitions, so that each comes first in turn. */
  #turn = 0
  #isScheduled = false
  #isClosed = false
  #cancelTimer: Cancel | null = null
  #timerAtMs = Infinity

  /** @param onProgress - Something came, or something failed: look again. */
  constructor(cluster: Cluster, config: FetcherConfig, purpose: Purpose, onProgress: () => void) {
    this.#cluster = cluster
    this.#config = config
    this.#purpose = purpose
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
      if (!this.#isClosed) this.#fetchAll()
    })
  }

  close(): void {
    this.#isClosed = true
    this.#cancelTimer?.()
    this.#cluster.closeLinks(this.#purpose)
  }

  #fetchAll(): void {
    const { clock } = this.#cluster.ports
    const nowMs = clock.monotonicMs()
    const count = this.#partitions.length
    const groups = new Map<BrokerLink, AssignedPartition[]>()
    const crowded = new Set<BrokerLink>()
    let room = this.#config.prefetchBytesMax
    for (const { bufferedBytes } of this.#partitions) room -= bufferedBytes
    for (const bytes of this.#underWay.values()) room -= bytes
    let mustRefresh = false
    for (let index = 0; index < count; index++) {
      const partition = this.#partitions[(this.#turn + index) % count]!
      if (!this.#canBeFetched(partition)) continue
      if (partition.bufferedBytes >= this.#config.partitionBytesMax) {
        const full = this.#cluster.findLeaderLink(partition.topic, partition.partition, this.#purpose)
        if (full !== null) crowded.add(full)
        continue
      }
      if (partition.notBeforeMs > nowMs) {
        this.#armTimer(partition.notBeforeMs)
        continue
      }
      const link = this.#cluster.findLeaderLink(partition.topic, partition.partition, this.#purpose)
      if (link === null) {
        this.#failed(partition, nowMs)
        this.#armTimer(partition.notBeforeMs)
        mustRefresh = true
        continue
      }
      if (this.#underWay.has(link)) continue
      const group = groups.get(link)
      if (group === undefined) groups.set(link, [partition])
      else group.push(partition)
    }
    if (mustRefresh) this.#cluster.refreshSoon()
    this.#turn = count === 0 ? 0 : (this.#turn + 1) % count
    for (const [link, group] of groups) {
      if (room <= 0) return // what the application reads makes room and schedules
      const wanted = group.reduce((sum, { fetchBytesMax }) => sum + fetchBytesMax, 0)
      const bytesMax = Math.min(room, wanted)
      room -= bytesMax
      const waitMs = crowded.has(link)
        ? Math.min(CROWDED_WAIT_MS, this.#config.maxWaitMs)
        : this.#config.maxWaitMs
      void this.#fetch(
        link,
        group,
        Math.max(bytesMax, ...group.map(({ fetchBytesMax }) => fetchBytesMax)),
        waitMs,
      )
    }
  }

  #canBeFetched(partition: AssignedPartition): boolean {
    return !partition.isPaused && partition.error === null && partition.fetchOffset !== UNKNOWN
  }

  async #fetch(
    link: BrokerLink,
    group: readonly AssignedPartition[],
    bytesMax: number,
    maxWaitMs: number,
  ): Promise<void> {
    const asked = group.map((partition) => ({ partition, generation: partition.generation }))
    this.#underWay.set(link, bytesMax)
    try {
      const topics = this.#topicsOf(group)
      const versionMax = topics.every(({ info }) => hasTopicId(info)) ? Infinity : LAST_VERSION_WITH_NAMES
      const answer = await this.#request(link, topics, { maxBytes: bytesMax, maxWaitMs }, versionMax)
      if (this.#isClosed) return
      if (answer.errorCode !== 0) throw brokerError('Cannot fetch', answer.errorCode)
      this.#take(answer, topics, asked)
    } catch (thrown) {
      if (this.#isClosed) return
      this.#requestFailed(asked, toError(thrown))
    } finally {
      this.#underWay.delete(link)
      this.schedule()
    }
    this.#onProgress()
  }

  #request(
    link: BrokerLink,
    topics: readonly { info: TopicInfo; partitions: readonly AssignedPartition[] }[],
    { maxBytes, maxWaitMs }: { maxBytes: number; maxWaitMs: number },
    versionMax: number,
  ): Promise<ResponseOf<'Fetch'>> {
    const { minBytes, isReadCommitted } = this.#config
    return this.#prepared(link).then((sendsEpochs) => {
      const body: RequestInputOf<'Fetch'> = {
        replicaId: CONSUMER_REPLICA_ID,
        maxWaitMs,
        minBytes,
        maxBytes,
        isolationLevel: isReadCommitted ? 1 : 0,
        topics: topics.map(({ info, partitions }) => ({
          topic: info.name,
          topicId: info.topicId,
          partitions: partitions.map((one) => ({
            partition: one.partition,
            currentLeaderEpoch: info.partitions[one.partition]!.leaderEpoch,
            fetchOffset: one.fetchOffset,
            ...(sendsEpochs ? { lastFetchedEpoch: one.lastFetchedEpoch } : {}),
            partitionMaxBytes: one.fetchBytesMax,
          })),
        })),
      }
      const timeoutMs = this.#cluster.config.requestTimeoutMs + maxWaitMs
      return link.request('Fetch', body, { versionMax, timeoutMs })
    })
  }

  /** Connects; tells whether the broker looks at the epochs of what was fetched. */
  async #prepared(link: BrokerLink): Promise<boolean> {
    const ready = await link.connect()
    return ready.version('Fetch') >= LAST_VERSION_WITH_NAMES
  }

  #topicsOf(group: readonly AssignedPartition[]): { info: TopicInfo; partitions: AssignedPartition[] }[] {
    const topics = new Map<string, { info: TopicInfo; partitions: AssignedPartition[] }>()
    for (const partition of group) {
      const known = topics.get(partition.topic)
      if (known !== undefined) known.partitions.push(partition)
      else
        topics.set(partition.topic, {
          info: this.#cluster.findTopic(partition.topic)!,
          partitions: [partition],
        })
    }
    return [...topics.values()]
  }

  #take(
    answer: ResponseOf<'Fetch'>,
    topics: readonly { info: TopicInfo; partitions: readonly AssignedPartition[] }[],
    asked: readonly Asked[],
  ): void {
    const nowMs = this.#cluster.ports.clock.monotonicMs()
    const generations = new Map(asked.map(({ partition, generation }) => [partition, generation]))
    let mustRefresh = false
    for (const topic of answer.responses) {
      const found = topics.find(({ info }) =>
        topic.topic === '' ? info.topicId === topic.topicId : info.name === topic.topic,
      )
      for (const one of topic.partitions) {
        const partition = found?.partitions.find((candidate) => candidate.partition === one.partitionIndex)
        if (partition === undefined || generations.get(partition) !== partition.generation) continue
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

  #takeRecords(partition: AssignedPartition, one: PartitionAnswer): void {
    partition.failureCount = 0
    partition.unknownSinceMs = Infinity
    partition.highWatermark = one.highWatermark
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
        one.highWatermark,
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
    for (const { partition, generation } of asked) {
      if (partition.generation !== generation) continue
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

function nameOf(partition: AssignedPartition): string {
  return `${partition.topic}-${partition.partition}`
}
