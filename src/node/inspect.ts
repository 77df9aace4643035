/**
 * Looks into the files of a stopped broker, on the real disk: for `millrace dump` and `millrace verify`, and for scripts of
 * operators. Nothing here changes a log.
 */
import './native.ts'
import { absolutePath } from '../env/node/absolute-path.ts'
import { nodeEnv } from '../env/node/index.ts'
import { dumpSegment } from '../log/dump.ts'
import type { DumpedBatch } from '../log/dump.ts'
import { verifyDirectory } from '../log/verify.ts'
import type { VerifiedDirectory, VerifiedLog } from '../log/verify.ts'
import {
  attributesAt,
  codecId,
  hasDeleteHorizon,
  isControl,
  isTransactional,
} from '../records/batch-header.ts'
import { CODEC_NAMES } from '../records/compression/codec.ts'
import { CodecSet } from '../records/compression/codec-set.ts'
import { decodeRecords } from '../records/record-reader.ts'
import type { RecordView } from '../records/record-reader.ts'

/**
 * Yields the batches of a segment file in order, and then the fault that ended the walk, if any.
 *
 * @throws {FileError} `FILE_NOT_FOUND` and others.
 */
export function dumpSegmentFile(path: string): AsyncGenerator<DumpedBatch> {
  return dumpSegment(nodeEnv().files, absolutePath(path))
}

/**
 * Checks every log of a data directory; yields first what it found of the directory, then each log.
 *
 * @throws {FileError} `FILE_LOCKED` while a broker uses it; `FILE_NOT_FOUND` and others.
 */
export function verifyDataDirectory(path: string): AsyncGenerator<VerifiedDirectory | VerifiedLog> {
  return verifyDirectory(nodeEnv().files, absolutePath(path))
}

/** What the attributes of a batch say. */
export interface BatchAttributes {
  /** `none`, a codec's name, or `unknown`. */
  readonly codec: string
  readonly isControl: boolean
  readonly isTransactional: boolean
  /** Compaction has kept tombstones of it: `baseTimestamp` says until when (KIP-534). */
  readonly hasDeleteHorizon: boolean
}

export function describeAttributes(attributes: number): BatchAttributes {
  return {
    codec: CODEC_NAMES[codecId(attributes)] ?? 'unknown',
    isControl: isControl(attributes),
    isTransactional: isTransactional(attributes),
    hasDeleteHorizon: hasDeleteHorizon(attributes),
  }
}

const codecs = new CodecSet({ canWrite: false })

/**
 * The records of a batch, inflated if need be.
 *
 * @throws {RecordError} When they are not what the header says.
 */
export async function readBatchRecords(batch: Uint8Array): Promise<Iterable<RecordView>> {
  const missing = codecs.findMissing(attributesAt(batch, 0))
  if (missing !== null) await codecs.load(missing)
  return decodeRecords(batch, codecs)
}
