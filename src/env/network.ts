/**
 * The network port: ordered messages over connections that can break at any time.
 *
 * A message is one Kafka request or response without its 4-byte length. Over TCP the adapter adds and strips the
 * length prefix; over WebSocket a message is one binary WebSocket message; in-process it is handed over as it is.
 *
 * Invariants every adapter keeps:
 * - Messages arrive whole, in order and once, or the connection closes; nothing arrives after `onClose`.
 * - `onClose` is called exactly once, never inside a call of `send`, `pause`, `resume` or `close`.
 * - Bounds are checked on what a peer announces, before memory is taken for it; memory grows with bytes received.
 * - `send` gathers: what is sent in one turn leaves in one write.
 */

export interface Connection {
  /** Unique within the process, for logs. */
  readonly id: number
  readonly transport: Transport
  /** What both ends agreed to speak when it opened. */
  readonly subprotocol: Subprotocol
  /**
   * Both ends are on this machine, by the addresses of the connection itself, and no proxy says that it passed on an
   * upgrade for somebody else. Always so in-process.
   */
  readonly isLoopback: boolean
  /** The peer as `host:port`, or a name in-process. For logs and quotas, never for trust. */
  readonly remote: string

  /**
   * Sends one message, given in pieces that the adapter never joins if it can avoid it. The pieces are handed
   * over: nobody may change them until the message has left, and they may be parts of long-lived buffers.
   * After the connection closed it does nothing.
   */
  send(message: readonly Uint8Array[]): void

  /** Bytes accepted by `send` that have not been handed to the operating system. */
  readonly bufferedBytes: number

  /** Stops delivering (and reading) messages. At most the messages of one already received chunk still come. */
  pause(): void
  resume(): void

  /** Replaces bounds that the connection was opened with, from the next message on. */
  setBounds(bounds: ConnectionBounds): void

  /** Closes after what was sent has left, or at once when `reason` names a fault of the peer. */
  close(reason?: string): void

  /** Set by the owner before its turn ends; a message is handed over and belongs to the receiver. */
  onMessage: (message: Uint8Array) => void
  /** Called when `bufferedBytes` fell to a quarter of the listener's or dialler's high-water mark or below. */
  onDrain: () => void
  /** Called once, whoever closed. */
  onClose: (reason: string) => void
}

export type Transport = 'tcp' | 'websocket' | 'in-process'

/**
 * What a connection carries: requests of clients, or what nodes of a cluster say to each other (`rpc/peers.ts`). TCP
 * carries `kafka` alone.
 */
export type Subprotocol = 'kafka' | 'millrace-peer'

/** Bounds that an owner knows better than the listener does, or the dialler. What is left out stays as it is. */
export interface ConnectionBounds {
  /** Largest message in bytes that the peer may send; the bound the connection was opened with holds as well. */
  readonly messageBytesMax?: number
  /** As `ListenLimits.idleMs`; a dialled connection waits for ever unless this is set. In-process nobody is silent. */
  readonly idleMs?: number
}

export interface Network {
  /**
   * Starts to accept connections.
   *
   * @throws {NetworkError} `NETWORK_ADDRESS_IN_USE`, `NETWORK_NO_ACCESS`, `NETWORK_FAILED`.
   */
  listen(options: ListenOptions, accept: (connection: Connection) => void): Promise<Listener>

  /**
   * Opens a connection to `tcp://host:port`, `ws://host:port/path`, `wss://…` or `in-process://name`.
   *
   * @throws {NetworkError} `NETWORK_UNREACHABLE`, `NETWORK_TIMED_OUT`, `NETWORK_REFUSED_BY_PEER` (a WebSocket
   *   handshake that was answered otherwise, a listener that takes no peers), `NETWORK_ABORTED` (the signal), `NETWORK_BAD_ADDRESS`.
   */
  connect(url: string, options: ConnectOptions): Promise<Connection>
}

export interface ListenOptions {
  /** Host name or IP address to bind; `in-process` adapters take it as the name. */
  readonly host: string
  /** 0 takes any free port; `Listener.port` tells which. */
  readonly port: number
  /**
   * What the port speaks: `kafka` over raw TCP, `websocket` upgrades, plain `http` requests. The first byte of a
   * connection decides among them.
   */
  readonly protocols: readonly PortProtocol[]
  readonly limits: ListenLimits
  /** Answers plain HTTP requests on the port. Absent: 404. */
  readonly http?: (request: HttpRequest) => HttpResponse | Promise<HttpResponse>
  /**
   * Web pages that may open a WebSocket: `Origin` values, such a value with `:*` for any port, or `*` for any page. A
   * request without `Origin` does not come from a page.
   */
  readonly origins: readonly string[]
  /**
   * Host names by which a web page may address this port, beside `localhost`, `host` and IP addresses. A page that names
   * another was led here by its own name server (DNS rebinding).
   */
  readonly hosts?: readonly string[]
  /** The one path at which a WebSocket may be opened; absent: `/`. */
  readonly path?: string
  /**
   * Whether an upgrade may ask for `millrace-peer`; default: no. One with an `Origin` comes from a page and never may,
   * whatever `origins` says.
   */
  readonly takesPeers?: boolean
}

export type PortProtocol = 'kafka' | 'websocket' | 'http'

/** Every bound of a listener; defaults live in the broker's configuration. */
export interface ListenLimits {
  /** Largest message in bytes that a peer may send. */
  readonly messageBytesMax: number
  readonly connectionsMax: number
  readonly connectionsPerAddressMax: number
  /** Connections accepted in a second; absent: any number. */
  readonly connectionsPerSecondMax?: number
  /** Time from accept to the first whole message (or the WebSocket upgrade and then the first message), in ms. */
  readonly handshakeMs: number
  /** A peer that says nothing at all for this long is pinged (WebSocket) and then closed, in ms. */
  readonly idleMs: number
  /** A message that has begun must be whole after this many ms. */
  readonly messageMs: number
  /** `onDrain` threshold: the owner stops feeding a connection whose `bufferedBytes` passed this. */
  readonly sendHighWaterBytes: number
  /** A peer that takes none of what is buffered for it for this long is closed, in ms. */
  readonly sendStallMs: number
}

export interface ConnectOptions {
  readonly timeoutMs: number
  readonly messageBytesMax: number
  readonly sendHighWaterBytes: number
  /** Default: `kafka`. `millrace-peer` needs `ws:`, `wss:` or `in-process:`, and a listener that takes peers. */
  readonly subprotocol?: Subprotocol
  readonly signal?: AbortSignal
}

export interface Listener {
  readonly host: string
  readonly port: number
  /** Open connections now. */
  readonly connectionCount: number
  /** Stops accepting. Connections that are open stay open; close them first or after. */
  close(): Promise<void>
}

export interface HttpRequest {
  readonly method: string
  /** Path without the query. */
  readonly path: string
  readonly headers: ReadonlyMap<string, string>
}

export interface HttpResponse {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

export type NetworkErrorCode =
  | 'NETWORK_ADDRESS_IN_USE'
  | 'NETWORK_NO_ACCESS'
  | 'NETWORK_BAD_ADDRESS'
  | 'NETWORK_UNREACHABLE'
  | 'NETWORK_REFUSED_BY_PEER'
  | 'NETWORK_TIMED_OUT'
  | 'NETWORK_ABORTED'
  | 'NETWORK_FAILED'

/** What a network operation fails with, in every adapter. */
export class NetworkError extends Error {
  override readonly name = 'NetworkError'
  readonly code: NetworkErrorCode

  constructor(code: NetworkErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
