/**
 * One produce request: batches by topic on their way out, and the parts of the answer for each of them on the way back.
 * Hot path per request: brokers answer in the order of the request, so what belongs together is found by place, and
 * searched for only where that fails.
 *
 * Invariant: at most one batch of a partition.
 */
import { ZERO_UUID } from '../bytes/uuid.ts'
import type { RequestInputOf, ResponseOf } from '../protocol/apis.ts'
import type { PartitionQueue } from './partition-queue.ts'
import type { ProducerBatch } from './producer-batch.ts'

/** From this version on topics go by id. */
export const LAST_VERSION_WITH_NAMES = 12

export type ProduceAnswer = ResponseOf<'Produce'>
type TopicAnswer = ProduceAnswer['responses'][number]
export type PartitionAnswer = TopicAnswer['partitionResponses'][number]

export interface SentBatch {
  readonly queue: PartitionQueue
  readonly batch: ProducerBatch
}

interface TopicBatches {
  readonly name: string
  readonly topicId: string
  readonly sent: SentBatch[]
}

export class ProduceRequest {
  readonly #topics: TopicBatches[] = []
  /** Made when there is a second topic. */
  #byName: Map<string, TopicBatches> | null = null
  /** Bytes of the batches. */
  size = 0
  /** Highest version in which the topics can be named. */
  versionMax = Infinity

  /** @param topicId - `ZERO_UUID` when the broker has no ids. */
  add(queue: PartitionQueue, batch: ProducerBatch, topicId: string): void {
    this.size += batch.sizeBytes
    if (topicId === ZERO_UUID) this.versionMax = LAST_VERSION_WITH_NAMES
    this.#topicOf(queue.topic, topicId).sent.push({ queue, batch })
  }

  /** Every batch, in the order of the request. */
  forEach(visit: (sent: SentBatch) => void): void {
    for (const { sent } of this.#topics) for (const one of sent) visit(one)
  }

  /** The body; every batch must be sealed. @param timeoutMs - How long the broker may wait for replicas. */
  body(acks: number, timeoutMs: number): RequestInputOf<'Produce'> {
    const topicData = this.#topics.map(({ name, topicId, sent }) => ({
      name,
      topicId,
      partitionData: sent.map(({ batch }) => ({ index: batch.partition, records: batch.bytes! })),
    }))
    return { acks, timeoutMs, topicData }
  }

  /** Calls `visit` for every batch with what the answer says of it; null where it leaves the batch out. */
  match(answer: ProduceAnswer, visit: (sent: SentBatch, one: PartitionAnswer | null) => void): void {
    const { responses } = answer
    for (let place = 0; place < this.#topics.length; place++) {
      const topic = this.#topics[place]!
      const told = pick(responses, place, (other) => isAbout(other, topic))
      for (let index = 0; index < topic.sent.length; index++) {
        const one = topic.sent[index]!
        const { partition } = one.batch
        visit(one, told && pick(told.partitionResponses, index, (other) => other.index === partition))
      }
    }
  }

  #topicOf(name: string, topicId: string): TopicBatches {
    const last = this.#topics[this.#topics.length - 1]
    if (last?.name === name) return last
    const known = this.#byName?.get(name)
    if (known !== undefined) return known
    const topic: TopicBatches = { name, topicId, sent: [] }
    this.#topics.push(topic)
    if (last !== undefined) {
      this.#byName ??= new Map([[last.name, last]])
      this.#byName.set(name, topic)
    }
    return topic
  }
}

/** The element that is wanted: the one in that place, or wherever it is. */
function pick<T>(all: readonly T[], place: number, isWanted: (one: T) => boolean): T | null {
  const expected = all[place]
  if (expected !== undefined && isWanted(expected)) return expected
  return all.find(isWanted) ?? null
}

function isAbout(told: TopicAnswer, topic: TopicBatches): boolean {
  return told.name === '' ? told.topicId === topic.topicId : told.name === topic.name
}
