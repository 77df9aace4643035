/**
 * Walks the records of an uncompressed batch without decoding them: is the framing sound, are the offsets those that
 * the header claims? About 10 ns a record, so the broker does it for short batches and where a topic needs it.
 *
 *   record := length: varint | attributes: int8 | timestampDelta: varlong | offsetDelta: varint
 *             | keyLength: varint | key | valueLength: varint | value
 *             | headerCount: varint | { keyLength: varint | key | valueLength: varint | value } …
 *
 * `length` counts what follows it. A length of -1 is null, for keys, values and header values.
 *
 * @see KIP-82 for headers, KIP-98 for the record format.
 */
import { BATCH_HEADER_BYTES, recordCountAt } from './batch-header.ts'
import { RecordError } from './record-error.ts'
import { VarintCursor } from './varint-cursor.ts'

/** Every varint of a record takes a byte at least: length, timestamp, offset, key, value, headers; and attributes. */
export const RECORD_BYTES_MIN = 7

/** Two lengths of one byte. */
export const RECORD_HEADER_BYTES_MIN = 2

/**
 * Checks records as a leader must see them before it appends: framing, and offset deltas 0, 1, 2 …
 *
 * @param end - End of the batch; `bytes[position, end)` is a whole uncompressed batch whose header was checked.
 * @param requiresKeys - Refuse null keys: the topic is compacted.
 * @returns What is wrong, or null.
 */
export function findRecordFault(
  bytes: Uint8Array,
  position: number,
  end: number,
  requiresKeys: boolean,
): string | null {
  const recordCount = recordCountAt(bytes, position)
  const cursor = new VarintCursor(bytes, position + BATCH_HEADER_BYTES, end)
  try {
    for (let index = 0; index < recordCount; index++) {
      const length = cursor.varint()
      const recordEnd = cursor.position + length
      if (length < RECORD_BYTES_MIN - 1 || recordEnd > end) {
        return `Record ${index} is of ${length} bytes: wanted ${RECORD_BYTES_MIN - 1} to ${end - cursor.position}`
      }
      cursor.position++ // attributes: unused in format 2
      cursor.varlong() // timestamp delta
      const offsetDelta = cursor.varint()
      if (offsetDelta !== index) return `Record ${index} has offset delta ${offsetDelta}: wanted ${index}`
      const keyLength = cursor.varint()
      if (keyLength < 0 && requiresKeys) return `Record ${index} has no key: compacted topics need one`
      skip(cursor, keyLength, recordEnd, true)
      skip(cursor, cursor.varint(), recordEnd, true)
      const headerCount = cursor.varint()
      if (headerCount < 0 || headerCount * RECORD_HEADER_BYTES_MIN > recordEnd - cursor.position) {
        return `Record ${index} has ${headerCount} headers in ${recordEnd - cursor.position} bytes`
      }
      for (let header = 0; header < headerCount; header++) {
        skip(cursor, cursor.varint(), recordEnd, false)
        skip(cursor, cursor.varint(), recordEnd, true)
      }
      if (cursor.position !== recordEnd) {
        return `Record ${index} ends at position ${cursor.position}: its length says ${recordEnd}`
      }
    }
  } catch (error) {
    if (error instanceof RecordError) return error.message
    throw error
  }
  return cursor.position === end
    ? null
    : `${end - cursor.position} bytes follow the last of ${recordCount} records`
}

/** Moves over a byte string. @throws {RecordError} `RECORDS_RECORD_MALFORMED` when it passes the record's end. */
function skip(cursor: VarintCursor, length: number, recordEnd: number, isNullable: boolean): void {
  if (length < (isNullable ? -1 : 0) || length > recordEnd - cursor.position) {
    throw new RecordError(
      'RECORDS_RECORD_MALFORMED',
      `Cannot read a record: ${length} bytes at position ${cursor.position} with ${recordEnd - cursor.position} left`,
    )
  }
  if (length > 0) cursor.position += length
}
