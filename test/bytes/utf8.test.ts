/** UTF-8 text: there and back, with what is no text. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodeUtf8, decodeUtf8Anew, utf8Size, writeUtf8 } from '../../src/bytes/utf8.ts'
import { seedFromEnv } from '../support/seed.ts'

const seed = seedFromEnv('utf8')

function encode(text: string): Uint8Array {
  const size = utf8Size(text)
  const bytes = new Uint8Array(size + 2).fill(0xee)
  writeUtf8(bytes, 1, text, size)
  expect(bytes[0]).toBe(0xee)
  expect(bytes[size + 1]).toBe(0xee)
  return bytes.subarray(1, size + 1)
}

describe('utf8', () => {
  test('any text, lone surrogates included, takes the bytes that TextEncoder gives it', () => {
    const texts = fc.oneof(
      fc.string({ maxLength: 90 }),
      fc.string({ unit: 'binary', maxLength: 90 }),
      surrogates,
    )
    fc.assert(
      fc.property(texts, (text) => {
        expect(encode(text)).toEqual(new TextEncoder().encode(text))
      }),
      { seed, numRuns: 3000 },
    )
  })

  test('any bytes decode as TextDecoder decodes them, also when they come again', () => {
    const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        const expected = decoder.decode(bytes)
        expect(decodeUtf8(bytes, 0, bytes.length)).toBe(expected)
        expect(decodeUtf8(bytes, 0, bytes.length)).toBe(expected)
        expect(decodeUtf8Anew(bytes, 0, bytes.length)).toBe(expected)
      }),
      { seed, numRuns: 3000 },
    )
  })

  test('any ASCII decodes to itself, whatever its length', () => {
    const ascii = fc.array(fc.integer({ min: 0, max: 0x7f }), { maxLength: 120 })
    fc.assert(
      fc.property(ascii, (codes) => {
        const text = String.fromCharCode(...codes)
        expect(utf8Size(text)).toBe(text.length)
        expect(decodeUtf8Anew(encode(text), 0, text.length)).toBe(text)
      }),
      { seed, numRuns: 2000 },
    )
  })

  test('a byte order mark is part of the text', () => {
    expect(decodeUtf8(Uint8Array.of(0xef, 0xbb, 0xbf, 0x61), 0, 4)).toBe('\ufeffa')
  })

  test('X22: names of prototype keys are text like any other', () => {
    for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) {
      expect(decodeUtf8(encode(name), 0, name.length)).toBe(name)
    }
  })
})

/** Text of halves of surrogate pairs, in any order. */
const surrogates = fc
  .array(fc.integer({ min: 0xd7fe, max: 0xe001 }), { maxLength: 20 })
  .map((units) => String.fromCharCode(...units))
