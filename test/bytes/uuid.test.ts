/** UUIDs as text. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { EncodeError } from '../../src/bytes/encode-error.ts'
import { isUuidText, uuidFromText, uuidToText, ZERO_UUID } from '../../src/bytes/uuid.ts'
import { seedFromEnv } from '../support/seed.ts'

const seed = seedFromEnv('uuid')

describe('UUID text', () => {
  test('is base64 for URLs without padding, and comes back to the same bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (bytes) => {
        const text = uuidToText(bytes)
        expect(text).toBe(Buffer.from(bytes).toString('base64url'))
        expect(isUuidText(text)).toBe(true)
        expect(uuidFromText(text)).toEqual(bytes)
      }),
      { seed, numRuns: 2000 },
    )
  })

  test('of all zeros is ZERO_UUID', () => {
    expect(uuidToText(new Uint8Array(16))).toBe(ZERO_UUID)
  })

  test.each([
    '',
    'AAAA',
    `${ZERO_UUID}A`,
    'AAAAAAAAAAAAAAAAAAAAA=',
    'AAAAAAAAAAAAAAAAAAAAA+',
    'AAAAAAAAAAAAAAAAAAAAAé',
  ])('%j is refused', (text) => {
    expect(isUuidText(text)).toBe(false)
    expect(() => uuidFromText(text)).toThrow(EncodeError)
  })

  test('a second text for the same bytes is refused', () => {
    expect(isUuidText('AAAAAAAAAAAAAAAAAAAAAB')).toBe(false)
    expect(isUuidText('AAAAAAAAAAAAAAAAAAAAAQ')).toBe(true)
  })
})
