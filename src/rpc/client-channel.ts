/**
 * The client's end of one connection: sends requests without waiting for answers, matches the answers, which come in
 * the order of the requests, and gives up on a connection that leaves one unanswered for too long. Before that it
 * tells of a peer that owes an answer and says nothing: whoever knows others may ask them what has become of it.
 *
 * Data plane: one `Call` a request, which tells its settler; one timer a connection, whatever the number of requests.
 *
 * Invariants:
 * - Calls settle in the order they were sent. An answer with another correlation id than the oldest call's closes the
 *   connection: from there on nobody can tell which answer belongs to what.
 * - A call that runs out of time closes the connection, since everything behind it waits for the same answer. So a call
 *   that failed by time or by a broken connection may or may not have taken effect.
 * - After the connection closed, every call has settled and no callback comes but `onClose`, once.
 */
import { Deque } from '../base/deque.ts'
import { onAbort } from '../base/on-abort.ts'
import type { Cancel, Clock, Connection } from '../env/index.ts'
import type { ApiName, RequestInputOf, ResponseOf } from '../protocol/apis.ts'
import { decodeResponse, encodeRequest, responseCorrelationId } from '../protocol/frame.ts'

/** Correlation ids are int32 on the wire and go round within the positive ones. */
const CORRELATION_ID_MAX = 0x7fff_ffff

export type ChannelErrorCode =
  /** The connection closed, or had closed, before there was an answer. */
  | 'CHANNEL_CLOSED'
  /** No answer in time; the connection was closed for it. */
  | 'CHANNEL_TIMED_OUT'
  /** The caller's signal; the answer will be dropped when it comes. */
  | 'CHANNEL_ABORTED'
  /** The answer is not what the protocol says; the connection was closed for it. */
  | 'CHANNEL_PROTOCOL_VIOLATED'

export class ChannelError extends Error {
  override readonly name = 'ChannelError'
  readonly code: ChannelErrorCode
  /** Whether the request had left, so that the broker may have acted on it. */
  readonly wasSent: boolean

  constructor(code: ChannelErrorCode, message: string, wasSent: boolean, options?: ErrorOptions) {
    super(message, options)
    this.code = code
    this.wasSent = wasSent
  }
}

export interface ClientChannelOptions {
  /** What the client calls itself in every request. */
  readonly clientId: string | null
  /** Bytes that may lie unsent before `isCongested` says so. */
  readonly sendHighWaterBytes: number
  /** What was unsent has left to a quarter: ask `isCongested` again. */
  readonly onDrain?: () => void
  /** Silence of a peer that owes an answer, in ms, after which `onSilent` is called. Default: never. */
  readonly silenceMs?: number
  /** The peer is silent; called again after each `silenceMs` more. */
  readonly onSilent?: () => void
  readonly onClose: (reason: string) => void
}

/** Hears how a request ended: one of the two, once, and never within the call that sent it. */
export interface Settler<A extends ApiName> {
  /** @param body - Byte strings in it are views of the received frame, which belongs to the settler. */
  answered(body: ResponseOf<A>): void
  failed(error: Error): void
}

export interface CallOptions {
  /** Time until the answer must be there, in ms. */
  readonly timeoutMs: number
  /** How long the request itself lets the peer wait with its answer, in ms: no silence counts before. Default 0. */
  readonly expectedMs?: number | undefined
  readonly signal?: AbortSignal | undefined
}

export class ClientChannel {
  readonly #connection: Connection
  readonly #clock: Clock
  readonly #options: ClientChannelOptions
  /** Requests without an answer, oldest first. */
  readonly #calls = new Deque<Call>()
  #nextCorrelationId = 0
  #cancelTimer: Cancel | null = null
  /** When the timer fires; Infinity without a timer. Invariant: no call's deadline is before it, nor a silence. */
  #timerAtMs = Infinity
  readonly #silenceMs: number
  #heardAtMs = -Infinity
  #closeReason: string | null = null

  constructor(connection: Connection, clock: Clock, options: ClientChannelOptions) {
    this.#silenceMs = options.silenceMs ?? Infinity
    this.#connection = connection
    this.#clock = clock
    this.#options = options
    connection.onMessage = (frame) => this.#receive(frame)
    connection.onDrain = () => options.onDrain?.()
    connection.onClose = (reason) => this.#closed(reason)
  }

  get remote(): string {
    return this.#connection.remote
  }

  get isClosed(): boolean {
    return this.#closeReason !== null
  }

  /** Requests that were sent and not answered, aborted ones included. */
  get inFlight(): number {
    return this.#calls.count
  }

  /** Bytes that the operating system has not taken yet. */
  get bufferedBytes(): number {
    return this.#connection.bufferedBytes
  }

  /** The peer does not take what is sent: hold back until `onDrain`. Nothing is refused meanwhile. */
  get isCongested(): boolean {
    return this.#connection.bufferedBytes > this.#options.sendHighWaterBytes
  }

  /** When the last answer came, on the monotonic clock; -Infinity before the first. */
  get heardAtMs(): number {
    return this.#heardAtMs
  }

  /** The peer owes an answer and has said nothing for `silenceMs`: it is slow, or gone without a word. */
  get isSilent(): boolean {
    return this.#silentAtMs() <= this.#clock.monotonicMs()
  }

  /**
   * Sends a request; its bytes are handed over until the answer is there.
   *
   * @param version - One that the broker serves.
   * @returns The answer. Byte strings in it are views of the received frame, which belongs to the caller.
   * @throws {ChannelError} `CHANNEL_CLOSED`, `CHANNEL_TIMED_OUT`, `CHANNEL_ABORTED`, `CHANNEL_PROTOCOL_VIOLATED`.
   * @throws {EncodeError} `ENCODE_FAILED`; nothing was sent then.
   */
  call<A extends ApiName>(
    api: A,
    version: number,
    body: RequestInputOf<A>,
    options: CallOptions,
  ): Promise<ResponseOf<A>> {
    const { signal, timeoutMs, expectedMs } = options
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) {
        reject(aborted(api, signal, false))
        return
      }
      const settler: Settler<A> = { answered: resolve, failed: reject }
      const heard = signal === undefined ? settler : watched(settler, api, signal)
      this.start(api, version, body, timeoutMs, heard, expectedMs)
    })
  }

  /**
   * As `call`, for those who send many requests: no promise, no closure.
   *
   * @param timeoutMs - Time until the answer must be there, in ms.
   * @param expectedMs - As `CallOptions.expectedMs`.
   * @throws {ChannelError} `CHANNEL_CLOSED` when nothing was sent; later failures go to the settler.
   * @throws {EncodeError} `ENCODE_FAILED`; nothing was sent then.
   */
  start<A extends ApiName>(
    api: A,
    version: number,
    body: RequestInputOf<A>,
    timeoutMs: number,
    settler: Settler<A>,
    expectedMs = 0,
  ): void {
    if (this.#closeReason !== null) {
      throw new ChannelError('CHANNEL_CLOSED', this.#failure(api, this.#closeReason), false)
    }
    const correlationId = this.#drawCorrelationId()
    const frame = encodeRequest(api, version, correlationId, this.#options.clientId, body)
    const sentMs = this.#clock.monotonicMs()
    const deadlineMs = sentMs + timeoutMs
    this.#calls.push({ api, version, correlationId, sentMs, expectedMs, deadlineMs, settler: settler })
    const wakeAtMs = Math.min(deadlineMs, sentMs + expectedMs + this.#silenceMs)
    if (wakeAtMs < this.#timerAtMs) this.#armTimer(wakeAtMs)
    this.#connection.send(frame)
  }

  /**
   * Sends a request to which the protocol knows no answer (Produce with acks=0).
   *
   * @throws {ChannelError} `CHANNEL_CLOSED`. @throws {EncodeError} `ENCODE_FAILED`.
   */
  send<A extends ApiName>(api: A, version: number, body: RequestInputOf<A>): void {
    if (this.#closeReason !== null) {
      throw new ChannelError('CHANNEL_CLOSED', this.#failure(api, this.#closeReason), false)
    }
    const frame = encodeRequest(api, version, this.#drawCorrelationId(), this.#options.clientId, body)
    this.#connection.send(frame)
  }

  /**
   * Closes; calls without an answer fail with `CHANNEL_CLOSED`.
   *
   * @param fault - What the peer did wrong; without one, what was sent leaves before the connection closes.
   */
  close(fault?: string): void {
    if (this.#closeReason !== null) return
    const reason = fault ?? 'closed by the client'
    this.#shut(reason, (call) => this.#closedError(call, reason))
    this.#connection.close(fault)
  }

  #drawCorrelationId(): number {
    const id = this.#nextCorrelationId
    this.#nextCorrelationId = id === CORRELATION_ID_MAX ? 0 : id + 1
    return id
  }

  #receive(frame: Uint8Array): void {
    if (this.#closeReason !== null) return
    const call = this.#calls.peek()
    let body: ResponseOf<ApiName>
    try {
      const correlationId = responseCorrelationId(frame)
      if (call === undefined) throw new Error(`an answer ${correlationId} that nobody asked for`)
      if (correlationId !== call.correlationId) {
        throw new Error(`answer ${correlationId}, wanted ${call.correlationId}`)
      }
      body = decodeResponse(call.api, call.version, frame).body
    } catch (error) {
      this.#violated(error instanceof Error ? error : new Error(String(error)))
      return
    }
    this.#calls.shift()
    this.#heardAtMs = this.#clock.monotonicMs()
    call.settler.answered(body as never)
  }

  #violated(cause: Error): void {
    const reason = `broken protocol: ${cause.message}`
    this.#shut(reason, (call) => {
      const message = this.#failure(call.api, reason)
      return new ChannelError('CHANNEL_PROTOCOL_VIOLATED', message, true, { cause })
    })
    this.#connection.close(reason)
  }

  #armTimer(atMs: number): void {
    this.#cancelTimer?.()
    this.#timerAtMs = atMs
    const delayMs = Math.max(0, atMs - this.#clock.monotonicMs())
    this.#cancelTimer = this.#clock.after(delayMs, () => this.#timerFired())
  }

  #timerFired(): void {
    this.#cancelTimer = null
    this.#timerAtMs = Infinity
    const nowMs = this.#clock.monotonicMs()
    let nextMs = Infinity
    for (let index = 0; index < this.#calls.count; index++) {
      const call = this.#calls.shift()!
      this.#calls.push(call)
      nextMs = Math.min(nextMs, call.deadlineMs)
    }
    if (nextMs <= nowMs) {
      this.#timedOut()
      return
    }
    let silentAtMs = this.#silentAtMs()
    if (silentAtMs <= nowMs) {
      silentAtMs = nowMs + this.#silenceMs
      this.#options.onSilent?.()
    }
    const wakeAtMs = Math.min(nextMs, silentAtMs)
    if (wakeAtMs < this.#timerAtMs && this.#closeReason === null) this.#armTimer(wakeAtMs)
  }

  /** When the peer counts as silent if nothing comes before. Answers come in order, so the oldest call is what it owes. */
  #silentAtMs(): number {
    const oldest = this.#calls.peek()
    if (oldest === undefined) return Infinity
    return Math.max(oldest.sentMs, this.#heardAtMs) + oldest.expectedMs + this.#silenceMs
  }

  #timedOut(): void {
    const reason = 'a request was not answered in time'
    this.#shut(reason, (call) => {
      const message = this.#failure(call.api, reason)
      return new ChannelError('CHANNEL_TIMED_OUT', message, true)
    })
    this.#connection.close(reason)
  }

  #closed(reason: string): void {
    if (this.#closeReason === null) this.#shut(reason, (call) => this.#closedError(call, reason))
    this.#options.onClose(this.#closeReason ?? reason)
  }

  #shut(reason: string, errorFor: (call: Call) => ChannelError): void {
    this.#closeReason = reason
    this.#cancelTimer?.()
    this.#cancelTimer = null
    for (let call = this.#calls.shift(); call !== undefined; call = this.#calls.shift()) {
      call.settler.failed(errorFor(call))
    }
  }

  #closedError(call: Call, reason: string): ChannelError {
    return new ChannelError('CHANNEL_CLOSED', this.#failure(call.api, reason), true)
  }

  #failure(api: ApiName, reason: string): string {
    return `No answer to ${api} from ${this.remote}: ${reason}`
  }
}

/** A request without an answer. */
interface Call {
  readonly api: ApiName
  readonly version: number
  readonly correlationId: number
  readonly sentMs: number
  readonly expectedMs: number
  readonly deadlineMs: number
  readonly settler: Settler<never>
}

/** Lets a signal settle a call before its answer does; what comes after that goes unheard. */
function watched<A extends ApiName>(settler: Settler<A>, api: A, signal: AbortSignal): Settler<A> {
  const unwatch = onAbort(signal, () => settler.failed(aborted(api, signal, true)))
  return {
    answered: (body) => {
      unwatch()
      settler.answered(body)
    },
    failed: (error) => {
      unwatch()
      settler.failed(error)
    },
  }
}

function aborted(api: ApiName, signal: AbortSignal, wasSent: boolean): ChannelError {
  return new ChannelError('CHANNEL_ABORTED', `${api} was aborted`, wasSent, { cause: signal.reason })
}
