/**
 * Frames to other nodes, one way and unanswered: what the metadata quorum talks through.
 *
 * It promises what the quorum asks for and no more: frames may be lost, late or out of order, but who they are said to
 * come from is who sent them. A node answers on whatever connection there is, so that one whose address is not known yet
 * (an observer that has not registered) can still be talked to. Nothing here ever waits for a slow node: what does not
 * fit between here and there is dropped, and the quorum sends anew what still matters.
 */
import { Deque } from '../base/deque.ts'
import type { PeerLink } from './peer-link.ts'
import type { PeerLimits, PeerSession } from './peer-limits.ts'
import type { PeerSessions } from './peer-sessions.ts'

/** The same shape as the quorum's transport, which is declared a layer above. */
export interface PeerTransport {
  /** Sends a frame, in pieces, or loses it. Never throws, and never calls `onMessage` before it returns. */
  send(toId: number, message: readonly Uint8Array[]): void
  /** Set by whoever receives. The frame belongs to the receiver. */
  onMessage: (fromId: number, message: Uint8Array) => void
}

export class PeerMail implements PeerTransport {
  onMessage: (fromId: number, message: Uint8Array) => void = () => undefined
  readonly #sessions: PeerSessions
  readonly #limits: PeerLimits
  readonly #linkTo: (nodeId: number) => PeerLink | null
  /** Frames to nodes that are being connected to. Invariant: at most `mailWaitingMax` to each. */
  readonly #waiting = new Map<number, Deque<readonly Uint8Array[]>>()
  #droppedCount = 0

  /** @param linkTo - The way to a node, or null when there is none and none can be made. */
  constructor(sessions: PeerSessions, limits: PeerLimits, linkTo: (nodeId: number) => PeerLink | null) {
    this.#sessions = sessions
    this.#limits = limits
    this.#linkTo = linkTo
  }

  /** Frames that were not sent since this node started. */
  get droppedCount(): number {
    return this.#droppedCount
  }

  send(toId: number, message: readonly Uint8Array[]): void {
    const session = this.#sessions.find(toId, 'raft')
    if (session !== null) {
      if (session.connection.bufferedBytes > this.#limits.mailBytesMax) this.#droppedCount++
      else session.connection.send(message)
      return
    }
    const link = this.#linkTo(toId)
    link?.want()
    if (link?.isDialling === true) this.#keep(toId, message)
    else this.#droppedCount++
  }

  /** Takes a session for mail, whoever opened it. @param onClose - Told when it has ended. */
  opened({ connection, peer }: PeerSession, onClose: (reason: string) => void): void {
    connection.onMessage = (frame) => this.onMessage(peer.nodeId, frame)
    connection.onDrain = () => undefined
    connection.onClose = onClose
    const waiting = this.#waiting.get(peer.nodeId)
    this.#waiting.delete(peer.nodeId)
    for (let frame = waiting?.shift(); frame !== undefined; frame = waiting?.shift()) connection.send(frame)
  }

  /** An attempt to connect to the node failed. */
  failed(nodeId: number): void {
    this.#droppedCount += this.#waiting.get(nodeId)?.count ?? 0
    this.#waiting.delete(nodeId)
  }

  /** The oldest is dropped first: what the quorum says later outdates what it said before. */
  #keep(toId: number, message: readonly Uint8Array[]): void {
    const waiting = this.#waiting.get(toId) ?? new Deque()
    this.#waiting.set(toId, waiting)
    waiting.push(message)
    if (waiting.count <= this.#limits.mailWaitingMax) return
    waiting.shift()
    this.#droppedCount++
  }
}
