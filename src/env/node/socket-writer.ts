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
/** Small pieces are copied into blocks of this size; what is left of one serves the next turn. */
const BLOCK_BYTES = 16 * 1024
/** The longest frame header: a masked WebSocket frame with a 64-bit length. */
export const HEADER_BYTES_MAX = 14

/** Writes the header of a frame at `position` of `target`, where there is room, and returns where it ends. */
export type WriteHeader = (target: Uint8Array, position: number, messageBytes: number) => number

const EMPTY = new Uint8Array(0)

export class SocketWriter {
  readonly #socket: Socket
  readonly #clock: Clock
  readonly #highWaterBytes: number
  readonly #onDrain: () => void
  readonly #writeHeader: WriteHeader
  #gathered: Uint8Array[] = []
  /** Small pieces that are not in `#gathered` yet lie in `[#blockStart, #blockEnd)` of the block. */
  #block = EMPTY
  #blockStart = 0
  #blockEnd = 0
  #gatheredBytes = 0
  #isOverHighWater = false
  #endsAfterFlush: (() => void) | null = null
  /** For `isStalled`: what was unsent when it was asked last, and since when that has not changed. */
  #lastUnsentBytes = 0
  #unsentSinceMs = 0

  constructor(
    socket: Socket,
    clock: Clock,
    highWaterBytes: number,
    writeHeader: WriteHeader,
    onDrain: () => void,
  ) {
    this.#socket = socket
    this.#clock = clock
    this.#highWaterBytes = highWaterBytes
    this.#writeHeader = writeHeader
    this.#onDrain = onDrain
  }

  get bufferedBytes(): number {
    return this.#gatheredBytes + this.#socket.writableLength
  }

  /** Queues a message as one frame. */
  write(message: readonly Uint8Array[]): void {
    if (this.#gatheredBytes === 0) this.#clock.endOfTurn(() => this.flush())
    let messageBytes = 0
    for (const piece of message) messageBytes += piece.length
    this.#makeRoom(HEADER_BYTES_MAX)
    const headerStart = this.#blockEnd
    this.#blockEnd = this.#writeHeader(this.#block, headerStart, messageBytes)
    this.#gatheredBytes += messageBytes + this.#blockEnd - headerStart
    for (const piece of message) {
      if (piece.length > SMALL_BYTES) {
        this.#closeRun()
        this.#gathered.push(piece)
        continue
      }
      this.#makeRoom(piece.length)
      this.#block.set(piece, this.#blockEnd)
      this.#blockEnd += piece.length
    }
    if (this.bufferedBytes > this.#highWaterBytes) this.#isOverHighWater = true
  }

  flush(): void {
    if (this.#gatheredBytes === 0) return
    this.#closeRun()
    const gathered = this.#gathered
    this.#gathered = []
    this.#gatheredBytes = 0
    if (!this.#socket.destroyed) this.#writeAll(gathered)
    this.#endsAfterFlush?.()
  }

  /** Runs `end` once everything sent so far has been given to the socket. */
  afterFlush(end: () => void): void {
    if (this.#gatheredBytes === 0) end()
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

  /** Bytes already in a block are never written over: an earlier turn's may still be on their way. */
  #makeRoom(bytes: number): void {
    if (this.#blockEnd + bytes <= this.#block.length) return
    this.#closeRun()
    this.#block = new Uint8Array(BLOCK_BYTES)
    this.#blockStart = 0
    this.#blockEnd = 0
  }

  /** What was copied together so far becomes a piece of its own. */
  #closeRun(): void {
    if (this.#blockEnd === this.#blockStart) return
    this.#gathered.push(this.#block.subarray(this.#blockStart, this.#blockEnd))
    this.#blockStart = this.#blockEnd
  }

  #writeAll(pieces: readonly Uint8Array[]): void {
    const socket = this.#socket
    const last = pieces.length - 1
    socket.cork()
    for (let index = 0; index < last; index++) socket.write(pieces[index]!)
    socket.write(pieces[last]!, this.#onWritten)
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
