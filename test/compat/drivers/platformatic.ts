/** @platformatic/kafka, in the process of the test. */
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { inspect } from 'node:util'
import { Admin, Consumer, Producer, stringDeserializers, stringSerializers } from '@platformatic/kafka'
import type { Message, MessagesStream } from '@platformatic/kafka'
import type { Settings } from '../support/driver.ts'
import { byPartition, Inbox, LocalDriver, waitFor } from '../support/local-driver.ts'
import type { Handlers } from '../support/local-driver.ts'

/** Beside its `dist`: the package does not export its manifest. */
const manifest = new URL('../package.json', import.meta.resolve('@platformatic/kafka'))
const { version } = JSON.parse(readFileSync(fileURLToPath(manifest), 'utf8')) as { version: string }

type TextProducer = Producer<string, string, string, string>
type TextConsumer = Consumer<string, string, string, string>
type TextStream = MessagesStream<string, string, string, string>

/**
 * It tries again at the broker that it began with, and looks who leads only when it has given up: so it gives up soon. Times
 * in ms.
 */
const RETRY = { retries: 3, retryDelay: 250, metadataMaxAge: 500 }
/** A consumer that is closed waits for the fetch under way, which the broker holds back for as long as it is let. */
const FETCH_WAIT_MS = 100
const READ_MS_MAX = 30_000

export class PlatformaticDriver extends LocalDriver {
  readonly #place: { readonly clientId: string; readonly bootstrapBrokers: string[] }
  readonly #protocol: Settings['protocol']
  readonly #admin: Admin
  readonly #producers = new Map<string, TextProducer>()
  #consumer: TextConsumer | null = null
  #stream: TextStream | null = null
  #inbox = new Inbox()
  #topic = ''

  constructor({ bootstrap, protocol }: Settings) {
    super()
    this.#place = { clientId: 'compatibility', bootstrapBrokers: [...bootstrap] }
    this.#protocol = protocol
    this.#admin = new Admin({ ...this.#place, ...RETRY })
  }

  protected readonly handlers: Handlers = {
    connect: async () => {
      const { brokers } = await this.#admin.metadata({ topics: [] })
      return { version, brokers: [...brokers.keys()] }
    },
    create_topic: async ({ topic, partitions, replicas }) => {
      await this.#admin.createTopics({ topics: [topic], partitions, replicas })
      return null
    },
    describe_topic: async ({ topic }) => {
      if (!(await this.#admin.listTopics()).includes(topic)) return null
      const { topics } = await this.#admin.metadata({ topics: [topic], forceUpdate: true })
      return topics.get(topic)!.partitionsCount
    },
    delete_topic: async ({ topic }) => {
      await this.#admin.deleteTopics({ topics: [topic] })
      return null
    },
    produce: async ({ topic, codec, idempotent, records }) => {
      const key = `${codec} ${idempotent}`
      const producer =
        this.#producers.get(key) ??
        new Producer({
          ...this.#place,
          ...RETRY,
          serializers: stringSerializers,
          compression: codec,
          idempotent,
        })
      this.#producers.set(key, producer)
      const offsets = records.map((): number | null => null)
      // It tells the first offset of each partition's records.
      const sends = Array.from(byPartition(records), async ([partition, indexes]) => {
        const messages = indexes.map((index) => ({ topic, partition, value: records[index]!.value }))
        const answer = await producer.send({ messages, acks: -1 })
        const base = Number(answer.offsets![0]!.offset)
        for (const [at, index] of indexes.entries()) offsets[index] = base < 0 ? -1 : base + at
      })
      for (const each of await Promise.allSettled(sends))
        if (each.status === 'rejected') this.log.push(inspect(each.reason))
      return offsets
    },
    read: async ({ topic, partition, from, count }) => {
      const consumer = this.#newConsumer(`reader-${randomUUID()}`)
      const metadata = await this.#admin.metadata({ topics: [topic], forceUpdate: true })
      const partitions = Array.from(
        { length: metadata.topics.get(topic)!.partitionsCount },
        (_, each) => each,
      )
      let offset = 'offset' in from ? BigInt(from.offset) : -1n
      if ('time' in from) {
        const found = await consumer.listOffsets({ topics: [topic], timestamp: BigInt(from.time) })
        offset = found.get(topic)![partition]!
      }
      const offsets = partitions.map((each) => ({
        topic,
        partition: each,
        offset: each === partition ? offset : 0n,
      }))
      const stream = await consumer.consume({
        ...{ topics: [topic], mode: 'manual', offsets, autocommit: false, maxWaitTime: FETCH_WAIT_MS },
      })
      const inbox = new Inbox()
      this.#listen(stream, (message) => {
        if (message.partition === partition) inbox.push(recordOf(message))
      })
      const records = await inbox.take(count, READ_MS_MAX)
      await stream.close()
      await consumer.close()
      return records
    },
    join: async ({ group, topic }) => {
      this.#inbox = new Inbox()
      this.#topic = topic
      this.#consumer = this.#newConsumer(group)
      await this.#consume(this.#consumer)
      return null
    },
    owned: async ({ count, ms }) => {
      await waitFor(() => this.#owned().length === count, ms)
      return this.#owned()
    },
    take: ({ count, ms }) => this.#inbox.take(count, ms),
    commit: async () => {
      const offsets = Array.from(this.#inbox.taken, ([partition, offset]) => ({
        ...{ topic: this.#topic, partition, offset: BigInt(offset), leaderEpoch: -1 },
      }))
      await this.#consumer!.commit({ offsets })
      return null
    },
    leave: async () => {
      await this.#leave()
      return null
    },
  }

  async end(): Promise<void> {
    await this.#leave()
    await Promise.all(Array.from(this.#producers.values(), (producer) => producer.close()))
    await this.#admin.close()
  }

  /**
   * Reads for the group. A stream ends with an error when the broker that it reads from has died, for its fetches stay with
   * that one: then the program has to begin another, from what was taken.
   */
  async #consume(consumer: TextConsumer): Promise<void> {
    const stream = await consumer.consume({
      ...{ topics: [this.#topic], mode: 'committed', fallbackMode: 'earliest', autocommit: false },
      maxWaitTime: FETCH_WAIT_MS,
    })
    this.#stream = stream
    this.#listen(stream, (message) => this.#inbox.push(recordOf(message)))
    stream.once('error', () => void this.#consumeAgain(consumer))
  }

  async #consumeAgain(consumer: TextConsumer): Promise<void> {
    while (this.#consumer === consumer) {
      try {
        await this.#consume(consumer)
        return
      } catch (error) {
        this.log.push(inspect(error))
        await pause(RETRY.retryDelay)
      }
    }
  }

  #owned(): readonly number[] {
    return (this.#consumer?.assignments ?? []).flatMap(({ topic, partitions }) =>
      topic === this.#topic ? partitions : [],
    )
  }

  async #leave(): Promise<void> {
    const [stream, consumer] = [this.#stream, this.#consumer]
    this.#stream = null
    this.#consumer = null
    await stream?.close()
    await consumer?.close()
  }

  #newConsumer(groupId: string): TextConsumer {
    const common = { ...this.#place, ...RETRY, groupId, deserializers: stringDeserializers }
    if (this.#protocol === 'consumer') return new Consumer({ ...common, groupProtocol: 'consumer' })
    return new Consumer({
      ...{ ...common, sessionTimeout: 10_000, rebalanceTimeout: 10_000, heartbeatInterval: 500 },
    })
  }

  #listen(stream: TextStream, onMessage: (message: TextMessage) => void): void {
    stream.on('data', onMessage)
    stream.on('error', (error) => this.log.push(inspect(error)))
  }
}

type TextMessage = Message<string, string, string, string>

const recordOf = ({ partition, offset, value }: TextMessage) => ({ partition, offset: Number(offset), value })
