/** The writer: values, ranges, pieces, and the slab that writers share. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ByteReader } from '../../src/bytes/byte-reader.ts'
import { ByteWriter, CHUNK_BYTES_MIN } from '../../src/bytes/byte-writer.ts'
import { EncodeError } from '../../src/bytes/encode-error.ts'
import { seedFromEnv } from '../support/seed.ts'

const seed = seedFromEnv('byte-writer')

const join = (pieces: readonly Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(pieces))

describe('ByteWriter', () => {
  test('any sequence of values reads back as it was written', () => {
    const step = fc.oneof(
      fc.tuple(fc.constant('int8' as const), fc.integer({ min: -128, max: 127 })),
      fc.tuple(fc.constant('int16' as const), fc.integer({ min: -32768, max: 32767 })),
      fc.tuple(fc.constant('uint16' as const), fc.integer({ min: 0, max: 65535 })),
      fc.tuple(fc.constant('int32' as const), fc.integer()),
      fc.tuple(fc.constant('uint32' as const), fc.integer({ min: 0, max: 2 ** 32 - 1 })),
      fc.tuple(fc.constant('int64' as const), fc.maxSafeInteger()),
      fc.tuple(fc.constant('uvarint' as const), fc.integer({ min: 0, max: 2 ** 32 - 1 })),
      fc.tuple(fc.constant('varint' as const), fc.integer()),
      fc.tuple(fc.constant('varlong' as const), fc.maxSafeInteger()),
      fc.tuple(fc.constant('float64' as const), fc.double()),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 3000, size: 'max' }), (steps) => {
        const writer = new ByteWriter()
        for (const [kind, value] of steps) writer[kind](value)
        const { size } = writer
        const bytes = join(writer.finish())
        expect(bytes.length).toBe(size)
        const reader = new ByteReader(bytes)
        for (const [kind, value] of steps)
          if (!Object.is(reader[kind](), value)) expect.fail(`${kind} ${value}`)
        expect(reader.remaining).toBe(0)
      }),
      { seed, numRuns: 60 },
    )
  })

  test.each([
    ['int8', 128],
    ['int8', -129],
    ['int16', 32768],
    ['uint16', -1],
    ['uint16', 65536],
    ['int32', 2 ** 31],
    ['int32', 1.5],
    ['int32', NaN],
    ['uint32', -1],
    ['uint32', 2 ** 32],
    ['int64', 2 ** 53],
    ['int64', 0.5],
    ['uvarint', -1],
    ['uvarint', 2 ** 32],
    ['varint', 2 ** 31],
    ['varlong', 2 ** 53],
  ] as const)('%s refuses %d instead of writing other bytes', (kind, value) => {
    const writer = new ByteWriter()
    expect(() => {
      writer[kind](value)
    }).toThrow(EncodeError)
    expect(writer.size).toBe(0)
  })

  test.each([
    'int8',
    'int16',
    'int32',
    'int64',
    'uvarint',
    'varint',
    'varlong',
    'float64',
    'bool',
    'uuid',
  ] as const)('%s refuses undefined, which a caller outside of TypeScript may pass', (kind) => {
    expect(() => {
      new ByteWriter()[kind](undefined as never)
    }).toThrow(EncodeError)
  })

  test('a large chunk is a piece of its own, not copied; a small one is copied', () => {
    const large = new Uint8Array(CHUNK_BYTES_MIN)
    const small = new Uint8Array(CHUNK_BYTES_MIN - 1)
    const writer = new ByteWriter()
    writer.int8(1)
    writer.chunk(large)
    writer.chunk(small)
    writer.int8(2)
    writer.chunk(large)
    expect(writer.size).toBe(2 + 2 * large.length + small.length)
    const pieces = writer.finish()
    expect(pieces.map((piece) => piece.length)).toEqual([1, large.length, small.length + 1, large.length])
    expect(pieces[1]).toBe(large)
    expect(pieces[3]).toBe(large)
  })

  test('has no pieces when nothing was written', () => {
    expect(new ByteWriter().finish()).toEqual([])
  })

  test('pieces that were handed out never change, whatever later and interleaved writers do', () => {
    const kept: { pieces: Uint8Array[]; fill: number }[] = []
    for (let round = 0; round < 400; round++) {
      const outer = new ByteWriter()
      outer.int32(round)
      const inner = new ByteWriter()
      for (let index = 0; index < round; index++) inner.int32(round)
      const innerPieces = inner.finish()
      for (let index = 0; index < round; index++) outer.int32(round)
      if (round % 3 === 0) continue // dropped half-way
      kept.push({ pieces: innerPieces, fill: round }, { pieces: outer.finish(), fill: round })
    }
    for (const { pieces, fill } of kept) {
      const reader = new ByteReader(join(pieces))
      while (reader.remaining > 0)
        if (reader.int32() !== fill) expect.fail(`A piece of round ${fill} changed`)
    }
  })

  test.each([0, 1, 127, 128, 16383, 16384, 40_000])(
    'a sized byte string of %d bytes stands behind its size',
    (size) => {
      const writer = new ByteWriter()
      writer.int8(7)
      writer.sized((inner, content: Uint8Array) => {
        inner.bytes(content)
      }, new Uint8Array(size).fill(5))
      writer.int8(8)
      const reader = new ByteReader(join(writer.finish()))
      expect(reader.int8()).toBe(7)
      expect(reader.uvarint()).toBe(size)
      expect(reader.slice(size).every((byte) => byte === 5)).toBe(true)
      expect(reader.int8()).toBe(8)
      expect(reader.remaining).toBe(0)
    },
  )

  test('a sized byte string in another one keeps both sizes right', () => {
    const writer = new ByteWriter()
    writer.sized((outer, count: number) => {
      outer.sized((inner) => {
        for (let index = 0; index < count; index++) inner.int8(3)
      }, null)
    }, 200)
    const reader = new ByteReader(join(writer.finish()))
    expect(reader.uvarint()).toBe(202)
    expect(reader.uvarint()).toBe(200)
    expect(reader.remaining).toBe(200)
  })

  test('a chunk inside of a sized byte string is a defect, not a wrong size', () => {
    const writer = new ByteWriter()
    expect(() => {
      writer.sized((inner) => {
        inner.chunk(new Uint8Array(CHUNK_BYTES_MIN))
      }, null)
    }).toThrow(/cannot hold a chunk/)
  })
})
