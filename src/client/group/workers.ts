/**
 * Handles records of several partitions at a time, each partition's in order.
 *
 * Invariants:
 * - Of one partition one record at a time is with the handler, by ascending offset. That holds as well when the partition was
 *   lost and came back: what began before comes to its end first, and nothing more of that time is begun.
 * - After a handler has failed, or the signal has fired, no handler is begun; those that run are waited for.
 * - What was fetched and not handled is handed out again by a later loop.
 */
import { onAbort } from '../../base/on-abort.ts'
import { toError } from '../client-error.ts'
import type { ConsumerBatch, ConsumerRecord, StartPosition, TopicPartition } from '../consumer-options.ts'
import type { Hand, Owned } from './progress.ts'

export type RecordHandler<K, V> = (
  record: ConsumerRecord<K, V>,
  context: { readonly signal: AbortSignal },
) => void | Promise<void>

/** What the workers need of the consumer. */
export interface WorkerPorts<K, V> {
  batches(signal: AbortSignal): AsyncIterableIterator<ConsumerBatch<K, V>>
  /** Hands out nothing more of a partition until `unhold`. Null: it is not the member's any more. */
  hold(partition: TopicPartition): Owned | null
  unhold(owned: Owned): void
  /** Null: the member has it no more, or has got it anew since. */
  begin(owned: Owned, offset: number): Hand | null
  finish(hand: Hand, nextOffset: number): void
  release(hand: Hand): void
  seek(owned: Owned, to: StartPosition): void
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
  if (signal?.aborted === true) return
  const forget = onAbort(signal, () => stop.abort(signal?.reason))
  const active = new Set<Promise<void>>()
  /** The last worker of a partition, by topic and partition, while it runs. */
  const workers = new Map<string, Promise<void>>()
  let failure: Error | null = null

  const work = async (
    batch: ConsumerBatch<K, V>,
    owned: Owned,
    former: Promise<void> | undefined,
  ): Promise<void> => {
    const { records, nextOffset } = batch
    if (former !== undefined) {
      // The partition was lost and is back, and a handler of that time is not done yet. What waits for it counts as in hand: a
      // member that never gets on with a partition must not keep it.
      const waiting = ports.begin(owned, records[0]!.offset)
      if (waiting === null) return
      await former
      ports.release(waiting)
    }
    for (const [index, record] of records.entries()) {
      if (stop.signal.aborted) {
        ports.seek(owned, record.offset)
        return
      }
      const hand = ports.begin(owned, record.offset)
      if (hand === null) return // it is another member's now
      try {
        const handled = handler(record, { signal: stop.signal })
        if (handled !== undefined) await handled
      } catch (thrown) {
        ports.release(hand)
        ports.seek(owned, record.offset)
        throw thrown
      }
      ports.finish(hand, records[index + 1]?.offset ?? nextOffset)
    }
  }

  try {
    for await (const batch of ports.batches(stop.signal)) {
      const owned = ports.hold(batch)
      if (owned === null) continue
      const place = `${batch.topic}-${batch.partition}`
      const worker = work(batch, owned, workers.get(place))
        .catch((thrown: unknown) => {
          failure ??= toError(thrown)
          stop.abort(failure)
        })
        .finally(() => {
          active.delete(worker)
          if (workers.get(place) === worker) workers.delete(place)
          ports.unhold(owned)
        })
      workers.set(place, worker)
      active.add(worker)
      while (active.size >= concurrency && !stop.signal.aborted) await Promise.race(active)
    }
  } catch (error) {
    if (!stop.signal.aborted) failure = toError(error)
  } finally {
    stop.abort()
    forget()
    await Promise.all(active)
  }
  if (failure !== null) throw failure
}
