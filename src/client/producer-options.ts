/** What a producer is given and gives back, and its options with their defaults. */
import type { CodecName } from '../records/compression/codec.ts'
import { ClientError } from './client-error.ts'
import { wholeNumber } from './client-options.ts'
import type { Partitioner } from './partitioner.ts'
import { keyPartitioner } from './partitioner.ts'
import type { Payload, Serializer } from './serde.ts'
import { bytes } from './serde.ts'

/** Header keys and values; as pairs when a key comes more than once. */
export type HeadersInput = Readonly<Record<string, Payload>> | readonly (readonly [string, Payload])[]

/** A record to send. Bytes in it must not change until its delivery is settled. */
export interface ProducerRecord<K = Payload, V = Payload> {
  readonly topic: string
  /** Given: goes there. Else the partitioner chooses. */
  readonly partition?: number | undefined
  readonly key?: K | undefined
  readonly value?: V | undefined
  readonly headers?: HeadersInput | undefined
  /** In ms since the Unix epoch; default: the wall clock when it is sent. */
  readonly timestamp?: number | undefined
}

/** Where a record is. Offsets and timestamps are numbers, proven to be safe integers when they are decoded. */
export interface Delivery {
  readonly topic: string
  readonly partition: number
  /** -1 with acks 0, and when a retry found the record in the log too late to be told where. */
  readonly offset: number
  /** In ms since the Unix epoch: the topic's append time if it stamps that, else the record's own. */
  readonly timestamp: number
}

/** Where consecutive records of one `sendAll` and one partition are: offsets `[baseOffset, baseOffset + count)`. */
export interface DeliveredRange {
  readonly topic: string
  readonly partition: number
  /** -1 where `Delivery.offset` would be. */
  readonly baseOffset: number
  readonly count: number
}

export type Acks = 'all' | 1 | 0

export interface ProducerOptions<K = Payload, V = Payload> {
  /**
   * Every record is in the log once and in order, whatever is retried. Default: true with acks 'all', else false. Without
   * it a retry may write a record twice and, with `inFlightMax` above 1, out of order.
   */
  readonly idempotent?: boolean
  /** Who must have a record before it counts as delivered: all in-sync replicas, the leader, nobody. Default 'all'. */
  readonly acks?: Acks
  /** How long a batch waits for more records, in ms. Default 0: it leaves at once unless one is under way already. */
  readonly lingerMs?: number
  /**
   * Bytes of records that make a batch full; a batch that a topic's `max.message.bytes` refuses is split. Default 1,000,000,
   * under a broker's default for that (1,048,588). A batch leaves before it is full unless others are under way.
   */
  readonly batchBytesMax?: number
  /** Bytes of records that may wait for acknowledgement; `send` waits for room. Default 33,554,432. */
  readonly bufferBytesMax?: number
  /** Requests to one broker that may be unanswered: 1 to 5 when idempotent, as brokers remember 5 batches. Default 5. */
  readonly inFlightMax?: number
  readonly compression?: CodecName | 'none'
  /**
   * How long a record may wait for room (`bufferBytesMax`) or for its topic's partitions to be known, in ms, as Kafka's
   * `max.block.ms`. Then it fails with `CLIENT_TIMED_OUT` and was not sent. Default 60,000.
   */
  readonly lineTimeoutMs?: number
  /** Time from when a record has room to its acknowledgement, retries included, in ms. Default 120,000. */
  readonly deliveryTimeoutMs?: number
  readonly partitioner?: Partitioner
  /** Whether sending to an unknown topic may create it, if the broker is set to do so. Default true. */
  readonly mayCreateTopics?: boolean
  /** Time that `close` gives to what is under way, in ms. Default 30,000. */
  readonly closeTimeoutMs?: number
  readonly key?: { readonly serialize: Serializer<K> }
  readonly value?: { readonly serialize: Serializer<V> }
}

export interface ProducerConfig<K, V> {
  readonly idempotent: boolean
  readonly acks: Acks
  readonly lingerMs: number
  readonly batchBytesMax: number
  readonly bufferBytesMax: number
  readonly inFlightMax: number
  readonly compression: CodecName | 'none'
  readonly lineTimeoutMs: number
  readonly deliveryTimeoutMs: number
  readonly partitioner: Partitioner
  readonly mayCreateTopics: boolean
  readonly closeTimeoutMs: number
  readonly serializeKey: Serializer<K>
  readonly serializeValue: Serializer<V>
}

/** A broker keeps the sequences of the last five batches of a producer and partition (KIP-98). */
const IDEMPOTENT_IN_FLIGHT_MAX = 5

/** @throws {ClientError} `CLIENT_BAD_ARGUMENT`. */
export function producerConfig<K, V>(options: ProducerOptions<K, V>): ProducerConfig<K, V> {
  const acks: unknown = options.acks ?? 'all'
  if (acks !== 'all' && acks !== 1 && acks !== 0) {
    throw new ClientError('CLIENT_BAD_ARGUMENT', `Cannot use acks: ${String(acks)}, wanted 'all', 1 or 0`)
  }
  const idempotent = options.idempotent ?? acks === 'all'
  if (idempotent && acks !== 'all') {
    throw new ClientError(
      'CLIENT_BAD_ARGUMENT',
      `Cannot be idempotent with acks ${String(acks)}, wanted 'all'`,
    )
  }
  const inFlightMax = idempotent ? IDEMPOTENT_IN_FLIGHT_MAX : undefined
  const serializeKey = options.key?.serialize ?? (bytes.serialize as Serializer<K>)
  const serializeValue = options.value?.serialize ?? (bytes.serialize as Serializer<V>)
  return {
    idempotent,
    acks,
    lingerMs: wholeNumber('lingerMs', options.lingerMs ?? 0, 0),
    batchBytesMax: wholeNumber('batchBytesMax', options.batchBytesMax ?? 1_000_000, 1),
    bufferBytesMax: wholeNumber('bufferBytesMax', options.bufferBytesMax ?? 32 * 1024 * 1024, 1),
    inFlightMax: wholeNumber('inFlightMax', options.inFlightMax ?? 5, 1, inFlightMax),
    compression: options.compression ?? 'none',
    lineTimeoutMs: wholeNumber('lineTimeoutMs', options.lineTimeoutMs ?? 60_000, 1),
    deliveryTimeoutMs: wholeNumber('deliveryTimeoutMs', options.deliveryTimeoutMs ?? 120_000, 1),
    partitioner: options.partitioner ?? keyPartitioner,
    mayCreateTopics: options.mayCreateTopics ?? true,
    closeTimeoutMs: wholeNumber('closeTimeoutMs', options.closeTimeoutMs ?? 30_000, 0),
    serializeKey,
    serializeValue,
  }
}
