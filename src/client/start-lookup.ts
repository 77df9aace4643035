/**
 * Finds out where partitions begin, and for `untilEnd` where they end: what is given as an end of the log or a time is asked
 * of the leaders.
 *
 * Invariant: a partition that the application has moved meanwhile keeps its new place.
 */
import type { AssignedPartition } from './assigned-partition.ts'
import { UNKNOWN } from './assigned-partition.ts'
import { ClientError } from './client-error.ts'
import type { Cluster } from './cluster.ts'
import type { StartPosition, TopicPartition } from './consumer-options.ts'
import type { OffsetAnswer, OffsetQuery } from './offset-lookup.ts'
import { EARLIEST, LATEST } from './offset-lookup.ts'

/** Answers queries in their order. */
export type LookUp = (queries: readonly OffsetQuery[]) => Promise<readonly OffsetAnswer[]>

/** Asks for what positions and ends depend on; returns whether something is still unknown and may be had later. */
export async function lookUpStarts(
  cluster: Cluster,
  partitions: readonly AssignedPartition[],
  untilEnd: boolean,
  lookUp: LookUp,
): Promise<boolean> {
  const sound = partitions.filter(({ topic, error }) => error === null && cluster.findTopic(topic) !== null)
  for (const partition of sound) partition.error = findAbsence(cluster, partition)
  const unknown = sound.filter(({ position, error }) => position === UNKNOWN && error === null)
  const endless = untilEnd
    ? sound.filter(({ endOffset, error }) => endOffset === UNKNOWN && error === null)
    : []
  const generations = unknown.map(({ generation }) => generation)
  const queries = unknown.map((partition) => queryFor(partition, partition.start))
  const ends = [...new Set([...unknown, ...endless])].map((partition) => queryFor(partition, 'end'))
  const needsEnds = untilEnd || unknown.some(({ start }) => typeof start === 'object')
  const [startAnswers, endAnswers] = await Promise.all([lookUp(queries), lookUp(needsEnds ? ends : [])])
  const endOf = new Map(
    endAnswers.map((answer) => [`${answer.query.topic}-${answer.query.partition}`, answer]),
  )
  for (const partition of endless) {
    const end = endOf.get(`${partition.topic}-${partition.partition}`)!
    if (end.error === null) partition.endOffset = end.offset
    else if (!end.error.retriable) partition.error = end.error
  }
  for (const [index, partition] of unknown.entries()) {
    if (partition.generation !== generations[index]) continue
    const { offset, error } = startAnswers[index]!
    const end = endOf.get(`${partition.topic}-${partition.partition}`)
    if (error === null && offset >= 0) partition.jump(offset)
    else if (error === null && end?.error === null)
      partition.jump(end.offset) // nothing at or after that time
    else if (error !== null && !error.retriable) partition.error = error
  }
  return partitions.some(
    ({ position, endOffset, error }) =>
      error === null && (position === UNKNOWN || (untilEnd && endOffset === UNKNOWN)),
  )
}

function findAbsence(cluster: Cluster, { topic, partition }: AssignedPartition): ClientError | null {
  const count = cluster.findTopic(topic)!.partitions.length
  if (partition < count) return null
  const message = `Cannot read ${topic}-${partition}: the topic has partitions 0 to ${count - 1}`
  return new ClientError('UNKNOWN_TOPIC_OR_PARTITION', message)
}

function queryFor({ topic, partition }: TopicPartition, start: StartPosition): OffsetQuery {
  const timestamp =
    start === 'beginning'
      ? EARLIEST
      : start === 'end'
        ? LATEST
        : typeof start === 'object'
          ? start.timestamp
          : LATEST
  return { topic, partition, timestamp }
}
