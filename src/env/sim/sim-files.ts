/**
 * The file port on a simulated disk, for one life of a node's process. Checks and effects of an operation happen
 * together, at its end; buffers are read then and not before, so a caller that changes a borrowed buffer too early
 * is found out.
 */
import type { File, FileStat, FileSystem, OpenMode } from '../files.ts'
import { FileError } from '../files.ts'
import { parentOf, pathParts } from '../paths.ts'
import type { DirectoryInode, FileInode, Inode, NameEdit } from './disk-image.ts'
import { newDirectory, newFile } from './disk-image.ts'
import type { DiskEffect, DiskOperationKind, SimDisk } from './sim-disk.ts'
import type { SimProcess } from './sim-node.ts'

const VOLUME_BYTES = 2 ** 40

export class SimFileSystem implements FileSystem {
  readonly #disk: SimDisk
  readonly #process: SimProcess

  constructor(disk: SimDisk, process: SimProcess) {
    this.#disk = disk
    this.#process = process
  }

  async open(path: string, mode: OpenMode): Promise<File> {
    const isNew = mode !== 'read' && this.#disk.find(path) === null
    const inode = await this.#disk.perform(this.#process, isNew ? 'create' : 'open', path, null, () => {
      const existing = this.#disk.find(path)
      if (existing?.kind === 'directory')
        throw new FileError('FILE_IO', `Opened ${path}: it is a directory`, path)
      if (existing !== null) {
        if (mode === 'create') throw new FileError('FILE_EXISTS', `Created ${path}: it exists`, path)
        return existing
      }
      if (mode === 'read') throw notFound('Opened', path)
      const created = newFile(this.#wallMs())
      this.#edit('Created', [{ path, inode: created }])
      return created
    })
    return new SimFile(this.#disk, this.#process, inode, path, mode)
  }

  stat(path: string): Promise<FileStat | null> {
    return this.#disk.perform(this.#process, 'stat', path, null, () => {
      const inode = this.#disk.find(path)
      if (inode === null) return null
      const size = inode.kind === 'file' ? inode.live.size : 0
      return { kind: inode.kind, size, modifiedMs: inode.modifiedMs }
    })
  }

  list(directory: string): Promise<readonly string[]> {
    return this.#disk.perform(this.#process, 'list', directory, null, () =>
      [...this.#directory('Listed', directory).live.keys()].sort(),
    )
  }

  rename(from: string, to: string): Promise<void> {
    return this.#disk.perform(this.#process, 'rename', from, null, () => {
      const inode = this.#disk.find(from)
      if (inode === null) throw notFound('Renamed', from)
      if (from === to) return
      const target = this.#disk.find(to)
      if (
        inode.kind === 'directory' &&
        pathParts(to)
          .join('/')
          .startsWith(pathParts(from).join('/') + '/')
      ) {
        throw new FileError('FILE_IO', `Renamed ${from}: ${to} lies inside it`, to)
      }
      if (target?.kind === 'directory' && (inode.kind === 'file' || target.live.size > 0)) {
        throw new FileError('FILE_NOT_EMPTY', `Renamed ${from}: a directory is at ${to}`, to)
      }
      if (target?.kind === 'file' && inode.kind === 'directory') {
        throw new FileError('FILE_EXISTS', `Renamed ${from}: a file is at ${to}`, to)
      }
      if (target?.kind === 'file' && target.isRotten && inode.kind === 'file' && isCopy(target, inode))
        inode.isRotten = true
      this.#edit('Renamed', [
        { path: from, inode: null },
        { path: to, inode },
      ])
      this.#giveBack(target)
    })
  }

  remove(path: string): Promise<void> {
    return this.#disk.perform(this.#process, 'remove', path, null, () => {
      const inode = this.#disk.find(path)
      if (inode === null) return
      if (inode.kind === 'directory' && inode.live.size > 0) {
        throw new FileError('FILE_NOT_EMPTY', `Removed ${path}: the directory is not empty`, path)
      }
      this.#edit('Removed', [{ path, inode: null }])
      this.#giveBack(inode)
    })
  }

  async makeDirectory(path: string): Promise<void> {
    const parts = pathParts(path)
    for (let depth = 1; depth <= parts.length; depth++) {
      const part = '/' + parts.slice(0, depth).join('/')
      if (this.#disk.find(part)?.kind === 'directory') continue
      await this.#disk.perform(this.#process, 'make-directory', part, null, () => {
        const existing = this.#disk.find(part)
        if (existing?.kind === 'directory') return
        if (existing !== null)
          throw new FileError('FILE_EXISTS', `Made directory ${part}: a file is there`, part)
        this.#edit('Made directory', [{ path: part, inode: newDirectory(this.#wallMs()) }])
      })
    }
  }

  syncDirectory(directory: string): Promise<void> {
    const inode = this.#disk.find(directory)
    const covered = inode?.kind === 'directory' ? this.#disk.image.pendingNames(inode) : null
    return this.#disk.perform(this.#process, 'sync-directory', directory, null, () => {
      if (covered === null) throw notFound('Synced directory', directory)
      this.#disk.image.syncNames(covered)
    })
  }

  space(path: string): Promise<{ readonly totalBytes: number; readonly usableBytes: number }> {
    return this.#disk.perform(this.#process, 'stat', path, null, () => ({
      totalBytes: VOLUME_BYTES,
      usableBytes: Math.max(0, this.#disk.freeBytes),
    }))
  }

  lock(directory: string): Promise<{ release(): Promise<void> }> {
    return this.#disk.perform(this.#process, 'open', directory, null, () => {
      this.#directory('Locked', directory)
      const name = '/' + pathParts(directory).join('/')
      if (!this.#disk.lock(name, this.#process)) {
        throw new FileError(
          'FILE_LOCKED',
          `Locked ${directory}: this node's process holds it already`,
          directory,
        )
      }
      return {
        release: async () => {
          this.#disk.unlock(name, this.#process)
        },
      }
    })
  }

  #directory(did: string, path: string): DirectoryInode {
    const inode = this.#disk.find(path)
    if (inode?.kind !== 'directory') throw notFound(did, path)
    return inode
  }

  #edit(did: string, edits: readonly { readonly path: string; readonly inode: Inode | null }[]): void {
    const resolved = edits.map(({ path, inode }): NameEdit => {
      const directory = this.#directory(did, parentOf(path))
      directory.modifiedMs = this.#wallMs()
      return { directory, name: pathParts(path).at(-1) ?? '', inode }
    })
    this.#disk.image.editNames(resolved)
  }

  #giveBack(inode: Inode | null): void {
    if (inode?.kind === 'file') this.#disk.freeBytes += inode.live.size
  }

  #wallMs(): number {
    return this.#process.node.time.wallMs
  }
}

class SimFile implements File {
  readonly #disk: SimDisk
  readonly #process: SimProcess
  readonly #inode: FileInode
  readonly #path: string
  readonly #mode: OpenMode
  readonly #underWay = new Set<Promise<unknown>>()
  /** Set by a failed append until `truncate` says where to go on. */
  #failure: FileError | null = null
  #isClosed = false

  constructor(disk: SimDisk, process: SimProcess, inode: FileInode, path: string, mode: OpenMode) {
    this.#disk = disk
    this.#process = process
    this.#inode = inode
    this.#path = path
    this.#mode = mode
    process.openFiles.set(this, path)
  }

  read(position: number, length: number): Promise<Uint8Array> {
    return this.#perform('read', () => this.#inode.live.read(position, length))
  }

  append(chunks: readonly Uint8Array[]): Promise<void> {
    return this.#perform('append', (share, call) => {
      if (this.#failure !== null) throw this.#failure
      const wanted = chunks.reduce((sum, chunk) => sum + chunk.length, 0)
      // Like a device: what fits is written, then the error comes (faults.md F-FULL, ND-6).
      let left = Math.min(Math.floor(wanted * share), Math.max(0, this.#disk.freeBytes))
      const isFull = left < wanted && share === 1
      this.#disk.freeBytes -= left
      for (const chunk of chunks) {
        const taken = Math.min(left, chunk.length)
        if (taken > 0)
          this.#disk.image.write(this.#inode, this.#inode.live.size, chunk.subarray(0, taken), call)
        left -= taken
      }
      this.#inode.modifiedMs = this.#process.node.time.wallMs
      if (share < 1)
        this.#failure = new FileError(
          'FILE_IO',
          `Appended to ${this.#path}: a write failed before`,
          this.#path,
        )
      if (!isFull) return
      this.#failure = new FileError(
        'FILE_NO_SPACE',
        `Appended ${wanted} bytes to ${this.#path}: disk full`,
        this.#path,
      )
      throw this.#failure
    })
  }

  truncate(size: number): Promise<void> {
    return this.#perform('truncate', (_share, call) => {
      this.#disk.freeBytes += this.#inode.live.size - size
      this.#disk.image.cut(this.#inode, size, call)
      this.#failure = null
      this.#inode.modifiedMs = this.#process.node.time.wallMs
    })
  }

  sync(): Promise<void> {
    return this.#perform('sync', (share, call) => {
      if (share < 0) this.#disk.image.dropDirtyPages(this.#inode, call)
      else this.#disk.image.syncFile(this.#inode, call)
    })
  }

  size(): Promise<number> {
    return this.#perform('stat', () => this.#inode.live.size)
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#process.openFiles.delete(this)
    await Promise.allSettled(this.#underWay)
  }

  async #perform<T>(kind: DiskOperationKind, effect: DiskEffect<T>): Promise<T> {
    if (this.#isClosed)
      throw new FileError('FILE_CLOSED', `Did ${kind} on ${this.#path}: it is closed`, this.#path)
    const changes = kind === 'append' || kind === 'truncate' || kind === 'sync'
    if (changes && this.#mode === 'read') {
      throw new FileError(
        'FILE_NO_ACCESS',
        `Did ${kind} on ${this.#path}: it is open for reading`,
        this.#path,
      )
    }
    const performed = this.#disk.perform(this.#process, kind, this.#path, this.#inode, effect)
    this.#underWay.add(performed)
    try {
      return await performed
    } finally {
      this.#underWay.delete(performed)
    }
  }
}

/** What takes the place of a file and is the same, byte for byte, was written from it: rot that was there is still there. */
function isCopy({ live }: FileInode, { live: copy }: FileInode): boolean {
  const { size } = live
  if (size !== copy.size) return false
  const bytes = copy.read(0, size)
  return live.read(0, size).every((byte, position) => byte === bytes[position])
}

function notFound(did: string, path: string): FileError {
  return new FileError('FILE_NOT_FOUND', `${did} ${path}: nothing is there`, path)
}
