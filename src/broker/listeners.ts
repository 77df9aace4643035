/**
 * The broker's ends of the network: opens the configured listeners and gives each connection a channel.
 *
 * Listeners are opened before the broker serves, since a free port must be known to be registered; connections that
 * come before `serve` is called wait unread.
 */
import { NetworkError } from '../env/index.ts'
import type { Connection, HttpRequest, HttpResponse, Listener, Logger, Network } from '../env/index.ts'
import { ByteBudget } from '../rpc/byte-budget.ts'
import { ServerChannel } from '../rpc/server-channel.ts'
import type { Exchange } from '../rpc/server-channel.ts'
import { overlapOf } from './overlapping.ts'
import type { BrokerConfig } from './broker-config.ts'
import { formatListenerSpec, portProtocols } from './listener-spec.ts'
import type { ListenerSpec } from './listener-spec.ts'

/** A listener with the addresses that it really has. */
export interface BoundListener {
  readonly name: string
  /** Where it listens. */
  readonly host: string
  readonly port: number
  /** What clients are told. */
  readonly advertisedHost: string
  readonly advertisedPort: number
}

export interface ListenersOptions {
  readonly config: BrokerConfig
  readonly http: (request: HttpRequest) => HttpResponse
  /** Takes connections of other nodes, from the first moment on; absent: none are let in. */
  readonly onPeer?: (connection: Connection) => void
}

export type RequestSink = (exchange: Exchange, listenerName: string, connection: Connection) => void

export class Listeners {
  readonly #logger: Logger
  readonly #options: ListenersOptions
  readonly #listeners: { readonly bound: BoundListener; readonly listener: Listener }[] = []
  readonly #channels = new Set<ServerChannel>()
  readonly requestBudget: ByteBudget
  readonly responseBudget: ByteBudget
  #sink: RequestSink | null = null
  /** Names of the listeners of connections that were accepted before there was a sink, and are open still. */
  readonly #early = new Map<Connection, string>()
  #isClosing = false

  /**
   * Opens all configured listeners, or none.
   *
   * @throws {NetworkError} As `Network.listen`; the message names the listener and says what to do.
   */
  static async open(
    ports: { readonly network: Network; readonly logger: Logger },
    options: ListenersOptions,
  ): Promise<Listeners> {
    const listeners = new Listeners(ports.logger, options)
    try {
      for (const spec of options.config.listeners) await listeners.#listen(ports.network, spec)
    } catch (error) {
      await listeners.close()
      throw error
    }
    return listeners
  }

  private constructor(logger: Logger, options: ListenersOptions) {
    this.#logger = logger
    this.#options = options
    this.requestBudget = new ByteBudget(options.config.requestBytesMax)
    this.responseBudget = new ByteBudget(options.config.responseBytesMax)
  }

  get bound(): readonly BoundListener[] {
    return this.#listeners.map(({ bound }) => bound)
  }

  get connectionCount(): number {
    return this.#channels.size
  }

  /** Begins to hand requests to `sink`, those of early connections too. */
  serve(sink: RequestSink): void {
    this.#sink = sink
    for (const [connection, listenerName] of this.#early) {
      this.#open(connection, listenerName)
      connection.resume()
    }
    this.#early.clear()
  }

  /** Stops accepting, answers what was begun and closes every connection; those that do not go in time are cut. */
  async close(): Promise<void> {
    this.#isClosing = true
    await Promise.all(this.#listeners.map(({ listener }) => listener.close()))
    for (const connection of this.#early.keys()) connection.close()
    this.#early.clear()
    const gone = new Promise<void>((resolve) => (this.#allGone = resolve))
    for (const channel of [...this.#channels]) channel.closeWhenIdle()
    if (this.#channels.size > 0) await gone
  }

  /** Cuts every connection that is still open. */
  cut(reason: string): void {
    for (const channel of [...this.#channels]) channel.close(reason)
  }

  #allGone: () => void = () => undefined

  async #listen(network: Network, spec: ListenerSpec): Promise<void> {
    const { config, http } = this.#options
    try {
      const listener = await network.listen(
        {
          host: spec.host,
          port: spec.port,
          protocols: portProtocols[spec.protocol],
          limits: config,
          http,
          origins: config.origins,
          takesPeers: this.#options.onPeer !== undefined,
          hosts: [
            ...config.webSocketHosts,
            ...config.advertisedListeners.map(({ host }) => host),
            ...(config.webSocketAddress === null ? [] : [config.webSocketAddress.host]),
          ],
          path: config.webSocketPath,
        },
        (connection) => this.#accept(connection, spec.name),
      )
      const advertised = config.advertisedListeners.find(({ name }) => name === spec.name)
      const bound: BoundListener = {
        name: spec.name,
        host: listener.host,
        port: listener.port,
        advertisedHost: advertised?.host ?? reachableHost(spec.host),
        // An advertised port of 0 stands for the port that was bound.
        advertisedPort: advertised === undefined || advertised.port === 0 ? listener.port : advertised.port,
      }
      this.#listeners.push({ bound, listener })
    } catch (error) {
      if (!(error instanceof NetworkError)) throw error
      const message = `Cannot listen on ${formatListenerSpec(spec)}: ${error.message}`
      throw new NetworkError(error.code, message, { cause: error })
    }
  }

  #accept(connection: Connection, listenerName: string): void {
    if (this.#isClosing) {
      connection.close() // It was on its way in when the listener closed.
      return
    }
    if (connection.subprotocol === 'millrace-peer') {
      this.#options.onPeer?.(connection)
      return
    }
    if (this.#sink !== null) {
      this.#open(connection, listenerName)
      return
    }
    connection.pause()
    this.#early.set(connection, listenerName)
    // It says so once. A channel made of it afterwards would never hear of it, and `close` would wait for it for ever.
    connection.onClose = () => this.#early.delete(connection)
  }

  #open(connection: Connection, listenerName: string): void {
    const { config } = this.#options
    const channel: ServerChannel = new ServerChannel(connection, {
      inFlightMax: config.inFlightMax,
      sendHighWaterBytes: config.sendHighWaterBytes,
      requestBudget: this.requestBudget,
      responseBudget: this.responseBudget,
      overlapOf,
      onRequest: (exchange) => this.#sink?.(exchange, listenerName, connection),
      onClose: (reason) => {
        this.#channels.delete(channel)
        this.#logger.debug('Connection closed', { remote: connection.remote, reason })
        if (this.#channels.size === 0) this.#allGone()
      },
    })
    this.#channels.add(channel)
  }
}

/** An address that listens on every interface is no address to connect to. */
function reachableHost(host: string): string {
  return host === '0.0.0.0' || host === '::' ? 'localhost' : host
}
