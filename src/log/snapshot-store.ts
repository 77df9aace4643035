/**
 * The producer snapshots of one log: which there are, and which may go.
 *
 * One is written when a segment is begun, for truncations that reach back to it, and one at each checkpoint, for
 * recovery. Those at the segments' base offsets stay as long as the segment; of the others the newest two: the one at
 * the recovery point, and the one before, whose recovery point may still be the one on disk.
 */
import type { FileSystem, Logger } from '../env/index.ts'
import { isLackOfRoom, writeAtomically } from './atomic-file.ts'
import { offsetFileName, SNAPSHOT_SUFFIX } from './file-names.ts'

const BETWEEN_SEGMENTS_KEPT = 2

export class SnapshotStore {
  readonly #files: FileSystem
  readonly #logger: Logger
  readonly #directory: string
  readonly #offsets: Set<number>

  constructor(
    ports: { readonly files: FileSystem; readonly logger: Logger; readonly directory: string },
    offsets: Iterable<number>,
  ) {
    this.#files = ports.files
    this.#logger = ports.logger
    this.#directory = ports.directory
    this.#offsets = new Set(offsets)
  }

  get offsets(): readonly number[] {
    return [...this.#offsets]
  }

  has(offset: number): boolean {
    return this.#offsets.has(offset)
  }

  /**
   * @returns False when there was no room for it, which is logged and costs the next recovery time only.
   * @throws {FileError} For any other failure: a failed sync of the directory puts new segments' names in doubt (D4).
   */
  async write(offset: number, bytes: Uint8Array): Promise<boolean> {
    const name = offsetFileName(offset, SNAPSHOT_SUFFIX)
    try {
      await writeAtomically(this.#files, this.#directory, name, bytes)
    } catch (error) {
      if (!isLackOfRoom(error)) throw error
      this.#logger.warn('Wrote a producer snapshot: recovery will begin at an older one', {
        path: `${this.#directory}/${name}`,
        error,
      })
      return false
    }
    this.#offsets.add(offset)
    return true
  }

  /** Takes out the offsets that `isGone` names; the files are the caller's to remove. */
  take(isGone: (offset: number) => boolean): number[] {
    const gone = [...this.#offsets].filter(isGone)
    for (const offset of gone) this.#offsets.delete(offset)
    return gone
  }

  /** Removes snapshots between segments that no recovery will ask for. @param baseOffsets - Of the segments. */
  async prune(baseOffsets: ReadonlySet<number>): Promise<void> {
    const between = this.offsets.filter((offset) => !baseOffsets.has(offset)).sort((a, b) => b - a)
    const excess = new Set(between.slice(BETWEEN_SEGMENTS_KEPT))
    for (const offset of this.take((candidate) => excess.has(candidate))) {
      await this.#files.remove(`${this.#directory}/${offsetFileName(offset, SNAPSHOT_SUFFIX)}`)
    }
  }
}
