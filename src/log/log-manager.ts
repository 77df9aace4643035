/**
 * All logs of one data directory: opening, creating, deleting, and the periodic work on them.
 *
 * Invariants:
 * - A log is found under its topic and partition, and in one directory named after both.
 * - The checkpoints on disk never say more than the logs do (docs/faults.md D6): a log lowers its mark on disk before it
 *   cuts, and raises it after what it stands for is synced. Writes of one checkpoint file run one at a time; a
 *   write takes the values of the moment it begins, so those who wait for one share it.
 * - A log that is corrupt does not keep the others from opening. It is set down in `quarantined`, untouched (D3).
 * - A failed write or sync anywhere in the directory, but for lack of room, ends all its logs in the same turn: what the
 *   disk did with the one may be what it did with the others (D4). From then on nothing is written here, nor a clean mark.
 * - The clean mark is written only if every log closed well, after the checkpoints.
 *
 * Topics of durability `memory` live on a file system in memory, and go with the process. Control plane.
 */
import { SerialQueue } from '../base/serial-queue.ts'
import type { FileError, FileSystem } from '../env/index.ts'
import { findDeviceFailure, isDeviceFailure } from './atomic-file.ts'
import { type OffsetCheckpoint, partitionKey } from './checkpoint-file.ts'
import { CheckpointSaver } from './checkpoint-saver.ts'
import {
  CLEANER_CHECKPOINT,
  deletedDirectoryName,
  HIGH_WATERMARK_CHECKPOINT,
  isDeletedDirectoryName,
  LOG_START_CHECKPOINT,
  logDirectoryName,
  parseLogDirectoryName,
  RECOVERY_POINT_CHECKPOINT,
  strayDirectoryName,
  TEMPORARY_SUFFIX,
  uniqueDigits,
} from './file-names.ts'
import { FilePool } from './file-pool.ts'
import { DEFAULT_LOG_CONFIG, type LogConfig } from './log-config.ts'
import { type CheckpointName, LogDirectory } from './log-directory.ts'
import { type LogMarks, marksOf } from './log-marks.ts'
import { LogError } from './log-error.ts'
import type { LogShared } from './log-options.ts'
import { forEachInParallel } from './parallel.ts'
import { LogUpkeep } from './log-upkeep.ts'
import { DEFAULTS, type LogManagerOptions, type LogManagerPorts } from './log-manager-options.ts'
import { PartitionLog } from './partition-log.ts'
import { readTopicId } from './partition-metadata.ts'
import { removeTree } from './remove-tree.ts'
import { rewriteTails } from './tail-rewrite.ts'
import { TailCacheBudget } from './tail-cache.ts'

/** Handles of cold segments and indexes kept open. */
const OPEN_FILES_MAX = 512

/** Creations, deletions and checkpoint writes that may wait for one another. */
const QUEUE_WAITING_MAX = 100_000

const CHECKPOINTS = [RECOVERY_POINT_CHECKPOINT, LOG_START_CHECKPOINT, HIGH_WATERMARK_CHECKPOINT] as const

/** Owned by the metadata quorum, which opens it itself. */
const METADATA_TOPIC = '__cluster_metadata'

export class LogManager {
  readonly #ports: LogManagerPorts
  readonly #options: LogManagerOptions
  readonly #home: LogDirectory
  readonly #shared: LogShared
  readonly #memoryShared: LogShared
  readonly #logs = new Map<string, PartitionLog>()
  readonly #quarantined = new Map<string, LogError>()
  /** Creations and deletions, so that a name is never both at once. */
  readonly #changes = new SerialQueue(QUEUE_WAITING_MAX)
  readonly #checkpoints: CheckpointSaver
  /** As found when the directory was opened, but for logs that were deleted since. */
  readonly #highWatermarks: Map<string, number>
  /**
   * The checkpoints on disk may hold marks of logs that are gone: those of a life that ended before it wrote them anew, or of
   * a full disk. A new log of such a name would be taken for a damaged old one, so none is created before they are dropped.
   */
  #hasStaleMarks = true
  readonly #upkeep: LogUpkeep
  #failure: LogError | null = null
  #isClosed = false

  /**
   * Called once, in the turn in which the directory failed, after all its logs were told. Who serves them must stop to
   * lead them; nothing in the directory can be written until the next start.
   */
  onDirectoryFailed: (error: LogError) => void = () => undefined

  private constructor(
    ports: LogManagerPorts,
    options: LogManagerOptions,
    home: LogDirectory,
    highWatermarks: OffsetCheckpoint,
  ) {
    this.#ports = ports
    this.#options = options
    this.#home = home
    this.#checkpoints = new CheckpointSaver(home, (name) =>
      marksOf(name, this.#logs.values(), (log) => this.#highWatermarkOf(log)),
    )
    this.#highWatermarks = new Map(highWatermarks)
    const cacheBudget = new TailCacheBudget(options.tailCacheBytes ?? DEFAULTS.tailCacheBytes)
    this.#shared = { pool: new FilePool(ports.files, OPEN_FILES_MAX), cacheBudget }
    this.#memoryShared = { pool: new FilePool(options.memoryFiles, OPEN_FILES_MAX), cacheBudget }
    this.#upkeep = new LogUpkeep(ports, options, {
      lastLivedMs: home.lastLivedMs,
      logs: () => this.logs(),
      highWatermarkOf: (log) => this.#highWatermarkOf(log),
      save: (name) => this.#save(name),
    })
  }

  /**
   * Takes possession of a data directory and opens every log in it.
   *
   * @throws {LogError} `LOG_DIRECTORY_MISMATCH`. @throws {FileError} `FILE_LOCKED`, and what the port throws.
   */
  static async open(ports: LogManagerPorts, options: LogManagerOptions): Promise<LogManager> {
    const { directory: path, nodeId } = options
    const { clusterId = null, isUnused } = options
    const home = await LogDirectory.open(ports, { path, nodeId, clusterId, isUnused })
    try {
      const manager = new LogManager(
        ports,
        options,
        home,
        await home.readCheckpoint(HIGH_WATERMARK_CHECKPOINT),
      )
      await manager.#openAll()
      await home.trust()
      return manager
    } catch (error) {
      if (isDeviceFailure(error)) home.distrust()
      await home.release()
      throw error
    }
  }

  /** Absolute path of the data directory. */
  get directory(): string {
    return this.#home.path
  }

  get directoryId(): string {
    return this.#home.directoryId
  }

  get clusterId(): string {
    return this.#home.clusterId
  }

  /** Whether the last stop was clean: what a broker tells the controller of its unflushed past. */
  get wasClosedCleanly(): boolean {
    return this.#home.wasClosedCleanly
  }

  /** Epoch of the broker that stopped cleanly last; -1 if the last stop was not clean. */
  get cleanBrokerEpoch(): number {
    return this.#home.cleanBrokerEpoch
  }

  /** `LOG_DIRECTORY_FAILED` once the directory is out of service; null while it is sound. */
  get failure(): LogError | null {
    return this.#failure
  }

  /** Logs that could not be opened, by the names of their directories. Their files are as they were found. */
  get quarantined(): ReadonlyMap<string, LogError> {
    return this.#quarantined
  }

  get(topic: string, partition: number): PartitionLog | undefined {
    return this.#logs.get(partitionKey(topic, partition))
  }

  /** All logs, in no order that means anything; a copy, so that logs may come and go meanwhile. */
  logs(): PartitionLog[] {
    return [...this.#logs.values()]
  }

  /** The high watermark that the log had when it was last written down, or 0: a lower bound (D6). */
  checkpointedHighWatermark(topic: string, partition: number): number {
    return this.#highWatermarks.get(partitionKey(topic, partition)) ?? 0
  }

  /** Size and free space of the volume, in bytes. */
  space(): Promise<{ readonly totalBytes: number; readonly usableBytes: number }> {
    return this.#ports.files.space(this.#home.path)
  }

  /**
   * Creates a log, or gives the one that is there.
   *
   * @throws {LogError} `LOG_WRONG_TOPIC` if one of another topic id is there, `LOG_CORRUPT` if it is quarantined,
   *   `LOG_DIRECTORY_FAILED`. @throws {FileError} For lack of room.
   */
  create(topic: string, partition: number, topicId: string, config: LogConfig): Promise<PartitionLog> {
    return this.#change(async () => {
      if (this.#isClosed) throw new LogError('LOG_CLOSED', `Used ${this.directory}: it is closed`)
      const key = partitionKey(topic, partition)
      const existing = this.#logs.get(key)
      if (existing?.topicId === topicId) return existing
      const directory = `${this.#home.path}/${logDirectoryName(topic, partition)}`
      if (existing !== undefined) {
        throw new LogError(
          'LOG_WRONG_TOPIC',
          `Created the log ${directory}: it is there for topic id ${existing.topicId}, wanted ${topicId}`,
        )
      }
      const quarantine = this.#quarantined.get(key)
      if (quarantine !== undefined) throw quarantine
      if (this.#hasStaleMarks) await this.#dropMarks()
      return this.#open(topic, partition, topicId, config, {
        recoveryPoint: 0,
        logStartOffset: 0,
        cleanedEndOffset: 0,
        isClean: false,
      })
    })
  }

  /**
   * Deletes a log: its name is free when this resolves, its files go after `fileDeleteDelayMs`. A missing one is no
   * error.
   *
   * @throws {LogError} `LOG_DIRECTORY_FAILED`. @throws {FileError} For lack of room.
   */
  remove(topic: string, partition: number): Promise<void> {
    return this.#change(async () => {
      const log = this.get(topic, partition)
      const name = deletedDirectoryName(topic, partition, uniqueDigits(this.#ports.random))
      const directory = await this.#moveAway(topic, partition, name)
      if (directory === null) return
      const files = log === undefined ? this.#ports.files : this.#filesFor(log.config)
      const delayMs = (log?.config ?? DEFAULT_LOG_CONFIG).fileDeleteDelayMs
      this.#upkeep.once(delayMs, () => this.#removeTree(files, directory))
      await this.#dropMarks()
    })
  }

  /** Takes a log out of service and keeps its files under another name, for an operator to look at. */
  setAside(topic: string, partition: number): Promise<void> {
    return this.#change(async () => {
      await this.#moveAway(
        topic,
        partition,
        strayDirectoryName(topic, partition, uniqueDigits(this.#ports.random)),
      )
      await this.#dropMarks()
    })
  }

  /** Begins the periodic work: retention, compaction, checkpoints, expiry of producers. Once. */
  startMaintenance(): void {
    this.#upkeep.start()
  }

  /** Lets every log delete what has expired. @returns Segments deleted. */
  applyRetention(): Promise<number> {
    return this.#upkeep.applyRetention()
  }

  /** Compacts the logs that are dirty enough. @returns Passes made. */
  compact(): Promise<number> {
    return this.#upkeep.compact()
  }

  /** Moves every log's recovery point to its end and writes all checkpoints. */
  checkpoint(): Promise<void> {
    return this.#upkeep.checkpoint()
  }

  /**
   * Closes all logs, writes the checkpoints and, if all went well, the clean mark; gives the directory back in any case.
   *
   * @param brokerEpoch - Written into the mark: whoever finds it knows whose data are whole. Default: none.
   * @throws {LogError} `LOG_NOT_CLOSED_CLEANLY` if something could not be saved. Nothing acknowledged is lost by that: the
   *   next start checks the logs.
   */
  async close(brokerEpoch = -1): Promise<void> {
    if (this.#isClosed) return
    await this.#endWork()
    const faults: unknown[] = []
    const attempt = async (work: () => Promise<void>): Promise<void> => {
      try {
        await work()
      } catch (error) {
        faults.push(error)
      }
    }
    try {
      await forEachInParallel(this.logs(), (log) => attempt(() => log.close()))
      for (const name of CHECKPOINTS) await attempt(() => this.#save(name))
      if (faults.length === 0) await attempt(() => this.#home.markClean(brokerEpoch))
    } finally {
      await this.#home.release()
    }
    if (faults.length === 0) return
    const [cause] = faults
    const found = cause instanceof Error ? cause.message : String(cause)
    throw new LogError(
      'LOG_NOT_CLOSED_CLEANLY',
      `Closed the data directory ${this.directory}: the clean mark is missing, so the next start checks the logs: ${found}`,
      { cause },
    )
  }

  /** Lets go of all logs and of the directory, and saves nothing: for a stop after a failure. */
  async abandon(): Promise<void> {
    if (this.#isClosed) return
    await this.#endWork()
    try {
      await this.#upkeep.forEach(this.logs(), (log) => log.abandon())
    } finally {
      await this.#home.release()
    }
  }

  async #endWork(): Promise<void> {
    this.#isClosed = true
    this.#upkeep.stop()
    await this.#changes.idle()
  }

  async #openAll(): Promise<void> {
    const { files, logger } = this.#ports
    const path = this.#home.path
    const recoveryPoints = await this.#home.readCheckpoint(RECOVERY_POINT_CHECKPOINT)
    const logStarts = await this.#home.readCheckpoint(LOG_START_CHECKPOINT)
    const cleanedEnds = await this.#home.readCheckpoint(CLEANER_CHECKPOINT)
    const names = await files.list(path)
    for (const name of names.filter(isDeletedDirectoryName)) await this.#removeTree(files, `${path}/${name}`)
    const found = names.flatMap((name) => parseLogDirectoryName(name) ?? [])
    const keys = found.map(({ topic, partition }) => partitionKey(topic, partition))
    this.#home.noteLostLogs(keys, recoveryPoints)
    if (!this.#home.trustsCache) await rewriteTails(this.#ports, path, keys, recoveryPoints)
    const own = found.filter(({ topic }) => topic !== METADATA_TOPIC)
    if (own.length > 0 && !this.#home.wasClosedCleanly)
      logger.info('The last stop was not a clean one: logs are checked from their recovery points', {
        directory: path,
        logs: own.length,
      })
    await forEachInParallel(own, async ({ topic, partition }) => {
      const key = partitionKey(topic, partition)
      try {
        const topicId = await readTopicId(files, `${path}/${key}`)
        if (topicId === null) {
          await this.#dropUnborn(`${path}/${key}`)
          return
        }
        await this.#open(topic, partition, topicId, this.#options.configFor?.(topic) ?? DEFAULT_LOG_CONFIG, {
          recoveryPoint: recoveryPoints.get(key) ?? 0,
          logStartOffset: logStarts.get(key) ?? 0,
          cleanedEndOffset: cleanedEnds.get(key) ?? 0,
          isClean: this.#home.wasClosedCleanly,
        })
      } catch (error) {
        if (!(error instanceof LogError)) throw error
        logger.error('Opened a log: it is left as it is and not served', { log: key, error })
        this.#quarantined.set(key, error)
      }
    })
  }

  /** A directory without `partition.metadata`: its creation was cut short, unless there is data in it. */
  async #dropUnborn(directory: string): Promise<void> {
    const names = await this.#ports.files.list(directory)
    if (names.every((name) => name.endsWith(TEMPORARY_SUFFIX))) {
      await this.#removeTree(this.#ports.files, directory)
      return
    }
    throw new LogError(
      'LOG_CORRUPT',
      `Opened the log ${directory}: it has data and no readable partition.metadata`,
    )
  }

  async #open(
    topic: string,
    partition: number,
    topicId: string,
    config: LogConfig,
    marks: LogMarks,
  ): Promise<PartitionLog> {
    const { clock, logger } = this.#ports
    const ports = { clock, logger, files: this.#filesFor(config) }
    const log = await PartitionLog.open(ports, {
      directory: `${this.#home.path}/${logDirectoryName(topic, partition)}`,
      topic,
      partition,
      topicId,
      config,
      recoveryPoint: marks.recoveryPoint,
      logStartOffset: marks.logStartOffset,
      cleanedEndOffset: marks.cleanedEndOffset,
      wasClosedCleanly: marks.isClean,
      shared: config.durability === 'memory' ? this.#memoryShared : this.#shared,
      checkpoints: {
        saveRecoveryPoint: async () => {
          await this.#save(RECOVERY_POINT_CHECKPOINT)
          // A high watermark was saved below the recovery point of its time, so it need not go down where that does not.
          await this.#save(HIGH_WATERMARK_CHECKPOINT)
        },
        saveLogStart: () => this.#save(LOG_START_CHECKPOINT),
        deviceFailed: (cause) => {
          if (config.durability !== 'memory') this.fail(cause)
        },
      },
    })
    this.#logs.set(partitionKey(topic, partition), log)
    return log
  }

  /** @returns The new path, or null when there was nothing. */
  async #moveAway(topic: string, partition: number, name: string): Promise<string | null> {
    const key = partitionKey(topic, partition)
    const log = this.#logs.get(key)
    const files = log === undefined ? this.#ports.files : this.#filesFor(log.config)
    const from = `${this.#home.path}/${logDirectoryName(topic, partition)}`
    const to = `${this.#home.path}/${name}`
    this.#logs.delete(key)
    this.#quarantined.delete(key)
    this.#highWatermarks.delete(key)
    await log?.abandon()
    if ((await files.stat(from)) === null) return null
    await files.rename(from, to)
    this.#hasStaleMarks = true
    await files.syncDirectory(this.#home.path)
    return to
  }

  /** A later log of a name must not inherit the marks of an earlier one. */
  async #dropMarks(): Promise<void> {
    for (const name of CHECKPOINTS) await this.#save(name)
    // Only room hangs on this one, so it is written where there is something in it to forget.
    if ((await this.#home.readCheckpoint(CLEANER_CHECKPOINT)).size > 0) await this.#save(CLEANER_CHECKPOINT)
    this.#hasStaleMarks = false
  }

  /** Runs a creation or deletion after those before it. */
  #change<T>(task: () => Promise<T>): Promise<T> {
    return this.#changes.run(() => this.#guarded(task))
  }

  #save(name: CheckpointName): Promise<void> {
    return this.#guarded(() => this.#checkpoints.save(name))
  }

  /** Work on the directory itself: none once it has failed, and what fails here fails it. */
  async #guarded<T>(task: () => Promise<T>): Promise<T> {
    if (this.#failure !== null) throw this.#failure
    try {
      return await task()
    } catch (error) {
      throw isDeviceFailure(error) ? this.fail(error) : error
    }
  }

  /** If the device is to blame for an error, the next start must not believe what it reads. */
  noteFailure(error: unknown): void {
    if (findDeviceFailure(error) !== null) this.#home.distrust()
  }

  /** Takes the directory out of service: a write or sync in it failed, also of what others keep there. */
  fail(cause: FileError): LogError {
    if (this.#failure !== null) return this.#failure
    this.#home.distrust()
    const message = `The data directory ${this.directory} has failed: ${cause.message}`
    const error = new LogError('LOG_DIRECTORY_FAILED', message, { cause })
    this.#failure = error
    this.#ports.logger.error(
      'The data directory is out of service, since nobody knows what the disk did: see to the disk, then start again',
      { directory: this.directory, error },
    )
    for (const log of this.#logs.values()) if (log.config.durability !== 'memory') log.fail(error)
    this.onDirectoryFailed(error)
    return error
  }

  #highWatermarkOf(log: PartitionLog): number {
    const { highWatermarkOf } = this.#options
    if (highWatermarkOf === undefined) return log.durableEndOffset
    return highWatermarkOf(log) ?? this.checkpointedHighWatermark(log.topic, log.partition)
  }

  #filesFor(config: LogConfig): FileSystem {
    return config.durability === 'memory' ? this.#options.memoryFiles : this.#ports.files
  }

  async #removeTree(files: FileSystem, directory: string): Promise<void> {
    try {
      await removeTree(files, directory)
      await this.#guarded(() => files.syncDirectory(this.#home.path))
    } catch (error) {
      this.#ports.logger.warn('Removed a deleted log: the next start tries again', {
        directory,
        error: error as Error,
      })
    }
  }
}
