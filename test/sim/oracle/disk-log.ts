/**
 * The batches of a log as they lie on a simulated disk, seen past the broker: what a process would read (`live`) or what the
 * platter holds (`durable`). Only a batch whose checksum fits counts, and everything behind one that does not is no log.
 *
 * Looking again costs what is new: each segment remembers how far it was read, and its last batch is compared, since a log
 * that was cut and has grown again is another one.
 */
import type { DirectoryInode, FileInode, Inode } from '../../../src/env/sim/disk-image.ts'
import type { SimNode } from '../../../src/env/sim/sim-node.ts'
import { crc32c } from '../../../src/bytes/crc32c.ts'
import { parseOffsetFileName } from '../../../src/log/file-names.ts'
import {
  BATCH_HEADER_BYTES,
  baseOffsetAt,
  batchSizeAt,
  crcAt,
  CRC_RANGE_START,
  leaderEpochAt,
  readBatchHeader,
} from '../../../src/records/batch-header.ts'
import type { BatchHeader } from '../../../src/records/batch-header.ts'

export type Layer = 'live' | 'durable'

/** Bytes read at a time; a larger batch is read whole. */
const PIECE_BYTES = 2 ** 16

export interface DiskBatch {
  readonly base: number
  readonly last: number
  readonly epoch: number
  readonly crc: number
  readonly header: BatchHeader
  /** Where it is in its segment's file. */
  readonly position: number
  readonly size: number
}

interface DiskSegment {
  readonly baseOffset: number
  readonly inode: FileInode
  readonly batches: DiskBatch[]
  /** Read so far. */
  position: number
}

export class DiskLog {
  /** Raised whenever batches that were here are not any more, or not where they were. */
  version = 0
  readonly #node: Pick<SimNode, 'disk' | 'generation' | 'isUp'>
  readonly #path: readonly string[]
  readonly #layer: Layer
  #segments: DiskSegment[] = []
  #directory: DirectoryInode | null = null
  #nameCount = -1
  #age = -1
  /** Segments that had others behind them at the last look, and have the same ones still: no cut reached them. */
  #settledCount = 0
  #count = 0

  constructor(node: Pick<SimNode, 'disk' | 'generation' | 'isUp'>, path: string, layer: Layer) {
    this.#node = node
    this.#path = path.split('/').filter((part) => part !== '')
    this.#layer = layer
  }

  /** Batches, all segments together; as of the last look. */
  *batches(from = 0): IterableIterator<DiskBatch> {
    let skipped = 0
    for (const { batches } of this.#segments) {
      if (skipped + batches.length > from)
        for (let index = Math.max(0, from - skipped); index < batches.length; index++) yield batches[index]!
      skipped += batches.length
    }
  }

  get count(): number {
    return this.#count
  }

  /** Whether there is a directory for it. */
  get exists(): boolean {
    return this.#directory !== null
  }

  /** First offset that is here, by the name of the first segment. */
  get startOffset(): number {
    return this.#segments[0]?.baseOffset ?? 0
  }

  /** Offset after the last batch of all that can be read without a hole. */
  get endOffset(): number {
    const last = this.#segments.at(-1)
    if (last === undefined) return 0
    return last.batches.length > 0 ? last.batches.at(-1)!.last + 1 : last.baseOffset
  }

  last(): DiskBatch | null {
    for (let index = this.#segments.length - 1; index >= 0; index--) {
      const found = this.#segments[index]!.batches.at(-1)
      if (found !== undefined) return found
    }
    return null
  }

  /** Whether a segment was damaged by somebody: what it holds says nothing of what processes wrote. */
  get isRotten(): boolean {
    return this.#segments.some(({ inode }) => inode.isRotten)
  }

  /** Whether it reaches an offset, or did before it was damaged; looks again as far as it must. */
  reaches(offset: number): boolean {
    return this.look(false).endOffset >= offset || this.look().endOffset >= offset || this.isRotten
  }

  /** The bytes of all batches that begin at `fromOffset` or behind. */
  bytes(fromOffset: number): Buffer {
    const pieces: Uint8Array[] = []
    for (const { batches, inode } of this.#segments) {
      const first = batches.find(({ base }) => base >= fromOffset)
      if (first === undefined) continue
      const end = batches.at(-1)!
      pieces.push(inode[this.#layer].read(first.position, end.position + end.size - first.position))
    }
    return Buffer.concat(pieces)
  }

  /** Looks at the disk. @param relists - False: trusts that no segment took the place of another one. */
  look(relists = true): this {
    const { generation, isUp } = this.#node
    const age = generation * 2 + (isUp ? 1 : 0)
    const directory = this.#find()
    if (age !== this.#age || directory !== this.#directory) {
      this.#age = age
      this.#directory = directory
      this.#cutFrom(0)
      this.#nameCount = -1
    }
    if (directory === null) return this
    const names = directory[this.#layer]
    if (relists || names.size !== this.#nameCount) this.#relist(names)
    this.#verify()
    this.#read()
    this.#settledCount = Math.max(0, this.#segments.length - 1)
    return this
  }

  #find(): DirectoryInode | null {
    let inode: Inode | undefined = this.#node.disk.image.root
    for (const name of this.#path)
      inode = inode?.kind === 'directory' ? inode[this.#layer].get(name) : undefined
    return inode?.kind === 'directory' ? inode : null
  }

  #relist(names: ReadonlyMap<string, Inode>): void {
    this.#nameCount = names.size
    const found: { baseOffset: number; inode: FileInode }[] = []
    for (const [name, inode] of names) {
      if (!name.endsWith('.log') || inode.kind !== 'file') continue
      const parsed = parseOffsetFileName(name)
      if (parsed !== null) found.push({ baseOffset: parsed.offset, inode })
    }
    found.sort((a, b) => a.baseOffset - b.baseOffset)
    let same = 0
    while (same < this.#segments.length && this.#segments[same]!.inode === found[same]?.inode) same++
    this.#settledCount = Math.min(this.#settledCount, Math.max(0, same - 1))
    this.#cutFrom(same)
    for (const { baseOffset, inode } of found.slice(same))
      this.#segments.push({ baseOffset, inode, batches: [], position: 0 })
  }

  /** Drops what is not on the disk any more. */
  #verify(): void {
    for (const [index, { inode, batches, position }] of this.#segments.entries()) {
      const bytes = inode[this.#layer]
      const last = batches.at(-1)
      if (last === undefined) continue
      const isThere =
        bytes.size >= position &&
        (index < this.#settledCount || isSame(bytes.read(last.position, BATCH_HEADER_BYTES), last))
      if (isThere) continue
      const { baseOffset } = this.#segments[index]!
      const rest = this.#segments.slice(index + 1)
      this.#cutFrom(index)
      this.#segments.push({ baseOffset, inode, batches: [], position: 0 })
      for (const each of rest)
        this.#segments.push({ baseOffset: each.baseOffset, inode: each.inode, batches: [], position: 0 })
      return
    }
  }

  #read(): void {
    for (const [index, segment] of this.#segments.entries()) {
      if (segment.inode[this.#layer].size - segment.position >= BATCH_HEADER_BYTES) this.#readSegment(segment)
      const next = this.#segments[index + 1]
      if (next === undefined) return
      // Torn, with more behind it: what follows the hole is no part of the log.
      const end = segment.batches.length > 0 ? segment.batches.at(-1)!.last + 1 : segment.baseOffset
      if (segment.inode[this.#layer].size > segment.position && next.baseOffset > end) {
        this.#cutFrom(index + 1)
        this.#nameCount = -1
        return
      }
    }
  }

  #readSegment(segment: DiskSegment): void {
    const bytes = segment.inode[this.#layer]
    for (;;) {
      let piece = bytes.read(segment.position, PIECE_BYTES)
      if (piece.length < BATCH_HEADER_BYTES) return
      const firstSize = batchSizeAt(piece, 0)
      if (firstSize > piece.length && segment.position + firstSize <= bytes.size)
        piece = bytes.read(segment.position, firstSize)
      const before = segment.position
      for (let at = 0; at + BATCH_HEADER_BYTES <= piece.length;) {
        const size = batchSizeAt(piece, at)
        if (size < BATCH_HEADER_BYTES || at + size > piece.length) break
        if (crc32c(piece, at + CRC_RANGE_START, at + size) !== crcAt(piece, at)) return
        const header = readBatchHeader(piece, at)
        const base = header.baseOffset
        const last = base + header.lastOffsetDelta
        const { leaderEpoch: epoch, crc } = header
        segment.batches.push({ base, last, epoch, crc, header, position: segment.position, size })
        this.#count++
        segment.position += size
        at += size
      }
      if (segment.position === before) return
    }
  }

  #cutFrom(index: number): void {
    const removed = this.#segments.splice(index)
    const count = removed.reduce((sum, { batches }) => sum + batches.length, 0)
    if (count === 0) return
    this.#count -= count
    this.version++
  }
}

/** The epoch counts, too: a record that was cut away and sent again may come back to its old place, in another epoch. */
function isSame(bytes: Uint8Array, { base, crc, epoch }: DiskBatch): boolean {
  if (bytes.length < BATCH_HEADER_BYTES) return false
  return baseOffsetAt(bytes, 0) === base && crcAt(bytes, 0) === crc && leaderEpochAt(bytes, 0) === epoch
}
