/**
 * The records of the offsets topic: there and back, the bytes of each kind written down in test/golden/coordinator, and hostile
 * bytes. A golden file that changes is a change of the format; UPDATE_GOLDEN=1 writes those that are missing and never
 * touches one that is there.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ByteWriter } from '../../../src/bytes/byte-writer.ts'
import {
  coordinatorRecordKinds,
  decodeCoordinatorRecord,
  encodeCoordinatorRecord,
} from '../../../src/coordinator/records/coordinator-record.ts'
import type {
  CoordinatorRecord,
  CoordinatorRecordKind,
} from '../../../src/coordinator/records/coordinator-record.ts'
import { encodeMessage } from '../../../src/protocol/schema/codec.ts'
import type { Message } from '../../../src/protocol/schema/fields.ts'
import { arbitraryValue, fixedValue, STYLES } from '../../support/protocol-values.ts'
import type { Style } from '../../support/protocol-values.ts'
import { join as joinPieces } from '../../support/protocol-messages.ts'
import { seedFromEnv } from '../../support/seed.ts'

const seed = seedFromEnv('coordinator-record')
const GOLDEN = join(import.meta.dirname, '../../golden/coordinator')
const kinds = Object.keys(coordinatorRecordKinds) as CoordinatorRecordKind[]
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const bytesOf = (...bytes: number[]): Uint8Array => Uint8Array.from(bytes)

function recordOf(kind: CoordinatorRecordKind, style: Style): CoordinatorRecord {
  const { key, value, version } = coordinatorRecordKinds[kind]
  return {
    kind,
    key: fixedValue(key, 0, style) as never,
    value: fixedValue(value, version, style) as never,
  }
}

describe.each(kinds)('%s', (kind) => {
  test.each(STYLES)('comes back as it was written: %s', (style) => {
    const record = recordOf(kind, style)
    const { key, value } = encodeCoordinatorRecord(record)
    expect(decodeCoordinatorRecord(key, value)).toEqual(record)
  })

  test('comes back as it was written: random values', () => {
    const { key, value, version } = coordinatorRecordKinds[kind]
    fc.assert(
      fc.property(arbitraryValue(key, 0), arbitraryValue(value, version), (anyKey, anyValue) => {
        const record = { kind, key: anyKey as never, value: anyValue as never } as CoordinatorRecord
        const encoded = encodeCoordinatorRecord(record)
        expect(decodeCoordinatorRecord(encoded.key, encoded.value)).toEqual(record)
      }),
      { seed, numRuns: 25 },
    )
  })

  test('comes back without a value when it removes', () => {
    const record = { ...recordOf(kind, 'sample'), value: null } as CoordinatorRecord
    const { key, value } = encodeCoordinatorRecord(record)
    expect(value).toBeNull()
    expect(decodeCoordinatorRecord(key, value)).toEqual(record)
  })

  test('is read in every version that Kafka has written', () => {
    const { key, value } = coordinatorRecordKinds[kind]
    const encodedKey = encodeCoordinatorRecord(recordOf(kind, 'sample')).key
    for (let version = value.versions.first; version <= value.versions.last; version++) {
      const writer = new ByteWriter()
      writer.int16(version)
      const sample: unknown = fixedValue(value, version, 'sample')
      encodeMessage(value as Message, version, sample as never, writer)
      const decoded = decodeCoordinatorRecord(encodedKey, joinPieces(writer.finish()))
      expect(decoded).toEqual({ kind, key: fixedValue(key, 0, 'sample') as unknown, value: sample })
    }
  })

  test('has the bytes of the golden file', () => {
    const path = join(GOLDEN, `${kind}.json`)
    const { key, value } = encodeCoordinatorRecord(recordOf(kind, 'sample'))
    const nulls = encodeCoordinatorRecord(recordOf(kind, 'nulls'))
    const actual = { key: hex(key), value: hex(value!), nullsValue: hex(nulls.value!) }
    if (!existsSync(path) && process.env['UPDATE_GOLDEN'] === '1') {
      mkdirSync(GOLDEN, { recursive: true })
      writeFileSync(path, `${JSON.stringify(actual, null, 1)}\n`)
    }
    expect(actual).toEqual(JSON.parse(readFileSync(path, 'utf8')))
  })

  test('that is cut short, or goes on after its end, is reported as damage', () => {
    const { key, value } = encodeCoordinatorRecord(recordOf(kind, 'sample'))
    for (let size = 2; size < key.length; size++) {
      expect(() => decodeCoordinatorRecord(key.subarray(0, size), value)).toThrow(
        expect.objectContaining({ code: 'DECODE_FAILED' }) as Error,
      )
    }
    for (let size = 0; size < value!.length; size++) {
      expect(() => decodeCoordinatorRecord(key, value!.subarray(0, size))).toThrow(
        expect.objectContaining({ code: 'DECODE_FAILED' }) as Error,
      )
    }
    const longer = (bytes: Uint8Array): Uint8Array => Uint8Array.from([...bytes, 0])
    expect(() => decodeCoordinatorRecord(longer(key), value)).toThrow('1 bytes follow it')
    expect(() => decodeCoordinatorRecord(key, longer(value!))).toThrow('1 bytes follow it')
  })
})

describe('decodeCoordinatorRecord()', () => {
  test('passes over kinds that are not known here, whatever follows', () => {
    for (const number of [0, 9, 15, 17, 255, 256 * 127])
      expect(decodeCoordinatorRecord(bytesOf(number >> 8, number & 255, 1, 2), bytesOf(0, 0))).toBeNull()
    expect(decodeCoordinatorRecord(bytesOf(255, 255), null)).toBeNull()
  })

  test('passes over values of versions that are not known here', () => {
    const { key } = encodeCoordinatorRecord(recordOf('OffsetCommit', 'sample'))
    expect(decodeCoordinatorRecord(key, bytesOf(0, 5, 1, 2))).toBeNull()
    expect(decodeCoordinatorRecord(key, bytesOf(255, 255))).toBeNull()
  })

  test('reports a key without even a kind', () => {
    for (const key of [bytesOf(), bytesOf(0)])
      expect(() => decodeCoordinatorRecord(key, null)).toThrow(
        expect.objectContaining({ code: 'DECODE_FAILED' }) as Error,
      )
  })

  test('returns, passes over or reports: any bytes', () => {
    const someKey = fc.tuple(fc.integer({ min: 0, max: 17 }), fc.uint8Array({ maxLength: 40 }))
    fc.assert(
      fc.property(someKey, fc.option(fc.uint8Array({ maxLength: 200 })), ([number, rest], value) => {
        try {
          decodeCoordinatorRecord(bytesOf(0, number, ...rest), value)
        } catch (error) {
          expect((error as { code?: string }).code).toBe('DECODE_FAILED')
        }
      }),
      { seed, numRuns: 2_000 },
    )
  })
})
