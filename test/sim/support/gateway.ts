/**
 * A load balancer in front of a simulated cluster: one WebSocket address, behind which each connection gets a broker, one after
 * the other among those that can be reached. And a cluster of which all clients know that address alone.
 */
import type { Client } from '../../../src/client/client.ts'
import type { ClientOptions } from '../../../src/client/client-options.ts'
import type { Connection } from '../../../src/env/index.ts'
import { RawClient } from '../../support/raw-client.ts'
import { PORT, SimCluster } from './sim-cluster.ts'
import type { Host, SimClusterOptions } from './sim-cluster.ts'

const NAME = 'gateway'
export const GATEWAY = { host: NAME, port: PORT }
export const GATEWAY_URL = `ws://${NAME}:${PORT}`
const BOUNDS = { timeoutMs: 300, messageBytesMax: 2 ** 27, sendHighWaterBytes: 2 ** 20 }

export class GatewayCluster extends SimCluster {
  /** Connections that went to each broker, by its id. */
  readonly connections = new Map<number, number>()
  #next = 0

  /** A cluster of which every broker serves, behind a gateway. */
  static override async start(options: SimClusterOptions = {}): Promise<GatewayCluster> {
    const settings = { 'websocket.advertised.address': `${NAME}:${PORT}`, ...options.settings }
    const cluster = new GatewayCluster({ ...options, settings })
    await cluster.run(Promise.all(cluster.hosts.map((host) => cluster.begin(host))))
    await cluster.#listen()
    return cluster
  }

  override client(name: string, options: Partial<ClientOptions> = {}): Client {
    return super.client(name, { bootstrap: GATEWAY_URL, ...options })
  }

  /** One connection to one broker, past the gateway. */
  async webSocket(host: Host, name = 'raw'): Promise<RawClient> {
    const { network } = this.simulation.env(name)
    return new RawClient(await this.run(network.connect(`ws://${host.name}:${PORT}`, BOUNDS)))
  }

  async #listen(): Promise<void> {
    const { network } = this.simulation.env(NAME)
    await this.run(
      network.listen(
        {
          host: NAME,
          port: PORT,
          protocols: ['websocket'],
          limits: {
            ...{ messageBytesMax: 2 ** 27, connectionsMax: 10_000, connectionsPerAddressMax: 10_000 },
            ...{ handshakeMs: 10_000, idleMs: 600_000, messageMs: 30_000 },
            ...{ sendHighWaterBytes: 2 ** 20, sendStallMs: 30_000 },
          },
          origins: ['*'],
          takesPeers: false,
        },
        (near) => void this.#join(near),
      ),
    )
  }

  async #join(near: Connection): Promise<void> {
    const early: Uint8Array[] = []
    const end = { isReached: false }
    near.onMessage = (message) => early.push(message)
    near.onClose = () => (end.isReached = true)
    const far = await this.#dial()
    if (far === null || end.isReached) {
      far?.close()
      near.close('no broker can be reached')
      return
    }
    near.onMessage = (message) => far.send([message])
    far.onMessage = (message) => near.send([message])
    near.onClose = () => far.close()
    far.onClose = () => near.close()
    for (const message of early) far.send([message])
  }

  async #dial(): Promise<Connection | null> {
    const { network } = this.simulation.env(NAME)
    for (let attempt = 0; attempt < this.hosts.length; attempt++) {
      const host = this.hosts[this.#next++ % this.hosts.length]!
      if (host.broker === null) continue
      try {
        const connection = await network.connect(`ws://${host.name}:${PORT}`, BOUNDS)
        this.connections.set(host.id, (this.connections.get(host.id) ?? 0) + 1)
        return connection
      } catch {
        // The next one: that is what a load balancer is for.
      }
    }
    return null
  }
}
