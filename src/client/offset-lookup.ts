/**
 * Finds offsets by time, or the first and last ones, at the leaders of the partitions (ListOffsets), and tries again
 * where a leader has moved.
 */
import { backoffMs } from '../base/backoff.ts'
import type { ResponseOf } from '../protocol/apis.ts'
import { errorByCode } from '../protocol/errors.ts'
import { abortable, pause } from './backoff.ts'
import type { BrokerLink } from './broker-link.ts'
import { brokerError, ClientError, throwIfAborted, toError } from './client-error.ts'
import type { Cluster } from './cluster.ts'

/** In place of a timestamp. */
export const LATEST = -1
export const EARLIEST = -2
/** The record with the largest timestamp (KIP-734). */
export const MAX_TIMESTAMP = -3

export interface OffsetQuery {
  readonly topic: string
  readonly partition: number
  /** In ms since the Unix epoch, or one of the constants above. */
  readonly timestamp: number
}

export interface OffsetAnswer {
  readonly query: OffsetQuery
  /** -1: there is no record with that time or a later one. */
  readonly offset: number
  readonly timestamp: number
  readonly leaderEpoch: number
  /** Null when the rest counts. */
  readonly error: ClientError | null
}

export interface LookupOptions {
  readonly isReadCommitted: boolean
  /** On the monotonic clock. */
  readonly deadlineMs: number
  readonly signal?: AbortSignal | undefined
}

const CONSUMER_REPLICA_ID = -1
const ATTEMPTED = 'Cannot look up offsets'

/**
 * Answers in the order of the queries; a failure is an answer. The topics must be known to the cluster.
 *
 * @throws {ClientError} `CLIENT_ABORTED`, `CLIENT_CLOSED`.
 */
export async function lookUpOffsets(
  cluster: Cluster,
  queries: readonly OffsetQuery[],
  options: LookupOptions,
): Promise<readonly OffsetAnswer[]> {
  const { clock, random } = cluster.ports
  const answers = new Map<OffsetQuery, OffsetAnswer>()
  for (let attempt = 1; ; attempt++) {
    const open = queries.filter((query) => answers.get(query)?.error?.retriable ?? !answers.has(query))
    const requests = groupByLeader(cluster, open, answers)
    await Promise.all(requests.map(({ link, queries: some }) => ask(link, some, answers, options)))
    const isDone = queries.every((query) => answers.get(query)!.error?.retriable !== true)
    if (isDone || clock.monotonicMs() >= options.deadlineMs)
      return queries.map((query) => answers.get(query)!)
    throwIfAborted(options.signal, ATTEMPTED)
    if (cluster.isClosed) throw new ClientError('CLIENT_CLOSED', `${ATTEMPTED}: the client is closed`)
    const failed = queries.map((query) => answers.get(query)!).find(({ error }) => error?.retriable === true)!
    cluster.ports.logger.warn(`${ATTEMPTED}; trying again`, { attempt, error: failed.error })
    await pause(clock, backoffMs(cluster.config.backoff, attempt, random), ATTEMPTED, options.signal)
    await abortable(cluster.refresh(), ATTEMPTED, options.signal).catch(() => undefined) // seen in the next attempt
  }
}

interface Request {
  readonly link: BrokerLink
  readonly queries: OffsetQuery[]
}

/** One request per leader; more where a partition is asked about more than once, which one request must not do. */
function groupByLeader(
  cluster: Cluster,
  queries: readonly OffsetQuery[],
  answers: Map<OffsetQuery, OffsetAnswer>,
): readonly Request[] {
  const requests: Request[] = []
  const partitionsAsked = new Map<Request, Set<string>>()
  for (const query of queries) {
    const link = cluster.findLeaderLink(query.topic, query.partition, 'requests')
    if (link === null) {
      const exists = cluster.findPartition(query.topic, query.partition) !== null
      const code = exists ? 'LEADER_NOT_AVAILABLE' : 'UNKNOWN_TOPIC_OR_PARTITION'
      const message = `${attempt(query)}: ${exists ? 'it has no leader now' : 'there is no such partition'}`
      answers.set(query, failure(query, new ClientError(code, message, { retriable: exists })))
      continue
    }
    const name = `${query.topic}-${query.partition}`
    let request = requests.find((one) => one.link === link && !partitionsAsked.get(one)!.has(name))
    if (request === undefined) {
      request = { link, queries: [] }
      requests.push(request)
      partitionsAsked.set(request, new Set())
    }
    request.queries.push(query)
    partitionsAsked.get(request)!.add(name)
  }
  return requests
}

async function ask(
  link: BrokerLink,
  queries: readonly OffsetQuery[],
  answers: Map<OffsetQuery, OffsetAnswer>,
  { isReadCommitted, signal }: LookupOptions,
): Promise<void> {
  const topics = new Map<string, { partitionIndex: number; timestamp: number }[]>()
  for (const { topic, partition, timestamp } of queries) {
    const partitions = topics.get(topic) ?? []
    partitions.push({ partitionIndex: partition, timestamp })
    topics.set(topic, partitions)
  }
  try {
    const answer = await link.request(
      'ListOffsets',
      {
        replicaId: CONSUMER_REPLICA_ID,
        isolationLevel: isReadCommitted ? 1 : 0,
        topics: [...topics].map(([name, partitions]) => ({ name, partitions })),
      },
      { signal },
    )
    for (const query of queries) answers.set(query, read(query, answer))
  } catch (thrown) {
    const error = toError(thrown)
    if (!(error instanceof ClientError) || error.code === 'CLIENT_ABORTED' || error.code === 'CLIENT_CLOSED')
      throw error
    for (const query of queries) answers.set(query, failure(query, error))
  }
}

function read(query: OffsetQuery, answer: ResponseOf<'ListOffsets'>): OffsetAnswer {
  const found = answer.topics
    .find(({ name }) => name === query.topic)
    ?.partitions.find(({ partitionIndex }) => partitionIndex === query.partition)
  if (found === undefined) {
    const message = `${attempt(query)}: the broker's answer leaves it out`
    return failure(query, new ClientError('CLIENT_PROTOCOL_VIOLATED', message))
  }
  const { errorCode, offset, timestamp, leaderEpoch } = found
  if (errorByCode(errorCode).name !== 'NONE') return failure(query, brokerError(attempt(query), errorCode))
  return { query, offset, timestamp, leaderEpoch, error: null }
}

function failure(query: OffsetQuery, error: ClientError): OffsetAnswer {
  return { query, offset: -1, timestamp: -1, leaderEpoch: -1, error }
}

function attempt({ topic, partition }: OffsetQuery): string {
  return `Cannot look up an offset of ${topic}-${partition}`
}
