/**
 * kafkajs over WebSocket: a socket for its `socketFactory` that looks like TCP to it and speaks one Kafka frame per binary
 * message to the broker. The length in front of each frame is taken off on the way out and put back on the way in.
 */
import { Duplex } from 'node:stream'
import type { Socket } from 'node:net'
import type { ISocketFactory } from 'kafkajs'
import { WebSocket } from 'ws'

const LENGTH_BYTES = 4

class WebSocketStream extends Duplex {
  readonly #webSocket: WebSocket
  #rest: Buffer = Buffer.alloc(0)

  constructor(url: string, onConnect: () => void) {
    super()
    this.#webSocket = new WebSocket(url, 'kafka', { perMessageDeflate: false })
    this.#webSocket.on('open', onConnect)
    this.#webSocket.on('error', (error) => this.destroy(error))
    this.#webSocket.on('close', () => this.push(null))
    this.#webSocket.on('message', (message: Buffer) => {
      const length = Buffer.alloc(LENGTH_BYTES)
      length.writeInt32BE(message.length)
      this.push(Buffer.concat([length, message]))
    })
  }

  override _read(): void {
    // Messages are pushed as they come; kafkajs reads at once and without bounds.
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.#rest = Buffer.concat([this.#rest, chunk])
    while (this.#rest.length >= LENGTH_BYTES) {
      const end = LENGTH_BYTES + this.#rest.readInt32BE(0)
      if (this.#rest.length < end) break
      this.#webSocket.send(this.#rest.subarray(LENGTH_BYTES, end))
      this.#rest = this.#rest.subarray(end)
    }
    done()
  }

  override _final(done: () => void): void {
    this.#webSocket.close()
    done()
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#webSocket.terminate()
    done(error)
  }

  /** kafkajs lets go of a socket that it has ended; so does the loop, once it is closed. */
  unref(): this {
    return this
  }
}

/** kafkajs asks a socket for what a duplex stream has, and no more. */
export const webSocketFactory: ISocketFactory = ({ host, port, onConnect }) =>
  new WebSocketStream(`ws://${host}:${port}`, onConnect) as unknown as Socket

/**
 * One URL for every broker. Brokers must name addresses of their own all the same: kafkajs takes those with one address for one
 * broker, sends it what one of them leads, and says that the rest was sent, too.
 */
export function webSocketFactoryTo(url: string): ISocketFactory {
  return ({ onConnect }) => new WebSocketStream(url, onConnect) as unknown as Socket
}
