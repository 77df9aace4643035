/**
 * What must hold of the files beside a log, past the broker, by the disk alone (docs/faults.md section 3):
 *
 *   D6   no checkpoint on the platter says more than its log has there: recovery point, high watermark
 *   D7   a broker that serves has removed what its earlier lives left half done
 */
import type { DirectoryInode, Inode } from '../../../src/env/sim/disk-image.ts'
import type { SimNode } from '../../../src/env/sim/sim-node.ts'
import { parseOffsetCheckpoint } from '../../../src/log/checkpoint-file.ts'
import {
  HIGH_WATERMARK_CHECKPOINT,
  LOG_START_CHECKPOINT,
  LEFTOVER_SUFFIXES,
  RECOVERY_POINT_CHECKPOINT,
} from '../../../src/log/file-names.ts'
import type { DiskLog, Layer } from './disk-log.ts'
import { fail } from './violation.ts'

export type Machine = Pick<SimNode, 'name' | 'disk'>

/** The inode at a path, or undefined. */
export function inodeAt(node: Pick<SimNode, 'disk'>, path: string, layer: Layer): Inode | undefined {
  return inodeOf(node, partsOf(path), layer)
}

export function partsOf(path: string): readonly string[] {
  return path.split('/').filter((part) => part !== '')
}

/** The same for who asks after every event. */
export function inodeOf(
  { disk }: Pick<SimNode, 'disk'>,
  parts: readonly string[],
  layer: Layer,
): Inode | undefined {
  let inode: Inode | undefined = disk.image.root
  for (const part of parts) {
    if (inode?.kind !== 'directory') return undefined
    inode = inode[layer].get(part)
  }
  return inode
}

/** The content of a small file, or null. */
export function contentAt(node: Pick<SimNode, 'disk'>, path: string, layer: Layer): Uint8Array | null {
  const inode = inodeAt(node, path, layer)
  return inode?.kind === 'file' ? inode[layer].read(0, inode[layer].size) : null
}

function checkpointAt(node: Machine, path: string): ReadonlyMap<string, number> {
  const content = contentAt(node, path, 'durable')
  return (content && parseOffsetCheckpoint(content)) ?? new Map<string, number>()
}

/** D6. @param platterOf - The platter's log of that name. @throws Violation */
export function checkCheckpoints(
  node: Machine,
  directory: string,
  platterOf: (log: string) => DiskLog,
): void {
  for (const name of [RECOVERY_POINT_CHECKPOINT, HIGH_WATERMARK_CHECKPOINT]) {
    const path = `${directory}/${name}`
    const inode = inodeAt(node, path, 'durable')
    if (inode?.kind === 'file' && inode.isRotten) continue
    const starts = checkpointAt(node, `${directory}/${LOG_START_CHECKPOINT}`)
    for (const [log, offset] of checkpointAt(node, path)) {
      // Nothing below the log start counts: a log that begins anew there has no segment for a moment.
      if (offset <= (starts.get(log) ?? 0)) continue
      const platter = platterOf(log)
      // The log of a topic that was deleted: its name may be there still, and be read by nobody.
      if (platter.reaches(offset) || !platter.exists) continue
      fail(
        'D6',
        `${name} of ${node.name} says ${offset} for ${log}, whose log on the platter ends at ${platter.endOffset}`,
      )
    }
  }
}

/** Files that are half of something, in the directories of logs that are in use. */
export function* leftovers(
  node: Machine,
  directory: string,
): IterableIterator<{ readonly path: string; readonly inode: Inode }> {
  const root = inodeAt(node, directory, 'live')
  if (root?.kind !== 'directory') return
  yield* leftoversIn(root, directory)
  for (const [name, inode] of root.live)
    // Logs on their way out, and those kept for an operator to look at, are as they were.
    if (inode.kind === 'directory' && !/-(delete|stray)$/.test(name))
      yield* leftoversIn(inode, `${directory}/${name}`)
}

function* leftoversIn(
  directory: DirectoryInode,
  path: string,
): IterableIterator<{ readonly path: string; readonly inode: Inode }> {
  for (const [name, inode] of directory.live)
    if (inode.kind === 'file' && LEFTOVER_SUFFIXES.some((suffix) => name.endsWith(suffix)))
      yield { path: `${path}/${name}`, inode }
}

/** D7, over the lives of one machine. */
export class LeftoverRule {
  readonly #node: Machine
  readonly #directory: string
  #found: ReadonlySet<Inode> = new Set()

  constructor(node: Machine, directory: string) {
    this.#node = node
    this.#directory = directory
  }

  /** A life begins. */
  began(): void {
    this.#found = new Set(Array.from(leftovers(this.#node, this.#directory), ({ inode }) => inode))
  }

  /** It serves. @param isQuarantined - Logs that it could not open: their files are as they were found. @throws Violation */
  serves(isQuarantined: (log: string) => boolean): void {
    if (this.#found.size === 0) return
    for (const { path, inode } of leftovers(this.#node, this.#directory)) {
      const log = path.split('/').at(-2)!
      if (this.#found.has(inode) && !isQuarantined(log))
        fail('D7', `${path} of ${this.#node.name} is of an earlier life, and its broker serves`)
    }
    this.#found = new Set()
  }
}
