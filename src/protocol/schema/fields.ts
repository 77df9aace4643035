/**
 * The schema language: a message is declared as plain data, and its TypeScript type is inferred from it.
 *
 *   const Example = message('Example', { versions: '0-3', flexible: '2+' }, {
 *     name: string(),
 *     epoch: int32({ versions: '1+', ignorable: true, fallback: -1 }),
 *     members: array(struct({ id: int32(), rack: string({ nullable: '0+' }) })),
 *   })
 *   type Example = Infer<typeof Example>   // { name: string; epoch: number; members: { id: number; rack: string | null }[] }
 *
 * The semantics, in both forms of the engine (compile.ts, interpreter.ts):
 * - One type for all versions. Decoding yields every field, in declaration order; a field that the version does not
 *   carry comes as its fallback.
 * - The sender may omit (`undefined`) a field with a declared fallback, and any tagged field; it goes out as its fallback.
 * - Encoding a value other than the fallback in a version without the field throws, unless the field is ignorable.
 * - Tagged fields (KIP-482) go out in ascending order, and only when they differ from the fallback. Unknown ones are skipped.
 * - 64-bit integers are safe integers; decoding one beyond that throws.
 * - `bytes` and `records` decode to views of the frame.
 */
/* eslint-disable @typescript-eslint/no-explicit-any -- a field of any type; `unknown` would not take its place in both directions */
import type { ByteReader } from '../../bytes/byte-reader.ts'
import type { ByteWriter } from '../../bytes/byte-writer.ts'
import { checkMessage } from './check.ts'
import { ZERO_UUID } from '../../bytes/uuid.ts'
import { parseVersions } from './versions.ts'
import type { VersionRange, Versions } from './versions.ts'

export type ScalarKind =
  'bool' | 'int8' | 'int16' | 'uint16' | 'int32' | 'uint32' | 'int64' | 'int64Bound' | 'float64' | 'uuid'
export type Kind = ScalarKind | 'string' | 'bytes' | 'records' | 'struct' | 'array'

declare const decoded: unique symbol
declare const encodable: unique symbol

/** A field of a struct, or the items of an array. `Out` is what decoding yields, `In` what encoding accepts. */
export interface Field<Out = any, In = any, Omissible extends boolean = boolean> {
  readonly kind: Kind
  /** Versions of the message that carry the field. */
  readonly versions: VersionRange
  /** Versions in which null can be encoded. */
  readonly nullable: VersionRange
  /** Tag number of a tagged field, else null. */
  readonly tag: number | null
  /** Versions without the field drop a set value instead of refusing it. */
  readonly ignorable: boolean
  /** Value where the version or the sender has none. Of a struct: null, or undefined for a struct of fallbacks. */
  readonly fallback: unknown
  readonly omissible: Omissible
  /** Of a struct. */
  readonly shape: Shape | null
  /** Of an array. */
  readonly items: Field | null
  /** Carry the types; never exist at run time. */
  readonly [decoded]?: Out
  readonly [encodable]?: In
}

/** Fields by name, in wire order. Names are plain identifiers, none of them numeric, so the order is the declared one. */
export type Shape = Readonly<Record<string, Field>>

export interface Options<T> {
  /** Versions that carry the field; default all. */
  versions?: Versions
  nullable?: Versions
  tag?: number
  ignorable?: boolean
  /** Default: zero, empty, false; of a nullable one, too. */
  fallback?: T | null
}

type OrNull<T, O> = O extends { nullable: Versions } ? T | null : T
type IsOmissible<O> = O extends { fallback: unknown } | { tag: number } ? true : false
type Made<Out, In, O> = Field<OrNull<Out, O>, OrNull<In, O>, IsOmissible<O>>

function field(
  kind: Kind,
  zero: unknown,
  options: Options<any>,
  shape: Shape | null,
  items: Field | null,
): Field {
  return {
    kind,
    versions: parseVersions(options.versions ?? '0+'),
    nullable: parseVersions(options.nullable ?? 'none'),
    tag: options.tag ?? null,
    ignorable: options.ignorable ?? false,
    fallback: 'fallback' in options ? options.fallback : zero,
    omissible: 'fallback' in options || options.tag !== undefined,
    shape,
    items,
  }
}

const declare =
  <Out, In = Out>(kind: Kind, zero: Out) =>
  <const O extends Options<Out> = Options<Out>>(options?: O): Made<Out, In, O> =>
    field(kind, zero, options ?? {}, null, null) as Made<Out, In, O>

const NO_BYTES = new Uint8Array(0)

export const bool = declare<boolean>('bool', false)
export const int8 = declare<number>('int8', 0)
export const int16 = declare<number>('int16', 0)
export const uint16 = declare<number>('uint16', 0)
export const int32 = declare<number>('int32', 0)
export const uint32 = declare<number>('uint32', 0)
/** A safe integer in memory. */
export const int64 = declare<number>('int64', 0)
/** An upper bound in 64 bits: the largest 64-bit integer says that there is none, and is null in memory. */
export const int64Bound = declare<number | null>('int64Bound', null)
export const float64 = declare<number>('float64', 0)
/** 22 characters of base64url. */
export const uuid = declare<string>('uuid', ZERO_UUID)
/** At most 32,767 bytes of UTF-8. */
export const string = declare<string>('string', '')
export const bytes = declare<Uint8Array>('bytes', NO_BYTES)
/** Record batches, opaque here. They may be sent in pieces, which leave as they are, without being joined. */
export const records = declare<Uint8Array, Uint8Array | readonly Uint8Array[]>('records', NO_BYTES)

export const struct = <const S extends Shape, const O extends Options<never> = Options<never>>(
  shape: S,
  options?: O,
): Made<Decoded<S>, Encodable<S>, O> =>
  field('struct', undefined, options ?? {}, shape, null) as Made<Decoded<S>, Encodable<S>, O>

export const array = <F extends Field, const O extends Options<readonly never[]> = Options<readonly never[]>>(
  items: F,
  options?: O,
): Made<DecodedOf<F>[], readonly EncodableOf<F>[], O> =>
  field('array', [], options ?? {}, null, items) as Made<DecodedOf<F>[], readonly EncodableOf<F>[], O>

/** A declared message: a request, a response, or a record of an internal topic. */
export interface Message<S extends Shape = Shape> {
  readonly name: string
  readonly shape: S
  /** Versions that can be encoded and decoded. */
  readonly versions: VersionRange
  /** Versions with compact lengths and tagged fields (KIP-482). */
  readonly flexible: VersionRange
  /** By version; filled on first use by codec.ts, and by nobody else. */
  readonly codecs: (Codec | undefined)[]
}

/** Reads and writes one message in one version. */
export interface Codec {
  readonly read: (reader: ByteReader) => unknown
  readonly write: (writer: ByteWriter, value: any) => void
}

/**
 * Declares a message.
 *
 * @throws {SyntaxError} when the declaration contradicts itself; so a module with a bad one does not load.
 */
export function message<const S extends Shape>(
  name: string,
  options: { readonly versions: Versions; readonly flexible: Versions },
  shape: S,
): Message<S> {
  const versions = parseVersions(options.versions)
  const open = parseVersions(options.flexible)
  const flexible = { first: open.first, last: Math.min(open.last, versions.last) }
  const declared: Message<S> = { name, shape, versions, flexible, codecs: [] }
  checkMessage(declared)
  // Full from the start, so that the array has no holes and keeps its fast form.
  for (let version = 0; version <= versions.last; version++) declared.codecs.push(undefined)
  return declared
}

type DecodedOf<F> = F extends Field<infer Out> ? Out : never
type EncodableOf<F> = F extends Field<any, infer In> ? In : never
type Decoded<S extends Shape> = { -readonly [K in keyof S]: DecodedOf<S[K]> } & {}
type Encodable<S extends Shape> = {
  readonly [K in keyof S as S[K]['omissible'] extends true ? never : K]: EncodableOf<S[K]>
} & {
  readonly [K in keyof S as S[K]['omissible'] extends true ? K : never]?: EncodableOf<S[K]> | undefined
}

/** What decoding yields: every field, in every version, in declaration order. */
export type Infer<M extends { readonly shape: Shape }> = Decoded<M['shape']>
/** What encoding accepts: a field with a declared fallback, or with a tag, may be omitted. */
export type InferInput<M extends { readonly shape: Shape }> =
  // Of each message of a union by itself: both halves of `Encodable` spread over a union, to every pair of its members.
  M extends { readonly shape: infer S extends Shape } ? Encodable<S> : never
