/** What records take as a batch of the log, which has a bound: known before they are written, so that nothing is begun in vain. */
import { BATCH_HEADER_BYTES } from '../records/batch-header.ts'
import { encodeCoordinatorRecord } from './records/coordinator-record.ts'
import type { CoordinatorRecord } from './records/coordinator-record.ts'

/** What a record takes in a batch beside key and value, at most: six varints and two bytes (records/record-walk.ts). */
const RECORD_OVERHEAD_BYTES_MAX = 24

interface EncodedRecord {
  readonly key: Uint8Array
  readonly value: Uint8Array | null
}

/** Bytes that records take in a batch, at most, without its header. */
export function recordBytesMax(encoded: readonly EncodedRecord[]): number {
  let bytes = 0
  for (const { key, value } of encoded) bytes += RECORD_OVERHEAD_BYTES_MAX + key.length + (value?.length ?? 0)
  return bytes
}

/** Bytes of a batch of these records alone, at most. Costs as much as encoding them. */
export function batchBytesOf(records: readonly CoordinatorRecord[]): number {
  return BATCH_HEADER_BYTES + recordBytesMax(records.map((record) => encodeCoordinatorRecord(record)))
}
