/**
 * A connection over TCP: Kafka's length-prefixed messages on a socket.
 */
import type { Socket } from 'node:net'
import type { Clock } from '../clock.ts'
import { LengthPrefixDecoder, writeLengthPrefix } from '../length-prefix.ts'
import type { Deadlines } from './deadlines.ts'
import type { ConnectionLimits } from './socket-connection.ts'
import { isLoopbackSocket, SocketConnection } from './socket-connection.ts'

export class TcpConnection extends SocketConnection {
  readonly transport = 'tcp'
  readonly subprotocol = 'kafka'
  readonly #decoder: LengthPrefixDecoder

  /** @param received - Bytes that were read from the socket before; they are looked at after this turn. */
  constructor(
    socket: Socket,
    clock: Clock,
    limits: ConnectionLimits,
    deadlines: Deadlines,
    received: Uint8Array | null,
  ) {
    super(socket, clock, limits, deadlines, writeLengthPrefix)
    this.#decoder = new LengthPrefixDecoder(limits.messageBytesMax, (message) => this.deliver(message))
    this.start()
    if (received !== null) socket.unshift(received)
    socket.on('data', (chunk: Buffer) => this.#onChunk(chunk))
  }

  get isLoopback(): boolean {
    return isLoopbackSocket(this.socket)
  }

  #onChunk(chunk: Uint8Array): void {
    if (this.state !== 'open') return
    const fault = this.#decoder.push(chunk)
    this.onBytes(chunk.length, this.#decoder.isMidMessage)
    if (fault !== null) this.close(fault)
  }

  protected stopReading(): void {
    this.socket.pause()
  }

  protected startReading(): void {
    this.socket.resume()
  }

  protected ping(): boolean {
    return false
  }

  protected sayGoodbye(): void {
    this.socket.end()
  }

  protected abort(): void {
    this.socket.destroy()
  }

  protected onStopped(): void {
    this.#decoder.stop()
  }

  protected onBoundsSet(): void {
    this.#decoder.messageBytesMax = this.limits.messageBytesMax
  }
}
