import { describe, expect, it } from 'vitest'
import { keyPartitioner, murmur2 } from '../../src/client/partitioner.ts'

const encoder = new TextEncoder()

describe('murmur2', () => {
  // From the tests of Kafka's Java client.
  it.each([
    ['21', -973932308],
    ['foobar', -790332482],
    ['a-little-bit-long-string', -985981536],
    ['a-little-bit-longer-string', -1486304829],
    ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
  ])('hashes %j as Java does', (text, hash) => {
    expect(murmur2(encoder.encode(text))).toBe(hash)
  })

  it('hashes three letters and the bytes of a view as Java does', () => {
    expect(murmur2(encoder.encode('abc'))).toBe(479470107)
    expect(murmur2(encoder.encode('xabcx').subarray(1, 4))).toBe(479470107)
  })
})

describe('keyPartitioner', () => {
  it('puts a key into the partition that Java puts it into', () => {
    expect(keyPartitioner('t', encoder.encode('foobar'), 12)).toBe((-790332482 & 0x7fffffff) % 12)
  })

  it('leaves records without a key to the producer', () => {
    expect(keyPartitioner('t', null, 12)).toBe(null)
  })
})
