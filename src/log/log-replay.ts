/**
 * What is folded from a log's batches: producer state and leader epochs, rebuilt by walking headers.
 *
 * Used by recovery and after a truncation, so that both end with the same state as a log that never had more
 * (faults.md P2, TX-4, R5). The bytes walked are known to be sound; if they are not, `LOG_CORRUPT`.
 */
import { assert } from '../base/assert.ts'
import { baseOffsetAt, lastOffsetAt, leaderEpochAt, readBatchHeader } from '../records/batch-header.ts'
import { readWhole } from './atomic-file.ts'
import type { EpochEntry } from './checkpoint-file.ts'
import { offsetFileName, SNAPSHOT_SUFFIX } from './file-names.ts'
import { LeaderEpochCache, NO_EPOCH } from './leader-epoch-cache.ts'
import { LogError } from './log-error.ts'
import type { LogSurroundings } from './log-options.ts'
import { decodeProducerSnapshot } from './producer-snapshot.ts'
import { ProducerState } from './producer-state.ts'
import type { Segment } from './segment.ts'

/** Index of the segment that holds `offset`: the last one that begins at or below it, or the first. */
export function segmentIndexOf(segments: readonly Segment[], offset: number): number {
  let low = 0
  let high = segments.length
  while (high - low > 1) {
    const middle = (low + high) >>> 1
    if (segments[middle]!.baseOffset <= offset) low = middle
    else high = middle
  }
  return low
}

/** Calls `visit` with the header of each batch that ends above `startOffset` and begins below `endOffset`. */
export async function walkBatches(
  segments: readonly Segment[],
  startOffset: number,
  endOffset: number,
  visit: (bytes: Uint8Array, at: number) => void,
): Promise<void> {
  for (let index = segmentIndexOf(segments, startOffset); index < segments.length; index++) {
    const segment = segments[index]!
    if (segment.baseOffset >= endOffset) return
    const startPosition = segment.baseOffset < startOffset ? await segment.probeBelow(startOffset) : 0
    await segment.walk(startPosition, (bytes, at) => {
      if (baseOffsetAt(bytes, at) >= endOffset) return false
      if (lastOffsetAt(bytes, at) >= startOffset) visit(bytes, at)
      return true
    })
  }
}

/** Where a log can be cut: between batches. */
export interface Boundary {
  /** Index of the segment that becomes the last one. */
  readonly index: number
  readonly position: number
  /** What the log ends at then. */
  readonly offset: number
}

/**
 * The boundary at `offset`, or where the batch that holds it begins. At the border of two segments it is the end of the
 * first, so that one whose file could not be created goes away.
 *
 * @param writtenEndOffset - End of what is in the files; `offset` is at most that.
 */
export async function findBoundary(
  segments: readonly Segment[],
  offset: number,
  writtenEndOffset: number,
): Promise<Boundary> {
  let index = segmentIndexOf(segments, offset)
  if (index > 0 && segments[index]!.baseOffset === offset) {
    index--
    return { index, position: segments[index]!.writtenBytes, offset }
  }
  const segment = segments[index]!
  if (offset >= writtenEndOffset) return { index, position: segment.writtenBytes, offset: writtenEndOffset }
  const found: Boundary[] = []
  const position = await segment.walk(await segment.positionBelow(offset), (bytes, at, where) => {
    if (lastOffsetAt(bytes, at) < offset) return true
    found.push({ index, position: where, offset: Math.min(offset, baseOffsetAt(bytes, at)) })
    return false
  })
  return found[0] ?? { index, position, offset }
}

export interface LoadedSnapshot {
  readonly offset: number
  readonly state: ProducerState
}

/** The newest sound snapshot at or below `offset`, or null. */
export async function loadSnapshot(
  ports: LogSurroundings,
  snapshots: readonly number[],
  offset: number,
  producerCountMax: number,
): Promise<LoadedSnapshot | null> {
  const candidates = snapshots.filter((candidate) => candidate <= offset).sort((a, b) => b - a)
  for (const candidate of candidates) {
    const path = `${ports.directory}/${offsetFileName(candidate, SNAPSHOT_SUFFIX)}`
    const bytes = await readWhole(ports.files, path)
    const identity = { topicId: ports.topicId, partition: ports.partition, offset: candidate }
    const state =
      bytes && decodeProducerSnapshot(bytes, identity, producerCountMax, ports.clock.monotonicMs())
    if (state !== null) return { offset: candidate, state }
    ports.logger.warn('Read a producer snapshot: it is damaged, the state is folded from an older one', {
      path,
    })
  }
  return null
}

/** Producer state as folded from all batches below `endOffset` that are left, or remembered by a snapshot. */
export async function replayProducers(
  ports: LogSurroundings,
  segments: readonly Segment[],
  snapshots: readonly number[],
  endOffset: number,
  producerCountMax: number,
): Promise<ProducerState> {
  const snapshot = await loadSnapshot(ports, snapshots, endOffset, producerCountMax)
  const state = snapshot?.state ?? new ProducerState(producerCountMax)
  const nowMs = ports.clock.monotonicMs()
  const startOffset = snapshot?.offset ?? segments[0]!.baseOffset
  let batches = 0
  await walkBatches(segments, startOffset, endOffset, (bytes, at) => {
    const header = readBatchHeader(bytes, at)
    state.update(header, header.baseOffset, nowMs)
    if (header.producerId >= 0) batches++
  })
  if (batches > 0)
    ports.logger.debug('Folded the producers of a log from its batches', {
      directory: ports.directory,
      from: startOffset,
      to: endOffset,
      batches,
    })
  return state
}

/**
 * Leader epochs as the batches say, from `startOffset` on, on top of `known`.
 *
 * A segment that begins in the same epoch as the next one begins is not walked: epochs never fall along a log. One that does
 * is damage: no CRC covers it, and a bit that has raised it would make all that comes after it older than it is (ST-3).
 *
 * @throws {LogError} `LOG_CORRUPT`.
 */
export async function replayEpochs(
  segments: readonly Segment[],
  known: readonly EpochEntry[],
  startOffset: number,
  endOffset: number,
): Promise<LeaderEpochCache> {
  const epochs = new LeaderEpochCache(known)
  const first = segmentIndexOf(segments, startOffset)
  let last = NO_EPOCH
  const saw = ({ path }: Segment, epoch: number, offset: number): void => {
    if (epoch < last)
      throw new LogError(
        'LOG_CORRUPT',
        `Read ${path}: leader epoch at offset ${offset} is ${epoch}: wanted ${last} or more`,
      )
    last = epoch
    epochs.assign(epoch, offset)
  }
  assert(segments.length > 0, 'A log has a segment')
  for (let index = first; index < segments.length; index++) {
    const segment = segments[index]!
    const next = segments[index + 1]
    const beginsIn = await firstEpochOf(segment)
    if (next !== undefined && beginsIn !== null && index > first && beginsIn === (await firstEpochOf(next))) {
      saw(segment, beginsIn, segment.baseOffset)
      continue
    }
    await walkBatches([segment], Math.max(startOffset, segment.baseOffset), endOffset, (bytes, at) => {
      saw(segment, leaderEpochAt(bytes, at), baseOffsetAt(bytes, at))
    })
  }
  return epochs
}

async function firstEpochOf(segment: Segment): Promise<number | null> {
  let epoch: number | null = null
  await segment.walk(0, (bytes, at) => {
    epoch = leaderEpochAt(bytes, at)
    return false
  })
  return epoch
}
