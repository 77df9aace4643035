/**
 * The broker's end of one connection: starts requests in order, answers them in order, and stops reading a peer
 * that asks for more than it takes.
 *
 * Data plane: one `Exchange` a request, nothing else is allocated here.
 *
 * Invariants:
 * - Answers leave in the order of the requests, whatever order they were completed in.
 * - A request starts when all before it were answered, as in Kafka, so that a client reads its own writes. The one
 *   exception is a run of requests of one `OverlapKind` (such as Produce): they start as they arrive, which lets
 *   one disk sync serve them all, and their effects are in order since each takes effect in the turn it starts.
 * - Reading stops while there are `inFlightMax` unanswered requests, while the shared request budget is used up, or
 *   while the peer leaves more than `sendHighWaterBytes` of answers lying (faults.md X19, X20). What one received
 *   chunk held beyond that waits here, unstarted.
 */
import type { Connection } from '../env/index.ts'
import type { ByteBudget } from './byte-budget.ts'

/** Names the requests that may be under way at the same time: those of one kind. */
export type OverlapKind = number

/** One request and, later, its answer. */
export class Exchange {
  /** The request message; it belongs to the handler. */
  readonly frame: Uint8Array
  readonly channel: ServerChannel
  /** Null: it is under way alone. */
  readonly overlap: OverlapKind | null
  /** Invariant: set once, by `respond`. */
  answer: readonly Uint8Array[] | null | undefined = undefined

  constructor(channel: ServerChannel, frame: Uint8Array, overlap: OverlapKind | null) {
    this.channel = channel
    this.frame = frame
    this.overlap = overlap
  }

  /** Answers the request; null when the protocol wants no answer (Produce with acks=0). */
  respond(answer: readonly Uint8Array[] | null): void {
    if (this.answer !== undefined) return
    this.answer = answer
    this.channel.answered()
  }
}

export interface ServerChannelOptions {
  /** Requests that may be unanswered before reading stops. */
  readonly inFlightMax: number
  /** Bytes of answers that may lie unsent before the next request waits. */
  readonly sendHighWaterBytes: number
  /** Bytes of unanswered requests, shared by all connections. */
  readonly requestBudget: ByteBudget
  /** Bytes of answers that lie at connections over their high-water mark, shared by all connections. */
  readonly responseBudget: ByteBudget
  readonly overlapOf: (frame: Uint8Array) => OverlapKind | null
  readonly onRequest: (exchange: Exchange) => void
  readonly onClose: (reason: string) => void
}

export class ServerChannel {
  readonly connection: Connection
  readonly #options: ServerChannelOptions
  /** Requests in the order they came. [0, #startedCount) are started, the rest wait. */
  readonly #exchanges: Exchange[] = []
  #startedCount = 0
  #requestBytes = 0
  /** What of `responseBudget` this connection holds; 0 unless it is congested. */
  #congestedBytes = 0
  #isPaused = false
  #isClosed = false
  #isStarting = false
  /** Set by `closeWhenIdle`: no request is started any more. */
  #isDraining = false
  readonly #endWatchers = new Set<() => void>()
  readonly #resume = (): void => this.#startWaiting()

  constructor(connection: Connection, options: ServerChannelOptions) {
    this.connection = connection
    this.#options = options
    connection.onMessage = (frame) => this.#receive(frame)
    connection.onDrain = () => {
      this.#accountCongestion()
      this.#startWaiting()
    }
    connection.onClose = (reason) => this.#closed(reason)
  }

  /** The connection is closed or about to close: a request that waits for something should be answered now. */
  get isEnding(): boolean {
    return this.#isClosed || this.#isDraining
  }

  /** The connection is closed: nothing can be answered any more. */
  get isClosed(): boolean {
    return this.#isClosed
  }

  /** Requests received and not answered. */
  get inFlight(): number {
    return this.#exchanges.length
  }

  /** Called by an exchange that got its answer: sends what is now in order, then starts what had to wait. */
  answered(): void {
    if (this.#isClosed) return
    let sentCount = 0
    for (const exchange of this.#exchanges) {
      if (exchange.answer === undefined) break
      this.#give(exchange.frame.length)
      if (exchange.answer !== null) this.connection.send(exchange.answer)
      sentCount++
    }
    if (sentCount === 0) return
    if (this.#isCongested()) this.#accountCongestion()
    this.#exchanges.splice(0, sentCount)
    this.#startedCount -= sentCount
    if (this.#isDraining && this.#startedCount === 0) this.connection.close()
    else this.#startWaiting()
  }

  /** Calls `watcher` once when `isEnding` becomes true. */
  watchEnd(watcher: () => void): void {
    this.#endWatchers.add(watcher)
  }

  unwatchEnd(watcher: () => void): void {
    this.#endWatchers.delete(watcher)
  }

  /** Closes because of what the peer did. */
  close(reason: string): void {
    this.connection.close(reason)
  }

  /** Closes once the started requests were answered; the waiting ones are dropped, as if never received. */
  closeWhenIdle(): void {
    this.#isDraining = true
    this.#pause()
    this.#wakeEndWatchers()
    if (this.#startedCount === 0) this.connection.close()
  }

  #receive(frame: Uint8Array): void {
    if (this.#isDraining) return
    this.#requestBytes += frame.length
    this.#options.requestBudget.take(frame.length)
    this.#exchanges.push(new Exchange(this, frame, this.#options.overlapOf(frame)))
    if (!this.#isStarting) this.#startWaiting()
  }

  #startWaiting(): void {
    if (this.#isStarting || this.#isClosed || this.#isDraining) return
    this.#isStarting = true
    try {
      while (this.#startedCount < this.#exchanges.length && !this.#isCongested()) {
        const next = this.#exchanges[this.#startedCount]!
        // Those that are under way are of one kind.
        if (this.#startedCount > 0 && (next.overlap === null || next.overlap !== this.#exchanges[0]!.overlap))
          break
        this.#startedCount++
        this.#options.onRequest(next)
      }
    } finally {
      // Also when `onRequest` throws, which is whoever called to deal with: the requests behind are not to wait for ever.
      this.#isStarting = false
    }
    this.#regulate()
  }

  #isCongested(): boolean {
    return this.connection.bufferedBytes > this.#options.sendHighWaterBytes
  }

  #accountCongestion(): void {
    const bytes = this.#isCongested() ? this.connection.bufferedBytes : 0
    if (bytes > this.#congestedBytes) this.#options.responseBudget.take(bytes - this.#congestedBytes)
    else this.#options.responseBudget.give(this.#congestedBytes - bytes)
    this.#congestedBytes = bytes
  }

  #regulate(): void {
    const { requestBudget, inFlightMax } = this.#options
    const overBudget = requestBudget.isExhausted && this.#requestBytes > 0
    if (overBudget) requestBudget.whenAvailable(this.#resume)
    if (overBudget || this.#exchanges.length >= inFlightMax || this.#isCongested()) this.#pause()
    else if (this.#isPaused) {
      this.#isPaused = false
      this.connection.resume()
    }
  }

  #wakeEndWatchers(): void {
    const watchers = [...this.#endWatchers]
    this.#endWatchers.clear()
    for (const watcher of watchers) watcher()
  }

  #pause(): void {
    if (this.#isPaused) return
    this.#isPaused = true
    this.connection.pause()
  }

  #give(bytes: number): void {
    this.#requestBytes -= bytes
    this.#options.requestBudget.give(bytes)
  }

  #closed(reason: string): void {
    this.#isClosed = true
    this.#options.requestBudget.forget(this.#resume)
    this.#give(this.#requestBytes)
    this.#options.responseBudget.give(this.#congestedBytes)
    this.#congestedBytes = 0
    this.#exchanges.length = 0
    this.#startedCount = 0
    this.#wakeEndWatchers()
    this.#options.onClose(reason)
  }
}
