/** Nodes of a cluster that talk through `Peers`, on real sockets or in the simulation. */
import type { Clock, Connection, ListenLimits, Logger, Network, Random } from '../../../src/env/index.ts'
import { NodeClock } from '../../../src/env/node/node-clock.ts'
import { NodeNetwork } from '../../../src/env/node/node-network.ts'
import { NodeRandom } from '../../../src/env/node/node-random.ts'
import type { Simulation } from '../../../src/env/sim/simulation.ts'
import { decodeRequest, encodeResponse } from '../../../src/protocol/frame.ts'
import type { PeerError } from '../../../src/rpc/peer-error.ts'
import type { PeerLimits } from '../../../src/rpc/peer-limits.ts'
import { Peers } from '../../../src/rpc/peers.ts'
import type { RequestPurpose } from '../../../src/rpc/peers.ts'
import type { Exchange } from '../../../src/rpc/server-channel.ts'

export const CLUSTER = 'clusterclusterclusterA'
export const SECRET = 'what the nodes know'
const PORT = 9092

export const LISTEN_LIMITS: ListenLimits = {
  messageBytesMax: 1_000_000,
  connectionsMax: 1000,
  connectionsPerAddressMax: 1000,
  handshakeMs: 20_000,
  idleMs: 600_000,
  messageMs: 20_000,
  sendHighWaterBytes: 100_000,
  sendStallMs: 20_000,
}

interface Ports {
  readonly clock: Clock
  readonly random: Random
  readonly network: Network
}

/** Where the nodes live. */
export interface World {
  readonly ports: (name: string) => Ports
  readonly host: (name: string) => string
  readonly port: number
  /** Runs a story to its end. */
  readonly drive: (story: () => Promise<void>) => Promise<void>
}

export function socketWorld(): World {
  const clock = new NodeClock()
  return {
    ports: () => ({ clock, random: new NodeRandom(), network: new NodeNetwork(clock, silent) }),
    host: () => '127.0.0.1',
    port: 0,
    drive: (story) => story(),
  }
}

export function simWorld(simulation: Simulation): World {
  return {
    ports: (name) => simulation.env(name),
    host: (name) => name,
    port: PORT,
    drive: (story) => simulation.runUntil(story()),
  }
}

export interface NodeOptions {
  readonly clusterId?: string
  readonly secret?: string | null
  readonly directoryId?: string
  readonly limits?: Partial<PeerLimits>
  /** Name in the world, where it is not that of the node id. */
  readonly name?: string
}

/** Every level as one line `level code message`. */
export type LogLine = { readonly level: string; readonly text: string }

class Log extends Array<LogLine> {
  onLine: () => void = () => undefined
}

export class PeerNode {
  readonly nodeId: number
  readonly name: string
  readonly peers: Peers
  readonly url: string
  readonly log: Log
  /** Numbers of requests in the order they came. */
  readonly requests: { readonly from: number; readonly purpose: RequestPurpose; readonly number: number }[] =
    []
  readonly mail: string[] = []
  /** What the latest attempt between this node and each other came to, as `Peers` tells it. */
  readonly attempts: ReadonlyMap<number, PeerError | null>
  /** What becomes of a request; default: answered at once with its own number. */
  onRequest: (exchange: Exchange, number: number) => void = (exchange, number) => answer(exchange, number)

  constructor(
    nodeId: number,
    name: string,
    url: string,
    { peers, log, attempts }: Pick<PeerNode, 'peers' | 'log' | 'attempts'>,
  ) {
    this.nodeId = nodeId
    this.name = name
    this.url = url
    this.peers = peers
    this.log = log
    this.attempts = attempts
    peers.onRequest = (exchange, from, purpose) => {
      const request = decodeRequest(exchange.frame)
      if (request.kind !== 'served' || request.name !== 'InitProducerId') throw new Error('Not asked here')
      const number = request.body.transactionTimeoutMs
      this.requests.push({ from, purpose, number })
      this.onRequest(exchange, number)
    }
    peers.raft.onMessage = (from, frame) => this.mail.push(`${from}: ${Buffer.from(frame).toString()}`)
  }

  /** Asks a node for a number, which it answers with. */
  async ask(toId: number, number: number, timeoutMs = 10_000): Promise<number> {
    const body = { transactionalId: null, transactionTimeoutMs: number }
    const { producerId } = await this.peers.control(toId).call('InitProducerId', body, { timeoutMs })
    return producerId
  }

  post(toId: number, text: string): void {
    this.peers.raft.send(toId, [Buffer.from(text)])
  }

  logged(level: string, pattern: RegExp): boolean {
    return this.log.some((line) => line.level === level && pattern.test(line.text))
  }

  async untilLogged(level: string, pattern: RegExp): Promise<void> {
    while (!this.logged(level, pattern)) await new Promise<void>((resolve) => (this.log.onLine = resolve))
  }
}

export function answer(exchange: Exchange, number: number): void {
  const request = decodeRequest(exchange.frame)
  if (request.kind !== 'served') throw new Error('Not asked here')
  const { correlationId, apiVersion } = request.header
  const body = { errorCode: 0, producerId: number, producerEpoch: 0 }
  exchange.respond(encodeResponse('InitProducerId', apiVersion, correlationId, body))
}

/** Nodes of one cluster, and where each is thought to be. */
export class PeerCluster {
  readonly world: World
  readonly addresses = new Map<number, string>()
  readonly #listeners: { close(): Promise<void> }[] = []
  readonly #nodes: PeerNode[] = []

  constructor(world: World) {
    this.world = world
  }

  async start(nodeId: number, options: NodeOptions = {}): Promise<PeerNode> {
    const name = options.name ?? `n${nodeId}`
    const { clock, random, network } = this.world.ports(name)
    const log = new Log()
    const logger = recordingLogger(log)
    const early: Connection[] = []
    const attempts = new Map<number, PeerError | null>()
    let peers: Peers | null = null
    const listener = await network.listen(
      {
        host: this.world.host(name),
        port: this.world.port,
        protocols: ['websocket'],
        limits: LISTEN_LIMITS,
        origins: ['*'],
        takesPeers: true,
      },
      (connection) => {
        if (connection.subprotocol !== 'millrace-peer') return
        if (peers === null) early.push(connection)
        else peers.accept(connection)
      },
    )
    const made = new Peers(
      { clock, random, network, logger },
      {
        clusterId: options.clusterId ?? CLUSTER,
        nodeId,
        directoryId: options.directoryId ?? `disk1of${nodeId}`.padEnd(21, 'x') + 'A',
        secret: options.secret === undefined ? SECRET : options.secret,
        addressOf: (id) => this.addresses.get(id) ?? null,
        onAttempt: (id, error) => attempts.set(id, error),
        limits: options.limits ?? {},
      },
    )
    peers = made
    const url = `ws://${this.world.host(name)}:${listener.port}/`
    if (options.name === undefined) this.addresses.set(nodeId, url)
    const node = new PeerNode(nodeId, name, url, { peers: made, log, attempts })
    this.#listeners.push(listener)
    this.#nodes.push(node)
    return node
  }

  async close(): Promise<void> {
    await Promise.all(this.#nodes.map(({ peers }) => peers.close()))
    await Promise.all(this.#listeners.map((listener) => listener.close()))
  }
}

const silent: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
}

function recordingLogger(log: Log): Logger {
  const at =
    (level: string) =>
    (message: string, fields: Readonly<Record<string, unknown>> = {}) => {
      const shown = Object.entries(fields).map(([key, value]) => ` ${key}=${String(value)}`)
      log.push({ level, text: message + shown.join('') })
      log.onLine()
    }
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}
