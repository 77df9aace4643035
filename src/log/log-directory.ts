/**
 * A data directory as a whole: whose it is, and the marks it keeps for all its logs.
 *
 * Invariants:
 * - One process at a time: the lock is taken before anything is read, and given back last.
 * - `meta.properties` names cluster, node and directory; a mismatch stops the start before anything is written (ST-14),
 *   unless the directory was made by a start that came to nothing: that one's mistake must not stick to it.
 * - The clean-shutdown mark is removed, for good, before the first write to any log (ST-13). So a mark that is there says
 *   that the checkpoints beside it were written last of all.
 * - The mark that nothing has failed is there only while every write and sync of a log has succeeded since it was written. It is
 *   removed in the turn in which one fails; for that to be seen by the next start the removal need not be on the disk, since
 *   a power cut takes away with it the page cache that the mark vouches for.
 * - A checkpoint that cannot be read counts as missing: logs are then checked from their start (D5).
 *
 * Control plane.
 */
import type { FileSystem, Logger, Random } from '../env/index.ts'
import { isLackOfRoom, readWhole, writeAtomically } from './atomic-file.ts'
import { formatOffsetCheckpoint, type OffsetCheckpoint, parseOffsetCheckpoint } from './checkpoint-file.ts'
import type { CLEANER_CHECKPOINT, HIGH_WATERMARK_CHECKPOINT, LOG_START_CHECKPOINT } from './file-names.ts'
import {
  CLEAN_SHUTDOWN,
  META_PROPERTIES,
  NO_FAILURE,
  RECOVERY_POINT_CHECKPOINT,
  TEMPORARY_SUFFIX,
} from './file-names.ts'
import { LogError } from './log-error.ts'
import { formatMetaProperties, type MetaProperties, parseMetaProperties } from './meta-properties.ts'

export interface LogDirectoryPorts {
  readonly files: FileSystem
  readonly logger: Logger
  readonly random: Random
}

/** An offset of one log, for a checkpoint. */
export interface OffsetEntry {
  readonly topic: string
  readonly partition: number
  readonly offset: number
}

export type CheckpointName =
  | typeof RECOVERY_POINT_CHECKPOINT
  | typeof LOG_START_CHECKPOINT
  | typeof HIGH_WATERMARK_CHECKPOINT
  | typeof CLEANER_CHECKPOINT

/** Bytes of a clean mark, at most; a longer file is none of ours and Kafka's. */
const CLEAN_MARK_BYTES_MAX = 256

export class LogDirectory {
  readonly path: string
  /** The node stopped by `close` last time. */
  readonly wasClosedCleanly: boolean
  /** Epoch of the broker that did; -1 if it did not, or had none, or if what it left is not whole. */
  cleanBrokerEpoch: number
  /**
   * Whether what files show is on the disk once they are synced. If not, pages may be in the cache that a failed sync has
   * marked clean: `tail-rewrite.ts`.
   */
  readonly trustsCache: boolean
  /** When the last life wrote down how far it was, by its wall clock; null if it never did. */
  readonly lastLivedMs: number | null
  readonly #files: FileSystem
  readonly #logger: Logger
  #hasMark: boolean
  #distrusting: Promise<void> | null = null
  readonly #lock: { release(): Promise<void> }
  readonly #meta: MetaProperties & { readonly clusterId: string }

  private constructor(
    { files, logger }: LogDirectoryPorts,
    path: string,
    lock: { release(): Promise<void> },
    meta: MetaProperties & { readonly clusterId: string },
    { cleanMark, hasMark, lastLivedMs }: FoundMarks,
  ) {
    this.#files = files
    this.#logger = logger
    this.#hasMark = hasMark
    this.trustsCache = hasMark
    this.lastLivedMs = lastLivedMs
    this.path = path
    this.#lock = lock
    this.#meta = meta
    this.wasClosedCleanly = cleanMark !== null
    this.cleanBrokerEpoch = cleanMark?.brokerEpoch ?? NO_BROKER_EPOCH
  }

  /**
   * Takes possession of a data directory; an empty or missing one becomes this node's.
   *
   * @param options.clusterId - Null when nobody has said: the directory's own, and a new one for a new directory.
   * @param options.isUnused - As `LogManagerOptions.isUnused`.
   * @throws {LogError} `LOG_DIRECTORY_MISMATCH`. @throws {FileError} `FILE_LOCKED` and what the port throws.
   */
  static async open(ports: LogDirectoryPorts, options: ClaimOptions): Promise<LogDirectory> {
    const { files } = ports
    const { path } = options
    if ((await files.stat(path)) === null) {
      await files.makeDirectory(path)
      await files.syncDirectory(path.slice(0, Math.max(1, path.lastIndexOf('/'))))
    }
    const lock = await files.lock(path)
    try {
      const meta = await claim(ports, options)
      const cleanMark = await readCleanMark(files, `${path}/${CLEAN_SHUTDOWN}`)
      const lastLivedMs = await newestOf(files, path, [RECOVERY_POINT_CHECKPOINT, CLEAN_SHUTDOWN])
      await files.remove(`${path}/${CLEAN_SHUTDOWN}`)
      for (const name of await files.list(path)) {
        if (name.endsWith(TEMPORARY_SUFFIX)) await files.remove(`${path}/${name}`)
      }
      await files.syncDirectory(path)
      const hasMark = (await files.stat(`${path}/${NO_FAILURE}`)) !== null
      return new LogDirectory(ports, path, lock, meta, { cleanMark, hasMark, lastLivedMs })
    } catch (error) {
      await lock.release()
      throw error
    }
  }

  /**
   * Who stopped cleanly has everything that it had then, and so do those who may lead by that (KIP-966): not if a log that it had
   * is not here any more, because somebody removed it.
   *
   * @param found - Names of the logs that are here.
   * @param recoveryPoints - What the last stop wrote down of each.
   */
  noteLostLogs(found: readonly string[], recoveryPoints: OffsetCheckpoint): void {
    const isHere = new Set(found)
    const lost = [...recoveryPoints].flatMap(([log, offset]) => (offset > 0 && !isHere.has(log) ? [log] : []))
    if (this.cleanBrokerEpoch === NO_BROKER_EPOCH || lost.length === 0) return
    this.cleanBrokerEpoch = NO_BROKER_EPOCH
    this.#logger.warn(
      'Logs are missing that were here at the last stop: they count for nothing until they are fetched anew',
      {
        ...{ directory: this.path, count: lost.length, first: lost[0]! },
      },
    )
  }

  get clusterId(): string {
    return this.#meta.clusterId
  }

  get directoryId(): string {
    return this.#meta.directoryId
  }

  /** The offsets in a checkpoint; none when it is missing or damaged. */
  async readCheckpoint(name: CheckpointName): Promise<OffsetCheckpoint> {
    const content = await readWhole(this.#files, `${this.path}/${name}`)
    return (content && parseOffsetCheckpoint(content)) ?? new Map<string, number>()
  }

  async writeCheckpoint(name: CheckpointName, entries: Iterable<OffsetEntry>): Promise<void> {
    await writeAtomically(this.#files, this.path, name, formatOffsetCheckpoint(entries))
  }

  /** Says that all logs are closed and the checkpoints final. Nothing may be written after it. */
  async markClean(brokerEpoch: number): Promise<void> {
    const mark = new TextEncoder().encode(JSON.stringify({ version: 0, brokerEpoch }))
    await writeAtomically(this.#files, this.path, CLEAN_SHUTDOWN, mark)
  }

  /**
   * Says that all that files show is on the disk, or will be once they are synced, until `distrust`. Without room for the mark
   * it is not said: that costs the next start time.
   *
   * @throws {FileError} But for lack of room.
   */
  async trust(): Promise<void> {
    if (this.#hasMark || this.#isDistrusted()) return
    try {
      await writeAtomically(this.#files, this.path, NO_FAILURE, new Uint8Array(0))
      this.#hasMark = true
    } catch (error) {
      if (!isLackOfRoom(error)) throw error
    }
    // Re-read: something may have failed meanwhile, before there was a mark to remove.
    if (this.#isDistrusted()) await this.#files.remove(`${this.path}/${NO_FAILURE}`)
  }

  /** A write or sync has failed: from now on the next start must not believe what it reads. Done by `release`. */
  distrust(): void {
    this.#distrusting ??= this.#files.remove(`${this.path}/${NO_FAILURE}`).catch((error: unknown) => {
      this.#logger.error(
        'Could not note that a write or sync has failed: empty the page cache before the next start, which would believe it',
        { directory: this.path, error: error as Error },
      )
    })
  }

  /** A method, so that the compiler does not take it for unchanged by a wait. */
  #isDistrusted(): boolean {
    return this.#distrusting !== null
  }

  async release(): Promise<void> {
    await this.#distrusting
    await this.#lock.release()
  }
}

/** What the last life left behind. */
interface FoundMarks {
  readonly cleanMark: CleanMark | null
  readonly hasMark: boolean
  readonly lastLivedMs: number | null
}

/** When the last of some files was written, in ms since the epoch; null if there is none. */
async function newestOf(files: FileSystem, path: string, names: readonly string[]): Promise<number | null> {
  const times: number[] = []
  for (const name of names) {
    const found = await files.stat(`${path}/${name}`)
    if (found !== null) times.push(found.modifiedMs)
  }
  return times.length === 0 ? null : Math.max(...times)
}

interface ClaimOptions {
  readonly path: string
  readonly clusterId: string | null
  readonly nodeId: number
  readonly isUnused?: (() => Promise<boolean>) | undefined
}

async function claim(
  { files, logger, random }: LogDirectoryPorts,
  { path, clusterId, nodeId, isUnused }: ClaimOptions,
): Promise<MetaProperties & { readonly clusterId: string }> {
  const content = await readWhole(files, `${path}/${META_PROPERTIES}`)
  let found = content && parseMetaProperties(content)
  if (content !== null && found === null) {
    throw new LogError(
      'LOG_DIRECTORY_MISMATCH',
      `Opened the data directory ${path}: its ${META_PROPERTIES} cannot be read, so nobody knows whose data it is`,
    )
  }
  const problem = found === null ? null : findMismatch(path, found, clusterId, nodeId)
  if (problem !== null) {
    if ((await isUnused?.()) !== true) throw problem
    logger.info('Took over a data directory that nothing was ever written to', { path, was: problem.message })
    // With an id of its own: the old one may be known to nodes of the other cluster.
    found = null
  }
  const foundClusterId = found?.clusterId ?? null
  const meta = {
    clusterId: foundClusterId ?? clusterId ?? random.uuid(),
    nodeId,
    directoryId: found?.directoryId ?? random.uuid(),
  }
  if (found?.directoryId !== meta.directoryId || found.clusterId !== meta.clusterId) {
    await writeAtomically(files, path, META_PROPERTIES, formatMetaProperties(meta))
  }
  return meta
}

function findMismatch(
  path: string,
  found: Pick<MetaProperties, 'clusterId' | 'nodeId'>,
  clusterId: string | null,
  nodeId: number,
): LogError | null {
  if (found.nodeId !== nodeId) return mismatch(path, 'node', found.nodeId, nodeId)
  if (found.clusterId === null || clusterId === null || found.clusterId === clusterId) return null
  return mismatch(path, 'cluster', found.clusterId, clusterId)
}

function mismatch(path: string, what: string, found: string | number, wanted: string | number): LogError {
  return new LogError(
    'LOG_DIRECTORY_MISMATCH',
    `Opened the data directory ${path}: it belongs to ${what} ${found}, and this is ${what} ${wanted}`,
  )
}

/** What `.kafka_cleanshutdown` holds; the fields are Kafka's (KIP-966). */
interface CleanMark {
  readonly brokerEpoch: number
}

const NO_BROKER_EPOCH = -1

/** A mark that is there says that the stop was clean, also when the epoch in it cannot be read. */
async function readCleanMark(files: FileSystem, path: string): Promise<CleanMark | null> {
  const found = await files.stat(path)
  if (found === null) return null
  const content = found.size > CLEAN_MARK_BYTES_MAX ? null : await readWhole(files, path)
  try {
    const { brokerEpoch } = JSON.parse(new TextDecoder().decode(content ?? undefined)) as Partial<CleanMark>
    return { brokerEpoch: Number.isSafeInteger(brokerEpoch) ? brokerEpoch! : NO_BROKER_EPOCH }
  } catch {
    return { brokerEpoch: NO_BROKER_EPOCH }
  }
}
