/**
 * The receiving end of the loopback cases, in a process of its own: a TCP and a WebSocket server that either count
 * what comes or send it back.
 */
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { WebSocketServer, type WebSocket } from 'ws'

export interface WireAddresses {
  readonly tcpPort: number
  readonly webSocketPort: number
}

export interface WireExpectation {
  /** Send back what comes, instead of counting it. */
  readonly isEcho: boolean
  /** When counting: resolve once this many bytes are here. */
  readonly totalBytes: number
}

export interface WireReceipt {
  readonly bytes: number
  /** Last byte that came, so that the hash of the work depends on what arrived. */
  readonly lastByte: number
  readonly cpuMs: number
}

/** Largest WebSocket message, in bytes: above the largest case. */
const MESSAGE_BYTES_MAX = 2 ** 21

export async function wirePeer(): Promise<{
  addresses(): WireAddresses
  expect(expectation: WireExpectation): void
  receipt(): Promise<WireReceipt>
}> {
  let isEcho = false
  let totalBytes = 0
  let bytes = 0
  let lastByte = 0
  let cpuStart = process.cpuUsage()
  let finish: (receipt: WireReceipt) => void = () => undefined
  let finished = Promise.resolve<WireReceipt>({ bytes, lastByte, cpuMs: 0 })

  const count = (chunk: Buffer): void => {
    bytes += chunk.length
    lastByte = chunk[chunk.length - 1]!
    if (bytes < totalBytes) return
    const { user, system } = process.cpuUsage(cpuStart)
    finish({ bytes, lastByte, cpuMs: (user + system) / 1e3 })
  }
  const onTcp = (socket: Socket): void => {
    socket.setNoDelay(true)
    socket.on('error', () => undefined) // the other end was closed first; the benchmark reads no more of it
    socket.on('data', (chunk) => (isEcho ? void socket.write(chunk) : count(chunk)))
  }
  const onWebSocket = (socket: WebSocket): void => {
    socket.on('error', () => undefined) // as above
    socket.on('message', (message: Buffer) => (isEcho ? socket.send(message) : count(message)))
  }

  const tcp = createServer(onTcp)
  const webSocket = new WebSocketServer({
    host: '127.0.0.1',
    port: 0,
    perMessageDeflate: false,
    maxPayload: MESSAGE_BYTES_MAX,
  })
  webSocket.on('connection', onWebSocket)
  await Promise.all([
    new Promise<void>((resolve) => tcp.listen(0, '127.0.0.1', resolve)),
    new Promise<void>((resolve) => webSocket.on('listening', resolve)),
  ])
  return {
    addresses: () => ({
      tcpPort: (tcp.address() as AddressInfo).port,
      webSocketPort: (webSocket.address() as AddressInfo).port,
    }),
    expect: (expectation) => {
      isEcho = expectation.isEcho
      totalBytes = expectation.totalBytes
      bytes = 0
      cpuStart = process.cpuUsage()
      finished = new Promise((resolve) => {
        finish = resolve
      })
    },
    receipt: () => finished,
  }
}
