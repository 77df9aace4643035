/** The reader: values, ends, and views. */
import { describe, expect, test } from 'vitest'
import { ByteReader } from '../../src/bytes/byte-reader.ts'
import { DecodeError } from '../../src/bytes/decode-error.ts'

const bytesOf = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex.replaceAll(' ', ''), 'hex'))

describe('ByteReader', () => {
  test('reads big-endian values of every width', () => {
    const reader = new ByteReader(
      bytesOf('ff ff 01 00 fffe fffe 80000000 80000000 ffffffffffffffff 001fffffffffffff 3ff8000000000000'),
    )
    expect(reader.int8()).toBe(-1)
    expect(reader.uint8()).toBe(255)
    expect(reader.bool()).toBe(true)
    expect(reader.bool()).toBe(false)
    expect(reader.int16()).toBe(-2)
    expect(reader.uint16()).toBe(65534)
    expect(reader.int32()).toBe(-(2 ** 31))
    expect(reader.uint32()).toBe(2 ** 31)
    expect(reader.int64()).toBe(-1)
    expect(reader.int64()).toBe(Number.MAX_SAFE_INTEGER)
    expect(reader.float64()).toBe(1.5)
    expect(reader.remaining).toBe(0)
  })

  test.each([
    ['7fffffffffffffff', '2^63 - 1'],
    ['8000000000000000', '-2^63'],
    ['0020000000000000', '2^53'],
    ['ffe0000000000000', '-2^53'],
  ])('X28: int64 %s, that is %s, is refused, and the reader stays where it was', (hex) => {
    const reader = new ByteReader(bytesOf(hex))
    expect(() => reader.int64()).toThrow(DecodeError)
    expect(reader.position).toBe(0)
  })

  test('int64 takes all safe integers up to the edges', () => {
    expect(new ByteReader(bytesOf('ffe0000000000001')).int64()).toBe(Number.MIN_SAFE_INTEGER)
    expect(new ByteReader(bytesOf('001fffffffffffff')).int64()).toBe(Number.MAX_SAFE_INTEGER)
  })

  test.each([
    ['int8', 1],
    ['uint8', 1],
    ['bool', 1],
    ['int16', 2],
    ['uint16', 2],
    ['int32', 4],
    ['uint32', 4],
    ['int64', 8],
    ['float64', 8],
    ['uuid', 16],
  ] as const)('%s does not read past an end that lies before the end of the buffer', (kind, size) => {
    const bytes = new Uint8Array(64)
    const reader = new ByteReader(bytes, 10, 10 + size - 1)
    expect(() => reader[kind]()).toThrow(DecodeError)
    expect(reader.position).toBe(10)
    new ByteReader(bytes, 10, 10 + size)[kind]()
  })

  test.each([-1, -2, 6, 2 ** 31 - 1, 2 ** 31, 2 ** 32, NaN, Infinity])(
    'X2: size %d is refused where 5 bytes remain, before anything is taken',
    (size) => {
      const reader = new ByteReader(new Uint8Array(10), 5)
      expect(() => reader.slice(size)).toThrow(DecodeError)
      expect(() => reader.string(size)).toThrow(DecodeError)
      expect(() => {
        reader.skip(size)
      }).toThrow(DecodeError)
      expect(reader.position).toBe(5)
    },
  )

  test('slices are views of the input, and plain ones even of a Buffer', () => {
    const buffer = Buffer.from([1, 2, 3, 4, 5, 6]).subarray(1)
    const reader = new ByteReader(buffer, 1)
    const slice = reader.slice(2)
    expect(Object.getPrototypeOf(slice)).toBe(Uint8Array.prototype)
    expect([...slice]).toEqual([3, 4])
    buffer[1] = 9
    expect(slice[0]).toBe(9)
  })

  test('a failure says where and what', () => {
    const reader = new ByteReader(new Uint8Array(3))
    reader.int8()
    expect(() => reader.int32()).toThrow('Cannot decode 4 bytes at byte 1: 2 bytes remain')
  })

  test.each([
    [-1, 2],
    [3, 2],
    [0, 5],
  ])('a range [%d, %d) outside 4 bytes is refused', (start, end) => {
    expect(() => new ByteReader(new Uint8Array(4), start, end)).toThrow(DecodeError)
  })
})
