/**
 * Requests of clients that another broker passes on to this one: answered here, whatever the answer, as if the client had come
 * itself. It has a client's rights and no more: requests of brokers are unserved inside (docs/faults.md X4).
 */
import { DecodeError } from '../bytes/decode-error.ts'
import type { ApiName, ClientApiName, RequestOf, ResponseInputOf } from '../protocol/apis.ts'
import { decodeRequest, encodeResponse } from '../protocol/frame.ts'
import { handlers } from './handlers/index.ts'
import type { PeerContext } from './peer-requests.ts'
import { isRouted } from './request-route.ts'
import type { BrokerServices, Handler, RequestContext } from './services.ts'

type Answer = ResponseInputOf<'Forward'>

export function answerForwarded(
  services: BrokerServices,
  { listenerName, answerBytesMax, request: frame, clientHost }: RequestOf<'Forward'>,
  from: PeerContext,
): Answer | Promise<Answer> {
  const request = decode(frame)
  if (typeof request === 'string') return { answer: null, closeReason: request, hasFailed: false }
  if (request.kind === 'unserved' || !isRouted(request)) {
    const { apiKey, apiVersion } = request.header
    const closeReason = `Expected a request that brokers pass on: found API key ${apiKey} in version ${apiVersion}`
    return { answer: null, closeReason, hasFailed: false }
  }
  const { name, header, body } = request
  const client = new DistantClient(from.connection)
  const context: RequestContext = {
    apiVersion: header.apiVersion,
    clientId: header.clientId,
    ...{ listenerName, answerBytesMax, clientHost, isForwarded: true },
    transport: 'websocket',
    connection: client,
  }
  const answer = (response: ResponseInputOf<ApiName> | null): Answer => ({
    answer:
      response === null ? null : encodeResponse(name, header.apiVersion, header.correlationId, response),
    closeReason: client.closeReason,
    hasFailed: response !== null && name === 'Produce' && hasFailed(response),
  })
  // The table pairs each name with its own request and response; the compiler cannot follow that through a union.
  const handler = handlers[name] as Handler<ClientApiName>
  const response = handler(services, body, context)
  return response instanceof Promise ? response.then(answer) : answer(response)
}

/** The client's connection, as far as a handler has to do with it. */
class DistantClient implements Pick<
  PeerContext['connection'],
  'isEnding' | 'close' | 'watchEnd' | 'unwatchEnd'
> {
  readonly #connection: PeerContext['connection']
  closeReason: string | null = null

  constructor(connection: PeerContext['connection']) {
    this.#connection = connection
  }

  get isEnding(): boolean {
    return this.#connection.isEnding
  }

  /** The client's connection is another broker's to close. */
  close(reason: string): void {
    this.closeReason ??= reason
  }

  watchEnd(watcher: () => void): void {
    this.#connection.watchEnd(watcher)
  }

  unwatchEnd(watcher: () => void): void {
    this.#connection.unwatchEnd(watcher)
  }
}

/** @returns Why it cannot be decoded: then the broker that passed it on knows a newer protocol. */
function decode(frame: Uint8Array): ReturnType<typeof decodeRequest> | string {
  try {
    return decodeRequest(frame)
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error
    return `Request does not decode: ${error.message}`
  }
}

function hasFailed(response: object): boolean {
  const { responses } = response as ResponseInputOf<'Produce'>
  return responses.some(({ partitionResponses }) =>
    partitionResponses.some(({ errorCode }) => errorCode !== 0),
  )
}
