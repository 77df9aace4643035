/** Options of a client with their defaults, in one place, and the ports that a client needs of its environment. */
import type { Env } from '../env/index.ts'
import type { BackoffOptions } from '../base/backoff.ts'
import { ClientError } from './client-error.ts'

/** The part of the environment that a client uses; a browser has all of it. */
export type ClientPorts = Pick<Env, 'clock' | 'random' | 'network' | 'logger'>

export interface ClientOptions {
  /**
   * Where to find a first broker: `host:port`, `ws://host:port`, `wss://…` or `in-process://name`; several of them
   * separated by commas or as an array are tried in turn.
   */
  readonly bootstrap: string | readonly string[]
  /** Name of the client in the brokers' logs, quotas and metrics. Default `millrace`. */
  readonly clientId?: string
  /** Time for a connection to be there, in ms. Default 10,000. */
  readonly connectTimeoutMs?: number
  /** Time for a request to be answered; then its connection is closed. In ms, default 30,000. */
  readonly requestTimeoutMs?: number
  /** How long a client that never reached a broker goes on trying its bootstrap list; 0: once. In ms, default 5,000. */
  readonly bootstrapTimeoutMs?: number
  /** Age at which metadata is asked for again, in ms. Default 300,000. */
  readonly metadataMaxAgeMs?: number
  /** Pause before a failed request or connection is tried again; doubles up to `retryBackoffMaxMs`. In ms, default 50. */
  readonly retryBackoffMs?: number
  /** In ms, default 1,000. */
  readonly retryBackoffMaxMs?: number
}

export interface ClientConfig {
  readonly clientId: string
  readonly connectTimeoutMs: number
  readonly requestTimeoutMs: number
  readonly bootstrapTimeoutMs: number
  readonly metadataMaxAgeMs: number
  readonly backoff: BackoffOptions
}

/** Largest answer that a client takes, in bytes: a fetch bound is soft, one batch may pass it. */
export const RESPONSE_BYTES_MAX = 128 * 1024 * 1024

/** Bytes of requests that may lie unsent on a connection before the producer holds back: two large requests. */
export const SEND_HIGH_WATER_BYTES = 2 * 1024 * 1024

/**
 * A broker that owes an answer and says nothing for this long, in ms, is doubted: the others are asked about it, again and
 * again after as long. If they count it among the dead, its connections are given up and what waits there goes to whoever
 * took over; that is some seconds after the cluster's own session time-out, where `requestTimeoutMs` would be half a minute.
 * Longer than brokers take for anything but waiting for each other, and short beside that time-out.
 */
export const SILENCE_MS = 3_000

/**
 * How long one of several brokers that could answer may be silent before the next is asked as well, in ms: one that hangs
 * must not keep the client from the others.
 */
export const HEDGE_PATIENCE_MS = 1_000

/**
 * A WebSocket on which nothing came for this long, in ms, is pinged, and closed after as long again without an answer: a
 * half-open one to a broker that lives is found within twice this and one sweep of the adapter (at most 1 s). Browsers give
 * no way to ping, and TCP has none: there `requestTimeoutMs` finds it, and nothing waits where nothing was asked.
 */
export const PING_AFTER_MS = 5_000

/** @throws {ClientError} `CLIENT_BAD_ARGUMENT`. */
export function clientConfig(options: ClientOptions): ClientConfig {
  const retryBackoffMs = wholeNumber('retryBackoffMs', options.retryBackoffMs ?? 50, 0)
  return {
    clientId: options.clientId ?? 'millrace',
    connectTimeoutMs: wholeNumber('connectTimeoutMs', options.connectTimeoutMs ?? 10_000, 1),
    requestTimeoutMs: wholeNumber('requestTimeoutMs', options.requestTimeoutMs ?? 30_000, 1),
    bootstrapTimeoutMs: wholeNumber('bootstrapTimeoutMs', options.bootstrapTimeoutMs ?? 5_000, 0),
    metadataMaxAgeMs: wholeNumber('metadataMaxAgeMs', options.metadataMaxAgeMs ?? 300_000, 1),
    backoff: {
      initialMs: retryBackoffMs,
      maxMs: wholeNumber('retryBackoffMaxMs', options.retryBackoffMaxMs ?? 1_000, retryBackoffMs),
    },
  }
}

/** Checks that an option is a whole number in `[min, max]`. @throws {ClientError} `CLIENT_BAD_ARGUMENT`. */
export function wholeNumber(name: string, value: number, min: number, max = 0x7fff_ffff): number {
  if (Number.isInteger(value) && value >= min && value <= max) return value
  throw new ClientError('CLIENT_BAD_ARGUMENT', `Cannot use ${name}: ${value}, wanted ${min} to ${max}`)
}
