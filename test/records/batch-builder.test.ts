import { createRequire } from 'node:module'
import { beforeAll, describe, expect, it } from 'vitest'
import {
  BATCH_BYTES_MAX,
  BatchBuilder,
  TIMESTAMP_MS_MAX,
  type RecordInput,
} from '../../src/records/batch-builder.ts'
import { BATCH_HEADER_BYTES, readBatchHeader } from '../../src/records/batch-header.ts'
import { findBatchFault } from '../../src/records/batch-validator.ts'
import type { Codec } from '../../src/records/compression/codec.ts'
import { CodecSet } from '../../src/records/compression/codec-set.ts'
import { decodeRecords } from '../../src/records/record-reader.ts'
import {
  buildBatch,
  hex,
  jsonLines,
  randomBytes,
  randomFrom,
  SAMPLES,
  seedOf,
  utf8,
} from './support/samples.ts'

const require = createRequire(import.meta.url)
const KAFKAJS = 'kafkajs/src/protocol'

interface KafkaJsDecoded {
  records: { offset: string; timestamp: string; key: Buffer | null; value: Buffer | null; headers: object }[]
}
type Encoded = { buffer: Buffer }

const codecs = new CodecSet()
let gzip: Codec

beforeAll(async () => {
  gzip = await codecs.load('gzip')
})

/** What kafkajs writes for records without a timestamp below the first one's, which it takes for the base. */
async function kafkaJsBatch(records: readonly RecordInput[]): Promise<Uint8Array> {
  const { RecordBatch } = require(`${KAFKAJS}/recordBatch/v0`) as {
    RecordBatch: (options: object) => Promise<Encoded>
  }
  const record = require(`${KAFKAJS}/recordBatch/record/v0`) as (options: object) => unknown
  const base = records[0]!.timestamp
  const encoded = await RecordBatch({
    partitionLeaderEpoch: -1,
    firstTimestamp: base,
    maxTimestamp: Math.max(...records.map(({ timestamp }) => timestamp)),
    lastOffsetDelta: records.length - 1,
    producerEpoch: -1,
    firstSequence: -1,
    records: records.map(({ key, value, timestamp, headers }, offsetDelta) =>
      record({
        offsetDelta,
        timestampDelta: timestamp - base,
        key: key && Buffer.from(key),
        value: value && Buffer.from(value),
        headers: Object.fromEntries(
          (headers ?? []).map((header) => [header.key, Buffer.from(header.value ?? [])]),
        ),
      }),
    ),
  })
  return encoded.buffer
}

describe('BatchBuilder', () => {
  it('writes these bytes for these records', () => {
    const batch = buildBatch(
      [
        { key: utf8('k'), value: utf8('v'), timestamp: 1000, headers: [{ key: 'h', value: null }] },
        { key: null, value: new Uint8Array(70), timestamp: 999 },
      ],
      { producerId: 7, producerEpoch: 1, baseSequence: 3, isTransactional: true },
    )
    const records =
      '1600000002' +
      '6b' +
      '0276' +
      '02' +
      '0268' +
      '01' +
      '9a010001' +
      '0201' +
      '8c01' +
      '00'.repeat(70) +
      '00'
    expect(hex(batch.subarray(BATCH_HEADER_BYTES))).toBe(records)
    expect(readBatchHeader(batch)).toMatchObject({
      baseOffset: 0,
      batchSize: batch.length,
      leaderEpoch: -1,
      attributes: 0x10,
      lastOffsetDelta: 1,
      baseTimestamp: 1000,
      maxTimestamp: 1000,
      producerId: 7,
      producerEpoch: 1,
      baseSequence: 3,
      recordCount: 2,
    })
    expect(findBatchFault(batch, 0, batch.length)).toBeNull()
  })

  it('writes the bytes that kafkajs writes', async () => {
    const withoutNullHeaders = SAMPLES.map((record) => ({
      ...record,
      headers: (record.headers ?? []).filter(({ value }) => value !== null),
    }))
    expect(hex(buildBatch(withoutNullHeaders))).toBe(hex(await kafkaJsBatch(withoutNullHeaders)))
  })

  it('writes batches that kafkajs reads, plain and compressed', async () => {
    const Decoder = require(`${KAFKAJS}/decoder`) as new (buffer: Buffer) => {
      readInt64: () => unknown
      slice: (size: number) => unknown
      readInt32: () => number
    }
    const decode = require(`${KAFKAJS}/recordBatch/v0/decoder`) as (
      decoder: unknown,
    ) => Promise<KafkaJsDecoded>
    for (const codec of [null, gzip]) {
      const records = [...SAMPLES.slice(0, 4), { key: null, value: jsonLines(200), timestamp: 1.7e12 }]
      const batch = buildBatch(records, { codec })
      const decoded = await decode(new Decoder(Buffer.from(batch)))
      expect(
        decoded.records.map(({ offset, timestamp, key, value }) => [offset, timestamp, key, value]),
      ).toEqual(
        records.map(({ key, value, timestamp }, index) => [
          String(index),
          String(timestamp),
          key && Buffer.from(key),
          value && Buffer.from(value),
        ]),
      )
    }
  })

  it('says before the fact by how much a record grows the batch, whatever the record', () => {
    const random = randomFrom(seedOf('sizes'))
    const builder = new BatchBuilder(0)
    for (let round = 0; round < 3000; round++) {
      const record: RecordInput = {
        key: random(3) === 0 ? null : randomBytes(random, random(100)),
        value: random(5) === 0 ? null : randomBytes(random, random(200)),
        timestamp: [0, -1, 1.7e12, TIMESTAMP_MS_MAX, random(1000)][random(5)]!,
        headers: Array.from({ length: random(3) }, () => ({
          key: ['', 'a', 'é', '👍', '\ud800', 'x'.repeat(90)][random(6)]!,
          value: random(2) === 0 ? null : randomBytes(random, random(70)),
        })),
      }
      const before = builder.sizeBytes
      const size = builder.sizeOf(record)
      builder.append(record)
      expect(builder.sizeBytes - before).toBe(size)
    }
    expect(builder.recordCount).toBe(3000)
    const batch = builder.seal()
    expect([...decodeRecords(batch, codecs)]).toHaveLength(3000)
  })

  it('leaves a codec out that does not make the batch smaller', () => {
    const noise = randomBytes(randomFrom(1), 500)
    const plain = buildBatch([{ key: null, value: noise, timestamp: 0 }], { codec: gzip })
    const packed = buildBatch([{ key: null, value: new Uint8Array(500), timestamp: 0 }], { codec: gzip })
    expect(readBatchHeader(plain).attributes).toBe(0)
    expect(readBatchHeader(packed).attributes).toBe(1)
    expect(packed.length).toBeLessThan(120)
    expect([...decodeRecords(packed, codecs)][0]!.value).toEqual(new Uint8Array(500))
  })

  it('hands a sealed batch over: building on does not change it', () => {
    const builder = new BatchBuilder()
    builder.append(SAMPLES[0]!)
    const first = builder.seal()
    const copy = first.slice()
    builder.append(SAMPLES[4]!)
    builder.seal()
    expect(first).toEqual(copy)
  })

  it('takes no new memory while batches are recycled', () => {
    const builder = new BatchBuilder()
    builder.append(SAMPLES[0]!)
    const first = builder.seal()
    builder.recycle(first)
    builder.append(SAMPLES[1]!)
    expect(builder.seal().buffer).toBe(first.buffer)
  })

  it('ignores recycled memory while it holds records', () => {
    const builder = new BatchBuilder()
    builder.append(SAMPLES[0]!)
    const first = builder.seal()
    builder.append(SAMPLES[1]!)
    builder.recycle(first)
    expect([...decodeRecords(builder.seal(), codecs)].map(({ value }) => value)).toEqual([SAMPLES[1]!.value])
  })

  it('refuses bad timestamps, empty batches and batches past the bound, and is unchanged then', () => {
    const builder = new BatchBuilder()
    const code = (act: () => void) => {
      try {
        act()
        return 'none'
      } catch (error) {
        return (error as { code: string }).code
      }
    }
    expect(code(() => builder.seal())).toBe('RECORDS_BATCH_MALFORMED')
    for (const timestamp of [-2, 1.5, NaN, Infinity, TIMESTAMP_MS_MAX + 1]) {
      expect(code(() => builder.append({ key: null, value: null, timestamp }))).toBe(
        'RECORDS_TIMESTAMP_INVALID',
      )
    }
    const huge = { length: BATCH_BYTES_MAX } as Uint8Array
    expect(code(() => builder.append({ key: null, value: huge, timestamp: 0 }))).toBe('RECORDS_TOO_LARGE')
    expect([builder.recordCount, builder.sizeBytes]).toEqual([0, BATCH_HEADER_BYTES])
  })
})
