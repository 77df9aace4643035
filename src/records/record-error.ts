/**
 * What reading or building record batches fails with. The fault lies in the bytes (or in what an application gave),
 * never in Millrace, so callers handle it: a consumer reports the partition and offset, a producer the record.
 */

export type RecordErrorCode =
  /** The bytes under the checksum are not those that were written. */
  | 'RECORDS_CRC_MISMATCH'
  /** A header field cannot be what it says: size, magic, counts, deltas. */
  | 'RECORDS_BATCH_MALFORMED'
  /** A record's framing contradicts itself or the header. */
  | 'RECORDS_RECORD_MALFORMED'
  /** Codec id 5 to 7, which nobody has defined. */
  | 'RECORDS_CODEC_UNKNOWN'
  /** The codec exists but is not in the set that was given: load it first. */
  | 'RECORDS_CODEC_NOT_LOADED'
  /** The codec cannot be loaded here, whatever is done: the host forbids it, or a file of it is missing. */
  | 'RECORDS_CODEC_UNAVAILABLE'
  /** The compressed block is not what its codec can read. */
  | 'RECORDS_COMPRESSED_MALFORMED'
  /** More bytes than the bound: when inflating, or when adding to a batch. */
  | 'RECORDS_TOO_LARGE'
  /** A timestamp that is no whole number of ms from -1 (none) to 2^53 - 2. */
  | 'RECORDS_TIMESTAMP_INVALID'

export class RecordError extends Error {
  override readonly name = 'RecordError'
  readonly code: RecordErrorCode

  constructor(code: RecordErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
