/** The authors' vectors of SipHash-2-4 with 128 bits, and that it takes all of its input and its key into account. */
import { expect, it } from 'vitest'
import { SipHash, type SipKey } from '../../src/bytes/siphash.ts'

const KEY: SipKey = [0x03020100, 0x07060504, 0x0b0a0908, 0x0f0e0d0c]

function hash(bytes: Uint8Array, key = KEY): string {
  const sip = new SipHash(key)
  sip.hash(bytes)
  return Buffer.from(sip.words.buffer).toString('hex')
}

it('SipHash gives the published value of no bytes', () => {
  expect(hash(new Uint8Array(0))).toBe('a3817f04ba25a8e66df67214c7550293')
})

it('SipHash gives the published value of one byte', () => {
  expect(hash(Uint8Array.of(0))).toBe('da87c1d86b99af44347659119b22fc45')
})

it('SipHash gives another value for every length, byte and key', () => {
  const seen = new Set<string>()
  for (let length = 0; length < 40; length++) {
    const bytes = new Uint8Array(length).map((_, index) => index)
    seen.add(hash(bytes))
    seen.add(hash(bytes, [1, 2, 3, 4]))
    for (let index = 0; index < length; index++)
      seen.add(hash(bytes.map((byte, at) => (at === index ? byte ^ 0x80 : byte))))
  }
  expect(seen.size).toBe(40 * 2 + (40 * 39) / 2)
})
