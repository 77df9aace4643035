/**
 * A listening port that speaks Kafka over TCP, HTTP, and Kafka over WebSocket. The first byte tells which:
 *
 *   0x00..0x3f  first byte of a length below 2^30: Kafka
 *   'A'..'Z'    a method: HTTP
 *   0x16        a TLS hello: this port has no certificate; closed, with a line in the log
 *
 * Connections are counted from their first moment, also those that have not said a byte, in all and by address; one
 * over a bound is closed before anything is spent on it. Whoever has not sent a whole message in `handshakeMs`
 * is closed, on whatever path it got stuck (faults.md X1, X18).
 */
import { createServer } from 'node:net'
import type { Server, Socket } from 'node:net'
import type { WebSocket } from 'ws'
import type { Clock } from '../clock.ts'
import type { Logger } from '../logger.ts'
import type { Connection, Listener, ListenOptions } from '../network.ts'
import { NetworkError } from '../network.ts'
import { Deadlines } from './deadlines.ts'
import type { Watched } from './deadlines.ts'
import { errnoOf } from './file-errors.ts'
import { openHttpDoor } from './http-door.ts'
import type { HttpDoor } from './http-door.ts'
import type { ConnectionLimits } from './socket-connection.ts'
import { addressOf, remoteOf } from './socket-connection.ts'
import { TcpConnection } from './tcp-connection.ts'
import { WebSocketConnection } from './websocket-connection.ts'

const TLS_HANDSHAKE_RECORD = 0x16
/** The kernel then notices peers that vanished without a word, also on connections that are rightly quiet. */
const KEEP_ALIVE_MS = 60_000
const SECOND_MS = 1000
/** Connections that wait for accept; the kernel caps it at its own bound. */
const BACKLOG = 511

/** A socket between accept and its first message as a connection. */
interface Newcomer extends Watched {
  readonly socket: Socket
}

export class NodeListener implements Listener {
  readonly #options: ListenOptions
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #accept: (connection: Connection) => void
  readonly #server: Server
  readonly #door: HttpDoor | null
  readonly #deadlines: Deadlines
  readonly #newcomers = new Map<Socket, Newcomer & { readonly firstMessageByMs: number }>()
  readonly #countByAddress = new Map<string, number>()
  readonly #warnedOf = new Set<string>()
  #connectionCount = 0
  /** Connections accepted in the second that ends at `#secondEndMs`. */
  #acceptedCount = 0
  #secondEndMs = 0

  private constructor(
    options: ListenOptions,
    clock: Clock,
    logger: Logger,
    accept: (connection: Connection) => void,
  ) {
    this.#options = options
    this.#clock = clock
    this.#logger = logger
    this.#accept = accept
    const { handshakeMs, idleMs, messageMs, sendStallMs } = options.limits
    this.#deadlines = new Deadlines(clock, Math.min(handshakeMs, idleMs, messageMs, sendStallMs))
    this.#door = options.protocols.some((protocol) => protocol !== 'kafka')
      ? openHttpDoor(options, logger, (webSocket, socket, isProxied) => {
          this.#onWebSocket(webSocket, socket, isProxied)
        })
      : null
    this.#server = createServer(
      { noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS },
      (socket) => this.#onSocket(socket),
    )
  }

  static async open(
    options: ListenOptions,
    clock: Clock,
    logger: Logger,
    accept: (connection: Connection) => void,
  ): Promise<NodeListener> {
    const listener = new NodeListener(options, clock, logger, accept)
    const server = listener.#server
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error) => reject(toListenError(error, options)))
      server.listen({ host: options.host, port: options.port, backlog: BACKLOG }, resolve)
    })
    server.on('error', (error) => logger.warn('Accepted a connection: failed', { error }))
    return listener
  }

  get host(): string {
    return this.#options.host
  }

  get port(): number {
    const address = this.#server.address()
    return typeof address === 'object' && address !== null ? address.port : this.#options.port
  }

  get connectionCount(): number {
    return this.#connectionCount
  }

  async close(): Promise<void> {
    // `close` calls back only when the last connection has ended; that it listens no more is so at once.
    this.#server.close()
    for (const { socket } of this.#newcomers.values()) socket.destroy()
    await new Promise<void>((resolve) => this.#clock.endOfTurn(resolve))
  }

  #onSocket(socket: Socket): void {
    const address = addressOf(socket)
    const { connectionsMax, connectionsPerAddressMax, handshakeMs } = this.#options.limits
    const ofAddress = this.#countByAddress.get(address) ?? 0
    const isCrowded = this.#connectionCount >= connectionsMax || ofAddress >= connectionsPerAddressMax
    if (isCrowded || !this.#isInRate()) {
      this.#logger.debug('Refused a connection: too many', { remote: remoteOf(socket) })
      socket.destroy()
      return
    }
    this.#connectionCount++
    this.#countByAddress.set(address, ofAddress + 1)
    const firstMessageByMs = this.#clock.monotonicMs() + handshakeMs
    const newcomer = {
      socket,
      firstMessageByMs,
      checkDeadlines: (nowMs: number) => {
        if (nowMs >= firstMessageByMs) socket.destroy()
      },
    }
    this.#newcomers.set(socket, newcomer)
    this.#deadlines.add(newcomer)
    socket.once('close', () => {
      this.#forgetNewcomer(socket)
      this.#connectionCount--
      const left = (this.#countByAddress.get(address) ?? 1) - 1
      if (left === 0) this.#countByAddress.delete(address)
      else this.#countByAddress.set(address, left)
    })
    socket.on('error', () => undefined) // 'close' follows, and a connection takes the reason with a listener of its own.
    socket.once('data', (chunk: Buffer) => this.#onFirstBytes(socket, chunk))
  }

  /** Counts a connection in; false when there were too many in this second (X18: an accept costs more than a close). */
  #isInRate(): boolean {
    const nowMs = this.#clock.monotonicMs()
    if (nowMs >= this.#secondEndMs) {
      this.#secondEndMs = nowMs + SECOND_MS
      this.#acceptedCount = 0
    }
    this.#acceptedCount++
    return this.#acceptedCount <= (this.#options.limits.connectionsPerSecondMax ?? Infinity)
  }

  #onFirstBytes(socket: Socket, chunk: Buffer): void {
    const first = chunk[0]!
    const isLetter = first >= 0x41 && first <= 0x5a
    if (isLetter && this.#door !== null) {
      socket.pause()
      socket.unshift(chunk)
      this.#door.accept(socket)
      socket.resume()
    } else if (!isLetter && first !== TLS_HANDSHAKE_RECORD && this.#options.protocols.includes('kafka')) {
      const limits = this.#limitsOf(socket)
      this.#accept(new TcpConnection(socket, this.#clock, limits, this.#deadlines, chunk))
    } else {
      this.#logForeign(
        socket,
        first === TLS_HANDSHAKE_RECORD ? 'TLS, which is not configured' : 'something else',
      )
      socket.destroy()
    }
  }

  /** A warning once for each kind: a misconfigured client retries for ever, and an attacker would fill the disk. */
  #logForeign(socket: Socket, speaks: string): void {
    const level = this.#warnedOf.has(speaks) ? 'debug' : 'warn'
    this.#warnedOf.add(speaks)
    const wanted = this.#options.protocols.join(', ')
    this.#logger[level](`Closed a connection: it speaks ${speaks}`, {
      remote: remoteOf(socket),
      port: this.port,
      wanted,
    })
  }

  #onWebSocket(webSocket: WebSocket, socket: Socket, isProxied: boolean): void {
    const limits = this.#limitsOf(socket)
    const side = { isClient: false, isProxied }
    this.#accept(new WebSocketConnection(webSocket, socket, side, this.#clock, limits, this.#deadlines))
  }

  /** The bounds of a new connection, whose own deadline takes over from the newcomer's. */
  #limitsOf(socket: Socket): ConnectionLimits {
    const firstMessageByMs = this.#newcomers.get(socket)?.firstMessageByMs ?? 0
    this.#forgetNewcomer(socket)
    return { ...this.#options.limits, firstMessageByMs }
  }

  #forgetNewcomer(socket: Socket): void {
    const newcomer = this.#newcomers.get(socket)
    if (newcomer === undefined) return
    this.#newcomers.delete(socket)
    this.#deadlines.remove(newcomer)
  }
}

function toListenError(error: Error, options: ListenOptions): NetworkError {
  const at = `${options.host}:${options.port}`
  switch (errnoOf(error)) {
    case 'EADDRINUSE':
      return new NetworkError('NETWORK_ADDRESS_IN_USE', `Listened on ${at}: the address is in use`, {
        cause: error,
      })
    case 'EACCES':
    case 'EPERM':
      return new NetworkError('NETWORK_NO_ACCESS', `Listened on ${at}: not permitted`, { cause: error })
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return new NetworkError('NETWORK_BAD_ADDRESS', `Listened on ${at}: not an address of this machine`, {
        cause: error,
      })
    default:
      return new NetworkError('NETWORK_FAILED', `Listened on ${at}: ${error.message}`, { cause: error })
  }
}
