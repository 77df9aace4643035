/** The network of a process that may be paused (gate.ts): connections and messages that come to it wait while it is. */
import type { Connection, ConnectionBounds, Network } from '../network.ts'
import type { Gate } from './gate.ts'

export function gatedNetwork(network: Network, gate: Gate): Network {
  return {
    listen: (options, accept) =>
      network.listen(options, (connection) => {
        const gated = new GatedConnection(connection, gate)
        gate.pass(() => accept(gated), true)
      }),
    connect: async (url, options) => {
      const connection = new GatedConnection(await network.connect(url, options), gate)
      if (gate.isShut) await new Promise<void>((resolve) => gate.pass(resolve))
      return connection
    },
  }
}

class GatedConnection implements Connection {
  onMessage: (message: Uint8Array) => void = () => undefined
  onDrain: () => void = () => undefined
  onClose: (reason: string) => void = () => undefined
  readonly #inner: Connection

  constructor(inner: Connection, gate: Gate) {
    this.#inner = inner
    inner.onMessage = (message) => gate.pass(() => this.onMessage(message), true)
    inner.onDrain = () => gate.pass(() => this.onDrain())
    inner.onClose = (reason) => gate.pass(() => this.onClose(reason))
  }

  get id(): number {
    return this.#inner.id
  }

  get transport(): Connection['transport'] {
    return this.#inner.transport
  }

  get subprotocol(): Connection['subprotocol'] {
    return this.#inner.subprotocol
  }

  get isLoopback(): boolean {
    return this.#inner.isLoopback
  }

  get remote(): string {
    return this.#inner.remote
  }

  get bufferedBytes(): number {
    return this.#inner.bufferedBytes
  }

  send(message: readonly Uint8Array[]): void {
    this.#inner.send(message)
  }

  pause(): void {
    this.#inner.pause()
  }

  resume(): void {
    this.#inner.resume()
  }

  setBounds(bounds: ConnectionBounds): void {
    this.#inner.setBounds(bounds)
  }

  close(reason?: string): void {
    this.#inner.close(reason)
  }
}
