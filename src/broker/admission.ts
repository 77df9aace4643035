/**
 * Whether a node that starts is let into its cluster: what it waits for, told to whoever started it, and when there is
 * nothing to wait for any more.
 *
 * A node that is down, or not up yet, comes back by itself; so does one that takes this node for an earlier life of it until
 * it notices that that one is dead. A node of another cluster or with another secret does not: who is refused for such a
 * reason by a majority of the voters, or by the one that leads them, would wait for ever, so its start fails.
 *
 * Control plane.
 *
 * Invariants:
 * - Only a start fails of this. A broker that has begun to serve keeps what it was given and tries for ever: a slip in the
 *   settings of others must not stop it.
 * - What an attempt came to counts only until the next of the same two nodes, whoever made it: a refusal goes with the next
 *   life of that node, and who has connected here is not said to be out of reach.
 *
 * @see rpc/peer-handshake.ts for the refusals. @see raft/election.ts for founders.
 */
import { onAbort } from '../base/on-abort.ts'
import type { Cancel, Clock, Logger } from '../env/index.ts'
import type { QuorumDescription } from '../raft/raft-options.ts'
import type { PeerError, PeerErrorCode } from '../rpc/peer-error.ts'
import { BrokerError } from './broker-error.ts'

export interface AdmissionOptions {
  readonly nodeId: number
  /** Of the settings; none for a node that is alone. */
  readonly voterIds: readonly number[]
  readonly addressOf: (nodeId: number) => string | null
}

/** What is known here of the start that waits. */
export interface AdmissionView {
  readonly quorum: () => Pick<
    QuorumDescription,
    'isFounding' | 'leaderId' | 'namedLeaderId' | 'strangers' | 'voters'
  >
  /** Why the controller, once found, does not register the broker yet. */
  readonly obstacle: () => string | null
  readonly isRegistered: () => boolean
  /** Gives the start up. */
  readonly signal: AbortSignal | undefined
}

/** Refusals that somebody has to do something about, and what. */
const ADVICE: ReadonlyMap<PeerErrorCode, string> = new Map([
  ['PEER_WRONG_CLUSTER', 'Set cluster.id to that of the cluster, or correct controller.quorum.voters'],
  ['PEER_WRONG_PROOF', 'Set the same cluster.secret on every node'],
  ['PEER_SECRET_NEEDED', 'Set the same cluster.secret on every node'],
  [
    'PEER_DUPLICATE_NODE',
    'Stop the other process, or give this one a node.id and a data directory of its own',
  ],
  ['PEER_WRONG_VERSION', 'Run versions of millrace that are closer to each other'],
])

/**
 * A refusal that was never anything else for this long, in ms, will not pass by itself. Above what it takes to notice that a
 * node is dead (twice `PeerLimits.idleMs` and a sweep, 5 s), so that who comes back on a new disk is not taken for its twin.
 */
const REFUSED_MS = 8000
/** A start that takes so long, in ms, says what it waits for; and again. */
const FIRST_TOLD_MS = 3000
const TOLD_AGAIN_MS = 10_000
/** How often it is looked, in ms. */
const LOOK_MS = 500

/** Errors of the network begin with what was attempted, which in the middle of a sentence sounds as if it had been done. */
const ATTEMPTED = /^Connected to /

interface Attempt {
  /** Null: it came about. */
  readonly error: PeerError | null
  /** Since when all attempts have ended in the same way. */
  readonly sinceMs: number
}

export class Admission {
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #options: AdmissionOptions
  readonly #attempts = new Map<number, Attempt>()

  constructor(ports: { readonly clock: Clock; readonly logger: Logger }, options: AdmissionOptions) {
    this.#clock = ports.clock
    this.#logger = ports.logger
    this.#options = options
  }

  /** Takes note of what became of an attempt to connect to a node, or of that node to connect here. */
  onAttempt(nodeId: number, error: PeerError | null): void {
    const last = this.#attempts.get(nodeId)
    const isSame = last !== undefined && last.error?.code === error?.code
    this.#attempts.set(nodeId, { error, sinceMs: isSame ? last.sinceMs : this.#clock.monotonicMs() })
  }

  /**
   * Waits for a start, and says what it waits for when that takes long.
   *
   * @throws {BrokerError} `BROKER_REFUSED` if the cluster will not have this node, `BROKER_START_ABORTED`; and what `work`
   *   rejects with.
   */
  async until(work: Promise<void>, view: AdmissionView): Promise<void> {
    const { signal } = view
    let cancel: Cancel = () => undefined
    let forget: () => void = () => undefined
    const given = new Promise<never>((_, reject) => {
      const giveUp = (): void =>
        reject(new BrokerError('BROKER_START_ABORTED', 'The start of the broker was given up'))
      if (signal?.aborted === true) giveUp()
      forget = onAbort(signal, giveUp)
      let tellMs = this.#clock.monotonicMs() + FIRST_TOLD_MS
      const look = (): void => {
        const nowMs = this.#clock.monotonicMs()
        const refusal = this.#refusal(nowMs, view)
        if (refusal !== null) {
          reject(refusal)
          return
        }
        if (nowMs >= tellMs) {
          tellMs = nowMs + TOLD_AGAIN_MS
          this.#logger.warn(this.obstacles(view).join('; '), { nodeId: this.#options.nodeId })
        }
        cancel = this.#clock.after(LOOK_MS, look)
      }
      if (this.#options.voterIds.length > 0) cancel = this.#clock.after(LOOK_MS, look)
    })
    try {
      await Promise.race([work, given])
    } finally {
      cancel()
      forget()
    }
  }

  /** What the start waits for, a sentence each, the first with what it is all about. */
  obstacles(view: AdmissionView): readonly string[] {
    const { nodeId, voterIds, addressOf } = this.#options
    if (view.isRegistered())
      return ['Waiting to be let in: the broker is registered, and catches up with the metadata']
    const { isFounding, leaderId, namedLeaderId, strangers, voters } = view.quorum()
    const own = list(voters.map(({ id }) => id))
    const found: string[] = []
    for (const id of voterIds) {
      if (id === nodeId || id === leaderId) continue
      const theirs = strangers.get(id)
      const error = this.#attempts.get(id)?.error ?? null
      if (theirs !== undefined)
        found.push(
          `node ${id} goes by the voters ${list(theirs)} and this node by ${own}: give both the same controller.quorum.voters`,
        )
      else if (error !== null)
        found.push(`node ${id}: ${error.reason.replace(ATTEMPTED, 'no connection to ')}`)
    }
    if (
      leaderId === null &&
      namedLeaderId !== null &&
      namedLeaderId !== nodeId &&
      addressOf(namedLeaderId) === null
    )
      found.push(
        `node ${namedLeaderId} leads, and controller.quorum.voters does not say where it is: name all voters in it`,
      )
    if (leaderId !== null) return [`Waiting to be registered by node ${leaderId}`, view.obstacle() ?? 'it does not answer yet'] // prettier-ignore
    const isFounder = isFounding && voters.some(({ id }) => id === nodeId) && namedLeaderId === null
    const what = isFounder
      ? `Waiting for the voters ${own}: a new cluster begins when all of them are up`
      : `Waiting for a majority of the voters ${own}`
    return [what, ...found]
  }

  /** Why there is nothing to wait for, or null. */
  #refusal(nowMs: number, view: AdmissionView): BrokerError | null {
    const { nodeId, voterIds } = this.#options
    const { leaderId, namedLeaderId } = view.quorum()
    if (view.isRegistered() || leaderId === nodeId) return null
    for (const [code, advice] of ADVICE) {
      const refusing = [...this.#attempts].filter(
        ([, { error, sinceMs }]) => error?.code === code && nowMs - sinceMs >= REFUSED_MS,
      )
      const byVoters = refusing.filter(([id]) => voterIds.includes(id)).length
      const byLeader = refusing.some(([id]) => id === namedLeaderId)
      if (!byLeader && byVoters < Math.floor(voterIds.length / 2) + 1) continue
      const ids = refusing.map(([id]) => id)
      const who = ids.length === 1 ? `node ${ids[0]}` : `nodes ${list(ids)}`
      const reason = refusing[0]![1].error!.reason
      return new BrokerError(
        'BROKER_REFUSED',
        `Cannot join the cluster as node ${nodeId}, ${who} refused: ${reason}. ${advice}`,
      )
    }
    return null
  }
}

function list(ids: readonly number[]): string {
  return [...ids].sort((a, b) => a - b).join(', ')
}
