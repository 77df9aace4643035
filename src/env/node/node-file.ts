/**
 * One open file of the operating system.
 *
 * Appends are gathered writes at a position this handle keeps, in call order: on the main thread while the disk
 * is fast and nothing waits, else one after the other through the threadpool, where all that waits meanwhile is
 * gathered into the next call. A short count is not an error (faults.md ND-6): the rest is written by further calls
 * until all is there or one fails. Syncs always go to the threadpool.
 *
 * `fdatasync` also makes a grown size durable; on Apple's systems libuv turns it into F_FULLFSYNC, which is the
 * one that reaches the platter there.
 */
import * as fs from 'node:fs'
import { promisify } from 'node:util'
import type { File, OpenMode } from '../files.ts'
import { FileError } from '../files.ts'
import type { DiskGauge } from './disk-gauge.ts'
import { toFileError } from './file-errors.ts'

const fdatasync = promisify(fs.fdatasync)
const ftruncate = promisify(fs.ftruncate)
const fstat = promisify(fs.fstat)
const close = promisify(fs.close)

/** The kernel's bound on the pieces of one gathered write (IOV_MAX). */
const PIECES_MAX = 1024
/** Larger reads are not made on the main thread: 256 KiB from the page cache take some 30 µs. */
const SYNC_READ_BYTES_MAX = 256 * 1024
/** Larger gathered writes are not made on the main thread: 4 MiB of new pages may take 10 ms. */
const SYNC_WRITE_BYTES_MAX = 4 * 1024 * 1024

export interface DiskGauges {
  readonly reads: DiskGauge
  readonly writes: DiskGauge
}

interface WaitingAppend {
  readonly chunks: readonly Uint8Array[]
  readonly resolve: () => void
  readonly reject: (error: FileError) => void
}

export class NodeFile implements File {
  readonly #fd: number
  readonly #path: string
  readonly #mode: OpenMode
  readonly #gauges: DiskGauges
  /** Where the next append goes; only appends and `truncate` move it. */
  #endPosition: number
  readonly #waiting: WaitingAppend[] = []
  #isWriting = false
  /** Set by a failed append until `truncate` says where to go on: bytes after it would be in the wrong place. */
  #failure: FileError | null = null
  readonly #underWay = new Set<Promise<unknown>>()
  #closed: Promise<void> | null = null

  /** @param size - Of the file, in bytes, when it was opened. */
  constructor(fd: number, path: string, mode: OpenMode, size: number, gauges: DiskGauges) {
    this.#fd = fd
    this.#path = path
    this.#mode = mode
    this.#endPosition = size
    this.#gauges = gauges
  }

  async read(position: number, length: number): Promise<Uint8Array> {
    this.#check('Read', false)
    if (length <= SYNC_READ_BYTES_MAX) {
      if (this.#gauges.reads.isFast) return this.#readNow(position, length)
      return this.#track(this.#readByPool(position, length))
    }
    // A long read is cut to what is there first, so that asking past the end takes no memory.
    const { size } = await this.#track(fstat(this.#fd))
    return this.#track(this.#readByPool(position, Math.max(0, Math.min(length, size - position))))
  }

  append(chunks: readonly Uint8Array[]): Promise<void> | undefined {
    const bytes = totalBytes(chunks)
    const isIdle = !this.#isWriting && this.#waiting.length === 0
    try {
      this.#check('Appended to', true)
      if (this.#failure !== null) throw this.#failure
      if (bytes === 0) return undefined
      if (isIdle && this.#gauges.writes.isFast && bytes <= SYNC_WRITE_BYTES_MAX) {
        this.#writeNow(chunks, bytes)
        return undefined
      }
    } catch (error) {
      return rejection(error)
    }
    const written = new Promise<void>((resolve, reject) => this.#waiting.push({ chunks, resolve, reject }))
    if (!this.#isWriting) void this.#track(this.#writeWaiting())
    return written
  }

  async truncate(size: number): Promise<void> {
    this.#check('Truncated', true)
    try {
      await this.#track(ftruncate(this.#fd, size))
    } catch (error) {
      throw toFileError(error, 'Truncated', this.#path)
    }
    this.#endPosition = size
    this.#failure = null
  }

  async sync(): Promise<void> {
    this.#check('Synced', true)
    // What was appended before this call may still wait for the threadpool.
    const lastAppend = this.#waiting.length > 0 || this.#isWriting ? this.#afterWaiting() : null
    try {
      await this.#track(
        lastAppend === null ? fdatasync(this.#fd) : lastAppend.then(() => fdatasync(this.#fd)),
      )
    } catch (error) {
      throw toFileError(error, 'Synced', this.#path)
    }
  }

  async size(): Promise<number> {
    this.#check('Asked the size of', false)
    if (this.#mode !== 'read' && this.#failure === null && !this.#isWriting) return this.#endPosition
    return (await this.#track(fstat(this.#fd))).size
  }

  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.allSettled(this.#underWay)
    try {
      await close(this.#fd)
    } catch (error) {
      throw toFileError(error, 'Closed', this.#path)
    }
  }

  #readNow(position: number, length: number): Uint8Array {
    const buffer = Buffer.allocUnsafeSlow(length)
    const startMs = performance.now()
    let count = 0
    try {
      while (count < length) {
        const read = fs.readSync(this.#fd, buffer, count, length - count, position + count)
        if (read === 0) break
        count += read
      }
    } catch (error) {
      throw toFileError(error, 'Read', this.#path)
    }
    this.#gauges.reads.record(performance.now() - startMs, count)
    return firstOf(buffer, count)
  }

  async #readByPool(position: number, length: number): Promise<Uint8Array> {
    const buffer = Buffer.allocUnsafeSlow(length)
    const startMs = performance.now()
    let count = 0
    try {
      while (count < length) {
        const read = await readPiece(this.#fd, buffer, count, position + count)
        if (read === 0) break
        count += read
      }
    } catch (error) {
      throw toFileError(error, 'Read', this.#path)
    }
    this.#gauges.reads.record(performance.now() - startMs, count)
    return firstOf(buffer, count)
  }

  #writeNow(chunks: readonly Uint8Array[], bytes: number): void {
    const startMs = performance.now()
    let rest = chunks
    try {
      while (rest.length > 0) {
        const written = fs.writevSync(this.#fd, rest.slice(0, PIECES_MAX), this.#endPosition)
        this.#endPosition += written
        rest = withoutFirst(rest, written)
      }
    } catch (error) {
      throw this.#failed(error, rest)
    }
    this.#gauges.writes.record(performance.now() - startMs, bytes)
  }

  /** Writes all that waits, through the threadpool, until nothing does. */
  async #writeWaiting(): Promise<void> {
    this.#isWriting = true
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0)
      const chunks = batch.flatMap((append) => append.chunks)
      const startMs = performance.now()
      let rest: readonly Uint8Array[] = chunks
      try {
        if (this.#failure !== null) throw this.#failure
        while (rest.length > 0) {
          const written = await writePieces(this.#fd, rest.slice(0, PIECES_MAX), this.#endPosition)
          this.#endPosition += written
          rest = withoutFirst(rest, written)
        }
      } catch (error) {
        // None of the batch is acknowledged, though the first may be whole: a rejected append promises nothing.
        const failure = this.#failed(error, rest)
        for (const append of batch) append.reject(failure)
        continue
      }
      this.#gauges.writes.record(performance.now() - startMs, totalBytes(chunks))
      for (const append of batch) append.resolve()
    }
    this.#isWriting = false
  }

  #failed(error: unknown, rest: readonly Uint8Array[]): FileError {
    this.#failure ??= toFileError(error, `Appended (${totalBytes(rest)} bytes left) to`, this.#path)
    return this.#failure
  }

  /** Settles after what waits now; its own failure is its appends' to report. */
  #afterWaiting(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push({ chunks: [], resolve, reject: () => resolve() }))
  }

  #check(did: string, changes: boolean): void {
    if (this.#closed !== null)
      throw new FileError('FILE_CLOSED', `${did} ${this.#path}: it is closed`, this.#path)
    if (changes && this.#mode === 'read') {
      throw new FileError('FILE_NO_ACCESS', `${did} ${this.#path}: it is open for reading`, this.#path)
    }
  }

  /** Remembers what `close` has to wait for. */
  async #track<T>(promise: Promise<T>): Promise<T> {
    this.#underWay.add(promise)
    try {
      return await promise
    } finally {
      this.#underWay.delete(promise)
    }
  }
}

function totalBytes(chunks: readonly Uint8Array[]): number {
  let bytes = 0
  for (const chunk of chunks) bytes += chunk.length
  return bytes
}

/** The pieces that are left once `count` bytes of them are written. */
function withoutFirst(chunks: readonly Uint8Array[], count: number): readonly Uint8Array[] {
  let left = count
  let index = 0
  while (index < chunks.length && left >= chunks[index]!.length) left -= chunks[index++]!.length
  if (index === 0 && left === 0) return chunks
  const rest = chunks.slice(index)
  if (left > 0) rest[0] = rest[0]!.subarray(left)
  return rest
}

/** The bytes that were read; not as a view when that would keep much more memory than it shows. */
function firstOf(buffer: Uint8Array, count: number): Uint8Array {
  if (count === buffer.length) return buffer
  return count < buffer.length / 2 ? new Uint8Array(buffer.subarray(0, count)) : buffer.subarray(0, count)
}

function readPiece(fd: number, buffer: Uint8Array, from: number, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.read(fd, buffer, from, buffer.length - from, position, (error, count) => {
      if (error === null) resolve(count)
      else reject(error)
    })
  })
}

function writePieces(fd: number, pieces: readonly Uint8Array[], position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.writev(fd, pieces, position, (error, count) => {
      if (error === null) resolve(count)
      else reject(error)
    })
  })
}

async function rejection(error: unknown): Promise<never> {
  throw error
}
