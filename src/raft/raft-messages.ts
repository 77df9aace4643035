/**
 * What nodes of the metadata quorum say to each other, declared in the schema language, and the frame around it:
 *
 *   frame := kind: int8 (MESSAGES) | version: int8 | message
 *
 * Names and words are Kafka's (KIP-595, KIP-630, KIP-853, KIP-996); the fields are our own, since brokers talk only to
 * brokers of their kind here. Every message begins with the same fields: who says it, to which incarnation of the
 * receiver's disk, in which epoch. A receiver takes nothing else on trust. Control plane.
 *
 * The transport may lose, delay, repeat and reorder messages. An answer names the request it belongs to by
 * `correlationId`; one that answers nothing under way is dropped.
 */
import { ByteReader } from '../bytes/byte-reader.ts'
import { ByteWriter } from '../bytes/byte-writer.ts'
import { DecodeError } from '../bytes/decode-error.ts'
import { errorCode } from '../protocol/errors.ts'
import { decodeMessage, encodeMessage } from '../protocol/schema/codec.ts'
import { array, bool, bytes, int16, int32, int64, message, records, uuid } from '../protocol/schema/fields.ts'
import type { Infer, Shape } from '../protocol/schema/fields.ts'

const envelope = {
  fromId: int32(),
  /** Names the sender's disk; a wiped node has another one. */
  fromDirectoryId: uuid(),
  /** The disk that the sender means; all zero where it does not know it. */
  toDirectoryId: uuid(),
  epoch: int32(),
  /** The leader of `epoch` as far as the sender knows, or -1. */
  leaderId: int32(),
  /** Of a request; its answer repeats it. */
  correlationId: int32(),
}
const FIRST = { versions: '0', flexible: '0+' } as const
/** Ids of the voters that a founder goes by, ascending (election.ts); none: its log says who votes. */
const voterIds = array(int32(), { tag: 0 })

const VoteRequest = message('VoteRequest', FIRST, {
  ...envelope,
  /** Asks whether the vote would be given in the next epoch; nothing changes anywhere (KIP-996). */
  isPreVote: bool(),
  lastEpoch: int32(),
  logEndOffset: int64(),
  voterIds,
})
const VoteResponse = message('VoteResponse', FIRST, {
  ...envelope,
  isPreVote: bool(),
  isGranted: bool(),
  voterIds,
})
/** A new leader makes itself known, and reminds those who do not fetch. */
const BeginQuorumEpochRequest = message('BeginQuorumEpochRequest', FIRST, envelope)
/** A leader leaves. Nobody answers: who does not hear it finds out by waiting. */
const EndQuorumEpochRequest = message('EndQuorumEpochRequest', FIRST, {
  ...envelope,
  /** Ids of voters, best log first; the first one stands for election at once, each later one waits longer. */
  preferredSuccessors: array(int32()),
})
const FetchRequest = message('FetchRequest', FIRST, {
  ...envelope,
  /** All below it is durable on the sender's disk: the fetch is the acknowledgement. */
  fetchOffset: int64(),
  /** Epoch of the record before `fetchOffset`; 0 at offset 0. */
  lastFetchedEpoch: int32(),
  /** What the sender knows; the leader answers at once when it knows better (KIP-1166). */
  highWatermark: int64(),
  maxWaitMs: int32(),
  maxBytes: int32(),
})
const FetchResponse = message('FetchResponse', FIRST, {
  ...envelope,
  errorCode: int16(),
  highWatermark: int64(),
  /** Where the sender's log and the fetcher's may last agree; epoch -1: they do agree up to the fetch offset. */
  divergingEpoch: int32({ fallback: -1 }),
  divergingEndOffset: int64({ fallback: -1 }),
  /** The snapshot that the fetcher must begin with, since the log does not reach back so far; -1: none. */
  snapshotEndOffset: int64({ fallback: -1 }),
  snapshotEpoch: int32({ fallback: -1 }),
  records: records(),
  voterIds,
})
const FetchSnapshotRequest = message('FetchSnapshotRequest', FIRST, {
  ...envelope,
  snapshotEndOffset: int64(),
  snapshotEpoch: int32(),
  position: int64(),
  maxBytes: int32(),
})
const FetchSnapshotResponse = message('FetchSnapshotResponse', FIRST, {
  ...envelope,
  errorCode: int16(),
  snapshotEndOffset: int64(),
  snapshotEpoch: int32(),
  position: int64(),
  /** Size of the whole file in bytes. */
  size: int64(),
  chunk: bytes(),
})

/** By their number in the frame: twice Kafka's API key, and one more for the answer. */
const MESSAGES = new Map(
  [
    { key: 104, declared: VoteRequest },
    { key: 105, declared: VoteResponse },
    { key: 106, declared: BeginQuorumEpochRequest },
    { key: 108, declared: EndQuorumEpochRequest },
    { key: 2, declared: FetchRequest },
    { key: 3, declared: FetchResponse },
    { key: 118, declared: FetchSnapshotRequest },
    { key: 119, declared: FetchSnapshotResponse },
  ].map((entry) => [entry.declared.name, entry] as const),
)
const VERSION = 0

export type Envelope = Pick<VoteRequest, keyof typeof envelope>
export type VoteRequest = { readonly kind: 'VoteRequest' } & Readonly<Infer<typeof VoteRequest>>
export type VoteResponse = { readonly kind: 'VoteResponse' } & Readonly<Infer<typeof VoteResponse>>
export type BeginQuorumEpochRequest = { readonly kind: 'BeginQuorumEpochRequest' } & Readonly<
  Infer<typeof BeginQuorumEpochRequest>
>
export type EndQuorumEpochRequest = { readonly kind: 'EndQuorumEpochRequest' } & Readonly<
  Infer<typeof EndQuorumEpochRequest>
>
export type FetchRequest = { readonly kind: 'FetchRequest' } & Readonly<Infer<typeof FetchRequest>>
export type FetchResponse = { readonly kind: 'FetchResponse' } & Readonly<Infer<typeof FetchResponse>>
export type FetchSnapshotRequest = { readonly kind: 'FetchSnapshotRequest' } & Readonly<
  Infer<typeof FetchSnapshotRequest>
>
export type FetchSnapshotResponse = { readonly kind: 'FetchSnapshotResponse' } & Readonly<
  Infer<typeof FetchSnapshotResponse>
>
export type RaftMessage =
  | VoteRequest
  | VoteResponse
  | BeginQuorumEpochRequest
  | EndQuorumEpochRequest
  | FetchRequest
  | FetchResponse
  | FetchSnapshotRequest
  | FetchSnapshotResponse

/** Error codes of answers, by Kafka's names. */
export const RAFT_ERRORS = {
  NONE: errorCode('NONE'),
  NOT_LEADER: errorCode('NOT_LEADER_OR_FOLLOWER'),
  FENCED_EPOCH: errorCode('FENCED_LEADER_EPOCH'),
  SNAPSHOT_NOT_FOUND: errorCode('SNAPSHOT_NOT_FOUND'),
} as const

export const NO_RECORDS = new Uint8Array(0)

/** @returns The frame in pieces; records are not copied. @throws {EncodeError} A field does not hold what its type says. */
export function encodeRaftMessage(
  sent: RaftMessage,
  recordPieces: readonly Uint8Array[] | null = null,
): Uint8Array[] {
  const { key, declared } = MESSAGES.get(sent.kind)!
  const writer = new ByteWriter()
  writer.int8(key)
  writer.int8(VERSION)
  const body = recordPieces === null ? sent : { ...sent, records: recordPieces }
  // The declaration found by the kind is the one that the message's type came from.
  encodeMessage<Shape>(declared, VERSION, body, writer)
  return writer.finish()
}

/** @throws {DecodeError} `DECODE_FAILED`: the bytes are no message of the quorum, or of a version not known here. */
export function decodeRaftMessage(frame: Uint8Array): RaftMessage {
  const reader = new ByteReader(frame)
  const key = reader.int8()
  const version = reader.int8()
  for (const entry of MESSAGES.values()) {
    if (entry.key !== key) continue
    const body = decodeMessage(entry.declared, version, reader)
    if (reader.remaining > 0) break
    return { kind: entry.declared.name, ...body } as RaftMessage
  }
  throw new DecodeError(`Cannot read a message of the metadata quorum: kind ${key}, version ${version}`, 0)
}
