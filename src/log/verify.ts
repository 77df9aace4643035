/**
 * Checks the data directory of a stopped broker, for `millrace verify`: every log batch by batch, and what is derived
 * from the logs against them. Reads only, and changes nothing but the lock it holds meanwhile.
 *
 * A fault is `damage` when something is wrong that was known to be safe or that a start would not put right by itself, and
 * `unfinished` when an unclean stop explains it: bytes at the very end of a log, above its recovery point. The next start
 * cuts those, and nothing that was acknowledged by `disk` durability is among them (docs/faults.md D1 to D3). So is an index
 * that does not fit its log after such a stop.
 *
 * Offsets of a log join up: compaction leaves fillers where records went. A replacement of segments that a stop has cut short
 * is looked at as the next start will finish it. Control plane; bounded by one batch and a few buffers.
 */
import type { FileSystem } from '../env/index.ts'
import type { BatchHeader } from '../records/batch-header.ts'
import { readWhole } from './atomic-file.ts'
import { parseEpochCheckpoint, parseOffsetCheckpoint, partitionKey } from './checkpoint-file.ts'
import type { OffsetCheckpoint } from './checkpoint-file.ts'
import { dumpSegment } from './dump.ts'
import {
  CLEAN_SHUTDOWN,
  EPOCH_CHECKPOINT,
  LOG_START_CHECKPOINT,
  LOG_SUFFIX,
  META_PROPERTIES,
  OFFSET_INDEX_SUFFIX,
  offsetFileName,
  parseLogDirectoryName,
  PARTITION_METADATA,
  RECOVERY_POINT_CHECKPOINT,
  SNAPSHOT_SUFFIX,
  TIME_INDEX_SUFFIX,
} from './file-names.ts'
import { LeaderEpochCache, NO_EPOCH } from './leader-epoch-cache.ts'
import { LogError } from './log-error.ts'
import { listLogFiles } from './log-files.ts'
import { parseMetaProperties } from './meta-properties.ts'
import { readTopicId } from './partition-metadata.ts'
import { decodeProducerSnapshot } from './producer-snapshot.ts'
import type { SnapshotIdentity } from './producer-snapshot.ts'
import { findUnfinishedSwaps } from './segment-swap.ts'
import { IndexChecker } from './verify-indexes.ts'

export interface VerifyFault {
  readonly severity: 'damage' | 'unfinished'
  readonly path: string
  /** Byte position in the file; null when the file as a whole is meant. */
  readonly position: number | null
  readonly fault: string
}

/** What was found in the directory itself: the first item. */
export interface VerifiedDirectory {
  readonly kind: 'directory'
  readonly clusterId: string | null
  readonly nodeId: number | null
  readonly wasClosedCleanly: boolean
  readonly faults: readonly VerifyFault[]
}

/** What was found in one log. */
export interface VerifiedLog {
  readonly kind: 'log'
  readonly topic: string
  readonly partition: number
  /** First offset there is; offsets are `[startOffset, endOffset)`. */
  readonly startOffset: number
  /** End of what is sound. */
  readonly endOffset: number
  readonly segmentCount: number
  readonly batchCount: number
  readonly recordCount: number
  readonly sizeBytes: number
  readonly faults: readonly VerifyFault[]
}

/**
 * Yields the directory, then its logs by name.
 *
 * @param directory - Absolute.
 * @throws {FileError} `FILE_LOCKED` while a broker uses it; `FILE_NOT_FOUND`; others as the port does.
 */
export async function* verifyDirectory(
  files: FileSystem,
  directory: string,
): AsyncGenerator<VerifiedDirectory | VerifiedLog> {
  const names = await files.list(directory)
  const lock = await files.lock(directory)
  try {
    const faults: VerifyFault[] = []
    const read = async <T>(name: string, parse: (content: Uint8Array) => T | null): Promise<T | null> => {
      const path = `${directory}/${name}`
      const content = await readWhole(files, path)
      const parsed = content && parse(content)
      if (content !== null && parsed === null)
        faults.push(damage(path, null, 'The file is not what was written'))
      return parsed
    }
    const meta = await read(META_PROPERTIES, parseMetaProperties)
    const recoveryPoints = await read(RECOVERY_POINT_CHECKPOINT, parseOffsetCheckpoint)
    const startOffsets = await read(LOG_START_CHECKPOINT, parseOffsetCheckpoint)
    const wasClosedCleanly = names.includes(CLEAN_SHUTDOWN)
    const { clusterId = null, nodeId = null } = meta ?? {}
    yield { kind: 'directory', clusterId, nodeId, wasClosedCleanly, faults }
    for (const name of names) {
      const found = parseLogDirectoryName(name)
      if (found === null || (await files.stat(`${directory}/${name}`))?.kind !== 'directory') continue
      const key = partitionKey(found.topic, found.partition)
      yield await new LogVerifier(files, `${directory}/${name}`, {
        recoveryPoint:
          recoveryPoints?.get(key) ?? (await ownRecoveryPoint(files, `${directory}/${name}`, key)),
        startOffset: startOffsets?.get(key) ?? null,
        wasClosedCleanly,
      }).verify(found.topic, found.partition)
    }
  } finally {
    await lock.release()
  }
}

/** The metadata log keeps its recovery point with itself. */
async function ownRecoveryPoint(files: FileSystem, directory: string, key: string): Promise<number | null> {
  const content = await readWhole(files, `${directory}/${RECOVERY_POINT_CHECKPOINT}`)
  const checkpoint: OffsetCheckpoint | null = content && parseOffsetCheckpoint(content)
  return checkpoint?.get(key) ?? null
}

interface Expectations {
  /** All below was synced; null when nobody wrote it down. */
  readonly recoveryPoint: number | null
  readonly startOffset: number | null
  readonly wasClosedCleanly: boolean
}

class LogVerifier {
  readonly #files: FileSystem
  readonly #directory: string
  readonly #expected: Expectations
  readonly #faults: VerifyFault[] = []
  /** Names of the swap files, by base offset. */
  readonly #swaps = new Map<number, string>()
  #epochs: LeaderEpochCache | null = null
  #nextOffset = 0
  #epoch = -1
  #batchCount = 0
  #recordCount = 0
  #sizeBytes = 0

  constructor(files: FileSystem, directory: string, expected: Expectations) {
    this.#files = files
    this.#directory = directory
    this.#expected = expected
  }

  async verify(topic: string, partition: number): Promise<VerifiedLog> {
    const { baseOffsets: found, snapshots } = await listLogFiles(this.#files, this.#directory)
    const baseOffsets = await this.#finishSwaps(found)
    const firstOffset = baseOffsets[0] ?? 0
    this.#nextOffset = firstOffset
    await this.#readEpochs()
    let isSound = true
    for (const [index, baseOffset] of baseOffsets.entries()) {
      if (isSound) isSound = await this.#verifySegment(baseOffset, index === baseOffsets.length - 1)
      else this.#sizeBytes += (await this.#files.stat(this.#path(baseOffset, LOG_SUFFIX)))?.size ?? 0
    }
    const startOffset = Math.max(firstOffset, this.#expected.startOffset ?? 0)
    if (isSound) this.#verifyEnd(startOffset)
    const topicId = await readTopicId(this.#files, this.#directory)
    if (topicId === null) {
      const fault = 'The file is missing or not what was written: nobody can tell whose log this is'
      this.#faults.push(damage(`${this.#directory}/${PARTITION_METADATA}`, null, fault))
    } else for (const offset of snapshots) await this.#verifySnapshot({ topicId, partition, offset })
    return {
      kind: 'log',
      topic,
      partition,
      startOffset,
      endOffset: this.#nextOffset,
      segmentCount: baseOffsets.length,
      batchCount: this.#batchCount,
      recordCount: this.#recordCount,
      sizeBytes: this.#sizeBytes,
      faults: this.#faults,
    }
  }

  /** @returns Whether the log may be followed into the next segment. */
  async #verifySegment(baseOffset: number, isLast: boolean): Promise<boolean> {
    const swap = this.#swaps.get(baseOffset)
    const path = swap === undefined ? this.#path(baseOffset, LOG_SUFFIX) : `${this.#directory}/${swap}`
    this.#sizeBytes += (await this.#files.stat(path))?.size ?? 0
    if (baseOffset !== this.#nextOffset) {
      const fault = `The segment begins at offset ${baseOffset}: the one before ends at ${this.#nextOffset}`
      this.#faults.push(damage(path, 0, fault))
      this.#nextOffset = baseOffset
    }
    const indexes = await IndexChecker.open(
      this.#files,
      {
        offsetIndex: this.#path(baseOffset, OFFSET_INDEX_SUFFIX),
        timeIndex: this.#path(baseOffset, TIME_INDEX_SUFFIX),
      },
      baseOffset,
    )
    try {
      for await (const item of dumpSegment(this.#files, path)) {
        const fault = item.kind === 'fault' ? item.fault : this.#findChainFault(item.header)
        if (item.kind === 'fault' || fault !== null) {
          this.#faults.push({
            severity: this.#severity(isLast),
            path,
            position: item.position,
            fault: fault!,
          })
          return false
        }
        this.#take(item.header)
        // The indexes beside a swap are those of the segment that it replaces.
        if (swap === undefined) await indexes.follow(item.position, item.header)
      }
      if (swap !== undefined) return true
      // After an unclean stop compaction may have been writing it; it is built anew when it is needed.
      const severity: VerifyFault['severity'] = this.#expected.wasClosedCleanly ? 'damage' : 'unfinished'
      this.#faults.push(...(await indexes.end()).map((fault) => ({ severity, ...fault })))
      return true
    } finally {
      await indexes.close()
    }
  }

  /** The base offsets that the next start will find, and `#swaps`. */
  async #finishSwaps(found: readonly number[]): Promise<number[]> {
    try {
      const swaps = await findUnfinishedSwaps(this.#files, this.#directory)
      for (const { baseOffset, name } of swaps) this.#swaps.set(baseOffset, name)
      const left = found.filter((offset) =>
        swaps.every(({ baseOffset, endOffset }) => offset < baseOffset || offset >= endOffset),
      )
      return [...left, ...this.#swaps.keys()].sort((a, b) => a - b)
    } catch (error) {
      if (!(error instanceof LogError)) throw error
      this.#faults.push(damage(this.#directory, null, error.message))
      return [...found]
    }
  }

  #take(header: BatchHeader): void {
    this.#nextOffset = header.baseOffset + header.lastOffsetDelta + 1
    this.#epoch = header.leaderEpoch
    this.#batchCount++
    this.#recordCount += header.recordCount
  }

  /** What the CRC does not cover must fit to its neighbours and to the epoch checkpoint. */
  #findChainFault({ baseOffset, leaderEpoch, lastOffsetDelta }: BatchHeader): string | null {
    if (baseOffset !== this.#nextOffset) return `Base offset is ${baseOffset}: wanted ${this.#nextOffset}`
    if (lastOffsetDelta < 0) return `Last offset delta is ${lastOffsetDelta}: wanted 0 or more`
    if (leaderEpoch < this.#epoch) return `Leader epoch is ${leaderEpoch}: wanted ${this.#epoch} or more`
    const saved = this.#epochs?.epochAt(baseOffset) ?? leaderEpoch
    // Of deleted records that share a segment with others the checkpoint no longer names the epoch.
    if (saved === NO_EPOCH) return null
    return saved === leaderEpoch ? null : `Leader epoch is ${leaderEpoch}: the epoch checkpoint says ${saved}`
  }

  #verifyEnd(startOffset: number): void {
    const { recoveryPoint } = this.#expected
    if (recoveryPoint !== null && this.#nextOffset < recoveryPoint) {
      const fault = `The log ends at offset ${this.#nextOffset}: all below ${recoveryPoint} was flushed`
      this.#faults.push(damage(this.#directory, null, fault))
    } else if (this.#nextOffset < startOffset) {
      const fault = `The log ends at offset ${this.#nextOffset}: it was said to start at ${startOffset}`
      this.#faults.push(damage(this.#directory, null, fault))
    }
  }

  /** At the end of an uncleanly stopped log, what was never known to be flushed may be anything. */
  #severity(isLast: boolean): VerifyFault['severity'] {
    const { recoveryPoint, wasClosedCleanly } = this.#expected
    const isKnownSafe = wasClosedCleanly || this.#nextOffset < (recoveryPoint ?? 0)
    return isLast && !isKnownSafe ? 'unfinished' : 'damage'
  }

  async #readEpochs(): Promise<void> {
    const path = `${this.#directory}/${EPOCH_CHECKPOINT}`
    const content = await readWhole(this.#files, path)
    if (content === null) return // rebuilt from the log when it is needed
    const entries = parseEpochCheckpoint(content)
    if (entries === null) this.#faults.push(damage(path, null, 'The file is not what was written'))
    else this.#epochs = entries.length === 0 ? null : new LeaderEpochCache(entries)
  }

  async #verifySnapshot(identity: SnapshotIdentity): Promise<void> {
    const path = this.#path(identity.offset, SNAPSHOT_SUFFIX)
    const content = await readWhole(this.#files, path)
    if (content !== null && decodeProducerSnapshot(content, identity, Number.MAX_SAFE_INTEGER, 0) === null) {
      this.#faults.push(damage(path, null, 'The producer snapshot is damaged'))
    }
  }

  #path(offset: number, suffix: string): string {
    return `${this.#directory}/${offsetFileName(offset, suffix)}`
  }
}

function damage(path: string, position: number | null, fault: string): VerifyFault {
  return { severity: 'damage', path, position, fault }
}
