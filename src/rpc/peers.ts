/**
 * This node among the nodes of its cluster: frames of the metadata quorum, requests to other nodes and requests from
 * them, each over a WebSocket of subprotocol `millrace-peer` on which both ends have proven who they are
 * (peer-handshake.ts). Whoever has not cannot reach anything behind this class, and a client cannot even begin to
 * (docs/faults.md X4, X12).
 *
 * Requests that come from other nodes start as they arrive, and take effect in the turn in which they start; answers leave
 * in the order of the requests. So a fetch that waits for data does not keep a newer one from being seen.
 */
import { assert } from '../base/assert.ts'
import type { Connection } from '../env/index.ts'
import { ByteBudget } from './byte-budget.ts'
import type { PeerChannel } from './peer-channel.ts'
import { LinkedChannel } from './peer-channel.ts'
import { PeerDoor } from './peer-door.ts'
import type { PeerPorts } from './peer-door.ts'
import { PEER_LIMITS } from './peer-limits.ts'
import type { PeerLimits, PeerSession } from './peer-limits.ts'
import { PeerLink } from './peer-link.ts'
import { PeerMail } from './peer-mail.ts'
import type { PeerTransport } from './peer-mail.ts'
import type { PeerPurpose } from './peer-messages.ts'
import { proofKey } from './peer-proof.ts'
import { PeerSessions } from './peer-sessions.ts'
import { ServerChannel } from './server-channel.ts'
import type { Exchange } from './server-channel.ts'

/** Purposes that carry requests. */
export type RequestPurpose = Exclude<PeerPurpose, 'raft'>

export interface PeersOptions {
  /** Id of the cluster; nodes of others are refused. */
  readonly clusterId: string
  readonly nodeId: number
  /** Id of this node's data directory. */
  readonly directoryId: string
  /** What the nodes of the cluster know and nobody else; null: every node is on this machine. */
  readonly secret: string | null
  /** WebSocket (or in-process) URL of a node's listener, asked anew at each attempt; null while it is not known. */
  readonly addressOf: (nodeId: number) => string | null
  readonly limits?: Partial<PeerLimits>
}

/** For metrics and for people. */
export interface PeerConnectionInfo {
  readonly nodeId: number
  readonly purpose: PeerPurpose
  readonly isDialled: boolean
  readonly remote: string
}

export class Peers {
  /**
   * Takes requests of other nodes. Set by the broker; until then nodes that ask are disconnected.
   *
   * @param fromNodeId - Proven.
   */
  onRequest: (exchange: Exchange, fromNodeId: number, purpose: RequestPurpose) => void = (exchange) => {
    exchange.channel.close('takes no requests yet')
  }

  readonly #ports: PeerPorts
  readonly #options: PeersOptions
  readonly #limits: PeerLimits
  readonly #door: PeerDoor
  readonly #sessions = new PeerSessions()
  readonly #mail: PeerMail
  readonly #mailLinks = new Map<number, PeerLink>()
  readonly #channels = new Map<string, { readonly link: PeerLink; readonly channel: LinkedChannel }>()
  readonly #serving = new Set<ServerChannel>()
  readonly #requestBudget: ByteBudget
  readonly #responseBudget: ByteBudget
  #isClosed = false
  #onAllGone: () => void = () => undefined

  constructor(ports: PeerPorts, options: PeersOptions) {
    this.#ports = ports
    this.#options = options
    this.#limits = { ...PEER_LIMITS, ...options.limits }
    this.#requestBudget = new ByteBudget(this.#limits.requestBytesMax)
    this.#responseBudget = new ByteBudget(this.#limits.responseBytesMax)
    const { clusterId, nodeId, directoryId, secret } = options
    const key = secret === null ? null : proofKey(secret)
    this.#door = new PeerDoor(ports, {
      self: { clusterId, nodeId, directoryId, incarnationId: ports.random.uuid(), key },
      limits: this.#limits,
      admits: (peer) => this.#sessions.conflictWith(peer),
      onSession: (session) => this.#accepted(session),
    })
    this.#mail = new PeerMail(this.#sessions, this.#limits, (toId) => this.#mailLinkTo(toId))
  }

  /** Frames of the metadata quorum; opens connections when it is sent to nodes. */
  get raft(): PeerTransport {
    return this.#mail
  }

  /** Requests that this node makes of another one, or of the controller there. */
  control(nodeId: number): PeerChannel {
    return this.#channelTo(nodeId, 'control')
  }

  /** Fetches of this node as a follower. */
  replica(nodeId: number): PeerChannel {
    return this.#channelTo(nodeId, 'replica')
  }

  /** Requests of clients that this node passes on; they may stand for long, and what is behind them waits. */
  forward(nodeId: number): PeerChannel {
    return this.#channelTo(nodeId, 'forward')
  }

  /** Takes over a connection whose subprotocol is `millrace-peer`, in the turn in which it was accepted. */
  accept(connection: Connection): void {
    assert(connection.subprotocol === 'millrace-peer', 'A client is no node of the cluster')
    this.#door.accept(connection)
  }

  /** Proven connections, by no particular order. */
  describe(): readonly PeerConnectionInfo[] {
    return [...this.#sessions].map(({ connection, peer, purpose, isDialled }) => ({
      ...{ nodeId: peer.nodeId, purpose, isDialled, remote: connection.remote },
    }))
  }

  /** Frames of the quorum that were not sent, since the start: nodes were unreachable or too slow. */
  get droppedMailCount(): number {
    return this.#mail.droppedCount
  }

  /** Opens and accepts no more, answers what was begun for `closeMs` at most, and closes every connection. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#door.close()
    for (const link of this.#mailLinks.values()) link.close()
    for (const { link, channel } of this.#channels.values()) {
      link.close()
      channel.close()
    }
    const allGone = new Promise<void>((resolve) => (this.#onAllGone = resolve))
    for (const { connection, purpose } of [...this.#sessions]) if (purpose === 'raft') connection.close()
    for (const channel of [...this.#serving]) channel.closeWhenIdle()
    if (this.#sessions.count === 0) return
    const cancel = this.#ports.clock.after(this.#limits.closeMs, () => {
      for (const { connection } of [...this.#sessions]) connection.close('this node is stopping')
    })
    await allGone
    cancel()
  }

  #channelTo(nodeId: number, purpose: RequestPurpose): PeerChannel {
    assert(nodeId !== this.#options.nodeId, 'A node asks itself without a connection')
    const name = `${nodeId} ${purpose}`
    const known = this.#channels.get(name)
    if (known !== undefined) return known.channel
    const { clock } = this.#ports
    const link = this.#linkTo(nodeId, purpose, {
      onUp: (session) => channel.opened(session, (reason) => this.#ended(session, link, reason)),
      onFailed: (error) => channel.failed(error),
    })
    const channel = new LinkedChannel(clock, link, this.#limits, `node-${this.#options.nodeId}`)
    this.#channels.set(name, { link, channel })
    if (this.#isClosed) channel.close()
    return channel
  }

  #mailLinkTo(nodeId: number): PeerLink | null {
    if (nodeId === this.#options.nodeId || this.#isClosed) return null
    let link = this.#mailLinks.get(nodeId)
    if (link === undefined) {
      if (this.#options.addressOf(nodeId) === null) return null
      const made = this.#linkTo(nodeId, 'raft', {
        onUp: (session) => this.#mail.opened(session, (reason) => this.#ended(session, made, reason)),
        onFailed: () => this.#mail.failed(nodeId),
      })
      link = made
      this.#mailLinks.set(nodeId, link)
    }
    return link
  }

  #linkTo(
    nodeId: number,
    purpose: PeerPurpose,
    on: { onUp: (session: PeerSession) => void; onFailed: (error: Error) => void },
  ): PeerLink {
    const link = new PeerLink(this.#ports, this.#door, {
      ...{ nodeId, purpose, limits: this.#limits, addressOf: this.#options.addressOf },
      onUp: (session) => {
        this.#began(session)
        on.onUp(session)
      },
      onFailed: on.onFailed,
    })
    if (this.#isClosed) link.close()
    return link
  }

  #accepted(session: PeerSession): void {
    const { connection, peer, purpose } = session
    this.#began(session)
    if (purpose === 'raft') {
      this.#mail.opened(session, (reason) => this.#ended(session, null, reason))
      return
    }
    const channel: ServerChannel = new ServerChannel(connection, {
      inFlightMax: this.#limits.inFlightMax,
      sendHighWaterBytes: this.#limits.sendHighWaterBytes,
      requestBudget: this.#requestBudget,
      responseBudget: this.#responseBudget,
      mayOverlap: () => true,
      onRequest: (exchange) => this.onRequest(exchange, peer.nodeId, purpose),
      onClose: (reason) => {
        this.#serving.delete(channel)
        this.#ended(session, null, reason)
      },
    })
    this.#serving.add(channel)
  }

  #began(session: PeerSession): void {
    const { connection, peer, purpose, isDialled } = session
    this.#sessions.add(session)
    const fields = { nodeId: peer.nodeId, purpose, isDialled, remote: connection.remote }
    this.#ports.logger.info('Node connected', fields)
  }

  #ended(session: PeerSession, link: PeerLink | null, reason: string): void {
    const { peer, purpose, isDialled } = session
    this.#sessions.remove(session)
    link?.lost(session)
    this.#ports.logger.info('Node disconnected', { nodeId: peer.nodeId, purpose, isDialled, reason })
    if (this.#sessions.count === 0) this.#onAllGone()
  }
}
