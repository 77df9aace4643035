/**
 * One member of a group, as its coordinator knows it (KIP-848): joins, sends heartbeats, says what it owns, is told what it
 * shall own, and leaves. What owning means is its host's business.
 *
 *   subscribe ─► joining (epoch 0) ─► member (epoch 1, 2, …) ─► left
 *                   ▲                     │ fenced, or suspended until resumed: nothing is owned any more
 *                   └─────────────────────┘
 *
 * Invariants:
 * - One heartbeat at a time. After one without an answer, and after any failure, the next one tells everything again.
 * - Whoever may be known to the coordinator says good-bye, be it that the answer to its joining never came.
 * - `epoch` is what the coordinator said last; 0 while it may not know the member. Nothing can be committed then.
 */
import { backoffMs } from '../../base/backoff.ts'
import type { Cancel } from '../../env/index.ts'
import type { RequestInputOf, ResponseOf } from '../../protocol/apis.ts'
import { errorByCode } from '../../protocol/errors.ts'
import { brokerError, ClientError, toError } from '../client-error.ts'
import type { GroupCoordinator } from './group-coordinator.ts'
import type { GroupConfig, Subscription } from './group-options.ts'
import { isPattern } from './group-options.ts'

export interface TopicIdPartitions {
  readonly topicId: string
  readonly partitions: readonly number[]
}

export interface MembershipHost {
  /** What the member shall own. The host gives back what it must, takes what it may, and says by `own` how far it is. */
  onTarget(target: readonly TopicIdPartitions[]): void
  /** The coordinator has given the member up; it joins anew, owning nothing. */
  onFenced(reason: ClientError): void
  /** It cannot be a member. Nothing is sent any more. */
  onFailed(error: ClientError): void
}

type Heartbeat = RequestInputOf<'ConsumerGroupHeartbeat'>

/** Failures in a row that are no news yet: a coordinator that moves, or is made for the first group, is there within a second. */
const QUIET_FAILURES = 3
/** A heartbeat without an answer for so long, in ms, is tried elsewhere: several fit into any session time-out. */
const HEARTBEAT_TIMEOUT_MS = 5_000
/** For leaving, in ms: the others find out by the session time-out otherwise. */
const LEAVE_TIMEOUT_MS = 3_000
/** How long the name of a static member may be taken by its former self, which has crashed: longer than usual session time-outs. */
const UNRELEASED_WAIT_MS = 120_000

const JOINING = 0
const LEAVING = -1
/** A static member that comes back. */
const LEAVING_FOR_A_WHILE = -2

const FENCED: ReadonlySet<string> = new Set([
  'FENCED_MEMBER_EPOCH',
  'UNKNOWN_MEMBER_ID',
  'GROUP_ID_NOT_FOUND',
])

export class Membership {
  readonly #coordinator: GroupCoordinator
  readonly #config: GroupConfig
  readonly #host: MembershipHost
  readonly #closing = new AbortController()
  #memberId: string
  #epoch = JOINING
  #life = 0
  #subscription: Subscription | null = null
  #toldSubscription: Subscription | null = null
  #owned: readonly TopicIdPartitions[] = []
  #toldOwned: readonly TopicIdPartitions[] | null = null
  #mustTellAll = true
  /** A heartbeat was sent that may have made it a member. */
  #mayBeKnown = false
  #failureCount = 0
  #unreleasedSinceMs: number | null = null
  #running: Promise<void> | null = null
  /** Ends the pause between two heartbeats. */
  #wake: (() => void) | null = null
  #isUrgent = false
  #isSuspended = false
  /** Those who wait for an answer to a heartbeat that is sent from now on. */
  #waiters: (() => void)[] = []

  constructor(coordinator: GroupCoordinator, config: GroupConfig, host: MembershipHost) {
    this.#coordinator = coordinator
    this.#config = config
    this.#host = host
    this.#memberId = coordinator.cluster.ports.random.uuid()
  }

  get memberId(): string {
    return this.#memberId
  }

  /** Of the member at its coordinator; 0 while it is none. */
  get epoch(): number {
    return this.#epoch
  }

  /** Changes when the group has given the member up: what it read before cannot be committed after. */
  get life(): number {
    return this.#life
  }

  /**
   * Whether the last heartbeat was answered. One that was not may have told the coordinator, late, of partitions given back
   * that this member has meant to take since: it takes nothing until the next answer.
   */
  get isCertain(): boolean {
    return !this.#mustTellAll
  }

  /** Joins with the first subscription, changes it with a later one. */
  subscribe(subscription: Subscription): void {
    this.#subscription = subscription
    if (this.#running === null) this.#running = this.#run()
    else this.#hurry()
  }

  /** Tells what the member owns now. */
  own(owned: readonly TopicIdPartitions[]): void {
    this.#owned = owned
    this.#hurry()
  }

  /** Resolves when the coordinator has been heard again, or will not be. */
  async heardAgain(): Promise<void> {
    if (this.#closing.signal.aborted || this.#isSuspended) return
    await new Promise<void>((resolve) => {
      this.#waiters.push(resolve)
      this.#hurry()
    })
  }

  /** Leaves the group until `resume`: the application is too slow, and others shall have its partitions. Never rejects. */
  async suspend(): Promise<void> {
    const mayBeKnown = this.#mayBeKnown
    this.#isSuspended = true
    this.#forget()
    this.#settleWaiters()
    if (mayBeKnown) await this.#leave()
  }

  /** Joins again. */
  resume(): void {
    this.#isSuspended = false
    this.#wake?.()
  }

  /** Leaves for good. What is owned must have been given back. Never rejects. */
  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return
    this.#closing.abort()
    this.#wake?.()
    await this.#running
    if (this.#mayBeKnown) await this.#leave()
    this.#epoch = JOINING
  }

  #settleWaiters(): void {
    for (const resolve of this.#waiters.splice(0)) resolve()
  }

  #hurry(): void {
    this.#isUrgent = true
    this.#wake?.()
  }

  async #run(): Promise<void> {
    while (!this.#closing.signal.aborted) {
      if (this.#isSuspended) {
        await this.#untilWoken()
        continue
      }
      this.#isUrgent = false
      const pauseMs = await this.#beat()
      this.#settleWaiters()
      if (pauseMs === null) break
      await this.#rest(pauseMs)
    }
    this.#settleWaiters()
  }

  #untilWoken(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = () => {
        this.#wake = null
        resolve()
      }
    })
  }

  /** Ends early when there is something to tell. */
  #rest(pauseMs: number): Promise<void> {
    const isOver = (): boolean => (this.#isUrgent && this.#failureCount === 0) || this.#closing.signal.aborted
    if (isOver()) return Promise.resolve()
    return new Promise((resolve) => {
      const done = (): void => {
        this.#wake = null
        cancel()
        resolve()
      }
      const cancel: Cancel = this.#coordinator.cluster.ports.clock.after(pauseMs, done)
      this.#wake = () => {
        if (isOver()) done()
      }
    })
  }

  /** Sends a heartbeat; ms until the next, or null when there will be none. */
  async #beat(): Promise<number | null> {
    const { signal } = this.#closing
    const [owned, subscription] = [this.#owned, this.#subscription]
    const life = this.#life
    let answer: ResponseOf<'ConsumerGroupHeartbeat'>
    try {
      const timeoutMs = HEARTBEAT_TIMEOUT_MS
      const body = this.#heartbeat()
      this.#mayBeKnown = true
      answer = await this.#coordinator.request('ConsumerGroupHeartbeat', () => body, { timeoutMs, signal })
    } catch (error) {
      if (signal.aborted) return null
      if (!(error instanceof ClientError)) throw error
      // A cluster that was there is waited for; one that never was is told at once.
      const isThere = this.#coordinator.cluster.nodes.size > 0
      return error.retriable && isThere ? this.#again(error) : this.#failed(error)
    }
    // While the answer came, the member may have given up its membership by itself.
    if (life !== this.#life) return 0
    if (answer.errorCode !== 0) return this.#refused(answer)
    this.#toldOwned = owned
    this.#toldSubscription = subscription
    this.#mustTellAll = false
    this.#failureCount = 0
    this.#unreleasedSinceMs = null
    this.#memberId = answer.memberId ?? this.#memberId
    this.#epoch = answer.memberEpoch
    if (answer.assignment !== null) this.#host.onTarget(answer.assignment.topicPartitions)
    return answer.heartbeatIntervalMs
  }

  #heartbeat(): Heartbeat {
    const { group, instanceId, rack, handlerTimeoutMs, assignor } = this.#config
    const identity = { groupId: group, memberId: this.#memberId, memberEpoch: this.#epoch, instanceId }
    const tellsAll = this.#mustTellAll
    return {
      ...identity,
      ...(tellsAll ? { rackId: rack, rebalanceTimeoutMs: handlerTimeoutMs, serverAssignor: assignor } : {}),
      ...(tellsAll || this.#subscription !== this.#toldSubscription
        ? subscriptionOf(this.#subscription!)
        : {}),
      ...(tellsAll || this.#owned !== this.#toldOwned ? { topicPartitions: this.#owned } : {}),
    }
  }

  #refused(answer: ResponseOf<'ConsumerGroupHeartbeat'>): number | null {
    const { name } = errorByCode(answer.errorCode)
    const attempted = `Cannot be a member of group '${this.#config.group}'`
    const error = brokerError(attempted, answer.errorCode, answer.errorMessage)
    if (this.#coordinator.isPassing(answer.errorCode) || error.retriable) return this.#again(error)
    if (FENCED.has(name)) {
      this.#forget()
      this.#host.onFenced(error)
      return this.#again(error, 'warn')
    }
    if (name === 'UNRELEASED_INSTANCE_ID') {
      const nowMs = this.#coordinator.cluster.ports.clock.monotonicMs()
      this.#unreleasedSinceMs ??= nowMs
      if (nowMs - this.#unreleasedSinceMs < UNRELEASED_WAIT_MS) return this.#again(error)
    }
    return this.#failed(error)
  }

  #again(error: ClientError, level: 'info' | 'warn' = 'info'): number {
    const { ports, config } = this.#coordinator.cluster
    this.#mustTellAll = true
    this.#failureCount++
    const said = this.#failureCount > QUIET_FAILURES ? 'warn' : level
    ports.logger[said]('Heartbeat to a group failed; trying again', { group: this.#config.group, error })
    return backoffMs(config.backoff, this.#failureCount, ports.random)
  }

  #failed(error: ClientError): null {
    this.#forget()
    this.#closing.abort()
    this.#host.onFailed(error)
    return null
  }

  /** What the coordinator knew of this member counts no more. */
  #forget(): void {
    this.#epoch = JOINING
    this.#life++
    this.#owned = []
    this.#toldOwned = null
    this.#mustTellAll = true
    this.#mayBeKnown = false
  }

  async #leave(): Promise<void> {
    const { group, instanceId } = this.#config
    const isForAWhile = instanceId !== null && this.#closing.signal.aborted
    const memberEpoch = isForAWhile ? LEAVING_FOR_A_WHILE : LEAVING
    const body = { groupId: group, memberId: this.#memberId, memberEpoch, instanceId }
    const { clock, logger } = this.#coordinator.cluster.ports
    const end = new AbortController()
    const cancel = clock.after(LEAVE_TIMEOUT_MS, () => end.abort())
    const limits = { deadlineMs: clock.monotonicMs() + LEAVE_TIMEOUT_MS, signal: end.signal }
    try {
      await this.#coordinator.retried('Cannot leave a group', limits, async (timeoutMs) => {
        const options = { timeoutMs, signal: end.signal }
        const answer = await this.#coordinator.request('ConsumerGroupHeartbeat', () => body, options)
        return this.#coordinator.isPassing(answer.errorCode) ? null : true
      })
    } catch (error) {
      logger.warn('Could not leave a group: it will notice by itself', { group, error: toError(error) })
    } finally {
      cancel()
    }
  }
}

function subscriptionOf(subscription: Subscription): Partial<Heartbeat> {
  return isPattern(subscription)
    ? { subscribedTopicNames: [], subscribedTopicRegex: subscription.pattern }
    : { subscribedTopicNames: subscription, subscribedTopicRegex: '' }
}
