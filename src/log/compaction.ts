/**
 * Compaction as a log offers it: what it would be worth, one pass at a time, and an end on demand.
 *
 * Invariants:
 * - At most one pass runs. It reads beside everything else; it changes the log only in swaps, which run on the log's
 *   maintenance queue like truncation, deletion and checkpoints, and which look first whether the log was cut meanwhile.
 * - Whoever closes or moves the log's directory waits for `abort`: then nothing here touches a file any more.
 *
 * Roles do not matter: only committed segments are touched, and each replica compacts its own.
 */
import { FileError } from '../env/index.ts'
import {
  CompactionEnded,
  CompactionPass,
  type CompactionResult,
  type CompactionTools,
} from './compaction-pass.ts'
import { type CompactionPlan, planCompaction } from './compaction-plan.ts'
import type { LogCore } from './log-core.ts'
import { isDamage, type LogError } from './log-error.ts'
import type { LogSurgery } from './log-surgery.ts'
import { segmentMsMax } from './segment.ts'

export class LogCompaction {
  readonly #core: LogCore
  readonly #surgery: LogSurgery
  readonly #onDamage: (error: LogError) => void
  #running: Promise<unknown> | null = null
  #isAborted = false

  /** @param onDamage - Told each `LOG_CORRUPT` that a pass ends with. */
  constructor(core: LogCore, surgery: LogSurgery, onDamage: (error: LogError) => void) {
    this.#core = core
    this.#surgery = surgery
    this.#onDamage = onDamage
  }

  /** What the checkpoint may say: compaction has judged all below. */
  get cleanedEndOffset(): number {
    return this.#core.cleanedEndOffset
  }

  /**
   * What a pass could do now; null for nothing, and for a log that is not to be compacted.
   *
   * Begins a new segment if the active one holds records that must not wait any longer (`max.compaction.lag.ms`).
   *
   * @param nowMs - Wall clock ms, as trusted for retention.
   */
  async plan(nowMs: number, highWatermark: number): Promise<CompactionPlan | null> {
    const { config, segments, ports } = this.#core
    if (!config.isCompacted || this.#isAborted || this.#running !== null || !this.#isOpen()) return null
    const active = segments.at(-1)!
    const isWaiting = active.sizeBytes > 0 && config.maxCompactionLagMs < Infinity
    if (isWaiting && ports.clock.monotonicMs() - active.openedMs > segmentMsMax(config)) {
      await this.#core.maintain('Began a segment of', () => this.#surgery.beginSegment(highWatermark))
    }
    return planCompaction(this.#core, nowMs, highWatermark)
  }

  /** @returns Null if it ended early: the log was cut or closed, or `abort` was called. @throws As `CompactionPass.run`. */
  async run(plan: CompactionPlan, nowMs: number, tools: CompactionTools): Promise<CompactionResult | null> {
    if (this.#running !== null || this.#isAborted) return null
    const pass = new CompactionPass(this.#core, plan, tools, nowMs, () => this.#isAborted)
    const running = pass.run()
    this.#running = running.catch(() => undefined) // told to who waits below
    try {
      return await running
    } catch (error) {
      if (error instanceof CompactionEnded) return null
      // A log that is cut or loses segments beside the pass gives it bytes and names that are not what they were.
      if (plan.cutCount !== this.#core.cutCount || !this.#isOpen()) return null
      if (error instanceof FileError && error.code === 'FILE_NOT_FOUND') return null
      if (isDamage(error)) this.#onDamage(error)
      throw error
    } finally {
      this.#running = null
    }
  }

  /** Ends a pass under way and refuses later ones. Resolves when no file is touched any more. */
  async abort(): Promise<void> {
    this.#isAborted = true
    await this.#running
  }

  #isOpen(): boolean {
    return this.#core.state.kind === 'open'
  }
}
