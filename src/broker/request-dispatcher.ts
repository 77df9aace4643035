/**
 * From a request frame to its handler and back. Every rule about input that is wrong as a whole lives here:
 *
 * - An ApiVersions request of an unknown version is answered with UNSUPPORTED_VERSION in version 0, with the range
 *   of ApiVersions itself, so that the client can step down (KIP-511).
 * - Any other unknown API or version, and a frame that does not decode, closes the connection, as in Kafka: nothing
 *   can be said in a form the client is sure to understand.
 * - An unexpected throw of a handler is a defect: it is logged once with the request and closes the connection, so
 *   that the client tries again elsewhere or later. A broken invariant stops the broker.
 */
import { AssertionError } from '../base/assert.ts'
import { DecodeError } from '../bytes/decode-error.ts'
import type { Connection } from '../env/index.ts'
import { apis } from '../protocol/apis.ts'
import type { ApiName, ClientApiName, ResponseInputOf } from '../protocol/apis.ts'
import { errorCode } from '../protocol/errors.ts'
import { decodePeerRequest, decodeRequest, encodeResponse } from '../protocol/frame.ts'
import type { RequestFrame, RequestHeader } from '../protocol/frame.ts'
import type { RequestPurpose } from '../rpc/peers.ts'
import type { Exchange } from '../rpc/server-channel.ts'
import { PassedAnswer } from './forwarding-client.ts'
import type { Answer } from './forwarding-client.ts'
import { handlers } from './handlers/index.ts'
import type { BrokerCounters } from './metrics.ts'
import { answerPeer } from './peer-requests.ts'
import { clientHostOf } from './client-addresses.ts'
import type { RequestForwarding } from './request-forwarding.ts'
import type { BrokerServices, Handler, RequestContext } from './services.ts'

export interface DispatcherOptions {
  readonly services: BrokerServices
  /** For requests of clients that another broker has passed on: those have bounds of their own. */
  readonly forwarded?: BrokerServices
  /** Passes on what other brokers must answer; absent: there are none. */
  readonly forwarding?: RequestForwarding
  readonly counters: BrokerCounters
  /** Stops the broker: an invariant is broken. */
  readonly onFatal: (error: Error) => void
}

type Body = ResponseInputOf<ApiName> | null

export class RequestDispatcher {
  readonly #services: BrokerServices
  readonly #forwarded: BrokerServices
  readonly #forwarding: RequestForwarding | null
  readonly #counters: BrokerCounters
  readonly #onFatal: (error: Error) => void

  constructor(options: DispatcherOptions) {
    this.#services = options.services
    this.#forwarded = options.forwarded ?? options.services
    this.#forwarding = options.forwarding ?? null
    this.#counters = options.counters
    this.#onFatal = options.onFatal
  }

  /** Starts one request of a client; its exchange gets the answer, now or later. */
  dispatch(exchange: Exchange, listenerName: string, connection: Connection): void {
    const request = this.#decode(exchange, decodeRequest)
    if (request === null) return
    const { header } = request
    if (request.kind === 'unserved') {
      this.#refuse(exchange, request)
      return
    }
    const { name, body } = request
    const context: RequestContext = {
      apiVersion: header.apiVersion,
      clientId: header.clientId,
      clientHost: clientHostOf(connection.remote),
      listenerName,
      transport: connection.transport,
      isForwarded: false,
      answerBytesMax: Infinity,
      connection: exchange.channel,
    }
    // The table pairs each name with its own request and response; the compiler cannot follow that through a union.
    const handler = handlers[name] as Handler<ClientApiName>
    const here = (part: typeof body = body): Body | Promise<Body> => handler(this.#services, part, context)
    const forwarding = this.#forwarding
    this.#run(exchange, name, header, () =>
      forwarding === null ? here() : forwarding.handle(request, exchange, context, here),
    )
  }

  /** Starts one request of another node, which has proven that it is that node. */
  dispatchPeer(exchange: Exchange, fromNodeId: number, purpose: RequestPurpose): void {
    const request = this.#decode(exchange, decodePeerRequest)
    if (request === null) return
    const { header } = request
    if (request.kind === 'unserved') {
      this.#refuse(exchange, request)
      return
    }
    const { name, body } = request
    const from = { nodeId: fromNodeId, purpose, apiVersion: header.apiVersion, connection: exchange.channel }
    this.#run(exchange, name, header, () => {
      const answer = answerPeer(this.#services, this.#forwarded, name, body, from)
      if (answer === null) this.#violation(exchange, `${name} is no request for the purpose “${purpose}”`)
      return answer
    })
  }

  #run(
    exchange: Exchange,
    name: ApiName,
    header: RequestHeader,
    handle: () => Answer | Promise<Answer>,
  ): void {
    try {
      const result = handle()
      if (!(result instanceof Promise)) {
        this.#answer(exchange, name, header, result)
        return
      }
      result.then(
        (body) => this.#answer(exchange, name, header, body),
        (error: unknown) => this.#failed(exchange, name, header, error),
      )
    } catch (error) {
      this.#failed(exchange, name, header, error)
    }
  }

  #decode<R>(exchange: Exchange, decode: (frame: Uint8Array) => R): R | null {
    this.#counters.requestCount++
    try {
      return decode(exchange.frame)
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error
      this.#violation(exchange, `Request does not decode: ${error.message}`)
      return null
    }
  }

  #refuse(exchange: Exchange, { name, header }: Extract<RequestFrame, { kind: 'unserved' }>): void {
    if (name !== 'ApiVersions') {
      const found = `API key ${header.apiKey} in version ${header.apiVersion}`
      this.#violation(exchange, `Expected a request that ApiVersions announces: found ${found}`)
      return
    }
    const { first, last } = apis.ApiVersions.advertised
    const body = {
      errorCode: errorCode('UNSUPPORTED_VERSION'),
      apiKeys: [{ apiKey: apis.ApiVersions.key, minVersion: first, maxVersion: last }],
      supportedFeatures: [],
      finalizedFeatures: [],
    }
    exchange.respond(encodeResponse('ApiVersions', header.apiVersion, header.correlationId, body))
  }

  #answer(exchange: Exchange, name: ApiName, header: RequestHeader, body: Answer): void {
    if (body === null) {
      exchange.respond(null)
      return
    }
    if (body instanceof PassedAnswer) {
      exchange.respond(body.frame === null ? null : [body.frame])
      return
    }
    try {
      exchange.respond(encodeResponse(name, header.apiVersion, header.correlationId, body))
    } catch (error) {
      this.#failed(exchange, name, header, error)
    }
  }

  #violation(exchange: Exchange, reason: string): void {
    this.#counters.violationCount++
    this.#services.logger.warn('Closing a connection for bad input', {
      remote: exchange.channel.connection.remote,
      reason,
    })
    exchange.channel.close(reason)
  }

  #failed(exchange: Exchange, name: ApiName, header: RequestHeader, error: unknown): void {
    this.#counters.failureCount++
    const cause = error instanceof Error ? error : new Error(String(error))
    this.#services.logger.error('Request failed in an unexpected way', {
      api: name,
      version: header.apiVersion,
      clientId: header.clientId,
      error: cause,
    })
    if (cause instanceof AssertionError) this.#onFatal(cause)
    exchange.channel.close(`${name} failed in an unexpected way`)
  }
}
