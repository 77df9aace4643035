/**
 * A load balancer for TCP, as in front of a cluster: one port, behind which each connection gets the next target that can be
 * reached.
 */
import { connect, createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'

const HOST = '127.0.0.1'

export class LoadBalancer {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  /** Ports on loopback. */
  targets: readonly number[] = []
  #next = 0

  private constructor(server: Server) {
    this.#server = server
  }

  static async open(): Promise<LoadBalancer> {
    const server = createServer({ noDelay: true })
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(0, HOST, resolve)
    })
    const balancer = new LoadBalancer(server)
    server.on('connection', (socket) => balancer.#join(socket, balancer.targets.length))
    return balancer
  }

  /** `host:port`. */
  get address(): string {
    return `${HOST}:${(this.#server.address() as AddressInfo).port}`
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #join(near: Socket, attemptsLeft: number): void {
    const port = this.targets[this.#next++ % this.targets.length]
    if (attemptsLeft === 0 || port === undefined) {
      near.destroy()
      return
    }
    const far = connect({ host: HOST, port, noDelay: true })
    let isJoined = false
    far.on('connect', () => {
      isJoined = true
      near.pipe(far).pipe(near)
      near.on('close', () => far.destroy())
    })
    far.on('error', () => undefined) // The close below says what there is to say.
    far.on('close', () => {
      if (isJoined) near.destroy()
      else this.#join(near, attemptsLeft - 1)
    })
    near.on('error', () => undefined)
    for (const socket of [near, far]) {
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket))
    }
  }
}
