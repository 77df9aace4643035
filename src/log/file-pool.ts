/**
 * Read handles of cold files, opened when needed and closed when too many are open.
 *
 * Invariants: a handle is never closed while a reader uses it, so a segment may be deleted or its handle evicted
 * beside a read (faults.md RP-20); at most `openMax` handles stay open that nobody uses (ST-9).
 */
import type { File, FileSystem } from '../env/index.ts'

interface PooledFile {
  readonly opening: Promise<File>
  users: number
  isRetired: boolean
}

export class FilePool {
  readonly #files: FileSystem
  readonly #openMax: number
  /** By path, the least recently used first. */
  readonly #pooled = new Map<string, PooledFile>()

  /** @param openMax - Handles kept open for reuse. */
  constructor(files: FileSystem, openMax: number) {
    this.#files = files
    this.#openMax = openMax
  }

  /** Handles that are open or opening. */
  get openCount(): number {
    return this.#pooled.size
  }

  /** Runs `use` with the file open for reading. @throws {FileError} `FILE_NOT_FOUND` and what the port and `use` throw. */
  async withFile<T>(path: string, use: (file: File) => Promise<T>): Promise<T> {
    let pooled = this.#pooled.get(path)
    if (pooled === undefined) pooled = { opening: this.#files.open(path, 'read'), users: 0, isRetired: false }
    else this.#pooled.delete(path)
    this.#pooled.set(path, pooled)
    pooled.users++
    try {
      return await use(await pooled.opening)
    } catch (error) {
      // A handle that failed to open, or that met an error, is not worth keeping.
      this.#drop(path, pooled)
      throw error
    } finally {
      pooled.users--
      if (pooled.users === 0 && pooled.isRetired) await closeQuietly(pooled)
      await this.#evict()
    }
  }

  /** Forgets the handle of `path`: it closes when its last reader is done, and the next use opens the name anew. */
  async retire(path: string): Promise<void> {
    const pooled = this.#pooled.get(path)
    if (pooled === undefined) return
    this.#drop(path, pooled)
    if (pooled.users === 0) await closeQuietly(pooled)
  }

  /** Forgets all handles below `directory`. */
  async retireAll(directory: string): Promise<void> {
    const paths = [...this.#pooled.keys()].filter((path) => path.startsWith(`${directory}/`))
    for (const path of paths) await this.retire(path)
  }

  #drop(path: string, pooled: PooledFile): void {
    if (this.#pooled.get(path) === pooled) this.#pooled.delete(path)
    pooled.isRetired = true
  }

  async #evict(): Promise<void> {
    if (this.#pooled.size <= this.#openMax) return
    for (const [path, pooled] of this.#pooled) {
      if (this.#pooled.size <= this.#openMax) return
      if (pooled.users > 0) continue
      this.#drop(path, pooled)
      await closeQuietly(pooled)
    }
  }
}

async function closeQuietly(pooled: PooledFile): Promise<void> {
  try {
    await (await pooled.opening).close()
  } catch {
    // A handle that was only read has nothing to lose; a failed open has been reported to who asked for it.
  }
}
