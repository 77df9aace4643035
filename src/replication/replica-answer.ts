/** An answer to a follower while it is gathered. */
import type { ResponseInputOf } from '../protocol/apis.ts'
import { errorCode } from '../protocol/errors.ts'
import type { PartitionAnswer } from './replica-entry.ts'

/** Gathers the partitions of an answer under their topics. */
export class AnswerBuilder {
  readonly #sessionId: number
  readonly #topics: { topic: string; topicId: string; partitions: PartitionAnswer[] }[] = []
  bytes = 0

  constructor(sessionId: number) {
    this.#sessionId = sessionId
  }

  add(topicId: string, answer: PartitionAnswer, bytes: number): void {
    const last = this.#topics.at(-1)
    if (last?.topicId === topicId) last.partitions.push(answer)
    else this.#topics.push({ topic: '', topicId, partitions: [answer] })
    this.bytes += bytes
  }

  get response(): ResponseInputOf<'Fetch'> {
    return {
      throttleTimeMs: 0,
      errorCode: errorCode('NONE'),
      sessionId: this.#sessionId,
      responses: this.#topics,
      nodeEndpoints: [],
    }
  }
}
