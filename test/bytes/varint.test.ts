/** Variable-length integers: every form there and back, and what malformed ones do (X2). */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ByteReader } from '../../src/bytes/byte-reader.ts'
import { DecodeError } from '../../src/bytes/decode-error.ts'
import {
  readUvarint,
  readVarint,
  readVarlong,
  uvarintSize,
  varintEnd,
  varintSize,
  varlongSize,
  writeUvarint,
  writeVarint,
  writeVarlong,
} from '../../src/bytes/varint.ts'
import { seedFromEnv } from '../support/seed.ts'

const seed = seedFromEnv('varint')
const FORMS = [
  {
    name: 'uvarint',
    size: uvarintSize,
    write: writeUvarint,
    read: readUvarint,
    values: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
    edges: [0, 1, 127, 128, 16383, 16384, 2097151, 2097152, 268435455, 268435456, 2 ** 31, 2 ** 32 - 1],
  },
  {
    name: 'varint',
    size: varintSize,
    write: writeVarint,
    read: readVarint,
    values: fc.integer(),
    edges: [0, -1, 1, 63, -64, 64, -65, 8191, -8192, 2 ** 31 - 1, -(2 ** 31)],
  },
  {
    name: 'varlong',
    size: varlongSize,
    write: writeVarlong,
    read: readVarlong,
    values: fc.maxSafeInteger(),
    edges: [0, -1, 63, 64, -64, -65, 2 ** 31, -(2 ** 31) - 1, 2 ** 35, 2 ** 53 - 1, -(2 ** 53) + 1],
  },
]

describe.each(FORMS)('$name', ({ size, write, read, values, edges }) => {
  const check = (value: number): void => {
    const bytes = new Uint8Array(16).fill(0xee)
    const end = write(bytes, 3, value)
    expect(end - 3).toBe(size(value))
    expect(read(bytes, 3, end)).toBe(value)
    expect(varintEnd(bytes, 3, end, 10)).toBe(end)
    expect(bytes[2]).toBe(0xee)
    expect(bytes[end]).toBe(0xee)
    expect(() => read(bytes, 3, end - 1)).toThrow(DecodeError) // cut
  }

  test.each(edges)('%d comes back from as many bytes as its size says', (value) => {
    check(value)
  })

  test('any value comes back from as many bytes as its size says', () => {
    fc.assert(fc.property(values, check), { seed, numRuns: 2000 })
  })
})

describe('known bytes', () => {
  test('zig-zag puts small magnitudes into small bytes', () => {
    const bytes = new Uint8Array(10)
    const encode = (value: number): number[] => [...bytes.slice(0, writeVarlong(bytes, 0, value))]
    expect(encode(0)).toEqual([0])
    expect(encode(-1)).toEqual([1])
    expect(encode(1)).toEqual([2])
    expect(encode(-64)).toEqual([0x7f])
    expect(encode(64)).toEqual([0x80, 0x01])
    expect(encode(2 ** 53 - 1)).toEqual([0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x1f])
  })
})

describe('X2: malformed varints', () => {
  const of = (...bytes: number[]): ByteReader => new ByteReader(Uint8Array.from(bytes))
  const endless = (count: number): number[] => new Array<number>(count).fill(0x80)

  test.each([5, 6, 7, 10, 11, 1000])('%d bytes without an end are refused as a varint', (count) => {
    expect(() => of(...endless(count)).uvarint()).toThrow(DecodeError)
    expect(() => of(...endless(count)).varint()).toThrow(DecodeError)
  })

  test.each([6, 7, 8, 9, 10, 11])('%d bytes with an end are refused as a varint', (count) => {
    expect(() => of(...endless(count - 1), 0).uvarint()).toThrow(DecodeError)
  })

  test.each([10, 11, 1000])('%d bytes without an end are refused as a varlong', (count) => {
    expect(() => of(...endless(count)).varlong()).toThrow(DecodeError)
  })

  test('a fifth byte beyond 32 bits is refused', () => {
    expect(of(0xff, 0xff, 0xff, 0xff, 0x0f).uvarint()).toBe(2 ** 32 - 1)
    expect(() => of(0xff, 0xff, 0xff, 0xff, 0x10).uvarint()).toThrow(DecodeError)
  })

  test('a varlong beyond a safe integer is refused', () => {
    expect(() => of(...new Array<number>(9).fill(0xff), 0x01).varlong()).toThrow(/safe integer/)
    expect(() => of(0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x20).varlong()).toThrow(/safe integer/)
  })

  test('an encoding longer than needed is read, and its end is where its bytes end', () => {
    const reader = of(0x81, 0x80, 0x00, 0x07)
    expect(reader.uvarint()).toBe(1)
    expect(reader.position).toBe(3)
    const long = of(0x83, 0x80, 0x00, 0x07)
    expect(long.varlong()).toBe(-2)
    expect(long.position).toBe(3)
  })
})
