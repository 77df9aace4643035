/**
 * A member of a group as a careful client behaves (KIP-848): one heartbeat at a time, everything said again after an error,
 * what it owns said whenever that changed; gives up before it takes; takes only what its last heartbeat was answered with.
 * It may be slow to give up, stand still, die, and lose requests and answers.
 */
import type { Prng } from '../../../../src/env/sim/prng.ts'
import type { Answer, Heartbeat, TestShard } from './support.ts'

/** After this, ms, an unanswered heartbeat is taken for lost. */
const REQUEST_TIMEOUT_MS = 800
/** Soon, ms: what is worth telling at once. */
const SOON_MS = 10

export interface ClientFaults {
  /** Probability that a request or an answer is lost. */
  loss: number
  /** Longest time, ms, that it takes to give up partitions. */
  revokeMsMax: number
  /** Longest way, ms, of a request or an answer. */
  wayMsMax: number
}

export class ModelClient {
  readonly memberId: string
  readonly instanceId: string | null
  readonly rebalanceTimeoutMs: number
  topics: readonly string[]
  pattern: string | null
  epoch = 0
  /** As `topicId/partition`. */
  readonly owned = new Set<string>()
  isDead = false
  readonly #shard: TestShard
  readonly #prng: Prng
  readonly #faults: ClientFaults
  #wanted: ReadonlySet<string> = new Set()
  #isPaused = false
  #isWaiting = false
  #isRevoking = false
  #saysAll = true
  #ownedSaid: string | null = null
  #subscriptionSaid: string | null = null
  #turn = 0

  constructor(
    shard: TestShard,
    prng: Prng,
    faults: ClientFaults,
    is: {
      memberId: string
      instanceId: string | null
      topics: readonly string[]
      pattern: string | null
      rebalanceTimeoutMs: number
    },
  ) {
    this.#shard = shard
    this.#prng = prng
    this.#faults = faults
    this.memberId = is.memberId
    this.instanceId = is.instanceId
    this.topics = is.topics
    this.pattern = is.pattern
    this.rebalanceTimeoutMs = is.rebalanceTimeoutMs
    this.#beatAfter(0)
  }

  subscribe(topics: readonly string[], pattern: string | null): void {
    this.topics = topics
    this.pattern = pattern
    this.#beatAfter(SOON_MS)
  }

  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    this.#isPaused = false
    this.#reconcile()
    this.#beatAfter(0)
  }

  die(): void {
    this.isDead = true
    this.owned.clear()
  }

  /** @param epoch - -1, or -2 of a static member that means to come back. */
  leave(epoch: number): void {
    this.die()
    const { memberId, instanceId } = this
    if (!this.#prng.chance(this.#faults.loss)) {
      void this.#shard.send({ memberId, instanceId, memberEpoch: epoch })
    }
  }

  #beatAfter(delayMs: number): void {
    const turn = ++this.#turn
    this.#shard.sim.schedule(delayMs, `${this.memberId} beats`, () => {
      if (turn === this.#turn) this.#beat()
    })
  }

  #beat(): void {
    if (this.isDead || this.#isPaused || this.#isWaiting) return
    this.#isWaiting = true
    const subscription = JSON.stringify([this.topics, this.pattern])
    const all = this.#saysAll || this.epoch === 0 || subscription !== this.#subscriptionSaid
    const owned = [...this.owned].sort().join()
    const request: Heartbeat = {
      memberId: this.memberId,
      memberEpoch: this.epoch,
      instanceId: all ? this.instanceId : null,
      rebalanceTimeoutMs: all ? this.rebalanceTimeoutMs : -1,
      subscribedTopicNames: all ? [...this.topics] : null,
      subscribedTopicRegex: all ? (this.pattern ?? '') : null,
      topicPartitions: all || owned !== this.#ownedSaid ? listOf(this.owned) : null,
    }
    this.#ownedSaid = owned
    this.#subscriptionSaid = subscription
    let isOver = false
    const end = (then: () => void): void => {
      if (isOver || this.isDead) return
      isOver = true
      this.#isWaiting = false
      then()
    }
    const later = (what: string, task: () => void): void => {
      if (this.#prng.chance(this.#faults.loss)) return
      this.#shard.sim.schedule(this.#prng.between(0, this.#faults.wayMsMax), what, task)
    }
    later(`${this.memberId} is heard`, () => {
      void this.#shard.send(request).then((answer) => {
        later(`${this.memberId} is answered`, () => end(() => this.#take(answer)))
      })
    })
    this.#shard.sim.schedule(REQUEST_TIMEOUT_MS, `${this.memberId} waited`, () =>
      end(() => {
        this.#saysAll = true
        this.#beatAfter(SOON_MS)
      }),
    )
  }

  #take(answer: Answer): void {
    if (this.#isPaused) {
      this.#saysAll = true
      return
    }
    switch (answer.error) {
      case 'NONE':
        this.#saysAll = false
        this.epoch = answer.memberEpoch
        if (answer.assignment !== null && answer.assignment !== undefined) {
          this.#wanted = new Set(
            answer.assignment.topicPartitions.flatMap(({ topicId, partitions }) =>
              [...partitions].map((partition) => `${topicId}/${partition}`),
            ),
          )
        }
        this.#beatAfter(answer.heartbeatIntervalMs)
        this.#reconcile()
        return
      case 'UNKNOWN_MEMBER_ID':
      case 'FENCED_MEMBER_EPOCH':
        this.owned.clear()
        this.#wanted = new Set()
        this.epoch = 0
        this.#saysAll = true
        this.#beatAfter(SOON_MS)
        return
      case 'FENCED_INSTANCE_ID':
        this.die()
        return
      case 'NOT_COORDINATOR':
      case 'COORDINATOR_NOT_AVAILABLE':
      case 'UNRELEASED_INSTANCE_ID':
        this.#saysAll = true
        this.#beatAfter(300)
        return
      default:
        throw new Error(`${this.memberId} was answered ${answer.error}: ${answer.errorMessage}`)
    }
  }

  #reconcile(): void {
    if (this.isDead || this.#isPaused || this.#isRevoking) return
    const lost = [...this.owned].filter((partition) => !this.#wanted.has(partition))
    if (lost.length > 0) {
      this.#isRevoking = true
      this.#shard.sim.schedule(
        this.#prng.between(0, this.#faults.revokeMsMax),
        `${this.memberId} revoked`,
        () => {
          this.#isRevoking = false
          for (const partition of lost) this.owned.delete(partition)
          this.#beatAfter(SOON_MS)
          this.#reconcile()
        },
      )
      return
    }
    // A heartbeat that is not answered may have said that these are not owned, and so have given them away.
    if (this.#isWaiting || this.#saysAll) return
    const sizeBefore = this.owned.size
    for (const partition of this.#wanted) this.owned.add(partition)
    if (this.owned.size !== sizeBefore) this.#beatAfter(SOON_MS)
  }
}

function listOf(owned: ReadonlySet<string>): { topicId: string; partitions: number[] }[] {
  const byTopic = new Map<string, number[]>()
  for (const partition of owned) {
    const [topicId, index] = partition.split('/') as [string, string]
    byTopic.set(topicId, [...(byTopic.get(topicId) ?? []), Number(index)])
  }
  return [...byTopic].map(([topicId, partitions]) => ({ topicId, partitions }))
}
