/**
 * A disk in trouble, around one that is well: slow, stuck, full or failing, as a test wants it.
 *
 * An operation has its effect when it is called, and ends later: after those on the same file that were called before it. So
 * what a process that dies has under way is in the files, as with a page cache; what a power cut would take from them is not
 * simulated here, for memory knows no sync (`src/env/sim/` does).
 */
import type { Clock } from '../clock.ts'
import type { File, FileSystem, OpenMode } from '../files.ts'
import { FileError } from '../files.ts'
import type { Random } from '../random.ts'
import type { Gate } from './gate.ts'

/** How long operations of a slow disk take, in ms: the least and the most; what is left out is as `SLOW_DISK` has it. */
export interface DiskSlowness {
  readonly readMs?: readonly [number, number]
  readonly writeMs?: readonly [number, number]
  readonly syncMs?: readonly [number, number]
}

/** Which operations of a failing disk fail. */
export interface DiskFailure {
  /** Default: `write` and `sync`. */
  readonly operations?: readonly DiskOperation[]
  /** Only those on files of this topic. Default: on all files. */
  readonly topic?: string
  /** Only the first of them fails. Default: all do, until `healDisk`. */
  readonly once?: boolean
}

export type DiskOperation = 'read' | 'write' | 'sync'

/** A disk in trouble: a hundred times what a good one takes. */
export const SLOW_DISK: Required<DiskSlowness> = { readMs: [1, 20], writeMs: [1, 20], syncMs: [20, 200] }

const FAILING: readonly DiskOperation[] = ['write', 'sync']
/** Of a slow disk, by the name of the operation. */
const LAWS = { read: 'readMs', write: 'writeMs', sync: 'syncMs' } as const

/** Whether a path is one of a topic's files: every partition has a directory `<topic>-<partition>`. */
export function isOfTopic(path: string, topic: string): boolean {
  return path
    .split('/')
    .some((part) => part.startsWith(`${topic}-`) && /^\d+$/.test(part.slice(topic.length + 1)))
}

/** Whether an operation fails, for the disk that failure describes. */
export function failing({ operations = FAILING, topic, once = false }: DiskFailure) {
  let isSpent = false
  return (operation: DiskOperation, path: string): boolean => {
    if (isSpent || !operations.includes(operation)) return false
    if (topic !== undefined && !isOfTopic(path, topic)) return false
    isSpent = once
    return true
  }
}

interface Ports {
  readonly clock: Pick<Clock, 'after' | 'monotonicMs'>
  readonly random: Pick<Random, 'below'>
  /** What the ends of operations pass. */
  readonly gate: Gate
}

export class DiskTrouble {
  readonly #ports: Ports
  #slowness: Required<DiskSlowness> | null = null
  #failures: ((operation: DiskOperation, path: string) => boolean)[] = []
  #stalled: (() => void)[] | null = null
  #isDying = false
  /** Bytes that still fit. */
  freeBytes = Infinity

  constructor(ports: Ports) {
    this.#ports = ports
  }

  slow(slowness: DiskSlowness): void {
    this.#slowness = { ...SLOW_DISK, ...slowness }
  }

  stall(): void {
    this.#stalled ??= []
  }

  fail(failure: DiskFailure): void {
    this.#failures.push(failing(failure))
  }

  heal(): void {
    this.#slowness = null
    this.#failures = []
    this.freeBytes = Infinity
    const stalled = this.#stalled ?? []
    this.#stalled = null
    for (const end of stalled) end()
  }

  /** While a process dies its operations end at once, so that its remains can be cleared away. */
  async whileDying(death: Promise<void>): Promise<void> {
    this.#isDying = true
    const stalled = this.#stalled ?? []
    if (this.#stalled !== null) this.#stalled = []
    for (const end of stalled) end()
    try {
      await death
    } finally {
      this.#isDying = false
    }
  }

  /** @throws {FileError} `FILE_IO` if this operation is to fail. */
  check(operation: DiskOperation, path: string): void {
    if (this.#failures.some((fails) => fails(operation, path)))
      throw new FileError('FILE_IO', `Did ${operation} on ${path}: the device failed`, path)
  }

  /** Null if an operation may end at once. @param afterMs - When the one before it on its file ends. */
  endMs(operation: DiskOperation, afterMs: number): number | null {
    const nowMs = this.#ports.clock.monotonicMs()
    if (this.#isDying) return null
    const isWell = this.#slowness === null && this.#stalled === null && !this.#ports.gate.isShut
    if (isWell && afterMs <= nowMs) return null
    const [low, high] = this.#slowness?.[LAWS[operation]] ?? [0, 0]
    const drawnMs = low + ((high - low) * this.#ports.random.below(1000)) / 1000
    return Math.max(afterMs, nowMs + drawnMs)
  }

  /** Settles as `work` did, at `endMs` or when the disk answers again. */
  async at<T>(endMs: number, work: Promise<T> | T): Promise<T> {
    const { clock, gate } = this.#ports
    const ended = new Promise<void>((resolve) => {
      clock.after(Math.max(0, endMs - clock.monotonicMs()), () => {
        const end = () => gate.pass(resolve)
        if (this.#stalled === null || this.#isDying) end()
        else this.#stalled.push(end)
      })
    })
    try {
      return await work
    } finally {
      await ended
    }
  }
}

/** `files` as they are on a disk in trouble. */
export function troubledFiles(files: FileSystem, trouble: DiskTrouble): FileSystem {
  const perform = async <T>(operation: DiskOperation, path: string, work: () => Promise<T>): Promise<T> => {
    trouble.check(operation, path)
    const endMs = trouble.endMs(operation, 0)
    return endMs === null ? work() : trouble.at(endMs, work())
  }
  return {
    open: async (path, mode) =>
      new TroubledFile(
        await perform(mode === 'read' ? 'read' : 'write', path, () => files.open(path, mode)),
        trouble,
        path,
        mode,
      ),
    stat: (path) => perform('read', path, () => files.stat(path)),
    list: (directory) => perform('read', directory, () => files.list(directory)),
    rename: (from, to) => perform('write', from, () => files.rename(from, to)),
    remove: (path) =>
      perform('write', path, async () => {
        const found = await files.stat(path)
        await files.remove(path)
        trouble.freeBytes += found?.size ?? 0
      }),
    makeDirectory: (path) => perform('write', path, () => files.makeDirectory(path)),
    syncDirectory: (directory) => perform('sync', directory, () => files.syncDirectory(directory)),
    space: async (path) => {
      const { totalBytes, usableBytes } = await files.space(path)
      return { totalBytes, usableBytes: Math.min(usableBytes, trouble.freeBytes) }
    },
    lock: (directory) => files.lock(directory),
  }
}

class TroubledFile implements File {
  readonly #file: File
  readonly #trouble: DiskTrouble
  readonly #path: string
  readonly #mode: OpenMode
  /** When the last operation that changes it ends. */
  #endMs = 0
  /** Set by a failed append until `truncate` says where to go on. */
  #failure: FileError | null = null

  constructor(file: File, trouble: DiskTrouble, path: string, mode: OpenMode) {
    this.#file = file
    this.#trouble = trouble
    this.#path = path
    this.#mode = mode
  }

  read(position: number, length: number): Promise<Uint8Array> {
    return this.#perform('read', () => this.#file.read(position, length))
  }

  append(chunks: readonly Uint8Array[]): Promise<void> | undefined {
    const bytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0)
    try {
      if (this.#failure !== null) throw this.#failure
      if (this.#mode !== 'read') this.#trouble.check('write', this.#path)
      if (bytes > this.#trouble.freeBytes)
        throw new FileError(
          'FILE_NO_SPACE',
          `Appended ${bytes} bytes to ${this.#path}: disk full`,
          this.#path,
        )
    } catch (error) {
      this.#failure = error as FileError
      return Promise.reject(this.#failure)
    }
    this.#trouble.freeBytes -= bytes
    const endMs = this.#trouble.endMs('write', this.#endMs)
    const appended = this.#file.append(chunks)
    if (endMs === null) return appended
    this.#endMs = endMs
    return this.#trouble.at(endMs, appended)
  }

  truncate(size: number): Promise<void> {
    return this.#perform('write', async () => {
      this.#trouble.freeBytes += (await this.#file.size()) - size
      await this.#file.truncate(size)
      this.#failure = null
    })
  }

  sync(): Promise<void> {
    return this.#perform('sync', () => this.#file.sync())
  }

  size(): Promise<number> {
    return this.#file.size()
  }

  close(): Promise<void> {
    return this.#file.close()
  }

  async #perform<T>(operation: DiskOperation, work: () => Promise<T>): Promise<T> {
    this.#trouble.check(operation, this.#path)
    const endMs = this.#trouble.endMs(operation, operation === 'read' ? 0 : this.#endMs)
    if (endMs === null) return work()
    if (operation === 'write') this.#endMs = endMs
    return this.#trouble.at(endMs, work())
  }
}
