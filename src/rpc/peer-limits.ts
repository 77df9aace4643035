/** Every bound on what nodes of a cluster may cost each other, and the sessions that they hold. */
import type { Connection } from '../env/index.ts'
import type { PeerIdentity } from './peer-handshake.ts'
import type { PeerPurpose } from './peer-messages.ts'

export interface PeerLimits {
  /** Time for a connection to open, and again for the handshake on it, in ms. */
  readonly handshakeMs: number
  /** Connections that may be in the middle of a handshake; one more ends the oldest. */
  readonly handshakesMax: number
  /**
   * A node that was silent for this long, in ms, is pinged, and given up after as long again: a half-open connection is
   * found within twice this and one sweep of the adapter (at most 1 s).
   */
  readonly idleMs: number
  /** Pauses between attempts to connect, in ms. */
  readonly retryFirstMs: number
  readonly retryMaxMs: number
  /** Largest message in bytes after the handshake. */
  readonly messageBytesMax: number
  /** Bytes that may lie unsent before the next request of a connection waits. */
  readonly sendHighWaterBytes: number
  /** Frames of the quorum are dropped while this many bytes lie unsent to their receiver. */
  readonly mailBytesMax: number
  /** Frames of the quorum that wait while a connection is being opened; one more drops the oldest. */
  readonly mailWaitingMax: number
  /** Calls to one node and purpose that wait while a connection is being opened. */
  readonly callsWaitingMax: number
  /** Requests of one connection that may be unanswered before it is read no more. */
  readonly inFlightMax: number
  /** Bytes of unanswered requests of nodes, over all connections; apart from those of clients. */
  readonly requestBytesMax: number
  /** Bytes of answers that lie at slow nodes, over all connections. */
  readonly responseBytesMax: number
  /**
   * Forwarding connections that this node opens to one node. Each carries what one client is waiting for, so it bounds the
   * clients that wait at once; who finds none free waits for one.
   */
  readonly forwardsPerNodeMax: number
  /** The same in all. */
  readonly forwardsMax: number
  /** Of those to one node, how many may stand for data at once: the rest is for requests that are answered soon. */
  readonly forwardsStandingMax: number
  /** Forwarding connections to one node that may be opening at once; well below its `handshakesMax`. */
  readonly forwardDialsMax: number
  /** A forwarding connection that nobody needed for this long, in ms, is closed. */
  readonly forwardIdleMs: number
  /** Longest wait for a forwarding connection to be free or open, in ms. */
  readonly forwardWaitMs: number
  /** Bytes of unanswered requests that nodes pass on, over all connections. Apart from those of nodes, see `peers.ts`. */
  readonly forwardRequestBytesMax: number
  /** What is being answered when `close` is called has this long, in ms. */
  readonly closeMs: number
}

const MIB = 1024 * 1024

/** For brokers on one site: silence is noticed before a follower counts as lagging (30 s) or a broker as gone (9 s). */
export const PEER_LIMITS: PeerLimits = {
  handshakeMs: 5_000,
  handshakesMax: 100,
  idleMs: 2_000,
  retryFirstMs: 20,
  retryMaxMs: 1_000,
  messageBytesMax: 128 * MIB,
  sendHighWaterBytes: MIB,
  mailBytesMax: 4 * MIB,
  mailWaitingMax: 32,
  callsWaitingMax: 1_000,
  inFlightMax: 100,
  requestBytesMax: 64 * MIB,
  responseBytesMax: 64 * MIB,
  forwardsPerNodeMax: 1_000,
  forwardsMax: 2_000,
  forwardsStandingMax: 900,
  forwardDialsMax: 16,
  forwardIdleMs: 30_000,
  forwardWaitMs: 10_000,
  forwardRequestBytesMax: 64 * MIB,
  closeMs: 2_000,
}

/** A connection on which both ends have proven who they are. */
export interface PeerSession {
  readonly connection: Connection
  readonly peer: PeerIdentity
  readonly purpose: PeerPurpose
  /** Whether this end opened it. */
  readonly isDialled: boolean
}
