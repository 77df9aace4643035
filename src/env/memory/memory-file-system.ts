/**
 * Files in memory: for brokers started with `--ephemeral` and for topics with `durability=memory`, which use the
 * same log code as any other over this adapter. What is stored here dies with the process; syncs do nothing.
 *
 * Invariants:
 * - Operations take effect at once, in call order, and settle in a later microtask.
 * - Memory is bounded: what would pass `capacityBytes` fails with `FILE_NO_SPACE`, after nothing was written.
 * - A removed file's memory is given back when its last handle is closed, as on a real file system.
 */
import { assert } from '../../base/assert.ts'
import type { Clock } from '../clock.ts'
import type { File, FileStat, FileSystem, OpenMode } from '../files.ts'
import { FileError } from '../files.ts'
import { pathParts } from '../paths.ts'
import { ChunkedBytes } from './chunked-bytes.ts'

/** A node that only tests need not be told: half of what Node's own heap is usually given, off that heap. */
const CAPACITY_BYTES_DEFAULT = 2 * 1024 ** 3

export interface MemoryFileSystemOptions {
  readonly clock: Pick<Clock, 'wallTimeMs'>
  /** Bytes of memory that files may take in all. */
  readonly capacityBytes?: number
}

interface MemoryDirectory {
  readonly kind: 'directory'
  readonly entries: Map<string, Entry>
  modifiedMs: number
}

interface MemoryContents {
  readonly kind: 'file'
  readonly bytes: ChunkedBytes
  modifiedMs: number
  /** Open handles plus one while it has a name. At 0 the memory is given back. */
  references: number
}

type Entry = MemoryDirectory | MemoryContents

export class MemoryFileSystem implements FileSystem {
  readonly #clock: Pick<Clock, 'wallTimeMs'>
  readonly #capacityBytes: number
  readonly #root: MemoryDirectory = { kind: 'directory', entries: new Map(), modifiedMs: 0 }
  readonly #locks = new Set<string>()
  #usedBytes = 0

  constructor(options: MemoryFileSystemOptions) {
    this.#clock = options.clock
    this.#capacityBytes = options.capacityBytes ?? CAPACITY_BYTES_DEFAULT
  }

  /** Memory that files take now, in bytes. */
  get usedBytes(): number {
    return this.#usedBytes
  }

  async open(path: string, mode: OpenMode): Promise<File> {
    const { directory, name } = this.#place('Opened', path)
    let entry = directory.entries.get(name)
    if (entry?.kind === 'directory' || name === '') {
      throw new FileError('FILE_IO', `Opened ${path}: it is a directory`, path)
    }
    if (entry !== undefined && mode === 'create') {
      throw new FileError('FILE_EXISTS', `Created ${path}: it exists`, path)
    }
    if (entry === undefined) {
      if (mode === 'read') throw notFound('Opened', path)
      entry = { kind: 'file', bytes: new ChunkedBytes(), modifiedMs: this.#clock.wallTimeMs(), references: 1 }
      directory.entries.set(name, entry)
    }
    entry.references++
    return new MemoryFile(this, entry, path, mode)
  }

  async stat(path: string): Promise<FileStat | null> {
    const entry = this.#find(path)
    if (entry === null) return null
    const size = entry.kind === 'file' ? entry.bytes.size : 0
    return { kind: entry.kind, size, modifiedMs: entry.modifiedMs }
  }

  async list(directory: string): Promise<readonly string[]> {
    return [...this.#directory('Listed', directory).entries.keys()].sort()
  }

  async rename(from: string, to: string): Promise<void> {
    const source = this.#place('Renamed', from)
    const entry = source.directory.entries.get(source.name)
    if (entry === undefined) throw notFound('Renamed', from)
    const target = this.#place('Renamed', to)
    const replaced = target.directory.entries.get(target.name)
    if (replaced === entry) return
    if (entry.kind === 'directory' && this.#isInside(to, from)) {
      throw new FileError('FILE_IO', `Renamed ${from}: ${to} lies inside it`, to)
    }
    if (replaced?.kind === 'directory' && (entry.kind === 'file' || replaced.entries.size > 0)) {
      throw new FileError('FILE_NOT_EMPTY', `Renamed ${from}: a directory is at ${to}`, to)
    }
    if (replaced?.kind === 'file' && entry.kind === 'directory') {
      throw new FileError('FILE_EXISTS', `Renamed ${from}: a file is at ${to}`, to)
    }
    source.directory.entries.delete(source.name)
    target.directory.entries.set(target.name, entry)
    this.#touch(source.directory, target.directory)
    if (replaced?.kind === 'file') this.release(replaced)
  }

  async remove(path: string): Promise<void> {
    const entry = this.#find(path)
    if (entry === null) return
    const { directory, name } = this.#place('Removed', path)
    if (entry.kind === 'directory' && (entry.entries.size > 0 || name === '')) {
      throw new FileError('FILE_NOT_EMPTY', `Removed ${path}: the directory is not empty`, path)
    }
    directory.entries.delete(name)
    this.#touch(directory)
    if (entry.kind === 'file') this.release(entry)
  }

  async makeDirectory(path: string): Promise<void> {
    let directory = this.#root
    for (const part of pathParts(path)) {
      let next = directory.entries.get(part)
      if (next?.kind === 'file') {
        throw new FileError('FILE_EXISTS', `Made directory ${path}: ${part} is a file`, path)
      }
      if (next === undefined) {
        next = { kind: 'directory', entries: new Map(), modifiedMs: this.#clock.wallTimeMs() }
        directory.entries.set(part, next)
      }
      directory = next
    }
  }

  async syncDirectory(directory: string): Promise<void> {
    this.#directory('Synced directory', directory)
  }

  async space(): Promise<{ readonly totalBytes: number; readonly usableBytes: number }> {
    return { totalBytes: this.#capacityBytes, usableBytes: this.#capacityBytes - this.#usedBytes }
  }

  async lock(directory: string): Promise<{ release(): Promise<void> }> {
    this.#directory('Locked', directory)
    const name = pathParts(directory).join('/')
    if (this.#locks.has(name)) {
      throw new FileError(
        'FILE_LOCKED',
        `Locked ${directory}: held by another owner in this process`,
        directory,
      )
    }
    this.#locks.add(name)
    let isHeld = true
    return {
      release: async () => {
        if (isHeld) this.#locks.delete(name)
        isHeld = false
      },
    }
  }

  /** Makes room for `contents` to become `size` bytes. For `MemoryFile`. @throws {FileError} `FILE_NO_SPACE`. */
  reserve(contents: MemoryContents, size: number, path: string): void {
    const moreBytes = ChunkedBytes.allocationFor(size) - contents.bytes.allocatedBytes
    if (moreBytes > this.#capacityBytes - this.#usedBytes) {
      throw new FileError(
        'FILE_NO_SPACE',
        `Wrote to ${path} in memory: it needs ${moreBytes} bytes more, ${this.#capacityBytes - this.#usedBytes} of ${this.#capacityBytes} are left`,
        path,
      )
    }
    this.#usedBytes += moreBytes
    contents.modifiedMs = this.#clock.wallTimeMs()
  }

  /** Gives up one reference; the last one frees the memory. For `MemoryFile`. */
  release(contents: MemoryContents): void {
    contents.references--
    assert(contents.references >= 0, 'A file has no fewer than 0 references')
    if (contents.references > 0) return
    this.#usedBytes -= contents.bytes.allocatedBytes
    contents.bytes.truncate(0)
  }

  #find(path: string): Entry | null {
    let entry: Entry | undefined = this.#root
    for (const part of pathParts(path)) {
      entry = entry?.kind === 'directory' ? entry.entries.get(part) : undefined
    }
    return entry ?? null
  }

  #directory(did: string, path: string): MemoryDirectory {
    const entry = this.#find(path)
    if (entry?.kind !== 'directory') throw notFound(did, path)
    return entry
  }

  /** The directory a path lies in and its name there; the root's name is empty. */
  #place(did: string, path: string): { readonly directory: MemoryDirectory; readonly name: string } {
    const parts = pathParts(path)
    const name = parts.pop() ?? ''
    return { directory: this.#directory(did, '/' + parts.join('/')), name }
  }

  #isInside(path: string, directory: string): boolean {
    const outer = pathParts(directory)
    const inner = pathParts(path)
    return inner.length > outer.length && outer.every((part, index) => part === inner[index])
  }

  #touch(...directories: MemoryDirectory[]): void {
    for (const directory of directories) directory.modifiedMs = this.#clock.wallTimeMs()
  }
}

class MemoryFile implements File {
  readonly #system: MemoryFileSystem
  readonly #contents: MemoryContents
  readonly #path: string
  readonly #mode: OpenMode
  /** Set by a failed append until `truncate`, as the port asks. */
  #failure: FileError | null = null
  #isClosed = false

  constructor(system: MemoryFileSystem, contents: MemoryContents, path: string, mode: OpenMode) {
    this.#system = system
    this.#contents = contents
    this.#path = path
    this.#mode = mode
  }

  async read(position: number, length: number): Promise<Uint8Array> {
    this.#check('Read', false)
    return this.#contents.bytes.read(position, length)
  }

  async append(chunks: readonly Uint8Array[]): Promise<void> {
    this.#check('Appended to', true)
    const { bytes } = this.#contents
    const addedBytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0)
    if (this.#failure !== null) throw this.#failure
    try {
      this.#system.reserve(this.#contents, bytes.size + addedBytes, this.#path)
    } catch (error) {
      this.#failure = error as FileError
      throw error
    }
    for (const chunk of chunks) bytes.append(chunk)
  }

  async truncate(size: number): Promise<void> {
    this.#check('Truncated', true)
    this.#system.reserve(this.#contents, size, this.#path)
    this.#contents.bytes.truncate(size)
    this.#failure = null
  }

  async sync(): Promise<void> {
    this.#check('Synced', true)
  }

  async size(): Promise<number> {
    this.#check('Asked the size of', false)
    return this.#contents.bytes.size
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#system.release(this.#contents)
  }

  #check(did: string, changes: boolean): void {
    if (this.#isClosed) throw new FileError('FILE_CLOSED', `${did} ${this.#path}: it is closed`, this.#path)
    if (changes && this.#mode === 'read') {
      throw new FileError('FILE_NO_ACCESS', `${did} ${this.#path}: it is open for reading`, this.#path)
    }
  }
}

function notFound(did: string, path: string): FileError {
  return new FileError('FILE_NOT_FOUND', `${did} ${path}: nothing is there`, path)
}
