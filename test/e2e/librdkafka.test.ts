/**
 * librdkafka, newest release, by its Python binding: producer, consumer without groups, and admin client. kcat.test.ts has
 * an older release of the same library. What it logs is part of the check.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { findApi } from '../../src/protocol/apis.ts'
import { BrokerProcess } from '../support/broker-process.ts'
import { readAll, textOf } from '../support/collect.ts'
import { Librdkafka } from '../support/librdkafka.ts'
import { confluentKafka, skipUnless } from '../support/programs.ts'
import { storedBatches, storedCodecs } from '../support/stored-batches.ts'
import { temporaryDirectory } from '../support/temp-directory.ts'

/** Default of `max.message.bytes`, in bytes of the whole batch. */
const BATCH_BYTES_MAX = 1_048_588
const BEGINNING = -2
/** Kafka's API key of FindCoordinator: librdkafka takes a broker without it for one too old for lz4. */
const FIND_COORDINATOR = 10

interface Report {
  readonly partition?: number
  readonly offset?: number
  readonly timestamp?: number
  readonly error?: string
}

interface Read {
  readonly partition: number
  readonly offset: number
  readonly timestamp: number
  readonly key: string | null
  readonly value: string | null
  readonly headers: readonly (readonly [string, string | null])[]
}

const program = confluentKafka()

skipUnless(program)('librdkafka', () => {
  let broker: BrokerProcess
  let rdkafka: Librdkafka
  let directory = ''
  let topic = ''
  let topicCount = 0

  beforeAll(async () => {
    directory = temporaryDirectory('librdkafka')
    broker = await BrokerProcess.start({ directory })
    rdkafka = new Librdkafka(program.command, {
      'bootstrap.servers': broker.bootstrap,
      'topic.metadata.propagation.max.ms': 10, // A topic that is unknown once is unknown.
      log_level: 5, // Notices and worse.
    })
  })
  afterAll(async () => {
    await rdkafka.end()
    await broker.kill()
  })

  beforeEach(async () => {
    topic = `topic-${++topicCount}`
    await createTopic(topic, 2)
  })

  async function createTopic(name: string, partitions: number, config: Record<string, string> = {}) {
    await rdkafka.do('create_topic', {
      topic: { topic: name, num_partitions: partitions, replication_factor: 1, config },
    })
  }

  const linesOf = (count: number): string[] =>
    Array.from({ length: count }, (_, index) => `line ${index} ${'abc'.repeat(index % 50)}`)

  describe('producer and consumer', () => {
    for (const codec of ['none', 'gzip', 'snappy', 'lz4', 'zstd']) {
      it(`writes with ${codec}, is told each offset, and reads the same back`, async () => {
        const lines = linesOf(1000)
        const records = lines.map((value, index) => ({ partition: index % 2, value }))

        const reports = await rdkafka.do<Report[]>(
          'produce',
          { topic, records },
          { 'compression.type': codec, 'enable.idempotence': true, 'linger.ms': 5 },
        )
        const from = [0, 1].map((partition) => [partition, BEGINNING])
        const read = await rdkafka.do<Read[]>('consume', { topic, from })

        const places = lines.map((_, index) => ({ partition: index % 2, offset: index >> 1 }))
        expect(reports).toMatchObject(places)
        expect(
          new Map(read.map(({ partition, offset, value }) => [`${partition} ${offset}`, value])),
        ).toEqual(new Map(lines.map((line, index) => [`${index % 2} ${index >> 1}`, line])))
        expect(read).toHaveLength(lines.length)
        const ours = await readAll(broker.bootstrap, topic)
        expect(ours.map(({ value }) => textOf(value))).toEqual([
          ...lines.filter((_, index) => index % 2 === 0),
          ...lines.filter((_, index) => index % 2 === 1),
        ])
        const isGated = codec === 'lz4' && findApi(FIND_COORDINATOR) === null
        expect(await storedCodecs(directory, topic, 0)).toEqual([isGated ? 'none' : codec])
      })
    }

    it('carries keys, headers, timestamps, null values and empty ones', async () => {
      const records = [
        {
          key: 'key',
          value: 'value',
          headers: [
            ['a', '1'],
            ['a', '2'],
            ['empty', ''],
          ],
          timestamp: 1_700_000_000_000,
        },
        { key: 'tombstone', value: null, headers: [['none', null]] },
        { key: '', value: '' },
        { value: 'only a value' },
      ].map((record) => ({ ...record, partition: 0 }))

      const reports = await rdkafka.do<Report[]>('produce', { topic, records })
      const read = await rdkafka.do<Read[]>('consume', { topic, from: [[0, BEGINNING]] })

      expect(reports.map(({ timestamp }) => timestamp)).toEqual(read.map(({ timestamp }) => timestamp))
      expect(read).toMatchObject([
        { offset: 0, ...records[0] },
        { offset: 1, ...records[1] },
        { offset: 2, key: '', value: '', headers: [] },
        { offset: 3, key: null, value: 'only a value', headers: [] },
      ])
      const ours = await readAll(broker.bootstrap, topic)
      expect(ours.map(({ key, value }) => [textOf(key), textOf(value)])).toEqual([
        ['key', 'value'],
        ['tombstone', null],
        ['', ''],
        [null, 'only a value'],
      ])
      expect(ours[0]!.headers.map(({ key, value }) => [key, textOf(value)])).toEqual(records[0]!.headers)
      expect(ours[1]!.headers).toEqual([{ key: 'none', value: null }])
    })

    it('carries any bytes', async () => {
      const value = Array.from({ length: 4096 }, (_, index) =>
        String.fromCharCode((index * 7 + (index >> 8)) & 0xff),
      ).join('')

      await rdkafka.do('produce', { topic, records: [{ value, partition: 0 }], encoding: 'latin-1' })
      const [read] = await rdkafka.do<Read[]>('consume', {
        topic,
        from: [[0, BEGINNING]],
        encoding: 'latin-1',
      })

      expect(read!.value).toBe(value)
    })

    it('reads from an offset on, and is told the time of the append when the topic says so', async () => {
      const stamped = `${topic}-stamped`
      await createTopic(stamped, 1, { 'message.timestamp.type': 'LogAppendTime' })
      const records = linesOf(10).map((value) => ({ value, timestamp: 1_000 }))

      const reports = await rdkafka.do<Report[]>('produce', { topic: stamped, records })
      const read = await rdkafka.do<Read[]>('consume', { topic: stamped, from: [[0, 7]] })

      expect(read.map(({ offset }) => offset)).toEqual([7, 8, 9])
      expect(read.map(({ timestamp }) => timestamp)).toEqual(
        reports.slice(7).map(({ timestamp }) => timestamp),
      )
      expect(read[0]!.timestamp).toBeGreaterThan(1_700_000_000_000)
    })

    it('is idempotent: batches carry a producer id and ascending sequences', async () => {
      const records = linesOf(2000).map((value) => ({ value, partition: 1 }))

      await rdkafka.do(
        'produce',
        { topic, records },
        { 'enable.idempotence': true, 'batch.num.messages': 50, 'linger.ms': 0 },
      )

      const headers = (await storedBatches(directory, topic, 1)).map(({ header }) => header)
      expect(headers.length).toBeGreaterThanOrEqual(40)
      expect(headers[0]!.producerId).toBeGreaterThanOrEqual(0)
      expect(headers.map(({ baseSequence }) => baseSequence)).toEqual(
        headers.map(({ baseOffset }) => baseOffset),
      )
    })

    for (const acks of [0, 1, -1]) {
      it(`writes with acks=${acks}`, async () => {
        const records = linesOf(3).map((value) => ({ value, partition: 0 }))

        const reports = await rdkafka.do<Report[]>('produce', { topic, records }, { acks })
        // What follows with acks=-1 on the same connection's broker is behind it in the log.
        const last = await rdkafka.do<Report[]>('produce', {
          topic,
          records: [{ value: 'last', partition: 0 }],
        })

        if (acks !== 0) expect(reports.map(({ offset }) => offset)).toEqual([0, 1, 2])
        if (acks !== 0) expect(last[0]!.offset).toBe(3)
        expect(reports.map(({ error }) => error)).toEqual([undefined, undefined, undefined])
      })
    }

    it('is told that a record is too large, and that a topic or partition is unknown', async () => {
      const large = await rdkafka.do<Report[]>(
        'produce',
        { topic, records: [{ value: 'x'.repeat(BATCH_BYTES_MAX), partition: 0 }] },
        { 'message.max.bytes': 10_000_000 },
      )
      const [unknown] = await rdkafka.do<Report[]>('produce', {
        topic,
        records: [{ value: 'x', partition: 2 }],
      })
      const described = rdkafka.do('describe_configs', { type: 'TOPIC', name: 'nobody-made-this' })

      expect(large).toEqual([{ error: 'MSG_SIZE_TOO_LARGE' }])
      expect(unknown).toEqual({ error: '_UNKNOWN_PARTITION' })
      await expect(described).rejects.toThrow('UNKNOWN_TOPIC_OR_PART')
    })

    it('is told that an offset is out of range', async () => {
      const read = rdkafka.do('consume', { topic, from: [[0, 77]] }, { 'auto.offset.reset': 'error' })

      await expect(read).rejects.toThrow('_AUTO_OFFSET_RESET')
    })

    it('finds watermarks, and offsets by time', async () => {
      const records = linesOf(10).map((value, index) => ({
        value,
        partition: 0,
        timestamp: 1_700_000_000_000 + index * 1000,
      }))
      await rdkafka.do('produce', { topic, records })

      const times = [1_700_000_000_000, 1_700_000_004_500, 1_800_000_000_000]
      const found = await rdkafka.do('look_up', { topic, partition: 0, times })

      expect(found).toEqual({ watermarks: [0, 10], times: [0, 5, -1] })
    })
  })

  describe('admin client', () => {
    it('lists topics with their partitions, and deletes them', async () => {
      expect(await rdkafka.do('list_topics')).toMatchObject({ [topic]: [0, 1] })

      await rdkafka.do('delete_topic', { topic })

      expect(await rdkafka.do('list_topics')).not.toHaveProperty(topic)
      await expect(rdkafka.do('delete_topic', { topic })).rejects.toThrow('UNKNOWN_TOPIC_OR_PART')
    })

    it('is told why a topic cannot be created', async () => {
      await expect(createTopic(topic, 1)).rejects.toThrow('TOPIC_ALREADY_EXISTS')
      await expect(createTopic('a b', 1)).rejects.toThrow('TOPIC_EXCEPTION')
      await expect(createTopic('bad', 1, { 'retention.ms': 'x' })).rejects.toThrow('INVALID_CONFIG')
      await expect(
        rdkafka.do('create_topic', { topic: { topic: 'rf', num_partitions: 1, replication_factor: 3 } }),
      ).rejects.toThrow('INVALID_REPLICATION_FACTOR')
    })

    it('describes and changes settings', async () => {
      const settings = async () => {
        const all = await rdkafka.do<Record<string, unknown>>('describe_configs', {
          type: 'TOPIC',
          name: topic,
        })
        return [all['retention.ms'], all['cleanup.policy']]
      }
      const change = (...changes: string[][]) => rdkafka.do('alter_configs', { name: topic, changes })
      const before = [
        ['604800000', true, false],
        ['delete', true, false],
      ]
      expect(await settings()).toEqual(before)

      await change(['retention.ms', 'SET', '777'])
      expect(await settings()).toEqual([['777', false, false], before[1]])
      await change(['retention.ms', 'DELETE', ''])
      expect(await settings()).toEqual(before)
      await expect(change(['retention.ms', 'SET', 'soon'])).rejects.toThrow('INVALID_CONFIG')
    })

    it('describes the settings of the broker', async () => {
      const all = await rdkafka.do<Record<string, unknown>>('describe_configs', { type: 'BROKER', name: '1' })

      expect(all['num.partitions']).toEqual(['1', true, true])
      expect(all['log.retention.ms']).toEqual(['604800000', true, false])
    })

    it('adds partitions, and cannot take any away', async () => {
      await rdkafka.do('create_partitions', { topic, count: 5 })

      expect(await rdkafka.do('list_topics')).toMatchObject({ [topic]: [0, 1, 2, 3, 4] })
      const fewer = rdkafka.do('create_partitions', { topic, count: 4 })
      await expect(fewer).rejects.toThrow('INVALID_PARTITIONS')
    })

    it('lists offsets, and deletes records', async () => {
      const records = linesOf(10).map((value, index) => ({
        value,
        partition: 0,
        timestamp: 1_700_000_000_000 + ((index * 3) % 10) * 1000,
      }))
      await rdkafka.do('produce', { topic, records })
      const offsetAt = async (at: string | number) => {
        const listed = await rdkafka.do<{ offset: number }>('list_offsets', { topic, partition: 0, at })
        return listed.offset
      }

      expect(await offsetAt('earliest')).toBe(0)
      expect(await offsetAt('latest')).toBe(10)
      expect(await offsetAt('max-timestamp')).toBe(3)
      expect(await offsetAt(1_700_000_006_500)).toBe(3)
      expect(await rdkafka.do('delete_records', { topic, partition: 0, before: 7 })).toBe(7)
      expect(await offsetAt('earliest')).toBe(7)
      const left = await rdkafka.do<Read[]>('consume', { topic, from: [[0, BEGINNING]] })
      expect(left.map(({ offset }) => offset)).toEqual([7, 8, 9])
      const beyond = rdkafka.do('delete_records', { topic, partition: 0, before: 11 })
      await expect(beyond).rejects.toThrow('OFFSET_OUT_OF_RANGE')
    })

    it('describes the cluster', async () => {
      expect(await rdkafka.do('describe_cluster')).toEqual({
        id: broker.clusterId,
        controller: 1,
        nodes: [[1, '127.0.0.1', broker.port]],
      })
    })
  })

  it('and the broker complain of nothing', () => {
    expect(rdkafka.complaints).toEqual([])
    expect(broker.complaints).toEqual([])
  })
})
