/**
 * The port through which nodes of the quorum talk, and an adapter for nodes in one process.
 *
 * The port promises little: messages may be lost, late, repeated or out of order. What it must promise is that `fromId`
 * is who really sent it: a client must never pass for a voter (docs/faults.md X4, X12).
 */
import type { Clock } from '../env/index.ts'

export interface RaftTransport {
  /** Sends a message, in pieces, or loses it. Never throws, and never calls `onMessage` before it returns. */
  send(toId: number, message: readonly Uint8Array[]): void
  /** Set by the quorum. The message belongs to the receiver. */
  onMessage: (fromId: number, message: Uint8Array) => void
}

/** Joins the transports of nodes in one process; a quorum of one is joined to nobody. */
export class InProcessRaftHub {
  readonly #clock: Pick<Clock, 'after'>
  readonly #members = new Map<number, RaftTransport>()

  constructor(clock: Pick<Clock, 'after'>) {
    this.#clock = clock
  }

  /** The transport of a node; a later one of the same id takes its place. */
  join(nodeId: number): RaftTransport {
    const transport: RaftTransport = {
      send: (toId, message) => {
        // A copy: nodes share nothing, so one cannot change the other's log.
        const copy = joinCopy(message)
        this.#clock.after(0, () => {
          if (this.#members.get(nodeId) === transport) this.#members.get(toId)?.onMessage(nodeId, copy)
        })
      },
      onMessage: () => undefined,
    }
    this.#members.set(nodeId, transport)
    return transport
  }

  /** What is under way from or to the node is lost. */
  leave(nodeId: number): void {
    this.#members.delete(nodeId)
  }
}

function joinCopy(pieces: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(pieces.reduce((size, piece) => size + piece.length, 0))
  let position = 0
  for (const piece of pieces) {
    bytes.set(piece, position)
    position += piece.length
  }
  return bytes
}
