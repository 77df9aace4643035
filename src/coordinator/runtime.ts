/**
 * The shards that this broker leads. A shard is the state machine of one partition of an internal topic, in one leader epoch.
 *
 *   lead ─► waits for its turn ─► loading ──► ready ──► ended: resigned, a later epoch, something appended was lost
 *                 ▲                  │ failed             │ still leader of this epoch
 *                 └──── back-off ────┴────────────────────┘      always with a new state, loaded from the log
 *
 * Invariants (docs/faults.md G5, G6, CG-1, CG-2, CG-3):
 * - A shard answers only while this broker leads in its epoch and after the load was complete; until then the answer is
 *   COORDINATOR_LOAD_IN_PROGRESS, however often the load fails, and never that of an empty state.
 * - A state is never carried from one epoch into the next.
 * - A shard that ends answers all who wait, NOT_COORDINATOR, and no timer of it runs on.
 * - At most `LOADS_MAX` shards load at a time.
 */
import { backoffMs } from '../base/backoff.ts'
import type { BackoffOptions } from '../base/backoff.ts'
import type { Cancel, Clock, Logger, Random } from '../env/index.ts'
import type { ErrorName } from '../protocol/errors.ts'
import { AppendRounds } from './append-rounds.ts'
import type { CoordinatorLog } from './coordinator-log.ts'
import type { CoordinatorRecord } from './records/coordinator-record.ts'
import { CoordinatorFailure } from './shard-context.ts'
import type { ShardContext } from './shard-context.ts'
import { loadShard } from './shard-loader.ts'
import { ShardWriter } from './shard-writer.ts'

/** What the runtime asks of a state machine. */
export interface Shard {
  /** The only way in which the state changes: by a record of the log, or one that is about to be in it. */
  replay(record: CoordinatorRecord): void
  /** The log was replayed to its end: what is not in it, such as timers, begins now. */
  loaded(): void
  /** Answers all who wait, and cancels all timers. Called once; nothing is called afterwards. */
  close(error: ErrorName): void
}

export interface RuntimeOptions<S extends Shard> {
  /** Makes an empty state. `write` is refused until it is loaded. */
  readonly createShard: (index: number, write: ShardContext['write']) => S
  /** How long a write may take to be committed, in ms. */
  readonly writeTimeoutMs: number
}

/** Why there is no shard to ask. */
export type NoShard = 'NOT_COORDINATOR' | 'COORDINATOR_LOAD_IN_PROGRESS'

/** Pieces of that many loads are in memory at a time (shard-loader.ts), and the disk is left to others, too. */
export const LOADS_MAX = 4

/** Pauses between attempts to load, in ms. */
const LOAD_BACKOFF: BackoffOptions = { initialMs: 100, maxMs: 5_000 }

/** A shard that was ready for this long, in ms, has got over what it failed by before. */
const SOUND_AFTER_MS = 30_000

/** A shard that is led here, as far as it has come. */
interface Led<S extends Shard> {
  readonly log: CoordinatorLog
  state:
    | { readonly kind: 'waiting'; readonly cancel: Cancel }
    | { readonly kind: 'loading'; readonly giveUp: AbortController; readonly shard: S }
    | { readonly kind: 'ready'; readonly writer: ShardWriter; readonly shard: S; readonly sinceMs: number }
  /** Failures in a row, of loads and of shards that were ready for a moment. */
  failureCount: number
}

export class CoordinatorRuntime<S extends Shard> {
  readonly #ports: { readonly clock: Clock; readonly logger: Logger; readonly random: Random }
  readonly #options: RuntimeOptions<S>
  readonly #rounds: AppendRounds
  readonly #led = new Map<number, Led<S>>()
  /** Wait for a load to end. Invariant: empty while fewer than `LOADS_MAX` are under way. */
  readonly #queue = new Set<Led<S>>()
  #loadCount = 0

  constructor(
    ports: { readonly clock: Clock; readonly logger: Logger; readonly random: Random },
    options: RuntimeOptions<S>,
  ) {
    this.#ports = ports
    this.#rounds = new AppendRounds(ports.clock)
    this.#options = options
  }

  /** Shards led here that are not loaded yet. */
  get loadingCount(): number {
    let count = 0
    for (const { log, state } of this.#led.values()) if (state.kind !== 'ready' && log.isLed) count++
    return count
  }

  /** Takes over a shard in the epoch of `log`. One of an earlier epoch ends. */
  lead(log: CoordinatorLog): void {
    this.resign(log.index)
    const led: Led<S> = { log, state: { kind: 'waiting', cancel: () => undefined }, failureCount: 0 }
    this.#led.set(log.index, led)
    this.#schedule(led)
  }

  /** Gives up a shard, if it is led here. */
  resign(index: number): void {
    const led = this.#led.get(index)
    if (led === undefined) return
    this.#led.delete(index)
    this.#queue.delete(led)
    const { state } = led
    switch (state.kind) {
      case 'waiting':
        state.cancel()
        break
      case 'loading':
        state.giveUp.abort()
        break
      case 'ready':
        state.writer.close('NOT_COORDINATOR')
        state.shard.close('NOT_COORDINATOR')
    }
  }

  /** Gives up all. */
  close(): void {
    for (const index of [...this.#led.keys()]) this.resign(index)
  }

  /** Every shard that is led here, loaded or not. */
  led(): IterableIterator<{ readonly log: CoordinatorLog }> {
    return this.#led.values()
  }

  /** The log in which a shard is led here, loaded or not. */
  findLog(index: number): CoordinatorLog | undefined {
    return this.#led.get(index)?.log
  }

  /** The shard, or why it cannot be asked. */
  findShard(index: number): S | NoShard {
    const led = this.#led.get(index)
    if (led === undefined || !led.log.isLed) return 'NOT_COORDINATOR'
    return led.state.kind === 'ready' ? led.state.shard : 'COORDINATOR_LOAD_IN_PROGRESS'
  }

  /** All that can be asked. */
  *shards(): IterableIterator<S> {
    for (const { log, state } of this.#led.values())
      if (state.kind === 'ready' && log.isLed) yield state.shard
  }

  #schedule(led: Led<S>): void {
    if (this.#loadCount >= LOADS_MAX) this.#queue.add(led)
    else void this.#load(led)
  }

  /** Never rejects. */
  async #load(led: Led<S>): Promise<void> {
    const { clock, logger } = this.#ports
    const { log } = led
    const { index: partition, leaderEpoch } = log
    const giveUp = new AbortController()
    const shard = this.#options.createShard(partition, (records) => this.#write(led, shard, records))
    led.state = { kind: 'loading', giveUp, shard }
    this.#loadCount++
    const startedMs = clock.monotonicMs()
    try {
      const { endOffset, recordCount } = await loadShard(clock, log, {
        replay: (record) => shard.replay(record),
        signal: giveUp.signal,
      })
      // A microtask has passed since; what the log has done in it, the writer finds out.
      giveUp.signal.throwIfAborted()
      const ms = Math.round(clock.monotonicMs() - startedMs)
      this.#ready(led, shard, endOffset)
      logger.info('Loaded a shard of the group coordinator', { partition, leaderEpoch, recordCount, ms })
    } catch (error) {
      shard.close('NOT_COORDINATOR')
      if (!giveUp.signal.aborted) this.#failed(led, error as Error)
    } finally {
      this.#loadCount--
      const [next] = this.#queue
      if (next !== undefined) {
        this.#queue.delete(next)
        this.#schedule(next)
      }
    }
  }

  #ready(led: Led<S>, shard: S, endOffset: number): void {
    const writer = new ShardWriter({ clock: this.#ports.clock, rounds: this.#rounds }, led.log, {
      endOffset,
      timeoutMs: this.#options.writeTimeoutMs,
      replay: (record) => shard.replay(record),
      onEnd: (reason) => this.#ended(led, shard, reason),
    })
    led.state = { kind: 'ready', writer, shard, sinceMs: this.#ports.clock.monotonicMs() }
    shard.loaded()
  }

  #failed(led: Led<S>, error: Error): void {
    const { index: partition, leaderEpoch, isLed } = led.log
    // Whoever leads now loads it; `lead` or `resign` will say so here.
    if (!isLed) return
    led.failureCount++
    this.#ports.logger.error('A shard of the group coordinator cannot be loaded; trying again', {
      ...{ partition, leaderEpoch, attempt: led.failureCount, error },
    })
    this.#pause(led)
  }

  /** The writer of a shard has ended: its state is not that of the log any more. */
  #ended(led: Led<S>, shard: S, reason: string): void {
    const { index: partition, leaderEpoch, isLed } = led.log
    this.#ports.logger.warn('A shard of the group coordinator has ended', { partition, leaderEpoch, reason })
    const { state } = led
    const { clock } = this.#ports
    const wasSound = state.kind === 'ready' && clock.monotonicMs() - state.sinceMs > SOUND_AFTER_MS
    led.failureCount = wasSound ? 1 : led.failureCount + 1
    if (isLed) this.#pause(led)
    else led.state = { kind: 'waiting', cancel: () => undefined }
    // Not in this turn: whoever wrote is still at work in it.
    clock.endOfTurn(() => shard.close('NOT_COORDINATOR'))
  }

  #pause(led: Led<S>): void {
    const { clock, random } = this.#ports
    const cancel = clock.after(backoffMs(LOAD_BACKOFF, led.failureCount, random), () => this.#schedule(led))
    led.state = { kind: 'waiting', cancel }
  }

  async #write(led: Led<S>, shard: S, records: readonly CoordinatorRecord[]): Promise<void> {
    const { state } = led
    if (state.kind === 'ready' && state.shard === shard) {
      await state.writer.write(records)
      return
    }
    const isLoading = state.kind === 'loading' && state.shard === shard
    const error = isLoading ? 'COORDINATOR_LOAD_IN_PROGRESS' : 'NOT_COORDINATOR'
    throw new CoordinatorFailure(error, `Cannot write to shard ${led.log.index}: ${error}`)
  }
}
