/**
 * Connections between parts of one process: an embedded broker and the clients beside it, by `in-process://name`.
 *
 * - Messages are handed over at the end of the sender's turn, never inside `send`; not in a microtask, since two
 *   parts that answer each other would then keep timers and sockets from ever having their turn.
 * - A message is copied once, from its pieces into the receiver's own buffer: the receiver may change it (a broker
 *   patches offsets in place) while the sender's pieces may be long-lived.
 * - What a paused receiver has not taken counts as the sender's `bufferedBytes`; so back-pressure works as on a socket.
 * - Bounds on size and count hold as on a socket; those in time do not, for both ends are our own code.
 */
import { assert } from '../../base/assert.ts'
import type { Clock } from '../clock.ts'
import { nextConnectionId } from '../connection-id.ts'
import type {
  Connection,
  ConnectionBounds,
  ConnectOptions,
  Listener,
  ListenOptions,
  Network,
  Subprotocol,
} from '../network.ts'
import { NetworkError } from '../network.ts'

const SCHEME = 'in-process://'

interface Listening {
  readonly options: ListenOptions
  readonly accept: (connection: Connection) => void
  readonly open: Set<InProcessConnection>
}

export class InProcessNetwork implements Network {
  readonly #clock: Pick<Clock, 'endOfTurn'>
  readonly #listeners = new Map<string, Listening>()

  constructor(ports: { readonly clock: Pick<Clock, 'endOfTurn'> }) {
    this.#clock = ports.clock
  }

  async listen(options: ListenOptions, accept: (connection: Connection) => void): Promise<Listener> {
    const { host, port } = options
    if (this.#listeners.has(host)) {
      throw new NetworkError('NETWORK_ADDRESS_IN_USE', `Listened on ${SCHEME}${host}: the name is in use`)
    }
    const listening: Listening = { options, accept, open: new Set() }
    this.#listeners.set(host, listening)
    return {
      host,
      port,
      get connectionCount() {
        return listening.open.size
      },
      close: async () => {
        if (this.#listeners.get(host) === listening) this.#listeners.delete(host)
      },
    }
  }

  async connect(url: string, options: ConnectOptions): Promise<Connection> {
    if (!url.startsWith(SCHEME)) {
      throw new NetworkError(
        'NETWORK_BAD_ADDRESS',
        `Connected to ${JSON.stringify(url)}: wanted ${SCHEME}name`,
      )
    }
    if (options.signal?.aborted === true) {
      throw new NetworkError('NETWORK_ABORTED', `Connected to ${url}: given up before it began`)
    }
    const name = url.slice(SCHEME.length).replace(/[/:].*$/, '')
    const listening = this.#listeners.get(name)
    if (listening === undefined) {
      throw new NetworkError('NETWORK_UNREACHABLE', `Connected to ${url}: nothing listens under that name`)
    }
    const { limits } = listening.options
    if (listening.open.size >= Math.min(limits.connectionsMax, limits.connectionsPerAddressMax)) {
      throw new NetworkError(
        'NETWORK_UNREACHABLE',
        `Connected to ${url}: it has all the connections it allows`,
      )
    }
    const { subprotocol = 'kafka' } = options
    if (subprotocol === 'millrace-peer' && listening.options.takesPeers !== true) {
      throw new NetworkError('NETWORK_REFUSED_BY_PEER', `Connected to ${url}: it takes no peers`)
    }
    const client = new InProcessConnection(this.#clock, name, subprotocol, options)
    const server = new InProcessConnection(this.#clock, 'in-process', subprotocol, limits)
    client.joinTo(server)
    server.joinTo(client)
    listening.open.add(server)
    server.onGone = () => listening.open.delete(server)
    listening.accept(server)
    return client
  }
}

class InProcessConnection implements Connection {
  readonly id = nextConnectionId()
  readonly transport = 'in-process'
  readonly isLoopback = true
  readonly subprotocol: Subprotocol
  readonly remote: string
  onMessage: (message: Uint8Array) => void = () => undefined
  onDrain: () => void = () => undefined
  onClose: (reason: string) => void = () => undefined
  onGone: () => void = () => undefined

  readonly #clock: Pick<Clock, 'endOfTurn'>
  readonly #openedBytesMax: number
  #messageBytesMax: number
  readonly #highWaterBytes: number
  #peer!: InProcessConnection
  /** What the peer sent and this side has not taken. */
  #inbox: Uint8Array[] = []
  #inboxBytes = 0
  #isDelivering = false
  #isPaused = false
  #isOverHighWater = false
  #state: 'open' | 'closed' = 'open'
  /** Set when the peer closed in good order: what it sent before is still delivered, then this side closes. */
  #peerHasEnded = false

  constructor(
    clock: Pick<Clock, 'endOfTurn'>,
    remote: string,
    subprotocol: Subprotocol,
    limits: { readonly messageBytesMax: number; readonly sendHighWaterBytes: number },
  ) {
    this.#clock = clock
    this.remote = remote
    this.subprotocol = subprotocol
    this.#openedBytesMax = limits.messageBytesMax
    this.#messageBytesMax = limits.messageBytesMax
    this.#highWaterBytes = limits.sendHighWaterBytes
  }

  joinTo(peer: InProcessConnection): void {
    this.#peer = peer
  }

  get bufferedBytes(): number {
    return this.#state === 'open' ? this.#peer.#inboxBytes : 0
  }

  send(message: readonly Uint8Array[]): void {
    if (this.#state !== 'open') return
    let bytes = 0
    for (const piece of message) bytes += piece.length
    assert(bytes > 0, 'A message has at least one byte')
    const peer = this.#peer
    if (bytes > peer.#messageBytesMax) {
      peer.#stop(`announced a message of ${bytes} bytes: from 1 to ${peer.#messageBytesMax} are allowed`)
      this.#stop('closed by the peer')
      return
    }
    peer.#inbox.push(joined(message, bytes))
    peer.#inboxBytes += bytes
    if (peer.#inboxBytes > this.#highWaterBytes) this.#isOverHighWater = true
    peer.#deliverLater()
  }

  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    this.#isPaused = false
    this.#deliverLater()
  }

  setBounds({ messageBytesMax }: ConnectionBounds): void {
    if (messageBytesMax !== undefined) this.#messageBytesMax = Math.min(messageBytesMax, this.#openedBytesMax)
  }

  close(reason?: string): void {
    if (this.#state !== 'open') return
    const peer = this.#peer
    if (reason === undefined) {
      peer.#peerHasEnded = true
      peer.#deliverLater()
    } else {
      peer.#stop('closed by the peer')
    }
    this.#stop(reason ?? 'closed by this side')
  }

  #deliverLater(): void {
    if (this.#isDelivering || this.#isPaused || this.#state !== 'open') return
    this.#isDelivering = true
    this.#clock.endOfTurn(() => this.#deliver())
  }

  /** Delivers what is there now; what is sent in answer to it comes in the next turn. */
  #deliver(): void {
    this.#isDelivering = false
    const messages = this.#inbox
    this.#inbox = []
    let taken = 0
    try {
      while (taken < messages.length && !this.#isPaused && this.#isOpen()) {
        const message = messages[taken++]!
        this.#inboxBytes -= message.length
        this.onMessage(message)
      }
    } finally {
      if (this.#isOpen()) {
        this.#inbox = messages.slice(taken).concat(this.#inbox)
        if (this.#inbox.length > 0) this.#deliverLater()
      }
    }
    this.#peer.#drained()
    if (this.#peerHasEnded && this.#inbox.length === 0 && this.#isOpen()) this.#stop('closed by the peer')
  }

  /** A method, so that the compiler does not take the state for unchanged by a callback. */
  #isOpen(): boolean {
    return this.#state === 'open'
  }

  #drained(): void {
    if (!this.#isOverHighWater || this.bufferedBytes > this.#highWaterBytes / 4) return
    this.#isOverHighWater = false
    if (this.#state === 'open') this.onDrain()
  }

  #stop(reason: string): void {
    if (this.#state !== 'open') return
    this.#state = 'closed'
    this.#inbox = []
    this.#inboxBytes = 0
    this.onGone()
    this.#clock.endOfTurn(() => this.onClose(reason))
  }
}

function joined(pieces: readonly Uint8Array[], bytes: number): Uint8Array {
  const message = new Uint8Array(bytes)
  let position = 0
  for (const piece of pieces) {
    message.set(piece, position)
    position += piece.length
  }
  return message
}
