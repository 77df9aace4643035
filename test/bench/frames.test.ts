import { describe, expect, it } from 'vitest'
import { crc32c } from '../../bench/load/crc32c.ts'
import {
  apiVersionsFrame,
  fetchFrame,
  oneRecordBatch,
  produceFrame,
  SIZE_BYTES,
} from '../../bench/load/frames.ts'
import { decodeRequest } from '../../src/protocol/frame.ts'
import { findBatchFault } from '../../src/records/batch-validator.ts'

/** What the broker makes of a frame; the size in front must be right. */
const decode = (frame: Buffer) => {
  expect(frame.readInt32BE(0)).toBe(frame.length - SIZE_BYTES)
  return decodeRequest(frame.subarray(SIZE_BYTES))
}

describe('frames written by hand', () => {
  it('are requests that the broker understands', () => {
    expect(decode(apiVersionsFrame())).toMatchObject({ kind: 'served', name: 'ApiVersions' })
    expect(decode(fetchFrame('t', 1000))).toMatchObject({
      kind: 'served',
      name: 'Fetch',
      body: {
        minBytes: 1,
        maxBytes: 1000,
        topics: [{ topic: 't', partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1000 }] }],
      },
    })
    expect(decode(produceFrame('topic', 3, Buffer.from('batch')))).toMatchObject({
      kind: 'served',
      name: 'Produce',
      body: { acks: -1, topicData: [{ name: 'topic', partitionData: [{ index: 3 }] }] },
    })
  })

  it.each([0, 1, 63, 64, 100, 8192, 70_000])('carry a sound batch with a value of %i bytes', (size) => {
    const batch = oneRecordBatch(Buffer.alloc(size, 7), 1_700_000_000_000)
    expect(findBatchFault(batch, 0, batch.length)).toBeNull()
    batch[batch.length - 2]! ^= 1
    expect(findBatchFault(batch, 0, batch.length)).not.toBeNull()
  })

  it('have the checksum of RFC 3720', () => {
    expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283)
    expect(crc32c(Buffer.alloc(32))).toBe(0x8a9136aa)
  })
})
