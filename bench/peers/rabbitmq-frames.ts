/**
 * RabbitMQ's stream protocol, as much of it as writing and reading one stream needs. All numbers are big-endian.
 *
 *   frame   := size: uint32 | key: uint16 | version: uint16 | body             size counts what follows it
 *   asked   := frame whose body begins with correlation: uint32; its answer has the key's highest bit set, and its body
 *              begins with correlation: uint32 | code: uint16
 *   string  := size: int16 | UTF-8 bytes          map := count: int32 | { string string }
 *   publish := publisher: uint8 | count: int32 | { id: uint64 | entry }
 *   confirm := publisher: uint8 | count: int32 | { id: uint64 }
 *   deliver := subscription: uint8 | chunk
 *   chunk   := magic and version: uint8 (0x50) | type: uint8 | entries: uint16 | records: uint32 | timestamp: int64
 *              | epoch: uint64 | first offset: uint64 | CRC: uint32 | data size: uint32 | trailer size: uint32
 *              | reserved: uint32 | data, which is entries | trailer
 *   entry   := record
 *            | 0x80: uint8 | records: uint16 | size before compression: uint32 | size: uint32 | { record }   "sub-entry"
 *   record  := size: uint32, highest bit zero | bytes
 *
 * Invariant: what arrives is checked against its bounds before it is believed; whatever breaks them is a thrown error.
 *
 * @see https://github.com/rabbitmq/rabbitmq-server, deps/rabbitmq_stream/docs/PROTOCOL.adoc
 */

export const KEY = {
  declarePublisher: 0x01,
  publish: 0x02,
  confirm: 0x03,
  publishError: 0x04,
  subscribe: 0x07,
  deliver: 0x08,
  credit: 0x09,
  unsubscribe: 0x0c,
  create: 0x0d,
  delete: 0x0e,
  metadata: 0x0f,
  peerProperties: 0x11,
  saslHandshake: 0x12,
  saslAuthenticate: 0x13,
  tune: 0x14,
  open: 0x15,
  close: 0x16,
} as const

/** Set in the key of a frame that answers another. */
export const ANSWER_BIT = 0x8000
/** The only code that is no error. */
export const CODE_OK = 1

const VERSION = 1
const SIZE_BYTES = 4
const HEADER_BYTES = 4
/** A chunk is what the server took in at once: no more than its clients had unconfirmed, less than a fifth of this here. */
const FRAME_BYTES_MAX = 64 * 2 ** 20
/** Where frames are put together begins with this size, and grows. */
const HELD_BYTES_MIN = 2 ** 16
const CHUNK_HEADER_BYTES = 48
const CHUNK_MAGIC = 0x50
const USER_CHUNK = 0
const SUB_ENTRY_BIT = 0x80
/** Of the first byte of a sub-entry: how its records are compressed; 0: they are not. */
const COMPRESSION_BITS = 0x70
const SUB_ENTRY_HEADER_BYTES = 11
const ID_BYTES = 8

export interface Frame {
  /** Without the bit of an answer. */
  readonly key: number
  readonly isAnswer: boolean
  /** Borrowed until the handler returns. */
  readonly body: Buffer
}

export function encodeFrame(key: number, ...parts: readonly Uint8Array[]): Buffer {
  const size = parts.reduce((sum, part) => sum + part.length, HEADER_BYTES)
  const head = Buffer.alloc(SIZE_BYTES + HEADER_BYTES)
  head.writeUInt32BE(size, 0)
  head.writeUInt16BE(key, SIZE_BYTES)
  head.writeUInt16BE(VERSION, SIZE_BYTES + 2)
  return Buffer.concat([head, ...parts])
}

export const uint8 = (value: number): Buffer => Buffer.of(value)

export function uint16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16BE(value)
  return bytes
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

export function string(text: string): Buffer {
  const bytes = Buffer.from(text)
  return Buffer.concat([uint16(bytes.length), bytes])
}

export const map = (entries: Readonly<Record<string, string>>): Buffer =>
  Buffer.concat([
    uint32(Object.keys(entries).length),
    ...Object.entries(entries).flatMap(([key, value]) => [string(key), string(value)]),
  ])

const record = (value: Uint8Array): Buffer => Buffer.concat([uint32(value.length), value])

/** What is published and confirmed as one: a record, or a sub-entry of several. */
export function encodeEntry(values: readonly Uint8Array[], isSubEntry: boolean): Buffer {
  const records = Buffer.concat(values.map(record))
  if (!isSubEntry) return records
  return Buffer.concat([
    uint8(SUB_ENTRY_BIT),
    uint16(values.length),
    uint32(records.length),
    uint32(records.length),
    records,
  ])
}

/** @param entries - Ids are whole numbers below 2^32; without a publisher's name they need not differ. */
export function encodePublish(
  publisher: number,
  entries: readonly { readonly id: number; readonly entry: Uint8Array }[],
): Buffer {
  const parts = entries.flatMap(({ id, entry }) => [uint32(0), uint32(id), entry])
  return encodeFrame(KEY.publish, uint8(publisher), uint32(entries.length), ...parts)
}

/** Calls `onId` for every id of a confirmation. */
export function readConfirm(body: Buffer, onId: (id: number) => void): void {
  const ids = body.subarray(1 + 4)
  const count = body.length < 1 + 4 ? -1 : body.readUInt32BE(1)
  if (ids.length !== count * ID_BYTES) throw malformed(`${count} confirmed ids in ${ids.length} bytes`)
  for (let at = 0; at < ids.length; at += ID_BYTES) onId(ids.readUInt32BE(at + 4))
}

export interface Chunk {
  readonly firstOffset: number
  readonly records: number
}

/**
 * Calls `onValue` for every record of a delivered chunk, in order.
 *
 * @param onValue - Its bytes are borrowed until it returns.
 */
export function readDelivery(body: Buffer, onValue: (value: Buffer) => void): Chunk {
  const chunk = body.subarray(1)
  if (chunk.length < CHUNK_HEADER_BYTES) throw malformed(`a chunk of ${chunk.length} bytes`)
  if (chunk[0] !== CHUNK_MAGIC)
    throw malformed(`a chunk that begins with ${chunk[0]!}, wanted ${CHUNK_MAGIC}`)
  const entries = chunk.readUInt16BE(2)
  const records = chunk.readUInt32BE(4)
  const firstOffset = Number(chunk.readBigUInt64BE(24))
  const dataEnd = CHUNK_HEADER_BYTES + chunk.readUInt32BE(36)
  if (dataEnd > chunk.length) throw malformed(`a chunk that ends at ${dataEnd} of ${chunk.length} bytes`)
  if (chunk[1] !== USER_CHUNK) return { firstOffset, records: 0 } // what the server keeps for itself
  let position = CHUNK_HEADER_BYTES
  let found = 0
  for (let entry = 0; entry < entries; entry++) {
    requireBytes(position, 1, dataEnd)
    const isSubEntry = (chunk[position]! & SUB_ENTRY_BIT) !== 0
    let count = 1
    let end = dataEnd
    if (isSubEntry) {
      requireBytes(position, SUB_ENTRY_HEADER_BYTES, dataEnd)
      if ((chunk[position]! & COMPRESSION_BITS) !== 0) throw malformed('a compressed sub-entry')
      count = chunk.readUInt16BE(position + 1)
      const size = chunk.readUInt32BE(position + 7)
      position += SUB_ENTRY_HEADER_BYTES
      requireBytes(position, size, dataEnd)
      end = position + size
    }
    for (let index = 0; index < count; index++) {
      requireBytes(position, 4, end)
      const size = chunk.readUInt32BE(position)
      position += 4
      requireBytes(position, size, end)
      onValue(chunk.subarray(position, position + size))
      position += size
    }
    if (isSubEntry && position !== end) throw malformed(`a sub-entry with ${end - position} bytes too many`)
    found += count
  }
  if (found !== records || position !== dataEnd) {
    throw malformed(`a chunk of ${found} records that end at ${position}, wanted ${records} and ${dataEnd}`)
  }
  return { firstOffset, records }
}

function requireBytes(position: number, count: number, end: number): void {
  if (position + count > end) throw malformed(`${count} bytes at ${position}, where ${end} is the end`)
}

export const malformed = (what: string): Error =>
  new Error(`Read a frame of RabbitMQ's stream protocol: ${what}`)

/** Reads the fields of an answer one after the other. @throws {Error} Past the end. */
export class FieldReader {
  readonly #bytes: Buffer
  #position = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  uint16(): number {
    return this.#bytes.readUInt16BE(this.#take(2))
  }

  uint32(): number {
    return this.#bytes.readUInt32BE(this.#take(4))
  }

  string(): string {
    const size = this.uint16()
    const start = this.#take(size)
    return this.#bytes.toString('utf8', start, start + size)
  }

  #take(count: number): number {
    requireBytes(this.#position, count, this.#bytes.length)
    const start = this.#position
    this.#position += count
    return start
  }
}

/**
 * Cuts what a socket gives into frames. Those that lie whole in a piece are looked at where they are; the others are put
 * together in one buffer that is used again and again: memory that is new each time costs more than reading it.
 */
export class FrameReader {
  #held: Buffer = Buffer.allocUnsafe(HELD_BYTES_MIN)
  #heldSize = 0

  /**
   * @param piece - Borrowed until this returns.
   * @throws {Error} For a frame that is too large, or too small to have a header.
   */
  read(piece: Buffer, onFrame: (frame: Frame) => void): void {
    let rest = piece
    while (rest.length > 0) {
      if (this.#heldSize === 0) {
        const size = rest.length < SIZE_BYTES ? Infinity : frameSize(rest)
        if (rest.length >= size) {
          onFrame(toFrame(rest.subarray(0, size)))
          rest = rest.subarray(size)
          continue
        }
      }
      rest = this.#hold(rest, SIZE_BYTES)
      if (this.#heldSize < SIZE_BYTES) return
      const size = frameSize(this.#held)
      rest = this.#hold(rest, size)
      if (this.#heldSize < size) return
      this.#heldSize = 0
      onFrame(toFrame(this.#held.subarray(0, size)))
    }
  }

  /** Takes bytes until `wanted` are held. @returns Those that were not needed. */
  #hold(bytes: Buffer, wanted: number): Buffer {
    if (this.#held.length < wanted) {
      const larger = Buffer.allocUnsafe(2 ** Math.ceil(Math.log2(wanted)))
      this.#held.copy(larger, 0, 0, this.#heldSize)
      this.#held = larger
    }
    const count = Math.max(0, Math.min(bytes.length, wanted - this.#heldSize))
    bytes.copy(this.#held, this.#heldSize, 0, count)
    this.#heldSize += count
    return bytes.subarray(count)
  }
}

/** Of the frame that begins here, all of it. */
function frameSize(bytes: Buffer): number {
  const size = bytes.readUInt32BE(0)
  if (size < HEADER_BYTES || size > FRAME_BYTES_MAX) {
    throw malformed(`its size is ${size}, wanted ${HEADER_BYTES} to ${FRAME_BYTES_MAX}`)
  }
  return SIZE_BYTES + size
}

function toFrame(bytes: Buffer): Frame {
  const key = bytes.readUInt16BE(SIZE_BYTES)
  const body = bytes.subarray(SIZE_BYTES + HEADER_BYTES)
  return { key: key & ~ANSWER_BIT, isAnswer: (key & ANSWER_BIT) !== 0, body }
}
