/**
 * A log's leader epochs and their file, `leader-epoch-checkpoint`.
 *
 * Invariant: the file names the epoch of a batch before the batch is written, so recovery can tell a new epoch from a
 * flipped bit (docs/faults.md ST-3). `PartitionLog` makes the writer wait for `save` when `isDirty`. The file may name
 * epochs that begin at or above the log's end: those of leaders that wrote nothing, or whose batches were lost.
 */
import type { FileSystem } from '../env/index.ts'
import { writeAtomically } from './atomic-file.ts'
import { formatEpochCheckpoint } from './checkpoint-file.ts'
import { EPOCH_CHECKPOINT } from './file-names.ts'
import type { LeaderEpochCache } from './leader-epoch-cache.ts'

export class EpochStore {
  readonly cache: LeaderEpochCache
  readonly #files: FileSystem
  readonly #directory: string
  #isDirty: boolean
  /** The last save asked for; the next one waits for it. */
  #saving: Promise<void> = Promise.resolve()

  /** @param isDirty - The file is missing or says something else than `cache`. */
  constructor(files: FileSystem, directory: string, cache: LeaderEpochCache, isDirty: boolean) {
    this.#files = files
    this.#directory = directory
    this.cache = cache
    this.#isDirty = isDirty
  }

  /** There is something in memory that no save under way will write. */
  get isDirty(): boolean {
    return this.#isDirty
  }

  assign(epoch: number, startOffset: number): boolean {
    return this.#changed(this.cache.assign(epoch, startOffset))
  }

  /** See `LeaderEpochCache`. */
  truncateFromEnd(endOffset: number, keepsEpochAt: boolean): void {
    this.#changed(this.cache.truncateFromEnd(endOffset, keepsEpochAt))
  }

  /** See `LeaderEpochCache`. */
  truncateFromStart(startOffset: number): void {
    this.#changed(this.cache.truncateFromStart(startOffset))
  }

  /**
   * Writes what is in memory when its turn comes. Once it resolved the epochs known at the call survive a power cut.
   *
   * @throws {FileError} Then the file is as before, and `isDirty` again.
   */
  save(): Promise<void> {
    this.#isDirty = false
    const previous = this.#saving.catch(() => undefined) // told to who asked for that one
    this.#saving = previous.then(async () => {
      try {
        await writeAtomically(
          this.#files,
          this.#directory,
          EPOCH_CHECKPOINT,
          formatEpochCheckpoint(this.cache.entries),
        )
      } catch (error) {
        this.#isDirty = true
        throw error
      }
    })
    return this.#saving
  }

  /** Resolves when no save is under way. */
  async settle(): Promise<void> {
    await this.#saving.catch(() => undefined) // told to who asked for it
  }

  #changed(hasChanged: boolean): boolean {
    if (hasChanged) this.#isDirty = true
    return hasChanged
  }
}
