/**
 * The sending half of a connection on a real socket, for both transports: gathers what one turn of the event loop
 * sends, and writes it at the turn's end.
 *
 * - Runs of small pieces are copied together; large ones are written as they are, all under one cork, so that the
 *   kernel gets them in one gathered call. A stream write costs Node about 1 µs and its request object whatever it
 *   carries, a copy of 1 KiB some 50 ns; from about 2 KiB on the copy is the dearer one.
 * - A frame is always given to the socket whole within one synchronous stretch, so control frames that `ws` writes on
 *   its own (pong, close) can only come between frames.
 * - `bufferedBytes` counts what is gathered and what the socket has not handed to the operating system.
 */
import type { Socket } from 'node:net'
import type { Clock } from '../clock.ts'

/** Pieces up to this size are copied together. */
const SMALL_BYTES = 1024
/** A joined run ends here, so that joining never needs a large buffer. */
const JOINED_BYTES_MAX = 16 * 1024

export class SocketWriter {
  readonly #socket: Socket
  readonly #clock: Clock
  readonly #highWaterBytes: number
  readonly #onDrain: () => void
  #gathered: Uint8Array[] = []
  #gatheredBytes = 0
  #isOverHighWater = false
  #endsAfterFlush: (() => void) | null = null
  /** For `isStalled`: what was unsent when it was asked last, and since when that has not changed. */
  #lastUnsentBytes = 0
  #unsentSinceMs = 0

  constructor(socket: Socket, clock: Clock, highWaterBytes: number, onDrain: () => void) {
    this.#socket = socket
    this.#clock = clock
    this.#highWaterBytes = highWaterBytes
    this.#onDrain = onDrain
  }

  get bufferedBytes(): number {
    return this.#gatheredBytes + this.#socket.writableLength
  }

  /** Queues the pieces of a whole frame. */
  write(header: Uint8Array, pieces: readonly Uint8Array[]): void {
    if (this.#gathered.length === 0) this.#clock.endOfTurn(() => this.flush())
    this.#gathered.push(header)
    this.#gatheredBytes += header.length
    for (const piece of pieces) {
      if (piece.length === 0) continue
      this.#gathered.push(piece)
      this.#gatheredBytes += piece.length
    }
    if (this.bufferedBytes > this.#highWaterBytes) this.#isOverHighWater = true
  }

  flush(): void {
    const gathered = this.#gathered
    if (gathered.length === 0) return
    this.#gathered = []
    this.#gatheredBytes = 0
    if (!this.#socket.destroyed) this.#writeAll(gathered)
    this.#endsAfterFlush?.()
  }

  /** Runs `end` once everything sent so far has been given to the socket. */
  afterFlush(end: () => void): void {
    if (this.#gathered.length === 0) end()
    else this.#endsAfterFlush = end
  }

  /**
   * Whether the peer has taken nothing for `stallMs` of what waits for it. Progress within one large write shows
   * only in libuv's queue, which is also what Node's own socket timeouts look at.
   */
  isStalled(nowMs: number, stallMs: number): boolean {
    const unsent = this.#socket.writableLength + queuedInSystem(this.#socket)
    if (unsent !== this.#lastUnsentBytes || this.#socket.writableLength === 0) {
      this.#lastUnsentBytes = unsent
      this.#unsentSinceMs = nowMs
    }
    return nowMs - this.#unsentSinceMs >= stallMs
  }

  #writeAll(pieces: readonly Uint8Array[]): void {
    const socket = this.#socket
    socket.cork()
    let index = 0
    while (index < pieces.length) {
      const end = smallRunEnd(pieces, index)
      const joined = end - index > 1 ? Buffer.concat(pieces.slice(index, end)) : pieces[index]!
      index = Math.max(end, index + 1)
      if (index < pieces.length) socket.write(joined)
      else socket.write(joined, this.#onWritten)
    }
    socket.uncork()
  }

  readonly #onWritten = (): void => {
    if (!this.#isOverHighWater || this.bufferedBytes > this.#highWaterBytes / 4) return
    this.#isOverHighWater = false
    this.#onDrain()
  }
}

/** What libuv holds of the write under way; 0 where it does not tell. */
function queuedInSystem(socket: Socket): number {
  const handle = (socket as { _handle?: { writeQueueSize?: number } | null })._handle
  return handle?.writeQueueSize ?? 0
}

/** The end of the run of small pieces from `start`; `start` itself when that piece is not small. */
function smallRunEnd(pieces: readonly Uint8Array[], start: number): number {
  let bytes = 0
  let index = start
  while (index < pieces.length) {
    const { length } = pieces[index]!
    if (length > SMALL_BYTES || bytes + length > JOINED_BYTES_MAX) break
    bytes += length
    index++
  }
  return index
}
