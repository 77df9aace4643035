/**
 * Links between processes in this process, by name, that can be cut and delayed; and connections that obey them.
 *
 * The dialler's end of a connection holds both directions back: what is sent over a cut link waits in order and comes when the
 * link heals, as TCP's retransmission makes it; a connection cannot be made over it. A connection that is closed meanwhile is
 * closed for that side at once, and for the other when the link heals.
 */
import { onAbort } from '../../base/on-abort.ts'
import type { Cancel, Clock } from '../clock.ts'
import type { Connection, ConnectionBounds, ConnectOptions, Network } from '../network.ts'
import { NetworkError } from '../network.ts'
import type { Random } from '../random.ts'

interface Ports {
  readonly clock: Pick<Clock, 'after' | 'endOfTurn' | 'monotonicMs'>
  readonly random: Pick<Random, 'below'>
}

export class Links {
  readonly #ports: Ports
  readonly #cut = new Set<string>()
  readonly #delays = new Map<string, readonly [number, number]>()
  readonly #pipes = new Set<Pipe>()

  constructor(ports: Ports) {
    this.#ports = ports
  }

  cut(from: string, to: string): void {
    this.#cut.add(linkName(from, to))
  }

  delay(from: string, to: string, delayMs: readonly [number, number]): void {
    this.#delays.set(linkName(from, to), delayMs)
  }

  /** Ends all cuts and delays; what waits goes on its way. */
  heal(): void {
    this.#cut.clear()
    this.#delays.clear()
    for (const pipe of [...this.#pipes]) pipe.pump()
  }

  isCut(from: string, to: string): boolean {
    return this.#cut.has(linkName(from, to))
  }

  drawDelayMs(from: string, to: string): number {
    const law = this.#delays.get(linkName(from, to))
    if (law === undefined) return 0
    return law[0] + ((law[1] - law[0]) * this.#ports.random.below(1000)) / 1000
  }

  open(from: string, to: string): Pipe {
    const pipe = new Pipe(this, this.#ports.clock, from, to, () => this.#pipes.delete(pipe))
    this.#pipes.add(pipe)
    return pipe
  }

  /** The network as the process of that name has it. @param nameOf - Whose a URL is; null: of nobody with a link. */
  networkOf(name: string, network: Network, nameOf: (url: string) => string | null): Network {
    return {
      listen: (options, accept) => network.listen(options, accept),
      connect: async (url, options) => {
        const to = nameOf(url)
        if (to === null || to === name) return network.connect(url, options)
        if (this.isCut(name, to) || this.isCut(to, name)) await this.#noAnswer(url, options)
        return new LinkedConnection(await network.connect(url, options), this, this.#ports.clock, name, to)
      },
    }
  }

  /** Rejects when the caller's patience ends: a cut link may heal, but what was sent into it is lost. */
  #noAnswer(url: string, options: ConnectOptions): Promise<never> {
    return new Promise((_resolve, reject) => {
      const end = (error: NetworkError) => {
        cancel()
        forget()
        reject(error)
      }
      const cancel = this.#ports.clock.after(options.timeoutMs, () => {
        const why = `no answer within ${options.timeoutMs} ms`
        end(new NetworkError('NETWORK_TIMED_OUT', `Connected to ${url}: ${why}`))
      })
      const giveUp = () =>
        end(new NetworkError('NETWORK_ABORTED', `Connected to ${url}: given up by the caller`))
      const forget = onAbort(options.signal, giveUp)
      if (options.signal?.aborted === true) giveUp()
    })
  }
}

/** One direction of a connection: what goes through comes out in order, when the link lets it. */
class Pipe {
  readonly #links: Links
  readonly #clock: Ports['clock']
  readonly #from: string
  readonly #to: string
  readonly #onClosed: () => void
  #waiting: { readonly atMs: number; readonly run: () => void; readonly bytes: number }[] = []
  #cancel: Cancel | null = null
  /** Sent and not come out. */
  bytes = 0

  constructor(links: Links, clock: Ports['clock'], from: string, to: string, onClosed: () => void) {
    this.#links = links
    this.#clock = clock
    this.#from = from
    this.#to = to
    this.#onClosed = onClosed
  }

  push(run: () => void, bytes = 0): void {
    const delayMs = this.#links.drawDelayMs(this.#from, this.#to)
    if (this.#waiting.length === 0 && delayMs === 0 && !this.#links.isCut(this.#from, this.#to)) {
      run()
      return
    }
    this.bytes += bytes
    this.#waiting.push({ atMs: this.#clock.monotonicMs() + delayMs, run, bytes })
    this.pump()
  }

  pump(): void {
    this.#cancel?.()
    this.#cancel = null
    while (this.#waiting.length > 0 && !this.#links.isCut(this.#from, this.#to)) {
      const { atMs, run, bytes } = this.#waiting[0]!
      const delayMs = atMs - this.#clock.monotonicMs()
      if (delayMs > 0) {
        this.#cancel = this.#clock.after(delayMs, () => this.pump())
        return
      }
      this.#waiting.shift()
      this.bytes -= bytes
      run()
    }
  }

  close(): void {
    this.#cancel?.()
    this.#waiting = []
    this.#onClosed()
  }
}

/** The dialler's end of a connection over a link. */
class LinkedConnection implements Connection {
  onMessage: (message: Uint8Array) => void = () => undefined
  onDrain: () => void = () => undefined
  onClose: (reason: string) => void = () => undefined
  readonly #inner: Connection
  readonly #clock: Ports['clock']
  readonly #out: Pipe
  readonly #in: Pipe
  #isClosed = false

  constructor(inner: Connection, links: Links, clock: Ports['clock'], from: string, to: string) {
    this.#inner = inner
    this.#clock = clock
    this.#out = links.open(from, to)
    this.#in = links.open(to, from)
    inner.onMessage = (message) =>
      this.#in.push(() => {
        if (!this.#isClosed) this.onMessage(message)
      })
    inner.onDrain = () => {
      if (!this.#isClosed && this.#out.bytes === 0) this.onDrain()
    }
    inner.onClose = (reason) => this.#in.push(() => this.#ended(reason, true))
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
    return this.#isClosed ? 0 : this.#out.bytes + this.#inner.bufferedBytes
  }

  send(message: readonly Uint8Array[]): void {
    if (this.#isClosed) return
    const bytes = message.reduce((sum, piece) => sum + piece.length, 0)
    this.#out.push(() => {
      const wasHeld = this.#out.bytes > 0
      this.#inner.send(message)
      if (wasHeld && this.#out.bytes === 0) this.#clock.endOfTurn(() => this.#isClosed || this.onDrain())
    }, bytes)
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
    if (this.#isClosed) return
    this.#out.push(() => {
      this.#inner.close(reason)
      this.#out.close()
    })
    this.#clock.endOfTurn(() => this.#ended(reason ?? 'closed by this side', false))
  }

  #ended(reason: string, isByPeer: boolean): void {
    this.#in.close()
    if (this.#isClosed) return
    this.#isClosed = true
    // What was sent to a peer that is gone, and not what was sent before this side closed.
    if (isByPeer) this.#out.close()
    this.onClose(reason)
  }
}

function linkName(from: string, to: string): string {
  return `${from}>${to}`
}
