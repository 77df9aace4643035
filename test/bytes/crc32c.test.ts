import { createRequire } from 'node:module'
import { afterEach, describe, expect, it } from 'vitest'
import { crc32c, setNativeCrc32c } from '../../src/bytes/crc32c.ts'

const native = (
  createRequire(import.meta.url)('@node-rs/crc32') as { crc32c: (bytes: Uint8Array, seed: number) => number }
).crc32c

afterEach(() => {
  setNativeCrc32c(null)
})

describe('crc32c()', () => {
  it('gives the vectors of RFC 3720, appendix B.4', () => {
    const ascending = Uint8Array.from({ length: 32 }, (_, index) => index)
    expect(crc32c(new TextEncoder().encode('123456789'))).toBe(0xe3069283)
    expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa)
    expect(crc32c(new Uint8Array(32).fill(0xff))).toBe(0x62a8ab43)
    expect(crc32c(ascending)).toBe(0x46dd794e)
    expect(crc32c(ascending.toReversed())).toBe(0x113fdb5c)
    expect(crc32c(new Uint8Array(0))).toBe(0)
  })

  it('covers exactly the range it is given', () => {
    const bytes = new TextEncoder().encode('xx123456789yy')
    expect(crc32c(bytes, 2, 11)).toBe(0xe3069283)
    expect(crc32c(bytes, 2, 12)).not.toBe(0xe3069283)
  })

  it.each([['portable'], ['native']])('goes on from a seed at every cut, %s', (form) => {
    if (form === 'native') setNativeCrc32c(native)
    const bytes = Uint8Array.from({ length: 700 }, (_, index) => (index * 31) & 0xff)
    const whole = crc32c(bytes)
    for (let cut = 0; cut <= bytes.length; cut++) {
      expect(crc32c(bytes, cut, bytes.length, crc32c(bytes, 0, cut))).toBe(whole)
    }
  })

  it('gives the same with and without the native form at every size around the cut-over', () => {
    const bytes = Uint8Array.from({ length: 600 }, (_, index) => (index * 131) & 0xff)
    for (let size = 0; size <= bytes.length; size++) {
      setNativeCrc32c(null)
      const portable = crc32c(bytes, 0, size)
      setNativeCrc32c(native)
      expect(crc32c(bytes, 0, size)).toBe(portable)
    }
  })

  it('sends long ranges to the native form and short ones to the portable', () => {
    const sizes: number[] = []
    setNativeCrc32c((bytes) => sizes.push(bytes.length))
    crc32c(new Uint8Array(100))
    crc32c(new Uint8Array(4096))
    expect(sizes).toEqual([4096])
  })
})
