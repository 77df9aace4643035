/**
 * A node's disk: the image, how long operations take, and the faults a test may switch on. The file port of each
 * life of the node's process (`sim-files.ts`) works on it through `perform`.
 *
 * An operation is called, takes a drawn time, and has its effect at its end, all at once. A crash in between leaves
 * of the operations under way a seeded first part done, for a write perhaps a first part of its bytes.
 */
import { FileError } from '../files.ts'
import type { ChunkedBytes } from '../memory/chunked-bytes.ts'
import { pathParts } from '../paths.ts'
import type { DirectoryInode, FileInode, Inode, PowerCutModes } from './disk-image.ts'
import { copyDurable, DiskImage, newDirectory } from './disk-image.ts'
import type { Prng } from './prng.ts'
import type { SimProcess } from './sim-node.ts'
import type { Simulation } from './simulation.ts'

export type DiskOperationKind =
  | 'open'
  | 'create'
  | 'read'
  | 'append'
  | 'truncate'
  | 'sync'
  | 'stat'
  | 'list'
  | 'rename'
  | 'remove'
  | 'make-directory'
  | 'sync-directory'

/** Bounds of the uniform law by which operations take time, in ms. */
export interface DiskLatency {
  readonly read: readonly [number, number]
  readonly write: readonly [number, number]
  readonly sync: readonly [number, number]
  /** Opening, renaming, listing… */
  readonly names: readonly [number, number]
}

/** What a good local disk does (limits-and-peers.md A1), with a tail. */
export const USUAL_LATENCY: DiskLatency = {
  read: [0.005, 0.2],
  write: [0.005, 0.1],
  sync: [0.1, 2],
  names: [0.01, 0.5],
}

/** An injected `FILE_IO` error (faults.md F-EIO). */
export interface DiskFault {
  readonly kind: DiskOperationKind
  /** Only for paths this accepts; absent: all. */
  readonly path?: (path: string) => boolean
  /** Matching operations that still succeed first. */
  readonly after?: number
  /** Fails every later one too; otherwise just one. */
  readonly isSticky?: boolean
}

/** Operations that leave something behind: those a crash point can precede. */
const CHANGES: ReadonlySet<DiskOperationKind> = new Set([
  'create',
  'append',
  'truncate',
  'sync',
  'rename',
  'remove',
  'make-directory',
  'sync-directory',
])

/** What their events are called. */
const EVENTS: Readonly<Record<DiskOperationKind, string>> = {
  open: 'disk open',
  create: 'disk create',
  read: 'disk read',
  append: 'disk append',
  truncate: 'disk truncate',
  sync: 'disk sync',
  stat: 'disk stat',
  list: 'disk list',
  rename: 'disk rename',
  remove: 'disk remove',
  'make-directory': 'disk make-directory',
  'sync-directory': 'disk sync-directory',
}

/** Kept apart in time, so that the order on one file never depends on a tie. */
const MINIMAL_STEP_MS = 1e-6
const VOLUME_BYTES = 2 ** 40

interface Performing {
  readonly kind: DiskOperationKind
  readonly effect: (share: number) => void
}

/**
 * What an operation does at its end; its result or error is the operation's.
 *
 * @param share - 1; less when it was cut short, then that part of the work is done; negative for a sync that fails.
 * @param call - Number of the call, ascending over the disk.
 */
export type DiskEffect<T> = (share: number, call: number) => T

export class SimDisk {
  readonly image = new DiskImage()
  latency: DiskLatency = USUAL_LATENCY
  /**
   * How likely the cache lets go, before the next life of the process, of a file's pages that a failed sync has left in it: 1
   * for a machine whose operator empties the cache first, as docs/operations.md says.
   */
  evictionChance = 0.5
  /** Bytes that can still be written before the disk is full (faults.md F-FULL). Removing files gives bytes back. */
  freeBytes = VOLUME_BYTES
  /** Operations that change the disk, called so far: the crash points of a run are 1 to this. */
  operationCount = 0
  /**
   * Called before each operation that changes the disk, with its number from 1. If it crashes the node, the
   * operation does not happen.
   */
  onOperation: (number: number, kind: DiskOperationKind, path: string) => void = () => undefined

  readonly #simulation: Simulation
  readonly #name: string
  readonly #random: Prng
  readonly #faults: { readonly fault: DiskFault; left: number; isSpent: boolean }[] = []
  readonly #locks = new Map<string, SimProcess>()
  /** When the last operation on a file ends: those on one file take effect in the order they were called. */
  readonly #busyUntilMs = new WeakMap<FileInode, number>()
  #callCount = 0
  #performing: Performing[] = []
  #stalled: (() => void)[] | null = null

  constructor(simulation: Simulation, name: string) {
    this.#simulation = simulation
    this.#name = name
    this.#random = simulation.stream(`disk of ${name}`)
  }

  /** Adds an error; returns what removes it. */
  fail(fault: DiskFault): () => void {
    const entry = { fault, left: fault.after ?? 0, isSpent: false }
    this.#faults.push(entry)
    return () => {
      entry.isSpent = true
    }
  }

  /** Nothing completes until `unstall` (faults.md F-SLOW: a stuck disk). */
  stall(): void {
    this.#stalled ??= []
  }

  unstall(): void {
    const stalled = this.#stalled ?? []
    this.#stalled = null
    stalled.forEach((run, index) =>
      this.#simulation.schedule(index * MINIMAL_STEP_MS, `${this.#name} unstalled`, run),
    )
  }

  /** Flips one bit of a file, on the platter and in the cache (faults.md F-ROT). `bit` is from 0 to 7. */
  flipBit(path: string, position: number, bit: number): void {
    this.#rot(path, (bytes) => {
      if (position >= bytes.size) return
      const byte = bytes.read(position, 1)
      byte[0]! ^= 1 << bit
      bytes.write(position, byte)
    })
  }

  /** Zeroes a part of a file, on the platter and in the cache, as far as it reaches (faults.md F-ROT). */
  zero(path: string, position: number, length: number): void {
    this.#rot(path, (bytes) => {
      const count = Math.min(length, bytes.size - position)
      if (count > 0) bytes.write(position, new Uint8Array(count))
    })
  }

  /** Cuts a file, on the platter and in the cache; what was not synced is lost with the rest (faults.md F-ROT). */
  cutOff(path: string, size: number): void {
    this.#rot(path, (bytes) => {
      if (size < bytes.size) bytes.truncate(size)
    }).pending = []
  }

  /** What would be left after a power cut that loses all that was not synced: a backup of the volume, for `restore`. */
  backUp(): DirectoryInode {
    return copyDurable(this.image.root)
  }

  /** Puts the volume back to what it was at a backup (faults.md F-DISK). The machine must be off. */
  restore(backup: DirectoryInode): void {
    this.image.replace(copyDurable(backup))
  }

  /** What a file holds now, as a process would see it, without taking virtual time; null when there is none. */
  contents(path: string): Uint8Array | null {
    const file = this.find(path)
    return file?.kind === 'file' ? file.live.read(0, file.live.size) : null
  }

  find(path: string): Inode | null {
    let inode: Inode | undefined = this.image.root
    for (const part of pathParts(path)) {
      inode = inode?.kind === 'directory' ? inode.live.get(part) : undefined
    }
    return inode ?? null
  }

  /** Makes a directory that is durable from the start, such as a mount point an operator made long ago. */
  prepareDirectory(path: string): void {
    let directory: DirectoryInode = this.image.root
    for (const part of pathParts(path)) {
      let next = directory.live.get(part)
      if (next?.kind !== 'directory') {
        next = newDirectory(this.#simulation.nowMs)
        directory.live.set(part, next)
        directory.durable.set(part, next)
      }
      directory = next
    }
  }

  lock(directory: string, process: SimProcess): boolean {
    if (this.#locks.get(directory)?.isAlive === true) return false
    this.#locks.set(directory, process)
    return true
  }

  unlock(directory: string, process: SimProcess): void {
    if (this.#locks.get(directory) === process) this.#locks.delete(directory)
  }

  /**
   * Performs one operation for `process`.
   *
   * @param file - The file whose other operations it must follow; null for operations on names, which take effect
   *   in any order unless the caller waits for one before the next.
   * @returns Never settles if the process dies first.
   */
  perform<T>(
    process: SimProcess,
    kind: DiskOperationKind,
    path: string,
    file: FileInode | null,
    effect: DiskEffect<T>,
  ): Promise<T> {
    if (process.isAlive && CHANGES.has(kind)) this.onOperation(++this.operationCount, kind, path)
    if (!process.isAlive) return new Promise(() => undefined)
    const fails = this.#drawsFault(kind, path)
    const call = ++this.#callCount
    return new Promise((resolve, reject) => {
      const act = (share: number): T => {
        if (!fails) return effect(share, call)
        // A failed write may have written a part; a failed sync has an effect too.
        if (kind === 'append') effect(this.#random.between(0, 1), call)
        if (kind === 'sync') effect(-1, call)
        throw new FileError('FILE_IO', `Did ${kind} on ${path}: the device failed`, path)
      }
      const performing: Performing = { kind, effect: act }
      this.#performing.push(performing)
      const finish = () => {
        if (!process.isAlive) return
        if (this.#stalled !== null) {
          this.#stalled.push(finish)
          return
        }
        this.#performing.splice(this.#performing.indexOf(performing), 1)
        try {
          resolve(act(1))
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)))
        }
      }
      process.schedule(this.#drawDelay(kind, file), EVENTS[kind], finish, path)
    })
  }

  #rot(path: string, change: (bytes: ChunkedBytes) => void): FileInode {
    const file = this.find(path)
    if (file?.kind !== 'file') throw new FileError('FILE_NOT_FOUND', `Damaged ${path}: no such file`, path)
    for (const bytes of [file.live, file.durable]) change(bytes)
    file.isRotten = true
    return file
  }

  onProcessKilled(): void {
    this.#cutShort()
    // The cache lives on, but it may let go of pages at any time; a failed sync left some that are nowhere else.
    for (const file of this.image.files())
      if (this.#random.chance(this.evictionChance)) this.image.evictCleanPages(file)
  }

  onPowerCut(modes: PowerCutModes): void {
    this.#cutShort()
    this.image.powerCut(modes, this.#random)
  }

  /** Of what was under way, the first few are done, and one in part. */
  #cutShort(): void {
    const performing = this.#performing
    this.#performing = []
    this.#stalled = null
    const whole = this.#random.below(performing.length + 1)
    const share = this.#random.between(0, 1)
    performing.slice(0, whole + 1).forEach((operation, index) => {
      const isWhole = index < whole
      if (!isWhole && operation.kind !== 'append') return
      try {
        operation.effect(isWhole ? 1 : share)
      } catch {
        // Nobody is left to be told.
      }
    })
  }

  #drawsFault(kind: DiskOperationKind, path: string): boolean {
    for (const entry of this.#faults) {
      if (entry.isSpent || entry.fault.kind !== kind || !(entry.fault.path?.(path) ?? true)) continue
      if (entry.left-- > 0) continue
      entry.isSpent = entry.fault.isSticky !== true
      return true
    }
    return false
  }

  #drawDelay(kind: DiskOperationKind, file: FileInode | null): number {
    const law = lawFor(kind)
    const drawn = this.#random.between(...this.latency[law])
    if (file === null) return drawn
    const nowMs = this.#simulation.nowMs
    const busyUntilMs = Math.max(nowMs, this.#busyUntilMs.get(file) ?? 0)
    const endMs = (law === 'sync' ? busyUntilMs : Math.max(busyUntilMs, nowMs + drawn)) + MINIMAL_STEP_MS
    // A sync waits for the writes before it but does not hold up the ones after it.
    if (law === 'sync') return endMs + drawn - nowMs
    this.#busyUntilMs.set(file, endMs)
    return endMs - nowMs
  }
}

function lawFor(kind: DiskOperationKind): keyof DiskLatency {
  switch (kind) {
    case 'read':
      return 'read'
    case 'append':
    case 'truncate':
      return 'write'
    case 'sync':
    case 'sync-directory':
      return 'sync'
    case 'open':
    case 'create':
    case 'stat':
    case 'list':
    case 'rename':
    case 'remove':
    case 'make-directory':
      return 'names'
  }
}
