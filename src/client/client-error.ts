/**
 * What every operation of the client fails with. `code` is stable: the protocol's name when a broker said it (such as
 * `UNKNOWN_TOPIC_OR_PARTITION`), else one of `ClientErrorCode`. Messages say what was attempted, what came in the way
 * and, where there is something to do, what.
 */
import { errorByCode } from '../protocol/errors.ts'
import type { ErrorName } from '../protocol/errors.ts'

export type ClientErrorCode =
  /** No broker of the bootstrap list, or not the broker that leads the partition, can be reached. */
  | 'CLIENT_CANNOT_CONNECT'
  /** A connection broke before there was an answer. */
  | 'CLIENT_DISCONNECTED'
  /** There was no answer, no metadata, no room in time. */
  | 'CLIENT_TIMED_OUT'
  /** The caller's `AbortSignal`; its reason is the `cause`. */
  | 'CLIENT_ABORTED'
  /** The client, producer or consumer was closed. */
  | 'CLIENT_CLOSED'
  /** An option, a record or another argument cannot be what it is. */
  | 'CLIENT_BAD_ARGUMENT'
  /** The broker serves no version of a request that this client has. */
  | 'CLIENT_UNSUPPORTED_BY_BROKER'
  /** A record was not acknowledged in `deliveryTimeoutMs`; it may or may not be in the log. */
  | 'CLIENT_DELIVERY_TIMED_OUT'
  /** The broker lost what it knew of a batch whose first answer was lost; it may or may not be in the log. */
  | 'CLIENT_DELIVERY_UNKNOWN'
  /** The log was cut below the position of the consumer. */
  | 'CLIENT_LOG_TRUNCATED'
  /** A fetched batch is not what was written: checksum, framing or compression. */
  | 'CLIENT_CORRUPT_BATCH'
  /** A codec cannot be loaded here; in a page, its Content-Security-Policy may forbid it. */
  | 'CLIENT_CODEC_UNAVAILABLE'
  /** A serializer or deserializer threw; its error is the `cause`. */
  | 'CLIENT_BAD_FORMAT'
  /** The group has given the consumer up (it was too slow, or not heard of), so it cannot commit what it read. */
  | 'CLIENT_NOT_A_MEMBER'
  /** What a broker sent breaks the protocol. */
  | 'CLIENT_PROTOCOL_VIOLATED'

export interface ClientErrorOptions extends ErrorOptions {
  readonly retriable?: boolean
  readonly failures?: readonly ItemFailure[]
}

/** One of several things asked for that failed. */
export interface ItemFailure {
  /** Name of the topic, `topic-partition`, or the resource. */
  readonly item: string
  readonly error: ClientError
}

export class ClientError extends Error {
  override readonly name = 'ClientError'
  readonly code: ClientErrorCode | ErrorName
  /** Whether the same call may succeed later without anybody changing anything. */
  readonly retriable: boolean
  /** When several things were asked for at once: those that failed. The others were done. Else empty. */
  readonly failures: readonly ItemFailure[]

  constructor(code: ClientErrorCode | ErrorName, message: string, options: ClientErrorOptions = {}) {
    super(message, options)
    this.code = code
    this.retriable = options.retriable ?? false
    this.failures = options.failures ?? []
  }
}

/**
 * The error that a broker answered with.
 *
 * @param attempted - What could not be done, such as `Cannot create topic 'events'`.
 * @param detail - The broker's own words, if it gave any.
 */
export function brokerError(attempted: string, errorCode: number, detail: string | null = null): ClientError {
  const { name, retriable, description } = errorByCode(errorCode)
  const told = detail === null || detail === '' ? description : detail
  return new ClientError(name, `${attempted}: ${told} (${name})`, { retriable })
}

/** A codec that is needed cannot be loaded; the cause says why. */
export function codecError(attempted: string, cause: Error): ClientError {
  return new ClientError('CLIENT_CODEC_UNAVAILABLE', `${attempted}: ${cause.message}`, { cause })
}

export function abortedError(attempted: string, signal: AbortSignal): ClientError {
  return new ClientError('CLIENT_ABORTED', `${attempted}: aborted`, { cause: signal.reason })
}

export function throwIfAborted(signal: AbortSignal | undefined, attempted: string): void {
  if (signal?.aborted === true) throw abortedError(attempted, signal)
}

/** Throws one error for all failed items, with the code of the first; returns when there are none. */
export function throwFailures(attempted: string, failures: readonly ItemFailure[]): void {
  const first = failures[0]
  if (first === undefined) return
  if (failures.length === 1) {
    const { code, message, retriable } = first.error
    throw new ClientError(code, message, { retriable, failures, cause: first.error })
  }
  const all = failures.map(({ item, error }) => `${item}: ${error.message}`).join('; ')
  const retriable = failures.every(({ error }) => error.retriable)
  throw new ClientError(first.error.code, `${attempted}: ${failures.length} failed: ${all}`, {
    retriable,
    failures,
    cause: first.error,
  })
}

/** What was thrown, as an `Error`. */
export function toError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown))
}
