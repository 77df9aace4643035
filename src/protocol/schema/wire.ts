/**
 * The protocol's forms of values with a length, in the words of a reader and a writer of bytes.
 *
 *   plain    string: int16 size | UTF-8       bytes, records: int32 size | bytes       array: int32 count | items     null: -1
 *   compact  the same with an unsigned varint of size + 1 or count + 1 in front, and 0 for null     (KIP-482)
 *   tags     uvarint count | count x { uvarint tag | uvarint size | size bytes }                    (KIP-482)
 *
 * Hot path. A count is checked against the bytes that remain before anything is allocated for it.
 */
import { EncodeError } from '../../bytes/encode-error.ts'
import type { ByteReader } from '../../bytes/byte-reader.ts'
import type { ByteWriter } from '../../bytes/byte-writer.ts'
import { utf8Size } from '../../bytes/utf8.ts'

/** Longest string in bytes: what the plain form's int16 can say. The compact form keeps to it, too. */
const STRING_BYTES_MAX = 0x7fff
/** A tagged field takes at least a tag and a size. */
const TAGGED_BYTES_MIN = 2
/** The upper half of 2^63 - 1. */
const INT64_MAX_HIGH = 0x7fff_ffff

export function readString(reader: ByteReader): string {
  return readNullableString(reader) ?? reader.fail('a string', 'null is not allowed')
}

export function readNullableString(reader: ByteReader): string | null {
  const size = reader.int16()
  if (size >= 0) return reader.string(size)
  return size === -1 ? null : reader.fail('a string', `its size is ${size}`)
}

export function readCompactString(reader: ByteReader): string {
  return readCompactNullableString(reader) ?? reader.fail('a string', 'null is not allowed')
}

export function readCompactNullableString(reader: ByteReader): string | null {
  const size = reader.uvarint() - 1
  if (size < 0) return null
  return size <= STRING_BYTES_MAX ? reader.string(size) : reader.fail('a string', `its size is ${size}`)
}

export function readBytes(reader: ByteReader): Uint8Array {
  return readNullableBytes(reader) ?? reader.fail('a byte string', 'null is not allowed')
}

export function readNullableBytes(reader: ByteReader): Uint8Array | null {
  const size = reader.int32()
  if (size >= 0) return reader.slice(size)
  return size === -1 ? null : reader.fail('a byte string', `its size is ${size}`)
}

export function readCompactBytes(reader: ByteReader): Uint8Array {
  return readCompactNullableBytes(reader) ?? reader.fail('a byte string', 'null is not allowed')
}

export function readCompactNullableBytes(reader: ByteReader): Uint8Array | null {
  const size = reader.uvarint() - 1
  return size < 0 ? null : reader.slice(size)
}

/** The count of an array whose items take at least `itemBytesMin` bytes each; -1 for null. */
export function readCount(reader: ByteReader, itemBytesMin: number): number {
  const count = reader.int32()
  if (count < -1) reader.fail('an array', `its count is ${count}`)
  checkCount(reader, count, itemBytesMin)
  return count
}

export function readCompactCount(reader: ByteReader, itemBytesMin: number): number {
  const count = reader.uvarint() - 1
  checkCount(reader, count, itemBytesMin)
  return count
}

/** How many tagged fields follow. */
export function readTagCount(reader: ByteReader): number {
  const count = reader.uvarint()
  if (count !== 0) checkCount(reader, count, TAGGED_BYTES_MIN)
  return count
}

/** Passes over tagged fields, none of which is known. */
export function skipTags(reader: ByteReader): void {
  for (let left = readTagCount(reader); left > 0; left--) {
    reader.uvarint()
    reader.skip(reader.uvarint())
  }
}

/** Reads the size of a tagged field and returns the position where it must end. */
export function readTagEnd(reader: ByteReader): number {
  const size = reader.uvarint()
  if (size > reader.remaining)
    reader.fail('a tagged field', `it has ${size} bytes and ${reader.remaining} remain`)
  return reader.position + size
}

/** Refuses a tagged field that did not end where its size said. */
export function checkTagEnd(reader: ByteReader, end: number): void {
  if (reader.position !== end) reader.fail('a tagged field', `it should end at byte ${end}`)
}

/** Whether the one byte before a nullable struct says that it is there. */
export function readPresence(reader: ByteReader): boolean {
  return reader.int8() >= 0
}

export function readInt64Bound(reader: ByteReader): number | null {
  const start = reader.position
  if (reader.int32() === INT64_MAX_HIGH && reader.uint32() === 0xffff_ffff) return null
  reader.position = start
  return reader.int64()
}

export function writeString(writer: ByteWriter, text: string): void {
  const size = stringSize(text)
  writer.int16(size)
  writer.string(text, size)
}

export function writeNullableString(writer: ByteWriter, text: string | null): void {
  if (text === null) writer.int16(-1)
  else writeString(writer, text)
}

export function writeCompactString(writer: ByteWriter, text: string): void {
  const size = stringSize(text)
  writer.uvarint(size + 1)
  writer.string(text, size)
}

export function writeCompactNullableString(writer: ByteWriter, text: string | null): void {
  if (text === null) writer.int8(0)
  else writeCompactString(writer, text)
}

export function writeBytes(writer: ByteWriter, bytes: Uint8Array): void {
  writer.int32(bytesSize(bytes))
  writer.bytes(bytes)
}

export function writeNullableBytes(writer: ByteWriter, bytes: Uint8Array | null): void {
  if (bytes === null) writer.int32(-1)
  else writeBytes(writer, bytes)
}

export function writeCompactBytes(writer: ByteWriter, bytes: Uint8Array): void {
  writer.uvarint(bytesSize(bytes) + 1)
  writer.bytes(bytes)
}

export function writeCompactNullableBytes(writer: ByteWriter, bytes: Uint8Array | null): void {
  if (bytes === null) writer.int8(0)
  else writeCompactBytes(writer, bytes)
}

export function writeRecords(writer: ByteWriter, records: Uint8Array | readonly Uint8Array[]): void {
  writer.int32(recordsSize(records))
  writeChunks(writer, records)
}

export function writeNullableRecords(
  writer: ByteWriter,
  records: Uint8Array | readonly Uint8Array[] | null,
): void {
  if (records === null) writer.int32(-1)
  else writeRecords(writer, records)
}

export function writeCompactRecords(writer: ByteWriter, records: Uint8Array | readonly Uint8Array[]): void {
  writer.uvarint(recordsSize(records) + 1)
  writeChunks(writer, records)
}

export function writeCompactNullableRecords(
  writer: ByteWriter,
  records: Uint8Array | readonly Uint8Array[] | null,
): void {
  if (records === null) writer.int8(0)
  else writeCompactRecords(writer, records)
}

export function writeInt64Bound(writer: ByteWriter, bound: number | null): void {
  if (bound !== null) writer.int64(bound)
  else {
    writer.int32(INT64_MAX_HIGH)
    writer.int32(-1)
  }
}

function checkCount(reader: ByteReader, count: number, itemBytesMin: number): void {
  if (count > 0 && (reader.itemsLeft -= count) < 0) reader.fail('an array', 'the message has too many items')
  if (count * itemBytesMin > reader.remaining) {
    reader.fail(
      'an array',
      `${count} items of ${itemBytesMin} bytes or more cannot be in the ${reader.remaining} bytes that remain`,
    )
  }
}

function stringSize(text: string): number {
  if (typeof text !== 'string') throw new EncodeError(`Cannot encode a string: ${String(text)} is none`)
  const size = utf8Size(text)
  if (size > STRING_BYTES_MAX)
    throw new EncodeError(`Cannot encode a string: ${size} bytes, at most ${STRING_BYTES_MAX} fit`)
  return size
}

function bytesSize(bytes: Uint8Array): number {
  if (!(bytes instanceof Uint8Array))
    throw new EncodeError(`Cannot encode bytes: ${String(bytes)} is no Uint8Array`)
  return bytes.length
}

function recordsSize(records: Uint8Array | readonly Uint8Array[]): number {
  if (!Array.isArray(records)) return bytesSize(records as Uint8Array)
  let size = 0
  for (const piece of records) size += bytesSize(piece as Uint8Array)
  return size
}

function writeChunks(writer: ByteWriter, records: Uint8Array | readonly Uint8Array[]): void {
  if (records instanceof Uint8Array) writer.chunk(records)
  else for (const piece of records) writer.chunk(piece)
}
