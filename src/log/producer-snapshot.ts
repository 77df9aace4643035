/**
 * Producer state on disk: `<offset>.snapshot` holds the state folded from all batches below that offset.
 *
 *   snapshot := version: int16 = 1 | crc: uint32 | count: int32 | entry × count | trailer
 *   trailer  := offset: int64 | owner: uint32 | earlier × count
 *   entry    := producerId: int64 | producerEpoch: int16 | lastSequence: int32 | lastOffset: int64 | offsetDelta: int32
 *               | timestamp: int64 | coordinatorEpoch: int32 | currentTransactionFirstOffset: int64      46 bytes
 *   earlier  := lastWrittenOffset: int64 | count: uint8 | batch × count
 *   batch    := lastSequence: int32 | lastOffset: int64 | offsetDelta: int32 | timestamp: int64           24 bytes, oldest first
 *
 * Big-endian. Up to the last entry these are Kafka's bytes, version 1, which keep a producer's last batch only. The
 * four before it, and the offset that tells who has been silent longest, follow as a trailer in the order of the
 * entries. `offset` is the one in the name and `owner` the CRC-32C of topic id and partition, so that a snapshot that was
 * misplaced or belongs to another log is not taken for this one's (ST-4). Kafka's reader checks the CRC over everything after it and leaves the trailer unread; a file that Kafka
 * wrote has none and gives one batch per producer. So either reads the other's files, and ours restore the exact
 * fold (faults.md P2).
 *
 * The CRC is CRC-32C over all bytes after it. A file that is torn, empty or damaged counts as missing: the state is then
 * folded from an older snapshot, or from the log's start. Written atomically, never changed. Control plane.
 */
import { crc32c } from '../bytes/crc32c.ts'
import { BATCHES_KEPT, ProducerEntry, ProducerState } from './producer-state.ts'

const VERSION = 1
const CRC_POSITION = 2
const CRC_RANGE_START = 6
const ENTRIES_POSITION = 10
const ENTRY_BYTES = 46
const TRAILER_HEADER_BYTES = 12
const EARLIER_HEADER_BYTES = 9
const BATCH_BYTES = 24
/** Least and largest integer of a file that is a safe number. */
const SAFE = (value: bigint): number | null =>
  value >= -1n && value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : null

/** Which snapshot it is. */
export interface SnapshotIdentity {
  readonly topicId: string
  readonly partition: number
  /** The state is that of all batches below. */
  readonly offset: number
}

export function encodeProducerSnapshot(state: ProducerState, identity: SnapshotIdentity): Uint8Array {
  const entries = [...state.entries()]
  const size = entries.reduce(
    (sum, entry) => sum + ENTRY_BYTES + EARLIER_HEADER_BYTES + Math.max(0, entry.count - 1) * BATCH_BYTES,
    ENTRIES_POSITION + TRAILER_HEADER_BYTES,
  )
  const bytes = new Uint8Array(size)
  const view = new DataView(bytes.buffer)
  view.setInt16(0, VERSION)
  view.setInt32(CRC_RANGE_START, entries.length)
  let position = ENTRIES_POSITION
  for (const entry of entries) {
    const last =
      entry.count > 0
        ? entry.batchAt(entry.count - 1)
        : { lastSequence: -1, lastOffset: -1, offsetDelta: 0, timestampMs: -1 }
    view.setBigInt64(position, BigInt(entry.producerId))
    view.setInt16(position + 8, entry.epoch)
    view.setInt32(position + 10, last.lastSequence)
    view.setBigInt64(position + 14, BigInt(last.lastOffset))
    view.setInt32(position + 22, last.offsetDelta)
    view.setBigInt64(position + 26, BigInt(last.timestampMs))
    view.setInt32(position + 34, entry.coordinatorEpoch)
    view.setBigInt64(position + 38, BigInt(entry.transactionFirstOffset))
    position += ENTRY_BYTES
  }
  view.setBigInt64(position, BigInt(identity.offset))
  view.setUint32(position + 8, ownerOf(identity))
  position += TRAILER_HEADER_BYTES
  for (const entry of entries) {
    const earlierCount = Math.max(0, entry.count - 1)
    view.setBigInt64(position, BigInt(entry.lastOffset))
    view.setUint8(position + 8, earlierCount)
    position += EARLIER_HEADER_BYTES
    for (let index = 0; index < earlierCount; index++) {
      const batch = entry.batchAt(index)
      view.setInt32(position, batch.lastSequence)
      view.setBigInt64(position + 4, BigInt(batch.lastOffset))
      view.setInt32(position + 12, batch.offsetDelta)
      view.setBigInt64(position + 16, BigInt(batch.timestampMs))
      position += BATCH_BYTES
    }
  }
  view.setUint32(CRC_POSITION, crc32c(bytes, CRC_RANGE_START))
  return bytes
}

/**
 * @param identity - Which snapshot it must be; null: any, as for a dump.
 * @param nowMs - Monotonic ms from which the producers' expiry counts.
 * @returns Null for bytes that are not exactly a snapshot; never throws, never takes more memory than a few times its input.
 */
export function decodeProducerSnapshot(
  bytes: Uint8Array,
  identity: SnapshotIdentity | null,
  countMax: number,
  nowMs: number,
): ProducerState | null {
  if (bytes.length < ENTRIES_POSITION) return null
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (view.getInt16(0) !== VERSION) return null
  if (view.getUint32(CRC_POSITION) !== crc32c(bytes, CRC_RANGE_START)) return null
  const count = view.getInt32(CRC_RANGE_START)
  const trailerPosition = ENTRIES_POSITION + count * ENTRY_BYTES
  if (count < 0 || trailerPosition > bytes.length) return null
  const hasTrailer = trailerPosition < bytes.length
  const state = new ProducerState(countMax)
  let position = trailerPosition
  if (hasTrailer) {
    if (position + TRAILER_HEADER_BYTES > bytes.length) return null
    if (identity !== null && !isOf(view, position, identity)) return null
    position += TRAILER_HEADER_BYTES
  }
  for (let index = 0; index < count; index++) {
    const at = ENTRIES_POSITION + index * ENTRY_BYTES
    const producerId = SAFE(view.getBigInt64(at))
    const lastOffset = SAFE(view.getBigInt64(at + 14))
    const timestampMs = SAFE(view.getBigInt64(at + 26))
    const transactionFirstOffset = SAFE(view.getBigInt64(at + 38))
    if (producerId === null || lastOffset === null || timestampMs === null || transactionFirstOffset === null)
      return null
    const entry = new ProducerEntry(producerId, view.getInt16(at + 8), nowMs)
    entry.coordinatorEpoch = view.getInt32(at + 34)
    entry.transactionFirstOffset = transactionFirstOffset
    entry.lastOffset = lastOffset
    if (hasTrailer) {
      if (position + EARLIER_HEADER_BYTES > bytes.length) return null
      const lastWrittenOffset = SAFE(view.getBigInt64(position))
      const earlierCount = view.getUint8(position + 8)
      position += EARLIER_HEADER_BYTES
      if (lastWrittenOffset === null || earlierCount >= BATCHES_KEPT) return null
      if (position + earlierCount * BATCH_BYTES > bytes.length) return null
      entry.lastOffset = lastWrittenOffset
      for (let batch = 0; batch < earlierCount; batch++, position += BATCH_BYTES) {
        const batchLastOffset = SAFE(view.getBigInt64(position + 4))
        const batchTimestampMs = SAFE(view.getBigInt64(position + 16))
        if (batchLastOffset === null || batchTimestampMs === null) return null
        entry.push(view.getInt32(position), batchLastOffset, view.getInt32(position + 12), batchTimestampMs)
      }
    }
    const lastSequence = view.getInt32(at + 10)
    if (lastSequence >= 0) entry.push(lastSequence, lastOffset, view.getInt32(at + 22), timestampMs)
    state.restore(entry)
  }
  return !hasTrailer || position === bytes.length ? state : null
}

function ownerOf({ topicId, partition }: SnapshotIdentity): number {
  return crc32c(new TextEncoder().encode(`${topicId}-${partition}`))
}

function isOf(view: DataView, position: number, identity: SnapshotIdentity): boolean {
  return (
    view.getBigInt64(position) === BigInt(identity.offset) &&
    view.getUint32(position + 8) === ownerOf(identity)
  )
}
