/**
 * Kafka's framing on a byte stream: how messages are found in what arrives, in any pieces.
 *
 *   frame := length: int32, big-endian | message: that many bytes
 *
 * Invariants:
 * - A length that is negative, zero or over the bound ends the stream at its fourth byte, before anything is taken
 *   for it (faults.md X1): zero, too, since no message is empty and a flood of nothing costs its sender little.
 * - Memory grows with bytes received, at most to four times them: an announcement alone costs nothing.
 * - A message that lies whole in one chunk is handed over as a view of it, without a copy; one that spans chunks
 *   is copied once into a buffer of its own, and now and then a second time as that grows.
 *
 * Data plane. Pure, so that the simulation runs the same code over its byte streams.
 */
import { assert, broken } from '../base/assert.ts'

export const LENGTH_PREFIX_BYTES = 4

/** A legal first byte stays below 0x40, so that it cannot be taken for the ASCII letter that begins HTTP. */
export const MESSAGE_BYTES_LIMIT = 2 ** 30

/** First buffer for a message that spans chunks, unless more is there already. */
const FIRST_BUFFER_BYTES = 4096
const GROWTH = 4
const EMPTY = new Uint8Array(0)

export class LengthPrefixDecoder {
  /** Bound on the messages that are announced from now on. */
  messageBytesMax: number
  readonly #onMessage: (message: Uint8Array) => void
  /** Bytes of the length seen so far, and their value. */
  #prefixCount = 0
  #prefix = 0
  /** The message under way, once its length is known: `#received` bytes of `#wanted` are in `#buffer`. */
  #wanted = 0
  #received = 0
  #buffer: Uint8Array = EMPTY
  #isStopped = false

  constructor(messageBytesMax: number, onMessage: (message: Uint8Array) => void) {
    assert(
      messageBytesMax < MESSAGE_BYTES_LIMIT,
      `A message bound is below 2^30 bytes: got ${messageBytesMax}`,
    )
    this.messageBytesMax = messageBytesMax
    this.#onMessage = onMessage
  }

  /** Whether a message has begun and is not whole. */
  get isMidMessage(): boolean {
    return this.#prefixCount > 0
  }

  /** Memory held for the message under way, in bytes. */
  get bufferedBytes(): number {
    return this.#buffer.length
  }

  /** Nothing is delivered any more, also not from the chunk that is being looked at. */
  stop(): void {
    this.#isStopped = true
    this.#buffer = EMPTY
  }

  /**
   * Takes the next bytes, which are handed over, and delivers the messages they complete.
   *
   * @returns What is wrong with the stream, after which nothing more may be pushed; null when nothing is.
   */
  push(chunk: Uint8Array): string | null {
    let position = 0
    while (position < chunk.length && !this.#isStopped) {
      if (this.#prefixCount < LENGTH_PREFIX_BYTES) {
        this.#prefix = (this.#prefix << 8) | chunk[position++]!
        this.#prefixCount++
        if (this.#prefixCount < LENGTH_PREFIX_BYTES) continue
        if (this.#prefix <= 0 || this.#prefix > this.messageBytesMax) {
          return `announced a message of ${this.#prefix} bytes: from 1 to ${this.messageBytesMax} are allowed`
        }
        this.#wanted = this.#prefix
        continue
      }
      const takenBytes = Math.min(this.#wanted - this.#received, chunk.length - position)
      const part = chunk.subarray(position, position + takenBytes)
      position += takenBytes
      this.#take(part)
    }
    return null
  }

  #take(part: Uint8Array): void {
    const received = this.#received + part.length
    if (this.#received === 0 && received === this.#wanted) {
      this.#deliver(part)
      return
    }
    if (this.#buffer.length < received) {
      const capacity = Math.min(this.#wanted, Math.max(FIRST_BUFFER_BYTES, received * GROWTH))
      const larger = new Uint8Array(capacity)
      larger.set(this.#buffer.subarray(0, this.#received))
      this.#buffer = larger
    }
    this.#buffer.set(part, this.#received)
    this.#received = received
    if (received === this.#wanted) this.#deliver(this.#buffer)
  }

  #deliver(message: Uint8Array): void {
    this.#prefixCount = 0
    this.#prefix = 0
    this.#received = 0
    this.#wanted = 0
    this.#buffer = EMPTY
    this.#onMessage(message)
  }
}

/** The prefix for a message of that many bytes. */
export function lengthPrefix(messageBytes: number): Uint8Array {
  const prefix = new Uint8Array(LENGTH_PREFIX_BYTES)
  writeLengthPrefix(prefix, 0, messageBytes)
  return prefix
}

/** Writes the prefix at `position`, and returns where it ends. */
export function writeLengthPrefix(target: Uint8Array, position: number, messageBytes: number): number {
  if (!(messageBytes > 0 && messageBytes < 2 ** 31))
    broken(`A message has from 1 to 2^31 - 1 bytes: got ${messageBytes}`)
  target[position] = messageBytes >>> 24
  target[position + 1] = messageBytes >>> 16
  target[position + 2] = messageBytes >>> 8
  target[position + 3] = messageBytes
  return position + LENGTH_PREFIX_BYTES
}
