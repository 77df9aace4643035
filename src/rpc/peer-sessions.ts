/**
 * The proven connections of this node, and which of them rule each other out.
 *
 * Invariants:
 * - All sessions of a node id are with one disk: another one that claims the id is refused while the first is there,
 *   and if that is dead, for as long as it takes to notice (`PeerLimits.idleMs`).
 * - All sessions of a node id are with one life of its process: a later life ends those of the earlier one at once.
 * - Of each purpose but `forward`, at most one session that the node opened: a later one ends the earlier one. So nothing is
 *   delivered any more of what the node sent on a connection that it has given up. A `forward` session is one client's, and
 *   the node has as many as it has clients that wait.
 */
import type { PeerIdentity } from './peer-handshake.ts'
import type { PeerSession } from './peer-limits.ts'
import type { PeerPurpose } from './peer-messages.ts'

export class PeerSessions {
  readonly #byNode = new Map<number, Set<PeerSession>>()

  get count(): number {
    let count = 0
    for (const sessions of this.#byNode.values()) count += sessions.size
    return count
  }

  *[Symbol.iterator](): Iterator<PeerSession> {
    for (const sessions of this.#byNode.values()) yield* sessions
  }

  /** Why a node cannot be admitted beside those that are connected; null when it can. */
  conflictWith({ nodeId, directoryId }: PeerIdentity): string | null {
    for (const { peer, connection } of this.#byNode.get(nodeId) ?? []) {
      if (peer.directoryId === directoryId) continue
      return `node id ${nodeId} is taken by ${connection.remote}, which has another data directory`
    }
    return null
  }

  /** Adds a session and closes those that it supersedes. */
  add(session: PeerSession): void {
    const { nodeId, incarnationId } = session.peer
    const others = this.#byNode.get(nodeId) ?? new Set()
    this.#byNode.set(nodeId, others)
    const superseded = [...others].filter(
      ({ peer, purpose, isDialled }) =>
        peer.incarnationId !== incarnationId ||
        (!session.isDialled && !isDialled && purpose === session.purpose && purpose !== 'forward'),
    )
    others.add(session)
    for (const { connection } of superseded) {
      connection.close(`superseded by a newer connection of node ${nodeId}`)
    }
  }

  /** Sessions for a purpose that a node has opened. */
  countOf(nodeId: number, purpose: PeerPurpose): number {
    let count = 0
    for (const session of this.#byNode.get(nodeId) ?? [])
      if (session.purpose === purpose && !session.isDialled) count++
    return count
  }

  remove(session: PeerSession): void {
    const sessions = this.#byNode.get(session.peer.nodeId)
    sessions?.delete(session)
    if (sessions?.size === 0) this.#byNode.delete(session.peer.nodeId)
  }

  /** The newest session with the node for the purpose, whoever opened it: the likeliest to be alive. */
  find(nodeId: number, purpose: PeerPurpose): PeerSession | null {
    let found: PeerSession | null = null
    for (const session of this.#byNode.get(nodeId) ?? []) {
      if (session.purpose === purpose) found = session
    }
    return found
  }
}
