/**
 * Small files that are replaced whole: written aside, synced, renamed over the old one, and the directory synced.
 *
 * A crash leaves the old content or the new one, and perhaps a `.tmp` that the next start removes. Once
 * `writeAtomically` resolved the new content survives a power cut (faults.md ST-6). Control plane.
 */
import type { File, FileSystem } from '../env/index.ts'
import { FileError } from '../env/index.ts'
import { TEMPORARY_SUFFIX } from './file-names.ts'

/** Largest small file that is read whole: checkpoints of 100,000 partitions with long names. */
const SMALL_FILE_BYTES_MAX = 64 * 2 ** 20

/** How deep errors lie in one another: a file's in a log's in a quorum's, and some. */
const CAUSES_MAX = 10

/**
 * Replaces the content of `directory/name`.
 *
 * @throws {FileError} As the port does. The old content is then still there, or unknown if the last sync failed.
 */
export async function writeAtomically(
  files: FileSystem,
  directory: string,
  name: string,
  content: Uint8Array,
): Promise<void> {
  const path = `${directory}/${name}`
  const temporaryPath = path + TEMPORARY_SUFFIX
  const file = await createAnew(files, temporaryPath)
  try {
    await file.append([content])
    await file.sync()
  } finally {
    await file.close()
  }
  await files.rename(temporaryPath, path)
  await files.syncDirectory(directory)
}

/** What is left of a write that was cut short makes way; usually there is nothing, so that is not looked for first. */
async function createAnew(files: FileSystem, path: string): Promise<File> {
  try {
    return await files.open(path, 'create')
  } catch (error) {
    if (!(error instanceof FileError) || error.code !== 'FILE_EXISTS') throw error
    await files.remove(path)
    return files.open(path, 'create')
  }
}

/** The whole content of a small file, or null when there is none. @throws {FileError} As the port does. */
export async function readWhole(files: FileSystem, path: string): Promise<Uint8Array | null> {
  let file
  try {
    file = await files.open(path, 'read')
  } catch (error) {
    if (error instanceof FileError && error.code === 'FILE_NOT_FOUND') return null
    throw error
  }
  try {
    const size = await file.size()
    return await file.read(0, Math.min(size, SMALL_FILE_BYTES_MAX))
  } finally {
    await file.close()
  }
}

/** Errors after which the disk is as good as before: nothing that was there is in doubt, and the next try may do. */
export function isLackOfRoom(error: unknown): error is FileError {
  return error instanceof FileError && (error.code === 'FILE_NO_SPACE' || error.code === 'FILE_TOO_MANY_OPEN')
}

/** The device failure that an error was caused by, or null. */
export function findDeviceFailure(error: unknown): FileError | null {
  for (
    let cause = error, depth = 0;
    cause instanceof Error && depth < CAUSES_MAX;
    cause = cause.cause, depth++
  )
    if (isDeviceFailure(cause)) return cause
  return null
}

/**
 * Errors after which nobody knows what the disk did with what it was given: a failed write or sync, a name that could not
 * be changed. Final for the whole data directory (docs/faults.md D4).
 */
export function isDeviceFailure(error: unknown): error is FileError {
  return error instanceof FileError && !isLackOfRoom(error)
}
