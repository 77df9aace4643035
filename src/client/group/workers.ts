/**
 * Handles records of several partitions at a time, each partition's in order.
 *
 * Invariants:
 * - Of one partition one record at a time is with the handler, by ascending offset.
 * - After a handler has failed, or the signal has fired, no handler is begun; those that run are waited for.
 * - What was fetched and not handled is handed out again by a later loop.
 */
import { toError } from '../client-error.ts'
import type { ConsumerBatch, ConsumerRecord, StartPosition, TopicPartition } from '../consumer-options.ts'
import type { Hand } from './progress.ts'

export type RecordHandler<K, V> = (
  record: ConsumerRecord<K, V>,
  context: { readonly signal: AbortSignal },
) => void | Promise<void>

/** What the workers need of the consumer. */
export interface WorkerPorts<K, V> {
  batches(signal: AbortSignal): AsyncIterableIterator<ConsumerBatch<K, V>>
  begin(partition: TopicPartition, offset: number): Hand | null
  finish(hand: Hand, nextOffset: number): void
  release(hand: Hand): void
  /** Hands out nothing more of a partition, or again. */
  hold(partition: TopicPartition): void
  unhold(partition: TopicPartition): void
  seek(partition: TopicPartition, to: StartPosition): void
}

/**
 * Runs until the signal fires or the consumer ends; resolves when the last handler has.
 *
 * @param concurrency - Partitions at a time.
 * @throws What a handler threw, after the others have ended.
 */
export async function runWorkers<K, V>(
  ports: WorkerPorts<K, V>,
  handler: RecordHandler<K, V>,
  concurrency: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  const stop = new AbortController()
  const onAbort = (): void => stop.abort(signal?.reason)
  if (signal?.aborted === true) return
  signal?.addEventListener('abort', onAbort, { once: true })
  const active = new Set<Promise<void>>()
  let failure: Error | null = null

  const work = async (batch: ConsumerBatch<K, V>): Promise<void> => {
    const { records, nextOffset } = batch
    for (const [index, record] of records.entries()) {
      if (stop.signal.aborted) {
        ports.seek(batch, record.offset)
        return
      }
      const hand = ports.begin(record, record.offset)
      if (hand === null) return // it is another member's now
      try {
        const handled = handler(record, { signal: stop.signal })
        if (handled !== undefined) await handled
      } catch (thrown) {
        ports.release(hand)
        ports.seek(batch, record.offset)
        throw thrown
      }
      ports.finish(hand, records[index + 1]?.offset ?? nextOffset)
    }
  }

  try {
    for await (const batch of ports.batches(stop.signal)) {
      ports.hold(batch)
      const worker = work(batch)
        .catch((thrown: unknown) => {
          failure ??= toError(thrown)
          stop.abort(failure)
        })
        .finally(() => {
          active.delete(worker)
          ports.unhold(batch)
        })
      active.add(worker)
      while (active.size >= concurrency && !stop.signal.aborted) await Promise.race(active)
    }
  } catch (error) {
    if (!stop.signal.aborted) failure = toError(error)
  } finally {
    stop.abort()
    signal?.removeEventListener('abort', onAbort)
    await Promise.all(active)
  }
  if (failure !== null) throw failure
}
