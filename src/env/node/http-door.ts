/**
 * The HTTP side of a listening port: plain requests for the owner's handler, and upgrades to WebSocket.
 *
 * Node's HTTP server is used without listening: sockets whose first byte is a letter are given to it. Every
 * exchange is one request on one connection, which is closed after the answer; so the deadline for the first
 * message bounds all of it, and nothing can be smuggled behind it. Request bodies are not read.
 *
 * An upgrade is refused unless it asks for a subprotocol that is spoken here and comes either from no page at all or
 * from a welcome `Origin` that addressed this port by a name of its own (faults.md X16). The page's own host is not welcome
 * by itself: by DNS rebinding any host name can be made to mean this machine. An IP address cannot: a page that names one
 * meant this machine. Nodes of the cluster are not pages: one with an `Origin` is none.
 */
import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { isIP, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { WebSocketServer } from 'ws'
import type { WebSocket } from 'ws'
import { assert } from '../../base/assert.ts'
import type { Logger } from '../logger.ts'
import type { HttpRequest, HttpResponse, ListenOptions, Subprotocol } from '../network.ts'
import { receiverOptions } from './websocket-connection.ts'

/** Bounds for the head of a request (faults.md X15): browsers stay below 4 KiB and 30 headers. */
const HEAD_BYTES_MAX = 16 * 1024
const HEADERS_MAX = 100
const FORWARDING_HEADERS = ['forwarded', 'via', 'x-forwarded-for', 'x-forwarded-host', 'x-real-ip']
/** Where a WebSocket is opened unless the options say otherwise. */
const ROOT = '/'
const TOO_MANY_HEADERS = '431 Request Header Fields Too Large'

export interface HttpDoor {
  /** Takes over a socket with what was read from it. */
  accept(socket: Socket): void
}

/** @param onWebSocket - Gets each upgraded connection, and whether a proxy passed it on for somebody else. */
export function openHttpDoor(
  options: ListenOptions,
  logger: Logger,
  onWebSocket: (webSocket: WebSocket, socket: Socket, isProxied: boolean) => void,
): HttpDoor {
  const { messageBytesMax, handshakeMs } = options.limits
  const server = createServer(
    { maxHeaderSize: HEAD_BYTES_MAX, headersTimeout: handshakeMs, requestTimeout: handshakeMs },
    (request, response) => void answer(request, response, options, logger),
  )
  server.maxHeadersCount = HEADERS_MAX + 1 // Node drops those above without a word; one more shows that there are.
  // What is malformed or too large gets Node's own short answer, and no more.
  server.on('clientError', (error, socket) => {
    const status =
      'code' in error && error.code === 'HPE_HEADER_OVERFLOW'
        ? '431 Header Fields Too Large'
        : '400 Bad Request'
    if (socket.writable) socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\n\r\n`)
    else socket.destroy()
  })
  const webSockets = new WebSocketServer({
    ...receiverOptions(messageBytesMax),
    noServer: true,
    clientTracking: false,
    handleProtocols: (_offered, request) => chosenProtocol(request, options) ?? false,
  })
  server.on('upgrade', (request: IncomingMessage, stream: Duplex, head: Buffer) => {
    // Node types it for other servers too; ours is only ever given sockets.
    assert(stream instanceof Socket, 'An upgrade comes on a socket')
    const socket = stream
    const refusal = refusalOf(request, options)
    if (refusal !== null) {
      socket.on('error', () => undefined) // It is being closed; its owner has been answered.
      socket.end(`HTTP/1.1 ${refusal}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
      return
    }
    webSockets.handleUpgrade(request, socket, head, (webSocket) =>
      onWebSocket(webSocket, socket, isProxied(request)),
    )
  })
  return {
    accept: (socket) => {
      server.emit('connection', socket)
    },
  }
}

/** The status line an upgrade is refused with, or null when it is welcome. */
function refusalOf(request: IncomingMessage, options: ListenOptions): string | null {
  if (hasTooManyHeaders(request)) return TOO_MANY_HEADERS
  if (!options.protocols.includes('websocket')) return '404 Not Found'
  if (request.url !== (options.path ?? ROOT)) return '404 Not Found'
  const { origin, host } = request.headers
  if (origin !== undefined) {
    if (!options.origins.some((welcome) => isWelcome(origin, welcome))) return '403 Forbidden'
    if (!isOurHost(host ?? '', options)) return '421 Misdirected Request'
  }
  return chosenProtocol(request, options) === null ? '400 Subprotocol kafka Required' : null
}

/** Whoever offers `kafka` is a client, whatever else it offers. */
function chosenProtocol(request: IncomingMessage, options: ListenOptions): Subprotocol | null {
  const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim())
  if (offered.includes('kafka')) return 'kafka'
  const mayBePeer = options.takesPeers === true && request.headers.origin === undefined
  return mayBePeer && offered.includes('millrace-peer') ? 'millrace-peer' : null
}

/** Proxies on this machine make everybody look local; the usual ones tell. */
function isProxied(request: IncomingMessage): boolean {
  return FORWARDING_HEADERS.some((name) => request.headers[name] !== undefined)
}

/** Whether a page of `origin` is meant by one entry of `ListenOptions.origins`. */
function isWelcome(origin: string, welcome: string): boolean {
  if (welcome === '*' || welcome === origin) return true
  if (!welcome.endsWith(':*')) return false
  const site = welcome.slice(0, -':*'.length)
  return origin === site || (origin.startsWith(`${site}:`) && /^\d{1,5}$/.test(origin.slice(site.length + 1)))
}

/** Whether a page that sent this `Host` header addressed this port on purpose. */
function isOurHost(header: string, { host, hosts = [] }: ListenOptions): boolean {
  const name = header.replace(/:\d{1,5}$/, '').toLowerCase()
  if (name.startsWith('[') && name.endsWith(']')) return isIP(name.slice(1, -1)) === 6
  return isIP(name) === 4 || ['localhost', host, ...hosts].some((ours) => ours.toLowerCase() === name)
}

function hasTooManyHeaders(request: IncomingMessage): boolean {
  return request.rawHeaders.length / 2 > HEADERS_MAX
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  options: ListenOptions,
  logger: Logger,
): Promise<void> {
  response.shouldKeepAlive = false
  let answered: HttpResponse = { status: 404, headers: {}, body: '' }
  try {
    if (hasTooManyHeaders(request)) answered = { status: 431, headers: {}, body: '' }
    else if (options.protocols.includes('http') && options.http !== undefined)
      answered = await options.http(toRequest(request))
  } catch (error) {
    logger.error('Answered an HTTP request: its handler failed', { error: error as Error })
    answered = { status: 500, headers: {}, body: '' }
  }
  if (response.destroyed) return
  response.writeHead(answered.status, {
    ...answered.headers,
    'content-length': Buffer.byteLength(answered.body),
  })
  response.end(request.method === 'HEAD' ? undefined : answered.body)
}

function toRequest(request: IncomingMessage): HttpRequest {
  const headers = new Map<string, string>()
  for (const [name, value] of Object.entries(request.headers)) {
    if (value !== undefined) headers.set(name, Array.isArray(value) ? value.join(', ') : value)
  }
  const path = (request.url ?? '/').split('?', 1)[0]!
  return { method: request.method ?? 'GET', path, headers }
}
