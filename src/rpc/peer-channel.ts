/**
 * Requests to one node for one purpose, over whatever connection there is to it at the time.
 *
 * Invariants:
 * - Requests leave in the order of the calls, and none is ever sent twice: a call whose connection breaks fails, and its
 *   caller, who knows whether it may be repeated, decides.
 * - A call that comes while there is no connection waits for one attempt to make one, no longer: so a caller that tries
 *   again at once is slowed by the pauses of the link, and one that does not hears soon that it should look elsewhere.
 */
import { onAbort } from '../base/on-abort.ts'
import type { Cancel, Clock } from '../env/index.ts'
import { apis } from '../protocol/apis.ts'
import type { ApiName, RequestInputOf, ResponseOf } from '../protocol/apis.ts'
import { ChannelError, ClientChannel } from './client-channel.ts'
import type { CallOptions } from './client-channel.ts'
import type { PeerLink } from './peer-link.ts'
import type { PeerLimits, PeerSession } from './peer-limits.ts'

const STOPPING = 'this node is stopping'

export interface PeerChannel {
  readonly nodeId: number
  readonly isConnected: boolean

  /**
   * Sends a request in the highest version; its bytes are handed over until the answer is there.
   *
   * @throws {ChannelError} As `ClientChannel.call`; `wasSent` tells whether the node may have acted on it. When no
   *   connection came about it is `CHANNEL_CLOSED` with the `PeerError` as its cause.
   */
  call<A extends ApiName>(api: A, body: RequestInputOf<A>, options: CallOptions): Promise<ResponseOf<A>>

  /** Ends the present connection for a fault of the node; the next call opens another. */
  disconnect(reason: string): void
}

export class LinkedChannel implements PeerChannel {
  readonly #clock: Clock
  readonly #link: PeerLink
  readonly #limits: PeerLimits
  readonly #clientId: string
  #channel: ClientChannel | null = null
  /** Calls without a connection, oldest first. */
  readonly #waiting = new Set<WaitingCall>()
  #isClosed = false

  /** @param clientId - What this node calls itself in its requests. */
  constructor(clock: Clock, link: PeerLink, limits: PeerLimits, clientId: string) {
    this.#clock = clock
    this.#link = link
    this.#limits = limits
    this.#clientId = clientId
  }

  get nodeId(): number {
    return this.#link.nodeId
  }

  get isConnected(): boolean {
    return this.#channel !== null
  }

  call<A extends ApiName>(api: A, body: RequestInputOf<A>, options: CallOptions): Promise<ResponseOf<A>> {
    const version = apis[api].versions.last
    const channel = this.#channel
    if (channel !== null && !channel.isClosed) return channel.call(api, version, body, options)
    const { signal, timeoutMs } = options
    return new Promise((resolve, reject) => {
      const fail = (code: ChannelError['code'], why: string, cause?: unknown): void => {
        const message = `No answer to ${api} from node ${this.nodeId}: ${why}`
        reject(new ChannelError(code, message, false, { cause }))
      }
      if (signal?.aborted === true) {
        fail('CHANNEL_ABORTED', 'given up by the caller before it began', signal.reason)
        return
      }
      if (this.#isClosed) {
        fail('CHANNEL_CLOSED', STOPPING)
        return
      }
      if (this.#waiting.size >= this.#limits.callsWaitingMax) {
        fail('CHANNEL_CLOSED', `${this.#limits.callsWaitingMax} calls wait for a connection`)
        return
      }
      const deadlineMs = this.#clock.monotonicMs() + timeoutMs
      const settle = (outcome: () => void): void => {
        this.#waiting.delete(waiting)
        waiting.cancelTimer()
        forget()
        outcome()
      }
      const waiting: WaitingCall = {
        cancelTimer: this.#clock.after(timeoutMs, () =>
          settle(() => fail('CHANNEL_TIMED_OUT', `no connection within ${timeoutMs} ms`)),
        ),
        send: (opened) =>
          settle(() => {
            const leftMs = Math.max(0, deadlineMs - this.#clock.monotonicMs())
            resolve(opened.call(api, version, body, { timeoutMs: leftMs, signal }))
          }),
        fail: (why, cause) => settle(() => fail('CHANNEL_CLOSED', why, cause)),
      }
      const forget = onAbort(signal, () =>
        settle(() => fail('CHANNEL_ABORTED', 'given up by the caller', signal?.reason)),
      )
      this.#waiting.add(waiting)
      this.#link.want()
    })
  }

  disconnect(reason: string): void {
    if (this.#channel !== null && !this.#channel.isClosed) this.#channel.close(reason)
  }

  /** Takes a session that the link opened. @param onClose - Told when it has ended. */
  opened({ connection }: PeerSession, onClose: (reason: string) => void): void {
    const channel = new ClientChannel(connection, this.#clock, {
      clientId: this.#clientId,
      sendHighWaterBytes: this.#limits.sendHighWaterBytes,
      onClose: (reason) => {
        if (this.#channel === channel) this.#channel = null
        onClose(reason)
        // Calls that came after this end gave the connection up, and before it was closed.
        if (this.#waiting.size > 0) this.#link.want()
      },
    })
    this.#channel = channel
    for (const call of [...this.#waiting]) call.send(channel)
  }

  /** An attempt to connect failed, or there will be no more: whoever waits for it hears why. */
  failed(error: Error): void {
    for (const call of [...this.#waiting]) call.fail(error.message, error)
  }

  /** What was sent leaves; calls without an answer fail. */
  close(): void {
    this.#isClosed = true
    this.#channel?.close()
    this.failed(new Error(STOPPING))
  }
}

interface WaitingCall {
  readonly cancelTimer: Cancel
  readonly send: (channel: ClientChannel) => void
  readonly fail: (why: string, cause: unknown) => void
}
