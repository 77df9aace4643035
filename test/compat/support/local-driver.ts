/** What drivers have in common that run in the process of the test, or whose client pushes what it reads. */
import { setTimeout as pause } from 'node:timers/promises'
import type { Commands, Driver, ReadRecord, SentRecord } from './driver.ts'

/** Between two looks at what a client has done by itself, in ms. */
const LOOK_MS = 10

/** Waits until something holds, at most `ms`. */
export async function waitFor(holds: () => boolean, ms: number): Promise<void> {
  const endMs = performance.now() + ms
  while (!holds() && performance.now() < endMs) await pause(LOOK_MS)
}

/** Records that came and were not taken, and where what was taken ends. */
export class Inbox {
  readonly #waiting: ReadRecord[] = []
  /** The offset after the last record taken, by partition. */
  readonly taken = new Map<number, number>()

  push(record: ReadRecord): void {
    this.#waiting.push(record)
  }

  async take(count: number, ms: number): Promise<ReadRecord[]> {
    await waitFor(() => this.#waiting.length >= count, ms)
    const records = this.#waiting.splice(0, count)
    for (const { partition, offset } of records) this.taken.set(partition, offset + 1)
    return records
  }
}

/** Indexes of the records of each partition. */
export function byPartition(records: readonly SentRecord[]): Map<number, number[]> {
  const found = new Map<number, number[]>()
  for (const [index, { partition }] of records.entries()) {
    const indexes = found.get(partition)
    if (indexes === undefined) found.set(partition, [index])
    else indexes.push(index)
  }
  return found
}

/** A driver is a table of its commands. */
export type Handlers = { [Name in keyof Commands]: (args: Commands[Name][0]) => Promise<Commands[Name][1]> }

export abstract class LocalDriver implements Driver {
  readonly log: string[] = []
  protected abstract readonly handlers: Handlers

  do<Name extends keyof Commands>(name: Name, args: Commands[Name][0]): Promise<Commands[Name][1]> {
    return this.handlers[name](args)
  }

  abstract end(): Promise<void>
}
