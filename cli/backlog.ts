/**
 * The last records of a topic: the newest ones over all partitions, in the order of their times.
 *
 * Invariants: at most `2 × count` records are held; records of one partition keep their order, whatever their times say.
 */
import type { ShownRecord } from './record-format.ts'

export class Backlog {
  readonly #count: number
  #records: ShownRecord[] = []

  /** @param count - How many records are wanted. */
  constructor(count: number) {
    this.#count = count
  }

  /** @param record - Records of one partition come in ascending order of offset. */
  add(record: ShownRecord): void {
    this.#records.push(record)
    if (this.#records.length >= 2 * this.#count) this.#records = this.#newest()
  }

  /** The records that were kept, oldest first. */
  take(): readonly ShownRecord[] {
    return mergeByTime(this.#newest())
  }

  #newest(): ShownRecord[] {
    // Later offsets of a partition count as newer even if their times say otherwise, as `mergeByTime` orders them.
    const ordered = mergeByTime(this.#records)
    return ordered.slice(Math.max(0, ordered.length - this.#count))
  }
}

/**
 * Merges partitions by time: always the partition whose next record is oldest goes on; of equal times the lower partition.
 * A record that is dated before its predecessor follows at once.
 */
export function mergeByTime(records: readonly ShownRecord[]): ShownRecord[] {
  const latest = new Map<number, number>()
  const keyed = records
    .toSorted((a, b) => a.partition - b.partition || a.offset - b.offset)
    .map((record) => {
      const time = Math.max(record.timestamp, latest.get(record.partition) ?? -1)
      latest.set(record.partition, time)
      return { record, time }
    })
  keyed.sort((a, b) => a.time - b.time) // stable: partition and offset decide among equals
  return keyed.map(({ record }) => record)
}
