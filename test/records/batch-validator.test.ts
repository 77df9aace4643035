import { describe, expect, it } from 'vitest'
import { sealCrc, setProducerFields } from '../../src/records/batch-builder.ts'
import {
  BATCH_HEADER_BYTES,
  CRC_RANGE_START,
  readBatchHeader,
  writeBatchHeader,
  type BatchHeader,
} from '../../src/records/batch-header.ts'
import {
  findBatchFault,
  findHeaderFault,
  validateProduced,
  type ProduceFault,
  type ProduceLimits,
} from '../../src/records/batch-validator.ts'
import { buildBatch, SAMPLES, utf8 } from './support/samples.ts'

const LIMITS: ProduceLimits = {
  batchBytesMax: 1_048_588,
  acceptsZstd: true,
  timestampMsMin: -Infinity,
  timestampMsMax: Infinity,
  requiresKeys: false,
}
const PRODUCER = { producerId: 4, producerEpoch: 0, baseSequence: 0 }

/** A sound batch with some header fields changed and, unless told otherwise, the CRC made to fit. */
function forged(changes: Partial<BatchHeader>, records = SAMPLES): Uint8Array {
  const batch = buildBatch(records, PRODUCER)
  writeBatchHeader(batch, 0, { ...readBatchHeader(batch, 0), ...changes })
  if (changes.crc === undefined && changes.batchSize === undefined) sealCrc(batch)
  return batch
}

function verdict(batch: Uint8Array, limits: Partial<ProduceLimits> = {}): 'valid' | ProduceFault {
  const judged = validateProduced(batch, { ...LIMITS, ...limits })
  return judged.kind === 'valid' ? 'valid' : judged.error
}

function concatenated(...pieces: Uint8Array[]): Uint8Array {
  return Uint8Array.from(pieces.flatMap((piece) => [...piece]))
}

describe('findBatchFault()', () => {
  it('accepts a sound batch anywhere in a buffer, and a compacted and an empty one', () => {
    const batch = buildBatch(SAMPLES)
    expect(findBatchFault(concatenated(batch, batch, batch), batch.length, 2 * batch.length)).toBeNull()
    const compacted = forged({ lastOffsetDelta: 900 })
    expect(findBatchFault(compacted, 0, compacted.length)).toBeNull()
    const empty = forged({ recordCount: 0, batchSize: BATCH_HEADER_BYTES }).subarray(0, BATCH_HEADER_BYTES)
    sealCrc(empty)
    expect(findBatchFault(empty, 0, empty.length)).toBeNull()
  })

  it('finds a cut at every byte of the last three batches (ST-1)', () => {
    const batch = buildBatch(SAMPLES)
    const log = concatenated(batch, batch, batch)
    for (let size = 0; size < log.length; size++) {
      const cut = log.slice(0, size)
      const whole = Math.floor(size / batch.length)
      for (let index = 0; index < whole; index++) {
        expect(findBatchFault(cut, index * batch.length, size - index * batch.length)).toBeNull()
      }
      expect(findBatchFault(cut, whole * batch.length, size - whole * batch.length)).toMatch(/is cut/)
    }
  })

  it('finds a zero-filled tail of the right length, from every byte on (ST-1)', () => {
    const batch = buildBatch(SAMPLES)
    for (let start = 0; start < batch.length; start++) {
      const torn = batch.slice()
      if (torn.subarray(start).every((byte) => byte === 0)) continue
      torn.fill(0, start)
      expect(findBatchFault(torn, 0, torn.length)).not.toBeNull()
    }
    expect(findBatchFault(new Uint8Array(4096), 0, 4096)).toMatch(/size is 12 bytes/)
  })

  it('finds every flipped bit under the CRC, and in the CRC', () => {
    const batch = buildBatch(SAMPLES)
    const found = new Set<number>()
    for (let bit = 17 * 8; bit < batch.length * 8; bit++) {
      batch[bit >> 3]! ^= 1 << (bit & 7)
      if (findBatchFault(batch, 0, batch.length) !== null) found.add(bit)
      batch[bit >> 3]! ^= 1 << (bit & 7)
    }
    expect(found.size).toBe((batch.length - 17) * 8)
    expect(findBatchFault(batch, 0, batch.length)).toBeNull()
  })

  it('finds flips outside the CRC in length and magic, and signs of offset and epoch (ST-3)', () => {
    const batch = buildBatch(SAMPLES)
    const log = concatenated(batch, batch)
    const missed: number[] = []
    for (let bit = 0; bit < 17 * 8; bit++) {
      log[bit >> 3]! ^= 1 << (bit & 7)
      if (findBatchFault(log, 0, log.length) === null) missed.push(bit >> 3)
      log[bit >> 3]! ^= 1 << (bit & 7)
    }
    // Offset and epoch can only be told by the neighbours; that is the log's part.
    expect(missed.filter((position) => position >= 8 && position < 12)).toEqual([])
    expect(missed.filter((position) => position === 16)).toEqual([])
    expect(CRC_RANGE_START).toBe(21)
  })

  it.each<[string, Partial<BatchHeader>, RegExp]>([
    ['size below the header', { batchSize: 60 }, /size is 60/],
    ['negative size', { batchSize: -5 }, /size is -5/],
    ['magic 1', { magic: 1 }, /format is 1/],
    ['negative base offset', { baseOffset: -1 }, /Base offset is -1/],
    ['base offset past 2^53', { baseOffset: 2 ** 60 }, /Base offset/],
    ['negative last offset delta', { lastOffsetDelta: -1 }, /delta is -1/],
    ['more records than offsets', { recordCount: 99 }, /count is 99/],
    ['negative record count', { recordCount: -1 }, /count is -1/],
    ['leader epoch below none', { leaderEpoch: -2 }, /epoch is -2/],
    ['wrong CRC', { crc: 1 }, /CRC-32C/],
  ])('names the fault: %s', (_name, changes, message) => {
    const batch = forged(changes)
    expect(findBatchFault(batch, 0, batch.length)).toMatch(message)
  })

  it('judges a header before the rest is read', () => {
    const batch = buildBatch(SAMPLES)
    expect(findHeaderFault(batch.subarray(0, BATCH_HEADER_BYTES), 0, batch.length)).toBeNull()
    expect(findHeaderFault(batch.subarray(0, BATCH_HEADER_BYTES), 0, batch.length - 1)).toMatch(/is cut/)
  })
})

describe('validateProduced()', () => {
  it('accepts a sound batch and returns its header', () => {
    const batch = buildBatch(SAMPLES, PRODUCER)
    const judged = validateProduced(batch, LIMITS)
    expect(judged).toEqual({ kind: 'valid', header: readBatchHeader(batch, 0) })
  })

  it.each<[string, Uint8Array, 'valid' | ProduceFault, Partial<ProduceLimits>?]>([
    ['any base offset: the leader assigns it', forged({ baseOffset: 99 }), 'valid'],
    ['any leader epoch: the leader assigns it', forged({ leaderEpoch: 99 }), 'valid'],
    ['epoch and sequence without a producer id, as kafkajs sends', forged({ producerId: -1 }), 'valid'],
    [
      'a batch of exactly the largest size',
      buildBatch(SAMPLES),
      'valid',
      { batchBytesMax: buildBatch(SAMPLES).length },
    ],
    [
      'one byte above it',
      buildBatch(SAMPLES),
      'MESSAGE_TOO_LARGE',
      { batchBytesMax: buildBatch(SAMPLES).length - 1 },
    ],
    ['nothing', new Uint8Array(0), 'CORRUPT_MESSAGE'],
    ['a cut header', buildBatch(SAMPLES).slice(0, 60), 'CORRUPT_MESSAGE'],
    ['a cut batch', buildBatch(SAMPLES).slice(0, -1), 'CORRUPT_MESSAGE'],
    ['two batches', concatenated(buildBatch(SAMPLES), buildBatch(SAMPLES)), 'INVALID_RECORD'],
    ['two overlapping batches', forged({ batchSize: 200 }), 'INVALID_RECORD'],
    ['a size of zero', forged({ batchSize: 12 }), 'CORRUPT_MESSAGE'],
    ['a size of -2^31', forged({ batchSize: -(2 ** 31) }), 'CORRUPT_MESSAGE'],
    ['magic 0', forged({ magic: 0 }), 'INVALID_RECORD'],
    ['magic 1', forged({ magic: 1 }), 'INVALID_RECORD'],
    ['magic 3', forged({ magic: 3 }), 'CORRUPT_MESSAGE'],
    ['a wrong CRC', forged({ crc: 12345 }), 'CORRUPT_MESSAGE'],
    ['no records', forged({ recordCount: 0 }), 'INVALID_RECORD'],
    ['a negative count', forged({ recordCount: -1, lastOffsetDelta: -2 }), 'INVALID_RECORD'],
    ['a last offset delta that is not count - 1', forged({ lastOffsetDelta: 5 }), 'INVALID_RECORD'],
    [
      'a count beyond the bytes',
      forged({ recordCount: 2 ** 30, lastOffsetDelta: 2 ** 30 - 1 }),
      'INVALID_RECORD',
    ],
    ['one record more than there are', forged({ recordCount: 6, lastOffsetDelta: 5 }), 'INVALID_RECORD'],
    ['one record fewer', forged({ recordCount: 4, lastOffsetDelta: 3 }), 'INVALID_RECORD'],
    ['a control batch', forged({ attributes: 0x20 }), 'INVALID_RECORD'],
    ['a delete horizon', forged({ attributes: 0x40 }), 'INVALID_RECORD'],
    ['log append time', forged({ attributes: 0x08 }), 'INVALID_TIMESTAMP'],
    ['codec 5', forged({ attributes: 5 }), 'UNSUPPORTED_COMPRESSION_TYPE'],
    ['codec 7', forged({ attributes: 7 }), 'UNSUPPORTED_COMPRESSION_TYPE'],
    [
      'zstd below Produce 7',
      forged({ attributes: 4 }),
      'UNSUPPORTED_COMPRESSION_TYPE',
      { acceptsZstd: false },
    ],
    ['zstd from Produce 7 on', forged({ attributes: 4 }), 'valid'],
    ['a transaction without a producer', forged({ attributes: 0x10, producerId: -1 }), 'INVALID_RECORD'],
    ['a transaction', forged({ attributes: 0x10 }), 'valid'],
    ['a producer id below none', forged({ producerId: -2 }), 'INVALID_RECORD'],
    ['a producer id past 2^53', forged({ producerId: 2 ** 55 }), 'INVALID_RECORD'],
    ['a producer without an epoch', forged({ producerEpoch: -1 }), 'INVALID_RECORD'],
    ['a producer without a sequence', forged({ baseSequence: -1 }), 'INVALID_RECORD'],
    ['a timestamp below none', forged({ baseTimestamp: -2 }), 'INVALID_TIMESTAMP'],
    ['a largest timestamp past 2^53', forged({ maxTimestamp: 2 ** 60 }), 'INVALID_TIMESTAMP'],
    [
      'a largest timestamp too late',
      forged({ maxTimestamp: 2000 }),
      'INVALID_TIMESTAMP',
      { timestampMsMax: 1999 },
    ],
    [
      'a first timestamp too early',
      forged({ baseTimestamp: 1000 }),
      'INVALID_TIMESTAMP',
      { timestampMsMin: 1001 },
    ],
    ['no timestamps', forged({ baseTimestamp: -1, maxTimestamp: -1 }), 'valid', { timestampMsMin: 1001 }],
    ['the last timestamp for the largest, as kafka-go sends', forged({ maxTimestamp: 5 }), 'valid'],
    ['a null key on a compacted topic', buildBatch(SAMPLES), 'INVALID_RECORD', { requiresKeys: true }],
  ])('judges X24: %s', (_name, batch, wanted, limits) => {
    expect(verdict(batch, limits)).toBe(wanted)
  })

  it('finds record framing that contradicts itself in short batches, byte by byte', () => {
    const record = {
      key: utf8('k'),
      value: utf8('v'),
      timestamp: 5,
      headers: [{ key: 'h', value: utf8('x') }],
    }
    const sound = buildBatch([record, record])
    // Lengths, counts and the offset delta of the first record; 'k', 'v', 'h' and 'x' lie between.
    const framing = [0, 3, 4, 6, 8, 9, 11]
    for (const place of framing) {
      for (const value of [0x01, 0x7f, 0x80, 0xff]) {
        const batch = sound.slice()
        batch[BATCH_HEADER_BYTES + place] = value
        sealCrc(batch)
        expect([place, value, verdict(batch)]).toEqual([place, value, 'INVALID_RECORD'])
      }
    }
  })

  it('checks keys of all records on compacted topics, however many there are', () => {
    const keyed = { key: utf8('k'), value: null, timestamp: 5 }
    const records = Array.from({ length: 300 }, () => keyed)
    expect(verdict(buildBatch(records), { requiresKeys: true })).toBe('valid')
    expect(verdict(buildBatch([...records, { ...keyed, key: null }]), { requiresKeys: true })).toBe(
      'INVALID_RECORD',
    )
  })
})

describe('setProducerFields()', () => {
  it('gives a sealed batch another identity and keeps it valid', () => {
    const batch = buildBatch(SAMPLES, PRODUCER)
    setProducerFields(batch, 2 ** 40, 12, 2 ** 31 - 1)
    expect(validateProduced(batch, LIMITS)).toMatchObject({
      kind: 'valid',
      header: { producerId: 2 ** 40, producerEpoch: 12, baseSequence: 2 ** 31 - 1 },
    })
  })
})
