/**
 * The records of `__consumer_offsets`: every change of a group or of its offsets is one of these, and the state of a
 * partition's coordinator is nothing but their fold. Formats and numbers are Kafka's, so that its tools can read the topic.
 *
 *   key   := kind: int16 | body in version 0                     big-endian
 *   value := version: int16 | body in that version               or no value: removes what the key names
 *
 * The batch that holds them has the checksum; all records of one change are in one batch, so it applies whole or not at
 * all. The topic is compacted by key: the last record of a key must say all that the earlier ones said.
 *
 * Kinds and versions that are not known here belong to a newer broker: they stay in the log and are passed over, as Kafka
 * does it. A record of a known kind and version that does not decode is damage, and is reported.
 */
import { ByteReader } from '../../bytes/byte-reader.ts'
import { ByteWriter } from '../../bytes/byte-writer.ts'
import { DecodeError } from '../../bytes/decode-error.ts'
import { decodeMessage, encodeMessage } from '../../protocol/schema/codec.ts'
import type { Infer, Message } from '../../protocol/schema/fields.ts'
import { hasVersion } from '../../protocol/schema/versions.ts'
import * as consumer from './consumer-group.ts'
import { GroupMetadataKey, GroupMetadataValue } from './group-metadata.ts'
import { OffsetCommitKey, OffsetCommitValue } from './offset-commit.ts'

/** Every kind of record: Kafka's number for it, the key, the value, and the version of the value that we write. */
export const coordinatorRecordKinds = {
  OffsetCommit: { number: 1, key: OffsetCommitKey, value: OffsetCommitValue, version: 4 },
  GroupMetadata: { number: 2, key: GroupMetadataKey, value: GroupMetadataValue, version: 3 },
  ConsumerGroupMetadata: {
    number: 3,
    key: consumer.ConsumerGroupMetadataKey,
    value: consumer.ConsumerGroupMetadataValue,
    version: 0,
  },
  ConsumerGroupPartitionMetadata: {
    number: 4,
    key: consumer.ConsumerGroupPartitionMetadataKey,
    value: consumer.ConsumerGroupPartitionMetadataValue,
    version: 0,
  },
  ConsumerGroupMemberMetadata: {
    number: 5,
    key: consumer.ConsumerGroupMemberMetadataKey,
    value: consumer.ConsumerGroupMemberMetadataValue,
    version: 0,
  },
  ConsumerGroupTargetAssignmentMetadata: {
    number: 6,
    key: consumer.ConsumerGroupTargetAssignmentMetadataKey,
    value: consumer.ConsumerGroupTargetAssignmentMetadataValue,
    version: 0,
  },
  ConsumerGroupTargetAssignmentMember: {
    number: 7,
    key: consumer.ConsumerGroupTargetAssignmentMemberKey,
    value: consumer.ConsumerGroupTargetAssignmentMemberValue,
    version: 0,
  },
  ConsumerGroupCurrentMemberAssignment: {
    number: 8,
    key: consumer.ConsumerGroupCurrentMemberAssignmentKey,
    value: consumer.ConsumerGroupCurrentMemberAssignmentValue,
    version: 0,
  },
  ConsumerGroupRegularExpression: {
    number: 16,
    key: consumer.ConsumerGroupRegularExpressionKey,
    value: consumer.ConsumerGroupRegularExpressionValue,
    version: 0,
  },
} as const

type Kinds = typeof coordinatorRecordKinds
export type CoordinatorRecordKind = keyof Kinds

/** Records are shared between the log and the state: nobody changes one. */
type Frozen<T> = T extends Uint8Array
  ? T
  : T extends readonly (infer Item)[]
    ? readonly Frozen<Item>[]
    : T extends object
      ? { readonly [K in keyof T]: Frozen<T[K]> }
      : T

/** `value` is null when the record removes what its key names. */
export type CoordinatorRecord = {
  [K in CoordinatorRecordKind]: {
    readonly kind: K
    readonly key: Frozen<Infer<Kinds[K]['key']>>
    readonly value: Frozen<Infer<Kinds[K]['value']>> | null
  }
}[CoordinatorRecordKind]

export type CoordinatorRecordOf<K extends CoordinatorRecordKind> = Extract<CoordinatorRecord, { kind: K }>
/** The value of a kind of record that does not remove. */
export type CoordinatorValueOf<K extends CoordinatorRecordKind> = NonNullable<CoordinatorRecordOf<K>['value']>

const kindByNumber: ReadonlyMap<number, CoordinatorRecordKind> = new Map(
  (Object.keys(coordinatorRecordKinds) as CoordinatorRecordKind[]).map((kind) => [
    coordinatorRecordKinds[kind].number,
    kind,
  ]),
)

/** Keys have one version, and their first two bytes say their kind in its place. */
const KEY_VERSION = 0

/**
 * The record as key and value of a record in a batch.
 *
 * @throws {EncodeError} `ENCODE_FAILED` when a field does not fit, such as a string over 32,767 bytes.
 */
export function encodeCoordinatorRecord(record: CoordinatorRecord): {
  key: Uint8Array
  value: Uint8Array | null
} {
  const { number, key, value, version } = coordinatorRecordKinds[record.kind]
  return {
    key: encode(number, key, KEY_VERSION, record.key),
    value: record.value === null ? null : encode(version, value, version, record.value),
  }
}

/**
 * Reads a record back. What it holds of bytes are views of `value`.
 *
 * @returns Null for a kind or version that is not known here.
 * @throws {DecodeError} `DECODE_FAILED` when the bytes are not what their kind and version say.
 */
export function decodeCoordinatorRecord(key: Uint8Array, value: Uint8Array | null): CoordinatorRecord | null {
  const keyReader = new ByteReader(key)
  const kind = kindByNumber.get(keyReader.int16())
  if (kind === undefined) return null
  const row = coordinatorRecordKinds[kind]
  const decodedKey = decodeWhole(row.key, KEY_VERSION, keyReader)
  let decodedValue: unknown = null
  if (value !== null) {
    const valueReader = new ByteReader(value)
    const version = valueReader.int16()
    if (!hasVersion(row.value.versions, version)) return null
    decodedValue = decodeWhole(row.value, version, valueReader)
  }
  // The table pairs each kind with its key and value, which is more than the compiler can follow.
  return { kind, key: decodedKey, value: decodedValue } as CoordinatorRecord
}

function encode(prefix: number, schema: Message, version: number, body: unknown): Uint8Array {
  const writer = new ByteWriter()
  writer.int16(prefix)
  encodeMessage(schema, version, body as never, writer)
  return join(writer.finish())
}

function decodeWhole(schema: Message, version: number, reader: ByteReader): unknown {
  const body: unknown = decodeMessage(schema, version, reader)
  if (reader.remaining > 0) {
    throw new DecodeError(
      `${schema.name} v${version} is malformed: ${reader.remaining} bytes follow it, wanted none`,
      reader.position,
    )
  }
  return body
}

function join(pieces: readonly Uint8Array[]): Uint8Array {
  if (pieces.length === 1) return pieces[0]!
  const whole = new Uint8Array(pieces.reduce((size, piece) => size + piece.length, 0))
  let position = 0
  for (const piece of pieces) {
    whole.set(piece, position)
    position += piece.length
  }
  return whole
}
