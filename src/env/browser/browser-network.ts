/**
 * The network port over the browser's `WebSocket`: `ws://` and `wss://`, one binary message per Kafka message.
 *
 * Two things a browser does not offer are made up for. It cannot stop reading, so a paused connection keeps what
 * arrives, up to a bound, past which it closes; a client pauses only while its user is busy and asks for no more than
 * it can hold. And it tells of no drain, so `bufferedAmount` is looked at while it is high.
 */
import { assert } from '../../base/assert.ts'
import { onAbort } from '../../base/on-abort.ts'
import type { Cancel, Clock } from '../clock.ts'
import { nextConnectionId } from '../connection-id.ts'
import type { Connection, ConnectionBounds, ConnectOptions, Listener, Network } from '../network.ts'
import { NetworkError } from '../network.ts'

/** The part of `WebSocket` that is used. */
export interface WebSocketLike {
  binaryType: string
  readonly bufferedAmount: number
  onopen: ((event: unknown) => void) | null
  onmessage: ((event: { readonly data: unknown }) => void) | null
  onerror: ((event: unknown) => void) | null
  onclose: ((event: { readonly code: number; readonly reason: string }) => void) | null
  send(bytes: Uint8Array): void
  close(code?: number, reason?: string): void
}

export type WebSocketConstructor = new (url: string, protocols: string[]) => WebSocketLike

const SUBPROTOCOL = 'kafka'
/** What a paused connection may hold, in largest messages. */
const PAUSED_MESSAGES_MAX = 4
const DRAIN_CHECK_MS = 10
const CLOSE_NORMAL = 1000
/** The first code that is left to applications. */
const CLOSE_FAULT = 4000
const CLOSE_REASON_CHARACTERS = 100

export class BrowserNetwork implements Network {
  readonly #clock: Clock
  readonly #WebSocket: WebSocketConstructor | null

  constructor(clock: Clock, constructor: WebSocketConstructor | null) {
    this.#clock = clock
    this.#WebSocket = constructor
  }

  async listen(): Promise<Listener> {
    throw new NetworkError('NETWORK_NO_ACCESS', 'Listened for connections: a browser cannot')
  }

  connect(url: string, options: ConnectOptions): Promise<Connection> {
    const { signal, timeoutMs } = options
    return new Promise((resolve, reject) => {
      if (!/^wss?:\/\/./.test(url) || (options.subprotocol ?? SUBPROTOCOL) !== SUBPROTOCOL) {
        throw new NetworkError(
          'NETWORK_BAD_ADDRESS',
          `Connected to ${JSON.stringify(url)}: wanted ws:// or wss://, and the subprotocol ${SUBPROTOCOL}`,
        )
      }
      if (signal?.aborted === true) {
        throw new NetworkError('NETWORK_ABORTED', `Connected to ${url}: given up before it began`)
      }
      const socket = this.#open(url)
      const finish = () => {
        cancelTimer()
        forget()
        socket.onopen = null
        socket.onclose = null
      }
      const fail = (code: 'NETWORK_ABORTED' | 'NETWORK_TIMED_OUT' | 'NETWORK_UNREACHABLE', why: string) => {
        finish()
        socket.close()
        reject(new NetworkError(code, `Connected to ${url}: ${why}`))
      }
      const cancelTimer = this.#clock.after(timeoutMs, () =>
        fail('NETWORK_TIMED_OUT', `no answer within ${timeoutMs} ms`),
      )
      const forget = onAbort(signal, () => fail('NETWORK_ABORTED', 'given up by the caller'))
      // Browsers keep the reason from the page on purpose; all that is known is that it did not open.
      socket.onclose = () =>
        fail(
          'NETWORK_UNREACHABLE',
          'it did not open: nothing listens there, or it refused this page’s origin',
        )
      socket.onerror = () => undefined // `onclose` follows.
      socket.onopen = () => {
        finish()
        resolve(new BrowserConnection(socket, url, options, this.#clock))
      }
    })
  }

  #open(url: string): WebSocketLike {
    if (this.#WebSocket === null) {
      throw new NetworkError('NETWORK_NO_ACCESS', `Connected to ${url}: this platform has no WebSocket`)
    }
    try {
      const socket = new this.#WebSocket(url, [SUBPROTOCOL])
      socket.binaryType = 'arraybuffer'
      return socket
    } catch (error) {
      throw new NetworkError('NETWORK_BAD_ADDRESS', `Connected to ${url}: ${String(error)}`, { cause: error })
    }
  }
}

class BrowserConnection implements Connection {
  readonly id = nextConnectionId()
  readonly transport = 'websocket'
  readonly subprotocol = SUBPROTOCOL
  /** A page is not told. */
  readonly isLoopback = false
  readonly remote: string
  onMessage: (message: Uint8Array) => void = () => undefined
  onDrain: () => void = () => undefined
  onClose: (reason: string) => void = () => undefined

  readonly #socket: WebSocketLike
  readonly #clock: Clock
  readonly #options: ConnectOptions
  #messageBytesMax: number
  #state: 'open' | 'closing' | 'closed' = 'open'
  #closeReason: string | null = null
  /** Until the turn in which the owner sets its callbacks has ended, and while paused, messages wait here. */
  #isHolding = true
  #isPaused = false
  #held: Uint8Array[] = []
  #heldBytes = 0
  #cancelDrainCheck: Cancel | null = null

  constructor(socket: WebSocketLike, url: string, options: ConnectOptions, clock: Clock) {
    this.#socket = socket
    this.#clock = clock
    this.#options = options
    this.#messageBytesMax = options.messageBytesMax
    this.remote = url.replace(/^wss?:\/\/([^/?#]*).*$/, '$1')
    socket.onmessage = (event) => this.#onData(event.data)
    socket.onclose = (event) => {
      this.#cancelDrainCheck?.()
      this.#closeReason ??= event.reason === '' ? 'closed by the peer' : `closed by the peer: ${event.reason}`
      this.#finish()
    }
    clock.endOfTurn(() => {
      this.#isHolding = false
      this.#releaseHeld()
    })
  }

  get bufferedBytes(): number {
    return this.#state === 'open' ? this.#socket.bufferedAmount : 0
  }

  send(message: readonly Uint8Array[]): void {
    if (this.#state !== 'open') return
    // `WebSocket.send` takes one buffer, and may read it later: a copy in any case, so that of joining costs nothing more.
    let bytes = 0
    for (const piece of message) bytes += piece.length
    assert(bytes > 0, 'A message has at least one byte')
    const joined = new Uint8Array(bytes)
    let position = 0
    for (const piece of message) {
      joined.set(piece, position)
      position += piece.length
    }
    this.#socket.send(joined)
    if (this.bufferedBytes > this.#options.sendHighWaterBytes) this.#checkDrainLater()
  }

  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    if (!this.#isPaused) return
    this.#isPaused = false
    if (this.#held.length > 0) this.#clock.endOfTurn(() => this.#releaseHeld())
  }

  setBounds({ messageBytesMax }: ConnectionBounds): void {
    if (messageBytesMax === undefined) return
    this.#messageBytesMax = Math.min(messageBytesMax, this.#options.messageBytesMax)
  }

  close(reason?: string): void {
    if (this.#state !== 'open') return
    this.#state = 'closing'
    this.#held = []
    this.#cancelDrainCheck?.()
    this.#closeReason = reason ?? 'closed by this side'
    if (reason === undefined) {
      this.#socket.close(CLOSE_NORMAL)
      return
    }
    const text = reason.replace(/[^\x20-\x7e]/g, '?').slice(0, CLOSE_REASON_CHARACTERS)
    this.#socket.close(CLOSE_FAULT, text)
    // The peer may never answer the close; to the owner the connection is over now.
    this.#clock.endOfTurn(() => this.#finish())
  }

  #finish(): void {
    if (this.#state === 'closed') return
    const deliver = this.#state === 'open' && !this.#isPaused
    if (deliver) this.#releaseHeld()
    this.#state = 'closed'
    this.#held = []
    this.onClose(this.#closeReason ?? 'closed by the peer')
  }

  #onData(data: unknown): void {
    if (this.#state !== 'open') return
    if (!(data instanceof ArrayBuffer)) {
      this.close('sent a text message: Kafka messages are binary')
      return
    }
    const messageBytesMax = this.#messageBytesMax
    if (data.byteLength === 0 || data.byteLength > messageBytesMax) {
      this.close(`sent a message of ${data.byteLength} bytes: from 1 to ${messageBytesMax} are allowed`)
      return
    }
    const message = new Uint8Array(data)
    if (!this.#isHolding && !this.#isPaused && this.#held.length === 0) {
      this.onMessage(message)
      return
    }
    this.#held.push(message)
    this.#heldBytes += message.length
    if (this.#heldBytes > PAUSED_MESSAGES_MAX * this.#options.messageBytesMax)
      this.close('sent more than was asked for')
  }

  #releaseHeld(): void {
    while (this.#held.length > 0 && !this.#isPaused && this.#state === 'open') {
      const message = this.#held.shift()!
      this.#heldBytes -= message.length
      this.onMessage(message)
    }
  }

  #checkDrainLater(): void {
    this.#cancelDrainCheck ??= this.#clock.after(DRAIN_CHECK_MS, () => {
      this.#cancelDrainCheck = null
      if (this.#state !== 'open') return
      if (this.bufferedBytes <= this.#options.sendHighWaterBytes / 4) this.onDrain()
      else this.#checkDrainLater()
    })
  }
}
