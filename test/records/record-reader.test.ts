import { beforeAll, describe, expect, it } from 'vitest'
import { sealCrc, type RecordInput } from '../../src/records/batch-builder.ts'
import {
  BATCH_HEADER_BYTES,
  readBatchHeader,
  writeBatchHeader,
  type BatchHeader,
} from '../../src/records/batch-header.ts'
import { CODEC_NAMES, type CodecName } from '../../src/records/compression/codec.ts'
import { CodecSet, loadCodec } from '../../src/records/compression/codec-set.ts'
import { findCutBatchSize, splitBatches } from '../../src/records/fetched-batches.ts'
import { stampLogAppendTime } from '../../src/records/log-append-time.ts'
import { RecordError } from '../../src/records/record-error.ts'
import { decodeRecords, type DecodeOptions, type RecordView } from '../../src/records/record-reader.ts'
import { buildBatch, jsonLines, randomFrom, SAMPLES, seedOf, utf8 } from './support/samples.ts'

const codecs = new CodecSet()
const NAMES = CODEC_NAMES.filter((name): name is CodecName => name !== 'none')

beforeAll(async () => {
  for (const name of NAMES) await codecs.load(name)
})

function forged(changes: Partial<BatchHeader>, batch = buildBatch(SAMPLES)): Uint8Array {
  writeBatchHeader(batch, 0, { ...readBatchHeader(batch, 0), ...changes })
  sealCrc(batch)
  return batch
}

/** The records, or the code of the error; anything else is thrown on and fails the test. */
function read(batch: Uint8Array, options?: DecodeOptions, set = codecs): RecordView[] | string {
  try {
    return [...decodeRecords(batch, set, options)]
  } catch (error) {
    if (error instanceof RecordError) return error.code
    throw error
  }
}

const asRead = (records: readonly RecordInput[], baseOffset = 0) =>
  records.map((record, index) => ({ ...record, offset: baseOffset + index, headers: record.headers ?? [] }))

describe('decodeRecords()', () => {
  it('reads what was built, at the offsets that the leader assigned', () => {
    expect(read(forged({ baseOffset: 2 ** 45 }))).toEqual(asRead(SAMPLES, 2 ** 45))
  })

  it.each(NAMES)('reads what was compressed with %s', async (name) => {
    const records = [...SAMPLES, { key: null, value: jsonLines(500), timestamp: 1.7e12 }]
    const batch = buildBatch(records, { codec: await loadCodec(name) })
    expect(readBatchHeader(batch).attributes).toBe(CODEC_NAMES.indexOf(name))
    expect(read(batch)).toEqual(asRead(records))
  })

  it('gives views of the batch, not copies', () => {
    const batch = buildBatch(SAMPLES)
    const [first] = read(batch) as RecordView[]
    expect(first!.value!.buffer).toBe(batch.buffer)
  })

  it('gives every record the log append time of a stamped batch', () => {
    const batch = buildBatch(SAMPLES)
    stampLogAppendTime(batch, 0, 42)
    expect((read(batch) as RecordView[]).map(({ timestamp }) => timestamp)).toEqual(SAMPLES.map(() => 42))
  })

  it('keeps the offsets of what compaction left, with gaps at both ends', () => {
    const [, second, third] = [0, 1, 2].map((index) => SAMPLES[index]!)
    const whole = buildBatch([SAMPLES[0]!, second!, third!, SAMPLES[3]!])
    const start = BATCH_HEADER_BYTES + (whole[BATCH_HEADER_BYTES]! >> 1) + 1
    const end = BATCH_HEADER_BYTES + buildBatch([SAMPLES[0]!, second!, third!]).length - BATCH_HEADER_BYTES
    const left = Uint8Array.from([...whole.subarray(0, BATCH_HEADER_BYTES), ...whole.subarray(start, end)])
    const batch = forged(
      { baseOffset: 100, lastOffsetDelta: 3, recordCount: 2, batchSize: left.length },
      left,
    )
    expect((read(batch) as RecordView[]).map(({ offset, timestamp }) => [offset, timestamp])).toEqual([
      [101, second!.timestamp],
      [102, third!.timestamp],
    ])
  })

  it('refuses offsets within a batch that do not ascend', () => {
    const empty: RecordInput = { key: null, value: null, timestamp: 0 }
    const batch = buildBatch([empty, empty, empty])
    const offsetDeltaPosition = (index: number) => BATCH_HEADER_BYTES + 7 * index + 3
    for (const zigZag of [0, 1, 4]) {
      const changed = batch.slice()
      changed[offsetDeltaPosition(1)] = zigZag // 0, -1, 2: the first one's, below it, and the third one's
      sealCrc(changed)
      expect(read(changed)).toBe('RECORDS_RECORD_MALFORMED')
    }
  })

  it('reads an empty batch as no records, compressed or not', () => {
    for (const attributes of [0, 1, 4]) {
      const empty = buildBatch(SAMPLES).slice(0, BATCH_HEADER_BYTES)
      expect(
        read(forged({ recordCount: 0, attributes, batchSize: BATCH_HEADER_BYTES, baseTimestamp: -1 }, empty)),
      ).toEqual([])
    }
  })

  it.each<[string, () => Uint8Array, string]>([
    ['a cut batch', () => buildBatch(SAMPLES).slice(0, -1), 'RECORDS_BATCH_MALFORMED'],
    ['a wrong CRC', () => buildBatch(SAMPLES).fill(9, 70, 71), 'RECORDS_CRC_MISMATCH'],
    ['a codec that does not exist', () => forged({ attributes: 6 }), 'RECORDS_CODEC_UNKNOWN'],
    ['plain records said to be gzip', () => forged({ attributes: 1 }), 'RECORDS_COMPRESSED_MALFORMED'],
    [
      'a count beyond the bytes',
      () => forged({ recordCount: 1e9, lastOffsetDelta: 1e9 }),
      'RECORDS_BATCH_MALFORMED',
    ],
    ['one record too many', () => forged({ recordCount: 6, lastOffsetDelta: 5 }), 'RECORDS_RECORD_MALFORMED'],
    ['one record too few', () => forged({ recordCount: 4 }), 'RECORDS_RECORD_MALFORMED'],
    [
      'offsets past the last',
      () => forged({ recordCount: 3, lastOffsetDelta: 2 }),
      'RECORDS_RECORD_MALFORMED',
    ],
  ])('refuses %s', (_name, batch, code) => {
    expect(read(batch())).toBe(code)
  })

  it('asks for a codec that is not loaded by its code, and the set tells which', () => {
    const empty = new CodecSet()
    expect(empty.findMissing(3)).toBe('lz4')
    expect(read(forged({ attributes: 3 }), {}, empty)).toBe('RECORDS_CODEC_NOT_LOADED')
    expect(empty.findMissing(0)).toBeNull()
  })

  it('refuses a batch that inflates past the bound (X3)', async () => {
    const batch = buildBatch([{ key: null, value: new Uint8Array(100_000), timestamp: 0 }], {
      codec: await loadCodec('gzip'),
    })
    expect(read(batch, { sizeMax: 50_000 })).toBe('RECORDS_TOO_LARGE')
  })

  it('refuses a count that lies about what a compressed block holds (X3)', async () => {
    const batch = buildBatch([{ key: null, value: jsonLines(50), timestamp: 0 }], {
      codec: await loadCodec('snappy'),
    })
    expect(read(forged({ recordCount: 1e9, lastOffsetDelta: 1e9 }, batch))).toBe('RECORDS_BATCH_MALFORMED')
  })

  it('reads 10^5 empty records of one batch (X3)', async () => {
    const empty: RecordInput = { key: null, value: null, timestamp: 0 }
    const batch = buildBatch(
      Array.from({ length: 100_000 }, () => empty),
      { codec: await loadCodec('lz4') },
    )
    expect(read(batch)).toHaveLength(100_000)
  })

  it('throws its own error or returns, whatever bytes it gets', async () => {
    const random = randomFrom(seedOf('reader fuzz'))
    const plain = buildBatch(SAMPLES)
    const bases = [plain]
    for (const name of NAMES) {
      bases.push(
        buildBatch([...SAMPLES, { key: null, value: jsonLines(30), timestamp: 5 }], {
          codec: await loadCodec(name),
        }),
      )
    }
    const outcomes = new Map<string, number>()
    for (let round = 0; round < 15_000; round++) {
      const batch = bases[random(bases.length)]!.slice()
      for (let flips = 1 + random(4); flips > 0; flips--) {
        batch[
          random(10) === 0
            ? random(BATCH_HEADER_BYTES)
            : BATCH_HEADER_BYTES + random(batch.length - BATCH_HEADER_BYTES)
        ] = [0, 1, 0x7f, 0x80, 0xff, random(256)][random(6)]!
      }
      const cut = random(4) === 0 ? batch.slice(0, random(batch.length)) : batch
      const outcome = read(cut, { checksCrc: false, sizeMax: 1 << 20 })
      const name = typeof outcome === 'string' ? outcome : 'read'
      outcomes.set(name, (outcomes.get(name) ?? 0) + 1)
    }
    expect([...outcomes.keys()].sort()).toEqual(
      expect.arrayContaining([
        'RECORDS_BATCH_MALFORMED',
        'RECORDS_COMPRESSED_MALFORMED',
        'RECORDS_RECORD_MALFORMED',
        'read',
      ]),
    )
  })
})

describe('splitBatches()', () => {
  const batch = buildBatch(SAMPLES)
  const two = Uint8Array.from([...batch, ...batch])

  it('gives whole batches as views and leaves a cut one out, at every cut', () => {
    for (let size = 0; size <= two.length; size++) {
      const batches = [...splitBatches(two.subarray(0, size))]
      expect(batches.map(({ length }) => length)).toEqual(
        Array.from({ length: Math.floor(size / batch.length) }, () => batch.length),
      )
    }
    expect(findCutBatchSize(two.subarray(0, 100))).toBe(batch.length)
    expect(findCutBatchSize(two)).toBeNull()
  })

  it('refuses a size that would make it stand still or go back', () => {
    for (const batchSize of [0, 12, 60, -1]) {
      const bytes = batch.slice()
      new DataView(bytes.buffer).setInt32(8, batchSize - 12)
      expect(() => [...splitBatches(bytes)]).toThrow(RecordError)
    }
    expect([...splitBatches(utf8('short'))]).toEqual([])
  })
})
