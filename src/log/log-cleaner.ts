/**
 * Compacts the logs of a data directory: the dirtiest first, one at a time, at a bounded rate.
 *
 * A log's turn comes when the dirty share of what may be compacted exceeds its `min.cleanable.dirty.ratio`, or a record has
 * waited for its `max.compaction.lag.ms`. A log that cannot be compacted (bytes that rotted, batches that outgrew a
 * segment) is left alone until the next start, and logged once; the others go on. Lack of room is tried again.
 */
import type { SipKey } from '../bytes/siphash.ts'
import { CodecSet } from '../records/compression/codec-set.ts'
import { isLackOfRoom } from './atomic-file.ts'
import type { CompactionPlan } from './compaction-plan.ts'
import { LogError } from './log-error.ts'
import type { LogManagerPorts } from './log-manager-options.ts'
import type { PartitionLog } from './partition-log.ts'

export interface LogCleanerOptions {
  /** `log.cleaner.dedupe.buffer.size`: bytes that the keys of one pass may take. */
  readonly mapBytesMax: number
  /** `log.cleaner.io.max.bytes.per.second`: read; Infinity: no bound. */
  readonly bytesPerSecond: number
  /** Wall clock ms, as trusted for retention. */
  readonly nowMs: () => number
  readonly highWatermarkOf: (log: PartitionLog) => number
}

export class LogCleaner {
  readonly #ports: LogManagerPorts
  readonly #options: LogCleanerOptions
  readonly #codecs = new CodecSet()
  /** Left alone until the next start. */
  readonly #uncleanable = new WeakSet<PartitionLog>()
  #isStopped = false
  /** Ends the pause under way. */
  #wake: () => void = () => undefined

  constructor(ports: LogManagerPorts, options: LogCleanerOptions) {
    this.#ports = ports
    this.#options = options
  }

  /**
   * Compacts one log after the other until none is dirty enough.
   *
   * @param logs - Asked anew before each: logs come and go meanwhile.
   * @param save - Called after each pass that got somewhere.
   * @returns Passes that were made to their end.
   */
  async clean(logs: () => readonly PartitionLog[], save: () => Promise<void>): Promise<number> {
    const done = new Set<PartitionLog>()
    let count = 0
    while (!this.#isStopped) {
      const next = await this.#dirtiest(logs().filter((log) => !done.has(log)))
      if (next === null) break
      const hasMore = await this.#compact(next.log, next.plan)
      // A pass whose map was full is followed by the next of its log, if no other is dirtier by then.
      if (hasMore !== true) done.add(next.log)
      if (hasMore === null) continue
      count++
      await save()
    }
    return count
  }

  /** Nothing new is begun, and what is under way goes on without pauses until it is aborted. */
  stop(): void {
    this.#isStopped = true
    this.#wake()
  }

  async #dirtiest(
    logs: readonly PartitionLog[],
  ): Promise<{ readonly log: PartitionLog; readonly plan: CompactionPlan } | null> {
    let best: { log: PartitionLog; plan: CompactionPlan } | null = null
    for (const log of logs) {
      if (this.#isStopped || this.#uncleanable.has(log) || !log.config.isCompacted) continue
      try {
        const plan = await log.compaction.plan(this.#options.nowMs(), this.#options.highWatermarkOf(log))
        if (plan === null) continue
        if (!plan.isOverdue && plan.dirtyRatio <= log.config.minCleanableDirtyRatio) continue
        if (best === null || rank(plan) > rank(best.plan)) best = { log, plan }
      } catch (error) {
        this.#failed(log, error)
      }
    }
    return best
  }

  /** @returns Whether the pass left dirty records for want of memory; null if it came to no end. */
  async #compact(log: PartitionLog, plan: CompactionPlan): Promise<boolean | null> {
    try {
      const result = await log.compaction.run(plan, this.#options.nowMs(), {
        codecs: this.#codecs,
        mapBytesMax: this.#options.mapBytesMax,
        hashKey: this.#drawKey(),
        pause: (bytes) => this.#pause(bytes),
      })
      if (result === null) return null
      const { logger } = this.#ports
      logger.debug('Compacted a log', { directory: log.directory, ...result })
      if (result.opaqueCount > 0) {
        logger.warn('Compacted a log: some batches cannot be read, so they stay as they are', {
          directory: log.directory,
          batches: result.opaqueCount,
        })
      }
      return result.cleanedEndOffset < plan.endOffset
    } catch (error) {
      this.#failed(log, error)
      return null
    }
  }

  #failed(log: PartitionLog, error: unknown): void {
    const isFinal = error instanceof LogError && error.code !== 'LOG_BUSY' && log.failure === null
    if (isFinal) this.#uncleanable.add(log)
    const fields = { directory: log.directory, error: error as Error }
    if (isFinal) this.#ports.logger.error('Compacted a log: it is left as it is until the next start', fields)
    else if (isLackOfRoom(error))
      this.#ports.logger.warn('Compacted a log: no room, it is tried again', fields)
    else this.#ports.logger.warn('Compacted a log: it is tried again', fields)
  }

  #drawKey(): SipKey {
    const { random } = this.#ports
    const word = () => random.below(2 ** 16) * 2 ** 16 + random.below(2 ** 16)
    return [word(), word(), word(), word()]
  }

  /** At the least to the next turn of the loop, so that a long pass holds nobody up. */
  async #pause(bytes: number): Promise<void> {
    if (this.#isStopped) return
    const ms = (bytes / this.#options.bytesPerSecond) * 1000
    await new Promise<void>((resolve) => {
      const cancel = this.#ports.clock.after(ms, resolve)
      this.#wake = () => {
        cancel()
        resolve()
      }
    })
  }
}

/** Overdue logs first, then the dirtiest. */
function rank({ isOverdue, dirtyRatio }: CompactionPlan): number {
  return (isOverdue ? 1 : 0) + dirtyRatio
}
