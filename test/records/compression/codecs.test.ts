import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import { CODEC_NAMES, type Codec, type CodecName } from '../../../src/records/compression/codec.ts'
import { CodecSet, loadCodec } from '../../../src/records/compression/codec-set.ts'
import { setNativeCodec } from '../../../src/records/compression/native-codecs.ts'
import { xxHash32 } from '../../../src/records/compression/xxhash32.ts'
import { RecordError } from '../../../src/records/record-error.ts'
import { heldBytes } from '../../support/held-memory.ts'
import { jsonLines, randomBytes, randomFrom, seedOf, utf8 } from '../support/samples.ts'

const golden = join(import.meta.dirname, '../../golden/compression')
const bytesOf = (name: string) => new Uint8Array(readFileSync(join(golden, name)))
const plain = new Uint8Array(gunzipSync(bytesOf('plain.bin.gz')))
const files = readdirSync(golden).filter((name) => CODEC_NAMES.some((codec) => name.startsWith(`${codec}-`)))
const NAMES = CODEC_NAMES.filter((name): name is CodecName => name !== 'none')
const codecs = new Map<string, Codec>()
const codecOf = (file: string) => codecs.get(file.split('-')[0]!)!

beforeAll(async () => {
  // The portable forms, whatever has been installed in this process.
  for (const name of ['gzip', 'zstd'] as const) setNativeCodec(name, null)
  for (const name of NAMES) codecs.set(name, await loadCodec(name))
})

afterEach(() => {
  setNativeCodec('gzip', null)
})

/** `read` for a result, else the code of the error; anything else is thrown on and fails the test. */
function outcomeOf(codec: Codec, bytes: Uint8Array, sizeMax: number): string {
  try {
    const inflated = codec.decompress(bytes, sizeMax)
    expect(inflated.length).toBeLessThanOrEqual(sizeMax)
    return 'read'
  } catch (error) {
    if (error instanceof RecordError) return error.code
    throw error
  }
}

const same = (left: Uint8Array, right: Uint8Array) => Buffer.compare(left, right) === 0

describe('golden files of other implementations', () => {
  it('are there for every codec', () => {
    expect(new Set(files.map((name) => name.split('-')[0]))).toEqual(new Set(NAMES))
  })

  it.each(files)('%s is read, with a bound of exactly its size and not one byte less', (file) => {
    expect(same(codecOf(file).decompress(bytesOf(file), plain.length), plain)).toBe(true)
    expect(outcomeOf(codecOf(file), bytesOf(file), plain.length - 1)).toBe('RECORDS_TOO_LARGE')
  })

  it.each(files)(
    '%s cut anywhere is refused, or read up to the border of blocks or members where it was cut',
    (file) => {
      const bytes = bytesOf(file)
      const random = randomFrom(7)
      const cuts = [
        0,
        1,
        2,
        3,
        4,
        5,
        6,
        7,
        8,
        16,
        ...Array.from({ length: 40 }, () => random(bytes.length)),
        bytes.length - 1,
      ]
      for (const cut of cuts) {
        const outcome = outcomeOf(codecOf(file), bytes.slice(0, cut), plain.length)
        if (outcome !== 'read') expect(outcome).toBe('RECORDS_COMPRESSED_MALFORMED')
        else {
          const start = codecOf(file).decompress(bytes.slice(0, cut), plain.length)
          expect(start.length).toBeLessThan(plain.length)
          expect(same(start, plain.subarray(0, start.length))).toBe(true)
        }
      }
    },
  )
})

describe.each(NAMES)('%s', (name) => {
  const inputs: [string, Uint8Array][] = [
    ['nothing', new Uint8Array(0)],
    ['a byte', utf8('a')],
    ['12 equal bytes', new Uint8Array(12)],
    ['13 equal bytes', new Uint8Array(13)],
    ['a short text', utf8('to be or not to be, that is to be')],
    ['a pattern of three', Uint8Array.from({ length: 1000 }, (_, index) => index % 3)],
    ['64 KiB', jsonLines(2000).slice(0, 65_536)],
    ['64 KiB and a byte', jsonLines(2000).slice(0, 65_537)],
    ['300 000 zeros', new Uint8Array(300_000)],
    ['noise', randomBytes(randomFrom(3), 200_001)],
    ['JSON', jsonLines(8000)],
  ]

  it.each(inputs)('reads back %s', (_what, input) => {
    const codec = codecs.get(name)!
    const packed = codec.compress(input)
    expect(same(codec.decompress(packed, input.length), input)).toBe(true)
    if (input.length > 0) expect(outcomeOf(codec, packed, input.length - 1)).toBe('RECORDS_TOO_LARGE')
  })

  it('reads back random mixtures of noise and repeats', () => {
    const codec = codecs.get(name)!
    const random = randomFrom(seedOf(`${name} mixtures`))
    for (let round = 0; round < 60; round++) {
      const pieces: number[] = []
      while (pieces.length < 1 + random(4000)) {
        const start = random(pieces.length + 1)
        if (random(2) === 0) pieces.push(...randomBytes(random, random(80)))
        else pieces.push(...pieces.slice(start, start + random(300)))
        if (random(3) === 0) pieces.push(...Array.from({ length: random(90) }, () => 7))
      }
      const input = Uint8Array.from(pieces)
      expect(same(codec.decompress(codec.compress(input), input.length), input)).toBe(true)
    }
  })

  it('stops a bomb at the cap, with bounded memory and soon (X3)', () => {
    const codec = codecs.get(name)!
    const bomb = codec.compress(new Uint8Array(50 * 1024 * 1024))
    expect(outcomeOf(codec, bomb, 1024 * 1024)).toBe('RECORDS_TOO_LARGE')
    for (let round = 0; round < 5; round++) {
      const before = heldBytes()
      expect(outcomeOf(codec, bomb, 1024 * 1024)).toBe('RECORDS_TOO_LARGE')
      const { heapUsed, external } = process.memoryUsage()
      // What one call takes, be it garbage by now: the cap some times over, and far from what the bomb holds.
      expect(heapUsed + external - before).toBeLessThan(16 * 1024 * 1024)
    }
  })

  it('throws its own error or returns, whatever bytes it gets', () => {
    const codec = codecs.get(name)!
    const random = randomFrom(seedOf(`${name} fuzz`))
    const small = jsonLines(40)
    const bases = [codec.compress(small), codec.compress(new Uint8Array(5000)), randomBytes(random, 300)]
    const outcomes = new Set<string>()
    for (let round = 0; round < 3000; round++) {
      const bytes = bases[random(bases.length)]!.slice()
      for (let flips = random(5); flips >= 0; flips--) {
        const place = random(3) === 0 ? random(Math.min(24, bytes.length)) : random(bytes.length)
        bytes[place] = [0, 0x7f, 0x80, 0xff, random(256)][random(5)]!
      }
      outcomes.add(outcomeOf(codec, random(5) === 0 ? bytes.slice(0, random(bytes.length)) : bytes, 20_000))
    }
    expect(outcomes).toContain('RECORDS_COMPRESSED_MALFORMED')
  })
})

describe('snappy that lies (X3)', () => {
  const claim = [0x80, 0x80, 0x80, 0x80, 0x04] // 2^30 bytes
  it.each<[string, number[], string]>([
    ['a size of 2^30 in few bytes', [...claim, 0, 65], 'RECORDS_COMPRESSED_MALFORMED'],
    [
      'a size of more than 32 bits',
      [0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0, 65],
      'RECORDS_COMPRESSED_MALFORMED',
    ],
    ['a size with no end', [0xff, 0xff], 'RECORDS_COMPRESSED_MALFORMED'],
    [
      'a literal of 2^31 bytes, which hangs others',
      [100, 0xfc, 0, 0, 0, 0xfe, 1, 2],
      'RECORDS_COMPRESSED_MALFORMED',
    ],
    ['a literal longer than the size', [1, 4, 65, 66], 'RECORDS_COMPRESSED_MALFORMED'],
    ['less than the size', [5, 0, 65], 'RECORDS_COMPRESSED_MALFORMED'],
    ['a copy from before the start', [8, 0, 65, 9, 2], 'RECORDS_COMPRESSED_MALFORMED'],
    ['a copy of distance 0', [8, 0, 65, 9, 0], 'RECORDS_COMPRESSED_MALFORMED'],
    ['a copy past the size', [3, 0, 65, 9, 1], 'RECORDS_COMPRESSED_MALFORMED'],
    [
      'a xerial block of 2^31 - 1 bytes',
      [130, 83, 78, 65, 80, 80, 89, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0x7f, 255, 255, 255, 1],
      'RECORDS_COMPRESSED_MALFORMED',
    ],
    [
      'a xerial block of -1 bytes',
      [130, 83, 78, 65, 80, 80, 89, 0, 0, 0, 0, 1, 0, 0, 0, 1, 255, 255, 255, 255, 1],
      'RECORDS_COMPRESSED_MALFORMED',
    ],
  ])('%s is refused', (_name, bytes, code) => {
    expect(outcomeOf(codecs.get('snappy')!, Uint8Array.from(bytes), 1 << 20)).toBe(code)
  })

  it('keeps a xerial copy within its own block', () => {
    const block = [4, 0, 65, 0, 66, 5, 2] // a literal, a literal, a copy of 5 at distance 2: too long
    const header = [130, 83, 78, 65, 80, 80, 89, 0, 0, 0, 0, 1, 0, 0, 0, 1]
    const reaching = [...header, 0, 0, 0, 3, 1, 0, 65, 0, 0, 0, 3, 4, 1, 1]
    expect(outcomeOf(codecs.get('snappy')!, Uint8Array.from(reaching), 100)).toBe(
      'RECORDS_COMPRESSED_MALFORMED',
    )
    expect(outcomeOf(codecs.get('snappy')!, Uint8Array.from(block), 100)).toBe('RECORDS_COMPRESSED_MALFORMED')
  })
})

describe('lz4 checksums', () => {
  it('are XXH32', () => {
    expect(xxHash32(new Uint8Array(0), 0, 0)).toBe(0x02cc5d05)
    const text = utf8('Nobody inspects the spammish repetition')
    expect(xxHash32(text, 0, text.length)).toBe(0xe2293b2f)
  })

  it('are verified wherever a frame has them', () => {
    const bytes = bytesOf('lz4-linked-checksums-64k.lz4')
    for (const place of [4, 6, 14, bytes.length - 1]) {
      const flipped = bytes.slice()
      flipped[place]! ^= 0x40
      expect(outcomeOf(codecs.get('lz4')!, flipped, plain.length)).toBe('RECORDS_COMPRESSED_MALFORMED')
    }
  })
})

describe('zstd claims (X3)', () => {
  const frame = (...bytes: number[]) => Uint8Array.from([0x28, 0xb5, 0x2f, 0xfd, ...bytes])
  it.each<[string, Uint8Array, string]>([
    ['a content size of 2^62', frame(0xe0, 0, 0, 0, 0, 0, 0, 0, 0x40, 1, 0, 0), 'RECORDS_TOO_LARGE'],
    [
      '128 KiB of one byte, again and again',
      frame(0, 0x38, ...Array.from({ length: 900 }, () => [2, 0, 0x10, 65]).flat(), 3, 0, 0x10, 65),
      'RECORDS_TOO_LARGE',
    ],
    ['a reserved block type', frame(0, 0x38, 7, 0, 0), 'RECORDS_COMPRESSED_MALFORMED'],
    ['a dictionary', frame(0x01, 0x38, 9, 1, 0, 0), 'RECORDS_COMPRESSED_MALFORMED'],
    ['a window of 2 TB', frame(0, 0xf8, 0x0d, 0, 0, 65), 'RECORDS_COMPRESSED_MALFORMED'],
  ])('%s is refused', (_name, bytes, code) => {
    expect(outcomeOf(codecs.get('zstd')!, bytes, 1 << 20)).toBe(code)
  })

  it('loaded for reading only, reads and refuses to write', async () => {
    const reader = await loadCodec('zstd', { canWrite: false })
    expect(same(reader.decompress(bytesOf('zstd-with-size.zst'), plain.length), plain)).toBe(true)
    expect(() => reader.compress(plain)).toThrow(RecordError)
  })
})

describe('the native seam', () => {
  it('is preferred once installed, reads what the portable form wrote and maps its outcomes to our errors', async () => {
    setNativeCodec('gzip', {
      compress: (bytes) => gzipSync(bytes),
      decompress: (bytes, sizeMax) => gunzipSync(bytes, { maxOutputLength: sizeMax }),
    })
    const native = await loadCodec('gzip')
    expect(native).not.toBe(codecs.get('gzip'))
    expect(same(native.decompress(codecs.get('gzip')!.compress(plain), plain.length), plain)).toBe(true)
    expect(same(codecs.get('gzip')!.decompress(native.compress(plain), plain.length), plain)).toBe(true)
    expect(outcomeOf(native, bytesOf('gzip-two-members.gz'), plain.length - 1)).toBe('RECORDS_TOO_LARGE')
    expect(outcomeOf(native, utf8('no gzip'), plain.length)).toBe('RECORDS_COMPRESSED_MALFORMED')
  })
})

describe('CodecSet', () => {
  it('loads a codec once, however many ask', async () => {
    const set = new CodecSet()
    const [first, second] = await Promise.all([set.load('lz4'), set.load('lz4')])
    expect(first).toBe(second)
    expect(set.getFor(3)).toBe(first)
    expect(set.getFor(0)).toBeNull()
    expect(() => set.getFor(5)).toThrow(RecordError)
  })
})
