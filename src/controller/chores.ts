/**
 * What the active controller does by itself, as time goes by: fences brokers that are silent, gives partitions back to
 * their preferred leaders, moves the replicas of brokers that are gone for too long. Runs only while its node is the
 * active controller.
 *
 * Invariant: one round at a time; the next begins a period after the last has ended, so a slow disk gets fewer, not more.
 */
import type { Cancel, Clock } from '../env/index.ts'

/** Rounds in one session time: a silent broker is fenced at most that part of it too late. */
const ROUNDS_PER_SESSION = 16
/** Longest and shortest time between two rounds, in ms. */
const ROUND_MS_MAX = 500
const ROUND_MS_MIN = 10

export interface ChoreSettings {
  readonly brokerSessionMs: number
  /** How often leaders are balanced, in ms; -1 never. */
  readonly rebalanceMs: number
}

export interface ChoreHost {
  /** This process stood still for so long, in ms, beyond what it meant to wait. */
  stoodStill(ms: number): void
  /** Called every round; never rejects. */
  round(): Promise<void>
  /** Called every `rebalanceMs`; never rejects. */
  rebalance(): Promise<void>
}

export class Chores {
  readonly #clock: Clock
  readonly #settings: ChoreSettings
  readonly #host: ChoreHost
  #cancel: Cancel = () => undefined
  /** Counts starts and stops: a round that was begun before the last of them is the last of its kind. */
  #turn = 0
  #nextRebalanceMs = Infinity

  constructor(clock: Clock, settings: ChoreSettings, host: ChoreHost) {
    this.#clock = clock
    this.#settings = settings
    this.#host = host
  }

  start(): void {
    this.stop()
    const { rebalanceMs } = this.#settings
    this.#nextRebalanceMs = rebalanceMs < 0 ? Infinity : this.#clock.monotonicMs() + rebalanceMs
    this.#wait(this.#turn)
  }

  stop(): void {
    this.#turn++
    this.#cancel()
  }

  #wait(turn: number): void {
    const periodMs = Math.min(
      ROUND_MS_MAX,
      Math.max(ROUND_MS_MIN, this.#settings.brokerSessionMs / ROUNDS_PER_SESSION),
    )
    const dueMs = this.#clock.monotonicMs() + periodMs
    this.#cancel = this.#clock.after(periodMs, () => {
      const lateMs = this.#clock.monotonicMs() - dueMs
      if (lateMs > periodMs) this.#host.stoodStill(lateMs)
      void this.#round(turn)
    })
  }

  async #round(turn: number): Promise<void> {
    await this.#host.round()
    if (turn !== this.#turn) return
    if (this.#clock.monotonicMs() >= this.#nextRebalanceMs) {
      this.#nextRebalanceMs = this.#clock.monotonicMs() + this.#settings.rebalanceMs
      await this.#host.rebalance()
    }
    if (turn === this.#turn) this.#wait(turn)
  }
}
