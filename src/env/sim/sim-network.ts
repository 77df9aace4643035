/**
 * The network of a simulation: who listens where, and the state of the links (faults.md F-PART, F-NET).
 *
 * Hosts are node names; `localhost` and loopback addresses mean the node itself. Links are one-way pairs of names. A
 * cut link delays what is sent over it until it heals and lets no connection be opened; a dial is repeated as systems do,
 * and what a deadline makes of that is the users' business, as it is in reality.
 */
import { assert } from '../../base/assert.ts'
import { onAbort } from '../../base/on-abort.ts'
import type { Clock } from '../clock.ts'
import type {
  Connection,
  ConnectOptions,
  Listener,
  ListenOptions,
  Network,
  NetworkErrorCode,
  Transport,
} from '../network.ts'
import { NetworkError } from '../network.ts'
import type { Prng } from './prng.ts'
import { SimConnection } from './sim-connection.ts'
import type { SimNode, SimProcess } from './sim-node.ts'
import type { Simulation } from './simulation.ts'

/** First port given out for port 0, and the first that a client is shown to come from. */
const FREE_PORTS_FROM = 1024
/** Share of the writes that are cut up: each piece is an event, and in a second of a busy cluster there are hundreds. */
const CUT_RATE = 0.03
/** A system repeats a dial that nobody answers after 1, 3, 7 and 15 s, so these are the waits in between. */
const DIAL_AGAIN_MS = [1000, 2000, 4000, 8000] as const
const TRANSPORTS: ReadonlyMap<string, Transport> = new Map<string, Transport>([
  ['tcp', 'tcp'],
  ['ws', 'websocket'],
  ['wss', 'websocket'],
])
const LOOPBACK: ReadonlySet<string> = new Set(['localhost', '127.0.0.1', '[::1]', '0.0.0.0'])

interface Listening {
  readonly process: SimProcess
  readonly clock: Clock
  readonly options: ListenOptions
  readonly accept: (connection: Connection) => void
  readonly open: Set<SimConnection>
  isClosed: boolean
}

export class SimNetwork {
  /** Bounds of the delay from node to node in ms. */
  latencyMs: readonly [number, number] = [0.02, 0.5]
  /** Probability that an arriving piece has one bit flipped. */
  corruptionRate = 0
  readonly #simulation: Simulation
  readonly #random: Prng
  readonly #listening = new Map<string, Listening>()
  readonly #connections = new Set<SimConnection>()
  readonly #cut = new Set<string>()
  readonly #latencyByLink = new Map<string, readonly [number, number]>()
  /** When a clogged link lets through what was sent meanwhile, in virtual ms. */
  readonly #cloggedUntilMs = new Map<string, number>()
  #lastConnectionId = 0
  #lastPort = FREE_PORTS_FROM

  constructor(simulation: Simulation) {
    this.#simulation = simulation
    this.#random = simulation.stream('network')
  }

  /** Cuts the link one way, from `from` to `to`. */
  cut(from: string, to: string): void {
    this.#cut.add(linkName(from, to))
  }

  /** Cuts all links between the two sides, both ways. */
  partition(side: readonly string[], other: readonly string[]): void {
    for (const a of side) {
      for (const b of other) {
        this.cut(a, b)
        this.cut(b, a)
      }
    }
  }

  /** Sets the bounds of the delay one way, in ms, in place of `latencyMs`. */
  delay(from: string, to: string, latencyMs: readonly [number, number]): void {
    this.#latencyByLink.set(linkName(from, to), latencyMs)
  }

  /** What is sent one way in the next `durationMs` arrives in a burst after it; nothing is lost (clogging). */
  clog(from: string, to: string, durationMs: number): void {
    this.#cloggedUntilMs.set(linkName(from, to), this.#simulation.nowMs + durationMs)
  }

  /** Heals one link one way, or all of them: cuts, delays and clogs end. */
  heal(from?: string, to?: string): void {
    const isHealed = (name: string) => from === undefined || to === undefined || name === linkName(from, to)
    for (const faults of [this.#cut, this.#latencyByLink, this.#cloggedUntilMs])
      for (const name of [...faults.keys()]) if (isHealed(name)) faults.delete(name)
    for (const connection of this.#connections) {
      if (!this.isCut(connection.process.node.name, connection.peer.process.node.name))
        connection.onLinkHealed()
    }
  }

  isCut(from: string, to: string): boolean {
    return this.#cut.size > 0 && this.#cut.has(linkName(from, to))
  }

  /** Resets every connection between two nodes, as a middlebox may; both ends see it. */
  reset(a: string, b: string): void {
    for (const connection of [...this.#connections]) {
      const names = [connection.process.node.name, connection.peer.process.node.name]
      if (names.includes(a) && names.includes(b)) connection.stop('connection reset')
    }
  }

  /** What is open or listens, by the names of the nodes, for tests that look for leaks. */
  openEnds(): readonly string[] {
    const ends = Array.from(
      this.#connections,
      ({ process, peer }) => `${process.node.name}>${peer.process.node.name}`,
    )
    return [...ends, ...Array.from(this.#listening.keys(), (address) => `listens at ${address}`)]
  }

  /**
   * Loses every connection that there is between two nodes, and tells neither: what is sent over one vanishes, as when a
   * middlebox has forgotten it (half-open, faults.md F-NET, NW-1). New ones can be opened.
   *
   * @returns How many there were.
   */
  sever(a: string, b: string): number {
    let count = 0
    for (const connection of this.#connections) {
      const from = connection.process.node.name
      const to = connection.peer.process.node.name
      if (!((from === a && to === b) || (from === b && to === a))) continue
      connection.isSevered = true
      count++
    }
    return count / 2
  }

  /** The port for one life of a node's process. */
  portFor(process: SimProcess, clock: Clock): Network {
    return {
      listen: (options, accept) => this.#listen(process, clock, options, accept),
      connect: (url, options) => this.#connect(process, clock, url, options),
    }
  }

  /** @param isKill - The machine lives on and its kernel resets the connections; without power nobody does. */
  onProcessDied(process: SimProcess, isKill: boolean): void {
    for (const [address, listening] of this.#listening) {
      if (listening.process === process) this.#listening.delete(address)
    }
    for (const connection of [...this.#connections]) {
      if (connection.process !== process) continue
      if (isKill) this.sendReset(connection)
      this.forget(connection)
    }
  }

  // For connections:

  nextConnectionId(): number {
    return ++this.#lastConnectionId
  }

  drawLatency(from: SimNode, to: SimNode): number {
    const drawn = this.#drawDelay(from.name, to.name)
    return from === to ? drawn / 10 : drawn
  }

  /** Cuts some of the writes at seeded places; the others arrive in as few pieces as the window allows. */
  cutInPieces(bytes: Uint8Array, piecesMax: number, pieceBytesMax: number): Uint8Array[] {
    const pieces: Uint8Array[] = []
    let position = 0
    let cuts = this.#random.chance(CUT_RATE) ? this.#random.below(piecesMax) : 0
    while (position < bytes.length) {
      const left = Math.min(bytes.length - position, pieceBytesMax)
      const size = cuts-- > 0 ? 1 + this.#random.below(left) : left
      pieces.push(bytes.subarray(position, position + size))
      position += size
    }
    return pieces
  }

  corrupt(bytes: Uint8Array): Uint8Array {
    if (this.#random.chance(this.corruptionRate))
      bytes[this.#random.below(bytes.length)]! ^= 1 << this.#random.below(8)
    return bytes
  }

  /** Tells the other end of `connection` that it is gone; lost if the link is cut. */
  sendReset(connection: SimConnection): void {
    const { peer } = connection
    if (connection.isSevered) return
    const from = connection.process.node
    const to = peer.process.node
    this.#simulation.schedule(this.drawLatency(from, to), `net reset ${from.name}>${to.name}`, () => {
      if (!this.isCut(from.name, to.name)) peer.stop('connection reset by the peer')
    })
  }

  forget(connection: SimConnection): void {
    this.#connections.delete(connection)
    for (const listening of this.#listening.values()) listening.open.delete(connection)
  }

  #drawDelay(from: string, to: string): number {
    if (this.#cloggedUntilMs.size === 0 && this.#latencyByLink.size === 0)
      return this.#random.between(...this.latencyMs)
    const link = linkName(from, to)
    const cloggedMs = (this.#cloggedUntilMs.get(link) ?? 0) - this.#simulation.nowMs
    return Math.max(0, cloggedMs) + this.#random.between(...(this.#latencyByLink.get(link) ?? this.latencyMs))
  }

  async #listen(
    process: SimProcess,
    clock: Clock,
    options: ListenOptions,
    accept: (connection: Connection) => void,
  ): Promise<Listener> {
    const port = options.port === 0 ? ++this.#lastPort : options.port
    const address = `${process.node.name}:${port}`
    if (this.#listening.has(address)) {
      throw new NetworkError('NETWORK_ADDRESS_IN_USE', `Listened on ${address}: the address is in use`)
    }
    const listening: Listening = { process, clock, options, accept, open: new Set(), isClosed: false }
    if (process.isAlive) this.#listening.set(address, listening)
    return {
      host: options.host,
      port,
      get connectionCount() {
        return listening.open.size
      },
      close: async () => {
        listening.isClosed = true
        if (this.#listening.get(address) === listening) this.#listening.delete(address)
      },
    }
  }

  #connect(process: SimProcess, clock: Clock, url: string, options: ConnectOptions): Promise<Connection> {
    const match = /^(\w+):\/\/(\[[^\]]*\]|[^:/]+):(\d+)(?:\/.*)?$/.exec(url)
    const transport = TRANSPORTS.get(match?.[1] ?? '')
    const isPeer = options.subprotocol === 'millrace-peer'
    if (match === null || transport === undefined || (isPeer && transport === 'tcp')) {
      return Promise.reject(
        new NetworkError(
          'NETWORK_BAD_ADDRESS',
          `Connected to ${url}: wanted tcp://host:port or ws://host:port, and ws for peers`,
        ),
      )
    }
    const host = match[2]!
    const name = LOOPBACK.has(host) ? process.node.name : host
    return new Promise((resolve, reject) => {
      let isOver = false
      const finish = (act: () => void) => {
        if (isOver) return
        isOver = true
        cancelTimer()
        forget()
        act()
      }
      const fail = (code: NetworkErrorCode, why: string) =>
        finish(() => reject(new NetworkError(code, `Connected to ${url}: ${why}`)))
      const giveUp = () => fail('NETWORK_ABORTED', 'given up by the caller')
      const forget = onAbort(options.signal, giveUp)
      const cancelTimer = clock.after(options.timeoutMs, () =>
        fail('NETWORK_TIMED_OUT', `no answer within ${options.timeoutMs} ms`),
      )
      if (options.signal?.aborted === true) {
        giveUp()
        return
      }
      const { node } = process
      const target = this.#simulation.findNode(name)
      const what = `net ${node.name}>${name} connect`
      const dial = (attempt: number): void => {
        this.#simulation.schedule(this.#drawDelay(node.name, name), what, () => {
          if (isOver || !process.isAlive) return
          const isDeaf =
            target === null || !target.hasPower || this.isCut(node.name, name) || this.isCut(name, node.name)
          if (isDeaf) {
            const againMs = DIAL_AGAIN_MS[attempt]
            if (againMs === undefined) return // Then only time tells.
            this.#simulation.schedule(againMs, what, () => {
              if (!isOver && process.isAlive) dial(attempt + 1)
            })
            return
          }
          const listening = this.#listening.get(`${name}:${match[3]!}`)
          const isRefused = listening !== undefined && isPeer && listening.options.takesPeers !== true
          const server =
            listening === undefined || isRefused
              ? null
              : this.#acceptAt(listening, process, clock, transport, options)
          process.schedule(this.#drawDelay(name, node.name), `net ${name}>${node.name} connected`, () => {
            if (isRefused) fail('NETWORK_REFUSED_BY_PEER', 'it takes no peers')
            else if (server === null)
              fail('NETWORK_UNREACHABLE', 'nothing listens there, or it has all the connections it allows')
            else if (isOver) server.peer.close('given up by the caller')
            else finish(() => resolve(server.peer))
          })
        })
      }
      dial(0)
    })
  }

  /** Makes both ends; null when the listener has all it allows. */
  #acceptAt(
    listening: Listening,
    process: SimProcess,
    clock: Clock,
    transport: Transport,
    options: ConnectOptions,
  ): SimConnection | null {
    const { limits, port } = listening.options
    const { subprotocol = 'kafka' } = options
    const fromNode = [...listening.open].filter((one) => one.peer.process.node === process.node).length
    if (listening.open.size >= limits.connectionsMax || fromNode >= limits.connectionsPerAddressMax)
      return null
    const { clock: serverClock, process: serverProcess } = listening
    const server = new SimConnection(
      this,
      serverProcess,
      serverClock,
      `${process.node.name}:${this.#lastConnectionId}`,
      transport,
      subprotocol,
      {
        ...limits,
        firstMessageByMs: serverClock.monotonicMs() + limits.handshakeMs,
      },
    )
    const client = new SimConnection(
      this,
      process,
      clock,
      `${serverProcess.node.name}:${port}`,
      transport,
      subprotocol,
      {
        ...options,
        idleMs: Infinity,
        messageMs: Infinity,
        sendStallMs: Infinity,
        firstMessageByMs: Infinity,
      },
    )
    assert(server.id !== client.id, 'Each end has an id of its own')
    client.joinTo(server)
    server.joinTo(client)
    this.#connections.add(server).add(client)
    listening.open.add(server)
    serverProcess.schedule(0, 'net accept', () => {
      if (server.isClosed) return
      // The process stood still meanwhile, and its first act after that was to listen no more.
      if (listening.isClosed) server.close('nothing listens there any more')
      else listening.accept(server)
    })
    return server
  }
}

function linkName(from: string, to: string): string {
  return `${from}>${to}`
}
