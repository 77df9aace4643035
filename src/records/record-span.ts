/**
 * Walks the records of a batch by where they lie, for compaction: the key, whether there is a value, and the bytes that
 * another batch of the same base offset can take over as they are. Nothing else is decoded.
 *
 *   record := length | attributes | timestampDelta | offsetDelta | key | value | headers
 *                                                    └─────────── rest: counts from the base offset only ──┘
 *
 * Checks what `record-reader.ts` checks, but for the inside of headers, which go along unseen. The record format is
 * drawn in record-walk.ts.
 */
import {
  attributesAt,
  baseOffsetAt,
  BATCH_HEADER_BYTES,
  baseTimestampAt,
  batchSizeAt,
  isLogAppendTime,
  lastOffsetDeltaAt,
  maxTimestampAt,
  recordCountAt,
} from './batch-header.ts'
import type { CodecSet } from './compression/codec-set.ts'
import { RecordError } from './record-error.ts'
import { INFLATED_BYTES_MAX } from './record-reader.ts'
import { RECORD_BYTES_MIN } from './record-walk.ts'
import { VarintCursor } from './varint-cursor.ts'

/** Stands on one record at a time; the fields are those of the record that `next` moved to. */
export class RecordSpans {
  /** Holds the records: the batch, or what it inflates to. */
  readonly bytes: Uint8Array
  offset = -1
  /** In ms since the Unix epoch; -1 for none. */
  timestamp = -1
  /** A view of `bytes`. */
  key: Uint8Array | null = null
  /** It has no value: it deletes its key. */
  isTombstone = false
  attributes = 0
  /** Where the rest begins, and where the record ends. */
  restStart = 0
  end = 0
  readonly #cursor: VarintCursor
  readonly #baseOffset: number
  readonly #lastOffsetDelta: number
  readonly #baseTimestamp: number
  readonly #isStamped: boolean
  #remaining: number
  #offsetDelta = -1

  /**
   * @param batch - A whole batch whose header and CRC were checked; what follows its end is ignored.
   * @param codecs - Has the batch's codec loaded.
   * @throws {RecordError} As `decodeRecords`.
   */
  constructor(batch: Uint8Array, codecs: CodecSet) {
    const size = batchSizeAt(batch, 0)
    const attributes = attributesAt(batch, 0)
    this.#remaining = recordCountAt(batch, 0)
    const codec = codecs.getFor(attributes)
    const isPlain = codec === null || this.#remaining === 0
    this.bytes = isPlain
      ? batch
      : codec.decompress(batch.subarray(BATCH_HEADER_BYTES, size), INFLATED_BYTES_MAX)
    const start = isPlain ? BATCH_HEADER_BYTES : 0
    this.#cursor = new VarintCursor(this.bytes, start, isPlain ? size : this.bytes.length)
    this.#baseOffset = baseOffsetAt(batch, 0)
    this.#lastOffsetDelta = lastOffsetDeltaAt(batch, 0)
    this.#isStamped = isLogAppendTime(attributes)
    this.#baseTimestamp = this.#isStamped ? maxTimestampAt(batch, 0) : baseTimestampAt(batch, 0)
    if (this.#remaining * RECORD_BYTES_MIN > this.#cursor.end - start) {
      this.#fail(`it claims ${this.#remaining} records in ${this.#cursor.end - start} bytes`)
    }
  }

  /** Moves to the next record; false behind the last one. @throws {RecordError} `RECORDS_RECORD_MALFORMED`. */
  next(): boolean {
    const cursor = this.#cursor
    if (this.#remaining === 0) {
      if (cursor.position !== cursor.end)
        this.#fail(`${cursor.end - cursor.position} bytes follow the last record`)
      return false
    }
    this.#remaining--
    const length = cursor.varint()
    this.end = cursor.position + length
    if (length < RECORD_BYTES_MIN - 1 || this.end > cursor.end) this.#fail(`a record claims ${length} bytes`)
    this.attributes = cursor.bytes[cursor.position++]!
    const timestampDelta = cursor.varlong()
    this.timestamp = this.#isStamped ? this.#baseTimestamp : this.#baseTimestamp + timestampDelta
    this.restStart = cursor.position
    const offsetDelta = cursor.varint()
    if (offsetDelta <= this.#offsetDelta || offsetDelta > this.#lastOffsetDelta) {
      this.#fail(`offset delta ${offsetDelta} follows ${this.#offsetDelta}`)
    }
    this.#offsetDelta = offsetDelta
    this.offset = this.#baseOffset + offsetDelta
    this.key = this.#byteString()
    this.isTombstone = this.#byteString() === null
    if (cursor.position >= this.end) this.#fail('a record has no headers, not even their count')
    cursor.position = this.end
    return true
  }

  #byteString(): Uint8Array | null {
    const cursor = this.#cursor
    const length = cursor.varint()
    if (length === -1) return null
    const start = cursor.position
    if (length < 0 || length > this.end - start)
      this.#fail(`a byte string claims ${length} of ${this.end - start} bytes`)
    cursor.position = start + length
    return cursor.bytes.subarray(start, start + length)
  }

  #fail(fault: string): never {
    throw new RecordError(
      'RECORDS_RECORD_MALFORMED',
      `Cannot read the batch at offset ${this.#baseOffset}: ${fault}`,
    )
  }
}
