/**
 * What writes to and reads from a topic while a test does harm to its brokers: our client over TCP and WebSocket, kafkajs
 * and librdkafka. Every record goes into a history, which is compared in the end with what is read back (log-checker.ts).
 *
 * A send that fails ends the load, and whoever waits for its progress is told: retrying is the clients' part.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { CompressionTypes, Kafka, logLevel, Partitioners } from 'kafkajs'
import { crc32c } from '../../src/bytes/crc32c.ts'
import { Prng } from '../../src/env/sim/prng.ts'
import type { Consumer, ConsumerRecord, Producer } from '../../src/index.ts'
import { Librdkafka } from './librdkafka.ts'
import { checkLogs, formatFaults, LogHistory } from './log-checker.ts'
import type { LogFault, LogRead, ReadRecord, SentRecord } from './log-checker.ts'

export interface ClusterLoadOptions {
  readonly seed: number
  readonly topic: string
  readonly partitions: number
  /** Records in one call at most. Default 20. */
  readonly recordsMax?: number
  /** Default 400. */
  readonly valueBytesMax?: number
  /** Calls of `sendAll` that one producer has under way. Default 4. */
  readonly callsInFlight?: number
  /** Between two calls of one line of a writer, in ms: the brokers and the test share a machine. Default 4. */
  readonly pauseMs?: number
}

/** Records in one call of the driver of librdkafka: some hundred batches, of which it has five under way. */
const LIBRDKAFKA_RECORDS = 400

export interface LoadVerdict {
  readonly faults: readonly LogFault[]
  /** Records that a reader was given although they were not committed, as the answer that brought them says. */
  readonly aboveHighWatermark: readonly string[]
  /** Where the final read ended, by partition. */
  readonly ends: readonly number[]
}

interface Report {
  readonly offset?: number
  readonly error?: string
}

export class ClusterLoad {
  readonly history = new LogHistory()
  readonly #options: Required<ClusterLoadOptions>
  readonly #writing: Promise<void>[] = []
  readonly #readers: Reader[] = []
  readonly #reading: Promise<void>[] = []
  readonly #failed: Promise<never>
  #fail: (error: Error) => void = () => undefined
  #isStopping = false
  #wakeAt = Infinity
  #wake: () => void = () => undefined
  /** By partition: when the last record was acknowledged. */
  readonly #ackedMs: number[] = []
  #longestGapMs = 0

  constructor(options: ClusterLoadOptions) {
    this.#options = { recordsMax: 20, valueBytesMax: 400, callsInFlight: 4, pauseMs: 4, ...options }
    this.#failed = new Promise((_, reject) => (this.#fail = reject))
    this.#failed.catch(() => undefined) // Told by whoever races with it, and by `stop`.
  }

  /** Keeps calls of `sendAll` under way until the load is stopped. */
  writeWith(name: string, producer: Producer): void {
    const line = async (prng: Prng): Promise<void> => {
      while (!this.#isStopping) {
        const { partition, values, sent } = this.#next(name, prng)
        const ranges = await producer.sendAll(
          values.map((value) => ({ topic: this.#options.topic, partition, value })),
        )
        const isPlaceKnown = ranges.every(({ baseOffset }) => baseOffset >= 0)
        const ascending = [...ranges].sort((a, b) => a.baseOffset - b.baseOffset)
        const offsets = ascending.flatMap(({ baseOffset, count }) =>
          Array.from({ length: count }, (_, index) => baseOffset + index),
        )
        for (const [index, record] of sent.entries())
          this.#acknowledged(record, partition, isPlaceKnown ? offsets[index]! : null)
        await pause(this.#options.pauseMs)
      }
    }
    for (let index = 0; index < this.#options.callsInFlight; index++)
      this.#run(line(new Prng(String(this.#options.seed), `${name} ${index}`)))
  }

  /** Sends to every partition one record after the other, each when the one before is acknowledged: for gaps. */
  writeSteadily(name: string, producer: Producer): void {
    const { topic, partitions } = this.#options
    const line = async (partition: number): Promise<void> => {
      const prng = new Prng(String(this.#options.seed), `${name} ${partition}`)
      while (!this.#isStopping) {
        const { value, sent } = this.#record(name, partition, prng)
        const { offset } = await producer.send({ topic, partition, value })
        this.#acknowledged(sent, partition, offset < 0 ? null : offset)
        await pause(this.#options.pauseMs)
      }
    }
    for (let partition = 0; partition < partitions; partition++) this.#run(line(partition))
  }

  /**
   * kafkajs has one request under way at a time: with more, its own retries would write out of order.
   *
   * @param requestTimeoutMs - When it gives up on a broker that does not answer.
   * @param log - Takes what it has to say.
   */
  writeWithKafkajs(
    name: string,
    bootstrap: readonly string[],
    requestTimeoutMs = 30_000,
    log: (line: string) => void = () => undefined,
  ): void {
    const retry = { initialRetryTime: 20, maxRetryTime: 200, retries: 100_000 }
    const kafka = new Kafka({
      brokers: [...bootstrap],
      logLevel: logLevel.WARN,
      logCreator: () => (entry) => log(`${entry.namespace}: ${JSON.stringify(entry.log)}`),
      retry,
      requestTimeout: requestTimeoutMs,
    })
    const producer = kafka.producer({
      idempotent: true,
      maxInFlightRequests: 1,
      retry,
      createPartitioner: Partitioners.DefaultPartitioner,
    })
    const write = async (): Promise<void> => {
      const { topic, seed, pauseMs } = this.#options
      const prng = new Prng(String(seed), name)
      await this.#connected(producer.connect.bind(producer))
      while (!this.#isStopping) {
        const { partition, values, sent } = this.#next(name, prng)
        const compression = prng.below(2) === 0 ? CompressionTypes.GZIP : CompressionTypes.None
        const messages = values.map((value) => ({ partition, value }))
        const [answer] = await producer.send({ topic, messages, compression })
        const baseOffset = Number(answer!.baseOffset)
        for (const [index, record] of sent.entries())
          this.#acknowledged(record, partition, baseOffset < 0 ? null : baseOffset + index)
        await pause(pauseMs)
      }
      await producer.disconnect()
    }
    this.#run(write())
  }

  /** kafkajs does not ask again for a producer id when it is not answered in time, as by a broker that has only just begun. */
  async #connected(connect: () => Promise<void>): Promise<void> {
    for (;;) {
      try {
        await connect()
        return
      } catch (error) {
        if ((error as Error).name !== 'KafkaJSRequestTimeoutError' || this.#isStopping) throw error
      }
    }
  }

  /** @param python - An interpreter that can import `confluent_kafka`. */
  writeWithLibrdkafka(name: string, python: string, bootstrap: readonly string[]): void {
    const rdkafka = new Librdkafka(python, {
      'bootstrap.servers': bootstrap.join(','),
      'enable.idempotence': true,
      'linger.ms': 0,
      'batch.num.messages': 10,
      'reconnect.backoff.max.ms': 500,
      log_level: 2, // That brokers go is the point.
    })
    const write = async (): Promise<void> => {
      const { topic, partitions, seed } = this.#options
      const prng = new Prng(String(seed), name)
      while (!this.#isStopping) {
        const batch = Array.from({ length: LIBRDKAFKA_RECORDS }, () => {
          const partition = prng.below(partitions)
          return { partition, ...this.#record(name, partition, prng) }
        })
        const records = batch.map(({ partition, value }) => ({ partition, value }))
        const reports = await rdkafka.do<Report[]>('produce', { topic, records })
        for (const [index, { partition, sent }] of batch.entries()) {
          const { offset, error } = reports[index] ?? { error: 'no report' }
          if (error !== undefined) throw new Error(`librdkafka could not write ${sent.id}: ${error}`)
          this.#acknowledged(sent, partition, offset === undefined || offset < 0 ? null : offset)
        }
      }
      await rdkafka.end()
    }
    this.#run(write())
  }

  /** Reads on until its consumer is closed. */
  follow(name: string, consumer: Consumer): void {
    const reader = new Reader(name, this.#options.partitions)
    this.#readers.push(reader)
    const reading = reader.read(consumer)
    reading.catch(this.#fail)
    this.#reading.push(reading)
  }

  /** Resolves after `count` more acknowledgements. One at a time. @throws When a writer or follower has failed. */
  async more(count: number): Promise<void> {
    this.#wakeAt = this.history.count('acknowledged') + count
    await this.while(new Promise<void>((resolve) => (this.#wake = resolve)))
  }

  /** Resolves when every partition has had an acknowledgement after the call. @throws As `more`. */
  async everywhere(): Promise<void> {
    const sinceMs = performance.now()
    const { partitions } = this.#options
    while (
      Array.from({ length: partitions }, (_, index) => this.#ackedMs[index] ?? 0).some((ms) => ms <= sinceMs)
    )
      await this.more(1)
  }

  /** Waits for `work`. @throws When a writer or follower fails meanwhile. */
  async while<T>(work: Promise<T>): Promise<T> {
    return Promise.race([work, this.#failed])
  }

  /** Where everybody stands, a line each: what was sent and has no outcome, and how far every follower has come. */
  describe(): readonly string[] {
    const open = new Map<string, { count: number; first: SentRecord }>()
    for (const record of this.history.records()) {
      if (record.outcome !== 'unknown') continue
      const line = open.get(`${record.producer} to ${record.log}`)
      if (line === undefined) open.set(`${record.producer} to ${record.log}`, { count: 1, first: record })
      else line.count++
    }
    const counts = `acknowledged ${this.history.count('acknowledged')}, without outcome ${this.history.count('unknown')}`
    return [
      counts,
      ...[...open].map(([line, { count, first }]) => `${line}: ${count} without outcome from ${first.id} on`),
      ...this.#readers.map((reader) => reader.describe()),
    ]
  }

  /** Longest time without an acknowledgement of some partition since the last call, in ms. */
  takeLongestGapMs(): number {
    const nowMs = performance.now()
    const openMs = this.#ackedMs.map((ackedMs) => nowMs - ackedMs)
    const longestMs = Math.max(this.#longestGapMs, ...openMs)
    this.#longestGapMs = 0
    this.#ackedMs.fill(nowMs)
    return longestMs
  }

  /** Resolves when everything sent has its outcome. */
  async stop(): Promise<void> {
    this.#isStopping = true
    await this.while(Promise.all(this.#writing))
  }

  /**
   * Reads the topic to its end, and compares that and what followers saw with what was sent. Followers must be closed.
   *
   * @returns Every promise that was broken, a line each; empty if none.
   */
  async check(consumer: Consumer): Promise<string> {
    const { faults, aboveHighWatermark } = await this.judge(consumer)
    return [formatFaults(faults), ...aboveHighWatermark].filter((line) => line !== '').join('\n')
  }

  /** As `check`. @param others - What else was read by whomever. */
  async judge(consumer: Consumer, others: readonly LogRead[] = []): Promise<LoadVerdict> {
    const followers = [...this.#readers]
    const last = new Reader('last', this.#options.partitions)
    this.#readers.push(last)
    await last.read(consumer)
    await Promise.all(this.#reading)
    const reads = [
      ...last.reads(this.#options.topic, true),
      ...followers.flatMap((reader) => reader.reads(this.#options.topic, false)),
      ...others,
    ]
    return {
      faults: checkLogs(this.history, reads),
      aboveHighWatermark: [...followers, last].flatMap((reader) => reader.aboveHighWatermark),
      ends: last.ends,
    }
  }

  #run(work: Promise<void>): void {
    work.catch(this.#fail)
    this.#writing.push(work)
  }

  #next(name: string, prng: Prng): { partition: number; values: string[]; sent: SentRecord[] } {
    const partition = prng.below(this.#options.partitions)
    const length = 1 + prng.below(this.#options.recordsMax)
    const records = Array.from({ length }, () => this.#record(name, partition, prng))
    return {
      partition,
      values: records.map(({ value }) => value),
      sent: records.map(({ sent }) => sent),
    }
  }

  /** A value is an id and a filler that depends on it. */
  #record(name: string, partition: number, prng: Prng): { value: string; sent: SentRecord } {
    const { topic, valueBytesMax } = this.#options
    const id = `${name}:${(this.#count++).toString()}`
    const value = `${id} ${id.repeat(prng.below(Math.ceil(valueBytesMax / id.length)))}`
    return { value, sent: this.history.sent(name, `${topic}-${partition}`, id, digestOf(Buffer.from(value))) }
  }
  #count = 0

  #acknowledged(record: SentRecord, partition: number, offset: number | null): void {
    this.history.acknowledged(record, offset)
    const nowMs = performance.now()
    this.#longestGapMs = Math.max(this.#longestGapMs, nowMs - (this.#ackedMs[partition] ?? nowMs))
    this.#ackedMs[partition] = nowMs
    if (this.history.count('acknowledged') < this.#wakeAt) return
    this.#wakeAt = Infinity
    this.#wake()
  }
}

/** What a consumer is given, by partition in its order. */
class Reader {
  readonly #name: string
  readonly #records: ReadRecord[][]
  readonly aboveHighWatermark: string[] = []
  #hasEnded = false

  constructor(name: string, partitions: number) {
    this.#name = name
    this.#records = Array.from({ length: partitions }, () => [])
  }

  async read(consumer: Consumer): Promise<void> {
    for await (const { records, partition, highWatermark } of consumer.batches()) {
      for (const record of records) this.#records[partition]!.push(readRecord(record))
      const { offset } = records.at(-1)!
      if (offset >= highWatermark)
        this.aboveHighWatermark.push(
          `${this.#name} was given offset ${offset} of partition ${partition}, and the high watermark was ${highWatermark}`,
        )
    }
    this.#hasEnded = true
  }

  get ends(): readonly number[] {
    return this.#records.map((records) => (records.at(-1)?.offset ?? -1) + 1)
  }

  describe(): string {
    return `${this.#name} has read up to ${this.ends.join(', ')}${this.#hasEnded ? ' and has ended' : ''}`
  }

  reads(topic: string, isFinal: boolean): LogRead[] {
    return this.#records.map((records, partition) => ({
      reader: this.#name,
      log: `${topic}-${partition}`,
      records,
      isFinal,
    }))
  }
}

export function readRecord({ offset, value }: ConsumerRecord): ReadRecord {
  const bytes = Buffer.from(value ?? [])
  return {
    offset,
    id: bytes.toString('latin1', 0, Math.max(0, bytes.indexOf(' '))),
    content: digestOf(bytes),
  }
}

/** Of a million records the whole content would be too much to keep. */
function digestOf(value: Uint8Array): string {
  return `${value.length} ${crc32c(value)}`
}
