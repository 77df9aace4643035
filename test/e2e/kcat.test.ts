/**
 * kcat (librdkafka in C) against a broker process: every way of producing, reading and asking that it has without groups
 * and transactions. What it prints on standard error is part of each check.
 */
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { Client } from '../../src/index.ts'
import { findApi } from '../../src/protocol/apis.ts'
import { BrokerProcess } from '../support/broker-process.ts'
import { run } from '../support/child-process.ts'
import { readAll, readValues, textOf } from '../support/collect.ts'
import { kcat as kcatProgram, skipUnless } from '../support/programs.ts'
import { storedBatches, storedCodecs } from '../support/stored-batches.ts'
import { temporaryDirectory } from '../support/temp-directory.ts'

const CODECS = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const
/** Kafka's API key of FindCoordinator: librdkafka takes a broker without it for one too old for lz4. */
const FIND_COORDINATOR = 10
/** Default of `max.message.bytes`, in bytes of the whole batch. */
const BATCH_BYTES_MAX = 1_048_588

skipUnless(kcatProgram())('kcat', () => {
  let broker: BrokerProcess
  let directory = ''

  beforeAll(async () => {
    directory = temporaryDirectory('kcat')
    broker = await BrokerProcess.start({ directory })
  })
  afterAll(() => broker.kill())

  /** Runs kcat; it must succeed and complain of nothing. */
  async function kcat(args: readonly string[], input: string | Uint8Array = ''): Promise<string> {
    const { code, out, err } = await run('kcat', ['-b', broker.bootstrap, ...args], { input })
    expect({ code, err }).toEqual({ code: 0, err: '' })
    return out.toString()
  }

  /** The end of a partition is an empty answer: the broker holds it back for as long as kcat lets it. */
  const TO_THE_END = ['-C', '-q', '-e', '-X', 'fetch.wait.max.ms=20'] as const

  const read = (topic: string, ...args: string[]): Promise<string> =>
    kcat([...TO_THE_END, '-t', topic, ...args])

  async function createTopic(name: string, partitions = 1, configs: Record<string, string> = {}) {
    await using client = new Client({ bootstrap: broker.bootstrap })
    await client.admin().createTopics([{ name, partitions, configs }])
  }

  it('lists the broker as controller, and topics with their partitions', async () => {
    await createTopic('listed', 3)

    const metadata = JSON.parse(await kcat(['-L', '-J', '-t', 'listed'])) as unknown

    const partition = (index: number) => ({
      partition: index,
      leader: 1,
      replicas: [{ id: 1 }],
      isrs: [{ id: 1 }],
    })
    expect(metadata).toMatchObject({
      controllerid: 1,
      brokers: [{ id: 1, name: broker.bootstrap }],
      topics: [{ topic: 'listed', partitions: [partition(0), partition(1), partition(2)] }],
    })
  })

  it('creates a topic by writing to it, with the default settings', async () => {
    await kcat(['-P', '-t', 'made-by-writing'], 'one\ntwo\n')

    expect(await readValues(broker.bootstrap, 'made-by-writing')).toEqual(['one', 'two'])
  })

  it('is told that a topic is unknown when it may not create it', async () => {
    const args = ['-C', '-e', '-t', 'nobody-made-this', '-X', 'allow.auto.create.topics=false']
    const { code, err } = await run('kcat', ['-b', broker.bootstrap, ...args])

    expect(code).toBe(1)
    expect(err).toBe('% ERROR: Topic nobody-made-this error: Broker: Unknown topic or partition\n')
    await using client = new Client({ bootstrap: broker.bootstrap })
    expect((await client.admin().listTopics()).map(({ name }) => name)).not.toContain('nobody-made-this')
  })

  for (const codec of CODECS) {
    it(`writes with ${codec} what our client reads, and reads with ${codec} what our client writes`, async () => {
      const topic = `codec-${codec}`
      const lines = Array.from({ length: 500 }, (_, index) => `line ${index} ${'abc'.repeat(index % 50)}`)
      await createTopic(topic, 2)

      // All at once: a batch of one line would not become smaller, and stay as it is.
      await kcat(['-P', '-t', topic, '-p', '0', '-z', codec, '-X', 'linger.ms=500'], `${lines.join('\n')}\n`)
      await using client = new Client({ bootstrap: broker.bootstrap })
      await using producer = client.producer({ compression: codec })
      await producer.sendAll(lines.map((value) => ({ topic, partition: 1, value })))

      const records = await readAll(broker.bootstrap, topic)
      for (const partition of [0, 1]) {
        const values = records.filter((record) => record.partition === partition)
        expect(values.map(({ value }) => textOf(value))).toEqual(lines)
        expect(await read(topic, '-p', String(partition))).toBe(`${lines.join('\n')}\n`)
      }
      const isGated = codec === 'lz4' && findApi(FIND_COORDINATOR) === null
      expect(await storedCodecs(directory, topic, 0)).toEqual([isGated ? 'none' : codec])
      expect(await storedCodecs(directory, topic, 1)).toEqual([codec])
    })
  }

  it('carries keys, headers, null values and empty ones in both directions', async () => {
    const topic = 'fields'
    await createTopic(topic)
    const headers = ['-H', 'trace=1', '-H', 'trace=2', '-H', 'empty=']

    await kcat(['-P', '-t', topic, '-K', '|', '-Z', ...headers], 'key|value\n|without key\nwithout value|\n')
    await using client = new Client({ bootstrap: broker.bootstrap })
    await using producer = client.producer()
    await producer.send({ topic, key: '', value: '', headers: [['h', 'v']] })

    const records = await readAll(broker.bootstrap, topic)
    const texts = records.map(({ key, value }) => [textOf(key), textOf(value)])
    expect(texts).toEqual([
      ['key', 'value'],
      [null, 'without key'],
      ['without value', null],
      ['', ''],
    ])
    expect(records[0]!.headers.map(({ key, value }) => [key, textOf(value)])).toEqual([
      ['trace', '1'],
      ['trace', '2'],
      ['empty', ''],
    ])
    const seen = (await read(topic, '-J')).trimEnd().split('\n')
    expect(seen.map((line) => JSON.parse(line) as unknown)).toMatchObject([
      { offset: 0, key: 'key', payload: 'value', headers: ['trace', '1', 'trace', '2', 'empty', ''] },
      { offset: 1, key: null, payload: 'without key' },
      { offset: 2, key: 'without value', payload: null },
      { offset: 3, key: '', payload: '', headers: ['h', 'v'] },
    ])
  })

  it('sends any bytes and gets the same bytes', async () => {
    const topic = 'bytes'
    const bytes = Uint8Array.from({ length: 4096 }, (_, index) => (index * 7 + (index >> 8)) & 0xff)
    const file = join(temporaryDirectory('kcat-bytes'), 'bytes')
    writeFileSync(file, bytes)

    await kcat(['-P', '-t', topic, file])
    const { out } = await run('kcat', ['-b', broker.bootstrap, ...TO_THE_END, '-t', topic, '-f', '%s'])

    expect(Buffer.compare(out, bytes)).toBe(0)
    expect(Buffer.compare(Buffer.from((await readAll(broker.bootstrap, topic))[0]!.value!), bytes)).toBe(0)
  })

  it('spreads keys over partitions as Java and we do, when asked for murmur2', async () => {
    const topic = 'spread'
    await createTopic(topic, 5)
    const keys = Array.from({ length: 100 }, (_, index) => `key-${index}`)
    const input = keys.map((key) => `${key}|kcat\n`).join('')

    await kcat(['-P', '-t', topic, '-K', '|', '-X', 'topic.partitioner=murmur2'], input)
    await using client = new Client({ bootstrap: broker.bootstrap })
    await using producer = client.producer()
    await producer.sendAll(keys.map((key) => ({ topic, key, value: 'ours' })))

    const records = await readAll(broker.bootstrap, topic)
    const placesOf = (value: string) =>
      new Map(
        records.filter((r) => textOf(r.value) === value).map((r) => [textOf(r.key), r.partition] as const),
      )
    expect(placesOf('kcat').size).toBe(100)
    expect(placesOf('kcat')).toEqual(placesOf('ours'))
    expect(new Set(placesOf('kcat').values()).size).toBe(5)
  })

  it('reads from the beginning, the end, an offset, the last N, and a time', async () => {
    const topic = 'places'
    await createTopic(topic)
    await using client = new Client({ bootstrap: broker.bootstrap })
    await using producer = client.producer()
    const records = Array.from({ length: 10 }, (_, index) => ({
      topic,
      value: `v${index}`,
      timestamp: 1_700_000_000_000 + index * 1000,
    }))
    // Batches of two: a place within a batch must be found, too.
    for (let index = 0; index < 10; index += 2) await producer.sendAll(records.slice(index, index + 2))

    const from = async (offset: string, ...more: string[]): Promise<string> =>
      (await read(topic, '-o', offset, ...more)).replaceAll('\n', ' ').trim()

    expect(await from('beginning', '-c', '2')).toBe('v0 v1')
    expect(await from('end')).toBe('')
    expect(await from('7')).toBe('v7 v8 v9')
    expect(await from('-3')).toBe('v7 v8 v9')
    expect(await from('s@1700000005000')).toBe('v5 v6 v7 v8 v9')
    expect(await from('s@1700000004500')).toBe('v5 v6 v7 v8 v9')
    expect(await from('s@1700000003000', '-o', 'e@1700000006000')).toBe('v3 v4 v5')
    expect(await from('s@1800000000000')).toBe('')
    expect(await kcat(['-Q', '-t', `${topic}:0:-2`])).toBe(`${topic} [0] offset 0\n`)
    expect(await kcat(['-Q', '-t', `${topic}:0:-1`])).toBe(`${topic} [0] offset 10\n`)
    expect(await kcat(['-Q', '-t', `${topic}:0:1700000004500`])).toBe(`${topic} [0] offset 5\n`)
    expect(await kcat(['-Q', '-t', `${topic}:0:1800000000000`])).toBe(`${topic} [0] offset -1\n`)
  })

  it('finds a time within a compressed batch', async () => {
    const topic = 'times-compressed'
    await createTopic(topic)
    await using client = new Client({ bootstrap: broker.bootstrap })
    await using producer = client.producer({ compression: 'gzip' })
    const records = Array.from({ length: 10 }, (_, index) => ({
      topic,
      value: `v${index}`,
      timestamp: 1_700_000_000_000 + index * 1000,
    }))
    await producer.sendAll(records)

    const found = await kcat(['-Q', '-t', `${topic}:0:1700000004500`])

    expect(await storedBatches(directory, topic)).toHaveLength(1)
    expect(found).toBe(`${topic} [0] offset 5\n`)
  })

  it('is told when its offset is not in the log', async () => {
    const topic = 'out-of-range'
    await kcat(['-P', '-t', topic], 'only\n')

    const args = ['-C', '-e', '-t', topic, '-o', '77', '-X', 'topic.auto.offset.reset=error']
    const { code, err } = await run('kcat', ['-b', broker.bootstrap, ...args])

    expect(code).toBe(1)
    expect(err).toContain('Broker: Offset out of range')
  })

  it('writes every line once and in order with an idempotent producer and many small batches', async () => {
    const topic = 'idempotent'
    const lines = Array.from({ length: 5000 }, (_, index) => `line ${index}`)
    const options = ['-X', 'enable.idempotence=true', '-X', 'batch.num.messages=50', '-X', 'linger.ms=0']

    await kcat(['-P', '-t', topic, ...options], `${lines.join('\n')}\n`)

    expect(await readValues(broker.bootstrap, topic)).toEqual(lines)
    const batches = await storedBatches(directory, topic)
    expect(batches.length).toBeGreaterThanOrEqual(100)
    expect(batches[0]!.header.producerId).toBeGreaterThanOrEqual(0)
    expect(batches.map(({ header }) => header.baseSequence)).toEqual(
      batches.map(({ header }) => header.baseOffset),
    )
  })

  for (const acks of ['0', '1', '-1']) {
    it(`writes with acks=${acks}`, async () => {
      const topic = `acks${acks}`
      await createTopic(topic)

      await kcat(['-P', '-t', topic, '-X', `acks=${acks}`], 'a\nb\nc\n')

      // Nobody waited for the records to be committed when acks are 0: so ask for three, not for what is there.
      expect(await kcat(['-C', '-q', '-t', topic, '-c', '3'])).toBe('a\nb\nc\n')
    })
  }

  it('writes and reads a batch of exactly max.message.bytes, and is refused one byte more', async () => {
    const topic = 'large'
    await createTopic(topic)
    const file = join(temporaryDirectory('kcat-large'), 'large')
    const sendSized = (bytes: number) => {
      writeFileSync(file, 'x'.repeat(bytes))
      return run('kcat', [
        '-b',
        broker.bootstrap,
        '-P',
        '-t',
        topic,
        '-X',
        'message.max.bytes=10000000',
        file,
      ])
    }
    // A record costs 61 bytes of batch header and some of its own around the value: found out with a first one.
    await sendSized(900_000)
    const [probe] = await storedBatches(directory, topic)
    const overhead = probe!.bytes.length - 900_000

    const fitting = await sendSized(BATCH_BYTES_MAX - overhead)
    const tooLarge = await sendSized(BATCH_BYTES_MAX - overhead + 1)

    expect({ code: fitting.code, err: fitting.err }).toEqual({ code: 0, err: '' })
    expect(tooLarge.code).toBe(1)
    expect(tooLarge.err).toBe('% Delivery failed for message: Broker: Message size too large\n')
    const [first, second, ...others] = await storedBatches(directory, topic)
    expect([first!.header.recordCount, second!.bytes.length, others.length]).toEqual([1, BATCH_BYTES_MAX, 0])
    const sizes = await read(topic, '-f', '%S ')
    expect(sizes).toBe(`900000 ${BATCH_BYTES_MAX - overhead} `)
  })

  it('moves 50 MB and gives back the same bytes', async () => {
    const topic = 'bulk'
    await createTopic(topic)
    const line = Buffer.from(`${'0123456789abcdef'.repeat(64)}\n`)
    const input = Buffer.alloc(line.length * 50_000)
    for (let index = 0; index < 50_000; index++) line.copy(input, index * line.length)

    await kcat(['-P', '-t', topic], input)
    const { code, out, err } = await run('kcat', ['-b', broker.bootstrap, ...TO_THE_END, '-t', topic])

    const digest = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(digest(out)).toBe(digest(input))
  })

  it('makes the broker complain of nothing', () => {
    expect(broker.complaints).toEqual([])
  })
})
