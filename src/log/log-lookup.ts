/**
 * Lookups by time in a log that may be cut or compacted beside them: what is found counts only if nothing was (RP-20).
 */
import type { LogCore } from './log-core.ts'
import { isDamage, type LogError } from './log-error.ts'
import {
  findMaxTimestamp,
  findTimestamp,
  type LookupScope,
  type TimestampedOffset,
} from './timestamp-lookup.ts'

export class LogLookup {
  readonly #core: LogCore
  readonly #onDamage: (error: LogError) => void

  /** @param onDamage - Told each `LOG_CORRUPT` that a lookup ends with. */
  constructor(core: LogCore, onDamage: (error: LogError) => void) {
    this.#core = core
    this.#onDamage = onDamage
  }

  /** See `PartitionLog`. */
  offsetForTimestamp(timestampMs: number, endOffset: number): Promise<TimestampedOffset | null> {
    return this.#stable(() => findTimestamp(this.#scope(endOffset), timestampMs))
  }

  /** See `PartitionLog`. */
  offsetOfMaxTimestamp(endOffset: number): Promise<TimestampedOffset | null> {
    return this.#stable(() => findMaxTimestamp(this.#scope(endOffset)))
  }

  #scope(endOffset: number): LookupScope {
    const writtenEnd = this.#core.writer.writtenEndOffset
    return {
      segments: [...this.#core.segments],
      unwritten: this.#core.cache.batchesFrom(writtenEnd),
      startOffset: this.#core.logStartOffset,
      endOffset: Math.min(endOffset, this.#core.logEndOffset),
    }
  }

  /** Runs a lookup again if the log was cut beside it. */
  async #stable<T>(lookup: () => Promise<T>): Promise<T> {
    for (;;) {
      if (this.#core.state.kind === 'closed') throw this.#core.closedError()
      const generation = this.#core.generation
      try {
        const result = await lookup()
        if (generation === this.#core.generation) return result
      } catch (error) {
        if (generation !== this.#core.generation) continue
        if (isDamage(error)) this.#onDamage(error)
        throw error
      }
    }
  }
}
