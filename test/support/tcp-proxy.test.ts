import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { expect, it, onTestFinished } from 'vitest'
import { TcpProxy } from './tcp-proxy.ts'

/** One end of a connection: what it has received, how it ended, and waiting for either. */
class End {
  readonly socket: Socket
  received = ''
  ending: 'open' | 'reset' | 'closed' = 'open'
  #look: () => void = () => undefined

  constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (chunk) => {
      this.received += chunk.toString()
      this.#look()
    })
    socket.on('error', ({ code }: NodeJS.ErrnoException) => (this.ending = code === 'ECONNRESET' ? 'reset' : this.ending)) // prettier-ignore
    socket.on('close', () => {
      if (this.ending === 'open') this.ending = 'closed'
      this.#look()
    })
  }

  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await new Promise<void>((resolve) => (this.#look = resolve))
  }
}

/** A client and a server with a proxy in between, connected. */
async function connected(): Promise<{ proxy: TcpProxy; open: () => Promise<{ client: End; server: End }> }> {
  const accepted: ((socket: Socket) => void)[] = []
  const listener = createServer({ allowHalfOpen: true }, (socket) => accepted.shift()!(socket))
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve))
  const proxy = await TcpProxy.open((listener.address() as AddressInfo).port)
  const sockets: Socket[] = []
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy()
    await proxy.close()
    await new Promise((resolve) => listener.close(resolve))
  })
  const open = async (): Promise<{ client: End; server: End }> => {
    const arrived = new Promise<Socket>((resolve) => accepted.push(resolve))
    const client = new End(connect({ host: '127.0.0.1', port: proxy.port, noDelay: true }))
    const server = new End(await arrived)
    sockets.push(client.socket, server.socket)
    return { client, server }
  }
  return { proxy, open }
}

it('a cut one way holds what goes that way, lets the other way through, and gives up nothing when it is healed', async () => {
  const { proxy, open } = await connected()
  const { client, server } = await open()
  proxy.cut('there')
  client.socket.write('question')
  server.socket.write('news')
  await client.until(() => client.received === 'news')
  expect(server.received).toBe('')
  proxy.heal()
  await server.until(() => server.received === 'question')
})

it('slivers and delays change nothing of what comes, nor its order', async () => {
  const { proxy, open } = await connected()
  const { client, server } = await open()
  proxy.sliver()
  proxy.delay(1)
  const text = Array.from({ length: 300 }, (_, index) => String(index)).join()
  client.socket.write(text)
  client.socket.end('!')
  await server.until(() => server.received === `${text}!`)
  server.socket.end('bye')
  await client.until(() => client.received === 'bye')
})

it('a reset is one at both ends', async () => {
  const { proxy, open } = await connected()
  const { client, server } = await open()
  client.socket.write('a')
  await server.until(() => server.received === 'a')
  proxy.reset()
  await Promise.all([client, server].map((end) => end.until(() => end.ending === 'reset')))
})

it('of a connection that has vanished one end is reset and the other stays open until it is healed, and new ones work', async () => {
  const { proxy, open } = await connected()
  const { client, server } = await open()
  client.socket.write('a')
  await server.until(() => server.received === 'a')
  proxy.vanish('back')
  await server.until(() => server.ending === 'reset')
  client.socket.write('into the void')
  const fresh = await open()
  fresh.client.socket.write('b')
  await fresh.server.until(() => fresh.server.received === 'b')
  expect(client.ending).toBe('open')
  proxy.heal()
  await client.until(() => client.ending === 'reset')
})
