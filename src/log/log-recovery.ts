/**
 * Brings one log's directory back to a sound state: what `PartitionLog.open` begins with.
 *
 * After a clean stop nothing of the data is read but the last batches of the active segment. After any other stop the
 * log is checked from the recovery point, below which all was synced before the point was written down:
 *
 *        log start                        recovery point                   end of file
 *   ─────────┼───────────────────────────────────┼──────────────────────────────┤
 *     was flushed, so must be there:              each batch checked; cut at the first fault
 *     seams between segments are looked at        and everything after it removed
 *
 * Invariants (docs/faults.md D2, D3, D5, D7):
 * - What is kept is a prefix of what was appended: CRC, offsets that join up, leader epochs that never fall and that the
 *   epoch checkpoint agrees with, which is durable before the first batch of an epoch is written (ST-3).
 * - Nothing below the recovery point is ever cut. If it is missing or wrong: `LOG_CORRUPT`, with every segment as it was.
 * - Indexes, snapshots and the epoch checkpoint are rebuilt when they are missing or disagree.
 * - What is kept is synced before it counts as durable: it may have lived only in the page cache until now.
 * - It may crash at any step, any number of times: it removes from the end, and the next start begins over (ST-12).
 */
import {
  BATCH_HEADER_BYTES,
  baseOffsetAt,
  batchSizeAt,
  lastOffsetAt,
  leaderEpochAt,
  readBatchHeader,
} from '../records/batch-header.ts'
import { isFiller } from '../records/batch-filter.ts'
import { isLackOfRoom, readWhole, writeAtomically } from './atomic-file.ts'
import { parseEpochCheckpoint, type EpochEntry } from './checkpoint-file.ts'
import { EPOCH_CHECKPOINT, offsetFileName, SNAPSHOT_SUFFIX } from './file-names.ts'
import { LeaderEpochCache, NO_EPOCH } from './leader-epoch-cache.ts'
import type { LogConfig } from './log-config.ts'
import { LogError } from './log-error.ts'
import { createSegmentFile, listLogFiles, openSegments, removeLogFiles } from './log-files.ts'
import type { LogSurroundings } from './log-options.ts'
import { loadSnapshot, replayEpochs, replayProducers, segmentIndexOf } from './log-replay.ts'
import { encodeProducerSnapshot } from './producer-snapshot.ts'
import type { ProducerState } from './producer-state.ts'
import { Segment } from './segment.ts'
import { finishSwaps } from './segment-swap.ts'

export interface RecoveryOptions {
  readonly config: LogConfig
  /** All below this offset was synced before the last stop. */
  readonly recoveryPoint: number
  readonly logStartOffset: number
  readonly wasClosedCleanly: boolean
}

/** What recovery took away, and why. */
export interface RecoveryCut {
  readonly path: string
  readonly position: number
  /** Bytes that went, of this file and of all later ones. */
  readonly bytes: number
  /** The log ends here now. */
  readonly offset: number
  readonly found: string
}

export interface RecoveredLog {
  readonly segments: Segment[]
  readonly logStartOffset: number
  readonly logEndOffset: number
  readonly epochs: LeaderEpochCache
  /** The epoch checkpoint must be written anew. */
  readonly areEpochsStale: boolean
  readonly producers: ProducerState
  /** Offsets of the snapshot files that are there. */
  readonly snapshots: number[]
  /** Null when nothing was cut. */
  readonly cut: RecoveryCut | null
}

/** The end of what is sound; `fault` says what follows, or is null at the very end of the log. */
interface SoundEnd {
  readonly segmentIndex: number
  readonly position: number
  readonly offset: number
  readonly fault: string | null
}

/** @throws {LogError} `LOG_CORRUPT`. @throws {FileError} */
export async function recoverLog(ports: LogSurroundings, options: RecoveryOptions): Promise<RecoveredLog> {
  const { config, recoveryPoint } = options
  await finishSwaps(ports.files, ports.directory)
  const found = await listLogFiles(ports.files, ports.directory)
  const segments = await openSegments(ports, found.baseOffsets, config, ports.clock.monotonicMs())
  const logStartOffset = Math.max(options.logStartOffset, segments[0]?.baseOffset ?? 0)
  if (segments.length === 0 && recoveryPoint > logStartOffset) {
    throw corrupt(ports, `it has no segment, and offsets ${logStartOffset} to ${recoveryPoint} were flushed`)
  }
  const savedEpochs = await readEpochCheckpoint(ports)
  const isClean =
    options.wasClosedCleanly && segments.length > 0 && (await endsAt(ports, segments, recoveryPoint))
  let end: SoundEnd | null = null
  if (!isClean && segments.length > 0) {
    end = await findSoundEnd(ports, segments, savedEpochs, { ...options, logStartOffset })
    if (end.offset < recoveryPoint) {
      const where = `${segments[end.segmentIndex]!.path} position ${end.position}`
      throw corrupt(
        ports,
        `it is sound up to offset ${end.offset} (${where}), and all below ${recoveryPoint} was flushed: ${end.fault ?? 'it ends there'}`,
      )
    }
  }
  // Everything above only read, but for swaps that had begun. From here on files change.
  // A snapshot is trusted if the batches it stands for were synced, or committed and deleted since.
  const keptOffset = segments[countBelow(segments, logStartOffset)]?.baseOffset ?? 0
  const trustedOffset = Math.max(recoveryPoint, keptOffset)
  const untrusted = isClean ? [] : found.snapshots.filter((offset) => offset > trustedOffset)
  await removeLogFiles(ports, [], untrusted, found.leftovers)
  const cut = end === null ? null : await cutAt(ports, segments, end)
  const snapshots = found.snapshots.filter((offset) => !untrusted.includes(offset))
  await removeSegmentsBelow(ports, segments, snapshots, logStartOffset, config)
  if (segments.length === 0) {
    const segment = Segment.fresh(ports, logStartOffset, config, ports.clock.monotonicMs())
    await createSegmentFile(ports, segment)
    segments.push(segment)
  }
  if (!isClean) await makeDurable(ports, segments, recoveryPoint)
  const logEndOffset = segments.at(-1)!.endOffset
  const producers = await replayProducers(ports, segments, snapshots, logEndOffset, config.producerCountMax)
  const epochs = await recoverEpochs(ports, segments, savedEpochs, isClean ? logEndOffset : recoveryPoint, {
    logStartOffset,
    logEndOffset,
  })
  epochs.truncateFromEnd(logEndOffset, true)
  epochs.truncateFromStart(logStartOffset)
  const areEpochsStale = savedEpochs === null || !haveSameEpochs(savedEpochs, epochs.entries)
  return { segments, logStartOffset, logEndOffset, epochs, areEpochsStale, producers, snapshots, cut }
}

async function readEpochCheckpoint(ports: LogSurroundings): Promise<EpochEntry[] | null> {
  const content = await readWhole(ports.files, `${ports.directory}/${EPOCH_CHECKPOINT}`)
  return content && parseEpochCheckpoint(content)
}

/** After a clean stop: does the log end where the checkpoint says? A longer one was written to by another hand. */
async function endsAt(
  ports: LogSurroundings,
  segments: readonly Segment[],
  recoveryPoint: number,
): Promise<boolean> {
  const active = segments.at(-1)!
  await active.load()
  if (active.endOffset >= recoveryPoint) return active.endOffset === recoveryPoint
  throw corrupt(ports, `it ends at offset ${active.endOffset}, and all below ${recoveryPoint} was flushed`)
}

/** Checks all from the recovery point on. Reads only. */
async function findSoundEnd(
  ports: LogSurroundings,
  segments: readonly Segment[],
  savedEpochs: readonly EpochEntry[] | null,
  options: RecoveryOptions,
): Promise<SoundEnd> {
  // Of segments below the log start a power cut may have brought back some and not others: their deletion was under way.
  const keptOffset = segments[countBelow(segments, options.logStartOffset)]!.baseOffset
  const startOffset = Math.max(options.recoveryPoint, keptOffset)
  const firstIndex = segmentIndexOf(segments, startOffset)
  await checkSeams(ports, segments, firstIndex, options)
  const first = segments[firstIndex]!
  let position = await first.probeBelow(startOffset)
  const known = { segmentIndex: firstIndex, position, offset: first.baseOffset }
  const chain = new ChainCheck(startOffset, known, savedEpochs)
  for (let index = firstIndex; index < segments.length; index++) {
    const segment = segments[index]!
    if (index > firstIndex) {
      const fault = chain.findSeamFault(segment.baseOffset)
      if (fault !== null) return chain.endBefore(fault)
    }
    const scan = await segment.scan(position, true, (bytes, at, where) =>
      chain.accepts(bytes, at, index, where),
    )
    if (chain.fault !== null || scan.fault !== null) {
      return chain.endBefore(chain.fault ?? scan.fault!, { segmentIndex: index, position: scan.position })
    }
    chain.reached(index, segment.writtenBytes)
    position = 0
  }
  return chain.end()
}

/** Closed segments below the recovery point must end where the next one begins; those below the log start may be gone. */
async function checkSeams(
  ports: LogSurroundings,
  segments: readonly Segment[],
  endIndex: number,
  { logStartOffset }: RecoveryOptions,
): Promise<void> {
  for (let index = 0; index < endIndex; index++) {
    const segment = segments[index]!
    const nextOffset = segments[index + 1]!.baseOffset
    if (nextOffset <= logStartOffset) continue
    await segment.load()
    if (segment.endOffset !== nextOffset) {
      throw corrupt(
        ports,
        `${segment.path} ends at offset ${segment.endOffset}, and the next begins at ${nextOffset}`,
      )
    }
  }
}

/**
 * Follows the batches of a log and tells where they stop to be a chain.
 *
 * The CRC leaves base offset and leader epoch out. Offsets must join up. Epochs must not fall, and must be those of the
 * epoch checkpoint. A batch of another epoch is a suspect: if the next one has the same epoch the checkpoint is the
 * one that is wrong, and is rebuilt; if not, or if there is no next one, the suspect's bytes are (its epoch was never
 * begun, or the checkpoint would say so).
 */
class ChainCheck {
  fault: string | null = null
  readonly #startOffset: number
  #saved: LeaderEpochCache | null
  #nextOffset: number
  #epoch = -1
  /** A batch below the start was seen. */
  #isBeforeStart = false
  #suspect: { readonly epoch: number; readonly fault: string } | null = null
  /** After the last batch that is beyond doubt. */
  #sound: { segmentIndex: number; position: number; offset: number }

  constructor(
    startOffset: number,
    known: { readonly segmentIndex: number; readonly position: number; readonly offset: number },
    savedEpochs: readonly EpochEntry[] | null,
  ) {
    this.#startOffset = startOffset
    this.#saved = savedEpochs && new LeaderEpochCache(savedEpochs)
    this.#nextOffset = startOffset
    this.#sound = known
  }

  /** @returns False at the first batch that does not continue the chain; `fault` then says why. */
  accepts(bytes: Uint8Array, at: number, segmentIndex: number, position: number): boolean {
    const baseOffset = baseOffsetAt(bytes, at)
    const lastOffset = lastOffsetAt(bytes, at)
    const epoch = leaderEpochAt(bytes, at)
    const endPosition = position + batchSizeAt(bytes, at)
    if (lastOffset < this.#startOffset) {
      this.#epoch = epoch
      this.#sound = { segmentIndex, position: endPosition, offset: lastOffset + 1 }
      this.#isBeforeStart = true
      return true
    }
    // Compaction may have put one filler in the place of batches on both sides of the start.
    if (baseOffset < this.#startOffset && this.#nextOffset === this.#startOffset) {
      const isPlaceKnown = this.#isBeforeStart || position === 0
      const beginsWell = !isPlaceKnown || baseOffset === this.#sound.offset
      if (beginsWell && isFiller(readBatchHeader(bytes, at))) this.#nextOffset = baseOffset
    }
    this.fault = this.#findFault(baseOffset, epoch)
    if (this.fault !== null) return false
    this.#epoch = epoch
    this.#nextOffset = lastOffset + 1
    if (this.#suspect === null)
      this.#sound = { segmentIndex, position: endPosition, offset: this.#nextOffset }
    return true
  }

  findSeamFault(baseOffset: number): string | null {
    return baseOffset === this.#nextOffset
      ? null
      : `Next segment begins at offset ${baseOffset}: wanted ${this.#nextOffset}`
  }

  /** A segment was walked to its end. */
  reached(segmentIndex: number, position: number): void {
    if (this.#suspect === null) this.#sound = { ...this.#sound, segmentIndex, position }
  }

  endBefore(
    fault: string,
    place: { readonly segmentIndex: number; readonly position: number } | null = null,
  ): SoundEnd {
    if (this.#suspect !== null) return { ...this.#sound, fault: this.#suspect.fault }
    return { ...this.#sound, ...place, fault }
  }

  end(): SoundEnd {
    return { ...this.#sound, fault: this.#suspect?.fault ?? null }
  }

  #findFault(baseOffset: number, epoch: number): string | null {
    if (baseOffset !== this.#nextOffset) return `Base offset is ${baseOffset}: wanted ${this.#nextOffset}`
    if (epoch < this.#epoch) return `Leader epoch is ${epoch}: wanted ${this.#epoch} or more`
    if (this.#suspect !== null) {
      if (this.#suspect.epoch !== epoch) return this.#suspect.fault
      this.#suspect = null
      this.#saved = null
    }
    const saved = this.#saved?.epochAt(baseOffset) ?? epoch
    if (saved !== epoch && !isForgotten(this.#saved, saved)) {
      this.#suspect = { epoch, fault: `Leader epoch is ${epoch}: the epoch checkpoint says ${saved}` }
    }
    return null
  }
}

/**
 * Deleted records share a segment with the first that is kept; the checkpoint, which begins at the log start, no longer
 * names the epochs they were written in.
 */
function isForgotten(epochs: LeaderEpochCache | null, savedEpoch: number): boolean {
  return savedEpoch === NO_EPOCH && epochs !== null && epochs.entries.length > 0
}

/** Removes all after `end`, last segment first, so that a crash in between leaves a prefix. */
async function cutAt(
  ports: LogSurroundings,
  segments: Segment[],
  end: SoundEnd,
): Promise<RecoveryCut | null> {
  if (end.fault === null) return null
  const segment = segments[end.segmentIndex]!
  const later = segments.splice(end.segmentIndex + 1)
  const bytes = later.reduce((sum, { sizeBytes }) => sum + sizeBytes, segment.sizeBytes - end.position)
  const cut = { path: segment.path, position: end.position, bytes, offset: end.offset, found: end.fault }
  ports.logger.warn('Cut the end of a log after an unclean stop: it was never flushed, and is not sound', cut)
  await removeLogFiles(ports, later.reverse(), [])
  const file = await ports.files.open(segment.path, 'append')
  try {
    await file.truncate(end.position)
    await file.sync()
  } finally {
    await file.close()
  }
  segment.sizeBytes = end.position
  segment.writtenBytes = end.position
  return cut
}

/** Segments, from the first, whose records are all below the log start; the last one never counts. */
function countBelow(segments: readonly Segment[], logStartOffset: number): number {
  let count = 0
  while (count + 1 < segments.length && segments[count + 1]!.baseOffset <= logStartOffset) count++
  return count
}

/** Segments whose records are all below the log start: their deletion was under way, or comes now. */
async function removeSegmentsBelow(
  ports: LogSurroundings,
  segments: Segment[],
  snapshots: number[],
  logStartOffset: number,
  config: LogConfig,
): Promise<void> {
  const count = countBelow(segments, logStartOffset)
  if (count === segments.length - 1 && (await isBelow(segments[count]!, logStartOffset))) {
    await removeLogFiles(ports, segments.splice(0), [])
    return
  }
  if (count === 0) return
  const forgettableCount = await rememberProducers(ports, segments, count, snapshots, config.producerCountMax)
  await removeLogFiles(ports, segments.splice(0, forgettableCount), [])
}

/**
 * The stop may have come before what the batches of the first `count` segments say of their producers was saved. It is
 * saved now, or a producer's last batch, sent again, would be appended a second time (docs/faults.md TX-5).
 *
 * @returns How many of the segments may go: without room for a snapshot, those that an older one stands for.
 */
async function rememberProducers(
  ports: LogSurroundings,
  segments: readonly Segment[],
  count: number,
  snapshots: number[],
  producerCountMax: number,
): Promise<number> {
  const keptOffset = segments[count]!.baseOffset
  const newest = await loadSnapshot(ports, snapshots, Infinity, producerCountMax)
  if (newest !== null && newest.offset >= keptOffset) return count
  try {
    const state = await replayProducers(ports, segments, snapshots, keptOffset, producerCountMax)
    if (state.count > 0) {
      const { topicId, partition } = ports
      const bytes = encodeProducerSnapshot(state, { topicId, partition, offset: keptOffset })
      const name = offsetFileName(keptOffset, SNAPSHOT_SUFFIX)
      await writeAtomically(ports.files, ports.directory, name, bytes)
      snapshots.push(keptOffset)
    }
    return count
  } catch (error) {
    const fields = { directory: ports.directory, offset: keptOffset, error: error as Error }
    if (error instanceof LogError) {
      ports.logger.warn('Read deleted segments: they are damaged, their producers are forgotten', fields)
      return count
    }
    if (!isLackOfRoom(error)) throw error
    ports.logger.warn('Removed deleted segments: there is no room to save what they say of producers', fields)
    return countBelow(segments.slice(0, count + 1), newest?.offset ?? 0)
  }
}

/** The last segment may end below the log start when the log was emptied to start anew above its end. */
async function isBelow(segment: Segment, logStartOffset: number): Promise<boolean> {
  if (segment.baseOffset >= logStartOffset) return false
  await segment.load()
  return segment.endOffset < logStartOffset
}

/**
 * What is kept above the recovery point may be in the page cache only, and its indexes may be of any age. So may those of a
 * segment that ends just there: they are synced when it is closed, which is after the next one has begun.
 */
async function makeDurable(
  ports: LogSurroundings,
  segments: readonly Segment[],
  recoveryPoint: number,
): Promise<void> {
  const first = segmentIndexOf(segments, recoveryPoint - 1)
  for (const segment of segments.slice(first)) {
    await segment.truncateIndexes(Number.MAX_SAFE_INTEGER, false)
    const file = await ports.files.open(segment.path, 'append')
    try {
      await file.sync()
    } finally {
      await file.close()
    }
    if (segment === segments.at(-1)) continue
    segment.seal()
    await segment.flushIndexes(true)
  }
  await ports.files.syncDirectory(ports.directory)
}

async function recoverEpochs(
  ports: LogSurroundings,
  segments: readonly Segment[],
  saved: readonly EpochEntry[] | null,
  checkedOffset: number,
  { logStartOffset, logEndOffset }: { readonly logStartOffset: number; readonly logEndOffset: number },
): Promise<LeaderEpochCache> {
  const firstOffset = segments[0]!.baseOffset
  if (saved !== null) {
    const epochs = await replayEpochs(segments, saved, Math.max(checkedOffset, firstOffset), logEndOffset)
    if (await agreesWithEnd(segments, epochs)) {
      const knowsBeginning = logEndOffset === logStartOffset || epochs.epochAt(logStartOffset) !== NO_EPOCH
      // Records that were deleted are back, since the log start was not kept: that of the metadata log is nowhere but in its
      // files, and segments go as a whole. Their epochs are in their batches. A leader that did not know of them would tell
      // followers which have just those epochs that nothing of their logs is right.
      return knowsBeginning ? epochs : replayEpochs(segments, [], firstOffset, logEndOffset)
    }
  }
  if (logEndOffset > firstOffset) {
    ports.logger.warn(
      'Read the leader epoch checkpoint: it is missing or wrong, and is rebuilt from the log',
      {
        path: `${ports.directory}/${EPOCH_CHECKPOINT}`,
      },
    )
  }
  return replayEpochs(segments, [], firstOffset, logEndOffset)
}

/** Does the checkpoint name the epoch of every segment's first batch? */
async function agreesWithEnd(segments: readonly Segment[], epochs: LeaderEpochCache): Promise<boolean> {
  for (const segment of segments) {
    if (segment.writtenBytes < BATCH_HEADER_BYTES) continue
    const header = await segment.read(0, BATCH_HEADER_BYTES)
    const saved = epochs.epochAt(baseOffsetAt(header, 0))
    if (saved !== leaderEpochAt(header, 0) && !isForgotten(epochs, saved)) return false
  }
  return true
}

function haveSameEpochs(a: readonly EpochEntry[], b: readonly EpochEntry[]): boolean {
  return (
    a.length === b.length &&
    a.every(
      ({ epoch, startOffset }, index) => epoch === b[index]!.epoch && startOffset === b[index]!.startOffset,
    )
  )
}

function corrupt(ports: LogSurroundings, found: string): LogError {
  return new LogError('LOG_CORRUPT', `Opened the log ${ports.directory}: ${found}`)
}
