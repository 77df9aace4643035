/**
 * Writes the checkpoints of a data directory, each one at a time.
 *
 * Invariant: a write takes the values of the moment it begins, so whoever waits for one that had not begun when they asked
 * finds their own value on disk, and all who wait share one write. Control plane.
 */
import type { CheckpointName, LogDirectory, OffsetEntry } from './log-directory.ts'

export class CheckpointSaver {
  readonly #home: LogDirectory
  readonly #entries: (name: CheckpointName) => Iterable<OffsetEntry>
  readonly #saves = new Map<CheckpointName, { running: Promise<void> | null; next: Promise<void> | null }>()

  /** @param entries - The present values for a checkpoint. */
  constructor(home: LogDirectory, entries: (name: CheckpointName) => Iterable<OffsetEntry>) {
    this.#home = home
    this.#entries = entries
  }

  /** Resolves when the values of now, or later ones, survive a power cut. @throws {FileError} */
  async save(name: CheckpointName): Promise<void> {
    const save = this.#saves.get(name) ?? { running: null, next: null }
    this.#saves.set(name, save)
    save.next ??= (async () => {
      await save.running?.catch(() => undefined) // told to who waited for that one
      save.running = save.next
      save.next = null
      await this.#home.writeCheckpoint(name, this.#entries(name))
    })()
    await save.next
  }
}
