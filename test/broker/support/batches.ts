/** Batches and produce and fetch requests in short. */
import type { RequestInputOf } from '../../../src/protocol/apis.ts'
import { ZERO_UUID } from '../../../src/bytes/uuid.ts'
import { crc32c } from '../../../src/bytes/crc32c.ts'
import { baseOffsetAt, batchSizeAt, CRC_RANGE_START, setCrcAt } from '../../../src/records/batch-header.ts'
import { BatchBuilder } from '../../../src/records/batch-builder.ts'
import type { SealOptions } from '../../../src/records/batch-builder.ts'
import { decodeRecords } from '../../../src/records/record-reader.ts'
import { CodecSet } from '../../../src/records/compression/codec-set.ts'

export interface BatchOptions extends SealOptions {
  readonly values?: readonly string[]
  readonly key?: string | null
  readonly timestampMs?: number
}

/** When the world of a simulation begins. */
export const START_MS = 1_767_225_600_000

/** A batch as a producer sends it, in a buffer of its own. */
export function makeBatch(options: BatchOptions = {}): Uint8Array {
  const { values = ['value'], key = null, timestampMs = START_MS, ...seal } = options
  const builder = new BatchBuilder(256)
  for (const value of values) {
    builder.append({
      key: key === null ? null : Buffer.from(key),
      value: Buffer.from(value),
      timestamp: timestampMs,
    })
  }
  return builder.seal(seal).slice()
}

/** Changes bytes of a batch and makes its CRC right again. */
export function forge(batch: Uint8Array, change: (view: DataView) => void): Uint8Array {
  change(new DataView(batch.buffer, batch.byteOffset, batch.length))
  setCrcAt(batch, 0, crc32c(batch, CRC_RANGE_START, batch.length))
  return batch
}

/** One batch for one partition; by id from version 13. */
export function produceRequest(
  topic: { readonly name?: string; readonly topicId?: string; readonly partition?: number },
  records: Uint8Array | null,
  options: { readonly acks?: number; readonly timeoutMs?: number; readonly transactionalId?: string } = {},
): RequestInputOf<'Produce'> {
  const { name = '', topicId = ZERO_UUID, partition = 0 } = topic
  return {
    transactionalId: options.transactionalId ?? null,
    acks: options.acks ?? -1,
    timeoutMs: options.timeoutMs ?? 30_000,
    topicData: [{ name, topicId, partitionData: [{ index: partition, records }] }],
  }
}

export interface FetchOptions {
  readonly offset?: number
  readonly partition?: number
  readonly maxWaitMs?: number
  readonly minBytes?: number
  readonly maxBytes?: number
  readonly partitionMaxBytes?: number
  readonly currentLeaderEpoch?: number
  readonly lastFetchedEpoch?: number
  readonly sessionId?: number
  readonly sessionEpoch?: number
}

export function fetchRequest(
  topic: { readonly name?: string; readonly topicId?: string },
  options: FetchOptions = {},
): RequestInputOf<'Fetch'> {
  return {
    maxWaitMs: options.maxWaitMs ?? 0,
    minBytes: options.minBytes ?? 1,
    maxBytes: options.maxBytes ?? 2 ** 26,
    sessionId: options.sessionId ?? 0,
    sessionEpoch: options.sessionEpoch ?? -1,
    topics: [
      {
        topic: topic.name ?? '',
        topicId: topic.topicId ?? ZERO_UUID,
        partitions: [
          {
            partition: options.partition ?? 0,
            fetchOffset: options.offset ?? 0,
            partitionMaxBytes: options.partitionMaxBytes ?? 2 ** 20,
            currentLeaderEpoch: options.currentLeaderEpoch ?? -1,
            lastFetchedEpoch: options.lastFetchedEpoch ?? -1,
          },
        ],
      },
    ],
  }
}

/** Base offsets of the batches in a records field. */
export function baseOffsetsOf(records: unknown): number[] {
  const bytes = joined(records)
  const offsets: number[] = []
  for (let at = 0; at < bytes.length; at += batchSizeAt(bytes, at)) offsets.push(baseOffsetAt(bytes, at))
  return offsets
}

const codecs = new CodecSet({ canWrite: false })

/** All records of a records field, as offset and value. */
export function valuesOf(records: unknown): { offset: number; value: string }[] {
  const bytes = joined(records)
  const values: { offset: number; value: string }[] = []
  for (let at = 0; at < bytes.length; at += batchSizeAt(bytes, at)) {
    for (const record of decodeRecords(bytes.subarray(at, at + batchSizeAt(bytes, at)), codecs)) {
      values.push({ offset: record.offset, value: Buffer.from(record.value ?? []).toString() })
    }
  }
  return values
}

function joined(records: unknown): Uint8Array {
  if (records === null) return new Uint8Array(0)
  return records instanceof Uint8Array ? records : Buffer.concat(records as readonly Uint8Array[])
}
