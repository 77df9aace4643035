/**
 * What is on a simulated disk: files and directories, each with what is durable and the operations that are not
 * yet, and what a power cut makes of them (faults.md 7.4).
 *
 *   file      := durable bytes | live bytes | pending: (write position bytes | cut size)*
 *   directory := durable names | live names | pending, in the image: (name -> inode or none)* per operation
 *
 * Live is what a running process sees (the page cache); durable is what the platter holds. A sync moves pending to
 * durable; a power cut takes durable plus a subset of pending. An operation on names is atomic, even a rename
 * between directories, and syncing any directory it touched makes it durable: a journal's transaction. That a new
 * file's name needs a sync of its directory is stricter than ext4 and is what POSIX promises.
 *
 * Pure but for its draws, which come from the stream it is given.
 */
import { ChunkedBytes } from '../memory/chunked-bytes.ts'
import type { Prng } from './prng.ts'

export const SECTOR_BYTES = 512

/**
 * What becomes of the writes to a file that were not synced:
 * - `lost`: none is there; `kept`: all are.
 * - `prefix`: the first few, the last of them torn at a sector.
 * - `sectors`: the size is right, each sector was written or not (then old bytes or zeros), whatever the order.
 * - `zero-tail`: the size is right, but from some sector on there are zeros: metadata before data, as ext4 and XFS may.
 */
export type DataLoss = 'lost' | 'kept' | 'prefix' | 'sectors' | 'zero-tail'
/** The same for creations, renames and removals of names; each is atomic. */
export type NameLoss = 'lost' | 'kept' | 'prefix' | 'subset'

/** Absent modes are drawn: one for the names, one per file for data. */
export interface PowerCutModes {
  readonly data?: DataLoss
  readonly names?: NameLoss
}

type FileOperation =
  | {
      readonly kind: 'write'
      readonly sequence: number
      readonly position: number
      readonly bytes: Uint8Array
    }
  | { readonly kind: 'cut'; readonly sequence: number; readonly size: number }

export interface FileInode {
  readonly kind: 'file'
  durable: ChunkedBytes
  live: ChunkedBytes
  pending: FileOperation[]
  /** The cache shows bytes that a failed sync has dropped: `live` is not durable plus pending. */
  showsDroppedPages: boolean
  /** Somebody has damaged it: who compares disks must not take that for what a process wrote. */
  isRotten: boolean
  modifiedMs: number
}

export interface DirectoryInode {
  readonly kind: 'directory'
  durable: Map<string, Inode>
  live: Map<string, Inode>
  modifiedMs: number
}

export type Inode = FileInode | DirectoryInode

export interface NameEdit {
  readonly directory: DirectoryInode
  readonly name: string
  /** Null removes the name. */
  readonly inode: Inode | null
}

export class DiskImage {
  root: DirectoryInode = newDirectory(0)
  /** Edits of names not yet durable, in order; those of one operation stand together. */
  #pendingNames: (readonly NameEdit[])[] = []

  /** Another volume in the place of this one. */
  replace(root: DirectoryInode): void {
    this.root = root
    this.#pendingNames = []
  }

  editNames(edits: readonly NameEdit[]): void {
    for (const edit of edits) setName(edit.directory.live, edit)
    this.#pendingNames.push(edits)
  }

  /** Operations on names so far pending, for a later `syncNames`. */
  pendingNames(directory: DirectoryInode): ReadonlySet<readonly NameEdit[]> {
    return new Set(this.#pendingNames.filter((edits) => edits.some((edit) => edit.directory === directory)))
  }

  syncNames(operations: ReadonlySet<readonly NameEdit[]>): void {
    this.#pendingNames = this.#pendingNames.filter((edits) => {
      if (!operations.has(edits)) return true
      for (const edit of edits) setName(edit.directory.durable, edit)
      return false
    })
  }

  /** @param sequence - Number of the call, ascending: a sync covers the calls before its own. */
  write(file: FileInode, position: number, bytes: Uint8Array, sequence: number): void {
    const copy = bytes.slice()
    file.live.write(position, copy)
    file.pending.push({ kind: 'write', sequence, position, bytes: copy })
  }

  cut(file: FileInode, size: number, sequence: number): void {
    file.live.truncate(size)
    file.pending.push({ kind: 'cut', sequence, size })
  }

  /** Makes the operations up to `sequence` durable. */
  syncFile(file: FileInode, sequence: number): void {
    for (const operation of file.pending) if (operation.sequence <= sequence) apply(file.durable, operation)
    file.pending = file.pending.filter((operation) => operation.sequence > sequence)
  }

  /**
   * What Linux does after a failed sync: the pages count as clean, so no later sync writes them, but the cache
   * still shows them until it lets them go (faults.md ST-7).
   */
  dropDirtyPages(file: FileInode, sequence: number): void {
    file.showsDroppedPages = true
    file.pending = file.pending.filter(
      (operation) => operation.sequence > sequence || operation.kind === 'cut',
    )
  }

  /** The cache lets go of pages that count as clean: what a failed sync dropped is gone from view too. */
  evictCleanPages(file: FileInode): void {
    if (!file.showsDroppedPages) return
    file.showsDroppedPages = false
    file.live = copyOf(file.durable)
    for (const operation of file.pending) apply(file.live, operation)
  }

  /** Every file that is reachable now. */
  *files(): Generator<FileInode> {
    const directories = [this.root]
    for (let directory = directories.pop(); directory !== undefined; directory = directories.pop()) {
      for (const inode of directory.live.values()) {
        if (inode.kind === 'file') yield inode
        else directories.push(inode)
      }
    }
  }

  powerCut(modes: PowerCutModes, random: Prng): void {
    const names = modes.names ?? random.pick(['lost', 'kept', 'prefix', 'subset'])
    const prefix = random.below(this.#pendingNames.length + 1)
    this.#pendingNames.forEach((edits, index) => {
      const coin = random.chance(0.5)
      const survives = { lost: false, kept: true, prefix: index < prefix, subset: coin }[names]
      if (survives) for (const edit of edits) setName(edit.directory.durable, edit)
    })
    this.#pendingNames = []
    this.#reload(this.root, modes, random)
  }

  /** Makes the surviving state live and durable, all the way down. */
  #reload(directory: DirectoryInode, modes: PowerCutModes, random: Prng): void {
    directory.live = new Map(directory.durable)
    for (const inode of directory.live.values()) {
      if (inode.kind === 'directory') this.#reload(inode, modes, random)
      else if (inode.pending.length > 0 || inode.showsDroppedPages) {
        const loss = modes.data ?? random.pick(['lost', 'kept', 'prefix', 'sectors', 'zero-tail'])
        applySurvivors(inode, loss, random)
        inode.pending = []
        inode.showsDroppedPages = false
        inode.live = copyOf(inode.durable)
      }
    }
  }
}

export function newFile(modifiedMs: number): FileInode {
  return {
    kind: 'file',
    durable: new ChunkedBytes(),
    live: new ChunkedBytes(),
    pending: [],
    showsDroppedPages: false,
    isRotten: false,
    modifiedMs,
  }
}

export function newDirectory(modifiedMs: number): DirectoryInode {
  return { kind: 'directory', durable: new Map(), live: new Map(), modifiedMs }
}

/** A directory with all that is durable in it, and nothing that is not. */
export function copyDurable({ durable, modifiedMs }: DirectoryInode): DirectoryInode {
  const copy = newDirectory(modifiedMs)
  for (const [name, inode] of durable) {
    const copied = inode.kind === 'directory' ? copyDurable(inode) : copyOfFile(inode)
    copy.durable.set(name, copied)
    copy.live.set(name, copied)
  }
  return copy
}

/** What is rotten in it is so in the copy. */
function copyOfFile({ durable, modifiedMs, isRotten }: FileInode): FileInode {
  return { ...newFile(modifiedMs), durable: copyOf(durable), live: copyOf(durable), isRotten }
}

function setName(names: Map<string, Inode>, edit: NameEdit): void {
  if (edit.inode === null) names.delete(edit.name)
  else names.set(edit.name, edit.inode)
}

function apply(bytes: ChunkedBytes, operation: FileOperation): void {
  if (operation.kind === 'write') bytes.write(operation.position, operation.bytes)
  else bytes.truncate(operation.size)
}

function copyOf(bytes: ChunkedBytes): ChunkedBytes {
  const copy = new ChunkedBytes()
  copy.append(bytes.read(0, bytes.size))
  return copy
}

function applySurvivors(file: FileInode, loss: DataLoss, random: Prng): void {
  const { durable, pending } = file
  switch (loss) {
    case 'lost':
      return
    case 'kept':
      for (const operation of pending) apply(durable, operation)
      return
    case 'prefix': {
      const whole = random.below(pending.length + 1)
      for (const operation of pending.slice(0, whole)) apply(durable, operation)
      const torn = pending[whole]
      if (torn?.kind !== 'write') return
      const sectorsEnd = Math.ceil((torn.position + torn.bytes.length) / SECTOR_BYTES)
      const firstSector = Math.floor(torn.position / SECTOR_BYTES)
      const cutAt = (firstSector + random.below(sectorsEnd - firstSector + 1)) * SECTOR_BYTES
      const survivingBytes = Math.min(Math.max(0, cutAt - torn.position), torn.bytes.length)
      if (survivingBytes > 0) durable.write(torn.position, torn.bytes.subarray(0, survivingBytes))
      return
    }
    case 'sectors': {
      for (const operation of pending) {
        if (operation.kind === 'cut') durable.truncate(operation.size)
        else writeSomeSectors(durable, operation.position, operation.bytes, random)
      }
      return
    }
    case 'zero-tail': {
      const before = durable.size
      for (const operation of pending) apply(durable, operation)
      const size = durable.size
      if (size <= before) return
      const firstSector = Math.ceil(before / SECTOR_BYTES)
      const sectors = Math.max(0, Math.ceil(size / SECTOR_BYTES) - firstSector)
      const zeroFrom = Math.min(size, (firstSector + random.below(sectors + 1)) * SECTOR_BYTES)
      durable.truncate(zeroFrom)
      durable.truncate(size)
    }
  }
}

/** Extends the size as if all were written, and writes each sector by a coin. */
function writeSomeSectors(durable: ChunkedBytes, position: number, bytes: Uint8Array, random: Prng): void {
  const end = position + bytes.length
  if (durable.size < end) durable.truncate(end)
  let from = position
  while (from < end) {
    const to = Math.min(end, (Math.floor(from / SECTOR_BYTES) + 1) * SECTOR_BYTES)
    if (random.chance(0.5)) durable.write(from, bytes.subarray(from - position, to - position))
    from = to
  }
}
