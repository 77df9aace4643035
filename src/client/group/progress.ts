/**
 * How far a member is with the partitions it owns: what is in the hands of the application, what it is done with, and what of
 * that is committed.
 *
 * Invariants:
 * - `done` never passes a record that is in hand: what is committed has been handled (at least once).
 * - A partition that was sought is not moved by what was in hand before.
 *
 * Data plane: two assignments and a clock reading for each thing handed out.
 */
import type { Cancel, Clock } from '../../env/index.ts'
import type { TopicPartition } from '../consumer-options.ts'
import type { OwnedOffset, OwnedPartition } from './offsets.ts'

/** A partition as its member has it. */
export interface Owned extends OwnedPartition {
  /** Offset after the last record that the application is done with; null while that is not known. */
  done: number | null
  committed: number | null
  /** Number of what is in hand; 0 for nothing. */
  hand: number
  /** Since when something is in hand, on the monotonic clock in ms. */
  handSinceMs: number
  /** It is being given back, or gone: nothing more is to be handled. */
  isLeaving: boolean
  /** It was given back, or lost: nothing more is to be committed. */
  isGone: boolean
  /** What was handed out of it goes first, or a listener does: nothing more is handed out until then. */
  isHeld: boolean
  /** The application wants nothing of it now. */
  isPaused: boolean
}

/** What `begin` gave out. */
export interface Hand {
  readonly owned: Owned
  readonly number: number
}

export class Progress {
  readonly #clock: Clock
  readonly #limitMs: number
  readonly #onTooSlow: (owned: Owned) => void
  readonly #partitions = new Map<string, Map<number, Owned>>()
  #handNumber = 0
  #waiters: { readonly wanted: readonly Owned[]; readonly resolve: () => void }[] = []
  #cancelTimer: Cancel | null = null
  #isEnded = false

  /** @param onTooSlow - Something has been in hand for `limitMs`. */
  constructor(clock: Clock, limitMs: number, onTooSlow: (owned: Owned) => void) {
    this.#clock = clock
    this.#limitMs = limitMs
    this.#onTooSlow = onTooSlow
  }

  all(): Owned[] {
    return [...this.#partitions.values()].flatMap((partitions) => [...partitions.values()])
  }

  get({ topic, partition }: TopicPartition): Owned | null {
    return this.#partitions.get(topic)?.get(partition) ?? null
  }

  add({ topic, partition, topicId }: OwnedPartition, committed: number | null): void {
    const owned = {
      ...{ topic, partition, topicId, committed, done: committed },
      ...{ hand: 0, handSinceMs: 0, isLeaving: false, isGone: false, isHeld: false, isPaused: false },
    }
    const partitions = this.#partitions.get(topic) ?? new Map<number, Owned>()
    this.#partitions.set(topic, partitions.set(partition, owned))
  }

  remove(gone: readonly Owned[]): void {
    for (const owned of gone) {
      const partitions = this.#partitions.get(owned.topic)
      if (partitions?.get(owned.partition) !== owned) continue
      partitions.delete(owned.partition)
      if (partitions.size === 0) this.#partitions.delete(owned.topic)
      owned.hand = 0
      owned.isLeaving = true
      owned.isGone = true
    }
    this.#wakeWaiters()
  }

  /** Something that begins at `offset` goes to the application. Null: it must not, the partition is not owned any more. */
  begin(owned: Owned, offset: number): Hand | null {
    if (owned.isLeaving || this.#isEnded) return null
    owned.done ??= offset
    owned.hand = ++this.#handNumber
    owned.handSinceMs = this.#clock.monotonicMs()
    this.#cancelTimer ??= this.#clock.after(this.#limitMs, this.#check)
    return { owned, number: owned.hand }
  }

  /** The application is done with it: it goes on at `nextOffset`. */
  finish({ owned, number }: Hand, nextOffset: number): void {
    if (owned.hand !== number) return
    owned.done = nextOffset
    this.release({ owned, number })
  }

  /** The application has let go of it, done or not. */
  release({ owned, number }: Hand): void {
    if (owned.hand !== number) return
    owned.hand = 0
    if (this.#waiters.length > 0) this.#wakeWaiters()
  }

  /** The end: the application holds nothing any more, was done with none of it, and gets nothing. */
  releaseAll(): void {
    this.#isEnded = true
    for (const owned of this.all()) owned.hand = 0
    this.#wakeWaiters()
  }

  /** The application goes on elsewhere. @param offset - Null if it is not known yet. */
  seek(owned: Owned, offset: number | null): void {
    owned.hand = 0
    owned.done = offset
    this.#wakeWaiters()
  }

  /** Resolves when nothing of these is in hand. */
  async whenFree(partitions: readonly Owned[]): Promise<void> {
    if (partitions.every(({ hand }) => hand === 0)) return
    await new Promise<void>((resolve) => this.#waiters.push({ wanted: partitions, resolve }))
  }

  /** What is done and not committed. */
  toCommit(partitions: readonly Owned[]): OwnedOffset[] {
    return partitions.flatMap((owned) => {
      const { topic, partition, done, committed } = owned
      return done === null || done === committed ? [] : [{ topic, partition, offset: done, owned }]
    })
  }

  noteCommitted(offsets: readonly OwnedOffset[]): void {
    for (const { owned, offset } of offsets) owned.committed = offset
  }

  close(): void {
    this.#cancelTimer?.()
    this.#cancelTimer = null
    this.remove(this.all())
  }

  /** One timer for all: it looks who has been in hand for longest, and comes again when that one's time would be over. */
  readonly #check = (): void => {
    this.#cancelTimer = null
    const nowMs = this.#clock.monotonicMs()
    let leastMs = Infinity
    for (const owned of this.all()) {
      if (owned.hand === 0) continue
      // The very number that the timer gets: by another formula, rounded elsewhere, there could be no time left and none over.
      const leftMs = owned.handSinceMs + this.#limitMs - nowMs
      if (leftMs <= 0) {
        this.#onTooSlow(owned)
        return
      }
      leastMs = Math.min(leastMs, leftMs)
    }
    if (leastMs !== Infinity) this.#cancelTimer = this.#clock.after(leastMs, this.#check)
  }

  #wakeWaiters(): void {
    this.#waiters = this.#waiters.filter(({ wanted, resolve }) => {
      const isFree = wanted.every(({ hand }) => hand === 0)
      if (isFree) resolve()
      return !isFree
    })
  }
}
