/**
 * The two ways to loop over a consumer: by records and by batches. A loop holds the consumer until it ends or is left; what it
 * has not taken goes back, and a later loop goes on there.
 */
import type { AssignedPartition } from './assigned-partition.ts'
import type { ConsumerBatch, ConsumerRecord } from './consumer-options.ts'

/** Records that were decoded and not yet all handed out. */
export interface Current<K, V> {
  readonly partition: AssignedPartition
  /** The partition's, when they were decoded: after a jump they are not wanted any more. */
  readonly generation: number
  readonly batch: ConsumerBatch<K, V>
  /** The next of `batch.records`. */
  index: number
}

/** The consumer, as a loop sees it. */
export interface LoopSource<K, V> {
  /** @throws {ClientError} `CLIENT_BAD_ARGUMENT` if there is a loop already; `CLIENT_CLOSED`. */
  claim(): void
  release(): void
  /** The next records, however long it takes; null at the end. */
  next(signal: AbortSignal | undefined): Promise<Current<K, V> | null>
  /** Whether the rest of them may be handed out now. */
  isServable(current: Current<K, V>): boolean
  /** Takes the rest of them back. */
  keep(current: Current<K, V>): void
}

export function recordLoop<K, V>(
  source: LoopSource<K, V>,
  signal: AbortSignal | undefined,
): AsyncIterableIterator<ConsumerRecord<K, V>> {
  let current: Current<K, V> | null = null
  let isDone = false
  source.claim()
  const leave = (): void => {
    if (isDone) return
    isDone = true
    if (current !== null) source.keep(current)
    current = null
    source.release()
  }
  const take = (from: Current<K, V>): IteratorResult<ConsumerRecord<K, V>, undefined> => {
    const { records, nextOffset } = from.batch
    const record = records[from.index++]!
    const isLast = from.index === records.length
    from.partition.position = isLast ? nextOffset : record.offset + 1
    if (isLast) current = null
    return { done: false, value: record }
  }
  const fetchNext = async (): Promise<IteratorResult<ConsumerRecord<K, V>, undefined>> => {
    try {
      const found = await source.next(signal)
      if (found === null || isDone) {
        leave()
        return { done: true, value: undefined }
      }
      current = found
      return take(found)
    } catch (error) {
      leave()
      throw error
    }
  }
  return {
    next: () => {
      if (isDone) return Promise.resolve({ done: true, value: undefined })
      if (current !== null && (!source.isServable(current) || signal?.aborted === true)) {
        source.keep(current)
        current = null
      }
      return current === null ? fetchNext() : Promise.resolve(take(current))
    },
    return: async () => {
      leave()
      return { done: true, value: undefined }
    },
    [Symbol.asyncIterator]() {
      return this
    },
  }
}

export function batchLoop<K, V>(
  source: LoopSource<K, V>,
  signal: AbortSignal | undefined,
): AsyncIterableIterator<ConsumerBatch<K, V>> {
  let isDone = false
  source.claim()
  const leave = (): IteratorResult<ConsumerBatch<K, V>, undefined> => {
    if (!isDone) source.release()
    isDone = true
    return { done: true, value: undefined }
  }
  return {
    next: async () => {
      if (isDone) return { done: true, value: undefined }
      try {
        const found = await source.next(signal)
        if (found === null) return leave()
        const { batch, index, partition } = found
        partition.position = batch.nextOffset
        return {
          done: false,
          value: index === 0 ? batch : { ...batch, records: batch.records.slice(index) },
        }
      } catch (error) {
        leave()
        throw error
      }
    },
    return: async () => leave(),
    [Symbol.asyncIterator]() {
      return this
    },
  }
}
