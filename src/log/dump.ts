/**
 * The batches of one segment file, for `millrace dump` and `verify`: needs no log, no lock and no other file.
 */
import type { FileSystem } from '../env/index.ts'
import { batchSizeAt, readBatchHeader, type BatchHeader } from '../records/batch-header.ts'
import { scanBatches } from './batch-scan.ts'

export type DumpedBatch =
  | {
      readonly kind: 'batch'
      readonly position: number
      readonly header: BatchHeader
      readonly bytes: Uint8Array
    }
  /** The last item of a file that is not sound to its end: what is wrong there. */
  | { readonly kind: 'fault'; readonly position: number; readonly fault: string }

/** Batches decoded per step, so that a long file is never held in memory. */
const STEP_BATCHES = 64

/**
 * Yields each batch of `path` in order, CRC checked, and then the fault that ended the walk, if any.
 *
 * @throws {FileError} As the port does.
 */
export async function* dumpSegment(files: FileSystem, path: string): AsyncGenerator<DumpedBatch> {
  const file = await files.open(path, 'read')
  try {
    const endPosition = await file.size()
    let startPosition = 0
    while (startPosition < endPosition) {
      const found: DumpedBatch[] = []
      const { position, fault } = await scanBatches(
        file,
        { startPosition, endPosition, verifies: true },
        (bytes, at, where) => {
          if (found.length === STEP_BATCHES) return false
          const size = batchSizeAt(bytes, at)
          found.push({
            kind: 'batch',
            position: where,
            header: readBatchHeader(bytes, at),
            bytes: bytes.slice(at, at + size),
          })
          return true
        },
      )
      yield* found
      if (fault !== null) {
        yield { kind: 'fault', position, fault }
        return
      }
      startPosition = position
    }
  } finally {
    await file.close()
  }
}
