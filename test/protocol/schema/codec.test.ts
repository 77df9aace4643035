/** The semantics of the schema language (protocol/schema/fields.ts), point by point, in both forms of the engine. */
import { setFlagsFromString } from 'node:v8'
import { describe, expect, expectTypeOf, test } from 'vitest'
import { ByteReader } from '../../../src/bytes/byte-reader.ts'
import { ByteWriter } from '../../../src/bytes/byte-writer.ts'
import { DecodeError } from '../../../src/bytes/decode-error.ts'
import { EncodeError } from '../../../src/bytes/encode-error.ts'
import { ZERO_UUID } from '../../../src/bytes/uuid.ts'
import { FetchRequest } from '../../../src/protocol/messages/fetch.ts'
import { ProduceRequest } from '../../../src/protocol/messages/produce.ts'
import { decodeMessage, encodeMessage } from '../../../src/protocol/schema/codec.ts'
import { compileCodec, generateSource } from '../../../src/protocol/schema/compile.ts'
import { canCompile } from '../../../src/protocol/schema/engine.ts'
import {
  array,
  bool,
  bytes,
  float64,
  int16,
  int32,
  int64,
  int64Bound,
  int8,
  message,
  records,
  string,
  struct,
  uint16,
  uint32,
  uuid,
} from '../../../src/protocol/schema/fields.ts'
import type { Codec, Infer, InferInput, Message, Shape } from '../../../src/protocol/schema/fields.ts'
import { interpretCodec } from '../../../src/protocol/schema/interpreter.ts'
import { write } from '../../support/protocol-messages.ts'

const Example = message(
  'Example',
  { versions: '0-3', flexible: '2+' },
  {
    name: string({ nullable: '1+' }),
    epoch: int32({ versions: '1+', fallback: -1 }),
    hint: int32({ versions: '1+', ignorable: true, fallback: -1 }),
    members: array(struct({ id: int16(), rack: string({ versions: '3+', fallback: '' }) }), {
      nullable: '1+',
    }),
    later: array(int32(), { versions: '2+', fallback: [] }),
    cursor: struct({ at: int64() }, { versions: '3+', nullable: '3+', fallback: null }),
    leader: struct(
      { id: int32({ fallback: -1 }), epoch: int32({ fallback: -1 }) },
      { versions: '2+', tag: 1 },
    ),
    note: string({ versions: '2+', nullable: '2+', tag: 0, fallback: null }),
    bound: int64Bound({ versions: '3+', tag: 2 }),
  },
)

const hex = (content: Uint8Array): string => Buffer.from(content).toString('hex')
const bytesOf = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'))
const FORMS = [
  { form: 'compiled', make: compileCodec },
  { form: 'interpreted', make: interpretCodec },
]

describe.each(FORMS)('$form', ({ make }) => {
  const codecs: Codec[] = [0, 1, 2, 3].map((version) => make(Example, version))
  const encode = (version: number, value: InferInput<typeof Example>): string =>
    hex(write(codecs[version]!, value))
  const decode = (version: number, text: string): unknown =>
    codecs[version]!.read(new ByteReader(bytesOf(text)))
  const least: InferInput<typeof Example> = { name: 'a', members: [] }

  test('decoding yields every field in every version, in the order of the declaration', () => {
    const texts = ['000161 00000000', '000161 ffffffff ffffffff 00000000', '0261 ffffffff ffffffff 01 01 00']
    texts.forEach((text, version) => {
      const value = decode(version, text) as object
      expect(Object.keys(value)).toEqual(Object.keys(Example.shape))
      expect(value).toEqual({
        name: 'a',
        epoch: -1,
        hint: -1,
        members: [],
        later: [],
        cursor: null,
        leader: { id: -1, epoch: -1 },
        note: null,
        bound: null,
      })
    })
  })

  test('fallbacks that are objects are new with each message, so their owner may change them', () => {
    const first = decode(0, '000161 00000000') as Infer<typeof Example>
    first.later.push(1)
    first.leader.id = 5
    const second = decode(0, '000161 00000000') as Infer<typeof Example>
    expect(second.later).toEqual([])
    expect(second.leader.id).toBe(-1)
  })

  test('an omitted field goes out as its fallback, and only undefined counts as omitted', () => {
    expect(encode(1, least)).toBe('000161' + 'ffffffff' + 'ffffffff' + '00000000')
    expect(encode(1, { ...least, epoch: undefined })).toBe(encode(1, least))
    expect(() => encode(1, { ...least, epoch: null as never })).toThrow(EncodeError)
  })

  test('a set value in a version without the field is refused, unless ignorable or at the fallback', () => {
    expect(() => encode(0, { ...least, epoch: 5 })).toThrow('epoch is not carried')
    expect(() => encode(0, { ...least, later: [1] })).toThrow('later is not carried')
    expect(() => encode(0, { ...least, note: '' })).toThrow('note is not carried')
    expect(() => encode(0, { ...least, leader: { id: 3 } })).toThrow('leader is not carried')
    expect(() => encode(2, { ...least, cursor: { at: 1 } })).toThrow('cursor is not carried')
    expect(() => encode(2, { ...least, members: [{ id: 1, rack: 'r' }] })).toThrow(/rack is not carried/)
    const atFallbacks = {
      epoch: -1,
      later: [],
      note: null,
      leader: { id: -1, epoch: -1 },
      cursor: null,
      bound: null,
    }
    expect(encode(0, { ...least, ...atFallbacks, hint: 9 })).toBe('000161' + '00000000')
  })

  test('null is written and read only in versions that allow it', () => {
    expect(encode(1, { name: null, members: null })).toBe('ffff' + 'ffffffff' + 'ffffffff' + 'ffffffff')
    expect(encode(2, { name: null, members: null })).toBe('00' + 'ffffffff' + 'ffffffff' + '00' + '01' + '00')
    expect(() => encode(0, { name: null, members: [] })).toThrow(EncodeError)
    expect(() => encode(0, { name: 'a', members: null })).toThrow(EncodeError)
    expect(() => decode(0, 'ffff 00000000')).toThrow(DecodeError)
    expect(() => decode(0, '000161 ffffffff')).toThrow(DecodeError)
  })

  test('a nullable struct has a byte in front that says whether it is there', () => {
    const start = '0261' + 'ffffffff' + 'ffffffff' + '01' + '01'
    expect(encode(3, least)).toBe(start + 'ff' + '00')
    expect(encode(3, { ...least, cursor: { at: 2 } })).toBe(start + '01' + '0000000000000002' + '00' + '00')
    expect(decode(3, `${start} 01 0000000000000002 00 00`)).toMatchObject({ cursor: { at: 2 } })
  })

  test('KIP-482: tagged fields go out in ascending order, and only when they differ from the fallback', () => {
    const start = '0261' + 'ffffffff' + 'ffffffff' + '01' + '01'
    expect(encode(2, { ...least, leader: { id: 7 }, note: 'n' })).toBe(
      start + '02' + '00' + '02' + '026e' + '01' + '09' + '00000007' + 'ffffffff' + '00',
    )
    expect(encode(2, { ...least, leader: { id: -1 }, note: null })).toBe(start + '00')
  })

  test('KIP-482: unknown tags are skipped, in any order, and a struct of its own has tags, too', () => {
    const value = decode(
      2,
      '0261 ffffffff ffffffff 02 0001 01 63 03 aabbcc 01 03 63 00 01 0b 00000007 00000008 01 05 00 00 02 026e',
    )
    expect(value).toMatchObject({ members: [{ id: 1 }], leader: { id: 7, epoch: 8 }, note: 'n' })
  })

  test('KIP-482: a tagged struct that may be null is written in its size, and omitted when it is', () => {
    const Tagged = message(
      'Tagged',
      { versions: '0', flexible: '0+' },
      { cursor: struct({ at: int8() }, { nullable: '0+', tag: 0, fallback: null }) },
    )
    const codec = make(Tagged, 0)
    expect(hex(write(codec, { cursor: { at: 7 } }))).toBe('01' + '00' + '03' + '01' + '07' + '00')
    expect(hex(write(codec, { cursor: null }))).toBe('00')
    expect(codec.read(new ByteReader(bytesOf('01 00 03 01 07 00')))).toEqual({ cursor: { at: 7 } })
  })

  test('KIP-482: a tagged field that ends before or behind its size is refused', () => {
    expect(() => decode(2, '0261 ffffffff ffffffff 01 01 01 00 03 026e 00')).toThrow(/should end/)
    expect(() => decode(2, '0261 ffffffff ffffffff 01 01 01 00 01 026e')).toThrow(/should end/)
    expect(() => decode(2, '0261 ffffffff ffffffff 01 01 01 00 7f 026e')).toThrow(/remain/)
  })

  test('the bound that is 2^63 - 1 on the wire is null in memory, and 2^63 - 2 is refused', () => {
    const start = '0261 ffffffff ffffffff 01 01 ff'
    expect(decode(3, `${start} 01 02 08 7fffffffffffffff`)).toMatchObject({ bound: null })
    expect(decode(3, `${start} 01 02 08 0000000000000005`)).toMatchObject({ bound: 5 })
    expect(() => decode(3, `${start} 01 02 08 7ffffffffffffffe`)).toThrow(DecodeError)
  })

  test('X2: the count of an array is judged by the bytes that remain and the least its items take', () => {
    expect(() => decode(0, '000161 00000002 000000')).toThrow(
      '2 items of 2 bytes or more cannot be in the 3 bytes',
    )
    expect(() => decode(0, '000161 7fffffff 0000')).toThrow(DecodeError)
    expect(() => decode(0, '000161 fffffffe')).toThrow('its count is -2')
    expect(() => decode(2, '0261 ffffffff ffffffff ffffffff0f 0000')).toThrow(DecodeError)
  })

  test('what is no object or no array is refused by name', () => {
    expect(() => encode(0, null as never)).toThrow(/is no object/)
    expect(() => encode(0, { name: 'a', members: 'b' as never })).toThrow(EncodeError)
    expect(() => encode(0, { name: 'a', members: [null] as never })).toThrow(/is no object/)
    expect(() => encode(0, { members: [] } as never)).toThrow(EncodeError)
  })

  test('all kinds of fields come back at both ends of their ranges', () => {
    const Kinds = message(
      'Kinds',
      { versions: '0-1', flexible: '1+' },
      {
        a: bool(),
        b: int8(),
        c: int16(),
        d: uint16(),
        e: int32(),
        f: uint32(),
        g: int64(),
        h: int64Bound(),
        i: float64(),
        j: uuid(),
        k: string(),
        l: bytes(),
        m: records(),
        n: array(string()),
        o: array(uuid()),
      },
    )
    const high = {
      a: true,
      b: 127,
      c: 32767,
      d: 65535,
      e: 2 ** 31 - 1,
      f: 2 ** 32 - 1,
      g: 2 ** 53 - 1,
      h: 2 ** 53 - 1,
    }
    const low = { a: false, b: -128, c: -32768, d: 0, e: -(2 ** 31), f: 0, g: 1 - 2 ** 53, h: 1 - 2 ** 53 }
    const rest = {
      j: ZERO_UUID,
      l: new Uint8Array(9000),
      m: new Uint8Array(9000),
      n: ['', 'x'],
      o: [ZERO_UUID],
    }
    for (const value of [
      { ...high, i: Number.MAX_VALUE, k: 'é'.repeat(16383) + 'x', ...rest },
      { ...low, i: -0, k: '', ...rest },
    ]) {
      for (const version of [0, 1]) {
        const codec = make(Kinds, version)
        expect(codec.read(new ByteReader(write(codec, value)))).toEqual(value)
      }
    }
  })

  test.each([0, 1])('a string over 32,767 bytes is refused in either direction, v%d', (version) => {
    const Text = message('Text', { versions: '0-1', flexible: '1+' }, { text: string() })
    const codec = make(Text, version)
    expect(() => write(codec, { text: 'x'.repeat(32_768) })).toThrow(EncodeError)
    const long = new Uint8Array(40_000)
    long.set(version === 0 ? [0x80, 0x00] : [0x81, 0x80, 0x02])
    expect(() => codec.read(new ByteReader(long))).toThrow(DecodeError)
  })

  test('records may be given in pieces', () => {
    const Batch = message(
      'Batch',
      { versions: '0-1', flexible: '1+' },
      { records: records({ nullable: '0+' }) },
    )
    for (const version of [0, 1]) {
      const codec = make(Batch, version)
      const whole = write(codec, { records: Uint8Array.of(1, 2, 3) })
      expect(write(codec, { records: [Uint8Array.of(1), new Uint8Array(0), Uint8Array.of(2, 3)] })).toEqual(
        whole,
      )
      expect(codec.read(new ByteReader(write(codec, { records: [] })))).toEqual({
        records: new Uint8Array(0),
      })
    }
  })
})

describe('hidden classes', () => {
  setFlagsFromString('--allow-natives-syntax')
  // eslint-disable-next-line @typescript-eslint/no-implied-eval -- syntax that only V8 knows
  const hasSameMap = new Function('a', 'b', 'return %HaveSameMap(a, b)') as (a: object, b: object) => boolean

  const decodeIn = <S extends Shape>(declared: Message<S>, version: number, body: InferInput<Message<S>>) => {
    const writer = new ByteWriter()
    encodeMessage(declared, version, body, writer)
    return decodeMessage(declared, version, new ByteReader(writer.finish()[0]!))
  }

  test.each<{ name: string; versions: number[]; decode: (version: number) => object[] }>([
    {
      name: 'FetchRequest',
      versions: [4, 12, 13, 18],
      decode: (version) => {
        const partitions = [{ partition: 0, fetchOffset: 5e9, partitionMaxBytes: 1 }]
        const body = decodeIn(FetchRequest, version, { maxWaitMs: 1, minBytes: 1, topics: [{ partitions }] })
        return [body, body.replicaState, body.topics[0]!, body.topics[0]!.partitions[0]!]
      },
    },
    {
      name: 'ProduceRequest',
      versions: [3, 9, 13],
      decode: (version) => {
        const partitionData = [{ index: 0, records: new Uint8Array(3) }]
        const body = decodeIn(ProduceRequest, version, {
          acks: 1,
          timeoutMs: 1,
          topicData: [{ partitionData }],
        })
        return [body, body.topicData[0]!, body.topicData[0]!.partitionData[0]!]
      },
    },
  ])('all versions of $name decode to one, nested structs included', ({ versions, decode }) => {
    // The engine needs some rounds to settle on how it represents each field.
    for (let round = 0; round < 50; round++) versions.forEach((version) => decode(version))
    const [first, ...others] = versions.map((version) => decode(version))
    for (const other of others)
      other.forEach((part, index) => expect(hasSameMap(part, first![index]!)).toBe(true))
  })
})

describe('encodeMessage and decodeMessage', () => {
  test('say which message and version failed', () => {
    const writer = new ByteWriter()
    expect(() => {
      encodeMessage(Example, 0, { name: 'a', members: [], epoch: 4 }, writer)
    }).toThrow('Example v0 cannot be sent: Cannot encode Example v0: epoch is not carried')
    expect(() => decodeMessage(Example, 1, new ByteReader(new Uint8Array(1)))).toThrow(
      'Example v1 is malformed',
    )
  })

  test.each([-1, 4, 0.5, NaN])('refuse version %d, which is not declared', (version) => {
    expect(() => {
      encodeMessage(Example, version, { name: 'a', members: [] }, new ByteWriter())
    }).toThrow(/versions are 0 to 3/)
    expect(() => decodeMessage(Example, version, new ByteReader(new Uint8Array(99)))).toThrow(DecodeError)
  })

  test('leave alone what follows the message', () => {
    const reader = new ByteReader(bytesOf('000161 00000000 aabb'))
    decodeMessage(Example, 0, reader)
    expect(reader.remaining).toBe(2)
  })

  test('compile where the host allows it, to code that names its message', () => {
    expect(canCompile).toBe(true)
    expect(generateSource(Example, 2)).toContain('//# sourceURL=millrace/Example.v2.js')
  })
})

test('types are inferred: what decoding yields and what encoding accepts', () => {
  expectTypeOf<Infer<typeof Example>>().toEqualTypeOf<{
    name: string | null
    epoch: number
    hint: number
    members: { id: number; rack: string }[] | null
    later: number[]
    cursor: { at: number } | null
    leader: { id: number; epoch: number }
    note: string | null
    bound: number | null
  }>()
  expectTypeOf<{ name: null; members: readonly { id: number }[] }>().toExtend<InferInput<typeof Example>>()
  expectTypeOf<{ members: never[] }>().not.toExtend<InferInput<typeof Example>>()
  expectTypeOf<
    ProduceRequest['topicData'][0]['partitionData'][0]['records']
  >().toEqualTypeOf<Uint8Array | null>()
})
