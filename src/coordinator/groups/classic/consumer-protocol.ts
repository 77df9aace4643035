/**
 * What consumers put into the metadata and the assignments of the classic protocol (KIP-429, KIP-792, KIP-881), which a
 * coordinator has to understand when a group moves between the protocols:
 *
 *   subscription := version: int16 | topics: [string] | userData: bytes | v1: owned: [topic] | v2: generation: int32
 *                   | v3: rackId: string
 *   assignment   := version: int16 | assigned: [topic] | userData: bytes
 *   topic        := name: string | partitions: [int32]
 *
 *   [x] := count: int32 | that many x      string := length: int16 | UTF-8      bytes := length: int32 | bytes; -1 null
 *
 * Big-endian. Later versions only append, so that what is known here is found in any of them. An assignment has had one layout
 * in all versions; we write version 0, as every client reads it.
 *
 * Invariant: reading costs no more than a constant times the bytes that are there, whatever counts they announce.
 */
import { assert } from '../../../base/assert.ts'
import { ByteReader } from '../../../bytes/byte-reader.ts'
import { ByteWriter } from '../../../bytes/byte-writer.ts'
import { DecodeError } from '../../../bytes/decode-error.ts'
import { utf8Size } from '../../../bytes/utf8.ts'

/** First versions of the subscription with these fields. */
const OWNED_VERSION = 1
const GENERATION_VERSION = 2
const RACK_VERSION = 3
/** The version of assignments that we write. */
const ASSIGNMENT_VERSION = 0
/** What a subscription that does not say of which generation its partitions are is taken to say. */
const NO_GENERATION = -1
const NULL_LENGTH = -1
/** Least bytes of a string, of a partition, and of a topic with partitions. */
const STRING_BYTES_MIN = 2
const PARTITION_BYTES = 4
const TOPIC_BYTES_MIN = STRING_BYTES_MIN + 4

/** Partitions of one topic, by the name it had. */
export interface NamedPartitions {
  readonly topic: string
  readonly partitions: readonly number[]
}

export interface ConsumerSubscription {
  readonly topics: readonly string[]
  /** What the member has when it joins and will not give up by itself: nothing with an eager assignor. */
  readonly owned: readonly NamedPartitions[]
  /** Of the generation in which it got them; -1 when it does not say. */
  readonly generation: number
  readonly rackId: string | null
}

/** @returns Null when the bytes are no subscription. */
export function readSubscription(metadata: Uint8Array): ConsumerSubscription | null {
  return read(metadata, (reader, version) => {
    const topics = readArray(reader, STRING_BYTES_MIN, () => readString(reader))
    skipBytes(reader)
    const owned = version >= OWNED_VERSION ? readTopics(reader) : []
    const generation = version >= GENERATION_VERSION ? reader.int32() : NO_GENERATION
    const rackId = version >= RACK_VERSION ? readNullableString(reader) : null
    return { topics, owned, generation, rackId: rackId === '' ? null : rackId }
  })
}

/** @returns Null when the bytes are no assignment. No bytes are one, of nothing. */
export function readAssignment(assignment: Uint8Array): readonly NamedPartitions[] | null {
  return assignment.length === 0 ? [] : read(assignment, (reader) => readTopics(reader))
}

export function writeAssignment(topics: readonly NamedPartitions[]): Uint8Array {
  const writer = new ByteWriter()
  writer.int16(ASSIGNMENT_VERSION)
  writer.int32(topics.length)
  for (const { topic, partitions } of topics) {
    const size = utf8Size(topic)
    writer.int16(size)
    writer.string(topic, size)
    writer.int32(partitions.length)
    for (const partition of partitions) writer.int32(partition)
  }
  writer.int32(NULL_LENGTH)
  const [first, ...others] = writer.finish()
  assert(others.length === 0, 'Expected one piece: there are no large byte strings in an assignment')
  return first!.slice()
}

function read<T>(bytes: Uint8Array, body: (reader: ByteReader, version: number) => T): T | null {
  const reader = new ByteReader(bytes)
  try {
    const version = reader.int16()
    return version < 0 ? null : body(reader, version)
  } catch (error) {
    // What does not decode is a protocol of the client's own, and none of the group's faults.
    if (error instanceof DecodeError) return null
    throw error
  }
}

function readTopics(reader: ByteReader): NamedPartitions[] {
  return readArray(reader, TOPIC_BYTES_MIN, () => {
    const topic = readString(reader)
    return { topic, partitions: readArray(reader, PARTITION_BYTES, () => reader.int32()) }
  })
}

/** @param itemBytesMin - What an item takes at least: so many that cannot be there are not looked for. */
function readArray<T>(reader: ByteReader, itemBytesMin: number, item: () => T): T[] {
  const count = reader.int32()
  if (count < 0 || count * itemBytesMin > reader.remaining)
    reader.fail('an array', `announces ${count} items`)
  const items: T[] = []
  for (let index = 0; index < count; index++) items.push(item())
  return items
}

function readString(reader: ByteReader): string {
  return readNullableString(reader) ?? reader.fail('a string', 'is null')
}

function readNullableString(reader: ByteReader): string | null {
  const size = reader.int16()
  if (size < NULL_LENGTH) reader.fail('a string', `announces ${size} bytes`)
  return size === NULL_LENGTH ? null : reader.string(size)
}

function skipBytes(reader: ByteReader): void {
  const size = reader.int32()
  if (size < NULL_LENGTH) reader.fail('bytes', `announce ${size} bytes`)
  if (size > 0) reader.skip(size)
}
