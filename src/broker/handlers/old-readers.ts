/**
 * What readers of early Fetch versions are given instead of what they would not understand.
 *
 * - Zstandard came with version 10 (KIP-110): an older reader gets the batches before the first such one, or
 *   UNSUPPORTED_COMPRESSION_TYPE when there are none. The broker does not compress anew.
 * - KAFKA_STORAGE_ERROR came with version 6 (KIP-112): an older reader is told NOT_LEADER_OR_FOLLOWER, which makes it
 *   look for the partition again.
 *
 * Such readers are few: their batches are joined into one piece to be looked at, which the usual path never does.
 */
import type { LogSlice } from '../../log/partition-log.ts'
import type { ErrorName } from '../../protocol/errors.ts'
import { attributesAt, baseOffsetAt, batchSizeAt, codecId } from '../../records/batch-header.ts'

const CODEC_ID_ZSTD = 4
const ZSTD_SINCE_VERSION = 10
const STORAGE_ERROR_SINCE_VERSION = 6

/** `slice` as a reader of `apiVersion` may have it, or why not. */
export function readableSlice(slice: LogSlice, apiVersion: number): LogSlice | ErrorName {
  if (apiVersion >= ZSTD_SINCE_VERSION || slice.bytes === 0) return slice
  const bytes = joined(slice)
  let position = 0
  while (position < bytes.length && codecId(attributesAt(bytes, position)) !== CODEC_ID_ZSTD)
    position += batchSizeAt(bytes, position)
  if (position === 0) return 'UNSUPPORTED_COMPRESSION_TYPE'
  const endOffset = position < bytes.length ? baseOffsetAt(bytes, position) : slice.endOffset
  return { chunks: [bytes.subarray(0, position)], bytes: position, startOffset: slice.startOffset, endOffset }
}

/** `error` in a word that a reader of `apiVersion` knows. */
export function knownError(error: ErrorName, apiVersion: number): ErrorName {
  const isUnknown = error === 'KAFKA_STORAGE_ERROR' && apiVersion < STORAGE_ERROR_SINCE_VERSION
  return isUnknown ? 'NOT_LEADER_OR_FOLLOWER' : error
}

function joined({ chunks, bytes }: LogSlice): Uint8Array {
  const whole = new Uint8Array(bytes)
  let position = 0
  for (const chunk of chunks) {
    whole.set(chunk, position)
    position += chunk.length
  }
  return whole
}
