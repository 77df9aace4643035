/** The memo of short texts: never another text than decoding gives, in fixed memory. */
import { describe, expect, test } from 'vitest'
import { ByteMemo } from '../../src/bytes/byte-memo.ts'

const latin1 = (bytes: Uint8Array, start: number, end: number): string =>
  String.fromCharCode(...bytes.subarray(start, end))

describe('ByteMemo', () => {
  test('gives every byte string its own text, through any number of evictions', () => {
    const memo = new ByteMemo(latin1)
    for (let round = 0; round < 3; round++) {
      for (let name = 0; name < 20_000; name++) {
        const text = `topic-${name % 7}-${name}`
        const bytes = new TextEncoder().encode(text)
        if (memo.get(bytes, 0, bytes.length) !== text) expect.fail(`Wrong text for ${text}`)
      }
    }
  })

  test('tells byte strings apart that differ in size only, zero bytes and the empty one included', () => {
    const memo = new ByteMemo(latin1)
    for (let round = 0; round < 2; round++) {
      for (let size = 0; size <= 32; size++)
        expect(memo.get(new Uint8Array(32), 0, size)).toBe('\0'.repeat(size))
    }
  })

  test('does not decode again what it remembers, and keeps no tie to the bytes it was given', () => {
    let count = 0
    const memo = new ByteMemo((bytes, start, end) => {
      count++
      return latin1(bytes, start, end)
    })
    const bytes = Uint8Array.of(0x61, 0x62)
    expect(memo.get(bytes, 0, 2)).toBe('ab')
    expect(memo.get(bytes, 0, 2)).toBe('ab')
    expect(count).toBe(1)
    bytes[0] = 0x63
    expect(memo.get(bytes, 0, 2)).toBe('cb')
    expect(count).toBe(2)
  })

  test('refuses byte strings over its bound', () => {
    expect(() => new ByteMemo(latin1).get(new Uint8Array(33), 0, 33)).toThrow(/bound/)
  })
})
