/** kafkajs, in the process of the test. Of codecs it brings gzip alone and takes the others as plug-ins: here, ours. */
import { randomUUID } from 'node:crypto'
import { createRequire } from 'node:module'
import kafkajs, { Kafka, logLevel, Partitioners } from 'kafkajs'
import type { Admin, Consumer, ISocketFactory, Producer } from 'kafkajs'
import { loadCodec } from '../../../src/records/compression/codec-set.ts'
import type { Settings } from '../support/driver.ts'
import { byPartition, Inbox, LocalDriver, waitFor } from '../support/local-driver.ts'
import type { Handlers } from '../support/local-driver.ts'

const { CompressionCodecs, CompressionTypes } = kafkajs
const { version } = createRequire(import.meta.url)('kafkajs/package.json') as { version: string }

/** What a batch may inflate to, in bytes. */
const BATCH_BYTES_MAX = 16 * 1024 * 1024
const TYPES = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4,
  zstd: CompressionTypes.ZSTD,
}
/** Its types know the ids alone. */
const plugIns: Record<number, unknown> = CompressionCodecs
for (const name of ['snappy', 'lz4', 'zstd'] as const) {
  const codec = await loadCodec(name)
  plugIns[TYPES[name]] = () => ({
    compress: async ({ buffer }: { buffer: Buffer }) => Buffer.from(codec.compress(buffer)),
    decompress: async (bytes: Buffer) => Buffer.from(codec.decompress(bytes, BATCH_BYTES_MAX)),
  })
}

/** A consumer that is closed waits for the fetch under way, which the broker holds back for as long as it is let. */
const QUICK = { maxWaitTimeInMs: 100 }
/** Often enough to last through a change of leader. */
const RETRY = { initialRetryTime: 50, maxRetryTime: 500, retries: 40 }

export class KafkajsDriver extends LocalDriver {
  readonly #kafka: Kafka
  readonly #admin: Admin
  readonly #producers = new Map<boolean, Producer>()
  #isAdminConnected = false
  #consumer: Consumer | null = null
  #inbox = new Inbox()
  #owned: readonly number[] = []
  #topic = ''

  /** @param socketFactory - Undefined: kafkajs's own, over TCP. */
  constructor({ bootstrap }: Settings, socketFactory?: ISocketFactory) {
    super()
    this.#kafka = new Kafka({
      brokers: [...bootstrap],
      logLevel: logLevel.WARN,
      logCreator: () => (entry) => this.log.push(JSON.stringify(entry.log)),
      retry: RETRY,
      ...(socketFactory === undefined ? {} : { socketFactory }),
    })
    this.#admin = this.#kafka.admin()
  }

  protected readonly handlers: Handlers = {
    connect: async () => {
      const { brokers } = await (await this.#connectedAdmin()).describeCluster()
      return { version, brokers: brokers.map(({ nodeId }) => nodeId) }
    },
    create_topic: async ({ topic, partitions: numPartitions, replicas: replicationFactor }) => {
      const admin = await this.#connectedAdmin()
      await admin.createTopics({ topics: [{ topic, numPartitions, replicationFactor }] })
      return null
    },
    describe_topic: async ({ topic }) => {
      const admin = await this.#connectedAdmin()
      if (!(await admin.listTopics()).includes(topic)) return null
      return (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0]!.partitions.length
    },
    delete_topic: async ({ topic }) => {
      await (await this.#connectedAdmin()).deleteTopics({ topics: [topic] })
      return null
    },
    produce: async ({ topic, codec, idempotent, records }) => {
      const producer = await this.#producer(idempotent)
      const offsets = records.map((): number | null => null)
      // A request for each partition: of one to several leaders it forgets, when one of them dies, what the others took.
      const sends = Array.from(byPartition(records), async ([partition, indexes]) => {
        const messages = indexes.map((index) => ({ partition, value: records[index]!.value }))
        const [answer] = await producer.send({ topic, messages, compression: TYPES[codec] })
        const base = Number(answer!.baseOffset)
        for (const [at, index] of indexes.entries()) offsets[index] = base < 0 ? -1 : base + at
      })
      for (const { status, ...failure } of await Promise.allSettled(sends))
        if (status === 'rejected') this.log.push(JSON.stringify(failure))
      return offsets
    },
    read: async ({ topic, partition, from, count }) => {
      const consumer = this.#kafka.consumer({ groupId: `reader-${randomUUID()}`, ...QUICK })
      const inbox = new Inbox()
      const offset =
        'offset' in from ? String(from.offset) : await this.#offsetAt(topic, partition, from.time)
      await this.#run(consumer, topic, (record) => {
        if (record.partition === partition) inbox.push(record)
      })
      consumer.seek({ topic, partition, offset })
      const records = await inbox.take(count, 30_000)
      await consumer.disconnect()
      return records
    },
    join: async ({ group, topic }) => {
      this.#inbox = new Inbox()
      this.#topic = topic
      const consumer = this.#kafka.consumer({
        ...{ groupId: group, heartbeatInterval: 500, sessionTimeout: 10_000, rebalanceTimeout: 10_000 },
        ...QUICK,
        retry: { ...RETRY, restartOnFailure: async () => true },
      })
      consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
        this.#owned = payload.memberAssignment[topic] ?? []
      })
      this.#consumer = consumer
      await this.#run(consumer, topic, (record) => this.#inbox.push(record))
      return null
    },
    owned: async ({ count, ms }) => {
      await waitFor(() => this.#owned.length === count, ms)
      return this.#owned
    },
    take: ({ count, ms }) => this.#inbox.take(count, ms),
    commit: async () => {
      const offsets = Array.from(this.#inbox.taken, ([partition, offset]) => ({
        ...{ topic: this.#topic, partition, offset: String(offset) },
      }))
      await this.#consumer!.commitOffsets(offsets)
      return null
    },
    leave: async () => {
      await this.#consumer?.disconnect()
      this.#consumer = null
      return null
    },
  }

  async end(): Promise<void> {
    await this.#consumer?.disconnect()
    await Promise.all(Array.from(this.#producers.values(), (producer) => producer.disconnect()))
    await this.#admin.disconnect()
  }

  async #run(
    consumer: Consumer,
    topic: string,
    onRecord: (record: { partition: number; offset: number; value: string }) => void,
  ): Promise<void> {
    await consumer.connect()
    await consumer.subscribe({ topic, fromBeginning: true })
    await consumer.run({
      autoCommit: false,
      eachMessage: async ({ partition, message: { offset, value } }) =>
        onRecord({ partition, offset: Number(offset), value: value!.toString() }),
    })
  }

  async #offsetAt(topic: string, partition: number, time: number): Promise<string> {
    const found = await (await this.#connectedAdmin()).fetchTopicOffsetsByTimestamp(topic, time)
    return found.find((each) => each.partition === partition)!.offset
  }

  async #connectedAdmin(): Promise<Admin> {
    if (!this.#isAdminConnected) await this.#admin.connect()
    this.#isAdminConnected = true
    return this.#admin
  }

  async #producer(idempotent: boolean): Promise<Producer> {
    const known = this.#producers.get(idempotent)
    if (known !== undefined) return known
    const createPartitioner = Partitioners.DefaultPartitioner
    const producer = this.#kafka.producer({
      createPartitioner,
      idempotent,
      maxInFlightRequests: 1,
      retry: RETRY,
    })
    this.#producers.set(idempotent, producer)
    await producer.connect()
    return producer
  }
}
