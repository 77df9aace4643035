/**
 * This broker's place in the cluster: registration, heartbeats, and leaving (KIP-631).
 *
 *   join ─► registered (fenced) ── heartbeats, metadata in effect ──► live ── leave: leaderships move ──► gone
 *
 * Control plane. Requests go to the active controller wherever that is; while there is none they are made again.
 *
 * Invariants:
 * - One heartbeat is under way at a time. A heartbeat names the metadata that is in effect here, never what was only read.
 * - A broker whose epoch the controller does not know any more has been replaced by another process: it stops at once.
 */
import type { Cancel, Clock, Logger } from '../env/index.ts'
import { errorByCode, errorCode } from '../protocol/errors.ts'
import type { RequestOf, ResponseOf } from '../protocol/apis.ts'
import { BrokerError } from './broker-error.ts'

/** What of the controller this needs; rejects when no controller could be asked in time. */
export interface MembershipGateway {
  call<A extends 'BrokerRegistration' | 'BrokerHeartbeat'>(
    api: A,
    request: RequestOf<A>,
    timeoutMs: number,
  ): Promise<ResponseOf<A>>
}

export interface MembershipOptions {
  readonly registration: Omit<RequestOf<'BrokerRegistration'>, 'previousBrokerEpoch'>
  /** Broker epoch of the last incarnation, if that one stopped cleanly; else -1: what it had in memory may be lost. */
  readonly previousBrokerEpoch: number
  /** The controller is in this process, and there is no other broker: nobody needs a sign of life. */
  readonly isAlone: boolean
  readonly heartbeatMs: number
  readonly sessionMs: number
  /** Offset after the last metadata record that is in effect here. */
  readonly metadataEndOffset: () => number
  /** Whether some other broker could take over what this one leads, as far as it is known here. */
  readonly hasHeirs: () => boolean
  /** The controller knows this process no more. */
  readonly onReplaced: (error: BrokerError) => void
}

/** First and longest pause between two tries to register, in ms. */
const RETRY_MIN_MS = 50
const RETRY_MAX_MS = 1000
/** How long a broker that stops waits until others lead what it led, in ms; and without any controller at all. */
const LEAVE_MS = 10_000
const LEAVE_WITHOUT_CONTROLLER_MS = 1000
/** The same when there is nobody to hand over to: who comes next need not wait for the end of the session, that is all. */
const LEAVE_WITHOUT_HEIRS_MS = 200

const ADVICE: ReadonlyMap<string, string> = new Map([
  [
    'DUPLICATE_BROKER_REGISTRATION',
    'another process runs under this node.id. Stop it, or give this one another',
  ],
  [
    'UNSUPPORTED_VERSION',
    'the cluster uses what this version does not know. Run the version of millrace that its other brokers run',
  ],
  ['INCONSISTENT_CLUSTER_ID', 'the controller is of another cluster. Set cluster.id to that of the cluster'],
])

/** What passes by itself, and is worth telling to whoever waits for the start. */
const OBSTACLES: ReadonlyMap<string, string> = new Map([
  [
    'DUPLICATE_BROKER_REGISTRATION',
    'the controller hears another process of this node.id, or waits for the end of its session',
  ],
  ['KAFKA_STORAGE_ERROR', 'the controller’s disk is full: make room there'],
])

export class Membership {
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #gateway: MembershipGateway
  readonly #options: MembershipOptions
  #brokerEpoch = -1
  #cancelBeat: Cancel = () => undefined
  #beating: Promise<void> | null = null
  #hasStarted = false
  #isStopped = false
  #isLive = false
  #lastAnswerMs = 0
  #obstacle: string | null = null
  #endPause: () => void = () => undefined
  #whenLive: (() => void)[] = []

  constructor(
    ports: { readonly clock: Clock; readonly logger: Logger },
    gateway: MembershipGateway,
    options: MembershipOptions,
  ) {
    this.#clock = ports.clock
    this.#logger = ports.logger
    this.#gateway = gateway
    this.#options = options
  }

  /** Epoch of this incarnation; -1 before it is registered. */
  get brokerEpoch(): number {
    return this.#brokerEpoch
  }

  /** Why a controller that answers does not register this broker yet; null: there is no such reason. */
  get obstacle(): string | null {
    return this.#obstacle
  }

  /** Whether the controller answered within the session time; a broker that is not heard is fenced after it. */
  get isHeard(): boolean {
    return this.#options.isAlone || this.#clock.monotonicMs() - this.#lastAnswerMs < this.#options.sessionMs
  }

  /**
   * Registers; tries until it succeeds, whatever passes by itself: a controller whose disk is full, too, has room again.
   *
   * @throws {BrokerError} `BROKER_NOT_REGISTERED`: the controller will not have this broker; the message says why.
   */
  async join(): Promise<void> {
    const { registration, previousBrokerEpoch, sessionMs } = this.#options
    const startedMs = this.#clock.monotonicMs()
    let pauseMs = RETRY_MIN_MS
    while (!this.#isStopped) {
      const found = await this.#ask(
        'BrokerRegistration',
        { ...registration, previousBrokerEpoch },
        this.#options.sessionMs,
      )
      if (typeof found !== 'string') {
        const { name, retriable } = errorByCode(found.errorCode)
        if (name === 'NONE') {
          this.#brokerEpoch = found.brokerEpoch
          this.#obstacle = null
          this.#lastAnswerMs = this.#clock.monotonicMs()
          return
        }
        // A process of this id that has just died is alive to the controller until its session ends.
        const mayStillEnd = this.#clock.monotonicMs() - startedMs < 2 * sessionMs
        const isTemporary = name === 'DUPLICATE_BROKER_REGISTRATION' ? mayStillEnd : retriable
        if (!isTemporary) throw refused(registration.brokerId, name)
        this.#obstacle = OBSTACLES.get(name) ?? null
      }
      await this.#pause(pauseMs)
      pauseMs = Math.min(pauseMs * 2, RETRY_MAX_MS)
    }
    throw new BrokerError('BROKER_NOT_REGISTERED', 'Registering the broker was given up: it stops')
  }

  /** Begins to send heartbeats. */
  start(): void {
    this.#hasStarted = true
    this.#beat()
  }

  /** Sends a heartbeat now: something that the controller waits for has come about. */
  beatNow(): void {
    if (this.#beating !== null || this.#isStopped || !this.#hasStarted) return
    this.#cancelBeat()
    this.#beat()
  }

  /** Resolves when the controller has let this broker lead. */
  live(): Promise<void> {
    if (this.#isLive) return Promise.resolve()
    return new Promise((resolve) => this.#whenLive.push(resolve))
  }

  /**
   * Leaves: the controller moves the leaderships of this broker to others. Resolves when it has, or when that takes too
   * long; the broker may stop in either case, only that others then find out by waiting.
   */
  async leave(): Promise<void> {
    if (this.#brokerEpoch < 0) return
    this.stop()
    await this.#beating
    const startedMs = this.#clock.monotonicMs()
    let heardMs = startedMs
    for (;;) {
      const patienceMs = this.#options.hasHeirs() ? LEAVE_WITHOUT_CONTROLLER_MS : LEAVE_WITHOUT_HEIRS_MS
      const found = await this.#within(patienceMs, this.#heartbeat(true, patienceMs))
      const nowMs = this.#clock.monotonicMs()
      const name = typeof found === 'string' ? 'NOT_CONTROLLER' : errorByCode(found.errorCode).name
      if (name === 'STALE_BROKER_EPOCH' || (typeof found !== 'string' && found.shouldShutDown)) return
      if (name !== 'NOT_CONTROLLER') heardMs = nowMs
      if (nowMs - startedMs >= LEAVE_MS || nowMs - heardMs >= patienceMs) {
        // When all stop, the last ones have no controller, and need none.
        if (this.#options.hasHeirs())
          this.#logger.warn(
            'Leaving without a word of the controller: others lead once the session has ended',
            {
              nodeId: this.#options.registration.brokerId,
            },
          )
        return
      }
      await this.#pause(RETRY_MIN_MS)
    }
  }

  /** Sends no more heartbeats, and gives up to join. */
  stop(): void {
    this.#isStopped = true
    this.#cancelBeat()
    this.#endPause()
  }

  #beat(): void {
    this.#beating = this.#beatOnce().finally(() => {
      this.#beating = null
      if (this.#isStopped || (this.#options.isAlone && this.#isLive)) return
      // Until the broker is let in, it asks often: each answer may be the one.
      const delayMs = this.#isLive ? this.#options.heartbeatMs : RETRY_MIN_MS
      this.#cancelBeat = this.#clock.after(delayMs, () => this.#beat())
    })
  }

  async #beatOnce(): Promise<void> {
    const found = await this.#heartbeat(false, this.#options.heartbeatMs)
    if (typeof found === 'string') return
    const { name } = errorByCode(found.errorCode)
    if (name === 'STALE_BROKER_EPOCH' || name === 'BROKER_ID_NOT_REGISTERED') {
      const { brokerId } = this.#options.registration
      if (this.#isStopped) return
      this.stop()
      this.#options.onReplaced(
        new BrokerError(
          'BROKER_REPLACED',
          `Broker ${brokerId} stops: the controller answered ${name}, another process has registered under this id or it was removed from the cluster`,
        ),
      )
      return
    }
    if (found.errorCode !== errorCode('NONE')) return
    this.#lastAnswerMs = this.#clock.monotonicMs()
    this.#setLive(!found.isFenced)
  }

  #setLive(isLive: boolean): void {
    if (isLive === this.#isLive) return
    this.#isLive = isLive
    if (!isLive) {
      this.#logger.warn('The controller has fenced this broker: it leads nothing until it has caught up', {
        nodeId: this.#options.registration.brokerId,
      })
      return
    }
    for (const resolve of this.#whenLive.splice(0)) resolve()
  }

  #heartbeat(wantShutDown: boolean, timeoutMs: number): Promise<ResponseOf<'BrokerHeartbeat'> | string> {
    const request = {
      brokerId: this.#options.registration.brokerId,
      brokerEpoch: this.#brokerEpoch,
      currentMetadataOffset: this.#options.metadataEndOffset() - 1,
      wantFence: false,
      wantShutDown,
      offlineLogDirs: [],
    }
    return this.#ask('BrokerHeartbeat', request, timeoutMs)
  }

  /** @returns The answer, or in words why there is none. */
  async #ask<A extends 'BrokerRegistration' | 'BrokerHeartbeat'>(
    api: A,
    request: RequestOf<A>,
    timeoutMs: number,
  ): Promise<ResponseOf<A> | string> {
    try {
      return await this.#gateway.call(api, request, timeoutMs)
    } catch (error) {
      return error instanceof Error ? error.message : String(error)
    }
  }

  /** A controller in this process that has lost its majority answers only once it has found that out. */
  #within<T>(timeoutMs: number, asked: Promise<T>): Promise<T | string> {
    return new Promise((resolve) => {
      const cancel = this.#clock.after(timeoutMs, () => resolve('There was no answer in time'))
      void asked.then((answer) => {
        cancel()
        resolve(answer)
      })
    })
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#clock.after(ms, resolve)
      this.#endPause = () => {
        cancel()
        resolve()
      }
    })
  }
}

function refused(brokerId: number, name: string): BrokerError {
  const advice = ADVICE.get(name) ?? `the controller answered ${name}`
  return new BrokerError('BROKER_NOT_REGISTERED', `Registering broker ${brokerId} failed: ${advice}`)
}
