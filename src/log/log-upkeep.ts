/**
 * What is done again and again for all logs of a data directory: retention, compaction, checkpoints, expiry of producers.
 *
 * A failure concerns one log, is logged, and the work goes on with the others. Control plane.
 */
import { CLEANER_CHECKPOINT, HIGH_WATERMARK_CHECKPOINT, RECOVERY_POINT_CHECKPOINT } from './file-names.ts'
import { LogCleaner } from './log-cleaner.ts'
import type { CheckpointName } from './log-directory.ts'
import { DEFAULTS, type LogManagerOptions, type LogManagerPorts } from './log-manager-options.ts'
import { forEachInParallel } from './parallel.ts'
import type { PartitionLog } from './partition-log.ts'
import { PeriodicWork } from './periodic-work.ts'
import { RetentionClock } from './retention-clock.ts'

const PRODUCER_EXPIRY_MS = 600_000

/** The directory's side of the work. */
export interface UpkeepHost {
  /** When the last life on the directory is known to have been, in ms since the epoch; null: nobody knows of one. */
  readonly lastLivedMs: number | null
  readonly logs: () => readonly PartitionLog[]
  readonly highWatermarkOf: (log: PartitionLog) => number
  /** Writes a checkpoint for good. */
  readonly save: (name: CheckpointName) => Promise<void>
}

export class LogUpkeep {
  readonly #ports: LogManagerPorts
  readonly #options: LogManagerOptions
  readonly #host: UpkeepHost
  readonly #periodic: PeriodicWork
  readonly #clock: RetentionClock
  readonly #cleaner: LogCleaner
  /** One at a time, whoever asks. */
  #cleaning: Promise<number> | null = null

  constructor(ports: LogManagerPorts, options: LogManagerOptions, host: UpkeepHost) {
    this.#ports = ports
    this.#options = options
    this.#host = host
    this.#periodic = new PeriodicWork(ports)
    this.#clock = new RetentionClock(ports.clock, host.lastLivedMs)
    this.#cleaner = new LogCleaner(ports, {
      mapBytesMax: options.cleanerMapBytes ?? DEFAULTS.cleanerMapBytes,
      bytesPerSecond: options.cleanerBytesPerSecond ?? Infinity,
      nowMs: () => this.#clock.nowMs(),
      highWatermarkOf: host.highWatermarkOf,
    })
  }

  /** Begins the periodic work. Once. */
  start(): void {
    const { retentionCheckMs, checkpointMs, cleanerIntervalMs } = this.#options
    this.#periodic.every(retentionCheckMs ?? DEFAULTS.retentionCheckMs, () => this.applyRetention())
    this.#periodic.every(checkpointMs ?? DEFAULTS.checkpointMs, () => this.checkpoint())
    this.#periodic.every(cleanerIntervalMs ?? DEFAULTS.cleanerIntervalMs, () => this.compact())
    this.#periodic.every(PRODUCER_EXPIRY_MS, async () => {
      for (const log of this.#host.logs()) log.expireProducers()
    })
  }

  /** Runs `task`, which must not reject, after `delayMs`. */
  once(delayMs: number, task: () => Promise<void>): void {
    this.#periodic.once(delayMs, task)
  }

  stop(): void {
    this.#periodic.stop()
    this.#cleaner.stop()
  }

  /** See `LogManager`. */
  async applyRetention(): Promise<number> {
    const nowMs = this.#clock.nowMs()
    let count = 0
    await this.forEach(this.#host.logs(), async (log) => {
      count += await log.applyRetention(nowMs, this.#host.highWatermarkOf(log))
    })
    return count
  }

  /** See `LogManager`. */
  async compact(): Promise<number> {
    this.#cleaning ??= this.#cleaner
      .clean(this.#host.logs, () => this.#host.save(CLEANER_CHECKPOINT))
      .finally(() => (this.#cleaning = null))
    return this.#cleaning
  }

  /** See `LogManager`. */
  async checkpoint(): Promise<void> {
    await this.forEach(this.#host.logs(), (log) => log.checkpoint())
    await this.#host.save(RECOVERY_POINT_CHECKPOINT)
    await this.#host.save(HIGH_WATERMARK_CHECKPOINT)
  }

  /** Failures are logged, and concern one log each. */
  async forEach(logs: readonly PartitionLog[], work: (log: PartitionLog) => Promise<unknown>): Promise<void> {
    await forEachInParallel(logs, async (log) => {
      try {
        await work(log)
      } catch (error) {
        this.#ports.logger.warn('Worked on a log', { directory: log.directory, error: error as Error })
      }
    })
  }
}
