/**
 * The way to one broker: connects on first use, agrees on versions, connects again after a loss, and turns every failure
 * into a `ClientError`.
 *
 * Invariants: at most one connection at a time and one attempt at a time, whoever asks; a failed attempt is followed by a
 * pause that grows with the failures in a row. Nothing is sent twice here: retrying is for those who know what is safe. A
 * broker that says nothing is told of within `SILENCE_MS`, be it that it owes an answer or does not take the connection.
 */
import { backoffMs } from '../base/backoff.ts'
import type { Connection } from '../env/index.ts'
import { NetworkError } from '../env/index.ts'
import type { ApiName, RequestInputOf, ResponseOf } from '../protocol/apis.ts'
import { apis } from '../protocol/apis.ts'
import { errorCode } from '../protocol/errors.ts'
import { ChannelError, ClientChannel } from '../rpc/client-channel.ts'
import type { Address } from './address.ts'
import { abortable, pause } from './backoff.ts'
import { brokerError, ClientError, toError } from './client-error.ts'
import type { ClientConfig, ClientPorts } from './client-options.ts'
import { PING_AFTER_MS, RESPONSE_BYTES_MAX, SEND_HIGH_WATER_BYTES, SILENCE_MS } from './client-options.ts'

/** How the client presents itself (KIP-511); the version is the package's. */
const SOFTWARE = { clientSoftwareName: 'millrace', clientSoftwareVersion: '0.1.0' }

/** Versions of ApiVersions that are tried: ours, the one the broker names, and 0, which every broker has. */
const HANDSHAKE_ATTEMPTS_MAX = 3

const UNSUPPORTED_VERSION = errorCode('UNSUPPORTED_VERSION')

export interface RequestOptions {
  /** Default: the client's `requestTimeoutMs`. Counts from when the request is sent. */
  readonly timeoutMs?: number
  /** How long the request itself lets the broker wait with its answer, in ms. Default 0. */
  readonly expectedMs?: number
  readonly signal?: AbortSignal | undefined
  /** Highest version to use, when the request holds what later ones lack. */
  readonly versionMax?: number
}

export class BrokerLink {
  readonly address: Address
  readonly #ports: ClientPorts
  readonly #config: ClientConfig
  readonly #closing = new AbortController()
  #ready: ReadyLink | null = null
  #connecting: Promise<ReadyLink> | null = null
  #isRetired = false
  #failureCount = 0
  #notBeforeMs = 0
  readonly #watchers = new Set<() => void>()
  /** When the attempt to connect began that is under way, on the monotonic clock. */
  #openingSinceMs: number | null = null
  /** Called when the broker is silent, and again after each `SILENCE_MS` more. Set by the owner. */
  onSilent: () => void = () => undefined

  constructor(ports: ClientPorts, config: ClientConfig, address: Address) {
    this.#ports = ports
    this.#config = config
    this.address = address
  }

  /** The connection, or null when there is none now. */
  get ready(): ReadyLink | null {
    return this.#ready
  }

  /** Closed for good. */
  get isClosed(): boolean {
    return this.#closing.signal.aborted
  }

  /** The broker owes an answer, or a connection, and has said nothing for `SILENCE_MS`. */
  get isSilent(): boolean {
    if (this.#ready !== null) return this.#ready.channel.isSilent
    const sinceMs = this.#openingSinceMs
    return sinceMs !== null && this.#ports.clock.monotonicMs() - sinceMs >= SILENCE_MS
  }

  /** When the pause after the last failure ends, on the monotonic clock. */
  get notBeforeMs(): number {
    return this.#notBeforeMs
  }

  /** Calls `watcher` whenever the connection comes, goes, or has taken what was congested. */
  watch(watcher: () => void): () => void {
    this.#watchers.add(watcher)
    return () => this.#watchers.delete(watcher)
  }

  /**
   * Connects unless there is a connection.
   *
   * @throws {ClientError} `CLIENT_CANNOT_CONNECT`, `CLIENT_UNSUPPORTED_BY_BROKER`, `CLIENT_ABORTED`, `CLIENT_CLOSED`.
   */
  connect(signal?: AbortSignal): Promise<ReadyLink> {
    if (this.#ready !== null) return Promise.resolve(this.#ready)
    this.#connecting ??= this.#connect().finally(() => (this.#connecting = null))
    return abortable(this.#connecting, `Cannot connect to ${this.address.label}`, signal)
  }

  /** A connection on which the broker has not asked for silence. @throws {ClientError} What `connect` throws. */
  async unthrottled(attempted: string, signal?: AbortSignal): Promise<ReadyLink> {
    const ready = await this.connect(signal)
    const throttleMs = ready.throttleMs()
    if (throttleMs > 0) await pause(this.#ports.clock, throttleMs, attempted, signal)
    return ready
  }

  /**
   * Sends a request and waits for the answer.
   *
   * @throws {ClientError} What `connect` throws; `CLIENT_DISCONNECTED`, `CLIENT_TIMED_OUT`, `CLIENT_PROTOCOL_VIOLATED`.
   */
  async request<A extends ApiName>(
    api: A,
    body: RequestInputOf<A>,
    options: RequestOptions = {},
  ): Promise<ResponseOf<A>> {
    const ready = await this.unthrottled(`Cannot send ${api}`, options.signal)
    return ready.request(api, body, options)
  }

  /** Closes for good, for a reason that others do not share; what waits for an answer fails so that it is tried elsewhere. */
  retire(): void {
    this.#isRetired = true
    this.close()
  }

  /** Closes for good; what waits for an answer fails with `CLIENT_CLOSED`. */
  close(): void {
    this.#closing.abort()
    this.#ready?.channel.close()
    this.#lost()
  }

  async #connect(): Promise<ReadyLink> {
    const { clock, random } = this.#ports
    const delayMs = this.#notBeforeMs - clock.monotonicMs()
    try {
      if (delayMs > 0) await pause(clock, delayMs, this.#attempted(), this.#closing.signal)
      const ready = await this.#watched(() => this.#open())
      this.#failureCount = 0
      this.#ready = ready
      this.#notify()
      return ready
    } catch (thrown) {
      this.#failureCount++
      this.#notBeforeMs = clock.monotonicMs() + backoffMs(this.#config.backoff, this.#failureCount, random)
      throw this.#connectError(toError(thrown))
    }
  }

  /** Tells of silence while `open` is under way. */
  async #watched<T>(open: () => Promise<T>): Promise<T> {
    const { clock } = this.#ports
    const onSilent = (): void => {
      cancel = clock.after(SILENCE_MS, onSilent)
      this.onSilent()
    }
    let cancel = clock.after(SILENCE_MS, onSilent)
    this.#openingSinceMs = clock.monotonicMs()
    try {
      return await open()
    } finally {
      this.#openingSinceMs = null
      cancel()
    }
  }

  async #open(): Promise<ReadyLink> {
    const { clock, network } = this.#ports
    const { clientId, connectTimeoutMs } = this.#config
    const connection: Connection = await network.connect(this.address.url, {
      timeoutMs: connectTimeoutMs,
      messageBytesMax: RESPONSE_BYTES_MAX,
      sendHighWaterBytes: SEND_HIGH_WATER_BYTES,
      signal: this.#closing.signal,
    })
    if (connection.transport === 'websocket') connection.setBounds({ idleMs: PING_AFTER_MS })
    const channel = new ClientChannel(connection, clock, {
      clientId,
      sendHighWaterBytes: SEND_HIGH_WATER_BYTES,
      silenceMs: SILENCE_MS,
      onDrain: () => this.#notify(),
      onSilent: () => {
        if (this.#ready?.channel === channel) this.onSilent()
      },
      onClose: () => {
        if (this.#ready?.channel === channel) this.#lost()
      },
    })
    try {
      const versions = await handshake(channel, connectTimeoutMs)
      if (this.#closing.signal.aborted) throw this.#closedError()
      return new ReadyLink(this, channel, versions, this.#ports, this.#config)
    } catch (error) {
      channel.close('the handshake failed')
      throw error
    }
  }

  /** The failure of a request, in the client's words. */
  requestError(error: Error): Error {
    if (!(error instanceof ChannelError)) return error
    const { message } = error
    if (this.#closing.signal.aborted && !this.#isRetired && error.code === 'CHANNEL_CLOSED')
      return this.#closedError()
    switch (error.code) {
      case 'CHANNEL_CLOSED':
        return new ClientError('CLIENT_DISCONNECTED', message, { retriable: true, cause: error })
      case 'CHANNEL_TIMED_OUT':
        return new ClientError('CLIENT_TIMED_OUT', message, { retriable: true, cause: error })
      case 'CHANNEL_ABORTED':
        return new ClientError('CLIENT_ABORTED', message, { cause: error.cause })
      case 'CHANNEL_PROTOCOL_VIOLATED':
        return new ClientError('CLIENT_PROTOCOL_VIOLATED', message, { retriable: true, cause: error })
    }
  }

  #connectError(error: Error): Error {
    if (this.#closing.signal.aborted) return this.#closedError()
    if (error instanceof ClientError) return error
    if (error instanceof NetworkError || error instanceof ChannelError) {
      const retriable = !(error instanceof NetworkError) || error.code !== 'NETWORK_BAD_ADDRESS'
      return new ClientError('CLIENT_CANNOT_CONNECT', `${this.#attempted()}: ${reasonOf(error)}`, {
        retriable,
        cause: error,
      })
    }
    return error
  }

  #closedError(): ClientError {
    if (this.#isRetired) {
      const message = `Cannot use the connection to ${this.address.label}: it was given up`
      return new ClientError('CLIENT_DISCONNECTED', message, { retriable: true })
    }
    return new ClientError(
      'CLIENT_CLOSED',
      `Cannot use the connection to ${this.address.label}: the client is closed`,
    )
  }

  #attempted(): string {
    return `Cannot connect to ${this.address.label}`
  }

  #lost(): void {
    this.#ready = null
    this.#notify()
  }

  #notify(): void {
    for (const watcher of this.#watchers) watcher()
  }
}

/** A connection whose broker has told what it serves. */
export class ReadyLink {
  readonly channel: ClientChannel
  readonly #link: BrokerLink
  readonly #versions: ReadonlyMap<number, VersionRange>
  readonly #ports: ClientPorts
  readonly #config: ClientConfig
  #throttledUntilMs = 0

  constructor(
    link: BrokerLink,
    channel: ClientChannel,
    versions: ReadonlyMap<number, VersionRange>,
    ports: ClientPorts,
    config: ClientConfig,
  ) {
    this.#link = link
    this.channel = channel
    this.#versions = versions
    this.#ports = ports
    this.#config = config
  }

  /** How long the broker asked us to send nothing, in ms from now (KIP-219). */
  throttleMs(): number {
    return Math.max(0, this.#throttledUntilMs - this.#ports.clock.monotonicMs())
  }

  /**
   * The highest version of a request that both sides have.
   *
   * @throws {ClientError} `CLIENT_UNSUPPORTED_BY_BROKER`.
   */
  version(api: ApiName, versionMax = Infinity): number {
    const { key, versions: ours } = apis[api]
    const theirs = this.#versions.get(key)
    const version = Math.min(ours.last, theirs?.last ?? -1, versionMax)
    if (version >= ours.first && version >= (theirs?.first ?? 0)) return version
    const found = theirs === undefined ? 'none' : `${theirs.first} to ${theirs.last}`
    const wanted = `${ours.first} to ${Math.min(ours.last, versionMax)}`
    throw new ClientError(
      'CLIENT_UNSUPPORTED_BY_BROKER',
      `Cannot send ${api} to ${this.#link.address.label}: it serves versions ${found}, wanted ${wanted}`,
    )
  }

  /** Sends at once; see `BrokerLink.request`. */
  async request<A extends ApiName>(
    api: A,
    body: RequestInputOf<A>,
    options: RequestOptions = {},
  ): Promise<ResponseOf<A>> {
    const version = this.version(api, options.versionMax)
    const timeoutMs = options.timeoutMs ?? this.#config.requestTimeoutMs
    try {
      const { expectedMs, signal } = options
      const answer = await this.channel.call(api, version, body, { timeoutMs, expectedMs, signal })
      this.honourThrottle(answer)
      return answer
    } catch (error) {
      throw this.#link.requestError(toError(error))
    }
  }

  /**
   * Makes sure that the broker is there before something is sent that must not be sent twice: one that has said nothing for
   * `SILENCE_MS` is asked for its versions.
   *
   * @throws {ClientError} As `request`.
   */
  async prove(signal?: AbortSignal): Promise<void> {
    if (this.#ports.clock.monotonicMs() - this.channel.heardAtMs < SILENCE_MS) return
    await this.request('ApiVersions', SOFTWARE, { signal })
  }

  /** Notes what an answer says of silence; for those who use `channel` itself. */
  honourThrottle(answer: object): void {
    const throttleMs = 'throttleTimeMs' in answer ? Number(answer.throttleTimeMs) : 0
    if (throttleMs > 0) this.#throttledUntilMs = this.#ports.clock.monotonicMs() + throttleMs
  }
}

interface VersionRange {
  readonly first: number
  readonly last: number
}

/** Asks for the versions that the broker serves, in the highest version of the question that it understands. */
async function handshake(
  channel: ClientChannel,
  timeoutMs: number,
): Promise<ReadonlyMap<number, VersionRange>> {
  const { key, versions } = apis.ApiVersions
  let version = versions.last
  for (let attempt = 1; ; attempt++) {
    const answer = await channel.call('ApiVersions', version, SOFTWARE, { timeoutMs })
    const ranges = new Map<number, VersionRange>()
    for (const { apiKey, minVersion, maxVersion } of answer.apiKeys) {
      ranges.set(apiKey, { first: minVersion, last: maxVersion })
    }
    if (answer.errorCode === 0) return ranges
    const attempted = `Cannot agree on versions with ${channel.remote}`
    if (answer.errorCode !== UNSUPPORTED_VERSION || attempt === HANDSHAKE_ATTEMPTS_MAX || version === 0) {
      throw brokerError(attempted, answer.errorCode)
    }
    const offered = ranges.get(key)?.last ?? 0
    version = offered < version ? Math.max(0, offered) : 0
  }
}

/** What went wrong, without what was attempted, which the caller says in its own words. */
function reasonOf(error: Error): string {
  const colon = error.message.indexOf(': ')
  return colon < 0 ? error.message : error.message.slice(colon + 2)
}
