/**
 * Walks the batches of a segment file: for recovery, for rebuilding what is derived from the log, and for `dump`.
 *
 * Two ways. With `verifies` every byte is read and every CRC is checked. Without, only headers are read, a small read
 * for each batch that is longer than the buffer: the way through bytes that are known to be sound.
 *
 * A scan never takes more memory than a read of `READ_BYTES`, or one batch of at most `BATCH_BYTES_MAX`.
 */
import type { File } from '../env/index.ts'
import { BATCH_HEADER_BYTES, batchSizeAt } from '../records/batch-header.ts'
import { findBatchFault, findHeaderFault } from '../records/batch-validator.ts'

/** Bytes of one read when all bytes are wanted. */
const READ_BYTES = 2 ** 20

/** Bytes of one read when only headers are. */
const HEADER_READ_BYTES = 2 ** 16

/** No frame carries more, so a longer batch is a damaged length; it bounds what a scan reads at once. */
export const BATCH_BYTES_MAX = 2 ** 28

export interface ScanResult {
  /** Where the scan stopped: the end, the batch at which `visit` returned false, or the first fault. */
  readonly position: number
  /** What is wrong at `position`, or null. */
  readonly fault: string | null
}

export interface ScanRange {
  /** Position of a batch. */
  readonly startPosition: number
  /** End of the bytes to walk, exclusive; at most the file's size. */
  readonly endPosition: number
  readonly verifies: boolean
}

/**
 * Calls `visit` for each batch in order, until it returns false.
 *
 * @param visit - Gets a buffer, the batch's place in it, and its position in the file. The header is there, and with
 *   `verifies` the whole batch. The bytes are good until it returns.
 */
export async function scanBatches(
  file: File,
  range: ScanRange,
  visit: (bytes: Uint8Array, at: number, position: number) => boolean,
): Promise<ScanResult> {
  const { endPosition, verifies } = range
  const readBytes = verifies ? READ_BYTES : HEADER_READ_BYTES
  let position = range.startPosition
  let buffer: Uint8Array = new Uint8Array(0)
  let bufferPosition = position
  while (position < endPosition) {
    const available = endPosition - position
    let at = position - bufferPosition
    if (at < 0 || at + Math.min(BATCH_HEADER_BYTES, available) > buffer.length) {
      buffer = await file.read(position, Math.min(readBytes, available))
      bufferPosition = position
      at = 0
      if (buffer.length < Math.min(BATCH_HEADER_BYTES, available))
        return { position, fault: endsEarly(buffer.length) }
    }
    const headerFault = findHeaderFault(buffer, at, available)
    if (headerFault !== null) return { position, fault: headerFault }
    const size = batchSizeAt(buffer, at)
    if (size > BATCH_BYTES_MAX)
      return { position, fault: `Batch size is ${size} bytes: wanted at most ${BATCH_BYTES_MAX}` }
    if (verifies) {
      if (at + size > buffer.length) {
        buffer = await file.read(position, Math.min(Math.max(readBytes, size), available))
        bufferPosition = position
        at = 0
        if (buffer.length < size) return { position, fault: endsEarly(buffer.length) }
      }
      const fault = findBatchFault(buffer, at, buffer.length - at)
      if (fault !== null) return { position, fault }
    }
    if (!visit(buffer, at, position)) return { position, fault: null }
    position += size
  }
  return { position, fault: null }
}

function endsEarly(found: number): string {
  return `File ends early: ${found} bytes left`
}
