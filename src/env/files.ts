/**
 * The file port: what a log needs of a disk, with the disk's weaknesses said out loud.
 *
 * What a caller may rely on, and no more (docs/faults.md):
 * - Bytes survive a power cut once `sync` resolved after their `append`; before that any part of them may be
 *   there, torn at sector size, in any order.
 * - A created, renamed or removed name survives a power cut once `syncDirectory` of its directory resolved.
 * - After a rejected `append` the file's length is unknown: truncate it to the last known size before going on.
 *   Until then every append through that handle is rejected, also those already called: their bytes would land in
 *   the wrong place.
 * - After a rejected `sync` nothing about unsynced bytes is known and the file must never be synced again as if
 *   clean (faults.md ST-7, D4): close it, recover from a fresh open.
 *
 * Paths are absolute, with `/` as separator. Buffers given to `append` are borrowed until it settles. A buffer got
 * from `read` belongs to the caller.
 */

export interface File {
  /**
   * Reads up to `length` bytes from `position`.
   *
   * @returns A buffer of the bytes there; shorter than `length` only at the end of the file, empty past it.
   * @throws {FileError} `FILE_IO` if the device fails.
   */
  read(position: number, length: number): Promise<Uint8Array>

  /**
   * Appends all chunks, in order, as one gathered write. Appends take effect in call order, without waiting for
   * one another's promise; reads and `size` see them once they are done.
   *
   * @returns Undefined if it was done within the call, so that what depends on it can go on in the same turn.
   * Rejects with {FileError} `FILE_NO_SPACE` (also for quotas and file-size limits), `FILE_IO`; never throws.
   */
  append(chunks: readonly Uint8Array[]): Promise<void> | undefined

  /** Cuts or (with zeros) extends the file to `size` bytes. Must not run beside an `append` or `sync`. */
  truncate(size: number): Promise<void>

  /** Makes all that was appended before the call survive a power cut (fdatasync). A rejection is final. */
  sync(): Promise<void>

  /** Size in bytes. */
  size(): Promise<number>

  /** Releases the handle; waits for what is under way. Calling it twice is harmless. */
  close(): Promise<void>
}

export interface FileSystem {
  /**
   * Opens a file.
   *
   * @param mode - `read`: must exist, only `read` and `size` are allowed. `append`: created when missing (mode
   *   0600), readable too. `create`: as `append`, but fails when the name exists.
   * @throws {FileError} `FILE_NOT_FOUND`, `FILE_EXISTS`, `FILE_NO_ACCESS`, `FILE_TOO_MANY_OPEN`, `FILE_IO`.
   */
  open(path: string, mode: OpenMode): Promise<File>

  /** What is at `path`, or null when nothing is. */
  stat(path: string): Promise<FileStat | null>

  /** Names in a directory, sorted by code unit, without `.` and `..`. @throws {FileError} `FILE_NOT_FOUND`. */
  list(directory: string): Promise<readonly string[]>

  /** Renames a file or directory; replaces a file that has the new name, atomically. */
  rename(from: string, to: string): Promise<void>

  /** Removes a file or an empty directory; a missing one is no error. */
  remove(path: string): Promise<void>

  /** Creates a directory (mode 0700) and its parents; an existing one is no error. */
  makeDirectory(path: string): Promise<void>

  /** Makes creations, renames and removals inside `directory` survive a power cut. A rejection is final. */
  syncDirectory(directory: string): Promise<void>

  /** Size and free space in bytes of the volume that holds `path`. */
  space(path: string): Promise<{ readonly totalBytes: number; readonly usableBytes: number }>

  /**
   * Takes the exclusive right to `directory` for this process's life, or until released. The right dies with the
   * process, however it dies.
   *
   * @throws {FileError} `FILE_LOCKED` when another live process (or another owner in this one) holds it; its
   *   message names the holder where that is known.
   */
  lock(directory: string): Promise<{ release(): Promise<void> }>
}

export type OpenMode = 'read' | 'append' | 'create'

export interface FileStat {
  readonly kind: 'file' | 'directory'
  /** Bytes; 0 for a directory. */
  readonly size: number
  readonly modifiedMs: number
}

export type FileErrorCode =
  | 'FILE_NOT_FOUND'
  | 'FILE_EXISTS'
  | 'FILE_NO_ACCESS'
  | 'FILE_NO_SPACE'
  | 'FILE_TOO_MANY_OPEN'
  | 'FILE_LOCKED'
  | 'FILE_NOT_EMPTY'
  | 'FILE_CLOSED'
  | 'FILE_IO'

/** What a file operation fails with, in every adapter. */
export class FileError extends Error {
  override readonly name = 'FileError'
  readonly code: FileErrorCode
  readonly path: string

  constructor(code: FileErrorCode, message: string, path: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
    this.path = path
  }
}
