/**
 * Finds the topics that regular expressions match: one resolver for all groups of a shard.
 *
 * Ten thousand names times a hostile expression are minutes of work. So it is done in slices: the first within the call that
 * asks, which is all that a usual expression needs, the rest in the background, with pauses that leave most of the event loop
 * to others (faults.md S5). Until it is done the answer is "not yet", and the asker asks again with its next heartbeat. When
 * topics come or go, only their names are looked at.
 *
 * Soft state: what a group goes by is what it wrote down of this (ConsumerGroupRegularExpression records).
 */
import type { Cancel } from '../../../env/index.ts'
import { isInternalTopic } from '../../../metadata/topic-name.ts'
import type { ShardContext } from '../../shard-context.ts'
import { SubscriptionPattern } from '../subscription-pattern.ts'

/** One turn's share of matching, in ms: some thousand names for a usual expression, at worst one name more than that. */
const SLICE_MS = 5
/** Background matching takes one part in ten of the event loop. */
const PAUSE_PER_WORK = 9
const PAUSE_MS_MIN = 1

interface Entry {
  readonly text: string
  /** Groups that ask for it. */
  readonly groupIds: Set<string>
  readonly matched: Set<string>
  /** Names that are to be looked at. */
  pending: string[]
  /** `matched` in order, once it is complete. */
  names: readonly string[] | null
}

export class PatternResolver {
  readonly #context: Pick<ShardContext, 'clock' | 'image'>
  readonly #entries = new Map<string, Entry>()
  /** Entries with names to look at, in the order in which they came to have some. */
  readonly #queue = new Set<Entry>()
  #cancel: Cancel | null = null

  constructor(context: Pick<ShardContext, 'clock' | 'image'>) {
    this.#context = context
  }

  /**
   * The topics that a valid expression matches, but no internal ones.
   *
   * @returns Names, ascending; null while they are being looked for.
   */
  find(groupId: string, text: string): readonly string[] | null {
    let entry = this.#entries.get(text)
    if (entry === undefined) {
      const pending = [...this.#context.image().topicsByName.keys()].filter((name) => !isInternalTopic(name))
      entry = { text, groupIds: new Set(), matched: new Set(), pending, names: null }
      this.#entries.set(text, entry)
      this.#queue.add(entry)
    }
    entry.groupIds.add(groupId)
    // Only if no pause is on: asking often must not make it take more than its share.
    if (entry.pending.length > 0 && this.#cancel === null) this.#work()
    if (entry.pending.length > 0) return null
    entry.names ??= [...entry.matched].sort()
    return entry.names
  }

  /** The group asks for no other expressions than these any more. */
  keepOnly(groupId: string, texts: ReadonlySet<string>): void {
    for (const entry of this.#entries.values()) {
      if (texts.has(entry.text) || !entry.groupIds.delete(groupId) || entry.groupIds.size > 0) continue
      this.#entries.delete(entry.text)
      this.#queue.delete(entry)
    }
  }

  /** Topics of these names were created or deleted; to be called with each new image, before the groups are told. */
  topicsChanged(names: Iterable<string>): void {
    const { topicsByName } = this.#context.image()
    const changed = [...names].filter((name) => !isInternalTopic(name))
    for (const entry of this.#entries.values()) {
      for (const name of changed) {
        if (topicsByName.has(name)) {
          if (!entry.matched.has(name)) entry.pending.push(name)
        } else if (entry.matched.delete(name)) {
          entry.names = null
        }
      }
      if (entry.pending.length > 0) this.#queue.add(entry)
    }
  }

  close(): void {
    this.#cancel?.()
    this.#cancel = null
    this.#queue.clear()
    this.#entries.clear()
  }

  #work(): void {
    const { clock } = this.#context
    const startMs = clock.monotonicMs()
    const isOver = () => clock.monotonicMs() - startMs >= SLICE_MS
    for (const entry of this.#queue) {
      this.#match(entry, isOver)
      if (entry.pending.length > 0) break
      this.#queue.delete(entry)
      if (isOver()) break
    }
    if (this.#queue.size === 0) return
    const workMs = clock.monotonicMs() - startMs
    this.#cancel = clock.after(Math.max(PAUSE_MS_MIN, workMs * PAUSE_PER_WORK), () => {
      this.#cancel = null
      this.#work()
    })
  }

  /** Compiles anew each time: it takes less than a slice, and what a compiled expression remembers is freed with it. */
  #match(entry: Entry, isOver: () => boolean): void {
    const pattern = SubscriptionPattern.compile(entry.text)
    const { topicsByName } = this.#context.image()
    while (entry.pending.length > 0) {
      const name = entry.pending.pop()!
      // An expression from a log that would not be let in today matches nothing.
      if (typeof pattern !== 'string' && topicsByName.has(name) && pattern.matches(name)) {
        entry.matched.add(name)
        entry.names = null
      }
      if (isOver()) return
    }
  }
}
