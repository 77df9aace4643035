/**
 * Control batches: one record each, written by brokers into the log among the data, invisible to applications.
 *
 *   key   := version: int16 | type: int16
 *   value := version: int16 | coordinatorEpoch: int32        for the end of a transaction, types 0 and 1
 *
 * Types: 0 abort, 1 commit; 2 to 6 belong to the metadata log (leader change, snapshot header and footer, format
 * version, voters). A reader skips types it does not know, and versions above its own where it only needs the type.
 * A control batch takes an offset like any other, so readers go on behind it.
 *
 * @see KIP-98, "Control messages"; KIP-595 and KIP-630 for types 2 to 4, KIP-853 for 5 and 6.
 */
import {
  attributesAt,
  attributesOf,
  BATCH_HEADER_BYTES,
  isControl,
  NO_PRODUCER_EPOCH,
  NO_PRODUCER_ID,
  readBatchHeader,
  writeBatchHeader,
} from './batch-header.ts'
import { BatchBuilder, sealCrc } from './batch-builder.ts'
import { CodecSet } from './compression/codec-set.ts'
import { int16At, int32At, setInt16At, setInt32At } from './integers.ts'
import { decodeRecords } from './record-reader.ts'

export const CONTROL_TYPES = {
  ABORT: 0,
  COMMIT: 1,
  LEADER_CHANGE: 2,
  SNAPSHOT_HEADER: 3,
  SNAPSHOT_FOOTER: 4,
  KRAFT_VERSION: 5,
  KRAFT_VOTERS: 6,
} as const

const KEY_BYTES = 4
const KEY_VERSION = 0
const END_TRANSACTION_BYTES = 6
const END_TRANSACTION_VERSION = 0

/** A batch that fits a header, a key, an end of a transaction and their framing. */
const MARKER_BYTES = BATCH_HEADER_BYTES + 32

/** Control batches are never compressed. */
const NO_CODECS = new CodecSet()

export interface ControlBatchFields {
  readonly type: number
  readonly value: Uint8Array
  readonly timestampMs: number
  /** Default: none. */
  readonly producerId?: number
  readonly producerEpoch?: number
  readonly isTransactional?: boolean
}

/** Builds a control batch. It has no sequence number: markers are not deduplicated, coordinator epochs fence them. */
export function buildControlBatch(fields: ControlBatchFields): Uint8Array {
  const key = new Uint8Array(KEY_BYTES)
  setInt16At(key, 0, KEY_VERSION)
  setInt16At(key, 2, fields.type)
  const builder = new BatchBuilder(MARKER_BYTES)
  builder.append({ key, value: fields.value, timestamp: fields.timestampMs })
  const batch = builder.seal({
    producerId: fields.producerId ?? NO_PRODUCER_ID,
    producerEpoch: fields.producerEpoch ?? NO_PRODUCER_EPOCH,
  })
  const attributes = attributesOf({ isControl: true, isTransactional: fields.isTransactional ?? false })
  writeBatchHeader(batch, 0, { ...readBatchHeader(batch, 0), attributes })
  sealCrc(batch)
  return batch
}

export interface EndTransactionMarker {
  readonly verdict: 'commit' | 'abort'
  readonly producerId: number
  readonly producerEpoch: number
  /** Epoch of the coordinator that decided; a partition refuses markers of an older one. */
  readonly coordinatorEpoch: number
  readonly timestampMs: number
}

/** Builds the marker that ends a transaction in one partition. */
export function buildEndTransactionMarker(marker: EndTransactionMarker): Uint8Array {
  const value = new Uint8Array(END_TRANSACTION_BYTES)
  setInt16At(value, 0, END_TRANSACTION_VERSION)
  setInt32At(value, 2, marker.coordinatorEpoch)
  return buildControlBatch({
    type: marker.verdict === 'commit' ? CONTROL_TYPES.COMMIT : CONTROL_TYPES.ABORT,
    value,
    timestampMs: marker.timestampMs,
    producerId: marker.producerId,
    producerEpoch: marker.producerEpoch,
    isTransactional: true,
  })
}

export interface ControlRecord {
  readonly version: number
  /** One of `CONTROL_TYPES`, or a number that later versions give a meaning; skip those. */
  readonly type: number
  readonly offset: number
  readonly value: Uint8Array | null
}

/**
 * Reads the control record of a batch.
 *
 * @returns Null for a batch of data, and for a control batch that compaction emptied or whose key is too short to name
 *   a type.
 * @throws {RecordError} As `decodeRecords`.
 */
export function readControlRecord(batch: Uint8Array): ControlRecord | null {
  const records = decodeRecords(batch, NO_CODECS)
  if (!isControl(attributesAt(batch, 0))) return null
  const { value: record } = records.next()
  const key = record?.key ?? null
  if (record === undefined || key === null || key.length < KEY_BYTES) return null
  return {
    version: int16At(key, 0),
    type: int16At(key, 2),
    offset: record.offset,
    value: record.value,
  }
}

/** Epoch of the coordinator in the value of an abort or commit; null when the value is too short for one. */
export function findCoordinatorEpoch(value: Uint8Array | null): number | null {
  return value === null || value.length < END_TRANSACTION_BYTES ? null : int32At(value, 2)
}
