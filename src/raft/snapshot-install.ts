/**
 * A snapshot that comes from the leader and takes the place of the log: received aside, checked as a whole, and put in
 * place so that a crash at any step leaves either the old state or the way to the new one (MQ-8).
 *
 *   1  <name>.checkpoint.part          the pieces, appended in order; then synced, read back and checked
 *   2  <name>.checkpoint.installing    an empty file: the log is about to be replaced
 *   3  .part renamed to <name>.checkpoint
 *   4  the log dropped, and begun anew at the snapshot's end
 *   5  .installing removed
 *
 * Each step is durable before the next. Without the mark of step 2 a log that ends before a snapshot has lost records and
 * is refused (M11). With it the next start does steps 4 and 5, if step 3 had happened.
 */
import { FileError } from '../env/index.ts'
import type { File, FileSystem } from '../env/index.ts'
import type { PartitionLog } from '../log/partition-log.ts'
import { QuorumError } from './metadata-quorum.ts'
import { readSnapshot, snapshotFileName } from './snapshot-file.ts'
import type { ReadSnapshot, SnapshotId } from './snapshot-file.ts'

const PART_SUFFIX = '.part'
const MARK_SUFFIX = '.installing'
const MARK = /^(\d{20})-(\d{10})\.checkpoint\.installing$/

/** The pieces of one snapshot at a time. Calls must not overlap. */
export class SnapshotReceiver {
  readonly #files: FileSystem
  readonly #directory: string
  #part: { readonly name: string; readonly file: File; size: number } | null = null

  constructor(files: FileSystem, directory: string) {
    this.#files = files
    this.#directory = directory
  }

  /** @param position - 0 begins anew; else where the last piece ended. @throws {FileError} */
  async write(id: SnapshotId, position: number, chunk: Uint8Array): Promise<void> {
    const name = snapshotFileName(id)
    if (position === 0) {
      await this.close()
      const path = `${this.#directory}/${name}${PART_SUFFIX}`
      await this.#files.remove(path)
      this.#part = { name, file: await this.#files.open(path, 'create'), size: 0 }
    }
    const part = this.#part
    if (part?.name !== name || part.size !== position) return // of an attempt that was given up
    await part.file.append([chunk])
    part.size += chunk.length
  }

  /**
   * Steps 1 to 5.
   *
   * @returns The snapshot, which the log now goes on from; null if what was received is not a whole one.
   * @throws {FileError | LogError} The node must stop: the next start finishes or forgets it.
   */
  async install(id: SnapshotId, log: PartitionLog): Promise<ReadSnapshot | null> {
    const part = this.#part
    if (part?.name !== snapshotFileName(id)) return null
    await part.file.sync()
    await this.close()
    const path = `${this.#directory}/${part.name}`
    const snapshot = await this.#check(id, part.name + PART_SUFFIX)
    if (snapshot === null) return null
    const mark = await this.#files.open(path + MARK_SUFFIX, 'append')
    await mark.close()
    await this.#files.syncDirectory(this.#directory)
    await this.#files.rename(path + PART_SUFFIX, path)
    await this.#files.syncDirectory(this.#directory)
    await finishInstall(this.#files, this.#directory, id, log)
    return snapshot
  }

  async close(): Promise<void> {
    const part = this.#part
    this.#part = null
    await part?.file.close()
  }

  async #check(id: SnapshotId, fileName: string): Promise<ReadSnapshot | null> {
    try {
      return await readSnapshot(this.#files, this.#directory, id, fileName)
    } catch (error) {
      if (!(error instanceof QuorumError)) throw error
      return null // the leader's file is damaged, or changed while it was sent: it is fetched again
    }
  }
}

/** The snapshot whose installation the last run began and did not finish, or null. What came to nothing is removed. */
export async function findInstall(files: FileSystem, directory: string): Promise<SnapshotId | null> {
  let found: SnapshotId | null = null
  for (const name of await files.list(directory)) {
    if (name.endsWith(PART_SUFFIX)) await files.remove(`${directory}/${name}`)
    const match = MARK.exec(name)
    if (match === null) continue
    const id = { endOffset: Number(match[1]), epoch: Number(match[2]) }
    const isThere = (await files.stat(`${directory}/${snapshotFileName(id)}`)) !== null
    if (!isThere) await files.remove(`${directory}/${name}`)
    else if (found === null || id.endOffset > found.endOffset) found = id
  }
  return found
}

/** Steps 4 and 5. */
export async function finishInstall(
  files: FileSystem,
  directory: string,
  id: SnapshotId,
  log: PartitionLog,
): Promise<void> {
  // A step 5 that did not become durable brings the mark back: the log has gone on since, and stays.
  const hasHappened = log.logStartOffset >= id.endOffset
  if (!hasHappened) {
    await log.truncateFullyAndStartAt(id.endOffset)
    log.startEpoch(id.epoch, id.endOffset)
  }
  await files.remove(`${directory}/${snapshotFileName(id)}${MARK_SUFFIX}`)
  await files.syncDirectory(directory)
}

/** Reads a piece of a snapshot for another node; null if there is none at that position. @throws {FileError} */
export async function readSnapshotChunk(
  files: FileSystem,
  directory: string,
  id: SnapshotId,
  position: number,
  maxBytes: number,
): Promise<{ readonly size: number; readonly chunk: Uint8Array } | null> {
  let file
  try {
    file = await files.open(`${directory}/${snapshotFileName(id)}`, 'read')
  } catch (error) {
    if (error instanceof FileError && error.code === 'FILE_NOT_FOUND') return null
    throw error
  }
  try {
    const size = await file.size()
    if (position < 0 || position >= size) return null
    return { size, chunk: await file.read(position, maxBytes) }
  } finally {
    await file.close()
  }
}
