/**
 * What a shard does by itself from time to time: forgets offsets that nobody needs any more, groups that have neither members
 * nor offsets, and what is left of groups whose name another one has taken.
 *
 * Invariants (docs/faults.md):
 * - G7: offsets go only after the retention without a member that reads them (offset-store.ts), by a clock that jumps of the wall
 *   clock do not move forward (retention-clock.ts, CG-5).
 * - A group goes with, or after, the last of its offsets, never with a member.
 *
 * A round is done in slices, so that a shard with a great many offsets does not stop the rest of the broker.
 */
import type { Cancel } from '../../env/index.ts'
import type { CoordinatorRecord } from '../records/coordinator-record.ts'
import type { ShardContext } from '../shard-context.ts'
import type { GroupRegistry } from './group-registry.ts'
import type { OffsetStore } from './offset-store.ts'
import type { RetentionClock } from './retention-clock.ts'

/** Groups looked at in a turn: some ms of work if each has a hundred offsets. */
const GROUPS_PER_TURN = 200

/** Records in one write: some 100 KB, far below what a batch of the topic may hold. */
const RECORDS_PER_WRITE = 1_000

export class Housekeeping {
  readonly #context: ShardContext
  readonly #groups: GroupRegistry
  readonly #offsets: OffsetStore
  readonly #time: RetentionClock
  #cancel: Cancel | null = null

  constructor(context: ShardContext, groups: GroupRegistry, offsets: OffsetStore, time: RetentionClock) {
    this.#context = context
    this.#groups = groups
    this.#offsets = offsets
    this.#time = time
  }

  /** Begins; the first round comes after one interval. */
  start(): void {
    const { clock, config } = this.#context
    this.#cancel = clock.after(config.offsetsRetentionCheckMs, () => this.#goOn(this.#groupIds()))
  }

  stop(): void {
    this.#cancel?.()
    this.#cancel = null
  }

  #goOn(groupIds: Iterator<string>): void {
    for (let count = 0; count < GROUPS_PER_TURN; count++) {
      const next = groupIds.next()
      if (next.done === true) {
        this.start()
        return
      }
      this.#clean(next.value)
    }
    this.#cancel = this.#context.clock.after(0, () => this.#goOn(groupIds))
  }

  #clean(groupId: string): void {
    const groups = this.#groups
    const group = groups.find(groupId)
    const records: CoordinatorRecord[] = this.#offsets.expire(groupId, group, {
      image: this.#context.image(),
      nowMs: this.#time.judgeMs(),
      retentionMs: this.#context.config.offsetsRetentionMs,
    })
    const keepsOffsets = this.#offsets.count(groupId) > records.length
    if (!keepsOffsets && (group === null || group.findDeleteFault() === null)) {
      records.push(...groups.tombstones(groupId))
    } else {
      records.push(...groups.shadowTombstones(groupId))
    }
    if (records.length === 0) {
      groups.dropClassic(groupId)
      groups.dropConsumer(groupId)
      return
    }
    const { logger } = this.#context
    logger.debug('Removing what a group does not need any more', { groupId, records: records.length })
    writeInPieces(this.#context, records).catch((error: unknown) => {
      const cause = error instanceof Error ? error : new Error(String(error))
      // The next round tries again, here or wherever the shard is by then.
      logger.warn('Could not remove what a group does not need any more', { groupId, error: cause })
    })
  }

  *#groupIds(): IterableIterator<string> {
    yield* this.#groups.groupIds()
    for (const groupId of this.#offsets.groupIds()) if (this.#groups.find(groupId) === null) yield groupId
  }
}

/**
 * Writes what need not be written all or none, and resolves when it is committed.
 *
 * @throws {CoordinatorFailure} as `ShardContext.write` does; some of the records may be written then.
 */
export async function writeInPieces(
  context: Pick<ShardContext, 'write'>,
  records: readonly CoordinatorRecord[],
): Promise<void> {
  const writes: Promise<void>[] = []
  for (let start = 0; start < records.length; start += RECORDS_PER_WRITE) {
    writes.push(context.write(records.slice(start, start + RECORDS_PER_WRITE)))
  }
  if (writes.length === 0) writes.push(context.write([]))
  await Promise.all(writes)
}
