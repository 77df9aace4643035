/**
 * This node among the nodes of its cluster: frames of the metadata quorum, requests to other nodes and requests from
 * them, each over a WebSocket of subprotocol `millrace-peer` on which both ends have proven who they are
 * (peer-handshake.ts). Whoever has not cannot reach anything behind this class, and a client cannot even begin to
 * (docs/faults.md X4, X12).
 *
 * Requests that come from other nodes start as they arrive, and take effect in the turn in which they start; answers leave
 * in the order of the requests. So a fetch that waits for data does not keep a newer one from being seen.
 *
 * What nodes pass on for clients has connections (forward-channels.ts) and bounds of its own: a node that is full of clients'
 * produce requests, which wait for followers, must go on reading the fetches of those followers.
 */
import { assert } from '../base/assert.ts'
import type { Connection } from '../env/index.ts'
import { ByteBudget } from './byte-budget.ts'
import { ForwardChannels } from './forward-channels.ts'
import type { ForwardWay, ForwardWayEvents } from './forward-channels.ts'
import type { PeerChannel } from './peer-channel.ts'
import { LinkedChannel } from './peer-channel.ts'
import { PeerDoor } from './peer-door.ts'
import type { PeerPorts } from './peer-door.ts'
import type { PeerError } from './peer-error.ts'
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

/** All that one peer asks may be under way at the same time. */
const OF_ONE_PEER = 1

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
  /**
   * Told what became of each attempt of this node to connect to another, for whatever purpose, and of those of the other
   * that came about; null: they are connected.
   */
  readonly onAttempt?: (nodeId: number, error: PeerError | null) => void
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
  readonly #forwardRequestBudget: ByteBudget
  /** Bytes of answers to requests that nodes have passed on, lying at nodes that do not take them. */
  readonly forwardResponseBudget: ByteBudget
  /** For requests of clients that this node passes on. */
  readonly forwards: ForwardChannels
  #isClosed = false
  #onAllGone: () => void = () => undefined

  constructor(ports: PeerPorts, options: PeersOptions) {
    this.#ports = ports
    this.#options = options
    this.#limits = { ...PEER_LIMITS, ...options.limits }
    this.#requestBudget = new ByteBudget(this.#limits.requestBytesMax)
    this.#responseBudget = new ByteBudget(this.#limits.responseBytesMax)
    this.#forwardRequestBudget = new ByteBudget(this.#limits.forwardRequestBytesMax)
    this.forwardResponseBudget = new ByteBudget(this.#limits.responseBytesMax)
    this.forwards = new ForwardChannels(ports, this.#limits, (toId, events) => this.#forwardWay(toId, events))
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

  /** Requests that this node makes for itself of the controller on another one. */
  control(nodeId: number): PeerChannel {
    return this.#channelTo(nodeId, 'control')
  }

  /** Requests of clients that the controller on another node decides. */
  admin(nodeId: number): PeerChannel {
    return this.#channelTo(nodeId, 'admin')
  }

  /** Fetches of this node as a follower. */
  replica(nodeId: number): PeerChannel {
    return this.#channelTo(nodeId, 'replica')
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
    this.forwards.close()
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

  #channelTo(nodeId: number, purpose: Exclude<RequestPurpose, 'forward'>): PeerChannel {
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

  /** A channel of its own for one connection to the node. */
  #forwardWay(nodeId: number, { onUp, onFailed, onDown }: ForwardWayEvents): ForwardWay {
    const link = this.#linkTo(nodeId, 'forward', {
      onUp: (session) => {
        channel.opened(session, (reason) => {
          this.#ended(session, link, reason)
          onDown()
        })
        onUp()
      },
      onFailed: (error) => {
        channel.failed(error)
        onFailed(error)
      },
    })
    const channel = new LinkedChannel(this.#ports.clock, link, this.#limits, `node-${this.#options.nodeId}`)
    const close = (): void => {
      link.close()
      channel.close()
    }
    return { channel, close }
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
      onFailed: (error) => {
        this.#options.onAttempt?.(nodeId, error)
        on.onFailed(error)
      },
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
    const isForward = purpose === 'forward'
    // Twice: those that the other end has closed may not be gone here yet.
    const forwardsMax = 2 * this.#limits.forwardsPerNodeMax
    if (isForward && this.#sessions.countOf(peer.nodeId, purpose) > forwardsMax) {
      connection.onClose = (reason) => this.#ended(session, null, reason)
      connection.close(`node ${peer.nodeId} has ${forwardsMax} connections to forward by`)
      return
    }
    const channel: ServerChannel = new ServerChannel(connection, {
      inFlightMax: this.#limits.inFlightMax,
      sendHighWaterBytes: this.#limits.sendHighWaterBytes,
      requestBudget: isForward ? this.#forwardRequestBudget : this.#requestBudget,
      responseBudget: isForward ? this.forwardResponseBudget : this.#responseBudget,
      overlapOf: () => OF_ONE_PEER,
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
    this.#options.onAttempt?.(peer.nodeId, null)
    const fields = { nodeId: peer.nodeId, purpose, isDialled, remote: connection.remote }
    this.#ports.logger[levelOf(purpose)]('Node connected', fields)
  }

  #ended(session: PeerSession, link: PeerLink | null, reason: string): void {
    const { peer, purpose, isDialled } = session
    this.#sessions.remove(session)
    link?.lost(session)
    this.#ports.logger[levelOf(purpose)]('Node disconnected', {
      nodeId: peer.nodeId,
      purpose,
      isDialled,
      reason,
    })
    if (this.#sessions.count === 0) this.#onAllGone()
  }
}

/** Connections to forward by come and go with clients: that is no news. */
function levelOf(purpose: PeerPurpose): 'debug' | 'info' {
  return purpose === 'forward' ? 'debug' : 'info'
}
