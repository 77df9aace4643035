/**
 * The bounds of a listening port on real sockets, against the attacks of faults.md 6 that they are there for.
 */
import { once } from 'node:events'
import { connect as connectSocket, createServer } from 'node:net'
import type { Socket } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import type { ClientOptions } from 'ws'
import type { Connection, ListenLimits, Listener, ListenOptions } from '../../../src/env/index.ts'
import { NodeClock } from '../../../src/env/node/node-clock.ts'
import { lineLogger } from '../../../src/env/node/node-logger.ts'
import { NodeNetwork } from '../../../src/env/node/node-network.ts'
import { writeMaskedHeader } from '../../../src/env/node/websocket-connection.ts'

const LIMITS: ListenLimits = {
  messageBytesMax: 1024 * 1024,
  connectionsMax: 1000,
  connectionsPerAddressMax: 1000,
  handshakeMs: 20_000,
  idleMs: 20_000,
  messageMs: 20_000,
  sendHighWaterBytes: 64 * 1024,
  sendStallMs: 20_000,
}
/** Short enough to wait for, and the only bound that is in the test that uses it. */
const SHORT_MS = 60

const listeners: Listener[] = []
const sockets: { destroy(): void }[] = []

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  for (const listener of listeners.splice(0)) await listener.close()
})

interface Server {
  readonly port: number
  readonly listener: Listener
  readonly connections: Connection[]
  readonly messages: string[]
  /** Reasons of closed connections. */
  readonly closed: string[]
  readonly log: string[]
}

async function serve(
  limits: Partial<ListenLimits> = {},
  options: Partial<ListenOptions> = {},
): Promise<Server> {
  const log: string[] = []
  const network = new NodeNetwork(
    new NodeClock(),
    lineLogger('debug', (line) => log.push(line)),
  )
  const server: Omit<Server, 'port' | 'listener'> = { connections: [], messages: [], closed: [], log }
  const listener = await network.listen(
    {
      host: '127.0.0.1',
      port: 0,
      protocols: ['kafka', 'websocket', 'http'],
      origins: [],
      ...options,
      limits: { ...LIMITS, ...limits },
    },
    (connection) => {
      server.connections.push(connection)
      connection.onMessage = (message) => server.messages.push(Buffer.from(message).toString('latin1'))
      connection.onClose = (reason) => server.closed.push(reason)
    },
  )
  listeners.push(listener)
  return { ...server, port: listener.port, listener }
}

async function raw(server: Server): Promise<Socket> {
  const socket = connectSocket({ host: '127.0.0.1', port: server.port, noDelay: true })
  sockets.push(socket)
  socket.on('error', () => undefined)
  await once(socket, 'connect')
  return socket
}

/** Resolves with all that was received once the socket is closed. */
async function untilClosed(socket: Socket): Promise<string> {
  let text = ''
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1')
  })
  // Not `once` of events: that would reject on an error, which a reset is.
  if (!socket.closed) await new Promise((resolve) => socket.on('close', resolve))
  return text
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setImmediate(resolve))
}

function frame(text: string): Buffer {
  const bytes = Buffer.alloc(4 + text.length)
  bytes.writeInt32BE(text.length)
  bytes.write(text, 4, 'latin1')
  return bytes
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value | 0)
  return bytes
}

function open(
  server: Server,
  { host, ...options }: ClientOptions = {},
  protocols: string[] = ['kafka'],
  path = '/',
): WebSocket {
  const webSocket = new WebSocket(`ws://127.0.0.1:${server.port}${path}`, protocols, {
    ...(host === undefined ? {} : { headers: { host } }),
    perMessageDeflate: true,
    ...options,
  })
  sockets.push({ destroy: () => webSocket.terminate() })
  webSocket.on('error', () => undefined)
  return webSocket
}

/** The status that an upgrade is answered with. */
async function upgradeStatus(webSocket: WebSocket): Promise<number> {
  return new Promise((resolve) => {
    webSocket.on('open', () => resolve(101))
    webSocket.on('unexpected-response', (_request, response) => resolve(response.statusCode ?? 0))
  })
}

const UPGRADE =
  'GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n' +
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: kafka\r\n'

/** A socket on which the upgrade has been answered. */
async function rawWebSocket(server: Server): Promise<Socket> {
  const socket = await raw(server)
  socket.write(`${UPGRADE}\r\n`)
  const [answer] = (await once(socket, 'data')) as [Buffer]
  expect(answer.toString()).toMatch(/^HTTP\/1.1 101 /)
  return socket
}

describe('NodeListener over TCP', () => {
  test('NW-4: frames split at every byte, and many in one chunk, arrive the same', async () => {
    const server = await serve()
    const stream = Buffer.concat([frame('one'), frame('x'), frame('a longer one')])
    for (let cut = 1; cut < stream.length; cut++) {
      const socket = await raw(server)
      server.messages.length = 0
      socket.write(stream.subarray(0, cut))
      await new Promise((resolve) => setImmediate(resolve))
      socket.write(stream.subarray(cut))
      await until(() => server.messages.length === 3)
      expect(server.messages).toEqual(['one', 'x', 'a longer one'])
      socket.destroy()
    }
  })

  test('X1: announced sizes out of bounds close at the fourth byte, without an answer', async () => {
    const server = await serve()
    for (const size of [2 ** 31 - 1, -1, 0, LIMITS.messageBytesMax + 1, -(2 ** 31)]) {
      const socket = await raw(server)
      socket.write(int32(size))
      expect(await untilClosed(socket)).toBe('')
    }
    expect(server.messages).toEqual([])
  })

  test('X1: many that announce the largest size and send nothing cost next to no memory', async () => {
    const server = await serve({ messageBytesMax: 100 * 1024 * 1024 })
    const before = process.memoryUsage()
    const announcers = await Promise.all(Array.from({ length: 300 }, () => raw(server)))
    for (const socket of announcers) socket.write(Buffer.concat([int32(100 * 1024 * 1024), Buffer.from('x')]))
    await until(() => server.connections.length === 300)
    await new Promise((resolve) => setImmediate(resolve))
    const after = process.memoryUsage()
    expect(after.arrayBuffers - before.arrayBuffers).toBeLessThan(16 * 1024 * 1024)
  })

  test('X1, X30: a TLS hello is closed and said so once in the log', async () => {
    const server = await serve()
    for (let time = 0; time < 3; time++) {
      const socket = await raw(server)
      socket.write(Buffer.from([0x16, 3, 1, 2, 0, 1, 0]))
      expect(await untilClosed(socket)).toBe('')
    }
    expect(server.log.filter((line) => line.includes(' WARN ') && line.includes('TLS'))).toHaveLength(1)
  })

  test('X17: HTTP on a port that speaks Kafka only is closed without an answer', async () => {
    const server = await serve({}, { protocols: ['kafka'] })
    const socket = await raw(server)
    socket.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\n' + frame('abc').toString('latin1'))
    expect(await untilClosed(socket)).toBe('')
    expect(server.messages).toEqual([])
  })

  test('X17: a POST whose body holds Kafka frames is answered as HTTP and its body never looked at', async () => {
    const server = await serve()
    const socket = await raw(server)
    socket.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\n' + frame('abc').toString('latin1'))
    expect(await untilClosed(socket)).toMatch(/^HTTP\/1.1 404 /)
    expect(server.messages).toEqual([])
  })

  test('X18: who says nothing, half a length, half a message or half a request is closed by the handshake deadline', async () => {
    const server = await serve({ handshakeMs: SHORT_MS })
    const beginnings = ['', '\0', '\0\0\0', '\0\0\0\x09abc', 'GET / HT', UPGRADE, `${UPGRADE}\r\n`]
    const stuck = await Promise.all(
      beginnings.map(async (text) => {
        const socket = await raw(server)
        if (text !== '') socket.write(text, 'latin1')
        return untilClosed(socket)
      }),
    )
    expect(stuck).toHaveLength(beginnings.length)
    await until(() => server.listener.connectionCount === 0)
  })

  test('X18: a message that dribbles in is closed by its deadline, and pings between do not help', async () => {
    const server = await serve({ messageMs: SHORT_MS })
    const tcp = await raw(server)
    tcp.write(Buffer.concat([frame('whole'), int32(1000)]))
    const webSocket = await rawWebSocket(server)
    const dribble = setInterval(() => {
      tcp.write('x')
      // One byte of a fragmented message, then a ping, in one chunk.
      webSocket.write(
        Buffer.from([0x02, 0x81, 0, 0, 0, 0, 1].map((byte, index) => (index === 0 && started ? 0 : byte))),
      )
      webSocket.write(Buffer.from([0x89, 0x80, 0, 0, 0, 0]))
      started = true
    }, 5)
    let started = false
    await Promise.all([untilClosed(tcp), untilClosed(webSocket)])
    clearInterval(dribble)
    await until(() => server.closed.length === 2)
    expect(server.messages).toEqual(['whole'])
    expect(server.closed.filter((reason) => reason.includes('not whole within'))).toHaveLength(2)
  })

  test('X18: bounds on connections, in all and by address, hold, and closing makes room', async () => {
    for (const limits of [{ connectionsMax: 3 }, { connectionsPerAddressMax: 3 }]) {
      const server = await serve(limits)
      const first = await Promise.all([raw(server), raw(server), raw(server)])
      await until(() => server.listener.connectionCount === 3)
      await untilClosed(await raw(server))
      first[0].destroy()
      await until(() => server.listener.connectionCount === 2)
      const next = await raw(server)
      next.write(frame('welcome'))
      await until(() => server.messages.length === 1)
    }
  })

  test('X19: a peer that takes nothing of what is sent is closed, one that takes slowly is not', async () => {
    const server = await serve({ sendStallMs: 4 * SHORT_MS })
    const [never, slowly] = await Promise.all([raw(server), raw(server)])
    never.pause()
    slowly.pause()
    never.write(frame('a'))
    slowly.write(frame('b'))
    await until(() => server.connections.length === 2)
    const block = new Uint8Array(32 * 1024 * 1024)
    for (const connection of server.connections) connection.send([block])
    // Reads a little, again and again, so that the kernel can always take a little more.
    const sips = setInterval(() => {
      slowly.resume()
      slowly.once('data', () => slowly.pause())
    }, 1)
    await until(() => server.closed.length === 1)
    clearInterval(sips)
    expect(server.closed).toEqual([`took nothing of what was sent for ${4 * SHORT_MS} ms`])
    slowly.resume()
    let receivedBytes = slowly.bytesRead
    while (receivedBytes < block.length) {
      await once(slowly, 'data')
      receivedBytes = slowly.bytesRead
    }
  })

  test('a silent peer is closed after the idle time; WebSocket peers are asked first (NW-1)', async () => {
    const server = await serve({ idleMs: SHORT_MS })
    const tcp = await raw(server)
    tcp.write(frame('then silence'))
    const answering = open(server)
    await once(answering, 'open')
    answering.send(Buffer.from('a'))
    const deaf = open(server, { autoPong: false })
    await once(deaf, 'open')
    deaf.send(Buffer.from('b'))
    let pings = 0
    answering.on('ping', () => pings++)
    await Promise.all([untilClosed(tcp), once(deaf, 'close')])
    await until(() => pings >= 3)
    expect(answering.readyState).toBe(WebSocket.OPEN)
    expect(server.closed).toHaveLength(2)
  })

  test('X20: a connection that is paused is not read: a flood of tiny messages stays in the peer', async () => {
    const server = await serve()
    const socket = await raw(server)
    socket.write(frame('first'))
    await until(() => server.messages.length === 1)
    server.connections[0]!.pause()
    const flood = Buffer.concat(Array.from({ length: 10_000 }, () => frame('tiny')))
    let sentBytes = 0
    while (socket.writableLength < 4 * 1024 * 1024) {
      socket.write(flood)
      sentBytes += flood.length
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(server.messages).toHaveLength(1)
    server.connections[0]!.resume()
    await until(() => server.messages.length === 1 + (sentBytes / flood.length) * 10_000)
  })
})

describe('NodeListener over HTTP and WebSocket', () => {
  test('answers plain requests by the handler, one to a connection', async () => {
    const server = await serve(
      {},
      { http: (request) => ({ status: 200, headers: { 'x-a': 'b' }, body: request.path + request.method }) },
    )
    const socket = await raw(server)
    socket.write('GET /metrics?x=1 HTTP/1.1\r\nHost: a\r\n\r\nGET /two HTTP/1.1\r\nHost: a\r\n\r\n')
    const answer = await untilClosed(socket)
    expect(answer).toMatch(/^HTTP\/1.1 200 OK\r\n/)
    expect(answer).toContain('x-a: b')
    expect(answer.endsWith('\r\n\r\n/metricsGET')).toBe(true)
  })

  test('a handler that fails is a 500, without its message', async () => {
    const http = () => {
      throw new Error('secret')
    }
    const server = await serve({}, { http })
    const socket = await raw(server)
    socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    const answer = await untilClosed(socket)
    expect(answer).toMatch(/^HTTP\/1.1 500 /)
    expect(answer).not.toContain('secret')
  })

  test('X16: pages of other origins and clients without the subprotocol are refused', async () => {
    const server = await serve({}, { origins: ['https://good.example', 'http://localhost:*'] })
    expect(await upgradeStatus(open(server, { origin: 'http://localhost:5173' }))).toBe(101)
    expect(await upgradeStatus(open(server, { origin: 'http://localhost' }))).toBe(101)
    expect(await upgradeStatus(open(server, { origin: 'http://localhost:1.evil.example' }))).toBe(403)
    expect(await upgradeStatus(open(server, { origin: 'http://localhost.evil.example' }))).toBe(403)
    expect(await upgradeStatus(open(server))).toBe(101)
    expect(await upgradeStatus(open(server, { origin: 'https://good.example' }))).toBe(101)
    expect(await upgradeStatus(open(server, { origin: 'https://evil.example' }))).toBe(403)
    expect(await upgradeStatus(open(server, { origin: `http://127.0.0.1:${server.port}` }))).toBe(403)
    expect(await upgradeStatus(open(server, { origin: 'null' }))).toBe(403)
    expect(await upgradeStatus(open(server, {}, []))).toBe(400)
    expect(await upgradeStatus(open(server, {}, ['mqtt']))).toBe(400)
  })

  test('X16: a page must address the port by a name of its own; DNS rebinding is misdirected', async () => {
    const server = await serve({}, { origins: ['*'], hosts: ['Broker.example'] })
    const page = (host: string) => upgradeStatus(open(server, { origin: 'http://a.example', host }))
    for (const host of ['localhost:9092', '127.0.0.1:9092', '10.1.2.3', '[::1]:9092', 'broker.EXAMPLE:443'])
      expect(await page(host), host).toBe(101)
    for (const host of [
      'evil.example:9092',
      'localhost.evil.example',
      'broker.example.',
      '127.0.0.1.evil.example',
      '[evil]',
    ])
      expect(await page(host), host).toBe(421)
    expect(await upgradeStatus(open(server, { host: 'evil.example' }))).toBe(101) // Programs are not rebound.
  })

  test('X16: a WebSocket is opened at one path, to the letter', async () => {
    const server = await serve()
    const other = await serve({}, { path: '/log' })
    for (const path of ['/x', '//', '/?a'])
      expect(await upgradeStatus(open(server, {}, ['kafka'], path)), path).toBe(404)
    expect(await upgradeStatus(open(server))).toBe(101)
    expect(await upgradeStatus(open(other))).toBe(404)
    expect(await upgradeStatus(open(other, {}, ['kafka'], '/log'))).toBe(101)
  })

  test('X18: no more connections are accepted in a second than the bound says', async () => {
    const server = await serve({ connectionsPerSecondMax: 3 })
    const attempts = await Promise.all(Array.from({ length: 5 }, () => raw(server)))
    const closed = new Set<unknown>()
    for (const socket of attempts) socket.once('close', () => closed.add(socket))
    await until(() => closed.size === 2)
    expect(server.listener.connectionCount).toBe(3)
    expect(server.log.filter((line) => line.includes('too many'))).toHaveLength(2)
  })

  test('X16: a page is never a peer, whatever origins are welcome; whoever offers kafka is a client', async () => {
    const server = await serve({}, { origins: ['*'], takesPeers: true })
    const origin = { origin: 'https://good.example' }
    expect(await upgradeStatus(open(server, origin))).toBe(101)
    expect(await upgradeStatus(open(server, origin, ['millrace-peer']))).toBe(400)
    expect(await upgradeStatus(open(server, { origin: 'null' }, ['millrace-peer']))).toBe(400)
    expect(await upgradeStatus(open(server, {}, ['millrace-peer', 'kafka']))).toBe(101)
    expect(await upgradeStatus(open(server, {}, ['millrace-peer']))).toBe(101)
    await until(() => server.connections.length === 3)
    const spoken = server.connections.map(({ subprotocol }) => subprotocol)
    expect(spoken).toEqual(['kafka', 'kafka', 'millrace-peer'])
  })

  test('X4: who comes by a proxy on this machine is not on this machine', async () => {
    const server = await serve({}, { takesPeers: true })
    const headers = [
      {},
      { 'X-Forwarded-For': '203.0.113.9' },
      { Forwarded: 'for=203.0.113.9' },
      { Via: '1.1 a' },
    ]
    for (const sent of headers) await once(open(server, { headers: sent }, ['millrace-peer']), 'open')
    expect(server.connections.map(({ isLoopback }) => isLoopback)).toEqual([true, false, false, false])
  })

  test('X13: permessage-deflate is not negotiated', async () => {
    const server = await serve()
    const webSocket = open(server)
    await once(webSocket, 'open')
    expect(webSocket.extensions).toBe('')
    expect(webSocket.protocol).toBe('kafka')
  })

  test('X14: malformed frames close cleanly, nothing throws, and the port goes on', async () => {
    const server = await serve()
    const attacks: Record<string, number[]> = {
      'length with the top bit': [0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
      'length 2^63-1': [0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0],
      'length over the bound': [0x82, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 1, 0, 0, 0, 0],
      'reserved bits': [0xf2, 0x81, 0, 0, 0, 0, 1],
      compressed: [0xc2, 0x81, 0, 0, 0, 0, 1],
      unmasked: [0x82, 0x01, 1],
      'reserved opcode': [0x83, 0x81, 0, 0, 0, 0, 1],
      'long control frame': [0x89, 0xfe, 0, 126, 0, 0, 0, 0],
      'fragmented control frame': [0x09, 0x80, 0, 0, 0, 0],
      'interleaved message': [0x02, 0x81, 0, 0, 0, 0, 1, 0x82, 0x81, 0, 0, 0, 0, 1],
      'continuation of nothing': [0x80, 0x81, 0, 0, 0, 0, 1],
      'invalid close reason': [0x88, 0x83, 0, 0, 0, 0, 3, 0xe8, 0xff],
      'invalid close code': [0x88, 0x82, 0, 0, 0, 0, 0, 1],
      'text message': [0x81, 0x81, 0, 0, 0, 0, 0x61],
      'empty message': [0x82, 0x80, 0, 0, 0, 0],
    }
    for (const [name, bytes] of Object.entries(attacks)) {
      const socket = await rawWebSocket(server)
      socket.write(Buffer.from(bytes))
      await untilClosed(socket)
      expect(server.messages, name).toEqual([])
    }
    await until(() => server.closed.length === Object.keys(attacks).length)
    const good = open(server)
    await once(good, 'open')
    good.send(Buffer.from('fine'))
    await until(() => server.messages.length === 1)
  })

  test('a text message closes with 1003, a message over the bound with 1009', async () => {
    const server = await serve()
    for (const [data, code] of [
      ['text', 1003],
      [Buffer.alloc(LIMITS.messageBytesMax + 1), 1009],
    ] as const) {
      const webSocket = open(server)
      await once(webSocket, 'open')
      webSocket.send(data)
      expect(((await once(webSocket, 'close')) as [number])[0]).toBe(code)
    }
  })

  test('X15: a message of endless one-byte fragments is cut off early', async () => {
    const server = await serve()
    const socket = await rawWebSocket(server)
    const fragments: number[] = [0x02, 0x81, 0, 0, 0, 0, 1]
    for (let count = 0; count < 1100; count++) fragments.push(0x00, 0x81, 0, 0, 0, 0, 1)
    socket.write(Buffer.from(fragments))
    await untilClosed(socket)
    await until(() => server.closed.length === 1)
    expect(server.closed[0]).toContain('fragments')
  })

  test('X15: an upgrade with 2,000 header lines, or one of 64 KiB, is refused', async () => {
    const server = await serve()
    for (const headers of ['X-A: b\r\n'.repeat(3000), `X-A: ${'b'.repeat(65_536)}\r\n`]) {
      const socket = await raw(server)
      socket.write(`${UPGRADE}${headers}\r\n`)
      expect(await untilClosed(socket)).toMatch(/^HTTP\/1.1 431 /)
    }
    expect(server.connections).toHaveLength(0)
  })

  test('messages that come with the upgrade, in one chunk, are delivered', async () => {
    const server = await serve()
    const socket = await raw(server)
    const header = new Uint8Array(14)
    const masked = Buffer.concat([header.subarray(0, writeMaskedHeader(header, 0, 5)), Buffer.from('early')])
    socket.write(Buffer.concat([Buffer.from(`${UPGRADE}\r\n`), masked, masked]))
    await until(() => server.messages.length === 2)
    expect(server.messages).toEqual(['early', 'early'])
  })

  test('X27: what a peer sends cannot forge a log line', () => {
    const lines: string[] = []
    const logger = lineLogger('info', (line) => lines.push(line))
    logger.info('a\nb', { client: 'x"\r\n2026 ERROR forged\u001b[2J\u2028\u202e', failed: new Error('c\nd') })
    expect(lines).toHaveLength(1)

    expect(lines[0]).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u202e]/)
  })
})

describe('NodeNetwork.connect()', () => {
  const CONNECT = { timeoutMs: 10_000, messageBytesMax: 1000, sendHighWaterBytes: 1000 }
  const network = () =>
    new NodeNetwork(
      new NodeClock(),
      lineLogger('silent', () => undefined),
    )

  test('gives up after its time, and when its signal says so, and leaves no socket behind', async () => {
    const server = await serve()
    await expect(network().connect(`wss://127.0.0.1:${server.port}`, CONNECT)).rejects.toMatchObject({
      code: 'NETWORK_UNREACHABLE',
    })
    // A port where somebody listens and never says anything.
    const mute = createServer((socket) => socket.resume()).listen(0, '127.0.0.1')
    await once(mute, 'listening')
    const { port } = mute.address() as { port: number }
    const url = `ws://127.0.0.1:${port}`
    await expect(network().connect(url, { ...CONNECT, timeoutMs: SHORT_MS })).rejects.toMatchObject({
      code: 'NETWORK_TIMED_OUT',
      message: `Connected to ${url}: no answer within ${SHORT_MS} ms`,
    })
    const controller = new AbortController()
    const attempt = network().connect(url, { ...CONNECT, signal: controller.signal })
    controller.abort()
    await expect(attempt).rejects.toMatchObject({ code: 'NETWORK_ABORTED' })
    expect(server.connections).toHaveLength(0)
    await new Promise((resolve) => mute.close(resolve)) // Only ends when every connection has.
  })

  test('tells a WebSocket handshake that was answered otherwise', async () => {
    const server = await serve({}, { protocols: ['http'] })
    await expect(network().connect(`ws://127.0.0.1:${server.port}/`, CONNECT)).rejects.toMatchObject({
      code: 'NETWORK_REFUSED_BY_PEER',
      message: `Connected to ws://127.0.0.1:${server.port}/: it answered HTTP 404 Not Found`,
    })
  })

  test('NW-1: a dialled connection that is given an idle time pings, and closes when nobody answers', async () => {
    const dialled = async (autoPong: boolean) => {
      const answering = new WebSocketServer({ port: 0, host: '127.0.0.1', autoPong })
      sockets.push({ destroy: () => answering.close() })
      answering.on('connection', (webSocket) => sockets.push({ destroy: () => webSocket.terminate() }))
      await once(answering, 'listening')
      const { port } = answering.address() as { port: number }
      const connection = await network().connect(`ws://127.0.0.1:${port}/`, CONNECT)
      const closed = new Promise<string>((resolve) => (connection.onClose = resolve))
      connection.setBounds({ idleMs: SHORT_MS })
      return { connection, closed }
    }
    const [mute, alive] = [await dialled(false), await dialled(true)]
    const first = await Promise.race([mute.closed, alive.closed.then((reason) => `alive: ${reason}`)])
    expect(first).toBe(`was silent for ${SHORT_MS} ms`)
    alive.connection.close()
    expect(await alive.closed).toBe('closed by this side')
  })
})
