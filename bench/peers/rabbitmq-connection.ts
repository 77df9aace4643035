/**
 * A connection to a server of RabbitMQ that speaks its stream protocol: it introduces itself, asks, and hands on what comes
 * unasked. One publisher and one subscription at a time are enough here; both have the number 1.
 *
 * Invariant: whatever ends the connection rejects what waits for an answer, and is told to `onError`.
 */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import {
  ANSWER_BIT,
  CODE_OK,
  encodeFrame,
  FieldReader,
  FrameReader,
  KEY,
  malformed,
  map,
  string,
  uint16,
  uint32,
  uint8,
  type Frame,
} from './rabbitmq-frames.ts'

export const PUBLISHER = 1
const SUBSCRIPTION = 1
/** Both of a new installation's only user, who may come from the loopback. */
const USER = 'guest'
const VIRTUAL_HOST = '/'
const ASK_MS_MAX = 20_000
/** Chunks that the server may send ahead of what was read. */
const CREDITS = 20
/** Read from the socket at once, at most. */
const READ_BYTES = 2 ** 18
/** Of a replica's or leader's server in an answer: there is none. */
const NO_SERVER = 0xffff

/** Where to begin: types of the protocol's offset specification. */
export const FROM = { first: 1, last: 2 } as const

interface Waiting {
  readonly resolve: (body: Buffer) => void
  readonly reject: (error: Error) => void
}

export interface Topology {
  /** Null while there is none. */
  readonly leaderPort: number | null
  /** Leader included. */
  readonly replicas: number
}

export class RabbitConnection {
  readonly #socket: Socket
  readonly #frames = new FrameReader()
  readonly #waiting = new Map<number, Waiting>()
  #askCount = 0
  #end: Error | null = null
  /** Told of what ends the connection, and of publishes that were refused. */
  onError: (error: Error) => void = () => undefined
  /** Given the body of every confirmation. */
  onConfirm: (body: Buffer) => void = () => undefined
  #onDelivery: (body: Buffer) => void = () => undefined
  #onTune: () => void = () => undefined

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('error', (error) => this.#fail(error))
    socket.on('close', () => this.#fail(new Error('Asked RabbitMQ: it closed the connection')))
  }

  static async open(port: number): Promise<RabbitConnection> {
    let connection: RabbitConnection | null = null
    // All is read into one buffer, so that reading a gigabyte does not allocate one.
    const callback = (count: number, buffer: Uint8Array): boolean => {
      if (connection !== null) connection.#read(Buffer.from(buffer.buffer, buffer.byteOffset, count))
      return true
    }
    const onread = { buffer: Buffer.allocUnsafe(READ_BYTES), callback }
    const socket = connect({ port, host: '127.0.0.1', noDelay: true, onread })
    await once(socket, 'connect')
    connection = new RabbitConnection(socket)
    try {
      await connection.#introduce()
    } catch (error) {
      connection.close()
      throw error
    }
    return connection
  }

  /** Sends frames that were encoded before. */
  write(bytes: Uint8Array): void {
    this.#socket.write(bytes)
  }

  async create(stream: string, settings: Readonly<Record<string, string>>): Promise<void> {
    await this.#ask(KEY.create, string(stream), map(settings))
  }

  async delete(stream: string): Promise<void> {
    await this.#ask(KEY.delete, string(stream))
  }

  /** Who holds the stream. */
  async findTopology(stream: string): Promise<Topology> {
    // The one answer without a code of its own: each stream in it has one.
    const fields = new FieldReader(await this.#ask(KEY.metadata, uint32(1), string(stream)))
    const ports = new Map<number, number>()
    for (let count = fields.uint32(); count > 0; count--) {
      const reference = fields.uint16()
      fields.string()
      ports.set(reference, fields.uint32())
    }
    if (fields.uint32() !== 1 || fields.string() !== stream) throw malformed('an answer about another stream')
    if (fields.uint16() !== CODE_OK) return { leaderPort: null, replicas: 0 }
    const leader = fields.uint16()
    const followers = fields.uint32()
    const leaderPort = leader === NO_SERVER ? null : (ports.get(leader) ?? null)
    return { leaderPort, replicas: followers + (leaderPort === null ? 0 : 1) }
  }

  /** Without a name for it, so that the server keeps no record of ids to tell duplicates by. */
  async declarePublisher(stream: string): Promise<void> {
    await this.#ask(KEY.declarePublisher, uint8(PUBLISHER), string(''), string(stream))
  }

  /** @param onDelivery - Given the body of every delivery; each pays for another chunk. */
  async subscribe(stream: string, from: number, onDelivery: (body: Buffer) => void): Promise<void> {
    const credit = encodeFrame(KEY.credit, uint8(SUBSCRIPTION), uint16(1))
    this.#onDelivery = (body) => {
      this.#socket.write(credit)
      onDelivery(body)
    }
    await this.#ask(
      KEY.subscribe,
      uint8(SUBSCRIPTION),
      string(stream),
      uint16(from),
      uint16(CREDITS),
      map({}),
    )
  }

  /** What was under way is ignored. */
  async unsubscribe(): Promise<void> {
    this.#onDelivery = () => undefined
    await this.#ask(KEY.unsubscribe, uint8(SUBSCRIPTION))
  }

  close(): void {
    this.onError = () => undefined
    this.#socket.destroy()
  }

  async #introduce(): Promise<void> {
    const tuned = new Promise<void>((resolve, reject) => {
      this.#onTune = resolve
      this.onError = reject
    })
    tuned.catch(() => undefined) // an answer that fails first is the one that tells
    await this.#ask(KEY.peerProperties, map({ product: 'bench' }))
    await this.#ask(KEY.saslHandshake)
    const secret = Buffer.from(`\0${USER}\0${USER}`)
    await this.#ask(KEY.saslAuthenticate, string('PLAIN'), uint32(secret.length), secret)
    await tuned
    await this.#ask(KEY.open, string(VIRTUAL_HOST))
    this.onError = () => undefined
  }

  /** @throws {Error} For an answer that is an error, or none in time. @returns What follows its code. */
  async #ask(key: number, ...parts: readonly Uint8Array[]): Promise<Buffer> {
    if (this.#end !== null) throw this.#end
    const correlation = ++this.#askCount
    let timer: NodeJS.Timeout | undefined
    const answer = new Promise<Buffer>((resolve, reject) => {
      this.#waiting.set(correlation, { resolve, reject })
      timer = setTimeout(
        () => reject(new Error(`Asked RabbitMQ with key ${key}: no answer in ${ASK_MS_MAX} ms`)),
        ASK_MS_MAX,
      )
    })
    this.#socket.write(encodeFrame(key, uint32(correlation), ...parts))
    try {
      const body = await answer
      if (key === KEY.metadata) return body
      const code = new FieldReader(body).uint16()
      if (code !== CODE_OK) throw new Error(`Asked RabbitMQ with key ${key}: it answered with code ${code}`)
      return body.subarray(2)
    } finally {
      clearTimeout(timer)
      this.#waiting.delete(correlation)
    }
  }

  #read(piece: Buffer): void {
    try {
      this.#frames.read(piece, (frame) => this.#take(frame))
    } catch (error) {
      this.#fail(error as Error)
    }
  }

  #take({ key, isAnswer, body }: Frame): void {
    if (key === KEY.deliver) this.#onDelivery(body)
    else if (key === KEY.confirm) this.onConfirm(body)
    else if (key === KEY.tune) this.#tune(body)
    else if (key === KEY.publishError)
      this.onError(new Error(`Wrote to RabbitMQ: it refused ${body.toString('hex')}`)) // prettier-ignore
    else if (key === KEY.close)
      this.#fail(new Error(`Asked RabbitMQ: it closes with ${body.toString('latin1')}`)) // prettier-ignore
    else if (key === KEY.credit)
      return // an answer only if the subscription had ended
    else if (isAnswer) {
      // Copied, since the caller looks at it in a later turn.
      this.#waiting.get(new FieldReader(body).uint32())?.resolve(Buffer.from(body.subarray(4)))
    }
  }

  /** The server's size of frames is accepted, its heartbeat is not: who waits here has a time limit of its own. */
  #tune(body: Buffer): void {
    const frameBytesMax = new FieldReader(body).uint32()
    this.#socket.write(encodeFrame(KEY.tune | ANSWER_BIT, uint32(frameBytesMax), uint32(0)))
    this.#onTune()
  }

  #fail(error: Error): void {
    this.#end ??= error
    for (const { reject } of this.#waiting.values()) reject(error)
    this.#waiting.clear()
    this.#socket.destroy()
    this.onError(error)
  }
}
