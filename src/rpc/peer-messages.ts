/**
 * What two nodes of a cluster say before they trust each other, declared in the schema language:
 *
 *   frame := 'M' | 'P' | kind: int8 (MESSAGES) | message          at most `HANDSHAKE_BYTES_MAX`
 *
 *   dialler               acceptor
 *   Hello      ------>              who I am, whom I mean, what for, a nonce
 *              <------    Challenge who I am, a nonce
 *   Proof      ------>              that I know the secret
 *              <------    Welcome   that I know it too; from here on the purpose decides what is spoken
 *
 * `Refusal` may come in place of any of them, either way, and ends the connection. The messages themselves do not change
 * between versions of what is spoken later, so that any two nodes can tell each other why they cannot talk; new fields
 * are tagged. Every frame begins with letters, which no request of a client does: nothing is both. Control plane.
 *
 * @see peer-handshake.ts for what is checked when.
 */
import { ByteReader } from '../bytes/byte-reader.ts'
import { ByteWriter } from '../bytes/byte-writer.ts'
import { DecodeError } from '../bytes/decode-error.ts'
import { decodeMessage, encodeMessage } from '../protocol/schema/codec.ts'
import { bytes, int16, int32, int8, message, string, uuid } from '../protocol/schema/fields.ts'
import type { Infer, Shape } from '../protocol/schema/fields.ts'

/** Versions of what peers speak after the handshake, as far as this node knows them. */
export const PEER_VERSIONS = { first: 1, last: 1 } as const

/** Bound on a frame of somebody who has proven nothing yet; a `Hello` takes some 120 bytes. */
export const HANDSHAKE_BYTES_MAX = 512
/** So that the longest reason, 3 bytes a character, fits with what is around it. */
const REASON_CHARACTERS_MAX = 160

const MAGIC = [0x4d, 0x50] as const
const FIRST = { versions: '0', flexible: '0+' } as const
const VERSION = 0

const Hello = message('PeerHello', FIRST, {
  versionMin: int16(),
  versionMax: int16(),
  clusterId: string(),
  fromNodeId: int32(),
  /** Names the sender's disk. */
  fromDirectoryId: uuid(),
  /** Names the life of the sender's process. */
  fromIncarnationId: uuid(),
  /** Whom the sender wants to talk to: an address may have been given to somebody else (docs/faults.md NW-2). */
  toNodeId: int32(),
  purpose: int8(),
  nonce: uuid(),
})
const Challenge = message('PeerChallenge', FIRST, {
  /** The highest that both know. */
  version: int16(),
  clusterId: string(),
  nodeId: int32(),
  directoryId: uuid(),
  incarnationId: uuid(),
  nonce: uuid(),
})
/** Empty where neither end has a secret. */
const Proof = message('PeerProof', FIRST, { proof: bytes() })
const Welcome = message('PeerWelcome', FIRST, { proof: bytes() })
const Refusal = message('PeerRefusal', FIRST, { code: int16(), reason: string() })

const MESSAGES = [
  { kind: 1, declared: Hello },
  { kind: 2, declared: Challenge },
  { kind: 3, declared: Proof },
  { kind: 4, declared: Welcome },
  { kind: 5, declared: Refusal },
] as const

export type PeerHello = { readonly kind: 'PeerHello' } & Readonly<Infer<typeof Hello>>
export type PeerChallenge = { readonly kind: 'PeerChallenge' } & Readonly<Infer<typeof Challenge>>
export type PeerProof = { readonly kind: 'PeerProof' } & Readonly<Infer<typeof Proof>>
export type PeerWelcome = { readonly kind: 'PeerWelcome' } & Readonly<Infer<typeof Welcome>>
export type PeerRefusal = { readonly kind: 'PeerRefusal' } & Readonly<Infer<typeof Refusal>>
export type PeerMessage = PeerHello | PeerChallenge | PeerProof | PeerWelcome | PeerRefusal

/**
 * What a connection between nodes is for. One connection each, so that none waits behind another:
 * `raft` takes frames of the metadata quorum, one way and unanswered; the others take requests, answered in order:
 * `control` those that nodes make of the controller for themselves, `replica` fetches of replicas, `forward` those
 * that a node passes on for its clients, which may stand for long, `admin` those that its clients make of the controller:
 * their answers wait for signs of life that nodes give by `control`.
 */
export type PeerPurpose = 'raft' | 'control' | 'replica' | 'forward' | 'admin'

const PURPOSES: ReadonlyMap<PeerPurpose, number> = new Map([
  ['raft', 1],
  ['control', 2],
  ['replica', 3],
  ['forward', 4],
  ['admin', 5],
])

export function purposeNumber(purpose: PeerPurpose): number {
  return PURPOSES.get(purpose)!
}

/** The purpose with a number off the wire, or null. */
export function findPurpose(number: number): PeerPurpose | null {
  for (const [purpose, own] of PURPOSES) if (own === number) return purpose
  return null
}

/** Why a handshake ends without a connection, in either's words. */
export type RefusalCode =
  /** The other end knows more refusals than this one. */
  | 'PEER_REFUSED'
  | 'PEER_WRONG_VERSION'
  | 'PEER_WRONG_CLUSTER'
  | 'PEER_WRONG_NODE'
  | 'PEER_UNKNOWN_PURPOSE'
  | 'PEER_SECRET_NEEDED'
  | 'PEER_WRONG_PROOF'
  | 'PEER_DUPLICATE_NODE'
  | 'PEER_BROKEN_HANDSHAKE'
  | 'PEER_HANDSHAKE_TIMED_OUT'
  | 'PEER_BUSY'

/** By their number on the wire. */
const REFUSALS: readonly RefusalCode[] = [
  'PEER_REFUSED',
  'PEER_WRONG_VERSION',
  'PEER_WRONG_CLUSTER',
  'PEER_WRONG_NODE',
  'PEER_UNKNOWN_PURPOSE',
  'PEER_SECRET_NEEDED',
  'PEER_WRONG_PROOF',
  'PEER_DUPLICATE_NODE',
  'PEER_BROKEN_HANDSHAKE',
  'PEER_HANDSHAKE_TIMED_OUT',
  'PEER_BUSY',
]

export interface RefusalReason {
  readonly code: RefusalCode
  /** For people; begins in lower case. */
  readonly reason: string
}

export function refusalMessage({ code, reason }: RefusalReason): PeerRefusal {
  const text = reason.slice(0, REASON_CHARACTERS_MAX)
  return { kind: 'PeerRefusal', code: REFUSALS.indexOf(code), reason: text }
}

export function refusalReason({ code, reason }: PeerRefusal): RefusalReason {
  return { code: REFUSALS[code] ?? 'PEER_REFUSED', reason }
}

export function encodePeerMessage(sent: PeerMessage): Uint8Array {
  const { kind, declared } = MESSAGES.find((entry) => entry.declared.name === sent.kind)!
  const writer = new ByteWriter()
  for (const letter of MAGIC) writer.int8(letter)
  writer.int8(kind)
  // The declaration found by the kind is the one that the message's type came from.
  encodeMessage<Shape>(declared, VERSION, sent, writer)
  const pieces = writer.finish()
  if (pieces.length === 1) return pieces[0]!
  const frame = new Uint8Array(pieces.reduce((size, piece) => size + piece.length, 0))
  let position = 0
  for (const piece of pieces) {
    frame.set(piece, position)
    position += piece.length
  }
  return frame
}

/** @throws {DecodeError} `DECODE_FAILED`: the bytes are no message of a handshake. */
export function decodePeerMessage(frame: Uint8Array): PeerMessage {
  if (frame.length > HANDSHAKE_BYTES_MAX) {
    const message = `Cannot read a message of a handshake: ${frame.length} bytes, at most ${HANDSHAKE_BYTES_MAX} are allowed`
    throw new DecodeError(message, 0)
  }
  const reader = new ByteReader(frame)
  const isOurs = MAGIC.every((letter) => reader.remaining > 0 && reader.int8() === letter)
  const kind = isOurs && reader.remaining > 0 ? reader.int8() : 0
  const entry = MESSAGES.find((one) => one.kind === kind)
  if (entry === undefined)
    throw new DecodeError('Cannot read a message of a handshake: it is something else', 0)
  const body = decodeMessage<Shape>(entry.declared, VERSION, reader)
  if (reader.remaining > 0) {
    throw new DecodeError(
      `Cannot read a message of a handshake: ${reader.remaining} bytes too many`,
      reader.position,
    )
  }
  return { kind: entry.declared.name, ...body } as PeerMessage
}
