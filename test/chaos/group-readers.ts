/**
 * Members of one group that read the topic while its brokers are harmed, come and go, and commit what they have handled. What each
 * was given of a partition, from its assignment to its end, is a read for the checker: in order, without a gap. In the end
 * every record was handled by somebody, and what was handled is what is committed (G4).
 */
import type { Client, ConsumerRecord, GroupConsumer } from '../../src/index.ts'
import { readRecord } from '../support/cluster-load.ts'
import type { LogRead, ReadRecord } from '../support/log-checker.ts'

const GROUP = 'chaos'
/** Between two looks at how far the group has come, in ms. */
const LOOK_MS = 50

interface Member {
  readonly consumer: GroupConsumer
  readonly done: Promise<void>
}

export class GroupReaders {
  readonly #client: Client
  readonly #topic: string
  readonly #reads: { reader: string; log: string; records: ReadRecord[] }[] = []
  readonly #handled: Set<number>[]
  readonly #members: Member[] = []
  #joined = 0

  constructor(client: Client, topic: string, partitions: number) {
    this.#client = client
    this.#topic = topic
    this.#handled = Array.from({ length: partitions }, () => new Set())
  }

  /** What each member was given of each partition it had. */
  get reads(): readonly LogRead[] {
    return this.#reads.map((read) => ({ ...read, isFinal: false }))
  }

  /** Different records that were handled. */
  get handledCount(): number {
    return this.#handled.reduce((sum, { size }) => sum + size, 0)
  }

  join(): void {
    const name = `member ${++this.#joined}`
    /** What it has now: by partition, the read that goes on. */
    const current = new Map<number, ReadRecord[]>()
    const consumer = consumerOf(this.#client, this.#topic, (partition, isGiven) => {
      if (!isGiven) current.delete(partition)
      else current.set(partition, this.#begin(name, partition))
    })
    const read = async (): Promise<void> => {
      for await (const record of consumer)
        this.#handle(record, current.get(record.partition) ?? this.#begin(name, record.partition))
    }
    const done = read()
    done.catch(() => undefined) // Told by whoever lets it leave.
    this.#members.push({ consumer, done })
  }

  /** The member that has been there for longest leaves, and another comes. @throws Why it could not, or had ended before. */
  async replace(): Promise<void> {
    this.join()
    await this.#leave(this.#members.shift()!)
  }

  /**
   * Waits until everything up to `ends` was handled, lets all leave, and compares what is committed.
   *
   * @returns What is wrong, a line each.
   */
  async finish(ends: readonly number[], timeoutMs: number): Promise<readonly string[]> {
    const deadlineMs = performance.now() + timeoutMs
    const missing = (): string[] =>
      ends.flatMap((end, partition) => {
        const handled = this.#handled[partition]!
        if (handled.size >= end) return []
        let first = 0
        while (handled.has(first)) first++
        return [
          `partition ${partition}: ${handled.size} of ${end} records were handled by the group, not offset ${first}`,
        ]
      })
    while (missing().length > 0 && performance.now() < deadlineMs)
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
    const faults = missing()
    for (const member of this.#members.splice(0)) await this.#leave(member)
    const [listed] = await this.#client.admin().listGroupOffsets([GROUP])
    for (const [partition, end] of ends.entries()) {
      const committed =
        listed!.offsets.find((each) => each.topic === this.#topic && each.partition === partition)?.offset ??
        0
      if (committed !== end)
        faults.push(`partition ${partition}: ${committed} is committed by the group, and it ends at ${end}`)
    }
    return faults
  }

  #begin(name: string, partition: number): ReadRecord[] {
    const records: ReadRecord[] = []
    this.#reads.push({
      reader: `${name}, read ${this.#reads.length}`,
      log: `${this.#topic}-${partition}`,
      records,
    })
    return records
  }

  #handle(record: ConsumerRecord, records: ReadRecord[]): void {
    records.push(readRecord(record))
    this.#handled[record.partition]!.add(record.offset)
  }

  async #leave({ consumer, done }: Member): Promise<void> {
    await consumer.close()
    await done
  }
}

function consumerOf(
  client: Client,
  topic: string,
  onOwner: (partition: number, isGiven: boolean) => void,
): GroupConsumer {
  const tell = (isGiven: boolean) => (partitions: readonly { readonly partition: number }[]) => {
    for (const { partition } of partitions) onOwner(partition, isGiven)
  }
  return client.consumer({
    group: GROUP,
    topics: [topic],
    from: 'beginning',
    commitIntervalMs: 200,
    onAssigned: tell(true),
    onRevoked: tell(false),
    onLost: tell(false),
  })
}
