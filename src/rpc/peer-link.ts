/**
 * This node's way to one other node for one purpose: a connection that is opened when somebody wants it, and again, after
 * a growing pause, when it was lost and is wanted again. Where the node is is asked anew for each attempt.
 *
 *   idle -> waiting (for the pause to end) -> dialling -> up -> idle          closed, from any of them, is final
 */
import { backoffMs } from '../base/backoff.ts'
import type { Cancel } from '../env/index.ts'
import type { PeerDoor, PeerPorts } from './peer-door.ts'
import { PeerError } from './peer-error.ts'
import type { PeerLimits, PeerSession } from './peer-limits.ts'
import type { PeerPurpose } from './peer-messages.ts'

export interface PeerLinkOptions {
  readonly nodeId: number
  readonly purpose: PeerPurpose
  readonly limits: PeerLimits
  readonly addressOf: (nodeId: number) => string | null
  /** In the turn in which the session is proven. */
  readonly onUp: (session: PeerSession) => void
  /** An attempt came to nothing; the next one begins when somebody wants it. */
  readonly onFailed: (error: PeerError) => void
}

type LinkState =
  | { readonly kind: 'idle' }
  | { readonly kind: 'waiting'; readonly cancel: Cancel }
  | { readonly kind: 'dialling'; readonly cancel: Cancel }
  | { readonly kind: 'up'; readonly session: PeerSession; readonly sinceMs: number }
  | { readonly kind: 'closed' }

export class PeerLink {
  readonly nodeId: number
  readonly purpose: PeerPurpose
  readonly #ports: Pick<PeerPorts, 'clock' | 'random' | 'logger'>
  readonly #door: PeerDoor
  readonly #options: PeerLinkOptions
  #state: LinkState = { kind: 'idle' }
  /** In a row; a session that did not live as long as the longest pause counts as one. */
  #failureCount = 0
  /** Earliest time of the next attempt. */
  #notBeforeMs = 0
  /** What the log was told last, so that it is told once. */
  #toldCode: string | null = null

  constructor(
    ports: Pick<PeerPorts, 'clock' | 'random' | 'logger'>,
    door: PeerDoor,
    options: PeerLinkOptions,
  ) {
    this.#ports = ports
    this.#door = door
    this.#options = options
    this.nodeId = options.nodeId
    this.purpose = options.purpose
  }

  get isUp(): boolean {
    return this.#state.kind === 'up'
  }

  get isDialling(): boolean {
    return this.#state.kind === 'dialling'
  }

  /** Whether an address is known, so that wanting the link makes sense. */
  get hasAddress(): boolean {
    return this.#options.addressOf(this.nodeId) !== null
  }

  /** Sees to it that the link comes up: begins an attempt unless one is under way or due. */
  want(): void {
    if (this.#state.kind !== 'idle') return
    const pauseMs = this.#notBeforeMs - this.#ports.clock.monotonicMs()
    if (pauseMs <= 0) this.#dial()
    else this.#state = { kind: 'waiting', cancel: this.#ports.clock.after(pauseMs, () => this.#dial()) }
  }

  /** The session has ended. */
  lost(session: PeerSession): void {
    if (this.#state.kind !== 'up' || this.#state.session !== session) return
    const nowMs = this.#ports.clock.monotonicMs()
    if (nowMs - this.#state.sinceMs >= this.#options.limits.retryMaxMs) this.#failureCount = 0
    this.#pauseAfterFailure(nowMs)
  }

  /** Ends the present session, if there is one, for a fault of the other end. */
  disconnect(reason: string): void {
    if (this.#state.kind === 'up') this.#state.session.connection.close(reason)
  }

  close(): void {
    const state = this.#state
    this.#state = { kind: 'closed' }
    if (state.kind === 'waiting' || state.kind === 'dialling') state.cancel()
  }

  #dial(): void {
    const { addressOf, onUp } = this.#options
    const url = addressOf(this.nodeId)
    if (url === null) {
      const attempt = `No connection to node ${this.nodeId} for ${this.purpose}`
      this.#failed(new PeerError('PEER_ADDRESS_UNKNOWN', 'its address is not known', { attempt }))
      return
    }
    const cancel = this.#door.dial(url, this.nodeId, this.purpose, {
      opened: (session) => {
        this.#state = { kind: 'up', session, sinceMs: this.#ports.clock.monotonicMs() }
        this.#toldCode = null
        onUp(session)
      },
      failed: (error) => {
        this.#failed(error)
      },
    })
    this.#state = { kind: 'dialling', cancel }
  }

  #failed(error: PeerError): void {
    this.#pauseAfterFailure(this.#ports.clock.monotonicMs())
    this.#tell(error)
    this.#options.onFailed(error)
  }

  #pauseAfterFailure(nowMs: number): void {
    const { retryFirstMs, retryMaxMs } = this.#options.limits
    this.#failureCount++
    const pause = { initialMs: retryFirstMs, maxMs: retryMaxMs }
    this.#notBeforeMs = nowMs + backoffMs(pause, this.#failureCount, this.#ports.random)
    this.#state = { kind: 'idle' }
  }

  /** A node that is down is news once; a refusal is a mistake that somebody has to correct. */
  #tell(error: PeerError): void {
    const isTold = this.#toldCode === error.code
    this.#toldCode = error.code
    const isPassing = ['PEER_UNREACHABLE', 'PEER_LOST', 'PEER_ADDRESS_UNKNOWN', 'PEER_BUSY'].includes(
      error.code,
    )
    // A link to forward by is made for one connection: the other links to the node tell that it is down, once.
    const isNews = !isTold && !(isPassing && this.purpose === 'forward')
    const level = !isNews ? 'debug' : isPassing ? 'info' : 'error'
    this.#ports.logger[level](error.message, { nodeId: this.nodeId, purpose: this.purpose, code: error.code })
  }
}
