/**
 * Names of topics by their ids: assignments of groups name topics by id only. An id is never given twice, so what is known
 * stays true.
 */
import { askAnyBroker } from '../any-broker.ts'
import type { Cluster } from '../cluster.ts'

export class TopicNames {
  readonly #cluster: Cluster
  readonly #names = new Map<string, string>()

  constructor(cluster: Cluster) {
    this.#cluster = cluster
  }

  get(topicId: string): string | undefined {
    return this.#names.get(topicId)
  }

  /**
   * Asks for those that are not known yet. Ids that no broker knows (any more, or yet) stay unknown.
   *
   * @throws {ClientError} As `askAnyBroker`.
   */
  async learn(topicIds: readonly string[], signal: AbortSignal): Promise<void> {
    const unknown = topicIds.filter((id) => !this.#names.has(id))
    if (unknown.length === 0) return
    const topics = unknown.map((topicId) => ({ topicId, name: null }))
    const answer = await askAnyBroker(
      this.#cluster,
      'Metadata',
      () => ({ topics, allowAutoTopicCreation: false }),
      { signal },
    )
    for (const { topicId, name, errorCode } of answer.topics)
      if (errorCode === 0 && name !== null) this.#names.set(topicId, name)
  }
}
