/**
 * A TCP proxy that can be cut, as a network is: while it is, bytes stay where they are, in both directions, and nobody is
 * told (F-PART, F-NET). When it is healed they flow on, as over a link whose packets are sent again.
 *
 *   client ──> [ port of the proxy ] ──> [ target ]         cut: neither side is read, new connections lead nowhere
 */
import { connect, createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'

const HOST = '127.0.0.1'

export class TcpProxy {
  readonly #server: Server
  readonly #targetPort: number
  readonly #sockets = new Set<Socket>()
  #isCut = false
  /** What was held back by the cut, to be done when it is healed. */
  #held: (() => void)[] = []

  private constructor(server: Server, targetPort: number) {
    this.#server = server
    this.#targetPort = targetPort
  }

  /** @param port - Where it listens; 0 for any free port. */
  static async open(targetPort: number, port = 0): Promise<TcpProxy> {
    const server = createServer({ allowHalfOpen: true, noDelay: true })
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(port, HOST, resolve)
    })
    const proxy = new TcpProxy(server, targetPort)
    server.on('connection', (socket) => proxy.#accept(socket))
    return proxy
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  cut(): void {
    this.#isCut = true
    for (const socket of this.#sockets) socket.pause()
  }

  heal(): void {
    this.#isCut = false
    for (const socket of this.#sockets) socket.resume()
    for (const doIt of this.#held.splice(0)) doIt()
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #accept(from: Socket): void {
    const to = connect({ host: HOST, port: this.#targetPort, allowHalfOpen: true, noDelay: true })
    this.#carry(from, to)
    this.#carry(to, from)
  }

  #carry(from: Socket, to: Socket): void {
    this.#sockets.add(from)
    from.on('data', (chunk) => {
      if (to.write(chunk)) return
      from.pause()
      to.once('drain', () => this.#whenOpen(() => from.resume()))
    })
    from.on('end', () => this.#whenOpen(() => to.end()))
    from.on('error', () => undefined) // What it leads to is told to the other side by the close below.
    from.on('close', () => {
      this.#sockets.delete(from)
      this.#whenOpen(() => to.destroy())
    })
    if (this.#isCut) from.pause()
  }

  /** The ends of connections cross a cut no more than bytes do. */
  #whenOpen(doIt: () => void): void {
    if (this.#isCut) this.#held.push(doIt)
    else doIt()
  }
}
