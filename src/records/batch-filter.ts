/**
 * Takes records out of a batch that is in a log: the one place where the broker writes batches of others anew.
 *
 * What stays of a batch: base offset, last offset, leader epoch, producer id, epoch and base sequence, codec, and of each
 * record that stays its offset, timestamp, key, value and headers. What changes: the count, the largest timestamp and the
 * CRC; and when a delete horizon is set, the base timestamp, which then is that horizon, and all deltas to it (KIP-534).
 *
 * A batch without records keeps its header alone:
 *
 *   emptied   of a producer: its sequence numbers go on to be known
 *   filler    of nobody: it says that the offsets from base to last hold no record any more, so that the offsets of a log join
 *             up, and a hole can be told from a loss, after compaction as before
 *
 * Kafka's readers know empty batches: its own compaction leaves the first kind.
 */
import { varintSize, varlongSize, writeVarint, writeVarlong } from '../bytes/varint.ts'
import { sealCrc } from './batch-builder.ts'
import {
  BATCH_HEADER_BYTES,
  type BatchHeader,
  codecId,
  hasDeleteHorizon,
  isControl,
  isLogAppendTime,
  MAGIC,
  NO_PRODUCER_EPOCH,
  NO_PRODUCER_ID,
  NO_SEQUENCE,
  NO_TIMESTAMP,
  readBatchHeader,
  withDeleteHorizon,
  writeBatchHeader,
} from './batch-header.ts'
import type { CodecSet } from './compression/codec-set.ts'
import { RecordSpans } from './record-span.ts'

export type FilteredBatch =
  /** Nothing is to change. */
  | { readonly kind: 'whole' }
  | { readonly kind: 'rewritten'; readonly batch: Uint8Array }
  /** No record is left. */
  | { readonly kind: 'empty' }

const WHOLE: FilteredBatch = { kind: 'whole' }
const EMPTY: FilteredBatch = { kind: 'empty' }

/**
 * Keeps the records for which `keeps` holds.
 *
 * @param batch - A whole batch, header and CRC checked; not changed.
 * @param horizonMs - Set if a tombstone stays and the batch has no horizon; null: set none.
 * @throws {RecordError} If the records cannot be read: then nothing is known of them.
 */
export function filterBatch(
  batch: Uint8Array,
  codecs: CodecSet,
  keeps: (record: RecordSpans) => boolean,
  horizonMs: number | null,
): FilteredBatch {
  const header = readBatchHeader(batch)
  const spans = new RecordSpans(batch, codecs)
  /** Of each record that stays: attributes, timestamp, start and end of its rest. */
  const kept: number[] = []
  let hasTombstone = false
  while (spans.next()) {
    if (!keeps(spans)) continue
    kept.push(spans.attributes, spans.timestamp, spans.restStart, spans.end)
    if (spans.isTombstone) hasTombstone = true
  }
  if (kept.length === 0) return EMPTY
  const setsHorizon = hasTombstone && horizonMs !== null && !hasDeleteHorizon(header.attributes)
  if (kept.length / 4 === header.recordCount && !setsHorizon) return WHOLE
  return {
    kind: 'rewritten',
    batch: rebuild(header, spans.bytes, kept, codecs, setsHorizon ? horizonMs : null),
  }
}

function rebuild(
  header: BatchHeader,
  bytes: Uint8Array,
  kept: readonly number[],
  codecs: CodecSet,
  horizonMs: number | null,
): Uint8Array {
  const baseTimestamp = horizonMs ?? header.baseTimestamp
  let size = BATCH_HEADER_BYTES
  let maxTimestamp = NO_TIMESTAMP
  for (let at = 0; at < kept.length; at += 4) {
    const timestamp = kept[at + 1]!
    const body = 1 + varlongSize(timestamp - baseTimestamp) + kept[at + 3]! - kept[at + 2]!
    size += varintSize(body) + body
    maxTimestamp = Math.max(maxTimestamp, timestamp)
  }
  const plain = new Uint8Array(size)
  let position = BATCH_HEADER_BYTES
  for (let at = 0; at < kept.length; at += 4) {
    const delta = kept[at + 1]! - baseTimestamp
    const restStart = kept[at + 2]!
    const end = kept[at + 3]!
    position = writeVarint(plain, position, 1 + varlongSize(delta) + end - restStart)
    plain[position++] = kept[at]!
    position = writeVarlong(plain, position, delta)
    plain.set(bytes.subarray(restStart, end), position)
    position += end - restStart
  }
  const codec = codecs.getFor(header.attributes)
  const batch = codec === null ? plain : withRecords(codec.compress(plain.subarray(BATCH_HEADER_BYTES)))
  writeBatchHeader(batch, 0, {
    ...header,
    batchSize: batch.length,
    attributes: horizonMs === null ? header.attributes : withDeleteHorizon(header.attributes),
    baseTimestamp,
    maxTimestamp: isLogAppendTime(header.attributes) ? header.maxTimestamp : maxTimestamp,
    recordCount: kept.length / 4,
  })
  sealCrc(batch)
  return batch
}

function withRecords(records: Uint8Array): Uint8Array {
  const batch = new Uint8Array(BATCH_HEADER_BYTES + records.length)
  batch.set(records, BATCH_HEADER_BYTES)
  return batch
}

/** The header of a batch that has lost all its records. Its producer, sequences and transaction stay known. */
export function emptiedBatch(header: BatchHeader): Uint8Array {
  return sealed({
    ...header,
    attributes: header.attributes & ~codecId(header.attributes),
    baseTimestamp: hasDeleteHorizon(header.attributes) ? header.baseTimestamp : NO_TIMESTAMP,
    maxTimestamp: NO_TIMESTAMP,
    recordCount: 0,
  })
}

/** Stands for the offsets `[baseOffset, endOffset)`, at most 2^31 of them, all written in one epoch, none there any more. */
export function fillerBatch(baseOffset: number, endOffset: number, leaderEpoch: number): Uint8Array {
  return sealed({
    baseOffset,
    batchSize: BATCH_HEADER_BYTES,
    leaderEpoch,
    magic: MAGIC,
    crc: 0,
    attributes: 0,
    lastOffsetDelta: endOffset - baseOffset - 1,
    baseTimestamp: NO_TIMESTAMP,
    maxTimestamp: NO_TIMESTAMP,
    producerId: NO_PRODUCER_ID,
    producerEpoch: NO_PRODUCER_EPOCH,
    baseSequence: NO_SEQUENCE,
    recordCount: 0,
  })
}

/** A batch that tells nothing but that its offsets are empty. */
export function isFiller({ attributes, producerId, recordCount }: BatchHeader): boolean {
  return recordCount === 0 && producerId < 0 && !isControl(attributes)
}

function sealed(header: BatchHeader): Uint8Array {
  const batch = new Uint8Array(BATCH_HEADER_BYTES)
  writeBatchHeader(batch, 0, { ...header, batchSize: BATCH_HEADER_BYTES })
  sealCrc(batch)
  return batch
}
