/**
 * A connection to a NATS server: as much of the protocol as publishing, subscribing and asking need.
 *
 *   client := 'CONNECT' json | 'PING' | 'PONG' | 'SUB' subject id | 'UNSUB' id | 'PUB' subject [ reply ] size CRLF payload
 *   server := 'INFO' json | 'PING' | 'PONG' | '-ERR' text
 *           | 'MSG' subject id [ reply ] size CRLF payload
 *           | 'HMSG' subject id [ reply ] header-size total-size CRLF header payload       each ends with CRLF
 */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

export interface NatsMessage {
  readonly subject: string
  readonly reply: string
  /** Empty unless the message has one. */
  readonly header: string
  /** Borrowed until the handler returns. */
  readonly payload: Buffer
}

type Handler = (message: NatsMessage) => void

const CR = 0x0d
const ASK_MS_MAX = 5000
const HELLO = `CONNECT ${JSON.stringify({ verbose: false, pedantic: false, headers: true, no_responders: true, lang: 'bench', version: '1' })}\r\nPING\r\n`

export class NatsConnection {
  readonly #socket: Socket
  readonly #handlers = new Map<number, Handler>()
  readonly #inbox = `_INBOX.${process.pid}.${Math.random().toString(36).slice(2)}`
  #rest: Buffer = Buffer.alloc(0)
  #subscriptions = 0
  #asked = 0
  /** Told of what ends the connection. */
  onError: (error: Error) => void = () => undefined
  #onPong: () => void = () => undefined

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (chunk) => this.#read(chunk))
    socket.on('error', (error) => this.onError(error))
    socket.on('close', () => this.onError(new Error('Asked NATS: it closed the connection')))
  }

  static async open(port: number): Promise<NatsConnection> {
    const socket = connect(port, '127.0.0.1')
    socket.setNoDelay(true)
    await once(socket, 'connect')
    const connection = new NatsConnection(socket)
    const ready = new Promise<void>((resolve, reject) => {
      connection.#onPong = resolve
      connection.onError = reject
    })
    socket.write(HELLO)
    await ready
    return connection
  }

  /** Sends bytes that `encodePublish` made. */
  write(bytes: Buffer): void {
    this.#socket.write(bytes)
  }

  subscribe(subject: string, handler: Handler): number {
    const id = ++this.#subscriptions
    this.#handlers.set(id, handler)
    this.#socket.write(`SUB ${subject} ${id}\r\n`)
    return id
  }

  unsubscribe(id: number): void {
    this.#handlers.delete(id)
    this.#socket.write(`UNSUB ${id}\r\n`)
  }

  /** Asks JetStream. @throws {Error} For an answer that is an error, or none in time. */
  async ask(api: string, request: unknown): Promise<Record<string, unknown>> {
    const reply = `${this.#inbox}.${this.#asked++}`
    let timer: NodeJS.Timeout | undefined
    const answer = new Promise<string>((resolve, reject) => {
      const id = this.subscribe(reply, ({ payload, header }) => {
        this.unsubscribe(id)
        resolve(payload.length > 0 ? payload.toString() : JSON.stringify({ error: header }))
      })
      this.onError = reject
      timer = setTimeout(
        () => reject(new Error(`Asked NATS ${api}: no answer in ${ASK_MS_MAX} ms`)),
        ASK_MS_MAX,
      )
    })
    this.write(encodePublish(`$JS.API.${api}`, Buffer.from(JSON.stringify(request)), reply))
    try {
      const result = JSON.parse(await answer) as Record<string, unknown>
      if (result['error'] !== undefined)
        throw new Error(`Asked NATS ${api}: ${JSON.stringify(result['error'])}`)
      return result
    } finally {
      clearTimeout(timer)
    }
  }

  close(): void {
    this.onError = () => undefined
    this.#socket.destroy()
  }

  #read(chunk: Buffer): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    let position = 0
    for (;;) {
      const end = bytes.indexOf(CR, position)
      if (end === -1 || end + 2 > bytes.length) break
      const words = bytes.toString('latin1', position, end).split(' ')
      const [verb] = words
      let next = end + 2
      if (verb === 'MSG' || verb === 'HMSG') {
        const size = Number(words.at(-1))
        if (next + size + 2 > bytes.length) break
        const headerSize = verb === 'HMSG' ? Number(words.at(-2)) : 0
        const reply = words.length === (verb === 'HMSG' ? 6 : 5) ? words[3]! : ''
        this.#handlers.get(Number(words[2]))?.({
          subject: words[1]!,
          reply,
          header: headerSize === 0 ? '' : bytes.toString('latin1', next, next + headerSize),
          payload: bytes.subarray(next + headerSize, next + size),
        })
        next += size + 2
      } else if (verb === 'PING') {
        this.#socket.write('PONG\r\n')
      } else if (verb === 'PONG') {
        this.#onPong()
      } else if (verb === '-ERR') {
        this.onError(new Error(`Asked NATS: ${words.join(' ')}`))
      }
      position = next
    }
    this.#rest = bytes.subarray(position)
  }
}

export function encodePublish(subject: string, payload: Buffer, reply = ''): Buffer {
  const head = `PUB ${subject} ${reply === '' ? '' : `${reply} `}${payload.length}\r\n`
  return Buffer.concat([Buffer.from(head), payload, Buffer.from('\r\n')])
}
