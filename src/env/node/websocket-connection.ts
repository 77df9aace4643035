/**
 * A connection over WebSocket (RFC 6455): one binary message per Kafka message, without its length.
 *
 * `ws` does the handshake, the receiving and the closing. Sending goes past it: a message in pieces becomes one frame,
 * its header written here and its pieces given to the socket as they are, where `ws.send` would want them joined.
 *
 * Server to client on loopback, 2 cores, Node 20, GB/s (CPU-seconds per GB, both ends), by size of message:
 *
 *   as here, one frame in pieces    100 B 0.35 (5.1)   16 KiB 4.4 (0.45)   256 KiB 3.8 (0.47)
 *   joined first, one frame         100 B 0.33 (5.3)   16 KiB 2.3 (0.74)   256 KiB 2.5 (0.63)
 *   `ws.send` of two fragments      100 B 0.02 (100)   16 KiB 1.9 (1.0)    256 KiB 2.6 (0.75)
 *
 *   frame := 1000 0010 | mask: 1 bit, length: 7 bits | length: 0, 2 or 8 bytes | masking key: 4 bytes if mask | payload
 *
 * A client must mask (section 5.1) against proxies that take frames for HTTP; ours uses the key 0, by which
 * the payload stays what it is: XOR in JavaScript costs 3.6 CPU-seconds per GB, and what is sent to a
 * broker is not chosen by a page. Frames are written whole (`socket-writer.ts`), so `ws` may put a pong or close between.
 */
import type { Socket } from 'node:net'
import type { WebSocket } from 'ws'
import { broken } from '../../base/assert.ts'
import type { Clock } from '../clock.ts'
import type { Subprotocol } from '../network.ts'
import type { Deadlines } from './deadlines.ts'
import type { ConnectionLimits } from './socket-connection.ts'
import { isLoopbackSocket, SocketConnection } from './socket-connection.ts'

/** No chunk read from a socket is larger, by Node's own buffer. */
const CHUNK_BYTES_MAX = 64 * 1024

/** A message in more fragments than this is a flood (faults.md X15): browsers cut at 100 KiB and more. */
const FRAGMENTS_MAX = 1024
/** Chunks of one frame that may wait: as many fragments of a network's smallest packets as the bound fills, or this. */
const CHUNKS_MIN = 1024
const CHUNK_BYTES_MIN = 512
/** Pongs that may wait for a peer that pings without reading. */
const PONGS_MAX = 16

/** Bytes of a masked control frame beside its payload, which has at most 125. */
const CONTROL_FRAME_BYTES = 6

const CLOSE_NORMAL = 1000
const CLOSE_UNSUPPORTED_DATA = 1003
const CLOSE_POLICY_VIOLATION = 1008
/** A close frame has 123 bytes for its reason. */
const CLOSE_REASON_CHARACTERS = 100

const BINARY_FINAL = 0x82
const MASK_BIT = 0x80
const MASK_KEY_BYTES = 4
const LENGTH_IN_16_BITS = 126
const LENGTH_IN_64_BITS = 127

/** Options of `ws` that bound what a peer may send, for either side. */
export function receiverOptions(messageBytesMax: number) {
  return {
    perMessageDeflate: false, // A bomb before authentication (faults.md X13), and batches are compressed already.
    maxPayload: messageBytesMax,
    maxFragments: FRAGMENTS_MAX,
    maxBufferedChunks: CHUNKS_MIN + Math.ceil(messageBytesMax / CHUNK_BYTES_MIN),
    maxPendingAutoPongs: PONGS_MAX,
  }
}

/** Which end of a connection this is, and what its upgrade told. */
export interface WebSocketSide {
  readonly isClient: boolean
  /** The upgrade was passed on for somebody else. */
  readonly isProxied: boolean
}

export class WebSocketConnection extends SocketConnection {
  readonly transport = 'websocket'
  readonly subprotocol: Subprotocol
  readonly #isProxied: boolean
  readonly #webSocket: WebSocket
  /** Bytes received since the last whole message that no control frame accounts for. */
  #unexplainedBytes = 0

  constructor(
    webSocket: WebSocket,
    socket: Socket,
    side: WebSocketSide,
    clock: Clock,
    limits: ConnectionLimits,
    deadlines: Deadlines,
  ) {
    super(socket, clock, limits, deadlines, side.isClient ? writeMaskedHeader : writePlainHeader)
    this.#webSocket = webSocket
    this.#isProxied = side.isProxied
    this.subprotocol = webSocket.protocol === 'millrace-peer' ? 'millrace-peer' : 'kafka'
    webSocket.on('error', (error) => {
      if (this.state === 'open') this.close(error.message)
    })
    webSocket.on('message', (data: Buffer, isBinary: boolean) => this.#onData(data, isBinary))
    webSocket.on('ping', (data: Buffer) => this.#onControl(data))
    webSocket.on('pong', (data: Buffer) => this.#onControl(data))
    // `ws` listens too, and first: its events for a chunk have come when this is called.
    socket.prependListener('data', (chunk: Buffer) => {
      this.#unexplainedBytes += chunk.length
    })
    socket.on('data', (chunk: Buffer) => this.#onChunk(chunk))
    this.start()
  }

  get isLoopback(): boolean {
    return !this.#isProxied && isLoopbackSocket(this.socket)
  }

  /** `ws` knows the bound that the connection was opened with; a lower one shows at the latest a chunk later. */
  #onChunk(chunk: Uint8Array): void {
    this.onBytes(chunk.length, this.#unexplainedBytes > 0)
    const { messageBytesMax } = this.limits
    if (this.state === 'open' && this.#unexplainedBytes > messageBytesMax + CHUNK_BYTES_MAX)
      this.close(tooLong(messageBytesMax))
  }

  #onData(data: Buffer, isBinary: boolean): void {
    // What follows in the same chunk may begin the next message; the next chunk that completes none will show it.
    this.#unexplainedBytes = 0
    if (this.state !== 'open') return
    if (!isBinary) this.#refuse(CLOSE_UNSUPPORTED_DATA, 'sent a text message: Kafka messages are binary')
    else if (data.length === 0) this.#refuse(CLOSE_POLICY_VIOLATION, 'sent an empty message')
    else if (data.length > this.limits.messageBytesMax) this.close(tooLong(this.limits.messageBytesMax))
    else this.deliver(data)
  }

  #onControl(data: Buffer): void {
    this.#unexplainedBytes = Math.max(0, this.#unexplainedBytes - CONTROL_FRAME_BYTES - data.length)
  }

  #refuse(closeCode: number, reason: string): void {
    this.#webSocket.close(closeCode, reason.slice(0, CLOSE_REASON_CHARACTERS))
    this.close(reason)
  }

  // By way of `ws`, which otherwise resumes the socket by itself once it has worked through a chunk.
  protected stopReading(): void {
    this.#webSocket.pause()
  }

  protected startReading(): void {
    this.#webSocket.resume()
  }

  protected ping(): boolean {
    this.#webSocket.ping()
    return true
  }

  protected sayGoodbye(): void {
    this.#webSocket.close(CLOSE_NORMAL)
  }

  protected abort(reason: string): void {
    const text = reason.replace(/[^\x20-\x7e]/g, '?').slice(0, CLOSE_REASON_CHARACTERS)
    if (this.#webSocket.readyState === this.#webSocket.OPEN)
      this.#webSocket.close(CLOSE_POLICY_VIOLATION, text)
    // The close frame has been given to the system unless the peer takes nothing, and then it would not see it anyway.
    this.socket.destroy()
  }

  protected onStopped(): void {
    this.#unexplainedBytes = 0
  }

  protected onBoundsSet(): void {
    // They are looked at when bytes come.
  }
}

function tooLong(bytesMax: number): string {
  return `sent a message of more than ${bytesMax} bytes`
}

function writePlainHeader(target: Uint8Array, position: number, payloadBytes: number): number {
  return writeFrameHeader(target, position, payloadBytes, 0)
}

/** With the masking key 0, by which the payload stays what it is. */
export function writeMaskedHeader(target: Uint8Array, position: number, payloadBytes: number): number {
  const end = writeFrameHeader(target, position, payloadBytes, MASK_BIT)
  target.fill(0, end, end + MASK_KEY_BYTES)
  return end + MASK_KEY_BYTES
}

function writeFrameHeader(target: Uint8Array, start: number, payloadBytes: number, maskBit: number): number {
  if (!(payloadBytes > 0 && payloadBytes < 2 ** 31))
    broken(`A message has from 1 to 2^31 - 1 bytes: got ${payloadBytes}`)
  let position = start
  target[position++] = BINARY_FINAL
  if (payloadBytes < LENGTH_IN_16_BITS) {
    target[position++] = maskBit | payloadBytes
    return position
  }
  if (payloadBytes < 2 ** 16) {
    target[position++] = maskBit | LENGTH_IN_16_BITS
  } else {
    target[position++] = maskBit | LENGTH_IN_64_BITS
    target.fill(0, position, position + 4) // Lengths stay below 2^31.
    position += 4
    target[position++] = payloadBytes >>> 24
    target[position++] = payloadBytes >>> 16
  }
  target[position++] = payloadBytes >>> 8
  target[position++] = payloadBytes
  return position
}
