/** What a consumer is given and gives back, and its options with their defaults. */
import type { RecordHeader } from '../records/batch-builder.ts'
import { ClientError } from './client-error.ts'
import { wholeNumber } from './client-options.ts'
import type { Deserializer } from './serde.ts'
import { bytes } from './serde.ts'

/** Where to read from: an offset, the first record at or after a time (in ms since the Unix epoch), or an end of the log. */
export type StartPosition = 'beginning' | 'end' | number | { readonly timestamp: number }

export interface TopicPartition {
  readonly topic: string
  readonly partition: number
}

export interface Assignment extends TopicPartition {
  /** Default: the consumer's `from`. */
  readonly from?: StartPosition
}

/**
 * A record as read. Byte strings are views of the fetched bytes: they stay valid, but keep up to some megabytes alive; copy
 * with `slice()` what is to be kept long. Offsets and timestamps are numbers, proven to be safe integers when decoded.
 */
export interface ConsumerRecord<K = Uint8Array | null, V = Uint8Array | null> {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  /** In ms since the Unix epoch; -1 for none. */
  readonly timestamp: number
  readonly key: K
  readonly value: V
  /** In the order of the producer; a key may come more than once. */
  readonly headers: readonly RecordHeader[]
}

/** Records of one partition, by ascending offset, at least one. */
export interface ConsumerBatch<K = Uint8Array | null, V = Uint8Array | null> {
  readonly topic: string
  readonly partition: number
  readonly records: readonly ConsumerRecord<K, V>[]
  /** Where to read on: above the last record, and above markers and removed records behind it. */
  readonly nextOffset: number
  /**
   * End of what was known to be committed when the batch was fetched; minus `nextOffset` it is how far the consumer is behind.
   * Never falls, unless the log was cut.
   */
  readonly highWatermark: number
}

export interface ConsumerOptions<K = Uint8Array | null, V = Uint8Array | null> {
  /** Reads all partitions of these topics, also those added later (from their beginning). Or use `assign`. */
  readonly topics?: readonly string[]
  /** Where partitions begin that say nothing else. Default 'end'. */
  readonly from?: StartPosition
  /** Ends the loop once every partition has been read to where it ended when the consumer first saw it. Default false. */
  readonly untilEnd?: boolean
  /** What to do when the position is no longer in the log (deleted, or truncated). Default 'error': nothing is skipped unseen. */
  readonly onOutOfRange?: 'beginning' | 'end' | 'error'
  /** Default 'read_uncommitted'. */
  readonly isolation?: 'read_uncommitted' | 'read_committed'
  /** Bytes fetched ahead of the application, soft by a batch. Default 33,554,432. */
  readonly prefetchBytesMax?: number
  /**
   * Bytes of one partition in one fetch, soft by a batch; up to twice as much lies ahead of the application. Default
   * 2,097,152: half of it costs a third more CPU a byte where one partition is read.
   */
  readonly partitionBytesMax?: number
  /**
   * How long a broker holds a fetch that has too little to answer, in ms. Default 2000: records are sent on as they come, so that
   * is only how often consumers without any ask again; a leader that is silent is still noticed before it is replaced.
   */
  readonly maxWaitMs?: number
  /** Bytes that a broker waits for, up to `maxWaitMs`. Default 1. */
  readonly minBytes?: number
  /**
   * Where this consumer is, as the brokers' `broker.rack` names it. It then reads from an in-sync replica in its rack, if there
   * is one (KIP-392), and from the leader while there is none; what it gets is committed as ever, at most a round trip between
   * brokers later. As a member of a group it also tells the group. Default: the leader, wherever it is.
   */
  readonly rack?: string
  /** Verify checksums of batches. Default true. */
  readonly checksCrc?: boolean
  readonly key?: { readonly deserialize: Deserializer<K> }
  readonly value?: { readonly deserialize: Deserializer<V> }
}

export interface ConsumerConfig<K, V> {
  readonly from: StartPosition
  readonly untilEnd: boolean
  readonly onOutOfRange: 'beginning' | 'end' | 'error'
  readonly isReadCommitted: boolean
  readonly prefetchBytesMax: number
  readonly partitionBytesMax: number
  readonly maxWaitMs: number
  readonly minBytes: number
  readonly checksCrc: boolean
  readonly rack: string | null
  readonly deserializeKey: Deserializer<K>
  readonly deserializeValue: Deserializer<V>
}

/** @throws {ClientError} `CLIENT_BAD_ARGUMENT`. */
export function consumerConfig<K, V>(options: ConsumerOptions<K, V>): ConsumerConfig<K, V> {
  const from = options.from ?? 'end'
  checkStart(from)
  return {
    from,
    untilEnd: options.untilEnd ?? false,
    onOutOfRange: options.onOutOfRange ?? 'error',
    isReadCommitted: options.isolation === 'read_committed',
    prefetchBytesMax: wholeNumber('prefetchBytesMax', options.prefetchBytesMax ?? 32 * 1024 * 1024, 1),
    partitionBytesMax: wholeNumber('partitionBytesMax', options.partitionBytesMax ?? 2 * 1024 * 1024, 1),
    maxWaitMs: wholeNumber('maxWaitMs', options.maxWaitMs ?? 2000, 0),
    minBytes: wholeNumber('minBytes', options.minBytes ?? 1, 0),
    checksCrc: options.checksCrc ?? true,
    rack: rackOf(options.rack),
    deserializeKey: options.key?.deserialize ?? (bytes.deserialize as Deserializer<K>),
    deserializeValue: options.value?.deserialize ?? (bytes.deserialize as Deserializer<V>),
  }
}

/** @throws {ClientError} `CLIENT_BAD_ARGUMENT`. */
export function rackOf(rack: string | undefined): string | null {
  if (rack === undefined) return null
  if (typeof rack === 'string' && rack !== '') return rack
  throw new ClientError('CLIENT_BAD_ARGUMENT', `Cannot use rack: ${JSON.stringify(rack)}, wanted a name`)
}

/** @throws {ClientError} `CLIENT_BAD_ARGUMENT`. */
export function checkStart(from: StartPosition): void {
  if (from === 'beginning' || from === 'end') return
  const number = typeof from === 'number' ? from : from.timestamp
  if (Number.isSafeInteger(number) && number >= 0) return
  throw new ClientError(
    'CLIENT_BAD_ARGUMENT',
    `Cannot read from ${JSON.stringify(from)}: wanted 'beginning', 'end', an offset, or { timestamp } in ms`,
  )
}
