/**
 * Opens connections: `tcp://host:port`, `ws://host:port/path`, `wss://…`. Bounded in time and cancellable; whatever way
 * it ends, no socket is left behind.
 */
import { connect as connectSocket } from 'node:net'
import type { Socket } from 'node:net'
import { WebSocket } from 'ws'
import { onAbort } from '../../base/on-abort.ts'
import type { Clock } from '../clock.ts'
import type { Connection, ConnectOptions, Subprotocol } from '../network.ts'
import { NetworkError } from '../network.ts'
import type { Deadlines } from './deadlines.ts'
import { errnoOf } from './file-errors.ts'
import type { ConnectionLimits } from './socket-connection.ts'
import { TcpConnection } from './tcp-connection.ts'
import { receiverOptions, WebSocketConnection } from './websocket-connection.ts'
import type { WebSocketSide } from './websocket-connection.ts'

const KEEP_ALIVE_MS = 60_000
const DIALLER: WebSocketSide = { isClient: true, isProxied: false }

/** One attempt: how it is begun, and how it is given up. */
type Attempt = (
  resolve: (connection: Connection) => void,
  reject: (error: NetworkError) => void,
) => /* gives up */ () => void

export function dial(
  url: string,
  options: ConnectOptions,
  clock: Clock,
  deadlines: Deadlines,
): Promise<Connection> {
  const limits: ConnectionLimits = {
    messageBytesMax: options.messageBytesMax,
    sendHighWaterBytes: options.sendHighWaterBytes,
    // What the other side owes is the business of whoever asked it something.
    idleMs: Infinity,
    messageMs: Infinity,
    sendStallMs: Infinity,
    firstMessageByMs: Infinity,
  }
  const target = parse(url)
  const { subprotocol = 'kafka' } = options
  if (target.protocol === 'tcp:' && subprotocol !== 'kafka') {
    throw new NetworkError(
      'NETWORK_BAD_ADDRESS',
      `Connected to ${url}: ${subprotocol} is spoken over ws:// or wss:// only`,
    )
  }
  const attempt =
    target.protocol === 'tcp:'
      ? dialTcp(target, limits, clock, deadlines)
      : dialWebSocket(target, subprotocol, limits, clock, deadlines)
  return bounded(attempt, url, options, clock)
}

/** Adds the deadline and the signal to an attempt. */
function bounded(attempt: Attempt, url: string, options: ConnectOptions, clock: Clock): Promise<Connection> {
  const { signal, timeoutMs } = options
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(new NetworkError('NETWORK_ABORTED', `Connected to ${url}: given up before it began`))
      return
    }
    const finish = () => {
      cancelTimer()
      forget()
    }
    const stop = (error: NetworkError) => {
      finish()
      giveUp()
      reject(error)
    }
    const cancelTimer = clock.after(timeoutMs, () =>
      stop(new NetworkError('NETWORK_TIMED_OUT', `Connected to ${url}: no answer within ${timeoutMs} ms`)),
    )
    const forget = onAbort(signal, () =>
      stop(new NetworkError('NETWORK_ABORTED', `Connected to ${url}: given up by the caller`)),
    )
    const giveUp = attempt(
      (connection) => {
        finish()
        resolve(connection)
      },
      (error) => {
        finish()
        reject(error)
      },
    )
  })
}

function dialTcp(target: URL, limits: ConnectionLimits, clock: Clock, deadlines: Deadlines): Attempt {
  return (resolve, reject) => {
    const socket = connectSocket({
      host: target.hostname.replace(/^\[|\]$/g, ''),
      port: Number(target.port),
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_MS,
    })
    const onError = (error: Error) => reject(unreachable(target, error))
    socket.once('error', onError)
    socket.once('connect', () => {
      const connection = new TcpConnection(socket, clock, limits, deadlines, null)
      socket.removeListener('error', onError)
      resolve(connection)
    })
    return () => socket.destroy()
  }
}

function dialWebSocket(
  target: URL,
  subprotocol: Subprotocol,
  limits: ConnectionLimits,
  clock: Clock,
  deadlines: Deadlines,
): Attempt {
  return (resolve, reject) => {
    let socket: Socket | null = null
    const webSocket = new WebSocket(target, [subprotocol], {
      ...receiverOptions(limits.messageBytesMax),
      followRedirects: false,
      generateMask: (mask) => mask.fill(0), // For the control frames, which `ws` sends; ours are in the connection.
    })
    const onError = (error: Error) => {
      const isAnswer = error.message.startsWith('Server sent') || error.message.startsWith('Invalid')
      reject(isAnswer ? refused(target, error.message) : unreachable(target, error))
    }
    webSocket.on('error', onError)
    webSocket.once('unexpected-response', (request, response) => {
      reject(refused(target, `it answered HTTP ${response.statusCode} ${response.statusMessage}`))
      request.destroy()
    })
    webSocket.once('upgrade', (response) => {
      socket = response.socket
    })
    webSocket.once('open', () => {
      if (socket === null) return // Cannot be: `upgrade` comes first.
      const connection = new WebSocketConnection(webSocket, socket, DIALLER, clock, limits, deadlines)
      webSocket.removeListener('error', onError)
      resolve(connection)
    })
    return () => webSocket.terminate()
  }
}

function parse(url: string): URL {
  let target: URL | null = null
  try {
    target = new URL(url)
  } catch {
    // Not a URL at all; told below.
  }
  const isKnown = target !== null && ['tcp:', 'ws:', 'wss:'].includes(target.protocol)
  if (
    target === null ||
    !isKnown ||
    target.hostname === '' ||
    (target.protocol === 'tcp:' && target.port === '')
  ) {
    throw new NetworkError(
      'NETWORK_BAD_ADDRESS',
      `Connected to ${JSON.stringify(url)}: wanted tcp://host:port, ws://host:port or wss://host`,
    )
  }
  return target
}

function refused(target: URL, what: string): NetworkError {
  return new NetworkError('NETWORK_REFUSED_BY_PEER', `Connected to ${target.href}: ${what}`)
}

function unreachable(target: URL, error: Error): NetworkError {
  const at = `${target.protocol}//${target.host}`
  switch (errnoOf(error)) {
    case 'ECONNREFUSED':
      return new NetworkError('NETWORK_UNREACHABLE', `Connected to ${at}: nothing listens there`, {
        cause: error,
      })
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return new NetworkError('NETWORK_UNREACHABLE', `Connected to ${at}: the host name is unknown`, {
        cause: error,
      })
    default: {
      // Of several addresses that all failed, Node gives an error without a message of its own.
      const reason = error.message === '' ? errnoOf(error) : error.message
      return new NetworkError('NETWORK_UNREACHABLE', `Connected to ${at}: ${reason}`, { cause: error })
    }
  }
}
