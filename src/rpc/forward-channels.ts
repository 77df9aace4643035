/**
 * Channels to other nodes for requests of clients that this node passes on. Answers on a channel come in the order of the
 * requests, so whoever passes something on has a channel for itself until nothing of its own is under way; then the next one
 * gets it. A fetch that stands for data therefore holds up nobody else's requests.
 *
 *   acquire ──> idle one? ── no ──> room for one more? ── no ──> in line, until one is free or opened, or time is up
 *      │ yes                          │ yes: opened by the first call
 *      └──────────> lease <───────────┘ ──> released: connected? ── yes ──> idle ──> used again, or closed when it was long
 *                                                  └ no: forgotten
 *
 * Control plane but for `acquire` and `release` of an idle channel.
 *
 * Invariants:
 * - At most `forwardsPerNodeMax` channels to a node and `forwardsMax` in all; of those to a node at most
 *   `forwardsStandingMax` are held by requests that stand, so that those never keep out the others.
 * - A node that cannot be reached is tried by one channel at a time, after a pause that grows; who is in line meanwhile
 *   hears of each failure.
 */
import { backoffMs } from '../base/backoff.ts'
import { onAbort } from '../base/on-abort.ts'
import type { Cancel, Clock, Random } from '../env/index.ts'
import { ChannelError } from './client-channel.ts'
import type { PeerChannel } from './peer-channel.ts'
import type { PeerLimits } from './peer-limits.ts'

/** Whether a request waits for something to happen (Fetch), or is answered as soon as it can be. */
export type ForwardKind = 'standing' | 'brief'

/** A channel that nobody else uses. */
export interface ForwardLease {
  readonly channel: PeerChannel
  /** Gives it back. Nothing may be under way on it. */
  release(): void
  /** Ends it, with what is under way on it: those calls fail. */
  abandon(): void
}

/** A channel and the way to end it for good. */
export interface ForwardWay {
  readonly channel: PeerChannel
  close(): void
}

export interface ForwardWayEvents {
  readonly onUp: () => void
  readonly onFailed: (error: Error) => void
  readonly onDown: () => void
}

interface Place extends ForwardWay {
  readonly node: Node
  state: 'leased' | 'idle' | 'gone'
  kind: ForwardKind
  /** Its first connection has not come about yet. */
  isOpening: boolean
  idleSinceMs: number
}

interface Waiter {
  readonly kind: ForwardKind
  readonly give: (place: Place) => void
  readonly fail: (why: string, cause?: unknown) => void
}

/** What is known of one other node. */
interface Node {
  readonly id: number
  readonly places: Set<Place>
  /** The one used last is at the end. */
  readonly idle: Place[]
  /** Longest waiting first. */
  readonly line: Set<Waiter>
  /** Places that are opening, and those that are leased for requests that stand. */
  openingCount: number
  standingCount: number
  failureCount: number
  notBeforeMs: number
  cancelRetry: Cancel | null
}

export class ForwardChannels {
  readonly #ports: { readonly clock: Clock; readonly random: Random }
  readonly #limits: PeerLimits
  readonly #open: (nodeId: number, events: ForwardWayEvents) => ForwardWay
  readonly #nodes = new Map<number, Node>()
  #count = 0
  #cancelSweep: Cancel | null = null
  #isClosed = false

  /** @param open - Makes a channel that connects when it is called; it tells of its one connection. */
  constructor(
    ports: { readonly clock: Clock; readonly random: Random },
    limits: PeerLimits,
    open: (nodeId: number, events: ForwardWayEvents) => ForwardWay,
  ) {
    this.#ports = ports
    this.#limits = limits
    this.#open = open
  }

  /** Channels there are, to whatever node. */
  get count(): number {
    return this.#count
  }

  /**
   * A channel of one's own to a node; at once if there is an idle one or room for another.
   *
   * @throws {ChannelError} `CHANNEL_CLOSED` when the node cannot be reached, `CHANNEL_TIMED_OUT` after `forwardWaitMs`,
   *   `CHANNEL_ABORTED`; `wasSent` is false in each.
   */
  acquire(nodeId: number, kind: ForwardKind, signal: AbortSignal): Promise<ForwardLease> {
    const node = this.#nodeOf(nodeId)
    return new Promise((resolve, reject) => {
      const fail = (code: ChannelError['code'], why: string, cause?: unknown): void =>
        reject(new ChannelError(code, `No channel to node ${nodeId}: ${why}`, false, { cause }))
      if (this.#isClosed) {
        fail('CHANNEL_CLOSED', 'this node is stopping')
        return
      }
      const place = this.#hasOneInLine(node, kind) ? null : this.#take(node, kind)
      if (place !== null) {
        resolve(this.#leaseOf(place))
        return
      }
      const settle = (outcome: () => void): void => {
        node.line.delete(waiter)
        cancelTimer()
        forget()
        outcome()
      }
      const waiter: Waiter = {
        kind,
        give: (given) => settle(() => resolve(this.#leaseOf(given))),
        fail: (why, cause) => settle(() => fail('CHANNEL_CLOSED', why, cause)),
      }
      const { forwardWaitMs } = this.#limits
      const cancelTimer = this.#ports.clock.after(forwardWaitMs, () =>
        settle(() => fail('CHANNEL_TIMED_OUT', `none was free within ${forwardWaitMs} ms`)),
      )
      const forget = onAbort(signal, () => settle(() => fail('CHANNEL_ABORTED', 'given up by the caller')))
      node.line.add(waiter)
    })
  }

  /** Ends every channel; who waits for one hears so. */
  close(): void {
    this.#isClosed = true
    this.#cancelSweep?.()
    for (const node of this.#nodes.values()) {
      node.cancelRetry?.()
      for (const place of [...node.places]) this.#forget(place)
      for (const waiter of [...node.line]) waiter.fail('this node is stopping')
    }
  }

  #nodeOf(id: number): Node {
    let node = this.#nodes.get(id)
    if (node === undefined) {
      node = {
        ...{ id, places: new Set(), idle: [], line: new Set() },
        ...{ openingCount: 0, standingCount: 0, failureCount: 0, notBeforeMs: -Infinity, cancelRetry: null },
      }
      this.#nodes.set(id, node)
    }
    return node
  }

  #hasOneInLine(node: Node, kind: ForwardKind): boolean {
    for (const waiter of node.line) if (waiter.kind === kind) return true
    return false
  }

  /** A channel for the use of one, or null when there is none to be had now. */
  #take(node: Node, kind: ForwardKind): Place | null {
    if (kind === 'standing' && node.standingCount >= this.#limits.forwardsStandingMax) return null
    const place = node.idle.pop() ?? (this.#mayOpen(node) ? this.#add(node) : null)
    if (place === null) return null
    place.state = 'leased'
    place.kind = kind
    if (kind === 'standing') node.standingCount++
    return place
  }

  #mayOpen(node: Node): boolean {
    const { forwardsPerNodeMax, forwardsMax, forwardDialsMax } = this.#limits
    if (node.places.size >= forwardsPerNodeMax) return false
    if (node.openingCount >= (node.failureCount > 0 ? 1 : forwardDialsMax)) return false
    const pauseMs = node.notBeforeMs - this.#ports.clock.monotonicMs()
    if (pauseMs > 0) {
      node.cancelRetry ??= this.#ports.clock.after(pauseMs, () => {
        node.cancelRetry = null
        this.#serve(node)
      })
      return false
    }
    return this.#count < forwardsMax || this.#closeIdlest()
  }

  #add(node: Node): Place {
    const way = this.#open(node.id, {
      onUp: () => {
        this.#opened(place)
        node.failureCount = 0
        this.#serve(node)
      },
      onFailed: (error) => {
        if (place.state === 'gone') return
        this.#failed(node, error)
        this.#forget(place)
      },
      onDown: () => {
        if (place.state === 'idle') this.#forget(place)
      },
    })
    const place: Place = { ...way, node, state: 'leased', kind: 'brief', isOpening: true, idleSinceMs: 0 }
    node.places.add(place)
    node.openingCount++
    this.#count++
    return place
  }

  #opened(place: Place): void {
    if (!place.isOpening) return
    place.isOpening = false
    place.node.openingCount--
  }

  #failed(node: Node, error: Error): void {
    const { retryFirstMs, retryMaxMs } = this.#limits
    node.failureCount++
    const pause = { initialMs: retryFirstMs, maxMs: retryMaxMs }
    node.notBeforeMs =
      this.#ports.clock.monotonicMs() + backoffMs(pause, node.failureCount, this.#ports.random)
    for (const waiter of [...node.line]) waiter.fail(error.message, error)
  }

  #leaseOf(place: Place): ForwardLease {
    return {
      channel: place.channel,
      release: () => this.#release(place),
      abandon: () => this.#forget(place),
    }
  }

  #release(place: Place): void {
    if (place.state !== 'leased') return
    if (!place.channel.isConnected) {
      this.#forget(place)
      return
    }
    if (place.kind === 'standing') place.node.standingCount--
    place.state = 'idle'
    place.idleSinceMs = this.#ports.clock.monotonicMs()
    place.node.idle.push(place)
    this.#serve(place.node)
    this.#scheduleSweep()
  }

  /** Gives what is to be had to those in line: first to requests that are answered soon. */
  #serve(node: Node): void {
    for (const kind of ['brief', 'standing'] as const) {
      for (const waiter of [...node.line]) {
        // `take` may make room by closing a channel, which serves others in line before it comes back.
        if (waiter.kind !== kind || !node.line.has(waiter)) continue
        const place = this.#take(node, kind)
        if (place === null) break
        waiter.give(place)
      }
    }
  }

  #forget(place: Place): void {
    if (place.state === 'gone') return
    const { node } = place
    if (place.state === 'idle') node.idle.splice(node.idle.indexOf(place), 1)
    else if (place.kind === 'standing') node.standingCount--
    place.state = 'gone'
    node.places.delete(place)
    this.#opened(place)
    this.#count--
    place.close()
    if (this.#isClosed) return
    // Room in all: others may have waited for it.
    for (const other of this.#nodes.values()) if (other.line.size > 0) this.#serve(other)
  }

  /** Makes room in all at the cost of the channel that was idle for longest. */
  #closeIdlest(): boolean {
    let idlest: Place | null = null
    for (const { idle } of this.#nodes.values()) {
      const [first] = idle
      if (first !== undefined && (idlest === null || first.idleSinceMs < idlest.idleSinceMs)) idlest = first
    }
    if (idlest === null) return false
    this.#forget(idlest)
    return this.#count < this.#limits.forwardsMax
  }

  #scheduleSweep(): void {
    this.#cancelSweep ??= this.#ports.clock.after(this.#limits.forwardIdleMs, () => {
      this.#cancelSweep = null
      const idleSinceMs = this.#ports.clock.monotonicMs() - this.#limits.forwardIdleMs
      let idleCount = 0
      for (const { idle } of this.#nodes.values()) {
        for (const place of [...idle]) if (place.idleSinceMs <= idleSinceMs) this.#forget(place)
        idleCount += idle.length
      }
      if (idleCount > 0) this.#scheduleSweep()
    })
  }
}
