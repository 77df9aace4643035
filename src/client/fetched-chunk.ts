/**
 * What one fetch brought of one partition: record batches as they came, decoded when the application asks, a part at a
 * time, so that compressed batches do not inflate all at once. Hot path of the consumer.
 *
 * Skipped are: records below the asked offset (a batch comes whole), control batches, and for `read_committed` the
 * batches of aborted transactions. A batch counts as aborted from the first offset that the broker names for its producer
 * up to that producer's abort marker (KIP-98).
 *
 * Invariant: offsets handed out ascend, and are at least the one asked for.
 */
import {
  attributesAt,
  baseOffsetAt,
  BATCH_HEADER_BYTES,
  batchSizeAt,
  isControl,
  isTransactional,
  lastOffsetAt,
  leaderEpochAt,
  LOG_OVERHEAD_BYTES,
  producerIdAt,
} from '../records/batch-header.ts'
import type { CodecSet } from '../records/compression/codec-set.ts'
import { CONTROL_TYPES, readControlRecord } from '../records/control-batch.ts'
import { RecordError } from '../records/record-error.ts'
import { readRecords } from '../records/record-reader.ts'
import type { RecordCursor } from '../records/record-reader.ts'
import { ClientError, toError } from './client-error.ts'
import type { ConsumerRecord } from './consumer-options.ts'
import type { Deserializer } from './serde.ts'

/**
 * Records after which decoding pauses: enough to make the price of a part small, and few enough to be read and forgotten
 * before the collector copies them (measured with Node 20: 10,000 cost a fifth more CPU).
 */
const RECORDS_PER_PART = 2_000

/** Bytes of batches after which decoding pauses, when records are large or inflate. */
const BYTES_PER_PART = 1024 * 1024

export interface AbortedTransaction {
  readonly producerId: number
  readonly firstOffset: number
}

export interface ChunkOptions<K, V> {
  readonly codecs: CodecSet
  readonly checksCrc: boolean
  readonly deserializeKey: Deserializer<K>
  readonly deserializeValue: Deserializer<V>
}

export class FetchedChunk {
  readonly topic: string
  readonly partition: number
  /** Bytes that count against the consumer's bound. */
  readonly size: number
  readonly highWatermark: number
  /** Where the next fetch begins. */
  readonly nextFetchOffset: number
  /** Leader epoch of the last batch; -1 when there is none. */
  readonly lastLeaderEpoch: number
  readonly bytes: Uint8Array
  /** Where the whole batches end. */
  readonly #end: number
  /** Of the batch that is read next or being read. */
  #position = 0
  /** The batch at `#position`, once its reading has begun. */
  #batch: RecordCursor | null = null
  #failure: ClientError | null = null
  /** Records below are skipped; moves up as records are read. */
  #nextOffset: number
  /** Aborted transactions that did not begin yet, by first offset; null when nothing is filtered. */
  readonly #aborted: AbortedTransaction[] | null
  readonly #abortedProducers = new Set<number>()

  /**
   * @param bytes - Batches; a cut one at the end is left out.
   * @param aborted - Of a `read_committed` fetch, else null.
   * @throws {ClientError} `CLIENT_CORRUPT_BATCH` at a size or offset that no batch can have.
   */
  constructor(
    topic: string,
    partition: number,
    bytes: Uint8Array,
    startOffset: number,
    highWatermark: number,
    aborted: readonly AbortedTransaction[] | null,
  ) {
    this.topic = topic
    this.partition = partition
    this.bytes = bytes
    this.size = bytes.length
    this.highWatermark = highWatermark
    this.#nextOffset = startOffset
    this.#aborted = aborted === null ? null : [...aborted].sort((a, b) => a.firstOffset - b.firstOffset)
    let nextFetchOffset = startOffset
    let lastLeaderEpoch = -1
    let position = 0
    while (bytes.length - position >= LOG_OVERHEAD_BYTES) {
      const size = batchSizeAt(bytes, position)
      if (size < BATCH_HEADER_BYTES)
        throw this.#corrupt(`its size is ${size} bytes`, baseOffsetAt(bytes, position))
      if (size > bytes.length - position) break
      const lastOffset = lastOffsetAt(bytes, position)
      if (!Number.isSafeInteger(lastOffset) || lastOffset < baseOffsetAt(bytes, position)) {
        throw this.#corrupt(`its last offset is ${lastOffset}`, baseOffsetAt(bytes, position))
      }
      nextFetchOffset = Math.max(nextFetchOffset, lastOffset + 1)
      lastLeaderEpoch = leaderEpochAt(bytes, position)
      position += size
    }
    this.#end = position
    this.lastLeaderEpoch = lastLeaderEpoch
    this.nextFetchOffset = nextFetchOffset
  }

  get isRead(): boolean {
    return this.#position >= this.#end
  }

  /** Offset behind everything that was read or skipped so far. */
  get nextOffset(): number {
    return this.#nextOffset
  }

  /** Codec that must be loaded before the next batch can be read, or null. */
  findMissingCodec(codecs: CodecSet): ReturnType<CodecSet['findMissing']> {
    return this.isRead || this.#batch !== null
      ? null
      : codecs.findMissing(attributesAt(this.bytes, this.#position))
  }

  /**
   * Reads some records on; fewer than there are, or none where all of a part was skipped.
   *
   * @throws {ClientError} `CLIENT_CORRUPT_BATCH`, `CLIENT_BAD_FORMAT`. What was read before the trouble is returned first;
   *   the calls after that throw, and `nextOffset` is where the trouble begins.
   */
  read<K, V>(options: ChunkOptions<K, V>): ConsumerRecord<K, V>[] {
    if (this.#failure !== null) throw this.#failure
    const records: ConsumerRecord<K, V>[] = []
    const startPosition = this.#position
    try {
      while (this.#position < this.#end && records.length < RECORDS_PER_PART) {
        if (this.#position - startPosition >= BYTES_PER_PART) break
        if (this.#batch === null) {
          if (records.length > 0 && this.findMissingCodec(options.codecs) !== null) break
          this.#openBatch(options)
        }
        if (this.#batch !== null) this.#readBatch(this.#batch, options, records)
      }
    } catch (thrown) {
      this.#failure = this.#readError(toError(thrown))
      if (records.length === 0) throw this.#failure
    }
    return records
  }

  /** Begins to read the next batch, or skips it. */
  #openBatch({ codecs, checksCrc }: Pick<ChunkOptions<unknown, unknown>, 'codecs' | 'checksCrc'>): void {
    const size = batchSizeAt(this.bytes, this.#position)
    const batch = this.bytes.subarray(this.#position, this.#position + size)
    if (this.#isSkipped(batch)) this.#endBatch()
    else this.#batch = readRecords(batch, codecs, { checksCrc })
  }

  #endBatch(): void {
    this.#nextOffset = Math.max(this.#nextOffset, lastOffsetAt(this.bytes, this.#position) + 1)
    this.#position += batchSizeAt(this.bytes, this.#position)
    this.#batch = null
  }

  #readBatch<K, V>(batch: RecordCursor, options: ChunkOptions<K, V>, records: ConsumerRecord<K, V>[]): void {
    const { deserializeKey, deserializeValue } = options
    const { topic, partition } = this
    const firstOffset = this.#nextOffset
    while (batch.next()) {
      const { offset, timestamp, headers } = batch
      if (offset < firstOffset) continue
      let key: K
      let value: V
      try {
        key = deserializeKey(batch.key)
        value = deserializeValue(batch.value)
      } catch (thrown) {
        const message = `Cannot deserialize the record at offset ${offset} of ${topic}-${partition}: ${toError(thrown).message}`
        throw new ClientError('CLIENT_BAD_FORMAT', message, { cause: thrown })
      }
      records.push({ topic, partition, offset, timestamp, key, value, headers })
      this.#nextOffset = offset + 1
      if (records.length >= RECORDS_PER_PART && batch.remaining > 0) return
    }
    this.#endBatch()
  }

  #isSkipped(batch: Uint8Array): boolean {
    const attributes = attributesAt(batch, 0)
    if (this.#aborted === null) return isControl(attributes)
    const lastOffset = lastOffsetAt(batch, 0)
    while (this.#aborted.length > 0 && this.#aborted[0]!.firstOffset <= lastOffset) {
      this.#abortedProducers.add(this.#aborted.shift()!.producerId)
    }
    const producerId = producerIdAt(batch, 0)
    if (isControl(attributes)) {
      if (readControlRecord(batch)?.type === CONTROL_TYPES.ABORT) this.#abortedProducers.delete(producerId)
      return true
    }
    return isTransactional(attributes) && this.#abortedProducers.has(producerId)
  }

  #readError(error: Error): ClientError {
    if (error instanceof ClientError) return error
    const baseOffset = baseOffsetAt(this.bytes, this.#position)
    return this.#corrupt(error.message, baseOffset, error instanceof RecordError ? error : undefined)
  }

  #corrupt(what: string, baseOffset: number, cause?: Error): ClientError {
    return new ClientError(
      'CLIENT_CORRUPT_BATCH',
      `Cannot read the batch at offset ${baseOffset} of ${this.topic}-${this.partition}: ${what}; seek past it, or read it from another replica`,
      cause === undefined ? {} : { cause },
    )
  }
}
