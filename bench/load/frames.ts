/**
 * Requests of the Kafka protocol, written by hand: for load that the product's client does not make, be it as cheap as
 * possible or hostile. Old versions without compact fields, which are short to write down.
 *
 *   frame   := size: int32 | api key: int16 | version: int16 | correlation id: int32 | client id: string | body
 *   string  := size: int16 | UTF-8        bytes := size: int32 | bytes        all big-endian
 *
 * A record batch (version 2, KIP-98) holds one record; its CRC-32C covers everything from the attributes on.
 */
import { crc32c } from './crc32c.ts'

const PRODUCE = { key: 0, version: 7 }
const FETCH = { key: 1, version: 4 }
const API_VERSIONS = { key: 18, version: 0 }
const CLIENT_ID = 'bench'

/** Where the correlation id stands in a frame. */
export const CORRELATION_ID_POSITION = 8

/** Bytes of a frame before its size counts. */
export const SIZE_BYTES = 4

/** Asks which APIs there are: the smallest request that every broker answers. */
export const apiVersionsFrame = (): Buffer => frame(API_VERSIONS, [])

/** Asks for as many bytes of one partition from its beginning as a fetch may have. */
export function fetchFrame(topic: string, bytesMax: number): Buffer {
  const replica = -1
  const [waitMs, minBytes, isolation] = [0, 1, 0]
  return frame(FETCH, [
    int32(replica, waitMs, minBytes, bytesMax),
    Buffer.of(isolation),
    ...[int32(1), text(topic)],
    ...[int32(1), int32(0), int64(0), int32(bytesMax)],
  ])
}

/** Produces `records`, whatever is in them, with acks all. */
export function produceFrame(topic: string, partition: number, records: Buffer): Buffer {
  const timeoutMs = 30_000
  const noTransaction = int16(-1)
  return frame(PRODUCE, [
    ...[noTransaction, int16(-1), int32(timeoutMs)],
    ...[int32(1), text(topic)],
    ...[int32(1), int32(partition, records.length), records],
  ])
}

/** A batch of one record without a key, from a producer without an id. @param timestampMs - Since the Unix epoch. */
export function oneRecordBatch(value: Buffer, timestampMs: number): Buffer {
  const noKey = varint(-1)
  const noHeaders = varint(0)
  const body = Buffer.concat([
    Buffer.of(0),
    varint(0),
    varint(0),
    noKey,
    varint(value.length),
    value,
    noHeaders,
  ])
  const record = Buffer.concat([varint(body.length), body])
  const [attributes, lastOffsetDelta] = [0, 0]
  const checked = Buffer.concat([
    ...[int16(attributes), int32(lastOffsetDelta), int64(timestampMs), int64(timestampMs)],
    ...[int64(-1), int16(-1), int32(-1)], // producer id, epoch, sequence
    ...[int32(1), record],
  ])
  const [leaderEpoch, magic] = [-1, 2]
  const covered = Buffer.concat([int32(leaderEpoch), Buffer.of(magic), int32(crc32c(checked)), checked])
  return Buffer.concat([int64(0), int32(covered.length), covered])
}

function frame({ key, version }: { key: number; version: number }, body: readonly Buffer[]): Buffer {
  const correlationId = 0
  const content = Buffer.concat([int16(key), int16(version), int32(correlationId), text(CLIENT_ID), ...body])
  return Buffer.concat([int32(content.length), content])
}

function text(value: string): Buffer {
  return Buffer.concat([int16(Buffer.byteLength(value)), Buffer.from(value)])
}

function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeInt16BE(value)
  return bytes
}

function int32(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length)
  for (const [index, value] of values.entries()) bytes.writeInt32BE(value | 0, 4 * index)
  return bytes
}

function int64(value: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigInt64BE(BigInt(value))
  return bytes
}

/** Zig-zag and seven bits a byte, the lowest first. @param value - An int32. */
function varint(value: number): Buffer {
  const bytes: number[] = []
  let rest = ((value << 1) ^ (value >> 31)) >>> 0
  for (; rest > 0x7f; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80)
  return Buffer.from([...bytes, rest])
}
