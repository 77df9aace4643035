import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  encodeEntry,
  encodeFrame,
  encodePublish,
  FieldReader,
  FrameReader,
  KEY,
  map,
  readConfirm,
  readDelivery,
  string,
  uint16,
  uint32,
  uint8,
} from '../../../bench/peers/rabbitmq-frames.ts'
import { seedFromEnv } from '../../support/seed.ts'

/** Frames as text, since their bodies are borrowed. */
function framesOf(pieces: readonly Buffer[]): string[] {
  const reader = new FrameReader()
  const frames: string[] = []
  for (const piece of pieces) {
    reader.read(piece, ({ key, isAnswer, body }) => frames.push(`${key} ${isAnswer} ${body.toString()}`))
  }
  return frames
}

interface ChunkParts {
  readonly entries: readonly Buffer[]
  readonly records: number
  readonly type?: number
  readonly dataSize?: number
  readonly trailer?: Buffer
}

/** The body of a delivery, for subscription 1. */
function deliveryOf({ entries, records, type = 0, dataSize, trailer = Buffer.alloc(0) }: ChunkParts): Buffer {
  const data = Buffer.concat(entries)
  const head = [uint8(0x50), uint8(type), uint16(entries.length), uint32(records), Buffer.alloc(16)]
  const first = [uint32(0), uint32(7), uint32(0)]
  const sizes = [uint32(dataSize ?? data.length), uint32(trailer.length), uint32(0)]
  return Buffer.concat([uint8(1), ...head, ...first, ...sizes, data, trailer])
}

function valuesOf(body: Buffer): string[] {
  const values: string[] = []
  readDelivery(body, (value) => values.push(value.toString()))
  return values
}

const buffers = (...texts: string[]): Buffer[] => texts.map((text) => Buffer.from(text))

describe('FrameReader', () => {
  const bytes = Buffer.concat([
    encodeFrame(KEY.deliver, Buffer.from('abc')),
    encodeFrame(0x8000 | KEY.create, Buffer.from('x')),
    encodeFrame(KEY.confirm),
  ])
  const frames = ['8 false abc', '13 true x', '3 false ']

  it('gives every frame once, wherever the bytes are cut', () => {
    expect(framesOf([bytes])).toEqual(frames)
    for (let cut = 0; cut <= bytes.length; cut++) {
      expect(framesOf([bytes.subarray(0, cut), bytes.subarray(cut)])).toEqual(frames)
    }
    expect(framesOf(Array.from(bytes, (byte) => Buffer.of(byte)))).toEqual(frames)
  })

  it('joins frames of any size, small and large in turn, though all pieces come in one buffer', () => {
    const sizes = [200_000, 3, 70_000, 65_528, 1_000_000, 0, 70_000]
    const sent = Buffer.concat(sizes.map((size) => encodeFrame(KEY.deliver, Buffer.alloc(size, size % 251))))
    const shared = Buffer.alloc(30_000)
    const reader = new FrameReader()
    const got: number[] = []
    for (let at = 0; at < sent.length; at += shared.length) {
      const count = sent.copy(shared, 0, at, at + shared.length)
      reader.read(shared.subarray(0, count), ({ body }) => {
        expect(body.equals(Buffer.alloc(body.length, body.length % 251))).toBe(true)
        got.push(body.length)
      })
    }
    expect(got).toEqual(sizes)
  })

  it.each([0, 3, 2 ** 26 + 1, 2 ** 32 - 1])('refuses a frame of %i bytes before they come', (size) => {
    expect(() => framesOf([uint32(size)])).toThrow(`its size is ${size}`)
  })
})

describe('readDelivery()', () => {
  const entries = [
    encodeEntry(buffers('one'), false),
    encodeEntry(buffers('two', '', 'four'), true),
    encodeEntry(buffers('five'), false),
  ]
  const delivery = deliveryOf({ entries, records: 5, trailer: Buffer.from('trailer') })

  it('gives the records of plain entries and of sub-entries in order, and where they are', () => {
    expect(valuesOf(delivery)).toEqual(['one', 'two', '', 'four', 'five'])
    expect(readDelivery(delivery, () => undefined)).toEqual({ firstOffset: 7, records: 5 })
  })

  it('passes over a chunk that the server keeps for itself', () => {
    expect(valuesOf(deliveryOf({ entries: [], records: 0, type: 1 }))).toEqual([])
  })

  it('refuses a chunk that ends anywhere before its data does', () => {
    const whole = deliveryOf({ entries, records: 5 })
    for (let end = 1; end < whole.length; end++) {
      expect(() => valuesOf(whole.subarray(0, end)), `cut at ${end}`).toThrow('Read a frame of RabbitMQ')
    }
  })

  it('refuses counts and sizes that do not agree with what is there', () => {
    const plain = encodeEntry(buffers('one'), false)
    const sub = encodeEntry(buffers('one', 'two'), true)
    const changed = (bytes: Buffer, at: number, value: number): Buffer => {
      const copy = Buffer.from(bytes)
      copy[at] = value
      return copy
    }
    const wrong: [string, ChunkParts][] = [
      ['a chunk of 1 records', { entries: [plain], records: 2 }],
      ['that end at 55', { entries: [Buffer.concat([plain, plain])], records: 1 }],
      ['bytes at', { entries: [plain], records: 1, dataSize: 6 }],
      ['bytes at', { entries: [changed(plain, 3, 4)], records: 1 }],
      ['a compressed sub-entry', { entries: [changed(sub, 0, 0x90)], records: 2 }],
      ['with 7 bytes too many', { entries: [changed(sub, 2, 1)], records: 1 }],
      ['bytes at', { entries: [changed(sub, 2, 3)], records: 3 }],
      ['bytes at', { entries: [changed(sub, 10, 99)], records: 2 }],
    ]
    for (const [message, parts] of wrong) expect(() => valuesOf(deliveryOf(parts))).toThrow(message)
  })

  it('throws its own error, or gives no more than it got, whatever bytes are wrong', () => {
    const whole = deliveryOf({ entries, records: 5 })
    const change = fc.record({ at: fc.nat(whole.length - 1), value: fc.nat(255) })
    const property = fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (changes) => {
      const body = Buffer.from(whole)
      for (const { at, value } of changes) body[at] = value
      try {
        expect(valuesOf(body).join('').length).toBeLessThan(body.length)
      } catch (error) {
        expect(String(error)).toContain('Read a frame of RabbitMQ')
      }
    })
    fc.assert(property, { seed: seedFromEnv('rabbitmq-frames'), numRuns: 2000 })
  })

  it('refuses a format of chunks that it does not know', () => {
    const body = deliveryOf({ entries, records: 5 })
    body[1] = 0x51
    expect(() => valuesOf(body)).toThrow('begins with 81, wanted 80')
  })
})

describe('encodePublish()', () => {
  it('puts an id before every entry', () => {
    const entry = encodeEntry(buffers('ab'), false)
    const bytes = encodePublish(1, [
      { id: 258, entry },
      { id: 3, entry },
    ])
    const ids = '0000000000000102' + '000000026162' + '0000000000000003' + '000000026162'
    expect(bytes.toString('hex')).toBe('00000025' + '00020001' + '01' + '00000002' + ids)
  })

  it('says of a sub-entry how many records it has, and twice how large they are', () => {
    expect(encodeEntry(buffers('ab', 'c'), true).toString('hex')).toBe(
      '80' + '0002' + '0000000b' + '0000000b' + '000000026162' + '0000000163',
    )
  })
})

describe('readConfirm()', () => {
  const idOf = (id: number): Buffer => Buffer.concat([uint32(0), uint32(id)])

  it('gives every id', () => {
    const ids: number[] = []
    const body = Buffer.concat([uint8(1), uint32(2), idOf(5), idOf(699)])
    readConfirm(body, (id) => ids.push(id))
    expect(ids).toEqual([5, 699])
  })

  it('refuses a count that is not that of the ids', () => {
    for (const body of [Buffer.alloc(0), Buffer.concat([uint8(1), uint32(2), idOf(5)])]) {
      expect(() => readConfirm(body, () => undefined)).toThrow('confirmed ids')
    }
  })
})

describe('FieldReader', () => {
  it('reads what was encoded, and nothing past the end', () => {
    const fields = new FieldReader(Buffer.concat([map({ a: 'ä' }), uint16(9)]))
    expect([fields.uint32(), fields.string(), fields.string(), fields.uint16()]).toEqual([1, 'a', 'ä', 9])
    expect(() => fields.uint16()).toThrow('2 bytes at 13, where 13 is the end')
    expect(() => new FieldReader(string('abc').subarray(0, 4)).string()).toThrow('3 bytes at 2')
  })
})
