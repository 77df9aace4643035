/**
 * When members of one group run out of time: sessions (no heartbeat) and revocations (asked to give up partitions, and did
 * not). Soft state; a load starts them anew.
 *
 * A heartbeat moves a deadline, and costs no timer: one timer serves the group, set for a time at which the earliest deadline
 * may have passed, and then set again for what is the earliest by then. Whoever dies is found at its very deadline.
 *
 * A timer that comes much too late means that this process stood still, and that heartbeats may lie unread in its sockets.
 * They are heard first (faults.md ND-1, ND-2).
 */
import type { Cancel, Clock } from '../../../env/index.ts'

/** A timer later than this, in ms, was held up by more than a busy turn. */
const LATE_MS = 1000
/** How long what arrived in the meantime gets, in ms, to be read. */
const GRACE_MS = 1000
/** Whether a member is overdue is looked at no more often than this, in ms: it takes a walk over all of them. */
const OVERDUE_LOOK_MS = 100

export type DeadlineKind = 'session' | 'revocation'

interface Deadlines {
  /** Monotonic ms. */
  session: number
  /** How long the session was when it began, in ms. */
  sessionMs: number
  revocation: number
}

export class MemberDeadlines {
  readonly #clock: Clock
  readonly #onExpired: (expired: ReadonlyMap<string, DeadlineKind>) => void
  readonly #deadlines = new Map<string, Deadlines>()
  #timerMs = Infinity
  #graceEndMs = 0
  #cancel: Cancel | null = null
  #isAnyOverdue = false
  #overdueLookMs = -Infinity

  /** @param onExpired - Members whose time has come, again and again until each is removed or has a new deadline. */
  constructor(clock: Clock, onExpired: (expired: ReadonlyMap<string, DeadlineKind>) => void) {
    this.#clock = clock
    this.#onExpired = onExpired
  }

  /** @param delayMs - From now; Infinity for never. */
  set(memberId: string, kind: DeadlineKind, delayMs: number): void {
    let deadlines = this.#deadlines.get(memberId)
    if (deadlines === undefined) {
      deadlines = { session: Infinity, sessionMs: Infinity, revocation: Infinity }
      this.#deadlines.set(memberId, deadlines)
    }
    if (kind === 'session') deadlines.sessionMs = delayMs
    deadlines[kind] = this.#clock.monotonicMs() + delayMs
    const timeMs = Math.max(deadlines[kind], this.#graceEndMs)
    if (timeMs < this.#timerMs) this.#arm(timeMs)
  }

  /** As `set`, but leaves alone a deadline that there is. */
  setUnlessSet(memberId: string, kind: DeadlineKind, delayMs: number): void {
    if ((this.#deadlines.get(memberId)?.[kind] ?? Infinity) === Infinity) this.set(memberId, kind, delayMs)
  }

  remove(memberId: string): void {
    this.#deadlines.delete(memberId)
  }

  close(): void {
    this.#cancel?.()
    this.#cancel = null
    this.#timerMs = Infinity
    this.#deadlines.clear()
  }

  /** Looks again after `delayMs`: what was to be done about the expired did not succeed. */
  retry(delayMs: number): void {
    this.#arm(this.#clock.monotonicMs() + delayMs)
  }

  /** Whether the session of some member is more than half over, and ends within `ms`. */
  isAnyOverdue(ms: number): boolean {
    const nowMs = this.#clock.monotonicMs()
    if (nowMs - this.#overdueLookMs < OVERDUE_LOOK_MS) return this.#isAnyOverdue
    this.#overdueLookMs = nowMs
    this.#isAnyOverdue = false
    for (const { session, sessionMs } of this.#deadlines.values())
      if (session - nowMs < Math.min(ms, sessionMs / 2)) this.#isAnyOverdue = true
    return this.#isAnyOverdue
  }

  #arm(timeMs: number): void {
    this.#cancel?.()
    this.#timerMs = timeMs
    this.#cancel = this.#clock.after(Math.max(0, timeMs - this.#clock.monotonicMs()), () => {
      const lateMs = this.#clock.monotonicMs() - timeMs
      this.#cancel = null
      this.#timerMs = Infinity
      if (lateMs > LATE_MS) {
        this.#graceEndMs = this.#clock.monotonicMs() + GRACE_MS
        this.#arm(this.#graceEndMs)
      } else {
        this.#look()
      }
    })
  }

  #look(): void {
    const nowMs = this.#clock.monotonicMs()
    const expired = new Map<string, DeadlineKind>()
    let nextMs = Infinity
    for (const [memberId, { session, revocation }] of this.#deadlines) {
      const earliestMs = Math.min(session, revocation)
      if (earliestMs <= nowMs) expired.set(memberId, session <= nowMs ? 'session' : 'revocation')
      else nextMs = Math.min(nextMs, earliestMs)
    }
    if (nextMs < Infinity) this.#arm(nextMs)
    if (expired.size > 0) this.#onExpired(expired)
  }
}
