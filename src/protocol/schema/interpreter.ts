/**
 * The second form of the engine: closures made from a declaration, for hosts that forbid compiling strings (a browser
 * page under a strict Content-Security-Policy), and the oracle that tests hold the compiled form against. Written apart
 * from compile.ts on purpose; the two share the declarations and the forms of single values (wire.ts), nothing else.
 */
import type { ByteReader } from '../../bytes/byte-reader.ts'
import type { ByteWriter } from '../../bytes/byte-writer.ts'
import { EncodeError } from '../../bytes/encode-error.ts'
import type { Codec, Field, Message, Shape } from './fields.ts'
import { hasVersion } from './versions.ts'
import { wireBytesMin } from './wire-size.ts'
import * as wire from './wire.ts'

type Read = (reader: ByteReader) => unknown
type Write = Codec['write']
/** A field of a struct in one version, made ready. */
interface Part extends Codec {
  readonly key: string
  readonly field: Field
  readonly isCarried: boolean
  /** What the field is before tags are read: its value from the wire, or its fallback. */
  readonly begin: Read
}
interface Context {
  readonly label: string
  readonly version: number
  readonly isFlexible: boolean
}

/** Makes the codec of `message` in `version`, one of its versions. */
export function interpretCodec(message: Message, version: number): Codec {
  const context = {
    label: `${message.name} v${version}`,
    version,
    isFlexible: hasVersion(message.flexible, version),
  }
  return structCodec(message.shape, context)
}

function structCodec(shape: Shape, context: Context): Codec {
  const parts: Part[] = Object.entries(shape).map(([key, field]) => {
    const isCarried = hasVersion(field.versions, context.version)
    const codec = isCarried ? fieldCodec(field, context) : NOT_CARRIED
    const begin = isCarried && field.tag === null ? codec.read : beginWithFallback(field)
    return { key, field, isCarried, ...codec, begin }
  })
  const tagged = parts
    .filter(({ field, isCarried }) => field.tag !== null && isCarried)
    .sort((a, b) => a.field.tag! - b.field.tag!)
  return {
    read: (reader) => {
      const value: Record<string, unknown> = {}
      for (const { key, begin } of parts) value[key] = begin(reader)
      if (context.isFlexible) readTagged(reader, value, tagged)
      return value
    },
    write: (writer, value: unknown) => {
      if (!isObject(value)) throw refusal(context, 'a struct', 'is no object')
      for (const { key, field, isCarried, write } of parts) {
        const given: unknown = value[key]
        if (!isCarried) {
          if (!field.ignorable && given !== undefined && !isFallback(field, given)) {
            throw refusal(context, key, 'is not carried')
          }
        } else if (field.tag === null)
          write(writer, given === undefined && field.omissible ? fallbackOf(field) : given)
      }
      if (context.isFlexible) writeTagged(writer, value, tagged)
    },
  }
}

function readTagged(reader: ByteReader, value: Record<string, unknown>, tagged: readonly Part[]): void {
  for (let left = wire.readTagCount(reader); left > 0; left--) {
    const tag = reader.uvarint()
    const end = wire.readTagEnd(reader)
    const part = tagged.find(({ field }) => field.tag === tag)
    if (part === undefined) reader.position = end
    else value[part.key] = part.read(reader)
    wire.checkTagEnd(reader, end)
  }
}

function writeTagged(writer: ByteWriter, value: Record<string, unknown>, tagged: readonly Part[]): void {
  const present = tagged.filter(
    ({ key, field }) => value[key] !== undefined && !isFallback(field, value[key]),
  )
  writer.uvarint(present.length)
  for (const { key, field, write } of present) {
    writer.uvarint(field.tag!)
    writer.sized(write, value[key])
  }
}

function fieldCodec(field: Field, context: Context): Codec {
  const isNullable = hasVersion(field.nullable, context.version)
  switch (field.kind) {
    case 'array':
      return arrayCodec(field, isNullable, context)
    case 'struct':
      return isNullable ? orNull(structCodec(field.shape!, context)) : structCodec(field.shape!, context)
    case 'string':
    case 'bytes':
    case 'records':
      return sizedCodec(field.kind, isNullable, context.isFlexible)
    case 'int64Bound':
      return { read: wire.readInt64Bound, write: wire.writeInt64Bound }
    default: {
      const { kind } = field
      return { read: (reader) => reader[kind](), write: (writer, value) => writer[kind](value as never) }
    }
  }
}

function orNull(inner: Codec): Codec {
  return {
    read: (reader) => (wire.readPresence(reader) ? inner.read(reader) : null),
    write: (writer, value) => {
      writer.int8(value === null ? -1 : 1)
      if (value !== null) inner.write(writer, value)
    },
  }
}

function arrayCodec(field: Field, isNullable: boolean, context: Context): Codec {
  const items = field.items!
  const inner = fieldCodec(items, context)
  const bytesMin = wireBytesMin(items, context.version, context.isFlexible)
  const { isFlexible } = context
  return {
    read: (reader) => {
      const count = isFlexible ? wire.readCompactCount(reader, bytesMin) : wire.readCount(reader, bytesMin)
      if (count < 0) return isNullable ? null : reader.fail('an array', 'null is not allowed')
      const values: unknown[] = []
      for (let left = count; left > 0; left--) values.push(inner.read(reader))
      return values
    },
    write: (writer, value) => {
      if (value === null && isNullable) {
        if (isFlexible) writer.uvarint(0)
        else writer.int32(-1)
        return
      }
      if (!Array.isArray(value)) throw refusal(context, 'an array', 'is none')
      if (isFlexible) writer.uvarint(value.length + 1)
      else writer.int32(value.length)
      for (const item of value) inner.write(writer, item)
    },
  }
}

function sizedCodec(kind: 'string' | 'bytes' | 'records', isNullable: boolean, isFlexible: boolean): Codec {
  const form = (isFlexible ? 2 : 0) + (isNullable ? 1 : 0)
  const reads: Record<typeof kind, readonly Read[]> = {
    string: STRING_READS,
    bytes: BYTES_READS,
    records: BYTES_READS,
  }
  const writes: Record<typeof kind, readonly Write[]> = {
    string: STRING_WRITES,
    bytes: BYTES_WRITES,
    records: RECORDS_WRITES,
  }
  return { read: reads[kind][form]!, write: writes[kind][form]! }
}

/** In the order plain, plain nullable, compact, compact nullable. */
const STRING_READS: readonly Read[] = [
  wire.readString,
  wire.readNullableString,
  wire.readCompactString,
  wire.readCompactNullableString,
]
const BYTES_READS: readonly Read[] = [
  wire.readBytes,
  wire.readNullableBytes,
  wire.readCompactBytes,
  wire.readCompactNullableBytes,
]
const STRING_WRITES: readonly Write[] = [
  wire.writeString,
  wire.writeNullableString,
  wire.writeCompactString,
  wire.writeCompactNullableString,
]
const BYTES_WRITES: readonly Write[] = [
  wire.writeBytes,
  wire.writeNullableBytes,
  wire.writeCompactBytes,
  wire.writeCompactNullableBytes,
]
const RECORDS_WRITES: readonly Write[] = [
  wire.writeRecords,
  wire.writeNullableRecords,
  wire.writeCompactRecords,
  wire.writeCompactNullableRecords,
]

/** Never called: a field that is not carried comes as its fallback. */
const NOT_CARRIED: Codec = { read: () => undefined, write: () => undefined }

/** As `fallbackOf`; what cannot be changed is not made anew each time. */
function beginWithFallback(field: Field): Read {
  const fallback = fallbackOf(field)
  return isObject(fallback) ? () => fallbackOf(field) : () => fallback
}

function fallbackOf(field: Field): unknown {
  if (field.kind === 'array' && field.fallback !== null) return []
  if (field.kind !== 'struct' || field.fallback === null) return field.fallback
  const value: Record<string, unknown> = {}
  for (const key in field.shape!) value[key] = fallbackOf(field.shape[key]!)
  return value
}

function isFallback(field: Field, value: unknown): boolean {
  const { fallback } = field
  if (fallback === null || !isObject(value)) return fallback === value
  if (field.kind !== 'struct') return value['length'] === 0
  for (const key in field.shape!)
    if (value[key] !== undefined && !isFallback(field.shape[key]!, value[key])) return false
  return true
}

function isObject(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === 'object'
}

function refusal(context: Context, what: string, why: string): EncodeError {
  return new EncodeError(`Cannot encode ${context.label}: ${what} ${why}`)
}
