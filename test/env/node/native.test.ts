import { describe, expect, it } from 'vitest'
import { loadNativeZstd, nativeGzip } from '../../../src/env/node/native.ts'

const zstd = loadNativeZstd()

describe.each([
  ['gzip', nativeGzip],
  ['zstd', zstd],
])('%s of the runtime', (_name, codec) => {
  it.skipIf(codec === null)('takes what fits exactly, nothing into nothing too, and not a byte more', () => {
    for (const size of [0, 1, 100_000]) {
      const bytes = new Uint8Array(size).fill(7)
      const packed = codec!.compress(bytes)
      expect(Buffer.compare(codec!.decompress(packed, size), bytes)).toBe(0)
      if (size > 0) expect(() => codec!.decompress(packed, size - 1)).toThrow(RangeError)
    }
  })
})
