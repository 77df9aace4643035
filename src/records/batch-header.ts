/**
 * The header of a record batch, version 2: the unit of the wire, of the log file and of replication.
 *
 *   position  width  field                 changed by the broker
 *          0      8  baseOffset            assigned by the leader                 \
 *          8      4  batchLength           bytes after this field                  |  outside
 *         12      4  partitionLeaderEpoch  assigned by the leader                  |  the CRC
 *         16      1  magic                 2                                       |
 *         17      4  crc                   CRC-32C of [21, end)                   /
 *         21      2  attributes            LogAppendTime bit only                 \
 *         23      4  lastOffsetDelta       last offset = base offset + this        |
 *         27      8  baseTimestamp         ms; record timestamps are deltas to it  |  inside
 *         35      8  maxTimestamp          ms; LogAppendTime: of all records       |  the CRC
 *         43      8  producerId            -1: not idempotent                      |
 *         51      2  producerEpoch         -1: none                                |
 *         53      4  baseSequence          -1: none                                |
 *         57      4  recordCount           may be below lastOffsetDelta + 1 once   |
 *         61      …  records                 the log was compacted, even 0        /
 *
 *   attributes := codec: 3 bits | logAppendTime | transactional | control | deleteHorizon | 9 unused bits, from bit 0
 *
 * All integers are big-endian. With a codec other than 0 the records are compressed as one block; the header never is.
 *
 * The CRC starts at the attributes, so the leader puts offset and epoch into a batch that it got from a producer
 * without touching the rest. The price: a flip in the first 17 bytes is not found by the CRC. Readers of a log check
 * those against the neighbours: offsets join up, epochs never go down (docs/faults.md, ST-3).
 *
 * A torn write leaves a batch whose length reaches past the end of the file, or whose CRC fails, or a zero-filled
 * tail; a zero length is below the least one, so zeros never pass for a batch.
 *
 * Functions named `...At` take the position of the batch, allocate nothing and check nothing: the caller has made
 * sure that the header's bytes are there. Data plane.
 *
 * @see KIP-98 for the layout, KIP-32 for timestamps.
 */
import { int16At, int32At, int64At, setInt16At, setInt32At, setInt64At, uint32At } from './integers.ts'

/** Bytes of the fixed part. */
export const BATCH_HEADER_BYTES = 61

/** Bytes that `batchLength` does not count: base offset and the length itself. */
export const LOG_OVERHEAD_BYTES = 12

/** The only format there is: Kafka dropped 0 and 1 in its release 4.0. */
export const MAGIC = 2

/** Where the CRC's range begins, from the start of the batch. It ends with the batch. */
export const CRC_RANGE_START = 21

/** In `producerId`, `producerEpoch` and `baseSequence`: the batch has none. */
export const NO_PRODUCER_ID = -1
export const NO_PRODUCER_EPOCH = -1
export const NO_SEQUENCE = -1

/** In `baseTimestamp` and `maxTimestamp`: the batch has none. */
export const NO_TIMESTAMP = -1

/** In `leaderEpoch`: not assigned yet. */
export const NO_LEADER_EPOCH = -1

const BATCH_LENGTH_POSITION = 8
const LEADER_EPOCH_POSITION = 12
const MAGIC_POSITION = 16
const CRC_POSITION = 17
const ATTRIBUTES_POSITION = 21
const LAST_OFFSET_DELTA_POSITION = 23
const BASE_TIMESTAMP_POSITION = 27
const MAX_TIMESTAMP_POSITION = 35
const PRODUCER_ID_POSITION = 43
const PRODUCER_EPOCH_POSITION = 51
const BASE_SEQUENCE_POSITION = 53
const RECORD_COUNT_POSITION = 57

const CODEC_MASK = 0x07
const LOG_APPEND_TIME_BIT = 0x08
const TRANSACTIONAL_BIT = 0x10
const CONTROL_BIT = 0x20
const DELETE_HORIZON_BIT = 0x40

/** All fields of a header as they stood when it was read; `batchSize` counts the whole batch in bytes. */
export interface BatchHeader {
  readonly baseOffset: number
  readonly batchSize: number
  readonly leaderEpoch: number
  readonly magic: number
  readonly crc: number
  readonly attributes: number
  readonly lastOffsetDelta: number
  readonly baseTimestamp: number
  readonly maxTimestamp: number
  readonly producerId: number
  readonly producerEpoch: number
  readonly baseSequence: number
  readonly recordCount: number
}

export function baseOffsetAt(bytes: Uint8Array, position: number): number {
  return int64At(bytes, position)
}

/** Size of the whole batch in bytes, as the batch claims; below `BATCH_HEADER_BYTES`, even negative, when forged. */
export function batchSizeAt(bytes: Uint8Array, position: number): number {
  return int32At(bytes, position + BATCH_LENGTH_POSITION) + LOG_OVERHEAD_BYTES
}

export function leaderEpochAt(bytes: Uint8Array, position: number): number {
  return int32At(bytes, position + LEADER_EPOCH_POSITION)
}

export function magicAt(bytes: Uint8Array, position: number): number {
  return bytes[position + MAGIC_POSITION]!
}

export function crcAt(bytes: Uint8Array, position: number): number {
  return uint32At(bytes, position + CRC_POSITION)
}

export function attributesAt(bytes: Uint8Array, position: number): number {
  return int16At(bytes, position + ATTRIBUTES_POSITION)
}

export function lastOffsetDeltaAt(bytes: Uint8Array, position: number): number {
  return int32At(bytes, position + LAST_OFFSET_DELTA_POSITION)
}

/** Offset of the last record that the batch ever had; the next batch begins one above it, also after compaction. */
export function lastOffsetAt(bytes: Uint8Array, position: number): number {
  return baseOffsetAt(bytes, position) + lastOffsetDeltaAt(bytes, position)
}

export function baseTimestampAt(bytes: Uint8Array, position: number): number {
  return int64At(bytes, position + BASE_TIMESTAMP_POSITION)
}

export function maxTimestampAt(bytes: Uint8Array, position: number): number {
  return int64At(bytes, position + MAX_TIMESTAMP_POSITION)
}

export function producerIdAt(bytes: Uint8Array, position: number): number {
  return int64At(bytes, position + PRODUCER_ID_POSITION)
}

export function producerEpochAt(bytes: Uint8Array, position: number): number {
  return int16At(bytes, position + PRODUCER_EPOCH_POSITION)
}

export function baseSequenceAt(bytes: Uint8Array, position: number): number {
  return int32At(bytes, position + BASE_SEQUENCE_POSITION)
}

export function recordCountAt(bytes: Uint8Array, position: number): number {
  return int32At(bytes, position + RECORD_COUNT_POSITION)
}

/** Reads all fields. The bytes `[position, position + BATCH_HEADER_BYTES)` must be there; no value is judged. */
export function readBatchHeader(bytes: Uint8Array, position = 0): BatchHeader {
  return {
    baseOffset: baseOffsetAt(bytes, position),
    batchSize: batchSizeAt(bytes, position),
    leaderEpoch: leaderEpochAt(bytes, position),
    magic: magicAt(bytes, position),
    crc: crcAt(bytes, position),
    attributes: attributesAt(bytes, position),
    lastOffsetDelta: lastOffsetDeltaAt(bytes, position),
    baseTimestamp: baseTimestampAt(bytes, position),
    maxTimestamp: maxTimestampAt(bytes, position),
    producerId: producerIdAt(bytes, position),
    producerEpoch: producerEpochAt(bytes, position),
    baseSequence: baseSequenceAt(bytes, position),
    recordCount: recordCountAt(bytes, position),
  }
}

/** Writes all fields of `header` as they are, `crc` included. */
export function writeBatchHeader(bytes: Uint8Array, position: number, header: BatchHeader): void {
  setInt64At(bytes, position, header.baseOffset)
  setInt32At(bytes, position + BATCH_LENGTH_POSITION, header.batchSize - LOG_OVERHEAD_BYTES)
  setInt32At(bytes, position + LEADER_EPOCH_POSITION, header.leaderEpoch)
  bytes[position + MAGIC_POSITION] = header.magic
  setInt32At(bytes, position + CRC_POSITION, header.crc)
  setInt16At(bytes, position + ATTRIBUTES_POSITION, header.attributes)
  setInt32At(bytes, position + LAST_OFFSET_DELTA_POSITION, header.lastOffsetDelta)
  setInt64At(bytes, position + BASE_TIMESTAMP_POSITION, header.baseTimestamp)
  setInt64At(bytes, position + MAX_TIMESTAMP_POSITION, header.maxTimestamp)
  setProducerFieldsAt(bytes, position, header.producerId, header.producerEpoch, header.baseSequence)
  setInt32At(bytes, position + RECORD_COUNT_POSITION, header.recordCount)
}

/** Puts offset and epoch into a batch in place. Both lie outside the CRC, so nothing else changes. */
export function assignOffsets(
  bytes: Uint8Array,
  position: number,
  baseOffset: number,
  leaderEpoch: number,
): void {
  setInt64At(bytes, position, baseOffset)
  setInt32At(bytes, position + LEADER_EPOCH_POSITION, leaderEpoch)
}

/** Writes the CRC field. */
export function setCrcAt(bytes: Uint8Array, position: number, crc: number): void {
  setInt32At(bytes, position + CRC_POSITION, crc)
}

/** Writes the attributes. Leaves the CRC stale. */
export function setAttributesAt(bytes: Uint8Array, position: number, attributes: number): void {
  setInt16At(bytes, position + ATTRIBUTES_POSITION, attributes)
}

/** Writes the largest timestamp. Leaves the CRC stale. */
export function setMaxTimestampAt(bytes: Uint8Array, position: number, timestampMs: number): void {
  setInt64At(bytes, position + MAX_TIMESTAMP_POSITION, timestampMs)
}

/** Writes the producer's identity. Leaves the CRC stale. */
export function setProducerFieldsAt(
  bytes: Uint8Array,
  position: number,
  producerId: number,
  producerEpoch: number,
  baseSequence: number,
): void {
  setInt64At(bytes, position + PRODUCER_ID_POSITION, producerId)
  setInt16At(bytes, position + PRODUCER_EPOCH_POSITION, producerEpoch)
  setInt32At(bytes, position + BASE_SEQUENCE_POSITION, baseSequence)
}

/** Codec id in the attributes: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd; 5 to 7 do not exist. */
export function codecId(attributes: number): number {
  return attributes & CODEC_MASK
}

/** All records have the header's largest timestamp, which is the time when the leader appended the batch. */
export function isLogAppendTime(attributes: number): boolean {
  return (attributes & LOG_APPEND_TIME_BIT) !== 0
}

/** The batch is part of a transaction: a marker for its producer decides whether it counts. */
export function isTransactional(attributes: number): boolean {
  return (attributes & TRANSACTIONAL_BIT) !== 0
}

/** The batch holds one control record, for brokers and clients, never for an application. */
export function isControl(attributes: number): boolean {
  return (attributes & CONTROL_BIT) !== 0
}

/** Set by compaction only: `baseTimestamp` is the time from which tombstones and markers may go (KIP-534). */
export function hasDeleteHorizon(attributes: number): boolean {
  return (attributes & DELETE_HORIZON_BIT) !== 0
}

/** The attributes of a batch whose `baseTimestamp` becomes a delete horizon. */
export function withDeleteHorizon(attributes: number): number {
  return attributes | DELETE_HORIZON_BIT
}

/** Builds attributes from what they say; what is not given is off. */
export function attributesOf(options: {
  readonly codecId?: number
  readonly isLogAppendTime?: boolean
  readonly isTransactional?: boolean
  readonly isControl?: boolean
}): number {
  return (
    (options.codecId ?? 0) |
    (options.isLogAppendTime === true ? LOG_APPEND_TIME_BIT : 0) |
    (options.isTransactional === true ? TRANSACTIONAL_BIT : 0) |
    (options.isControl === true ? CONTROL_BIT : 0)
  )
}
