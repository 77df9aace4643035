/**
 * Reads batches that are no longer in the tail cache, from the segments' files.
 *
 * A batch from a file is checked before it is given away, CRC included: bytes that rotted on disk are never served
 * (docs/faults.md D3, ST-2). At 11 GB/s that is a tenth of what the read itself costs.
 *
 * Races (RP-20). A read awaits, and the log may meanwhile be truncated, and other batches written to the same
 * positions; or its segments be deleted. Every such change raises `generation`. A read that finds another one when its
 * bytes have come throws them away and begins anew with the bounds of now. Handles are pinned by the pool while in use.
 *
 * Where a read ended is remembered: a consumer that reads on from there needs no index.
 */
import { baseOffsetAt, BATCH_HEADER_BYTES, batchSizeAt, lastOffsetAt } from '../records/batch-header.ts'
import { findBatchFault, findHeaderFault } from '../records/batch-validator.ts'
import { BATCH_BYTES_MAX } from './batch-scan.ts'
import { corruptAt, isDamage, LogError } from './log-error.ts'
import { emptySlice, type LogSlice } from './log-slice.ts'
import { segmentIndexOf } from './log-replay.ts'
import type { Segment } from './segment.ts'

/** One read takes at most this unless a batch is larger: it may happen on the main thread, at about 0.2 ms per MiB. */
const READ_BYTES = 2 ** 20

/** Places remembered: more than the consumers and followers that usually lag on one partition. */
const PLACES_MAX = 64

/** Times that a read begins anew before it gives up: each needs a truncation or deletion beside it. */
const ATTEMPTS_MAX = 16

/** What the reader sees of its log; getters, for they change under it. */
export interface ReadableLog {
  readonly generation: number
  readonly segments: readonly Segment[]
  readonly logStartOffset: number
  readonly writtenEndOffset: number
}

export class LogReader {
  readonly #log: ReadableLog
  readonly #onDamage: (error: LogError) => void
  /** Offset to where its batch begins. */
  readonly #places = new Map<number, { readonly segment: Segment; readonly position: number }>()
  #placesGeneration = 0

  /** @param onDamage - Told each `LOG_CORRUPT` that a read ends with. */
  constructor(log: ReadableLog, onDamage: (error: LogError) => void) {
    this.#log = log
    this.#onDamage = onDamage
  }

  /**
   * Whole batches from the one that holds `startOffset`, below `endOffset`.
   *
   * @throws {LogError} `LOG_OFFSET_OUT_OF_RANGE` if the log was cut or moved past it meanwhile; `LOG_CORRUPT`.
   */
  async read(
    startOffset: number,
    endOffset: number,
    bytesMax: number,
    atLeastOneBatch: boolean,
  ): Promise<LogSlice> {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const generation = this.#log.generation
      const limit = Math.min(endOffset, this.#log.writtenEndOffset)
      if (startOffset < this.#log.logStartOffset || startOffset > this.#log.writtenEndOffset)
        throw this.#outOfRange(startOffset)
      if (startOffset >= limit) return emptySlice(startOffset)
      try {
        const slice = await this.#read(startOffset, limit, bytesMax, atLeastOneBatch)
        if (generation === this.#log.generation) return slice
      } catch (error) {
        if (generation !== this.#log.generation) continue
        if (isDamage(error)) this.#onDamage(error)
        throw error
      }
    }
    throw new LogError(
      'LOG_BUSY',
      `Read offset ${startOffset}: the log was cut ${ATTEMPTS_MAX} times meanwhile`,
    )
  }

  async #read(
    startOffset: number,
    limit: number,
    bytesMax: number,
    atLeastOneBatch: boolean,
  ): Promise<LogSlice> {
    const chunks: Uint8Array[] = []
    let bytes = 0
    let firstOffset = startOffset
    let nextOffset = startOffset
    const place = this.#findPlace(startOffset)
    const segments = this.#log.segments
    let index = place === undefined ? segmentIndexOf(segments, startOffset) : segments.indexOf(place.segment)
    let position = place?.position ?? -1
    for (; index < segments.length && nextOffset < limit; index++) {
      const segment = segments[index]!
      if (position < 0)
        position = segment.baseOffset >= nextOffset ? 0 : await segment.positionBelow(nextOffset)
      while (position < segment.writtenBytes && nextOffset < limit) {
        const canBeOne = atLeastOneBatch && bytes === 0
        const step = await readStep(segment, position, nextOffset, limit, bytesMax - bytes, canBeOne)
        if (step.bytes === 0) {
          if (step.isFull) return this.#finish(chunks, bytes, firstOffset, nextOffset, segment, step.position)
          position = step.position
          continue
        }
        if (bytes === 0) firstOffset = step.firstOffset
        chunks.push(step.chunk)
        bytes += step.bytes
        nextOffset = step.endOffset
        position = step.position
        if (step.isFull) return this.#finish(chunks, bytes, firstOffset, nextOffset, segment, position)
      }
      if (nextOffset >= limit) return this.#finish(chunks, bytes, firstOffset, nextOffset, segment, position)
      position = -1
    }
    return this.#finish(chunks, bytes, firstOffset, nextOffset, null, 0)
  }

  #finish(
    chunks: readonly Uint8Array[],
    bytes: number,
    startOffset: number,
    endOffset: number,
    segment: Segment | null,
    position: number,
  ): LogSlice {
    if (bytes === 0) return emptySlice(startOffset)
    if (segment !== null && position < segment.writtenBytes) {
      this.#places.delete(endOffset)
      this.#places.set(endOffset, { segment, position })
      if (this.#places.size > PLACES_MAX) this.#places.delete(this.#places.keys().next().value!)
    }
    return { chunks, bytes, startOffset, endOffset }
  }

  #findPlace(offset: number): { readonly segment: Segment; readonly position: number } | undefined {
    if (this.#placesGeneration !== this.#log.generation) {
      this.#placesGeneration = this.#log.generation
      this.#places.clear()
    }
    return this.#places.get(offset)
  }

  #outOfRange(offset: number): LogError {
    const { logStartOffset, writtenEndOffset } = this.#log
    return new LogError(
      'LOG_OFFSET_OUT_OF_RANGE',
      `Read offset ${offset}: the log holds ${logStartOffset} to ${writtenEndOffset}`,
    )
  }
}

interface ReadStep {
  readonly chunk: Uint8Array
  readonly bytes: number
  readonly firstOffset: number
  readonly endOffset: number
  /** Where to read on. */
  readonly position: number
  /** Nothing more may be taken: the size or the end offset is reached. */
  readonly isFull: boolean
}

/** One read of a file: skips batches below `startOffset`, takes whole ones while they fit. */
async function readStep(
  segment: Segment,
  position: number,
  startOffset: number,
  limit: number,
  bytesMax: number,
  canBeOne: boolean,
): Promise<ReadStep> {
  const left = segment.writtenBytes - position
  let buffer = await segment.read(position, Math.min(left, READ_BYTES))
  let at = 0
  let first = -1
  let endOffset = startOffset
  let isFull = false
  while (at < left) {
    if (at + Math.min(BATCH_HEADER_BYTES, left) > buffer.length) {
      if (at === 0) throw corruptAt(segment.path, position, `File ends early: wanted ${left} bytes more`)
      break // the rest of this batch comes with the next step
    }
    const fault = findHeaderFault(buffer, at, left - at)
    if (fault !== null) throw corruptAt(segment.path, position + at, fault)
    const size = batchSizeAt(buffer, at)
    const lastOffset = lastOffsetAt(buffer, at)
    if (lastOffset < startOffset) {
      at += size // perhaps past the buffer: the next step begins there
      continue
    }
    if (lastOffset >= limit || (size > bytesMax - (first < 0 ? 0 : at - first) && !(canBeOne && first < 0))) {
      isFull = true
      break
    }
    if (at + size > buffer.length) {
      if (first >= 0 || at > 0) break
      if (size > BATCH_BYTES_MAX) throw corruptAt(segment.path, position, `Batch size is ${size} bytes`)
      buffer = await segment.read(position, size)
      if (buffer.length < size)
        throw corruptAt(segment.path, position, `File ends early: wanted ${size} bytes`)
    }
    const batchFault = findBatchFault(buffer, at, buffer.length - at)
    if (batchFault !== null) throw corruptAt(segment.path, position + at, batchFault)
    if (first >= 0 && baseOffsetAt(buffer, at) < endOffset) {
      throw corruptAt(
        segment.path,
        position + at,
        `Base offset is ${baseOffsetAt(buffer, at)}: wanted ${endOffset}`,
      )
    }
    if (first < 0) first = at
    at += size
    endOffset = lastOffset + 1
  }
  if (first < 0) {
    return { chunk: buffer, bytes: 0, firstOffset: startOffset, endOffset, position: position + at, isFull }
  }
  return {
    chunk: first === 0 && at === buffer.length ? buffer : buffer.subarray(first, at),
    bytes: at - first,
    firstOffset: baseOffsetAt(buffer, first),
    endOffset,
    position: position + at,
    isFull,
  }
}
