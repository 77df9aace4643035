/**
 * Changes of in-sync sets on their way to the controller: what partitions ask for while a request is under way goes with
 * the next one, so that a broker with a thousand partitions sends a few requests and not a thousand. Control plane.
 *
 * Invariants:
 * - One request is under way at a time, and changes leave in the order they were asked for.
 * - Every change is answered: by the controller, or with null when its outcome is not known.
 */
import type { Clock } from '../env/index.ts'
import type { RequestOf, ResponseOf } from '../protocol/apis.ts'

/** Partitions in one request: the controller writes them as one batch. */
const CHANGES_PER_REQUEST_MAX = 1000
/** Time for the controller's answer, in ms; the partition asks again after it. */
const TIMEOUT_MS = 5000

type PartitionRequest = RequestOf<'AlterPartition'>['topics'][number]['partitions'][number]
export type IsrChangeAnswer = ResponseOf<'AlterPartition'>['topics'][number]['partitions'][number]

/** `error` concerns the whole request; it is the name's code. */
export type IsrChangeOutcome =
  | { readonly kind: 'answered'; readonly answer: IsrChangeAnswer }
  | { readonly kind: 'refused'; readonly errorCode: number }

export interface IsrChangesOptions {
  readonly clock: Clock
  readonly nodeId: number
  readonly brokerEpoch: () => number
  readonly send: (
    request: RequestOf<'AlterPartition'>,
    timeoutMs: number,
  ) => Promise<ResponseOf<'AlterPartition'>>
}

interface Waiting {
  readonly topicId: string
  readonly request: PartitionRequest
  readonly settle: (outcome: IsrChangeOutcome) => void
}

export class IsrChanges {
  readonly #options: IsrChangesOptions
  #waiting: Waiting[] = []
  #isSending = false

  constructor(options: IsrChangesOptions) {
    this.#options = options
  }

  /** Asks for a change; resolves with the controller's answer. */
  ask(topicId: string, request: PartitionRequest): Promise<IsrChangeOutcome> {
    return new Promise((settle) => {
      this.#waiting.push({ topicId, request, settle })
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
    const partitions = new Map<string, PartitionRequest[]>()
    for (const { topicId, request } of changes) {
      const found = partitions.get(topicId)
      if (found === undefined) partitions.set(topicId, [request])
      else found.push(request)
    }
    const topics = Array.from(partitions, ([topicId, requests]) => ({ topicId, partitions: requests }))
    const response = await send({ brokerId: nodeId, brokerEpoch: brokerEpoch(), topics }, TIMEOUT_MS)
    const answers = new Map<string, Map<number, IsrChangeAnswer>>()
    for (const topic of response.topics)
      answers.set(topic.topicId, new Map(topic.partitions.map((each) => [each.partitionIndex, each])))
    for (const { topicId, request, settle } of changes) {
      const answer = answers.get(topicId)?.get(request.partitionIndex)
      if (answer === undefined) settle({ kind: 'refused', errorCode: response.errorCode })
      else settle({ kind: 'answered', answer })
    }
  }
}
