import { describe, expect, it } from 'vitest'
import { writeVarint, writeVarlong } from '../../src/bytes/varint.ts'
import { RecordError } from '../../src/records/record-error.ts'
import { VarintCursor } from '../../src/records/varint-cursor.ts'

const INT32 = [0, -1, 1, 63, -64, 64, -65, 8191, 8192, 2 ** 20, -(2 ** 27), 2 ** 27, 2 ** 31 - 1, -(2 ** 31)]
const LONG = [
  ...INT32,
  2 ** 31,
  -(2 ** 31) - 1,
  2 ** 34,
  -(2 ** 41),
  2 ** 48,
  Number.MAX_SAFE_INTEGER,
  Number.MIN_SAFE_INTEGER,
]

describe('VarintCursor', () => {
  it('reads back every size of integer and stops right behind it', () => {
    const bytes = new Uint8Array(16)
    for (const value of INT32) {
      const end = writeVarint(bytes, 2, value)
      const cursor = new VarintCursor(bytes, 2, end)
      expect([cursor.varint(), cursor.position]).toEqual([value, end])
    }
    for (const value of LONG) {
      const end = writeVarlong(bytes, 2, value)
      const cursor = new VarintCursor(bytes, 2, end)
      expect([cursor.varlong(), cursor.position]).toEqual([value, end])
    }
  })

  it('throws at an integer that is cut, at every byte, and does not move', () => {
    const bytes = new Uint8Array(16)
    for (const value of LONG) {
      const end = writeVarlong(bytes, 0, value)
      for (let cut = 0; cut < end; cut++) {
        const cursor = new VarintCursor(bytes, 0, cut)
        expect(() => cursor.varlong()).toThrow(RecordError)
        expect(() => cursor.varint()).toThrow(RecordError)
        expect(cursor.position).toBe(0)
      }
    }
  })

  it('throws at more bits than the type has, and past 2^53 - 1', () => {
    const varint =
      (...bytes: number[]) =>
      () =>
        new VarintCursor(Uint8Array.from(bytes)).varint()
    const varlong =
      (...bytes: number[]) =>
      () =>
        new VarintCursor(Uint8Array.from(bytes)).varlong()
    expect(varint(0xff, 0xff, 0xff, 0xff, 0x0f)()).toBe(-(2 ** 31))
    expect(varint(0xff, 0xff, 0xff, 0xff, 0x1f)).toThrow(/more than 32 bits/)
    expect(varint(0xff, 0xff, 0xff, 0xff, 0x80, 0x00)).toThrow(/more than 32 bits/)
    expect(varlong(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02)).toThrow(/more than 64 bits/)
    expect(varlong(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01)).toThrow(/past 2\^53/)
  })
})
