/**
 * Splits a batch that the broker finds too large into two with the same records in the same order. Rare: batches are
 * far below the brokers' default bound, so this happens where a topic's `max.message.bytes` was lowered.
 */
import type { CodecSet } from '../records/compression/codec-set.ts'
import { decodeRecords } from '../records/record-reader.ts'
import type { BuilderPool } from './builder-pool.ts'
import { ProducerBatch } from './producer-batch.ts'

/** @param batch - Sealed, of at least two records, never appended by a broker. Its waiters move to the halves. */
export function splitBatch(
  batch: ProducerBatch,
  pool: BuilderPool,
  codecs: CodecSet,
): readonly [ProducerBatch, ProducerBatch] {
  const { topic, partition, createdAtMs, recordCount, bufferedBytes } = batch
  const splitIndex = recordCount >> 1
  const head = new ProducerBatch(topic, partition, pool.take(), createdAtMs)
  const tail = new ProducerBatch(topic, partition, pool.take(), createdAtMs)
  let index = 0
  for (const record of decodeRecords(batch.bytes!, codecs, { checksCrc: false })) {
    const half = index < splitIndex ? head : tail
    half.builder.append(record)
    half.recordCount++
    index++
  }
  head.bufferedBytes = Math.floor(bufferedBytes / 2)
  tail.bufferedBytes = bufferedBytes - head.bufferedBytes
  for (const [half, firstIndex] of [
    [head, 0],
    [tail, splitIndex],
  ] as const) {
    half.identity = batch.identity
    half.baseSequence = batch.baseSequence < 0 ? -1 : (batch.baseSequence + firstIndex) % 0x8000_0000
    half.attemptCount = batch.attemptCount
    half.mayBeInLog = batch.mayBeInLog
  }
  batch.moveWaiters(head, tail, splitIndex)
  return [head, tail]
}
