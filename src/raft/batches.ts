/**
 * Batches of the metadata log and of snapshots: ordinary v2 batches whose records have no key and a metadata record as
 * value, and control batches of one record.
 *
 *   control record key   := version: int16 (0) | type: int16
 *   control record value := a message of the type, below
 *
 * Types (Kafka's, KIP-595, KIP-630 and KIP-853): 2 leader change, 3 snapshot header, 4 snapshot footer, 6 voters.
 */
import { ByteReader } from '../bytes/byte-reader.ts'
import { ByteWriter } from '../bytes/byte-writer.ts'
import { ZERO_UUID } from '../bytes/uuid.ts'
import { decodeMessage, encodeMessage } from '../protocol/schema/codec.ts'
import { array, int16, int32, int64, message, struct, uuid } from '../protocol/schema/fields.ts'
import { attributesAt, isControl } from '../records/batch-header.ts'
import { BatchBuilder } from '../records/batch-builder.ts'
import { CodecSet } from '../records/compression/codec-set.ts'
import { buildControlBatch, CONTROL_TYPES, readControlRecord } from '../records/control-batch.ts'
import { decodeRecords } from '../records/record-reader.ts'
import { VoterSet } from './voter-set.ts'
import type { Voter } from './voter-set.ts'

/** Batches of metadata are never compressed. */
const NO_CODECS = new CodecSet()

const voter = struct({ voterId: int32(), voterDirectoryId: uuid({ versions: '1+', ignorable: true }) })

/** The first record of a leader in its epoch (Raft section 8: it commits what came before). */
const LeaderChangeMessage = message(
  'LeaderChangeMessage',
  { versions: '0-1', flexible: '0+' },
  { version: int16(), leaderId: int32(), voters: array(voter), grantingVoters: array(voter) },
)

/** Who votes from here on (KIP-853); a voter's addresses are its broker registration's. */
const VotersRecordMessage = message(
  'VotersRecord',
  { versions: '0', flexible: '0+' },
  { version: int16(), voters: array(struct({ voterId: int32(), voterDirectoryId: uuid() })) },
)

const SnapshotHeaderRecord = message(
  'SnapshotHeaderRecord',
  { versions: '0', flexible: '0+' },
  { version: int16(), lastContainedLogTimestamp: int64() },
)

const SnapshotFooterRecord = message(
  'SnapshotFooterRecord',
  { versions: '0', flexible: '0+' },
  { version: int16() },
)

/** One batch of `records`, offsets counting from 0. */
export function dataBatch(records: readonly Uint8Array[], timestampMs: number): Uint8Array {
  const builder = new BatchBuilder()
  for (const value of records) builder.append({ key: null, value, timestamp: timestampMs })
  return builder.seal()
}

export function leaderChangeBatch(
  leaderId: number,
  voters: readonly Voter[],
  granting: readonly Voter[],
  timestampMs: number,
): Uint8Array {
  const writer = new ByteWriter()
  // Version 0 has no directory ids; a quorum whose disks are all unknown keeps to it.
  const version = [...voters, ...granting].every(({ directoryId }) => directoryId === ZERO_UUID) ? 0 : 1
  const value = { version, leaderId, voters: voters.map(toWire), grantingVoters: granting.map(toWire) }
  encodeMessage(LeaderChangeMessage, version, value, writer)
  return controlBatch(CONTROL_TYPES.LEADER_CHANGE, writer, timestampMs)
}

export function votersBatch(voters: readonly Voter[], timestampMs: number): Uint8Array {
  const writer = new ByteWriter()
  encodeMessage(VotersRecordMessage, 0, { version: 0, voters: voters.map(toWire) }, writer)
  return controlBatch(CONTROL_TYPES.KRAFT_VOTERS, writer, timestampMs)
}

/** The voters that a batch names, or null if it is none that does. @throws {RecordError | DecodeError} */
export function findVoters(batch: Uint8Array): VoterSet | null {
  if (!isControl(attributesAt(batch, 0))) return null
  const record = readControlRecord(batch)
  if (record?.type !== CONTROL_TYPES.KRAFT_VOTERS || record.value === null) return null
  const { voters: named } = decodeMessage(VotersRecordMessage, 0, new ByteReader(record.value))
  return new VoterSet(
    named.map(({ voterId, voterDirectoryId }) => ({ id: voterId, directoryId: voterDirectoryId })),
  )
}

function toWire({ id, directoryId }: Voter): { voterId: number; voterDirectoryId: string } {
  return { voterId: id, voterDirectoryId: directoryId }
}

export function snapshotHeaderBatch(timestampMs: number): Uint8Array {
  const writer = new ByteWriter()
  encodeMessage(SnapshotHeaderRecord, 0, { version: 0, lastContainedLogTimestamp: timestampMs }, writer)
  return controlBatch(CONTROL_TYPES.SNAPSHOT_HEADER, writer, timestampMs)
}

export function snapshotFooterBatch(timestampMs: number): Uint8Array {
  const writer = new ByteWriter()
  encodeMessage(SnapshotFooterRecord, 0, { version: 0 }, writer)
  return controlBatch(CONTROL_TYPES.SNAPSHOT_FOOTER, writer, timestampMs)
}

function controlBatch(type: number, writer: ByteWriter, timestampMs: number): Uint8Array {
  return buildControlBatch({ type, value: joinBytes(writer.finish()), timestampMs })
}

/** What a batch of this log or a snapshot holds: records of a change, or one control record. */
export type BatchContent =
  | { readonly kind: 'data'; readonly records: readonly Uint8Array[] }
  | { readonly kind: 'control'; readonly type: number }

/**
 * Reads a batch whose CRC was checked.
 *
 * @throws {RecordError | DecodeError} if its content breaks the format.
 */
export function readBatch(batch: Uint8Array): BatchContent {
  const records: Uint8Array[] = []
  const isControlBatch = isControl(attributesAt(batch, 0))
  for (const record of decodeRecords(batch, NO_CODECS)) {
    const bytes = isControlBatch ? record.key : record.value
    if (bytes === null) throw new TypeError('Cannot read a metadata batch: a record has no content')
    records.push(bytes)
  }
  if (!isControlBatch) return { kind: 'data', records }
  const reader = new ByteReader(records[0]!)
  reader.skip(2)
  return { kind: 'control', type: reader.int16() }
}

/** The pieces as one. @returns The piece itself when there is one. */
export function joinBytes(pieces: readonly Uint8Array[]): Uint8Array {
  if (pieces.length === 1) return pieces[0]!
  const bytes = new Uint8Array(pieces.reduce((size, piece) => size + piece.length, 0))
  let position = 0
  for (const piece of pieces) {
    bytes.set(piece, position)
    position += piece.length
  }
  return bytes
}
