/**
 * What a connection over TCP and one over WebSocket have in common: life cycle, sending, and the deadlines that the
 * sweep of `deadlines.ts` asks about. The two transports are subclasses because that is all they differ in: how bytes
 * become messages and the reverse, and how to say goodbye.
 *
 * Life: open -> closing (we said so; what was sent still leaves, nothing is delivered) -> closed (`onClose`).
 */
import type { Socket } from 'node:net'
import type { Clock } from '../clock.ts'
import { nextConnectionId } from '../connection-id.ts'
import type { Connection, ConnectionBounds, Subprotocol, Transport } from '../network.ts'
import type { Deadlines, Watched } from './deadlines.ts'
import type { WriteHeader } from './socket-writer.ts'
import { SocketWriter } from './socket-writer.ts'

/** The bounds of one connection; a dialled one is bounded in time by its user, but for the goodbye. */
export interface ConnectionLimits {
  readonly messageBytesMax: number
  readonly sendHighWaterBytes: number
  readonly idleMs: number
  readonly messageMs: number
  readonly sendStallMs: number
  /** Monotonic time by which the first message must be whole; Infinity for none. */
  readonly firstMessageByMs: number
}

/**
 * Bytes after which a connection is not read until all others that have something to say were. libuv alone would read
 * up to 2 MiB of one socket before it looks at the next; with a hundred floods an honest peer waited for seconds.
 * Resting costs some 3 µs, so 256 KiB keep it below 2 % of what the bytes themselves cost.
 */
const BYTES_BETWEEN_RESTS = 256 * 1024

/** A peer that was told goodbye has this long to take what was sent and to say it too. */
const GOODBYE_MS = 5_000
/** Largest share of `idleMs` that a peer has to answer a ping. */
const PONG_MS_MAX = 15_000

export abstract class SocketConnection implements Connection, Watched {
  readonly id = nextConnectionId()
  abstract readonly transport: Transport
  abstract readonly subprotocol: Subprotocol
  abstract readonly isLoopback: boolean
  readonly remote: string
  onMessage: (message: Uint8Array) => void = () => undefined
  onDrain: () => void = () => undefined
  onClose: (reason: string) => void = () => undefined

  protected readonly socket: Socket
  protected readonly clock: Clock
  protected limits: ConnectionLimits
  protected readonly writer: SocketWriter
  protected state: 'open' | 'closing' | 'closed' = 'open'
  readonly #openedBytesMax: number
  #closeReason: string | null = null
  /** The owner sets its callbacks in the turn it gets the connection; nothing is delivered before that ends. */
  #isStarted = false
  #isPaused = false
  /** Not read for the rest of this turn: see `BYTES_BETWEEN_RESTS`. */
  #isResting = false
  #bytesSinceRest = 0
  #lastReceivedMs: number
  #pingedAtMs: number | null = null
  #messageBegunMs: number | null = null
  #hasHadMessage = false
  #goodbyeByMs = Infinity

  constructor(
    socket: Socket,
    clock: Clock,
    limits: ConnectionLimits,
    deadlines: Deadlines,
    writeHeader: WriteHeader,
  ) {
    this.socket = socket
    this.clock = clock
    this.limits = limits
    this.#openedBytesMax = limits.messageBytesMax
    this.remote = remoteOf(socket)
    this.#lastReceivedMs = clock.monotonicMs()
    const onDrain = () => {
      if (this.state === 'open') this.onDrain()
    }
    this.writer = new SocketWriter(socket, clock, limits.sendHighWaterBytes, writeHeader, onDrain)
    socket.on('error', (error) => {
      this.#closeReason ??= error.message
    })
    socket.once('close', () => {
      deadlines.remove(this)
      this.state = 'closed'
      this.onStopped()
      this.onClose(this.#closeReason ?? 'closed by the peer')
    })
    deadlines.add(this)
  }

  get bufferedBytes(): number {
    return this.state === 'closed' ? 0 : this.writer.bufferedBytes
  }

  send(message: readonly Uint8Array[]): void {
    if (this.state === 'open') this.writer.write(message)
  }

  pause(): void {
    this.#isPaused = true
    this.stopReading()
  }

  resume(): void {
    if (!this.#isPaused) return
    this.#isPaused = false
    // The silence was ours.
    const nowMs = this.clock.monotonicMs()
    this.#lastReceivedMs = nowMs
    if (this.#messageBegunMs !== null) this.#messageBegunMs = nowMs
    if (this.state === 'open' && this.#isStarted && !this.#isResting) this.startReading()
  }

  setBounds({ messageBytesMax, idleMs }: ConnectionBounds): void {
    const bytesMax = Math.min(messageBytesMax ?? this.limits.messageBytesMax, this.#openedBytesMax)
    this.limits = { ...this.limits, messageBytesMax: bytesMax, idleMs: idleMs ?? this.limits.idleMs }
    this.onBoundsSet()
  }

  close(reason?: string): void {
    if (reason !== undefined && this.state !== 'closed') {
      this.#closeReason ??= reason
      this.state = 'closing'
      this.onStopped()
      this.abort(reason)
      return
    }
    if (this.state !== 'open') return
    this.#closeReason = 'closed by this side'
    this.state = 'closing'
    this.onStopped()
    this.#goodbyeByMs = this.clock.monotonicMs() + GOODBYE_MS
    this.writer.afterFlush(() => this.sayGoodbye())
    // Reading on (into nothing) lets the peer's goodbye be seen, and avoids a reset that could overtake our last bytes.
    this.startReading()
  }

  /** Called by the sweep. */
  checkDeadlines(nowMs: number): void {
    const { idleMs, messageMs, sendStallMs, firstMessageByMs } = this.limits
    if (nowMs >= this.#goodbyeByMs) {
      this.socket.destroy()
      return
    }
    if (this.state !== 'open') return
    if (this.writer.isStalled(nowMs, sendStallMs)) {
      this.close(`took nothing of what was sent for ${sendStallMs} ms`)
    } else if (this.#isPaused) {
      return // What the peer says now is not heard, so it cannot be held against it.
    } else if (!this.#hasHadMessage && nowMs >= firstMessageByMs) {
      this.close('sent no whole message in time after connecting')
    } else if (this.#messageBegunMs !== null && nowMs - this.#messageBegunMs >= messageMs) {
      this.close(`began a message that was not whole within ${messageMs} ms`)
    } else if (nowMs - this.#lastReceivedMs >= idleMs) {
      this.#onIdle(nowMs, idleMs)
    }
  }

  #onIdle(nowMs: number, idleMs: number): void {
    if (this.#pingedAtMs === null && this.ping()) {
      this.#pingedAtMs = nowMs
    } else if (nowMs - (this.#pingedAtMs ?? 0) >= Math.min(idleMs, PONG_MS_MAX)) {
      this.close(`was silent for ${idleMs} ms`)
    }
  }

  /** For subclasses, at the end of construction: begins to read after this turn. */
  protected start(): void {
    this.stopReading()
    this.clock.endOfTurn(() => {
      this.#isStarted = true
      if (!this.#isPaused && this.state !== 'closed') this.startReading()
    })
  }

  /** For subclasses: so many bytes arrived; `isMidMessage` after they were looked at. */
  protected onBytes(count: number, isMidMessage: boolean): void {
    this.#bytesSinceRest += count
    if (this.#bytesSinceRest >= BYTES_BETWEEN_RESTS && !this.#isResting && this.state === 'open') this.#rest()
    const nowMs = this.clock.monotonicMs()
    this.#lastReceivedMs = nowMs
    this.#pingedAtMs = null
    if (!isMidMessage) this.#messageBegunMs = null
    else this.#messageBegunMs ??= nowMs
  }

  #rest(): void {
    this.#isResting = true
    this.stopReading()
    this.clock.endOfTurn(() => {
      this.#isResting = false
      this.#bytesSinceRest = 0
      if (this.state === 'open' && !this.#isPaused) this.startReading()
    })
  }

  /** For subclasses: a message is whole. */
  protected deliver(message: Uint8Array): void {
    if (this.state !== 'open') return
    this.#hasHadMessage = true
    this.#messageBegunMs = null
    this.onMessage(message)
  }

  protected abstract stopReading(): void
  protected abstract startReading(): void
  /** Asks the peer for a sign of life; false when the transport knows no such question. */
  protected abstract ping(): boolean
  /** Ends the conversation in good order; everything sent has been given to the socket. */
  protected abstract sayGoodbye(): void
  /** Ends it at once. */
  protected abstract abort(reason: string): void
  /** Nothing may be delivered any more. */
  protected abstract onStopped(): void
  /** `limits` have changed. */
  protected abstract onBoundsSet(): void
}

/** `host:port`, IPv4 addresses in their own form also on a socket that serves both families. */
export function remoteOf(socket: Socket): string {
  const address = addressOf(socket)
  return `${address.includes(':') ? `[${address}]` : address}:${socket.remotePort ?? 0}`
}

export function addressOf(socket: Socket): string {
  return (socket.remoteAddress ?? 'unknown').replace(/^::ffff:(?=\d+\.)/, '')
}

const LOOPBACK = /^(127\.\d+\.\d+\.\d+|::1)$/

/** Whether both ends of the socket have addresses that only this machine can have. */
export function isLoopbackSocket(socket: Socket): boolean {
  const local = (socket.localAddress ?? '').replace(/^::ffff:(?=\d+\.)/, '')
  return LOOPBACK.test(local) && LOOPBACK.test(addressOf(socket))
}
