/**
 * A broker process is killed with `kill -9` over and over while producers write to it, each time after a random number of
 * acknowledgements and now and then once more on its way up, and is started again on the same port and directory. The
 * producers live through all of it: two of our own, over TCP and over WebSocket, and kafkajs. Two readers follow at the
 * tail. In the end everything acknowledged is there once, in order, where it was acknowledged, and what a reader was
 * shown was never taken back (F-KILL).
 */
import { CompressionTypes, Kafka, logLevel, Partitioners } from 'kafkajs'
import { afterAll, expect, it } from 'vitest'
import { silentLogger } from '../../src/env/logger.ts'
import { Prng } from '../../src/env/sim/prng.ts'
import { Client, verifyDataDirectory } from '../../src/index.ts'
import type { Consumer, ConsumerRecord, Producer } from '../../src/index.ts'
import { BrokerProcess } from '../support/broker-process.ts'
import { checkLogs, formatFaults, LogHistory } from '../support/log-checker.ts'
import type { LogRead, ReadRecord, SentRecord } from '../support/log-checker.ts'
import { seedFromEnv } from '../support/seed.ts'
import { temporaryDirectory } from '../support/temp-directory.ts'

/** KILLS=… asks for more, as `.ci/run` does. */
const ROUNDS = Number(process.env['KILLS'] ?? '5')
const TOPIC = 'killed'
const PARTITIONS = 4
/** A kill comes after so many acknowledgements of the round at most: some rounds end before much is on its way. */
const ACKS_MAX = 1500
/** Calls of `sendAll` that a producer has under way, and records in one at most. */
const CALLS_IN_FLIGHT = 6
const RECORDS_MAX = 40
/** Lines that a broker logs on its way up, at the level 'info'. */
const START_LOG_LINES = 3
const VALUE_BYTES_MAX = 600

/** Clients look for the broker often: it is back within a fraction of a second. */
const EAGER = { retryBackoffMs: 5, retryBackoffMaxMs: 40, logger: silentLogger }

const seed = seedFromEnv('kill -9')

/** What goes on between the kills: counts acknowledgements and wakes whoever waits for some number of them. */
class Progress {
  #acknowledged = 0
  #wakeAt = Infinity
  #wake: () => void = () => undefined

  add(count: number): void {
    this.#acknowledged += count
    if (this.#acknowledged < this.#wakeAt) return
    this.#wakeAt = Infinity
    this.#wake()
  }

  /** Resolves after `count` more acknowledgements. */
  more(count: number): Promise<void> {
    this.#wakeAt = this.#acknowledged + count
    return new Promise((resolve) => (this.#wake = resolve))
  }
}

const history = new LogHistory()
const progress = new Progress()
const logOf = (partition: number): string => `${TOPIC}-${partition}`

/** Makes the records of one writer; a value is its id and a filler that depends on the id. */
class Writer {
  readonly name: string
  readonly prng: Prng
  #count = 0
  isStopping = false

  constructor(name: string) {
    this.name = name
    this.prng = new Prng(String(seed), name)
  }

  next(partition: number): { readonly value: string; readonly sent: SentRecord } {
    const id = `${this.name}:${this.#count++}`
    const value = `${id} ${id.repeat(this.prng.below(Math.ceil(VALUE_BYTES_MAX / id.length)))}`
    return { value, sent: history.sent(this.name, logOf(partition), id, value) }
  }

  acknowledged(records: readonly SentRecord[], baseOffset: number): void {
    for (const [index, record] of records.entries()) history.acknowledged(record, baseOffset + index)
    progress.add(records.length)
  }
}

/** Keeps some calls under way until it is told to stop; every one of them must succeed. */
async function writeWith(producer: Producer, writer: Writer): Promise<void> {
  const write = async (): Promise<void> => {
    while (!writer.isStopping) {
      const partition = writer.prng.below(PARTITIONS)
      const records = Array.from({ length: 1 + writer.prng.below(RECORDS_MAX) }, () => writer.next(partition))
      const sent = records.map((record) => record.sent)
      const ranges = await producer.sendAll(records.map(({ value }) => ({ topic: TOPIC, partition, value })))
      let index = 0
      for (const { baseOffset, count } of [...ranges].sort((a, b) => a.baseOffset - b.baseOffset)) {
        writer.acknowledged(sent.slice(index, index + count), baseOffset)
        index += count
      }
    }
  }
  await Promise.all(Array.from({ length: CALLS_IN_FLIGHT }, write))
}

/** kafkajs has one request under way at a time: with more, its own retries would write out of order. */
async function writeWithKafkajs(bootstrap: string, writer: Writer): Promise<void> {
  const retry = { initialRetryTime: 20, maxRetryTime: 60, retries: 100_000 }
  const kafka = new Kafka({ brokers: [bootstrap], logLevel: logLevel.NOTHING, retry })
  const producer = kafka.producer({
    idempotent: true,
    maxInFlightRequests: 1,
    retry,
    createPartitioner: Partitioners.DefaultPartitioner,
  })
  await producer.connect()
  while (!writer.isStopping) {
    const partition = writer.prng.below(PARTITIONS)
    const records = Array.from({ length: 1 + writer.prng.below(RECORDS_MAX) }, () => writer.next(partition))
    const compression = writer.prng.below(2) === 0 ? CompressionTypes.GZIP : CompressionTypes.None
    const messages = records.map(({ value }) => ({ partition, value }))
    const [answer] = await producer.send({ topic: TOPIC, messages, compression })
    writer.acknowledged(
      records.map(({ sent }) => sent),
      Number(answer!.baseOffset),
    )
  }
  await producer.disconnect()
}

/** What a consumer is given, by partition in its order. */
class Reader {
  readonly #name: string
  readonly #records = Array.from({ length: PARTITIONS }, (): ReadRecord[] => [])
  readonly #consumer: Consumer

  constructor(name: string, consumer: Consumer) {
    this.#name = name
    this.#consumer = consumer
  }

  async read(): Promise<void> {
    for await (const record of this.#consumer) this.#records[record.partition]!.push(readRecord(record))
  }

  get count(): number {
    return this.#records.reduce((sum, { length }) => sum + length, 0)
  }

  reads(isFinal: boolean): LogRead[] {
    return this.#records.map((records, partition) => ({
      reader: this.#name,
      log: logOf(partition),
      records,
      isFinal,
    }))
  }
}

function readRecord({ offset, value }: ConsumerRecord): ReadRecord {
  const content = value === null ? '' : Buffer.from(value).toString()
  return { offset, id: content.slice(0, content.indexOf(' ')), content }
}

afterAll(() => {
  console.log(`kill -9: ${history.count('acknowledged')} records acknowledged over ${ROUNDS} kills`)
})

it(`F-KILL: ${ROUNDS} times kill -9 under load lose, double, reorder and take back nothing`, async () => {
  const directory = temporaryDirectory('kill')
  const broker = await BrokerProcess.forTest({
    directory,
    logLevel: 'info',
    // Segments roll and recovery points move many times between two kills.
    settings: { 'log.segment.bytes': '262144', 'log.flush.offset.checkpoint.interval.ms': '100' },
  })
  const prng = new Prng(String(seed), 'kills')
  await using tcp = new Client({ bootstrap: broker.bootstrap, clientId: 'tcp', ...EAGER })
  await using webSocket = new Client({ bootstrap: broker.webSocketUrl, clientId: 'webSocket', ...EAGER })
  await tcp.admin().createTopics([{ name: TOPIC, partitions: PARTITIONS }])
  const followers = [tcp, webSocket].map(
    (client, index) =>
      new Reader(
        ['TCP follower', 'WebSocket follower'][index]!,
        client.consumer({ topics: [TOPIC], from: 'beginning' }),
      ),
  )
  const following = followers.map((reader) => reader.read())
  const tcpProducer = tcp.producer()
  const webSocketProducer = webSocket.producer({ compression: 'lz4' })
  const writers = ['tcp', 'webSocket', 'kafkajs'].map((name) => new Writer(name))
  const writing = Promise.all([
    writeWith(tcpProducer, writers[0]!),
    writeWith(webSocketProducer, writers[1]!),
    writeWithKafkajs(broker.bootstrap, writers[2]!),
  ])
  const failed = writing.then(() => Promise.reject(new Error('The writers stopped by themselves')))
  failed.catch(() => undefined) // Told by whoever races with it; in the end they do stop.

  for (let round = 0; round < ROUNDS; round++) {
    await Promise.race([progress.more(prng.below(ACKS_MAX)), failed])
    await broker.kill()
    if (prng.below(3) === 0) await broker.killWhileStarting(1 + prng.below(START_LOG_LINES))
    await Promise.race([broker.restart(), failed])
  }
  for (const writer of writers) writer.isStopping = true
  await writing

  await using lastClient = new Client({ bootstrap: broker.bootstrap })
  const last = new Reader('last', lastClient.consumer({ topics: [TOPIC], from: 'beginning', untilEnd: true }))
  await last.read()
  await lastClient.close()
  await Promise.all([tcp.close(), webSocket.close()])
  await Promise.all(following)
  await broker.stop()

  expect(broker.complaints.filter((line) => line.includes(' ERROR '))).toEqual([])
  const reads = [last.reads(true), ...followers.map((reader) => reader.reads(false))].flat()
  expect(formatFaults(checkLogs(history, reads))).toBe('')
  expect(history.count('unknown')).toBe(0)
  expect(last.count).toBe(history.count('acknowledged'))
  for await (const { faults } of verifyDataDirectory(directory)) expect(faults).toEqual([])
}, 180_000)
