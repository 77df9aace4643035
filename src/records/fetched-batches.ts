/**
 * Splits what a fetch (or a read of the log) returned into batches. The first may begin below the asked offset; the last
 * may be cut, since a broker may fill its answer to the byte. Data plane: views, no copies.
 */
import { baseOffsetAt, BATCH_HEADER_BYTES, batchSizeAt, LOG_OVERHEAD_BYTES } from './batch-header.ts'
import { RecordError } from './record-error.ts'

/**
 * The whole batches in `bytes`, in order; a cut one at the end is left out.
 *
 * @throws {RecordError} `RECORDS_BATCH_MALFORMED` at a size that no batch can have: going on would read garbage.
 */
export function* splitBatches(bytes: Uint8Array): Generator<Uint8Array, void, undefined> {
  for (let position = 0; bytes.length - position >= LOG_OVERHEAD_BYTES;) {
    const size = batchSizeAt(bytes, position)
    if (size < BATCH_HEADER_BYTES) {
      throw new RecordError(
        'RECORDS_BATCH_MALFORMED',
        `Cannot split batches at offset ${baseOffsetAt(bytes, position)}: size is ${size} bytes, wanted at least ${BATCH_HEADER_BYTES}`,
      )
    }
    if (size > bytes.length - position) return
    yield bytes.subarray(position, position + size)
    position += size
  }
}

/**
 * Bytes that the first batch needs, when they are more than there are: the fetch must be asked again with a larger bound.
 * Null when the first batch is whole or nothing is there.
 */
export function findCutBatchSize(bytes: Uint8Array): number | null {
  if (bytes.length < LOG_OVERHEAD_BYTES) return null
  const size = batchSizeAt(bytes, 0)
  return size > bytes.length ? size : null
}
