/**
 * Reads the records of a batch: the consumer's side. Keys, values and header values are views of the batch (of the inflated
 * block, when it was compressed). `readRecords` gives a cursor that holds one record at a time and allocates nothing but these
 * views; `decodeRecords` an iterator of records. Data plane.
 *
 * Nothing of the input is trusted. Every length is checked against the record's end, that against the batch's, the count
 * against the bytes there are, the block against `sizeMax` while it inflates.
 *
 * After compaction a batch has gaps: offsets ascend within `[baseOffset, lastOffset]`, the count is what is left, even 0. So
 * the next offset to fetch is `lastOffsetAt + 1`, never a matter of counting.
 *
 * The format of a record is drawn in record-walk.ts.
 */
import { crc32c } from '../bytes/crc32c.ts'
import { decodeUtf8 } from '../bytes/utf8.ts'
import {
  attributesAt,
  baseOffsetAt,
  BATCH_HEADER_BYTES,
  baseTimestampAt,
  batchSizeAt,
  crcAt,
  CRC_RANGE_START,
  isLogAppendTime,
  lastOffsetDeltaAt,
  maxTimestampAt,
  recordCountAt,
} from './batch-header.ts'
import { findHeaderFault } from './batch-validator.ts'
import type { CodecSet } from './compression/codec-set.ts'
import { RecordError } from './record-error.ts'
import { VarintCursor } from './varint-cursor.ts'
import { RECORD_BYTES_MIN, RECORD_HEADER_BYTES_MIN } from './record-walk.ts'
import type { RecordHeader } from './batch-builder.ts'

/**
 * What a batch may inflate to unless told otherwise, in bytes: a hundred times the largest batch that brokers take by
 * default (1 MiB), far above what honest data reaches, far below what hurts.
 */
export const INFLATED_BYTES_MAX = 104_857_600

export interface RecordView {
  readonly offset: number
  /** In ms since the Unix epoch; -1 for none. */
  readonly timestamp: number
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
  readonly headers: readonly RecordHeader[]
}

export interface DecodeOptions {
  /** Bytes that the batch may inflate to. */
  readonly sizeMax?: number
  /** Verify the CRC-32C first. Default true: TCP's checksum is weak, and a disk's may be absent. */
  readonly checksCrc?: boolean
}

const NO_HEADERS: readonly RecordHeader[] = []

/**
 * Reads one batch.
 *
 * @param batch - Begins with the batch; what follows its end is ignored. The views last as long as these bytes.
 * @param codecs - Has the batch's codec loaded (`CodecSet.findMissing` tells).
 * @returns An iterator that reads as it goes; its `next` throws as this function does, at the first bad record.
 * @throws {RecordError} `RECORDS_CRC_MISMATCH`, `RECORDS_BATCH_MALFORMED`, `RECORDS_RECORD_MALFORMED`,
 *   `RECORDS_CODEC_UNKNOWN`, `RECORDS_CODEC_NOT_LOADED`, `RECORDS_COMPRESSED_MALFORMED`, `RECORDS_TOO_LARGE`.
 */
export function decodeRecords(
  batch: Uint8Array,
  codecs: CodecSet,
  options: DecodeOptions = {},
): RecordIterator {
  return new RecordIterator(readRecords(batch, codecs, options))
}

/** As `decodeRecords`, without an object for each record. */
export function readRecords(batch: Uint8Array, codecs: CodecSet, options: DecodeOptions = {}): RecordCursor {
  const fault = findHeaderFault(batch, 0, batch.length)
  if (fault !== null) throw new RecordError('RECORDS_BATCH_MALFORMED', `Cannot read a batch: ${fault}`)
  const end = batchSizeAt(batch, 0)
  if (options.checksCrc !== false) {
    const actual = crc32c(batch, CRC_RANGE_START, end)
    if (actual !== crcAt(batch, 0)) {
      throw new RecordError(
        'RECORDS_CRC_MISMATCH',
        `Cannot read the batch at offset ${baseOffsetAt(batch, 0)}: its CRC-32C is ${actual}, its header says ${crcAt(batch, 0)}`,
      )
    }
  }
  const codec = codecs.getFor(attributesAt(batch, 0))
  if (codec === null || recordCountAt(batch, 0) === 0)
    return new RecordCursor(batch, batch, BATCH_HEADER_BYTES, end)
  const records = codec.decompress(
    batch.subarray(BATCH_HEADER_BYTES, end),
    options.sizeMax ?? INFLATED_BYTES_MAX,
  )
  return new RecordCursor(batch, records, 0, records.length)
}

/** The records one after the other, as objects. */
export class RecordIterator implements IterableIterator<RecordView> {
  readonly #cursor: RecordCursor

  /** Use `decodeRecords`. */
  constructor(cursor: RecordCursor) {
    this.#cursor = cursor
  }

  /** Records that are still to come, as the header claims. */
  get remaining(): number {
    return this.#cursor.remaining
  }

  [Symbol.iterator](): this {
    return this
  }

  next(): IteratorResult<RecordView, undefined> {
    const cursor = this.#cursor
    if (!cursor.next()) return { done: true, value: undefined }
    const { offset, timestamp, key, value, headers } = cursor
    return { done: false, value: { offset, timestamp, key, value, headers } }
  }
}

/** Stands on one record at a time: the fields are those of the record that `next` moved to. */
export class RecordCursor {
  offset = -1
  /** In ms since the Unix epoch; -1 for none. */
  timestamp = -1
  key: Uint8Array | null = null
  value: Uint8Array | null = null
  headers: readonly RecordHeader[] = NO_HEADERS
  readonly #cursor: VarintCursor
  readonly #baseOffset: number
  readonly #lastOffsetDelta: number
  readonly #baseTimestamp: number
  /** All records have one time: the leader stamped them. */
  readonly #isStamped: boolean
  #remaining: number
  #offsetDelta = -1

  /** Use `readRecords`. @param batch - Header. @param records - Holds the records in `[start, end)`, inflated. */
  constructor(batch: Uint8Array, records: Uint8Array, start: number, end: number) {
    this.#isStamped = isLogAppendTime(attributesAt(batch, 0))
    // A view of a plain array is made in a third of the time that one of a Node `Buffer` takes, which is what arrives.
    this.#cursor = new VarintCursor(plain(records), start, end)
    this.#baseOffset = baseOffsetAt(batch, 0)
    this.#lastOffsetDelta = lastOffsetDeltaAt(batch, 0)
    // With a delete horizon the base is a time, and still what the deltas count from.
    this.#baseTimestamp = this.#isStamped ? maxTimestampAt(batch, 0) : baseTimestampAt(batch, 0)
    this.#remaining = recordCountAt(batch, 0)
    if (this.#remaining * RECORD_BYTES_MIN > end - start) {
      throw new RecordError(
        'RECORDS_BATCH_MALFORMED',
        `Cannot read a batch: it claims ${this.#remaining} records in ${end - start} bytes`,
      )
    }
  }

  /** Records that are still to come, as the header claims. */
  get remaining(): number {
    return this.#remaining
  }

  /** Moves to the next record; false behind the last one. @throws {RecordError} `RECORDS_RECORD_MALFORMED`. */
  next(): boolean {
    if (this.#remaining === 0) {
      this.#finish()
      return false
    }
    this.#remaining--
    this.#read()
    return true
  }

  #read(): void {
    const cursor = this.#cursor
    const length = cursor.varint()
    const end = cursor.position + length
    if (length < RECORD_BYTES_MIN - 1 || end > cursor.end) this.#fail(`a record claims ${length} bytes`)
    cursor.position++ // attributes: unused in format 2
    const timestampDelta = cursor.varlong()
    const offsetDelta = cursor.varint()
    if (offsetDelta <= this.#offsetDelta || offsetDelta > this.#lastOffsetDelta) {
      this.#fail(
        `offset delta ${offsetDelta} follows ${this.#offsetDelta}, with ${this.#lastOffsetDelta} as the last`,
      )
    }
    this.#offsetDelta = offsetDelta
    this.key = this.#bytes(end)
    this.value = this.#bytes(end)
    this.headers = this.#headers(end)
    if (cursor.position !== end)
      this.#fail(`a record ends ${end - cursor.position} bytes before its length says`)
    this.offset = this.#baseOffset + offsetDelta
    this.timestamp = this.#isStamped ? this.#baseTimestamp : this.#baseTimestamp + timestampDelta
  }

  /** A nullable byte string as a view. */
  #bytes(end: number): Uint8Array | null {
    const cursor = this.#cursor
    const length = cursor.varint()
    if (length === -1) return null
    const start = cursor.position
    if (length < 0 || length > end - start)
      this.#fail(`a byte string claims ${length} of ${end - start} bytes`)
    cursor.position = start + length
    return cursor.bytes.subarray(start, start + length)
  }

  #headers(end: number): readonly RecordHeader[] {
    const cursor = this.#cursor
    const count = cursor.varint()
    if (count === 0) return NO_HEADERS
    if (count < 0 || count * RECORD_HEADER_BYTES_MIN > end - cursor.position) {
      this.#fail(`a record claims ${count} headers in ${end - cursor.position} bytes`)
    }
    const headers: RecordHeader[] = []
    for (let index = 0; index < count; index++) {
      const key = this.#bytes(end)
      if (key === null) this.#fail('a header key is null')
      headers.push({ key: decodeUtf8(key, 0, key.length), value: this.#bytes(end) })
    }
    return headers
  }

  #finish(): void {
    const { position, end } = this.#cursor
    if (position !== end) this.#fail(`${end - position} bytes follow the last record`)
  }

  #fail(fault: string): never {
    throw new RecordError(
      'RECORDS_RECORD_MALFORMED',
      `Cannot read the batch at offset ${this.#baseOffset}: ${fault}`,
    )
  }
}

function plain(bytes: Uint8Array): Uint8Array {
  return bytes.constructor === Uint8Array
    ? bytes
    : new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
