import { describe, expect, it } from 'vitest'
import { BATCH_HEADER_BYTES, readBatchHeader } from '../../src/records/batch-header.ts'
import { findBatchFault, validateProduced } from '../../src/records/batch-validator.ts'
import {
  buildControlBatch,
  buildEndTransactionMarker,
  CONTROL_TYPES,
  findCoordinatorEpoch,
  readControlRecord,
} from '../../src/records/control-batch.ts'
import { buildBatch, hex, SAMPLES } from './support/samples.ts'

const marker = (verdict: 'commit' | 'abort') =>
  buildEndTransactionMarker({
    verdict,
    producerId: 12,
    producerEpoch: 3,
    coordinatorEpoch: 9,
    timestampMs: 1000,
  })

describe('control batches', () => {
  it('hold one record with version and type for key, version and coordinator epoch for value', () => {
    const batch = marker('commit')
    expect(hex(batch.subarray(BATCH_HEADER_BYTES))).toBe(
      '2000000008' + '00000001' + '0c' + '000000000009' + '00',
    )
    expect(readBatchHeader(batch)).toMatchObject({
      attributes: 0x30,
      producerId: 12,
      producerEpoch: 3,
      baseSequence: -1,
    })
    expect(findBatchFault(batch, 0, batch.length)).toBeNull()
  })

  it.each([['commit', CONTROL_TYPES.COMMIT] as const, ['abort', CONTROL_TYPES.ABORT] as const])(
    'are read back: %s',
    (verdict, type) => {
      const record = readControlRecord(marker(verdict))
      expect(record).toMatchObject({ version: 0, type, offset: 0 })
      expect(findCoordinatorEpoch(record!.value)).toBe(9)
    },
  )

  it('of an unknown type are read as that type, for the reader to skip', () => {
    expect(
      readControlRecord(buildControlBatch({ type: 99, value: new Uint8Array(0), timestampMs: 0 }))?.type,
    ).toBe(99)
    expect(findCoordinatorEpoch(new Uint8Array(5))).toBeNull()
  })

  it('are told from data', () => {
    expect(readControlRecord(buildBatch(SAMPLES))).toBeNull()
  })

  it('are refused from producers (X24)', () => {
    const limits = {
      batchBytesMax: 1e6,
      acceptsZstd: true,
      timestampMsMin: -Infinity,
      timestampMsMax: Infinity,
      requiresKeys: false,
    }
    expect(validateProduced(marker('commit'), limits)).toMatchObject({
      kind: 'invalid',
      error: 'INVALID_RECORD',
    })
  })
})
