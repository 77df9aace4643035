/**
 * The records of the metadata log: every change of the cluster's state is one of these, and the state is nothing but
 * their fold (cluster-image.ts). Types, versions and numbers are Kafka's, so that its tools can read the log.
 *
 * One record is the value of one record of a v2 batch (no key), framed as Kafka frames it (KIP-631):
 *
 *   record := frameVersion: uvarint (1) | recordType: uvarint | version: uvarint | body
 *
 * `recordType` is the number in `recordTypes` below, `body` the declared message in `version`. The batch's CRC covers it all. All
 * records of one change are in one batch, so a change is applied whole or not at all, whatever its size
 * (faults.md MQ-11); METADATA_BATCH_BYTES_MAX bounds it. A type or version that is not declared here cannot be
 * skipped, since the state would then differ from that of its author: decoding fails.
 */
import { ByteReader } from '../bytes/byte-reader.ts'
import { ByteWriter } from '../bytes/byte-writer.ts'
import { decodeMessage, encodeMessage } from '../protocol/schema/codec.ts'
import {
  array,
  bool,
  int16,
  int32,
  int64,
  int8,
  message,
  string,
  struct,
  uint16,
  uuid,
} from '../protocol/schema/fields.ts'
import type { Infer, InferInput } from '../protocol/schema/fields.ts'
import { MetadataError } from './metadata-error.ts'

/** Listeners of a broker, as registered. */
const endPoint = struct({
  name: string(),
  host: string(),
  port: uint16(),
  securityProtocol: int16(), // 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL
})

/** A broker (or a new incarnation of it) joins. `brokerEpoch` is the offset of this record in the log. */
export const RegisterBrokerRecord = message(
  'RegisterBrokerRecord',
  { versions: '0-3', flexible: '0+' },
  {
    brokerId: int32(),
    isMigratingZkBroker: bool({ versions: '2+', fallback: false }),
    incarnationId: uuid(),
    brokerEpoch: int64(),
    endPoints: array(endPoint),
    features: array(struct({ name: string(), minSupportedVersion: int16(), maxSupportedVersion: int16() })),
    rack: string({ nullable: '0+' }),
    fenced: bool({ fallback: true }),
    inControlledShutdown: bool({ versions: '1+', fallback: false }),
    logDirs: array(uuid(), { versions: '3+', tag: 0 }),
  },
)

/** A broker leaves for good. */
export const UnregisterBrokerRecord = message(
  'UnregisterBrokerRecord',
  { versions: '0', flexible: '0+' },
  { brokerId: int32(), brokerEpoch: int64() },
)

export const TopicRecord = message(
  'TopicRecord',
  { versions: '0', flexible: '0+' },
  { name: string(), topicId: uuid() },
)

/** A new partition; the partitions of a topic come in order, from 0. */
export const PartitionRecord = message(
  'PartitionRecord',
  { versions: '0-2', flexible: '0+' },
  {
    partitionId: int32({ fallback: -1 }),
    topicId: uuid(),
    replicas: array(int32()), // in order of preference
    isr: array(int32()),
    removingReplicas: array(int32()),
    addingReplicas: array(int32()),
    leader: int32({ fallback: -1 }), // -1 none
    leaderRecoveryState: int8({ tag: 0, fallback: 0 }), // 1 while recovering from an unclean election
    leaderEpoch: int32({ fallback: -1 }),
    partitionEpoch: int32({ fallback: -1 }),
    directories: array(uuid(), { versions: '1+' }), // one for each replica
    eligibleLeaderReplicas: array(int32(), { versions: '2+', nullable: '2+', tag: 1, fallback: null }),
    lastKnownElr: array(int32(), { versions: '2+', nullable: '2+', tag: 2, fallback: null }),
  },
)

/** Sets a setting, or removes it when `value` is null. */
export const ConfigRecord = message(
  'ConfigRecord',
  { versions: '0', flexible: '0+' },
  { resourceType: int8(), resourceName: string(), name: string(), value: string({ nullable: '0+' }) },
)

/**
 * Changes a partition. A field at its fallback does not change. The partition epoch rises by one with each of these,
 * the leader epoch with each that names a leader, be it the same or none.
 */
export const PartitionChangeRecord = message(
  'PartitionChangeRecord',
  { versions: '0-2', flexible: '0+' },
  {
    partitionId: int32({ fallback: -1 }),
    topicId: uuid(),
    isr: array(int32(), { nullable: '0+', tag: 0, fallback: null }),
    leader: int32({ tag: 1, fallback: -2 }), // -2 as before, -1 none
    replicas: array(int32(), { nullable: '0+', tag: 2, fallback: null }),
    removingReplicas: array(int32(), { nullable: '0+', tag: 3, fallback: null }),
    addingReplicas: array(int32(), { nullable: '0+', tag: 4, fallback: null }),
    leaderRecoveryState: int8({ tag: 5, fallback: -1 }), // -1 as before
    eligibleLeaderReplicas: array(int32(), { versions: '2+', nullable: '2+', tag: 6, fallback: null }),
    lastKnownElr: array(int32(), { versions: '2+', nullable: '2+', tag: 7, fallback: null }),
    directories: array(uuid(), { versions: '1+', nullable: '1+', tag: 8, fallback: null }),
  },
)

/** Removes a topic, its partitions and its settings. */
export const RemoveTopicRecord = message(
  'RemoveTopicRecord',
  { versions: '0', flexible: '0+' },
  { topicId: uuid() },
)

/** The level at which a feature runs in the whole cluster; 0 removes it. */
export const FeatureLevelRecord = message(
  'FeatureLevelRecord',
  { versions: '0', flexible: '0+' },
  { name: string(), featureLevel: int16() },
)

/** A block of producer ids went to a broker: all ids below `nextProducerId` are taken. */
export const ProducerIdsRecord = message(
  'ProducerIdsRecord',
  { versions: '0', flexible: '0+' },
  { brokerId: int32(), brokerEpoch: int64({ fallback: -1 }), nextProducerId: int64() },
)

/** Changes a broker's registration: fences or unfences it, starts its shutdown, replaces its directories. */
export const BrokerRegistrationChangeRecord = message(
  'BrokerRegistrationChangeRecord',
  { versions: '0-2', flexible: '0+' },
  {
    brokerId: int32(),
    brokerEpoch: int64(),
    fenced: int8({ tag: 0, fallback: 0 }), // -1 unfenced, 0 as before, 1 fenced
    inControlledShutdown: int8({ versions: '1+', tag: 1, fallback: 0 }), // 0 as before, 1 begins
    logDirs: array(uuid(), { versions: '2+', tag: 2 }), // empty: as before
  },
)

/** Changes nothing: moves the end of the log. */
export const NoOpRecord = message('NoOpRecord', { versions: '0', flexible: '0+' }, {})

/** Every type of record by the name it has in the code, with Kafka's number for it and the version we write. */
const recordTypes = {
  registerBroker: { type: 0, schema: RegisterBrokerRecord, version: 3 },
  unregisterBroker: { type: 1, schema: UnregisterBrokerRecord, version: 0 },
  topic: { type: 2, schema: TopicRecord, version: 0 },
  partition: { type: 3, schema: PartitionRecord, version: 2 },
  config: { type: 4, schema: ConfigRecord, version: 0 },
  partitionChange: { type: 5, schema: PartitionChangeRecord, version: 2 },
  removeTopic: { type: 9, schema: RemoveTopicRecord, version: 0 },
  featureLevel: { type: 12, schema: FeatureLevelRecord, version: 0 },
  producerIds: { type: 15, schema: ProducerIdsRecord, version: 0 },
  brokerRegistrationChange: { type: 17, schema: BrokerRegistrationChangeRecord, version: 2 },
  noOp: { type: 20, schema: NoOpRecord, version: 0 },
} as const

type RecordTypes = typeof recordTypes
export type MetadataRecordKind = keyof RecordTypes

/** A record as it was read: `kind` says which fields it has. */
export type MetadataRecord = {
  [K in MetadataRecordKind]: { readonly kind: K } & Readonly<Infer<RecordTypes[K]['schema']>>
}[MetadataRecordKind]

/** A record to be written: fields with a fallback may be left out. */
export type MetadataRecordInput = {
  [K in MetadataRecordKind]: { readonly kind: K } & InferInput<RecordTypes[K]['schema']>
}[MetadataRecordKind]

export type RecordOfKind<K extends MetadataRecordKind> = Extract<MetadataRecord, { kind: K }>

const FRAME_VERSION = 1

const kindByType: ReadonlyMap<number, MetadataRecordKind> = new Map(
  (Object.keys(recordTypes) as MetadataRecordKind[]).map((kind) => [recordTypes[kind].type, kind]),
)

/** The record with its frame, as the value of a record in a batch. */
export function encodeMetadataRecord(record: MetadataRecordInput): Uint8Array {
  const { type, schema, version } = recordTypes[record.kind]
  const writer = new ByteWriter()
  writer.uvarint(FRAME_VERSION)
  writer.uvarint(type)
  writer.uvarint(version)
  // The table pairs each kind with its schema; the union of both sides is more than the compiler can pair again.
  encodeMessage(schema as never, version, record as never, writer)
  return join(writer.finish())
}

/**
 * Reads one record back.
 *
 * @throws {MetadataError} `METADATA_RECORD_CORRUPT` if the bytes are no record of a kind and version known here.
 */
export function decodeMetadataRecord(bytes: Uint8Array): MetadataRecord {
  try {
    const reader = new ByteReader(bytes)
    const frameVersion = reader.uvarint()
    if (frameVersion !== FRAME_VERSION)
      throw corrupt(`frame version is ${frameVersion}, must be ${FRAME_VERSION}`)
    const type = reader.uvarint()
    const version = reader.uvarint()
    const kind = kindByType.get(type)
    if (kind === undefined) throw corrupt(`there is no record type ${type}`)
    const { schema, version: versionMax } = recordTypes[kind]
    if (version > versionMax)
      throw corrupt(`${schema.name} has version ${version}, known up to ${versionMax}`)
    const body = decodeMessage(schema as never, version, reader) as object
    if (reader.remaining > 0) throw corrupt(`${reader.remaining} bytes follow ${schema.name}`)
    return { kind, ...body } as MetadataRecord
  } catch (error) {
    if (error instanceof MetadataError) throw error
    throw new MetadataError('METADATA_RECORD_CORRUPT', 'Cannot read a metadata record', { cause: error })
  }
}

function corrupt(problem: string): MetadataError {
  return new MetadataError('METADATA_RECORD_CORRUPT', `Cannot read a metadata record: ${problem}`)
}

function join(pieces: readonly Uint8Array[]): Uint8Array {
  if (pieces.length === 1) return pieces[0]!
  const joined = new Uint8Array(pieces.reduce((size, piece) => size + piece.byteLength, 0))
  let position = 0
  for (const piece of pieces) {
    joined.set(piece, position)
    position += piece.byteLength
  }
  return joined
}
