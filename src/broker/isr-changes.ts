/**
 * Changes of in-sync sets on their way to the controller: what partitions ask for while a request is under way goes with
 * the next one, so that a broker with a thousand partitions sends a few requests and not a thousand. Control plane.
 *
 * Invariants:
 * - One request is under way at a time, and changes leave in the order they were asked for.
 * - A request names a partition once, or its answer could not be told apart. A partition asks for one change at a time, so
 *   what still waits when it asks for the next one has been overtaken by an image, and is never sent.
 * - Every change is answered: by the controller, or as one whose outcome is not known.
 */
import type { Clock } from '../env/index.ts'
import type { RequestOf, ResponseOf } from '../protocol/apis.ts'
import { errorByCode } from '../protocol/errors.ts'
import type { AlterOutcome } from '../replication/isr-state.ts'
import type { IsrChange, IsrPort } from '../replication/partition-state.ts'

/** Partitions in one request: the controller writes them as one batch. */
const CHANGES_PER_REQUEST_MAX = 1000
/** Time for the controller's answer, in ms; the partition asks again after it. */
const TIMEOUT_MS = 5000
/** The leader has made up its mind about its log (KIP-704). */
const RECOVERED = 0

/** Refusals that concern this wish alone: another one may be granted. */
const REFUSED: ReadonlySet<string> = new Set(['INELIGIBLE_REPLICA'])
/** Refusals that tell that the partition is not what the leader takes it for. */
const OVERTAKEN: ReadonlySet<string> = new Set([
  'FENCED_LEADER_EPOCH',
  'INVALID_REQUEST',
  'INVALID_UPDATE_VERSION',
  'NEW_LEADER_ELECTED',
  'UNKNOWN_TOPIC_ID',
])

type Request = RequestOf<'AlterPartition'>
type Response = ResponseOf<'AlterPartition'>
type PartitionRequest = Request['topics'][number]['partitions'][number]
type PartitionAnswer = Response['topics'][number]['partitions'][number]

export interface IsrChangesOptions {
  readonly clock: Clock
  readonly nodeId: number
  readonly brokerEpoch: () => number
  /** Asks the active controller; never rejects. */
  readonly send: (request: Request, timeoutMs: number) => Promise<Response>
}

interface Waiting {
  readonly change: IsrChange
  readonly settle: (outcome: AlterOutcome) => void
}

export class IsrChanges implements IsrPort {
  readonly #options: IsrChangesOptions
  #waiting: Waiting[] = []
  #isSending = false

  constructor(options: IsrChangesOptions) {
    this.#options = options
  }

  alterPartition(change: IsrChange): Promise<AlterOutcome> {
    const old = this.#waiting.findIndex(
      (each) => each.change.topicId === change.topicId && each.change.index === change.index,
    )
    for (const { settle } of old < 0 ? [] : this.#waiting.splice(old, 1))
      settle({ kind: 'refused', error: 'INVALID_UPDATE_VERSION' })
    return new Promise((settle) => {
      this.#waiting.push({ change, settle })
      if (this.#isSending) return
      this.#isSending = true
      // At the end of the turn: a fetch of a follower may bring a thousand partitions up to date at once.
      this.#options.clock.endOfTurn(() => void this.#sendAll())
    })
  }

  async #sendAll(): Promise<void> {
    while (this.#waiting.length > 0) await this.#send(this.#waiting.splice(0, CHANGES_PER_REQUEST_MAX))
    this.#isSending = false
  }

  async #send(changes: readonly Waiting[]): Promise<void> {
    const { nodeId, brokerEpoch, send } = this.#options
    const topics = new Map<string, PartitionRequest[]>()
    for (const { change } of changes) {
      const partitions = topics.get(change.topicId)
      if (partitions === undefined) topics.set(change.topicId, [toRequest(change)])
      else partitions.push(toRequest(change))
    }
    const request: Request = {
      ...{ brokerId: nodeId, brokerEpoch: brokerEpoch() },
      topics: Array.from(topics, ([topicId, partitions]) => ({ topicId, partitions })),
    }
    const response = await send(request, TIMEOUT_MS)
    const answers = new Map<string, PartitionAnswer>()
    for (const { topicId, partitions } of response.topics)
      for (const partition of partitions) answers.set(`${topicId} ${partition.partitionIndex}`, partition)
    for (const { change, settle } of changes) {
      const answer = answers.get(`${change.topicId} ${change.index}`)
      settle(answer === undefined ? outcomeOf(response.errorCode, null) : outcomeOf(answer.errorCode, answer))
    }
  }
}

function toRequest({ index, leaderEpoch, partitionEpoch, newIsr }: IsrChange): PartitionRequest {
  return {
    ...{ partitionIndex: index, leaderEpoch, partitionEpoch, leaderRecoveryState: RECOVERED },
    newIsrWithEpochs: newIsr.map(({ brokerId, brokerEpoch }) => ({ brokerId, brokerEpoch })),
  }
}

function outcomeOf(code: number, answer: PartitionAnswer | null): AlterOutcome {
  const error = errorByCode(code).name
  if (error === 'NONE' && answer !== null)
    return { kind: 'altered', partitionEpoch: answer.partitionEpoch, isr: answer.isr }
  if (REFUSED.has(error)) return { kind: 'refused', error }
  return { kind: OVERTAKEN.has(error) ? 'overtaken' : 'unknown', error }
}
