/**
 * Hostile frames (X2, X28, X32): whatever comes in, decoding throws `DecodeError` or returns, soon, and what it returns is
 * bounded by what came in.
 */
import { describe, expect, test } from 'vitest'
import { ByteReader } from '../../src/bytes/byte-reader.ts'
import { DecodeError } from '../../src/bytes/decode-error.ts'
import { apiList } from '../../src/protocol/apis.ts'
import { decodeRequest, decodeResponse, encodeRequest, encodeResponse } from '../../src/protocol/frame.ts'
import { decodeMessage } from '../../src/protocol/schema/codec.ts'
import { compileCodec } from '../../src/protocol/schema/compile.ts'
import { interpretCodec } from '../../src/protocol/schema/interpreter.ts'
import { join, messageVersions, write } from '../support/protocol-messages.ts'
import { fixedValue } from '../support/protocol-values.ts'
import { seedFromEnv } from '../support/seed.ts'

const seed = seedFromEnv('fuzz')
// Half a million errors are thrown here, and collecting their stacks would take most of the time.
Error.stackTraceLimit = 0
/**
 * Fields and items that one byte of input may turn into. One byte can be an item of an array whose struct has some fields
 * that come as fallbacks; the largest such struct has fewer than this.
 */
const NODES_PER_BYTE_MAX = 16
/** Fields of a message whose arrays are all empty. */
const NODES_AT_REST_MAX = 32

/** Sizes and counts that announce too much, too little, or nothing sensible. */
const HOSTILE = [
  [0x7f, 0xff, 0xff, 0xff], // 2^31 - 1
  [0xff, 0xff, 0xff, 0xff], // -1
  [0xff, 0xff, 0xff, 0xfe], // -2
  [0x80, 0x00, 0x00, 0x00], // -2^31
  [0xff, 0xff, 0xff, 0xff, 0x0f], // varint 2^32 - 1
  [0xff, 0xff, 0xff, 0xff, 0x07], // varint 2^31 - 1
  [0x80, 0x80, 0x80, 0x80, 0x80, 0x00], // varints of 6, 7, 10 and 11 bytes
  [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01],
  [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
  [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
  [0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], // 2^63 - 1
  [0x80, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00], // -2^63
]

describe.each(messageVersions)('$title', ({ message, version }) => {
  const codec = compileCodec(message, version)
  const oracle = interpretCodec(message, version)
  const whole = write(codec, fixedValue(message, version, 'sample'))

  const probe = (bytes: Uint8Array): boolean => {
    const outcome = attempt(() => decodeMessage(message, version, new ByteReader(bytes)))
    if (outcome.isRefused) return false
    const nodes = countNodes(outcome.value)
    if (nodes > NODES_AT_REST_MAX + NODES_PER_BYTE_MAX * bytes.length) {
      expect.fail(`${bytes.length} bytes became ${nodes} values: ${Buffer.from(bytes).toString('hex')}`)
    }
    return true
  }

  test('X32: cut at any byte, it is refused', () => {
    for (let size = 0; size < whole.length; size++) {
      if (probe(whole.slice(0, size))) expect.fail(`Cut to ${size} of ${whole.length} bytes it was read`)
    }
  })

  test('X32: with any bit flipped, it is refused or read, and by both forms of the engine alike', () => {
    for (let bit = 0; bit < whole.length * 8; bit++) {
      const bytes = whole.slice()
      bytes[bit >> 3]! ^= 1 << (bit & 7)
      const isRead = probe(bytes)
      if (bit % 8 === 0) expect(attempt(() => oracle.read(new ByteReader(bytes))).isRefused).toBe(!isRead)
    }
  })

  test('X2, X28: with hostile counts, sizes and numbers at any byte, it is refused or read', () => {
    for (let position = 0; position < whole.length; position++) {
      for (const pattern of HOSTILE) {
        const bytes = new Uint8Array(Math.max(whole.length, position + pattern.length))
        bytes.set(whole)
        bytes.set(pattern, position)
        probe(bytes)
        probe(bytes.slice(0, position + pattern.length)) // nothing behind it
      }
    }
  })

  test('X32: random bytes are refused or read', () => {
    const random = generator(seed + version)
    for (let round = 0; round < 200; round++) {
      const bytes = new Uint8Array(random() % 120)
      // Small bytes make likelier counts.
      for (let index = 0; index < bytes.length; index++) bytes[index] = random() % (round % 2 === 0 ? 256 : 4)
      probe(bytes)
    }
  })
})

describe('whole frames', () => {
  test('X28: any API number and version is decoded, refused or told unserved', () => {
    const random = generator(seed)
    const kinds = new Set<string>()
    for (let round = 0; round < 20_000; round++) {
      const frame = new Uint8Array(10 + (random() % 60))
      for (let index = 0; index < frame.length; index++) frame[index] = random() % (round % 2 === 0 ? 256 : 3)
      if (round % 4 !== 0) {
        const api = apiList[random() % apiList.length]!
        frame.set([0, api.key, 0, random() % (api.versions.last + 3)])
        frame.set([0, 0], 8) // client id
      }
      const outcome = attempt(() => decodeRequest(frame))
      kinds.add(outcome.isRefused ? 'refused' : outcome.value.kind)
    }
    expect([...kinds].sort()).toEqual(['refused', 'served', 'unserved'])
  })

  test('X28: a flexible header on a version that is not flexible, and the reverse, does no harm', () => {
    for (const api of apiList) {
      for (let version = api.versions.first; version <= api.versions.last; version++) {
        const body = fixedValue(api.request, version, 'sample') as never
        const frame = join(encodeRequest(api.key, version, 1, 'client', body))
        const tagged = new Uint8Array([...frame.subarray(0, 16), 0, ...frame.subarray(16)])
        const untagged = new Uint8Array([...frame.subarray(0, 16), ...frame.subarray(17)])
        attempt(() => decodeRequest(tagged))
        attempt(() => decodeRequest(untagged))
      }
    }
  })

  test('X32: a response cut at any byte, its header included, is refused', () => {
    for (const api of apiList) {
      const version = api.versions.last
      const frame = join(
        encodeResponse(api.key, version, 7, fixedValue(api.response, version, 'sample') as never),
      )
      for (let size = 0; size < frame.length; size++) {
        expect(attempt(() => decodeResponse(api.key, version, frame.slice(0, size))).isRefused).toBe(true)
      }
    }
  })
})

/** Runs `decode`; anything it throws but `DecodeError` fails the test. */
function attempt<T>(decode: () => T): { isRefused: true } | { isRefused: false; value: T } {
  try {
    return { isRefused: false, value: decode() }
  } catch (error) {
    if (error instanceof DecodeError) return { isRefused: true }
    throw error
  }
}

function countNodes(value: unknown): number {
  if (value === null || typeof value !== 'object' || value instanceof Uint8Array) return 1
  let count = 1
  for (const part of Object.values(value)) count += countNodes(part)
  return count
}

/** Mulberry32: whole numbers in [0, 2^32). */
function generator(start: number): () => number {
  let state = start
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return (mixed ^ (mixed >>> 14)) >>> 0
  }
}
