/**
 * Kafka's byte stream over WebSocket: looks like a TCP socket to a client of others that knows only these, and speaks one
 * Kafka message per binary WebSocket message to the broker. The length in front of each message is taken off on the way
 * out and put back on the way in (network.ts says why it is not there).
 *
 *   client  ── length | message | length | mess… ──>  stream  ── frame(message) ── frame(message) ──>  broker
 *
 * Invariants:
 * - Bytes may be written in any pieces; a WebSocket message is always one whole Kafka message.
 * - A reader that stops reading stops the socket; a writer is done when the system has taken what it wrote.
 * - `onConnect` comes at most once, and never after `end()` or `destroy()`.
 */
import { Duplex } from 'node:stream'
import type { Socket } from 'node:net'
import { WebSocket } from 'ws'
import { LengthPrefixDecoder, lengthPrefix, MESSAGE_BYTES_LIMIT } from '../length-prefix.ts'
import { receiverOptions } from './websocket-connection.ts'

/** As kafkajs asks of its own sockets, in ms: a peer whose machine is gone is noticed. */
const KEEP_ALIVE_MS = 60_000
/** In ms: who ends a stream wants nothing any more, so a peer that does not say goodbye is soon left. Not in ws's types. */
const GOODBYE = { closeTimeout: 1000 }

/** Codes of RFC 6455 section 7.4 with which a stream just ends, as TCP would: normal, going away, none given, cut off. */
const PLAIN_CLOSE_CODES: readonly number[] = [1000, 1001, 1005, 1006]

export interface WebSocketStreamOptions {
  /** Largest message in bytes that the broker may send. */
  readonly messageBytesMax: number
  /** Called once, when bytes can flow. */
  readonly onConnect: () => void
}

class WebSocketStream extends Duplex {
  readonly #webSocket: WebSocket
  readonly #cutter: LengthPrefixDecoder
  /** Whole messages of the write under way. */
  readonly #messages: Uint8Array[] = []
  #socket: Socket | null = null
  #isUnreferenced = false

  constructor(url: string, { messageBytesMax, onConnect }: WebSocketStreamOptions) {
    super()
    // The broker has a bound of its own on what it is sent.
    this.#cutter = new LengthPrefixDecoder(MESSAGE_BYTES_LIMIT - 1, (message) => this.#messages.push(message))
    const webSocket = new WebSocket(url, 'kafka', {
      ...receiverOptions(messageBytesMax),
      ...GOODBYE,
      followRedirects: false,
      generateMask: (mask) => mask.fill(0), // Masking in JavaScript costs more than all the rest (websocket-connection.ts).
    })
    this.#webSocket = webSocket
    webSocket.once('upgrade', ({ socket }) => {
      this.#socket = socket
      socket.setKeepAlive(true, KEEP_ALIVE_MS)
      if (this.#isUnreferenced) socket.unref()
    })
    webSocket.on('open', () => {
      if (!this.writableEnded && !this.destroyed) onConnect()
    })
    webSocket.on('error', (error) => {
      // Of a stream that was given up before it opened, nobody wants to hear that it did not.
      this.destroy(this.writableEnded ? undefined : error)
    })
    webSocket.on('message', (message: Buffer) => {
      const prefix = lengthPrefix(message.length)
      this.push(prefix)
      if (!this.push(message)) webSocket.pause()
    })
    webSocket.on('close', (code, reason) => {
      if (PLAIN_CLOSE_CODES.includes(code)) this.push(null)
      else this.destroy(new Error(`The broker closed the connection: ${code} ${reason.toString()}`))
    })
  }

  override _read(): void {
    this.#webSocket.resume()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    const { OPEN } = WebSocket
    if (this.#webSocket.readyState !== OPEN) {
      done(new Error('Sent a request: the WebSocket is not open'))
      return
    }
    const fault = this.#cutter.push(chunk)
    if (fault !== null) {
      done(new Error(`Sent a request: the client ${fault}`))
      return
    }
    const messages = this.#messages.splice(0)
    const last = messages.pop()
    for (const message of messages) this.#webSocket.send(message)
    if (last === undefined) done()
    else this.#webSocket.send(last, (error) => done(error ?? null))
  }

  override _final(done: () => void): void {
    this.#webSocket.close()
    done()
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#webSocket.terminate()
    done(error)
  }

  /** As of a socket: the process need not stay for it. */
  unref(): this {
    this.#isUnreferenced = true
    this.#socket?.unref()
    return this
  }
}

/**
 * Opens a stream of Kafka frames to `ws://host:port/path` or `wss://…`. Failures come as `error` events, as of a socket.
 *
 * @returns A `Socket` by its type alone: it is a duplex stream that has `unref()`, which is all that clients with a socket
 *   factory ask for.
 * @throws {SyntaxError} When `url` is no WebSocket URL.
 */
export function openWebSocketStream(url: string, options: WebSocketStreamOptions): Socket {
  return new WebSocketStream(url, options) as unknown as Socket
}
