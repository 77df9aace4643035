/**
 * One pass of compaction over one log. In two phases, both in steps of `STEP_BYTES`:
 *
 *   note     the keys of the dirty part, newest offset each, into an `OffsetMap`, until that is full or the part ends;
 *            and of the clean part the keys of tombstones whose time is over
 *   rewrite  all segments up to there, oldest first, a group of neighbours at a time, each swapped in when it is written
 *
 * What goes (docs/faults.md ST-17, T6):
 * - A record for whose key the map has a higher offset. Only records that count for certain are noted: none of a
 *   transaction, which may have been aborted, none at or above the plan's end, none of a batch that cannot be read.
 * - A tombstone whose horizon is past, if it is the newest of its key in the map of *this* pass: then every older record of
 *   the key goes in the same group, or went in an earlier one, whose swap is on the disk. It needs no belief in what an
 *   earlier pass did, so a cleaner checkpoint that lies costs room, and never brings a deleted key back.
 *
 * What stays: control batches as they are; records without key (none can supersede them, and they were acknowledged); a
 * batch that cannot be read, and all tombstones behind it, since it may hold older records of their keys; the headers of a
 * living producer's remembered batches, so that the producer state folds to the same from a compacted log (P2).
 *
 * The horizon of a tombstone is set in the pass that first keeps it (KIP-534).
 */
import {
  attributesAt,
  baseTimestampAt,
  batchSizeAt,
  hasDeleteHorizon,
  isControl,
  isTransactional,
  lastOffsetAt,
  readBatchHeader,
  recordCountAt,
} from '../records/batch-header.ts'
import { emptiedBatch, filterBatch, isFiller } from '../records/batch-filter.ts'
import type { CodecSet } from '../records/compression/codec-set.ts'
import type { CodecName } from '../records/compression/codec.ts'
import { RecordError } from '../records/record-error.ts'
import { RecordSpans } from '../records/record-span.ts'
import type { SipKey } from '../bytes/siphash.ts'
import { isDeviceFailure } from './atomic-file.ts'
import { CleanedSegmentWriter } from './cleaned-segment.ts'
import { type CompactionPlan, groupSegments } from './compaction-plan.ts'
import { RELATIVE_OFFSET_MAX, SEGMENT_BYTES_MAX } from './log-config.ts'
import type { LogCore } from './log-core.ts'
import { corruptAt } from './log-error.ts'
import { OffsetMap } from './offset-map.ts'
import type { ProducerState } from './producer-state.ts'
import type { Segment } from './segment.ts'
import { replaceSegments } from './segment-swap.ts'

/** Bytes of log looked at, and of its successor held, before others get their turn: some 20 ms of work. */
const STEP_BYTES = 2 ** 21

/** What a pass is lent by its process. */
export interface CompactionTools {
  readonly codecs: CodecSet
  /** Bytes that the map of keys may take. */
  readonly mapBytesMax: number
  /** Random, and of this pass alone. */
  readonly hashKey: SipKey
  /** Lets others go on, and keeps to the allowed bytes a second. @param bytes - Read since the last time. */
  readonly pause: (bytes: number) => Promise<void>
}

export interface CompactionResult {
  /** All below is judged now. Below the plan's end if the map was full. */
  readonly cleanedEndOffset: number
  readonly bytesBefore: number
  readonly bytesAfter: number
  /** Batches that could not be read, and so stay. */
  readonly opaqueCount: number
}

/** The log was cut or closed, or somebody wants the cleaner to stop: nothing more is changed. */
export class CompactionEnded extends Error {
  override readonly name = 'CompactionEnded'
}

export class CompactionPass {
  readonly #core: LogCore
  readonly #plan: CompactionPlan
  readonly #tools: CompactionTools
  readonly #nowMs: number
  readonly #isAborted: () => boolean
  #map: OffsetMap
  /** All dirty keys below are in the map. */
  #notedEndOffset: number
  #producers: ProducerState | null = null
  #opaqueCount = 0

  /** @param nowMs - Wall clock ms, as trusted for retention. @param isAborted - Asked after each step. */
  constructor(
    core: LogCore,
    plan: CompactionPlan,
    tools: CompactionTools,
    nowMs: number,
    isAborted: () => boolean,
  ) {
    this.#core = core
    this.#plan = plan
    this.#tools = tools
    this.#nowMs = nowMs
    this.#isAborted = isAborted
    this.#map = new OffsetMap(tools.mapBytesMax, 0, tools.hashKey)
    this.#notedEndOffset = plan.endOffset
  }

  /**
   * @throws {CompactionEnded} @throws {LogError} `LOG_CORRUPT`, `LOG_NOT_CLEANABLE`, `LOG_FAILED`.
   * @throws {FileError} For lack of room, and of a read. The log is sound in every case, and partly compacted.
   */
  async run(): Promise<CompactionResult> {
    await this.#noteKeys()
    this.#producers = await this.#core.replayProducers(this.#notedEndOffset)
    this.#check()
    const { config } = this.#core
    const segments = this.#plan.segments.filter(({ baseOffset }) => baseOffset < this.#notedEndOffset)
    const endOffset = this.#plan.segments[segments.length]?.baseOffset ?? this.#plan.endOffset
    const bytesMax = Math.min(config.segmentBytes, SEGMENT_BYTES_MAX)
    let bytesBefore = 0
    let bytesAfter = 0
    for (const group of groupSegments(segments, endOffset, bytesMax, RELATIVE_OFFSET_MAX)) {
      const bytes = group.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
      bytesBefore += bytes
      bytesAfter += await this.#rewrite(group, bytes)
    }
    this.#core.cleanedEndOffset = this.#notedEndOffset
    return {
      cleanedEndOffset: this.#notedEndOffset,
      bytesBefore,
      bytesAfter,
      opaqueCount: this.#opaqueCount,
    }
  }

  async #noteKeys(): Promise<void> {
    const { segments, firstDirtyOffset, endOffset } = this.#plan
    const { mapBytesMax, hashKey } = this.#tools
    const clean = segments.filter(({ baseOffset }) => baseOffset < firstDirtyOffset)
    let expiredCount = 0
    for (const segment of clean) {
      await segment.walk(0, (bytes, at) => {
        if (this.#isExpired(bytes, at)) expiredCount += recordCountAt(bytes, at)
        return true
      })
      await this.#step(0)
    }
    this.#map = new OffsetMap(mapBytesMax, endOffset - firstDirtyOffset + expiredCount, hashKey)
    for (const [index, segment] of segments.entries()) {
      const end = segments[index + 1]?.baseOffset ?? endOffset
      if (end <= firstDirtyOffset) continue
      await this.#walk(segment, (batch) => this.#noteDirty(batch))
      if (this.#notedEndOffset < endOffset) break
    }
    if (expiredCount === 0) return
    for (const segment of clean) {
      await this.#walk(segment, (batch) => {
        if (lastOffsetAt(batch, 0) < firstDirtyOffset && this.#isExpired(batch, 0)) this.#noteExpired(batch)
        return true
      })
    }
  }

  /** @returns False when the map is full: `#notedEndOffset` is where. */
  #noteDirty(batch: Uint8Array): boolean {
    if (lastOffsetAt(batch, 0) < this.#plan.firstDirtyOffset || !countsForCertain(batch)) return true
    for (const { key, offset } of this.#keysOf(batch)) {
      if (offset < this.#plan.firstDirtyOffset || this.#map.put(key, offset)) continue
      this.#notedEndOffset = offset
      return false
    }
    return true
  }

  /** Those that find no room stay until the next pass. */
  #noteExpired(batch: Uint8Array): void {
    if (!countsForCertain(batch)) return
    for (const { key, offset, isTombstone } of this.#keysOf(batch))
      if (isTombstone) this.#map.put(key, offset)
  }

  /** All keys of a batch, or none if it cannot be read to its end. */
  #keysOf(
    batch: Uint8Array,
  ): { readonly key: Uint8Array; readonly offset: number; readonly isTombstone: boolean }[] {
    const found = []
    try {
      const spans = new RecordSpans(batch, this.#tools.codecs)
      while (spans.next()) {
        const { key, offset, isTombstone } = spans
        if (key !== null) found.push({ key, offset, isTombstone })
      }
    } catch (error) {
      if (!(error instanceof RecordError)) throw error
      return []
    }
    return found
  }

  #isExpired(bytes: Uint8Array, at: number): boolean {
    return hasDeleteHorizon(attributesAt(bytes, at)) && baseTimestampAt(bytes, at) <= this.#nowMs
  }

  /** @returns Bytes of the segment that took the group's place. */
  async #rewrite(group: readonly Segment[], bytesBefore: number): Promise<number> {
    const { ports, config } = this.#core
    const { files } = ports
    const writer = await this.#writing(() =>
      CleanedSegmentWriter.open(ports, group[0]!.baseOffset, config, ports.clock.monotonicMs()),
    )
    try {
      for (const segment of group) {
        await this.#walk(
          segment,
          (batch) => this.#judge(batch, writer),
          () => this.#writing(() => writer.flush()),
        )
      }
      if (!writer.hasChanged && group.length === 1) {
        await this.#writing(() => writer.discard(files))
        return bytesBefore
      }
      const cleaned = await this.#writing(() => writer.finish())
      await this.#core.maintain('Compacted', async () => {
        this.#check()
        if (!group.every((segment) => this.#core.segments.includes(segment))) throw new CompactionEnded()
        await replaceSegments(this.#core, group, cleaned)
      })
      return cleaned.sizeBytes
    } catch (error) {
      // Best effort: whatever is left under that name the next pass or the next start removes.
      await writer.discard(files, this.#core.state.kind === 'failed').catch(() => undefined)
      throw error
    }
  }

  /** @returns True: go on. */
  #judge(batch: Uint8Array, writer: CleanedSegmentWriter): boolean {
    const header = readBatchHeader(batch)
    if (isControl(header.attributes)) writer.add(batch.slice())
    else if (isFiller(header)) writer.drop(batch)
    else if (header.recordCount === 0) this.#keepHeader(batch, writer)
    else {
      const filtered = this.#filter(batch)
      if (filtered.kind === 'whole') writer.add(batch.slice())
      else if (filtered.kind === 'empty') this.#keepHeader(batch, writer)
      else {
        writer.hasChanged = true
        writer.add(filtered.batch)
      }
    }
    return true
  }

  #filter(batch: Uint8Array): ReturnType<typeof filterBatch> {
    const isCertain = countsForCertain(batch)
    const mayForget = isCertain && this.#opaqueCount === 0 && this.#isExpired(batch, 0)
    const isJudged = lastOffsetAt(batch, 0) < this.#notedEndOffset
    const horizonMs = isCertain && isJudged ? this.#nowMs + this.#core.config.deleteRetentionMs : null
    try {
      return filterBatch(
        batch,
        this.#tools.codecs,
        ({ key, offset, isTombstone }) => {
          if (key === null || offset >= this.#notedEndOffset) return true
          const newestOffset = this.#map.get(key)
          return newestOffset <= offset && !(isTombstone && mayForget && newestOffset === offset)
        },
        horizonMs,
      )
    } catch (error) {
      if (!(error instanceof RecordError)) throw error
      this.#opaqueCount++
      return { kind: 'whole' }
    }
  }

  /** Of a batch without records the header stays if its producer lives and would be judged by it. */
  #keepHeader(batch: Uint8Array, writer: CleanedSegmentWriter): void {
    const header = readBatchHeader(batch)
    const lastOffset = lastOffsetAt(batch, 0)
    const entry = this.#producers!.find(header.producerId)
    const isAlive = this.#core.producers.find(header.producerId) !== undefined
    if (entry === undefined || !isAlive || !entry.remembers(lastOffset)) {
      writer.hasChanged = true
      writer.drop(batch)
    } else {
      if (header.recordCount > 0) writer.hasChanged = true
      writer.add(header.recordCount > 0 ? emptiedBatch(header) : batch.slice())
    }
  }

  /** Every batch of a segment, whole, until `visit` returns false. `flush` runs after each step. */
  async #walk(
    segment: Segment,
    visit: (batch: Uint8Array) => boolean,
    flush: () => Promise<void> = () => Promise.resolve(),
  ): Promise<void> {
    const { codecs } = this.#tools
    const endPosition = segment.writtenBytes
    let position = 0
    const seen: { isEnded: boolean; missing: CodecName | null } = { isEnded: false, missing: null }
    while (position < endPosition && !seen.isEnded) {
      const startPosition = position
      const scan = await segment.scan(startPosition, true, (bytes, at, where) => {
        if (where - startPosition >= STEP_BYTES) return false
        seen.missing = findMissing(codecs, bytes, at)
        if (seen.missing !== null) return false
        seen.isEnded = !visit(bytes.subarray(at, at + batchSizeAt(bytes, at)))
        return !seen.isEnded
      })
      this.#check()
      if (scan.fault !== null) throw corruptAt(segment.path, scan.position, scan.fault)
      position = scan.position
      if (seen.missing !== null) await codecs.load(seen.missing)
      seen.missing = null
      await flush()
      await this.#step(position - startPosition)
    }
  }

  async #step(bytes: number): Promise<void> {
    await this.#tools.pause(bytes)
    this.#check()
  }

  #check(): void {
    const isCut = this.#core.cutCount !== this.#plan.cutCount
    if (isCut || this.#isAborted() || this.#core.state.kind !== 'open') throw new CompactionEnded()
  }

  /** What the disk did with a write that failed nobody knows, whichever file it was for (D4). */
  async #writing<T>(task: () => Promise<T>): Promise<T> {
    try {
      return await task()
    } catch (error) {
      throw isDeviceFailure(error) ? this.#core.fail('Compacted', error) : error
    }
  }
}

/** Records of a transaction count if its marker says so, which is not looked at here. Markers are no records of anybody. */
function countsForCertain(batch: Uint8Array): boolean {
  const attributes = attributesAt(batch, 0)
  return !isControl(attributes) && !isTransactional(attributes)
}

function findMissing(codecs: CodecSet, bytes: Uint8Array, at: number): CodecName | null {
  try {
    return codecs.findMissing(attributesAt(bytes, at))
  } catch (error) {
    if (error instanceof RecordError) return null // a codec that does not exist: whoever reads the batch will say so
    throw error
  }
}
