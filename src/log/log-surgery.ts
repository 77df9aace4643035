/**
 * What takes a log apart: truncation, undoing a write that found no room, starting anew, deleting segments,
 * checkpoints, release. Each runs alone, on the log's maintenance queue, and awaits the disk; whatever it read before an
 * `await` it reads again after it.
 *
 * Invariants:
 * - While the end of a log is cut it takes no appends (`cutting`), and no write or sync is under way.
 * - On disk, marks are lowered before bytes go, and bytes are gone for good before others take their place
 *   (docs/faults.md D2, D6).
 * - Every change that takes away bytes a reader may be reading raises `generation` (RP-20).
 */
import type { FileError } from '../env/index.ts'
import { isLackOfRoom } from './atomic-file.ts'
import { CUTTING, type LogCore, OPEN } from './log-core.ts'
import { LogError } from './log-error.ts'
import { createSegmentFile, removeLogFiles } from './log-files.ts'
import { findBoundary } from './log-replay.ts'
import { countExpiredSegments } from './retention.ts'
import { Segment } from './segment.ts'

/** Ms for which appends are refused after the disk was full: each try costs a truncation and a sync. */
export const NO_SPACE_PAUSE_MS = 250

export class LogSurgery {
  readonly #core: LogCore
  // What a cut that found no room has left to do, and the next one takes up:
  /** The recovery point went down, and the checkpoint on disk may not have. */
  #mustSaveRecoveryPoint = false
  /** Cut off in memory, and perhaps still on disk, or named there. */
  #doomed: { readonly segments: Segment[]; readonly snapshots: number[] } = { segments: [], snapshots: [] }
  /** All goes, and the log begins at another offset. */
  #isRestarting = false
  /** It is to be tried again. */
  #isCutDue = false

  constructor(core: LogCore) {
    this.#core = core
  }

  /**
   * A write found no room. What was appended is in three states:
   *
   *   … written ──┤ failed write ├── queued behind it ──┤
   *               └ fromOffset
   *
   * - Below `fromOffset` all is written, perhaps not synced; a sync may be under way. It counts, and its sync too.
   * - Of the failed write any part may be in the file, even whole batches. They must not come back after a crash, for
   *   their producers are told that they failed (R13): the file is cut and synced before anybody is told.
   * - What was queued behind continues offsets that will not exist, so it fails as well. Nothing that comes
   *   later can be in the queue: in this same turn the log stops taking appends, until the cut is done.
   *
   * Readers may have been given batches above `fromOffset`: followers read up to the log end offset. Consumers have
   * not, for those batches were never durable here. A follower that has them would not notice if this leader put
   * other batches at the same offsets in the same epoch (R4). So if anything was given away, this epoch is fenced: the
   * leader needs a new one, whose start offset tells followers what to cut. If nothing was, the epoch goes on.
   *
   * Interleavings: a truncation may be waiting for the writer to drain. It then goes on with what is written, and this
   * undoing finds nothing left to cut but still reports. A checkpoint under way sees the generation change and gives up.
   */
  undo(error: FileError): void {
    const fromOffset = this.#core.writer.writtenEndOffset
    if (this.#core.exposedEndOffset > fromOffset) this.#core.fencedEpoch = this.#core.epochs.cache.latestEpoch
    const message = `Wrote to ${this.#core.directory}: no room, all from offset ${fromOffset} on is undone`
    this.#core.rollback = { fromOffset, error: new LogError('LOG_NO_SPACE', message, { cause: error }) }
    if (this.#core.state.kind === 'open') this.#core.state = CUTTING
    this.#core.endAt(fromOffset)
    this.#undoLater()
  }

  /**
   * A cut opens files, and a process that has no handle left has none for that either (ST-9). Until it has, the log stays as
   * it is: it takes no appends, and nobody is told anything that may yet turn out otherwise.
   */
  #undoLater(): void {
    this.#core.later('Undid a write to', async () => {
      const { rollback, state, ports } = this.#core
      if (rollback === null || state.kind === 'failed' || state.kind === 'closed') return
      this.#core.rollback = null
      try {
        // Nothing is left of it in a log that begins anew.
        await this.cutting(
          () => (this.#isRestarting ? Promise.resolve() : this.cutAt(rollback.fromOffset, true)),
          true,
        )
      } catch (error) {
        if (!isLackOfRoom(error)) throw error
        this.#core.rollback = rollback
        ports.clock.after(NO_SPACE_PAUSE_MS, () => this.#undoLater())
        return
      }
      this.#core.refusesUntilMs = ports.clock.monotonicMs() + NO_SPACE_PAUSE_MS
      this.#core.rolledBack(rollback.fromOffset, rollback.error)
    })
  }

  /**
   * Runs `cut` while appends are refused. A failure leaves the file in an unknown state, so it ends the log.
   *
   * @param mayTryAgain - Lack of room is thrown on, with appends refused as before: `cut` will be run again.
   */
  async cutting(cut: () => Promise<void>, mayTryAgain = false): Promise<void> {
    if (this.#core.state.kind === 'open') this.#core.state = CUTTING
    try {
      await cut()
    } catch (error) {
      if (mayTryAgain && isLackOfRoom(error)) throw error
      throw this.#core.fail('Cut', error)
    }
    // Re-read: it may have failed meanwhile, or a write found no room, whose undoing is next in the queue.
    const isOver = this.#core.rollback === null && !this.#isCutDue
    if (this.#core.state.kind === 'cutting' && isOver) this.#core.state = OPEN
  }

  /**
   * Cuts the written log at `offset` in memory and on disk. On disk it is: recovery point lowered, later segments
   * removed from the end on, file cut, all synced. New bytes are appended only after that, so that a crash never leaves
   * a mixture of old and new ones (D2).
   *
   * Whatever step finds no room or no handle, it can be run again, and does then what is not done: nothing is appended before
   * all of it is.
   */
  async cutAt(offset: number, keepsEpochAt: boolean): Promise<void> {
    this.#core.writer.stop()
    await this.#core.writer.settle()
    if (this.#core.state.kind === 'failed') throw this.#core.state.error
    const wanted = Math.min(offset, this.#core.writer.writtenEndOffset)
    const boundary = await findBoundary(this.#core.segments, wanted, this.#core.writer.writtenEndOffset)
    const { index, position } = boundary
    this.#core.endAt(boundary.offset)
    this.#core.logEndOffset = boundary.offset
    this.#core.durableEndOffset = Math.min(this.#core.durableEndOffset, boundary.offset)
    this.#core.wasCut()
    if (this.#core.recoveryPoint > boundary.offset) {
      this.#core.recoveryPoint = boundary.offset
      this.#mustSaveRecoveryPoint = true
    }
    if (this.#mustSaveRecoveryPoint) await this.#core.checkpoints.saveRecoveryPoint()
    this.#mustSaveRecoveryPoint = false
    this.#core.epochs.truncateFromEnd(boundary.offset, keepsEpochAt)
    const { segments, snapshots } = this.#doomed
    const last = this.#core.segments[index]!
    segments.push(...this.#core.segments.splice(index + 1).reverse())
    last.endAt(position)
    this.#core.writer.cut(boundary.offset, (segment) => !segments.includes(segment))
    snapshots.push(...this.#core.snapshots.take((candidate) => candidate > boundary.offset))
    await removeLogFiles(this.#core.ports, segments, snapshots)
    this.#doomed = { segments: [], snapshots: [] }
    await last.truncateIndexes(boundary.offset)
    if (last.mayBeTorn) await this.#cutFile(last)
    await this.#core.writer.syncKept()
    this.#core.producers = await this.#core.replayProducers(boundary.offset)
    this.#core.writer.resume(boundary.offset)
    this.#core.raiseDurable(boundary.offset)
  }

  async #cutFile(segment: Segment): Promise<void> {
    segment.appendFile ??= await this.#core.ports.files.open(segment.path, 'append')
    await segment.appendFile.truncate(segment.writtenBytes)
    await segment.appendFile.sync()
    segment.mayBeTorn = false
  }

  /**
   * Cuts the log as a follower does. Until a cut that found no room is done the log takes no appends.
   *
   * @param tries - From 1; then with the same offset, until it is done.
   * @param isLast - No room is final now.
   * @returns False if there was no room.
   */
  async truncate(offset: number, tries: number, isLast: boolean): Promise<boolean> {
    this.#core.assertUsable()
    const isFirst = tries === 1
    if (isFirst && offset >= this.#core.logEndOffset) return true
    if (this.#isRestarting || offset < this.#core.segments[0]!.baseOffset) return this.restart(offset, isLast)
    return this.#tried(isLast, async () => {
      if (isFirst) await this.#core.writer.drain()
      await this.cutAt(offset, false)
    })
  }

  /**
   * Drops everything and begins an empty segment at `offset`, as a follower does whose log has nothing of its leader's. Until it is
   * done the log takes no appends.
   *
   * @param isLast - No room is final now. @returns False if there was none; then with the same offset again, until it is done.
   */
  restart(offset: number, isLast: boolean): Promise<boolean> {
    this.#core.assertUsable()
    return this.#tried(isLast, () => this.#restartAt(offset))
  }

  /** @returns False if the cut found no room, and may be tried again. */
  async #tried(isLast: boolean, cut: () => Promise<void>): Promise<boolean> {
    this.#isCutDue = true
    try {
      await this.cutting(async () => {
        await cut()
        this.#isCutDue = false
      }, !isLast)
      return true
    } catch (error) {
      if (!isLast && isLackOfRoom(error)) return false
      throw error
    }
  }

  /** As `cutAt` it can be run again. A crash in between leaves a part that is sound. */
  async #restartAt(offset: number): Promise<void> {
    this.#isRestarting = true
    this.#core.writer.stop()
    await this.#core.writer.settle()
    this.#core.generation++
    this.#core.cutCount++
    this.#core.cleanedEndOffset = Math.min(this.#core.cleanedEndOffset, offset)
    this.#core.recoveryPoint = Math.min(this.#core.recoveryPoint, this.#core.segments[0]!.baseOffset, offset)
    await this.#core.checkpoints.saveRecoveryPoint()
    // Before the log start moves: recovery believes snapshots below it, and these may tell of batches that were cut.
    const { segments, snapshots } = this.#doomed
    snapshots.push(...this.#core.snapshots.take(() => true))
    await removeLogFiles(this.#core.ports, [], snapshots)
    this.#core.logStartOffset = offset
    this.#core.logEndOffset = offset
    this.#core.durableEndOffset = offset
    this.#core.wasCut()
    this.#core.exposedEndOffset = Math.min(this.#core.exposedEndOffset, offset)
    this.#core.cache.clear(offset)
    this.#core.epochs.truncateFromEnd(offset, true)
    this.#core.epochs.truncateFromStart(offset)
    await this.#core.checkpoints.saveLogStart()
    const { ports, config } = this.#core
    const segment = Segment.fresh(ports, offset, config, ports.clock.monotonicMs())
    segments.push(...this.#core.segments.splice(0, Infinity, segment).reverse())
    this.#core.writer.cut(offset, () => false)
    await removeLogFiles(ports, segments, [])
    await createSegmentFile(ports, segment)
    this.#doomed = { segments: [], snapshots: [] }
    this.#core.producers = await this.#core.replayProducers(offset)
    this.#core.writer.resume(offset)
    this.#core.recoveryPoint = offset
    this.#isRestarting = false
  }

  raiseLogStart(offset: number): boolean {
    const startOffset = Math.min(offset, this.#core.logEndOffset)
    if (startOffset <= this.#core.logStartOffset || this.#core.state.kind === 'closed') return false
    this.#core.logStartOffset = startOffset
    this.#core.epochs.truncateFromStart(startOffset)
    return true
  }

  /** Deletes the segments that time and size no longer cover. @returns How many. */
  async expire(nowMs: number, highWatermark: number): Promise<number> {
    const { ports, segments, config, checkpoints, state } = this.#core
    if (state.kind !== 'open') return 0
    const count = await countExpiredSegments(ports.files, segments, config, nowMs, highWatermark)
    if (count === 0) return this.deleteSegmentsBelowStart() // What a full disk kept back.
    if (count === segments.length && !(await this.beginSegment(highWatermark))) return 0
    if (!this.raiseLogStart(segments[count]!.baseOffset)) return 0
    await checkpoints.saveLogStart()
    return this.deleteSegmentsBelowStart()
  }

  /** An empty active segment for a log that has expired as a whole; false if it is not committed as a whole any more. */
  async beginSegment(highWatermark: number): Promise<boolean> {
    await this.#core.writer.drain()
    if (this.#core.state.kind !== 'open' || this.#core.logEndOffset > highWatermark) return false
    const segment = this.#core.roll(this.#core.logEndOffset, this.#core.ports.clock.monotonicMs())
    await createSegmentFile(this.#core.ports, segment)
    await this.#core.writer.closeSegments()
    return true
  }

  async deleteSegmentsBelowStart(): Promise<number> {
    if (this.#core.state.kind !== 'open') return 0
    let count = 0
    while (
      count + 1 < this.#core.segments.length &&
      this.#core.segments[count + 1]!.baseOffset <= this.#core.logStartOffset
    ) {
      // One that is still being written or synced goes next time.
      if (this.#core.segments[count]!.appendFile !== null) break
      count++
    }
    while (count > 0 && !(await this.#remembersProducersBelow(this.#core.segments[count]!.baseOffset)))
      count--
    // Re-read: meanwhile the log may have failed. Segments come and go on this queue alone, but for new ones at the end.
    if (count === 0 || !this.#isOpen()) return 0
    this.#core.generation++
    const removed = this.#core.segments.splice(0, count)
    const firstOffset = this.#core.segments[0]!.baseOffset
    await removeLogFiles(
      this.#core.ports,
      removed,
      this.#core.snapshots.take((offset) => offset < firstOffset),
    )
    return count
  }

  async checkpoint(): Promise<void> {
    const offset = this.#core.logEndOffset
    const generation = this.#core.generation
    const isDone =
      offset === this.#core.recoveryPoint &&
      (this.#core.producers.count === 0 || this.#core.snapshots.has(offset))
    if (this.#core.state.kind !== 'open' || isDone) return
    const snapshot = this.#core.snapshotAt(offset)
    const active = this.#core.segments.at(-1)!
    await this.#core.writer.flushTo(offset)
    // Re-read: meanwhile the log may have failed, or been undone to below `offset`.
    if (this.#core.writer.syncedEndOffset < offset || generation !== this.#core.generation) return
    if (!(await this.#core.snapshots.write(offset, snapshot))) return
    // Below the recovery point nobody looks whether an index is whole, but for the segment in which it lies. Taken down first:
    // what is rolled meanwhile begins above `offset`.
    const unwritten = this.#core.segments.filter(
      (segment) => segment.baseOffset < active.baseOffset && !segment.areIndexesFlushed,
    )
    for (const segment of unwritten) if (!(await this.#core.flushIndexes(segment, true))) return
    await this.#core.flushIndexes(active, false)
    this.#core.recoveryPoint = offset
    await this.#core.snapshots.prune(new Set(this.#core.segments.map(({ baseOffset }) => baseOffset)))
  }

  async release(): Promise<void> {
    this.#core.writer.stop()
    await this.#core.writer.settle()
    await this.#core.epochs.settle()
    for (const segment of this.#core.segments) {
      await segment.appendFile?.close()
      segment.appendFile = null
    }
    await this.#core.ports.pool.retireAll(this.#core.directory)
    this.#core.cache.clear(this.#core.logEndOffset)
    this.#core.state = { kind: 'closed' }
  }

  /** A method, so that the compiler does not take the state for unchanged by a wait. */
  #isOpen(): boolean {
    return this.#core.state.kind === 'open'
  }

  /**
   * Whether a snapshot that recovery will believe stands for all batches below `offset`; if not, one is tried for. Without
   * it segments must stay: what their batches say of producers would go with them, and a producer's last batch, sent
   * again after a crash, would be appended a second time (docs/faults.md TX-5). A disk without room for a snapshot still
   * gets back the segments below an older one: each segment began with one.
   */
  async #remembersProducersBelow(offset: number): Promise<boolean> {
    const { producers, snapshots, checkpoints, ports } = this.#core
    if (producers.count === 0 || snapshots.has(offset)) return true
    try {
      await this.checkpoint()
      // Recovery believes no snapshot above the recovery point that is written down.
      await checkpoints.saveRecoveryPoint()
    } catch (error) {
      if (!isLackOfRoom(error)) throw error
      ports.logger.warn('Saved the producer state before segments are deleted: no room', { error })
      return false
    }
    return this.#core.recoveryPoint >= offset && snapshots.has(this.#core.recoveryPoint)
  }
}
