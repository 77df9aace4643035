/**
 * Both ends of a simulated connection, and the two byte streams between them.
 *
 * Messages become length-prefixed bytes by the code that production runs on TCP; the bytes are cut at seeded places, each
 * piece arrives after a seeded delay, in order. A direction has a window: what the receiver has not read and what is
 * on its way is at most that much, the rest waits at the sender and counts as its `bufferedBytes`. While a link is
 * cut its pieces wait, as TCP's retransmission makes them, and come when it heals. Over WebSocket a silent peer is
 * pinged first, and answers if its process runs and reads.
 */
import type { Connection, ConnectionBounds, Subprotocol, Transport } from '../network.ts'
import { lengthPrefix, LengthPrefixDecoder } from '../length-prefix.ts'
import type { Cancel, Clock } from '../clock.ts'
import type { SimNetwork } from './sim-network.ts'
import type { SimProcess } from './sim-node.ts'

/** About the kernel's buffers of a connection; small, so that back-pressure is common. */
const WINDOW_BYTES = 64 * 1024
/** Kept apart in time, so that the order within a connection never depends on a tie. */
const MINIMAL_STEP_MS = 1e-6
/** A peer that was told goodbye has this long to answer it, as with real sockets. */
const GOODBYE_MS = 5_000
/** Largest share of `idleMs` that a peer has to answer a ping, as with real sockets. */
const PONG_MS_MAX = 15_000
/** A write is cut into at most this many pieces. */
const PIECES_MAX = 8

export interface SimConnectionLimits {
  readonly messageBytesMax: number
  readonly sendHighWaterBytes: number
  readonly idleMs: number
  readonly messageMs: number
  readonly sendStallMs: number
  readonly firstMessageByMs: number
}

/** What travels: bytes, a question for a sign of life and its answer, or the end of the stream. */
type Segment = Uint8Array | 'ping' | 'pong' | 'end'

export class SimConnection implements Connection {
  readonly id: number
  readonly transport: Transport
  readonly subprotocol: Subprotocol
  readonly remote: string
  readonly process: SimProcess
  /** Nothing that is sent from this side arrives any more. */
  isSevered = false
  onMessage: (message: Uint8Array) => void = () => undefined
  onDrain: () => void = () => undefined
  onClose: (reason: string) => void = () => undefined

  readonly #network: SimNetwork
  readonly #clock: Clock
  readonly #openedBytesMax: number
  #limits: SimConnectionLimits
  readonly #decoder: LengthPrefixDecoder
  #peer!: SimConnection
  /** What an arrival at the peer is called. */
  #wayLabel = ''
  #state: 'open' | 'closing' | 'closed' = 'open'
  #isPaused = false
  #isOverHighWater = false
  // Sending: gathered in this turn -> waiting for the window -> on the way to the peer, in order.
  #gathered: Uint8Array[] = []
  #gatheredBytes = 0
  #waiting: Segment[] = []
  #waitingBytes = 0
  #onWay: Segment[] = []
  #onWayBytes = 0
  #lastArrivalMs = 0
  /** Pieces whose time came while the link was cut. */
  #overdue = 0
  // Receiving: arrived, not read.
  #arrived: Segment[] = []
  #arrivedBytes = 0
  #isReadScheduled = false
  #lastReceivedMs: number
  #messageBegunMs: number | null = null
  #hasHadMessage = false
  #pingedAtMs: number | null = null
  #cancelWatch: Cancel | null = null
  #cancelGoodbye: Cancel | null = null
  #lastProgressMs: number

  constructor(
    network: SimNetwork,
    process: SimProcess,
    clock: Clock,
    remote: string,
    transport: Transport,
    subprotocol: Subprotocol,
    limits: SimConnectionLimits,
  ) {
    this.id = network.nextConnectionId()
    this.#network = network
    this.process = process
    this.#clock = clock
    this.remote = remote
    this.transport = transport
    this.subprotocol = subprotocol
    this.#limits = limits
    this.#openedBytesMax = limits.messageBytesMax
    this.#decoder = new LengthPrefixDecoder(limits.messageBytesMax, (message) => this.#deliver(message))
    this.#lastReceivedMs = clock.monotonicMs()
    this.#lastProgressMs = this.#lastReceivedMs
  }

  joinTo(peer: SimConnection): void {
    this.#peer = peer
    this.#wayLabel = `net ${this.process.node.name}>${peer.process.node.name}`
    this.#watch()
  }

  get peer(): SimConnection {
    return this.#peer
  }

  get isClosed(): boolean {
    return this.#state === 'closed'
  }

  get isLoopback(): boolean {
    return this.process.node === this.#peer.process.node
  }

  get bufferedBytes(): number {
    return this.#state === 'closed' ? 0 : this.#gatheredBytes + this.#waitingBytes
  }

  send(message: readonly Uint8Array[]): void {
    if (this.#state !== 'open' || !this.process.isAlive) return
    let bytes = 0
    for (const piece of message) bytes += piece.length
    if (this.#gathered.length === 0) this.#clock.endOfTurn(() => this.#flush())
    this.#gathered.push(lengthPrefix(bytes), ...message)
    this.#gatheredBytes += bytes
    if (this.bufferedBytes > this.#limits.sendHighWaterBytes) this.#isOverHighWater = true
  }

  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    this.#isPaused = false
    this.#lastReceivedMs = this.#clock.monotonicMs()
    this.#readLater()
  }

  setBounds({ messageBytesMax, idleMs }: ConnectionBounds): void {
    const bytesMax = Math.min(messageBytesMax ?? this.#limits.messageBytesMax, this.#openedBytesMax)
    this.#decoder.messageBytesMax = bytesMax
    this.#limits = { ...this.#limits, messageBytesMax: bytesMax, idleMs: idleMs ?? this.#limits.idleMs }
    this.#watch()
  }

  close(reason?: string): void {
    if (!this.process.isAlive) return
    if (reason !== undefined) {
      this.#network.sendReset(this)
      this.stop(reason)
      return
    }
    if (this.#state !== 'open') return
    this.#state = 'closing'
    this.#decoder.stop()
    this.#flush()
    this.#waiting.push('end')
    this.#pump()
    this.#cancelGoodbye = this.#clock.after(GOODBYE_MS, () => this.stop('closed by this side'))
    // What the peer still sends is read and dropped until it closes too.
    this.#isPaused = false
    this.#readLater()
  }

  /** The connection is over on this side: by a reset, a fault, or when both have said goodbye. */
  stop(reason: string): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#decoder.stop()
    this.#waiting = []
    this.#arrived = []
    this.#cancelWatch?.()
    this.#cancelGoodbye?.()
    this.#network.forget(this)
    this.process.schedule(0, 'net close', () => this.onClose(reason), reason)
  }

  /** The link from this side to the peer works again. */
  onLinkHealed(): void {
    const overdue = this.#overdue
    this.#overdue = 0
    for (let count = 0; count < overdue; count++) this.#scheduleArrival(0)
  }

  #flush(): void {
    const pieces = this.#gathered
    if (pieces.length === 0) return
    this.#gathered = []
    this.#gatheredBytes = 0
    if (this.#state === 'closed') return
    const bytes = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0))
    let position = 0
    for (const piece of pieces) {
      bytes.set(piece, position)
      position += piece.length
    }
    this.#waiting.push(...this.#network.cutInPieces(bytes, PIECES_MAX, WINDOW_BYTES))
    this.#waitingBytes += bytes.length
    this.#pump()
  }

  /** Sends as much as the window admits. */
  #pump(): void {
    let moved = false
    while (this.#waiting.length > 0) {
      const next = this.#waiting[0]!
      const room = WINDOW_BYTES - this.#onWayBytes - this.#peer.#arrivedBytes
      const size = sizeOf(next)
      if (size > room) break
      this.#waiting.shift()
      this.#waitingBytes -= size
      this.#onWay.push(next)
      this.#onWayBytes += size
      this.#scheduleArrival(this.#network.drawLatency(this.process.node, this.#peer.process.node))
      moved = true
    }
    if (moved || this.#waitingBytes === 0) this.#lastProgressMs = this.#clock.monotonicMs()
    if (this.#isOverHighWater && this.bufferedBytes <= this.#limits.sendHighWaterBytes / 4) {
      this.#isOverHighWater = false
      this.process.schedule(0, 'net drain', () => {
        if (this.#state === 'open') this.onDrain()
      })
    }
  }

  #scheduleArrival(delayMs: number): void {
    const { simulation } = this.process.node
    const atMs = Math.max(simulation.nowMs + delayMs, this.#lastArrivalMs + MINIMAL_STEP_MS)
    this.#lastArrivalMs = atMs
    simulation.schedule(atMs - simulation.nowMs, this.#wayLabel, this.#arrive)
  }

  /** The kernels' part: the process at the other end need not be running. */
  readonly #arrive = (): void => {
    if (this.isSevered) return
    const { node } = this.process
    const peer = this.#peer
    if (this.#network.isCut(node.name, peer.process.node.name)) {
      this.#overdue++
      return
    }
    const segment = this.#onWay.shift()
    if (segment === undefined) return
    this.#onWayBytes -= sizeOf(segment)
    if (peer.isClosed || !peer.process.isAlive) {
      // A machine that knows nothing of the connection answers with a reset; one without power does not answer.
      if (peer.process.node.hasPower) this.#network.sendReset(peer)
      return
    }
    peer.#arrived.push(typeof segment === 'string' ? segment : this.#network.corrupt(segment))
    peer.#arrivedBytes += sizeOf(segment)
    peer.#readNow()
  }

  /** A process that waits for nothing else reads in the instant in which something arrives: this is its event then. */
  #readNow(): void {
    const { node } = this.process
    if (node.isPaused) this.#readLater()
    if (this.#isReadScheduled || this.#isPaused) return
    node.simulation.actor = node
    this.#read()
  }

  #readLater(): void {
    if (this.#isReadScheduled || this.#isPaused || this.#arrived.length === 0) return
    this.#isReadScheduled = true
    this.process.schedule(0, 'net readable', () => this.#read())
  }

  #read(): void {
    this.#isReadScheduled = false
    if (this.#isPaused || this.isClosed) return
    const segment = this.#arrived.shift()
    if (segment === 'end') {
      this.#onPeerEnded()
      return
    }
    if (segment === undefined) return
    this.#arrivedBytes -= sizeOf(segment)
    const nowMs = this.#clock.monotonicMs()
    this.#lastReceivedMs = nowMs
    this.#pingedAtMs = null
    if (segment === 'ping') this.#sendSign('pong')
    if (this.#state === 'open' && typeof segment !== 'string') {
      const fault = this.#decoder.push(segment)
      if (!this.#decoder.isMidMessage) this.#messageBegunMs = null
      else this.#messageBegunMs ??= nowMs
      if (fault !== null) this.close(fault)
    }
    this.#peer.#onWindowMoved()
    this.#readLater()
  }

  /** The peer read something; told without delay, since only the sizes of buffers depend on it. */
  #onWindowMoved(): void {
    if (this.#state !== 'closed' && this.process.isAlive) this.#pump()
  }

  #sendSign(sign: 'ping' | 'pong'): void {
    if (this.#state !== 'open') return
    this.#waiting.push(sign)
    this.#pump()
  }

  #onPeerEnded(): void {
    if (this.#state === 'open') {
      this.close()
      // What did not fit into the window is dropped, and the peer, which has said its goodbye, is told so.
      if (this.#waiting.length > 0) this.#network.sendReset(this)
      this.stop('closed by the peer')
    } else {
      this.stop('closed by this side')
    }
  }

  #deliver(message: Uint8Array): void {
    this.#hasHadMessage = true
    this.#messageBegunMs = null
    this.onMessage(message)
  }

  /** The bounds in time, looked at when the first of them may be reached: what begins later ends later. */
  #watch(): void {
    const { idleMs, messageMs, sendStallMs, firstMessageByMs } = this.#limits
    const nowMs = this.#clock.monotonicMs()
    const sentByMs = (this.#waitingBytes > 0 ? this.#lastProgressMs : nowMs) + sendStallMs
    // The peer of a process that reads nothing is late with nothing.
    const receivedByMs = this.#isPaused
      ? nowMs + Math.min(idleMs, messageMs)
      : Math.min(
          (this.#messageBegunMs ?? nowMs) + messageMs,
          this.#hasHadMessage ? Infinity : firstMessageByMs,
          this.#silentByMs(nowMs),
        )
    const dueMs = Math.min(sentByMs, receivedByMs)
    if (!Number.isFinite(dueMs)) return
    this.#cancelWatch?.()
    this.#cancelWatch = this.#clock.after(Math.max(0, dueMs - nowMs) + MINIMAL_STEP_MS, () => {
      if (this.isClosed) return
      const overdue = this.#checkDeadlines(this.#clock.monotonicMs())
      if (overdue === null) this.#watch()
      else this.close(overdue)
    })
  }

  /** When the peer has been silent for too long, or for so long that it is asked for a sign of life. */
  #silentByMs(nowMs: number): number {
    const { idleMs } = this.#limits
    const askedByMs = this.#lastReceivedMs + idleMs
    if (this.transport !== 'websocket' || nowMs < askedByMs) return askedByMs
    return (this.#pingedAtMs ?? nowMs) + Math.min(idleMs, PONG_MS_MAX)
  }

  /** The fault of the peer by which a deadline has passed, or null. Over WebSocket a silent one is asked first. */
  #checkDeadlines(nowMs: number): string | null {
    const { idleMs, messageMs, sendStallMs, firstMessageByMs } = this.#limits
    if (this.#waitingBytes > 0 && nowMs - this.#lastProgressMs >= sendStallMs) {
      return `took nothing of what was sent for ${sendStallMs} ms`
    }
    if (this.#isPaused) return null
    if (!this.#hasHadMessage && nowMs >= firstMessageByMs)
      return 'sent no whole message in time after connecting'
    if (this.#messageBegunMs !== null && nowMs - this.#messageBegunMs >= messageMs) {
      return `began a message that was not whole within ${messageMs} ms`
    }
    if (nowMs - this.#lastReceivedMs < idleMs) return null
    if (this.transport === 'websocket') {
      if (this.#pingedAtMs === null) {
        this.#pingedAtMs = nowMs
        this.#sendSign('ping')
      }
      if (nowMs - this.#pingedAtMs < Math.min(idleMs, PONG_MS_MAX)) return null
    }
    return `was silent for ${idleMs} ms`
  }
}

function sizeOf(segment: Segment): number {
  return typeof segment === 'string' ? 0 : segment.length
}
