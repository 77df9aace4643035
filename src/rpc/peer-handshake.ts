/**
 * The handshake between two nodes of a cluster, both ends, as pure state machines: a frame in, what to do out.
 *
 * Invariants:
 * - Nothing is believed before it is proven: an acceptor changes no state for a `Hello`, and gives its own proof only to
 *   who gave one, so that nobody can collect proofs by asking for them.
 * - Without a secret nodes talk only over loopback, where who may connect may read the secret, too.
 * - Both ends check everything: a refusal of one is told to the other, in words that say what to do about it.
 * - Any frame that is not the one expected next ends the handshake (docs/faults.md X12).
 *
 * @see peer-messages.ts for the messages. @see peer-door.ts for who runs it, and within which time.
 */
import {
  decodePeerMessage,
  encodePeerMessage,
  findPurpose,
  PEER_VERSIONS,
  purposeNumber,
  refusalReason,
} from './peer-messages.ts'
import type {
  PeerChallenge,
  PeerHello,
  PeerMessage,
  PeerPurpose,
  PeerRefusal,
  RefusalCode,
  RefusalReason,
} from './peer-messages.ts'
import { isSameProof, makeProof } from './peer-proof.ts'
import type { ProverRole } from './peer-proof.ts'

/** A node as another one knows it once it has proven itself. */
export interface PeerIdentity {
  readonly nodeId: number
  /** Its disk (KIP-853). */
  readonly directoryId: string
  /** The life of its process. */
  readonly incarnationId: string
}

/** This node, for its handshakes. */
export interface PeerSelf extends PeerIdentity {
  readonly clusterId: string
  /** Key of proofs; null where the cluster has no secret. */
  readonly key: Uint8Array | null
}

/** What the driver knows of the connection and of other connections. */
export interface HandshakeContext {
  readonly isLoopback: boolean
  /** This end's, never used before. */
  readonly nonce: string
  /** Why a node cannot be admitted beside those that are connected; null when it can. */
  readonly admits: (peer: PeerIdentity) => string | null
}

export type HandshakeStep =
  | { readonly kind: 'say'; readonly frame: Uint8Array }
  /** Said by `frame`, if there is one, after which the connection is the peer's. */
  | {
      readonly kind: 'done'
      readonly frame: Uint8Array | null
      readonly peer: PeerIdentity
      readonly purpose: PeerPurpose
    }
  /** This end refuses: to be told to the other, then the connection ends. */
  | { readonly kind: 'refuse'; readonly refusal: RefusalReason }
  /** The other end has refused. */
  | { readonly kind: 'refused'; readonly refusal: RefusalReason }

export interface Handshake {
  /** The other end as it calls itself, proven or not; null before it has said so. */
  readonly claimed: PeerIdentity | null
  receive(frame: Uint8Array): HandshakeStep
}

/** Characters of a foreign id that a message repeats. */
const SHOWN_CHARACTERS = 40

/** The end that opened the connection. */
export class DiallerHandshake implements Handshake {
  readonly #self: PeerSelf
  readonly #context: HandshakeContext
  readonly #toNodeId: number
  readonly #purpose: PeerPurpose
  #hello: Uint8Array = new Uint8Array(0)
  #challenge: { readonly frame: Uint8Array; readonly peer: PeerIdentity } | null = null

  constructor(self: PeerSelf, context: HandshakeContext, toNodeId: number, purpose: PeerPurpose) {
    this.#self = self
    this.#context = context
    this.#toNodeId = toNodeId
    this.#purpose = purpose
  }

  get claimed(): PeerIdentity | null {
    return this.#challenge?.peer ?? null
  }

  start(): HandshakeStep {
    if (this.#self.key === null && !this.#context.isLoopback) return secretNeeded
    const { clusterId, nodeId, directoryId, incarnationId } = this.#self
    this.#hello = encodePeerMessage({
      kind: 'PeerHello',
      versionMin: PEER_VERSIONS.first,
      versionMax: PEER_VERSIONS.last,
      clusterId,
      fromNodeId: nodeId,
      fromDirectoryId: directoryId,
      fromIncarnationId: incarnationId,
      toNodeId: this.#toNodeId,
      purpose: purposeNumber(this.#purpose),
      nonce: this.#context.nonce,
    })
    return { kind: 'say', frame: this.#hello }
  }

  receive(frame: Uint8Array): HandshakeStep {
    const message = decodeOrRefuse(frame)
    if (message.kind === 'refuse') return message
    if (message.kind === 'PeerRefusal') return refusedBy(message)
    if (this.#challenge === null && message.kind === 'PeerChallenge') return this.#onChallenge(message, frame)
    if (this.#challenge !== null && message.kind === 'PeerWelcome') return this.#onWelcome(message.proof)
    return unexpected(message)
  }

  #onChallenge(message: PeerChallenge, frame: Uint8Array): HandshakeStep {
    const { clusterId, nodeId, version } = message
    if (version < PEER_VERSIONS.first || version > PEER_VERSIONS.last) return wrongVersion(version, version)
    if (clusterId !== this.#self.clusterId) return wrongCluster(clusterId, this.#self)
    if (nodeId !== this.#toNodeId) {
      return refuse('PEER_WRONG_NODE', `the address leads to node ${nodeId}, wanted node ${this.#toNodeId}`)
    }
    const peer = { nodeId, directoryId: message.directoryId, incarnationId: message.incarnationId }
    const conflict = this.#context.admits(peer)
    if (conflict !== null) return refuse('PEER_DUPLICATE_NODE', conflict)
    this.#challenge = { frame, peer }
    const proof = proofOf(this.#self, 'dialler', this.#hello, frame)
    return { kind: 'say', frame: encodePeerMessage({ kind: 'PeerProof', proof }) }
  }

  #onWelcome(proof: Uint8Array): HandshakeStep {
    const { frame, peer } = this.#challenge!
    const fault = findProofFault(proof, proofOf(this.#self, 'acceptor', this.#hello, frame))
    if (fault !== null) return refuse('PEER_WRONG_PROOF', fault)
    // Asked again: another node of that id may have come meanwhile.
    const conflict = this.#context.admits(peer)
    if (conflict !== null) return refuse('PEER_DUPLICATE_NODE', conflict)
    return { kind: 'done', frame: null, peer, purpose: this.#purpose }
  }
}

/** The end that was connected to. */
export class AcceptorHandshake implements Handshake {
  readonly #self: PeerSelf
  readonly #context: HandshakeContext
  #hello: {
    readonly frame: Uint8Array
    readonly peer: PeerIdentity
    readonly purpose: PeerPurpose
  } | null = null
  #challenge: Uint8Array = new Uint8Array(0)

  constructor(self: PeerSelf, context: HandshakeContext) {
    this.#self = self
    this.#context = context
  }

  get claimed(): PeerIdentity | null {
    return this.#hello?.peer ?? null
  }

  receive(frame: Uint8Array): HandshakeStep {
    const message = decodeOrRefuse(frame)
    if (message.kind === 'refuse') return message
    if (message.kind === 'PeerRefusal') return refusedBy(message)
    if (this.#hello === null && message.kind === 'PeerHello') return this.#onHello(message, frame)
    if (this.#hello !== null && message.kind === 'PeerProof') return this.#onProof(message.proof)
    return unexpected(message)
  }

  #onHello(message: PeerHello, frame: Uint8Array): HandshakeStep {
    const { clusterId, nodeId, directoryId, incarnationId } = this.#self
    const version = Math.min(message.versionMax, PEER_VERSIONS.last)
    if (version < message.versionMin || version < PEER_VERSIONS.first) {
      return wrongVersion(message.versionMin, message.versionMax)
    }
    if (message.clusterId !== clusterId) return wrongCluster(message.clusterId, this.#self)
    if (message.toNodeId !== nodeId) {
      return refuse('PEER_WRONG_NODE', `this is node ${nodeId}, wanted was node ${message.toNodeId}`)
    }
    const purpose = findPurpose(message.purpose)
    if (purpose === null) {
      return refuse('PEER_UNKNOWN_PURPOSE', `nothing is known here of purpose ${message.purpose}`)
    }
    if (message.fromNodeId < 0) return refuse('PEER_BROKEN_HANDSHAKE', 'a node id is 0 or more')
    if (message.fromNodeId === nodeId) {
      return refuse('PEER_DUPLICATE_NODE', `node id ${nodeId} is taken by this node, each node needs its own`)
    }
    if (this.#self.key === null && !this.#context.isLoopback) return secretNeeded
    const peer = {
      nodeId: message.fromNodeId,
      directoryId: message.fromDirectoryId,
      incarnationId: message.fromIncarnationId,
    }
    this.#hello = { frame, peer, purpose }
    const { nonce } = this.#context
    this.#challenge = encodePeerMessage({
      ...{ kind: 'PeerChallenge', version, clusterId, nodeId, directoryId, incarnationId, nonce },
    })
    return { kind: 'say', frame: this.#challenge }
  }

  #onProof(proof: Uint8Array): HandshakeStep {
    const { frame, peer, purpose } = this.#hello!
    const fault = findProofFault(proof, proofOf(this.#self, 'dialler', frame, this.#challenge))
    if (fault !== null) return refuse('PEER_WRONG_PROOF', fault)
    const conflict = this.#context.admits(peer)
    if (conflict !== null) return refuse('PEER_DUPLICATE_NODE', conflict)
    const own = proofOf(this.#self, 'acceptor', frame, this.#challenge)
    return { kind: 'done', frame: encodePeerMessage({ kind: 'PeerWelcome', proof: own }), peer, purpose }
  }
}

function proofOf(self: PeerSelf, role: ProverRole, hello: Uint8Array, challenge: Uint8Array): Uint8Array {
  return self.key === null ? new Uint8Array(0) : makeProof(self.key, role, hello, challenge)
}

function findProofFault(proof: Uint8Array, wanted: Uint8Array): string | null {
  if (isSameProof(proof, wanted)) return null
  if (wanted.length === 0)
    return 'only one of the two nodes has cluster.secret: the one that refuses has none'
  if (proof.length === 0) return 'only one of the two nodes has cluster.secret: the one that refuses has it'
  return 'the two nodes do not have the same cluster.secret'
}

type Refuse = Extract<HandshakeStep, { kind: 'refuse' }>

function refuse(code: RefusalCode, reason: string): Refuse {
  return { kind: 'refuse', refusal: { code, reason } }
}

const secretNeeded = refuse(
  'PEER_SECRET_NEEDED',
  'nodes on different machines need cluster.secret, the same on every node',
)

function wrongVersion(first: number, last: number): Refuse {
  const own = `${PEER_VERSIONS.first} to ${PEER_VERSIONS.last}`
  return refuse('PEER_WRONG_VERSION', `peer versions ${first} to ${last} are offered, known here are ${own}`)
}

function wrongCluster(clusterId: string, self: PeerSelf): Refuse {
  const shown = JSON.stringify(clusterId.slice(0, SHOWN_CHARACTERS))
  const reason = `cluster ${shown} meets node ${self.nodeId} of cluster ${JSON.stringify(self.clusterId)}`
  return refuse('PEER_WRONG_CLUSTER', reason)
}

function refusedBy(message: PeerRefusal): HandshakeStep {
  return { kind: 'refused', refusal: refusalReason(message) }
}

function unexpected(message: PeerMessage): Refuse {
  return refuse('PEER_BROKEN_HANDSHAKE', `${message.kind} came out of turn`)
}

function decodeOrRefuse(frame: Uint8Array): PeerMessage | Refuse {
  try {
    return decodePeerMessage(frame)
  } catch (error) {
    return refuse(
      'PEER_BROKEN_HANDSHAKE',
      `a frame that belongs to no handshake: ${(error as Error).message}`,
    )
  }
}
