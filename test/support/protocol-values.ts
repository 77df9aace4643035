/**
 * Values of declared messages for tests: fixed ones of several styles, and random ones.
 *
 * A value has every field. What the version does not carry is at its fallback, so decoding must give the value back as
 * it was.
 */
/* eslint-disable @typescript-eslint/no-explicit-any, @typescript-eslint/no-unsafe-return, @typescript-eslint/no-unsafe-assignment,
   @typescript-eslint/no-unsafe-member-access -- values of any message, whose types only the declarations know */
import fc from 'fast-check'
import { ZERO_UUID } from '../../src/bytes/uuid.ts'
import { OWN_TAG_FIRST } from '../../src/protocol/schema/check.ts'
import type { Field, Kind, Message, Shape } from '../../src/protocol/schema/fields.ts'
import { hasVersion } from '../../src/protocol/schema/versions.ts'

/**
 * `fallbacks`: all at the fallback, arrays empty. `nulls`: null wherever it may be. `minima` and `maxima`: the ends of each
 * range. `sample`: plausible and told apart, for golden bytes.
 */
export type Style = 'fallbacks' | 'nulls' | 'minima' | 'maxima' | 'sample'
export const STYLES: readonly Style[] = ['fallbacks', 'nulls', 'minima', 'maxima', 'sample']

type Value = any

/** Long enough for a compact size of two bytes. */
const LONG_TEXT = 'é'.repeat(100)

const EXTREMES: Record<Exclude<Kind, 'struct' | 'array'>, readonly [min: Value, max: Value]> = {
  bool: [false, true],
  int8: [-128, 127],
  int16: [-32768, 32767],
  uint16: [0, 65535],
  int32: [-(2 ** 31), 2 ** 31 - 1],
  uint32: [0, 2 ** 32 - 1],
  int64: [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
  int64Bound: [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
  float64: [-Number.MAX_VALUE, Number.MAX_VALUE],
  uuid: ['AAAAAAAAAAAAAAAAAAAAAA', '_____________________w'],
  string: ['', LONG_TEXT],
  bytes: [new Uint8Array(0), new Uint8Array(300).fill(255)],
  records: [new Uint8Array(0), new Uint8Array(5_000).fill(255)],
}

export function fixedValue(message: Message, version: number, style: Style): Value {
  let serial = 0
  const sampleOf = (kind: Exclude<Kind, 'struct' | 'array'>): Value => {
    serial++
    switch (kind) {
      case 'bool':
        return serial % 2 === 0
      case 'string':
        return `text-${serial}`
      case 'uuid':
        return `sample${String(serial).padStart(15, '0')}A`
      case 'bytes':
      case 'records':
        return Uint8Array.of(serial, 0, 255)
      case 'float64':
        return serial + 0.5
      case 'int8':
        return serial % 100
      case 'int16':
      case 'uint16':
        return 256 + serial
      case 'int32':
      case 'uint32':
        return 65536 + serial
      default:
        return 2 ** 40 + serial
    }
  }
  const fieldValue = (field: Field): Value => {
    if (!hasVersion(field.versions, version) || style === 'fallbacks') return fallbackOf(field)
    // Golden bytes are those of Kafka's own fields.
    const isOwn = field.tag !== null && field.tag >= OWN_TAG_FIRST
    if (isOwn && (style === 'sample' || style === 'nulls')) return fallbackOf(field)
    return contentOf(field)
  }
  const contentOf = (field: Field): Value => {
    if (style === 'nulls' && (hasVersion(field.nullable, version) || field.kind === 'int64Bound')) return null
    if (field.kind === 'struct') return structValue(field.shape!)
    if (field.kind === 'array') {
      const count = style === 'minima' ? 0 : 2
      return Array.from({ length: count }, () => contentOf(field.items!))
    }
    if (style === 'sample' || style === 'nulls') return sampleOf(field.kind)
    return EXTREMES[field.kind][style === 'minima' ? 0 : 1]
  }
  const structValue = (shape: Shape): Value => mapShape(shape, fieldValue)
  return structValue(message.shape)
}

/** Random values of a message in a version, edges more often than by chance. */
export function arbitraryValue(message: Message, version: number): fc.Arbitrary<Value> {
  const fieldValue = (field: Field): fc.Arbitrary<Value> =>
    hasVersion(field.versions, version)
      ? orFallback(field)
      : fc.constant(undefined).map(() => fallbackOf(field))
  const orFallback = (field: Field): fc.Arbitrary<Value> => {
    const choices: fc.WeightedArbitrary<Value>[] = [{ arbitrary: contentOf(field), weight: 6 }]
    if (hasVersion(field.nullable, version)) choices.push({ arbitrary: fc.constant(null), weight: 1 })
    if (field.omissible)
      choices.push({ arbitrary: fc.constant(undefined).map(() => fallbackOf(field)), weight: 2 })
    return fc.oneof(...choices)
  }
  const contentOf = (field: Field): fc.Arbitrary<Value> => {
    switch (field.kind) {
      case 'struct':
        return fc.record(mapShape(field.shape!, fieldValue) as Record<string, fc.Arbitrary<Value>>, {
          noNullPrototype: true,
        })
      case 'array':
        return fc.array(contentOf(field.items!), { maxLength: 3 })
      case 'bool':
        return fc.boolean()
      case 'string':
        return fc.oneof(
          fc.string({ unit: 'grapheme', maxLength: 40 }),
          fc.constantFrom('__proto__', 'constructor', 'a\0b', ''),
        )
      case 'bytes':
      case 'records':
        return fc.oneof(
          fc.uint8Array({ maxLength: 200 }),
          fc.constantFrom(4095, 4096).map((size) => new Uint8Array(size)),
        )
      case 'uuid':
        return fc
          .uint8Array({ minLength: 16, maxLength: 16 })
          .map((bytes) => Buffer.from(bytes).toString('base64url'))
      case 'float64':
        return fc.double({ noNaN: true })
      case 'int64Bound':
        return fc.option(fc.maxSafeInteger(), { freq: 3 })
      case 'int64':
        return fc.oneof(fc.maxSafeInteger(), fc.constantFrom(-1, 0, 2 ** 31, 2 ** 32, -(2 ** 31) - 1))
      default: {
        const [min, max] = EXTREMES[field.kind] as [number, number]
        return fc.integer({ min, max })
      }
    }
  }
  return fc.record(mapShape(message.shape, fieldValue) as Record<string, fc.Arbitrary<Value>>, {
    noNullPrototype: true,
  })
}

/** What decoding gives for a field that is not there. */
export function fallbackOf(field: Field): Value {
  if (field.fallback === null) return null
  if (field.kind === 'struct') return mapShape(field.shape!, fallbackOf)
  if (field.kind === 'array') return []
  return field.kind === 'uuid' ? ((field.fallback as string | undefined) ?? ZERO_UUID) : field.fallback
}

/** `value` without the fields that its sender may omit and that are at their fallback. */
export function withoutFallbacks(shape: Shape, value: Value): Value {
  const entries = Object.entries(shape).flatMap(([key, field]): [string, Value][] => {
    const given = value[key]
    if (field.omissible && isEqual(given, fallbackOf(field))) return []
    return [
      [
        key,
        field.shape === null || given === null
          ? withoutInItems(field, given)
          : withoutFallbacks(field.shape, given),
      ],
    ]
  })
  return Object.fromEntries(entries)
}

function withoutInItems(field: Field, value: Value): Value {
  const shape = field.items?.shape ?? null
  if (shape === null || value === null) return value
  return (value as Value[]).map((item) => withoutFallbacks(shape, item))
}

function isEqual(a: Value, b: Value): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}

function mapShape(shape: Shape, make: (field: Field) => Value): Value {
  return Object.fromEntries(Object.entries(shape).map(([key, field]) => [key, make(field)]))
}
