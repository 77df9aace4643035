import { describe, expect, it } from 'vitest'
import * as header from '../../src/records/batch-header.ts'
import { findBatchFault } from '../../src/records/batch-validator.ts'
import { stampLogAppendTime } from '../../src/records/log-append-time.ts'
import { buildBatch, hex, SAMPLES } from './support/samples.ts'

const FIELDS: header.BatchHeader = {
  baseOffset: 0x0012_3456_789a_bcde,
  batchSize: 0x0102_0304,
  leaderEpoch: 0x1122_3344,
  magic: 2,
  crc: 0xfedc_ba98,
  attributes: 0x35,
  lastOffsetDelta: 0x0a0b_0c0d,
  baseTimestamp: -1,
  maxTimestamp: 1_700_000_000_000,
  producerId: Number.MAX_SAFE_INTEGER,
  producerEpoch: -2,
  baseSequence: -1,
  recordCount: 7,
}

describe('the batch header', () => {
  it('has every field where the drawing has it', () => {
    const bytes = new Uint8Array(header.BATCH_HEADER_BYTES)
    header.writeBatchHeader(bytes, 0, FIELDS)
    expect(hex(bytes)).toBe(
      '00123456789abcde' + // base offset
        '010202f8' + // length: 12 less than the size
        '11223344' +
        '02' +
        'fedcba98' +
        '0035' +
        '0a0b0c0d' +
        'ffffffffffffffff' +
        '0000018bcfe56800' +
        '001fffffffffffff' +
        'fffe' +
        'ffffffff' +
        '00000007',
    )
  })

  it('reads back what was written, at any position', () => {
    const bytes = new Uint8Array(header.BATCH_HEADER_BYTES + 20).fill(0xee)
    header.writeBatchHeader(bytes, 13, FIELDS)
    expect(header.readBatchHeader(bytes, 13)).toEqual(FIELDS)
    expect(header.lastOffsetAt(bytes, 13)).toBe(FIELDS.baseOffset + FIELDS.lastOffsetDelta)
    expect([...bytes.subarray(0, 13), ...bytes.subarray(74)].every((byte) => byte === 0xee)).toBe(true)
  })

  it('reads 64-bit fields outside the safe range as unsafe numbers, never as other safe ones', () => {
    const bytes = new Uint8Array(header.BATCH_HEADER_BYTES)
    for (const [high, low] of [
      [0x7fffffff, 0xffffffff],
      [0x00200000, 0],
      [0x80000000, 0],
      [0xffe00000, 0],
      [0xffdfffff, 0xffffffff],
    ] as const) {
      new DataView(bytes.buffer).setUint32(0, high)
      new DataView(bytes.buffer).setUint32(4, low)
      expect(Number.isSafeInteger(header.baseOffsetAt(bytes, 0))).toBe(false)
    }
  })

  it('keeps the attribute bits apart', () => {
    const attributes = header.attributesOf({ codecId: 3, isTransactional: true })
    expect(attributes).toBe(0x13)
    expect(header.codecId(0xffff)).toBe(7)
    expect([0x08, 0x10, 0x20, 0x40].map((bit) => header.isLogAppendTime(bit))).toEqual([
      true,
      false,
      false,
      false,
    ])
    expect([0x08, 0x10, 0x20, 0x40].map((bit) => header.isTransactional(bit))).toEqual([
      false,
      true,
      false,
      false,
    ])
    expect([0x08, 0x10, 0x20, 0x40].map((bit) => header.isControl(bit))).toEqual([false, false, true, false])
    expect([0x08, 0x10, 0x20, 0x40].map((bit) => header.hasDeleteHorizon(bit))).toEqual([
      false,
      false,
      false,
      true,
    ])
  })
})

describe('assignOffsets()', () => {
  it('leaves the CRC valid, since offset and epoch lie outside it', () => {
    const batch = buildBatch(SAMPLES)
    header.assignOffsets(batch, 0, 2 ** 40 + 5, 77)
    expect(findBatchFault(batch, 0, batch.length)).toBeNull()
    expect(header.baseOffsetAt(batch, 0)).toBe(2 ** 40 + 5)
    expect(header.leaderEpochAt(batch, 0)).toBe(77)
    expect(header.lastOffsetAt(batch, 0)).toBe(2 ** 40 + 5 + SAMPLES.length - 1)
  })
})

describe('stampLogAppendTime()', () => {
  it('sets the bit and the largest timestamp, keeps the other attributes and renews the CRC', () => {
    const batch = buildBatch(SAMPLES, {
      isTransactional: true,
      producerId: 9,
      producerEpoch: 0,
      baseSequence: 0,
    })
    const padded = new Uint8Array(batch.length + 7)
    padded.set(batch, 7)
    stampLogAppendTime(padded, 7, 1_800_000_000_000)
    expect(findBatchFault(padded, 7, batch.length)).toBeNull()
    expect(header.attributesAt(padded, 7)).toBe(0x18)
    expect(header.maxTimestampAt(padded, 7)).toBe(1_800_000_000_000)
    expect(header.baseTimestampAt(padded, 7)).toBe(SAMPLES[0]!.timestamp)
  })
})
