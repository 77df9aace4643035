/**
 * The clients of a cluster swarm: the project's own producer and consumer, with what each knows written down for
 * test/support/log-checker.ts. A record is `id|padding`, and the whole of it is its content.
 */
import { ClientError } from '../../../src/client/client-error.ts'
import type { Client } from '../../../src/client/client.ts'
import type { ConsumerBatch } from '../../../src/client/consumer-options.ts'
import type { Consumer } from '../../../src/client/consumer.ts'
import type { Producer } from '../../../src/client/producer.ts'
import type { ProducerOptions } from '../../../src/client/producer-options.ts'
import type { Prng } from '../../../src/env/sim/prng.ts'
import { LogHistory } from '../../support/log-checker.ts'
import type { LogRead, ReadRecord } from '../../support/log-checker.ts'
import type { SimCluster } from './sim-cluster.ts'

/** The producer's defaults. */
const DELIVERY_MS = 120_000
const LINE_MS = 60_000
/** What a send may take beyond its delivery time: a request that was under way then. */
const OUTCOME_SLACK_MS = 5000

/** Between two sends of a producer that is roused, at most, in virtual ms. */
const ROUSED_MS = 40

export interface Place {
  readonly topic: string
  readonly partition: number
}

export function logName({ topic, partition }: Place): string {
  return `${topic}-${partition}`
}

export function toRead(offset: number, value: Uint8Array | null): ReadRecord {
  const content = Buffer.from(value ?? new Uint8Array(0)).toString()
  return { offset, id: content.slice(0, content.indexOf('|')), content }
}

/** What all producers know together. */
export class Ledger {
  readonly history = new LogHistory()
  /** Highest offset acknowledged to anybody, by log. */
  readonly ackedEnds = new Map<string, number>()
  /** What was acknowledged, in the order in which clients heard of it. */
  readonly answers: { readonly log: string; readonly offset: number }[] = []

  acked(log: string, offset: number): void {
    this.answers.push({ log, offset })
    this.ackedEnds.set(log, Math.max(this.ackedEnds.get(log) ?? 0, offset + 1))
  }
}

export interface SteadyOptions extends ProducerOptions {
  /** Between two sends, at most, in virtual ms. Default 60. */
  readonly everyMs?: number
}

/** Sends without end to places drawn by lot, some records at a time, until it is stopped. */
export class SteadyProducer {
  readonly name: string
  /** How sends ended, by code. */
  readonly outcomes = new Map<string, number>()
  readonly #cluster: SimCluster
  readonly #ledger: Ledger
  readonly #places: readonly Place[]
  readonly #random: Prng
  readonly #client: Client
  readonly #producer: Producer
  readonly #everyMs: number
  /** Virtual ms by which each send that is under way must have its outcome (docs/faults.md S2), by id, oldest first. */
  readonly #due = new Map<string, number>()
  readonly #deliveryMs: number
  #count = 0
  #isStopped = false

  constructor(
    cluster: SimCluster,
    ledger: Ledger,
    name: string,
    places: readonly Place[],
    { everyMs = 60, ...options }: SteadyOptions,
  ) {
    this.name = name
    this.#cluster = cluster
    this.#ledger = ledger
    this.#places = places
    this.#random = cluster.simulation.stream(`producer ${name}`)
    this.#client = cluster.client(name)
    const deliveryTimeoutMs = options.deliveryTimeoutMs ?? DELIVERY_MS
    const lineTimeoutMs = Math.min(deliveryTimeoutMs, LINE_MS)
    this.#producer = this.#client.producer({ ...options, lineTimeoutMs })
    this.#everyMs = everyMs
    this.#deliveryMs = lineTimeoutMs + deliveryTimeoutMs + OUTCOME_SLACK_MS
    this.#later()
  }

  /** Records whose outcome is not known yet. */
  get pendingCount(): number {
    return this.#due.size
  }

  /** The send that should have had its outcome by now, or null (docs/faults.md S2). */
  get overdue(): string | null {
    const [oldest] = this.#due
    return oldest !== undefined && oldest[1] < this.#cluster.simulation.nowMs ? oldest[0] : null
  }

  /** Sends more than it usually does, for so long. */
  rouse(ms: number): void {
    for (let atMs = this.#random.between(0, ROUSED_MS); atMs < ms; atMs += this.#random.between(1, ROUSED_MS))
      this.#cluster.simulation.schedule(atMs, `${this.name} is roused`, () => this.#sendSome())
  }

  /** Sends records to a place until one is acknowledged. */
  async prove(place: Place): Promise<void> {
    while (!(await this.#send(place)))
      await new Promise<void>((resolve) =>
        this.#cluster.simulation.schedule(ROUSED_MS, `${this.name} sends again`, resolve),
      )
  }

  /** Sends nothing new. */
  stop(): void {
    this.#isStopped = true
  }

  close(): Promise<void> {
    return this.#client.close()
  }

  #later(): void {
    this.#cluster.simulation.schedule(this.#random.between(1, this.#everyMs), `${this.name} sends`, () => {
      if (this.#isStopped) return
      this.#sendSome()
      this.#later()
    })
  }

  #sendSome(): void {
    if (this.#isStopped) return
    // One that waits for long sends no more, or a long fault would end in a flood.
    if (this.#due.size < 30) for (let count = 1 + this.#random.below(3); count > 0; count--) void this.#send()
  }

  /** @returns Whether it was acknowledged. */
  async #send(place = this.#places[this.#random.below(this.#places.length)]!): Promise<boolean> {
    const log = logName(place)
    const id = `${this.name}:${this.#count++}`
    const value = `${id}|${'x'.repeat(this.#random.below(150))}`
    const record = this.#ledger.history.sent(this.name, log, id, value)
    this.#due.set(id, this.#cluster.simulation.nowMs + this.#deliveryMs)
    try {
      const { offset } = await this.#producer.send({ ...place, value })
      this.#ledger.history.acknowledged(record, offset < 0 ? null : offset)
      if (offset >= 0) this.#ledger.acked(log, offset)
      this.#note('acknowledged')
      return true
    } catch (error) {
      if (!(error instanceof ClientError)) throw error
      // Its producer was told that it is not in the log.
      if (error.message.includes('it was not')) this.#ledger.history.refused(record)
      this.#note(error.code)
      const { logger } = this.#cluster.simulation.env(this.name)
      logger.debug('Send failed', { record: id, log, error })
      return false
    } finally {
      this.#due.delete(id)
    }
  }

  #note(outcome: string): void {
    this.outcomes.set(outcome, (this.outcomes.get(outcome) ?? 0) + 1)
  }
}

/** Reads all places from the beginning, and goes on reading. */
export class SteadyConsumer {
  readonly name: string
  /** What must not happen to a consumer: its loop ended with an error that is no mere delay, or what it saw went back. */
  readonly faults: string[] = []
  readonly #records = new Map<string, ReadRecord[]>()
  readonly #highWatermarks = new Map<string, number>()
  readonly #client: Client
  readonly #consumer: Consumer
  readonly #places: readonly Place[]
  #isClosed = false

  constructor(cluster: SimCluster, name: string, places: readonly Place[], partitionBytesMax?: number) {
    this.name = name
    this.#places = places
    this.#client = cluster.client(name)
    this.#consumer = this.#client.consumer({
      from: 'beginning',
      ...(partitionBytesMax === undefined ? {} : { partitionBytesMax }),
    })
    this.#consumer.assign(places)
    void this.#read()
  }

  /** Offset after the last record that was read, by log. */
  endOf(place: Place): number {
    return this.#consumer.position(place) ?? 0
  }

  get reads(): readonly LogRead[] {
    return this.#places.map((place) => ({
      reader: this.name,
      log: logName(place),
      records: this.#records.get(logName(place)) ?? [],
      isFinal: false,
    }))
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await this.#client.close()
  }

  async #read(): Promise<void> {
    while (!this.#isClosed) {
      try {
        for await (const batch of this.#consumer.batches()) this.#take(batch)
      } catch (error) {
        if (!(error instanceof ClientError)) throw error
        if (!error.retriable) {
          this.faults.push(`${this.name} ended with ${error.code}: ${error.message}`)
          return
        }
      }
    }
  }

  #take(batch: ConsumerBatch): void {
    const log = logName(batch)
    const seen = this.#highWatermarks.get(log) ?? 0
    if (batch.highWatermark < seen)
      this.faults.push(
        `R7: ${this.name} saw the high watermark of ${log} go from ${seen} to ${batch.highWatermark}`,
      )
    if (batch.nextOffset > batch.highWatermark)
      this.faults.push(`R8: ${this.name} read ${log} to ${batch.nextOffset}, past ${batch.highWatermark}`)
    this.#highWatermarks.set(log, batch.highWatermark)
    const records = this.#records.get(log) ?? []
    this.#records.set(log, records)
    for (const { offset, value } of batch.records) records.push(toRead(offset, value))
  }
}

/** Everything that is in the logs now, read by a client that has known nothing before. */
export async function readAll(cluster: SimCluster, places: readonly Place[]): Promise<LogRead[]> {
  const client = cluster.client('last reader')
  const consumer = client.consumer({ from: 'beginning', untilEnd: true })
  consumer.assign(places)
  const records = new Map(places.map((place) => [logName(place), [] as ReadRecord[]]))
  for await (const record of consumer) records.get(logName(record))!.push(toRead(record.offset, record.value))
  await client.close()
  return [...records].map(([log, found]) => ({ reader: 'last reader', log, records: found, isFinal: true }))
}
