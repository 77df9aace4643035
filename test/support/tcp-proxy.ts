/**
 * A TCP proxy that does to connections what networks do (F-PART, F-NET):
 *
 *   client ──> [ port of the proxy ] ──> [ target ]         there: what clients send; back: what comes back
 *
 *   cut      bytes stay where they are, in both directions or in one, and nobody is told; when it is healed they flow on, as
 *            over a link whose packets are sent again. New connections are taken, and lead nowhere
 *   delay    every piece comes later, in order
 *   sliver   pieces come byte by byte at first: whoever reads meets every frame in parts
 *   reset    all connections end with RST, at both ends
 *   vanish   one end of every connection is reset and the other is told nothing: half-open. New connections work. When it is
 *            healed the other end is reset, too, as whoever sends to a host that knows nothing of the connection
 */
import { connect, createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import { setImmediate as turn, setTimeout as pause } from 'node:timers/promises'

const HOST = '127.0.0.1'
/** Bytes of a piece that come one by one when pieces are slivered: more than the largest header of a frame. */
const SLIVERS = 64

export type Direction = 'there' | 'back'

/** What one end of a connection sends to the other. */
interface Lane {
  readonly direction: Direction
  readonly from: Socket
  readonly to: Socket
  /** A piece that is on its way for longer than a turn: what comes next waits behind it. */
  passing: Promise<unknown> | null
}

export class TcpProxy {
  readonly #server: Server
  readonly #targetPort: number
  readonly #lanes = new Set<Lane>()
  /** Ends of connections whose other ends were reset: they are kept open, and what they say is dropped. */
  readonly #orphans = new Set<Socket>()
  readonly #cuts = new Set<Direction>()
  #delayMs = 0
  #isSlivering = false
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

  /** @param direction - Default both. */
  cut(direction?: Direction): void {
    for (const each of direction === undefined ? (['there', 'back'] as const) : [direction])
      this.#cuts.add(each)
    for (const { direction: each, from } of this.#lanes) if (this.#cuts.has(each)) from.pause()
  }

  /** @param delayMs - Of every piece, in each direction. */
  delay(delayMs: number): void {
    this.#delayMs = delayMs
  }

  sliver(): void {
    this.#isSlivering = true
  }

  reset(): void {
    for (const { from } of this.#lanes) from.resetAndDestroy()
  }

  /** @param direction - The senders of this one are reset; those that they sent to hear nothing. */
  vanish(direction: Direction): void {
    for (const lane of this.#lanes) {
      if (lane.direction !== direction) continue
      this.#orphans.add(lane.to)
      lane.from.resetAndDestroy()
    }
  }

  /** All is well again; connections of which one end has vanished are gone. */
  heal(): void {
    for (const socket of this.#orphans) socket.resetAndDestroy()
    this.#cuts.clear()
    this.#delayMs = 0
    this.#isSlivering = false
    for (const lane of this.#lanes) if (lane.passing === null) lane.from.resume()
    for (const doIt of this.#held.splice(0)) doIt()
  }

  async close(): Promise<void> {
    for (const socket of this.#orphans) socket.destroy()
    for (const { from } of this.#lanes) from.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #accept(from: Socket): void {
    const to = connect({ host: HOST, port: this.#targetPort, allowHalfOpen: true, noDelay: true })
    this.#carry({ direction: 'there', from, to, passing: null })
    this.#carry({ direction: 'back', from: to, to: from, passing: null })
  }

  #carry(lane: Lane): void {
    const { from, to, direction } = lane
    this.#lanes.add(lane)
    from.on('data', (chunk) => this.#pass(lane, chunk))
    // The end of a stream is told as soon as its last piece was taken, also while the stream is paused.
    const after = (doIt: () => void): void =>
      void Promise.resolve(lane.passing).then(() => this.#whenOpen(direction, doIt))
    from.on('end', () => after(() => to.end()))
    from.on('error', () => undefined) // What it leads to is told to the other side by the close below.
    from.on('close', (hadError) => {
      this.#lanes.delete(lane)
      const isOrphaned = this.#orphans.delete(from) || this.#orphans.has(to)
      if (hadError && !isOrphaned) after(() => to.resetAndDestroy())
    })
    if (this.#cuts.has(direction)) from.pause()
  }

  #pass(lane: Lane, chunk: Buffer): void {
    if (this.#orphans.has(lane.from)) return
    if (this.#delayMs === 0 && !this.#isSlivering) {
      if (!lane.to.write(chunk)) this.#hold(lane, new Promise((resolve) => lane.to.once('drain', resolve)))
    } else this.#hold(lane, this.#passSlowly(lane.to, chunk))
  }

  async #passSlowly(to: Socket, chunk: Buffer): Promise<void> {
    if (this.#delayMs > 0) await pause(this.#delayMs)
    const slivers = this.#isSlivering ? Math.min(SLIVERS, chunk.length) : 0
    for (let at = 0; at < slivers; at++) {
      to.write(chunk.subarray(at, at + 1))
      await turn()
    }
    if (slivers < chunk.length) to.write(chunk.subarray(slivers))
  }

  /** Takes nothing more of a lane until `passed`. */
  #hold(lane: Lane, passed: Promise<unknown>): void {
    lane.passing = passed
    lane.from.pause()
    void passed.then(() => {
      lane.passing = null
      this.#whenOpen(lane.direction, () => lane.from.resume())
    })
  }

  /** The ends of connections cross a cut no more than bytes do. */
  #whenOpen(direction: Direction, doIt: () => void): void {
    if (this.#cuts.has(direction)) this.#held.push(doIt)
    else doIt()
  }
}
