/**
 * The file port over `node:fs`.
 *
 * Names (open, rename, list…) go through the threadpool: they are rare, and any of them may wait for the journal.
 * Bytes: see `node-file.ts`. Files are made with mode 0600 and directories with 0700 (faults.md X33).
 *
 * Windows has no fsync for directories and refuses to open them; NTFS journals names itself, so there
 * `syncDirectory` only checks that the directory is there.
 */
import * as fs from 'node:fs/promises'
import { constants, open as openDescriptor } from 'node:fs'
import { promisify } from 'node:util'
import type { File, FileStat, FileSystem, OpenMode } from '../files.ts'
import { FileError } from '../files.ts'
import { pathParts } from '../paths.ts'
import { lockDirectory } from './directory-lock.ts'
import { DiskGauge } from './disk-gauge.ts'
import { errnoOf, toFileError } from './file-errors.ts'
import { NodeFile } from './node-file.ts'
import { close as closeDescriptor, fstat as statDescriptor } from 'node:fs'

const open = promisify(openDescriptor)
const close = promisify(closeDescriptor)
const fstat = promisify(statDescriptor)

const FILE_MODE = 0o600
const DIRECTORY_MODE = 0o700

/** Not O_APPEND: a handle keeps its own end, and Windows refuses to truncate a file opened for appending. */
const FLAGS: Readonly<Record<OpenMode, number>> = {
  read: constants.O_RDONLY,
  append: constants.O_RDWR | constants.O_CREAT,
  create: constants.O_RDWR | constants.O_CREAT | constants.O_EXCL,
}

export class NodeFileSystem implements FileSystem {
  readonly #gauges = { reads: new DiskGauge(), writes: new DiskGauge() }

  async open(path: string, mode: OpenMode): Promise<File> {
    pathParts(path)
    try {
      const fd = await open(path, FLAGS[mode], FILE_MODE)
      try {
        const stat = await fstat(fd)
        if (stat.isDirectory()) throw new FileError('FILE_IO', `Opened ${path}: it is a directory`, path)
        return new NodeFile(fd, path, mode, stat.size, this.#gauges)
      } catch (error) {
        await close(fd)
        throw error
      }
    } catch (error) {
      throw toFileError(error, 'Opened', path)
    }
  }

  async stat(path: string): Promise<FileStat | null> {
    pathParts(path)
    try {
      const stat = await fs.stat(path)
      const isDirectory = stat.isDirectory()
      return {
        kind: isDirectory ? 'directory' : 'file',
        size: isDirectory ? 0 : stat.size,
        modifiedMs: stat.mtimeMs,
      }
    } catch (error) {
      const failure = toFileError(error, 'Looked at', path)
      if (failure.code === 'FILE_NOT_FOUND') return null
      throw failure
    }
  }

  list(directory: string): Promise<readonly string[]> {
    return attempt('Listed', directory, async () => (await fs.readdir(directory)).sort())
  }

  async rename(from: string, to: string): Promise<void> {
    pathParts(to)
    await attempt('Renamed', from, async () => {
      try {
        await fs.rename(from, to)
      } catch (error) {
        if (errnoOf(error) !== 'EISDIR') throw error
        throw new FileError('FILE_NOT_EMPTY', `Renamed ${from}: a directory is at ${to}`, to, {
          cause: error,
        })
      }
    })
  }

  remove(path: string): Promise<void> {
    return attempt('Removed', path, async () => {
      try {
        const stat = await fs.lstat(path)
        await (stat.isDirectory() ? fs.rmdir(path) : fs.unlink(path))
      } catch (error) {
        if (toFileError(error, 'Removed', path).code !== 'FILE_NOT_FOUND') throw error
      }
    })
  }

  async makeDirectory(path: string): Promise<void> {
    await attempt('Made directory', path, () => fs.mkdir(path, { recursive: true, mode: DIRECTORY_MODE }))
  }

  syncDirectory(directory: string): Promise<void> {
    return attempt('Synced directory', directory, async () => {
      if (process.platform === 'win32') {
        await fs.access(directory)
        return
      }
      const handle = await fs.open(directory, constants.O_RDONLY)
      try {
        await handle.sync()
      } finally {
        await handle.close()
      }
    })
  }

  space(path: string): Promise<{ readonly totalBytes: number; readonly usableBytes: number }> {
    return attempt('Asked the space of', path, async () => {
      const volume = await fs.statfs(path)
      return { totalBytes: volume.blocks * volume.bsize, usableBytes: volume.bavail * volume.bsize }
    })
  }

  lock(directory: string): Promise<{ release(): Promise<void> }> {
    return attempt('Locked', directory, () => lockDirectory(directory))
  }
}

async function attempt<T>(did: string, path: string, body: () => Promise<T>): Promise<T> {
  pathParts(path)
  try {
    return await body()
  } catch (error) {
    throw toFileError(error, did, path)
  }
}
