/**
 * Is this a record batch, and may it enter the log? Data plane: the header and one pass of CRC-32C, no record is
 * decoded, nothing is inflated, nothing is allocated before the batch is found good.
 *
 * Two questions, two functions. `findBatchFault` asks whether bytes are a batch as some leader wrote it: recovery,
 * followers and consumers. `validateProduced` asks more, for what a producer may send.
 *
 * What the broker takes on trust: the records inside compressed batches and inside long uncompressed ones of topics
 * that are not compacted. A batch that lies there harms readers of its own topic only: every reader checks all
 * lengths and bounds what it inflates (`record-reader.ts`), and nothing in the broker reads records without doing so.
 *
 * @see KIP-98 (format), KIP-32 and KIP-937 (timestamps), docs/faults.md ST-1, ST-3, X3, X24.
 */
import { crc32c } from '../bytes/crc32c.ts'
import {
  baseOffsetAt,
  BATCH_HEADER_BYTES,
  batchSizeAt,
  codecId,
  crcAt,
  CRC_RANGE_START,
  hasDeleteHorizon,
  isControl,
  isLogAppendTime,
  isTransactional,
  lastOffsetDeltaAt,
  leaderEpochAt,
  MAGIC,
  magicAt,
  NO_LEADER_EPOCH,
  NO_PRODUCER_ID,
  NO_TIMESTAMP,
  readBatchHeader,
  recordCountAt,
  type BatchHeader,
} from './batch-header.ts'
import { findRecordFault, RECORD_BYTES_MIN } from './record-walk.ts'

/**
 * Uncompressed batches of at most this many records are walked: 16 records cost 0.2 µs, where the request that
 * brought them costs the broker 7 µs. It finds what a broken client does wrong on its first try.
 */
const RECORDS_WALKED_MAX = 16

const CODEC_ID_ZSTD = 4
const CODEC_ID_MAX = 4

/** What a topic and a request allow. */
export interface ProduceLimits {
  /** `max.message.bytes`: largest batch in bytes, as it came (compressed). */
  readonly batchBytesMax: number
  /** False below Produce version 7, whose clients promise not to send zstd. */
  readonly acceptsZstd: boolean
  /** Earliest timestamp in ms; -Infinity when the topic stamps the time of append. */
  readonly timestampMsMin: number
  /** Latest timestamp in ms; Infinity when the topic stamps the time of append. */
  readonly timestampMsMax: number
  /** The topic is compacted: records without a key are refused (in uncompressed batches, see above). */
  readonly requiresKeys: boolean
}

export type ProduceFault =
  | 'CORRUPT_MESSAGE'
  | 'INVALID_RECORD'
  | 'MESSAGE_TOO_LARGE'
  | 'INVALID_TIMESTAMP'
  | 'UNSUPPORTED_COMPRESSION_TYPE'

export type ProducedBatch =
  | { readonly kind: 'valid'; readonly header: BatchHeader }
  | { readonly kind: 'invalid'; readonly error: ProduceFault; readonly message: string }

/**
 * Checks the fixed part of a batch in a log: what can be said with `BATCH_HEADER_BYTES` bytes at hand, before
 * the rest is read.
 *
 * @param available - Bytes from `position` to the end of the file or answer; the batch must lie within.
 * @returns What is wrong, with the value found and the one wanted, or null.
 */
export function findHeaderFault(bytes: Uint8Array, position: number, available: number): string | null {
  if (available < BATCH_HEADER_BYTES)
    return `Batch is cut: ${available} bytes of a header of ${BATCH_HEADER_BYTES}`
  const size = batchSizeAt(bytes, position)
  if (size < BATCH_HEADER_BYTES) return `Batch size is ${size} bytes: wanted at least ${BATCH_HEADER_BYTES}`
  if (size > available) return `Batch is cut: ${available} of ${size} bytes`
  const magic = magicAt(bytes, position)
  if (magic !== MAGIC) return `Batch format is ${magic}: wanted ${MAGIC}`
  const baseOffset = baseOffsetAt(bytes, position)
  const lastOffsetDelta = lastOffsetDeltaAt(bytes, position)
  if (baseOffset < 0 || !Number.isSafeInteger(baseOffset + lastOffsetDelta)) {
    return `Base offset is ${baseOffset}: wanted 0 to 2^53 - 1`
  }
  if (lastOffsetDelta < 0) return `Last offset delta is ${lastOffsetDelta}: wanted 0 or more`
  const recordCount = recordCountAt(bytes, position)
  if (recordCount < 0 || recordCount > lastOffsetDelta + 1) {
    return `Record count is ${recordCount}: wanted 0 to ${lastOffsetDelta + 1}`
  }
  const leaderEpoch = leaderEpochAt(bytes, position)
  if (leaderEpoch < NO_LEADER_EPOCH)
    return `Leader epoch is ${leaderEpoch}: wanted ${NO_LEADER_EPOCH} or more`
  return null
}

/**
 * Checks a batch in a log or in an answer to a fetch: structure, then CRC.
 *
 * The first 17 bytes are outside the CRC. A caller that knows the neighbours must check that the base offset joins up
 * with the batch before and that the leader epoch has not gone down (docs/faults.md, ST-3).
 *
 * @param available - Bytes from `position` that are there, all of them in `bytes`.
 * @returns What is wrong, with the value found and the one wanted, or null for a sound batch.
 */
export function findBatchFault(bytes: Uint8Array, position: number, available: number): string | null {
  return findHeaderFault(bytes, position, available) ?? findCrcFault(bytes, position)
}

/** Compares the CRC field of a whole batch with the bytes it covers. */
function findCrcFault(bytes: Uint8Array, position: number): string | null {
  const actual = crc32c(bytes, position + CRC_RANGE_START, position + batchSizeAt(bytes, position))
  const wanted = crcAt(bytes, position)
  return actual === wanted ? null : `CRC-32C of the batch is ${hex(actual)}: its header says ${hex(wanted)}`
}

/**
 * Judges what a producer sent for one partition: exactly one batch, sound, within the limits. Base offset and leader
 * epoch may hold anything, for the leader assigns both.
 *
 * @param bytes - The records field of the request, as it came.
 */
export function validateProduced(bytes: Uint8Array, limits: ProduceLimits): ProducedBatch {
  if (bytes.length < BATCH_HEADER_BYTES) {
    return invalid(
      'CORRUPT_MESSAGE',
      `Batch is cut: ${bytes.length} bytes of a header of ${BATCH_HEADER_BYTES}`,
    )
  }
  const magic = magicAt(bytes, 0)
  if (magic !== MAGIC) {
    // Formats 0 and 1 are a client's choice and get Kafka's answer for it; any other number is damage.
    return invalid(
      magic < MAGIC ? 'INVALID_RECORD' : 'CORRUPT_MESSAGE',
      `Batch format is ${magic}: wanted ${MAGIC}`,
    )
  }
  const size = batchSizeAt(bytes, 0)
  if (size < BATCH_HEADER_BYTES || size > bytes.length) {
    return invalid('CORRUPT_MESSAGE', `Batch size is ${size} bytes: got ${bytes.length}`)
  }
  if (size > limits.batchBytesMax) {
    return invalid('MESSAGE_TOO_LARGE', `Batch is of ${size} bytes: the topic takes ${limits.batchBytesMax}`)
  }
  if (size < bytes.length) {
    return invalid(
      'INVALID_RECORD',
      `${bytes.length - size} bytes follow the batch: a request carries one for a partition`,
    )
  }
  const crcFault = findCrcFault(bytes, 0)
  if (crcFault !== null) return invalid('CORRUPT_MESSAGE', crcFault)
  const header = readBatchHeader(bytes, 0)
  return (
    judgeAttributes(header, limits) ??
    judgeCounts(header) ??
    judgeProducer(header) ??
    judgeTimestamps(header, limits) ??
    judgeRecords(bytes, header, limits) ?? { kind: 'valid', header }
  )
}

function judgeAttributes(
  { attributes, producerId }: BatchHeader,
  limits: ProduceLimits,
): ProducedBatch | null {
  const codec = codecId(attributes)
  if (codec > CODEC_ID_MAX) {
    return invalid('UNSUPPORTED_COMPRESSION_TYPE', `Codec id is ${codec}: wanted 0 to ${CODEC_ID_MAX}`)
  }
  if (codec === CODEC_ID_ZSTD && !limits.acceptsZstd) {
    return invalid(
      'UNSUPPORTED_COMPRESSION_TYPE',
      'Batch is compressed with zstd: that needs Produce version 7',
    )
  }
  if (isControl(attributes)) {
    return invalid('INVALID_RECORD', 'Batch is a control batch: only brokers write those')
  }
  if (hasDeleteHorizon(attributes)) {
    return invalid('INVALID_RECORD', 'Batch has a delete horizon: only compaction sets one')
  }
  if (isTransactional(attributes) && producerId < 0) {
    return invalid('INVALID_RECORD', `Batch is transactional: its producer id is ${producerId}`)
  }
  if (isLogAppendTime(attributes)) {
    return invalid('INVALID_TIMESTAMP', 'Batch claims log append time: only the leader stamps that')
  }
  return null
}

function judgeCounts({
  attributes,
  batchSize,
  lastOffsetDelta,
  recordCount,
}: BatchHeader): ProducedBatch | null {
  if (recordCount <= 0 || lastOffsetDelta !== recordCount - 1) {
    return invalid(
      'INVALID_RECORD',
      `Batch has ${recordCount} records and last offset delta ${lastOffsetDelta}: wanted one record more than the delta`,
    )
  }
  // A compressed block can hold any number of records for its size, so readers bound the count after inflating.
  if (codecId(attributes) === 0 && recordCount * RECORD_BYTES_MIN > batchSize - BATCH_HEADER_BYTES) {
    return invalid(
      'INVALID_RECORD',
      `${recordCount} records do not fit into ${batchSize - BATCH_HEADER_BYTES} bytes`,
    )
  }
  return null
}

/** "Has a producer id" means 0 or more: kafkajs sends epoch 0 and sequence 0 with id -1. */
function judgeProducer({ producerId, producerEpoch, baseSequence }: BatchHeader): ProducedBatch | null {
  if (producerId < NO_PRODUCER_ID || !Number.isSafeInteger(producerId)) {
    return invalid('INVALID_RECORD', `Producer id is ${producerId}: wanted ${NO_PRODUCER_ID} to 2^53 - 1`)
  }
  if (producerId >= 0 && (producerEpoch < 0 || baseSequence < 0)) {
    return invalid(
      'INVALID_RECORD',
      `Producer ${producerId} has epoch ${producerEpoch} and base sequence ${baseSequence}: wanted 0 or more`,
    )
  }
  return null
}

/**
 * Some clients (segmentio/kafka-go) put the last record's timestamp where the largest belongs, so the two need not be
 * in order; both must be within the limits. The header's claim is what lookups by time and retention go by.
 */
function judgeTimestamps(
  { baseTimestamp, maxTimestamp }: BatchHeader,
  limits: ProduceLimits,
): ProducedBatch | null {
  const earliest = Math.min(baseTimestamp, maxTimestamp)
  const latest = Math.max(baseTimestamp, maxTimestamp)
  if (earliest < NO_TIMESTAMP || !Number.isSafeInteger(latest)) {
    return invalid(
      'INVALID_TIMESTAMP',
      `Timestamps are ${baseTimestamp} to ${maxTimestamp}: wanted -1 to 2^53 - 1`,
    )
  }
  if (latest > limits.timestampMsMax) {
    return invalid('INVALID_TIMESTAMP', `Timestamp is ${latest}: wanted at most ${limits.timestampMsMax}`)
  }
  if (earliest !== NO_TIMESTAMP && earliest < limits.timestampMsMin) {
    return invalid('INVALID_TIMESTAMP', `Timestamp is ${earliest}: wanted at least ${limits.timestampMsMin}`)
  }
  return null
}

function judgeRecords(bytes: Uint8Array, header: BatchHeader, limits: ProduceLimits): ProducedBatch | null {
  if (codecId(header.attributes) !== 0) return null
  if (header.recordCount > RECORDS_WALKED_MAX && !limits.requiresKeys) return null
  const fault = findRecordFault(bytes, 0, header.batchSize, limits.requiresKeys)
  return fault === null ? null : invalid('INVALID_RECORD', fault)
}

function invalid(error: ProduceFault, message: string): ProducedBatch {
  return { kind: 'invalid', error, message }
}

function hex(crc: number): string {
  return `0x${crc.toString(16).padStart(8, '0')}`
}
