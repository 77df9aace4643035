/**
 * Brings to the disk what is perhaps in the page cache alone, and nowhere else for ever.
 *
 * After a failed sync a kernel may mark the lost pages clean (docs/faults.md ST-7): they are read as if all was well, and no
 * later sync writes them. A start that finds them must not take them for durable because a sync of its own succeeded. So when
 * the last life of the process ended without a proof that no write or sync had failed (`log-directory.ts`), every
 * segment that may hold such pages is read and written to a new file, which takes its place:
 *
 *   00000000000000000000.log ─ read ─► ….log.tmp ─ sync ─► renamed over it ─► directory synced
 *
 * Invariants:
 * - Segments below the recovery point are left alone: they were synced before it was written down.
 * - The bytes stay what they are, torn ends included: what is sound is for recovery to say, which comes behind this.
 * - Indexes beside such a segment are caches that are in the same doubt. They go, and recovery makes them again.
 * - It may be cut short at any step: the old file or the new one has the name, and the next start begins over.
 *
 * See docs/decisions/0006-after-a-failed-sync.md. Control plane; runs before any log of the directory is open.
 */
import type { FileSystem, Logger } from '../env/index.ts'
import type { OffsetCheckpoint } from './checkpoint-file.ts'
import {
  LOG_SUFFIX,
  OFFSET_INDEX_SUFFIX,
  offsetFileName,
  parseOffsetFileName,
  TEMPORARY_SUFFIX,
  TIME_INDEX_SUFFIX,
} from './file-names.ts'
import { forEachInParallel } from './parallel.ts'

/** One read and write takes so much: memory is bounded by it and by how many logs are rewritten at once. */
const STEP_BYTES = 2 ** 20

/**
 * @param path - Absolute path of the data directory.
 * @param keys - Of its logs, which are the names of their directories. The metadata log may be among them: it keeps its recovery
 *   point with itself, and is rewritten whole.
 * @throws {FileError} Also for lack of room: then nothing can be said of what a log holds.
 */
export async function rewriteTails(
  ports: { readonly files: FileSystem; readonly logger: Logger },
  path: string,
  keys: readonly string[],
  recoveryPoints: OffsetCheckpoint,
): Promise<void> {
  let bytes = 0
  let count = 0
  await forEachInParallel(keys, async (key) => {
    const directory = `${path}/${key}`
    const names = await ports.files.list(directory)
    for (const baseOffset of doubtfulSegments(names, recoveryPoints.get(key) ?? 0)) {
      bytes += await rewrite(ports.files, directory, baseOffset)
      count++
    }
    await ports.files.syncDirectory(directory)
  })
  if (count === 0) return
  ports.logger.warn(
    'Wrote the ends of logs anew: a write or sync may have failed in the last life, and no later sync makes up for it',
    { segments: count, bytes },
  )
}

/**
 * Base offsets of the segments that may reach above the recovery point. The one that ends just there counts: its indexes are
 * synced after the next one has begun.
 */
function doubtfulSegments(names: readonly string[], recoveryPoint: number): readonly number[] {
  const offsets = names.flatMap((name) => {
    const file = parseOffsetFileName(name)
    return file?.suffix === LOG_SUFFIX ? [file.offset] : []
  })
  return offsets.filter((_, index) => (offsets[index + 1] ?? Infinity) >= recoveryPoint)
}

/** @returns Bytes written. */
async function rewrite(files: FileSystem, directory: string, baseOffset: number): Promise<number> {
  const path = `${directory}/${offsetFileName(baseOffset, LOG_SUFFIX)}`
  for (const suffix of [OFFSET_INDEX_SUFFIX, TIME_INDEX_SUFFIX])
    await files.remove(`${directory}/${offsetFileName(baseOffset, suffix)}`)
  const temporaryPath = path + TEMPORARY_SUFFIX
  await files.remove(temporaryPath)
  const from = await files.open(path, 'read')
  try {
    const to = await files.open(temporaryPath, 'create')
    try {
      const size = await from.size()
      for (let position = 0; position < size; position += STEP_BYTES)
        await to.append([await from.read(position, Math.min(STEP_BYTES, size - position))])
      await to.sync()
      await files.rename(temporaryPath, path)
      return size
    } finally {
      await to.close()
    }
  } finally {
    await from.close()
  }
}
