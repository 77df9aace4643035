/** Administration of records: which offsets there are, and deletion from the beginning; both by the leaders. Control plane. */
import { countOrNull, groupBy, timestampFor } from './admin-answers.ts'
import { ANSWER_GRACE_MS } from './admin-requests.ts'
import type { AdminRequests } from './admin-requests.ts'
import type {
  AdminOptions,
  ListedOffset,
  ListOffsetsOptions,
  ListOffsetsQuery,
  RecordDeletion,
  RemainingRecords,
} from './admin-types.ts'
import type { BrokerLink } from './broker-link.ts'
import type { ItemFailure } from './client-error.ts'
import { brokerError, ClientError, throwFailures } from './client-error.ts'
import { lookUpOffsets } from './offset-lookup.ts'

/** "The high watermark". */
const UNTIL_END = -1

export async function deleteRecords(
  requests: AdminRequests,
  deletions: readonly RecordDeletion[],
  options: AdminOptions,
): Promise<RemainingRecords[]> {
  const { cluster } = requests
  await requests.discover(deletions, options)
  const timeoutMs = requests.timeoutMs(options)
  const groups = new Map<BrokerLink, RecordDeletion[]>()
  for (const deletion of deletions) {
    const link = cluster.findLeaderLink(deletion.topic, deletion.partition, 'requests')
    if (link === null) {
      // Whoever tries again must not be told the same of a leader that is there by then.
      cluster.refreshSoon()
      throw new ClientError(
        'LEADER_NOT_AVAILABLE',
        `Cannot delete records of ${deletion.topic}-${deletion.partition}: it has no leader now`,
        { retriable: true },
      )
    }
    groups.set(link, [...(groups.get(link) ?? []), deletion])
  }
  const remaining: RemainingRecords[] = []
  const failures: ItemFailure[] = []
  await Promise.all(
    [...groups].map(async ([link, some]) => {
      const topics = groupBy(some, ({ topic }) => topic)
      const body = {
        topics: [...topics].map(([name, parts]) => ({
          name,
          partitions: parts.map(({ partition, before }) => ({
            partitionIndex: partition,
            offset: before === 'end' ? UNTIL_END : before,
          })),
        })),
        timeoutMs,
      }
      const answer = await link
        .request('DeleteRecords', body, { signal: options.signal, timeoutMs: timeoutMs + ANSWER_GRACE_MS })
        .catch((error: unknown) => {
          if (error instanceof ClientError && error.retriable) cluster.refreshSoon(link)
          throw error
        })
      for (const { name, partitions } of answer.topics) {
        for (const { partitionIndex, lowWatermark, errorCode } of partitions) {
          const item = `${name}-${partitionIndex}`
          if (errorCode === 0)
            remaining.push({ topic: name, partition: partitionIndex, logStartOffset: lowWatermark })
          else failures.push({ item, error: brokerError(`Cannot delete records of ${item}`, errorCode) })
        }
      }
    }),
  )
  if (failures.some(({ error }) => error.retriable)) cluster.refreshSoon()
  throwFailures('Cannot delete records', failures)
  return deletions.flatMap(({ topic, partition }) =>
    remaining.filter((one) => one.topic === topic && one.partition === partition),
  )
}

export async function listOffsets(
  requests: AdminRequests,
  queries: readonly ListOffsetsQuery[],
  options: ListOffsetsOptions,
): Promise<ListedOffset[]> {
  const { cluster } = requests
  await requests.discover(queries, options)
  const timeoutMs = requests.timeoutMs(options)
  const asked = queries.map(({ topic, partition, at }) => ({
    topic,
    partition,
    timestamp: timestampFor(at),
  }))
  const answers = await lookUpOffsets(cluster, asked, {
    isReadCommitted: options.isolation === 'read_committed',
    deadlineMs: cluster.ports.clock.monotonicMs() + timeoutMs,
    signal: options.signal,
  })
  const failures = answers.flatMap(({ query, error }) =>
    error === null ? [] : [{ item: `${query.topic}-${query.partition}`, error }],
  )
  throwFailures('Cannot look up offsets', failures)
  return answers.map(({ query: { topic, partition }, offset, timestamp, leaderEpoch }) => ({
    topic,
    partition,
    offset: countOrNull(offset),
    timestamp: countOrNull(timestamp),
    leaderEpoch: countOrNull(leaderEpoch),
  }))
}
